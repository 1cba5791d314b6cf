//! One operation, and how it is written.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const JSON: &str = "application/json";
/// A file, whatever it holds.
const FILE: &str = "application/octet-stream";

pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    summary: &'static str,
    security: &'static [&'static str],
    query: Vec<(&'static str, Value)>,
    body: Option<(Value, bool)>,
    /// Of the body.
    media: &'static str,
    answers: Vec<(u16, Option<Value>)>,
    /// Statuses whose answer is a file.
    files: Vec<u16>,
    refusals: Vec<&'static str>,
}

/// Anybody may ask.
pub(super) fn public(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation {
        method,
        path,
        summary,
        security: &[],
        query: Vec::new(),
        body: None,
        media: JSON,
        answers: Vec::new(),
        files: Vec::new(),
        refusals: vec!["internal"],
    }
}

/// A known user asks, with a token or a browser.
pub(super) fn client(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    let common = [
        "not_signed_in",
        "bad_token",
        "link_broken",
        "not_allowed",
        "forbidden",
        "rate_limited",
        "github_unavailable",
    ];
    let operation = Operation {
        security: &["token", "browser"],
        ..public(method, path, summary)
    };
    let operation = operation.refuses(&common);
    let operation = match method {
        "get" => operation,
        _ => operation.refuses(&["cross_site"]),
    };
    match path.contains('{') {
        true => operation.refuses(&["not_found"]),
        false => operation,
    }
}

/// A runner asks: signed, and each message once.
pub(super) fn runner(path: &'static str, summary: &'static str, body: Value) -> Operation {
    let operation = Operation {
        security: &["runner"],
        body: Some((body, true)),
        ..public("post", path, summary)
    };
    operation.refuses(&[
        "missing_signature",
        "stale_timestamp",
        "bad_signature",
        "replayed",
        "malformed",
        "body_too_large",
    ])
}

impl Operation {
    /// What else keeps it from succeeding.
    pub(super) fn refuses(mut self, codes: &[&'static str]) -> Self {
        self.refusals.extend(codes);
        self
    }

    pub(super) fn secured_by(self, security: &'static [&'static str]) -> Self {
        Self { security, ..self }
    }

    pub(super) fn query(mut self, name: &'static str, schema: Value) -> Self {
        self.query.push((name, schema));
        self.refuses(&["malformed"])
    }

    pub(super) fn takes(self, schema: Value) -> Self {
        let body = Some((schema, true));
        Self { body, ..self }.refuses(&["malformed", "body_too_large", "not_json"])
    }

    pub(super) fn may_take(self, schema: Value) -> Self {
        let body = Some((schema, false));
        Self { body, ..self }.refuses(&["malformed", "body_too_large", "not_json"])
    }

    /// The body is a file.
    pub(super) fn takes_file(self) -> Self {
        let body = Some((json!({ "type": "string", "contentMediaType": FILE }), true));
        let media = FILE;
        Self {
            body,
            media,
            ..self
        }
    }

    /// The answer is a file.
    pub(super) fn gives_file(mut self, status: u16) -> Self {
        self.files.push(status);
        self
    }

    pub(super) fn answers(mut self, status: u16, schema: Value) -> Self {
        self.answers.push((status, Some(schema)));
        self
    }

    /// Without a body.
    pub(super) fn ends(mut self, status: u16) -> Self {
        self.answers.push((status, None));
        self
    }

    /// `shared` gets the refusals that this operation has in common with others.
    pub(super) fn describe(
        &self,
        id: &str,
        error: &Value,
        shared: &mut Map<String, Value>,
    ) -> Value {
        let mut described = json!({
            "operationId": id,
            "summary": self.summary,
            "parameters": self.parameters(),
            "responses": self.responses(error, shared),
            "security": self.security.iter().map(|name| json!({ (*name): [] })).collect::<Vec<_>>(),
        });
        if let (Some((schema, required)), Some(described)) = (&self.body, described.as_object_mut())
        {
            let content = json!({ (self.media): { "schema": schema } });
            let body = json!({ "required": required, "content": content });
            described.insert("requestBody".to_owned(), body);
        }
        described
    }

    fn parameters(&self) -> Vec<Value> {
        let in_path = self.path.split('/').filter_map(|segment| {
            let name = segment.strip_prefix('{')?.strip_suffix('}')?;
            // All the rest of the path.
            let name = name.trim_start_matches('*');
            let schema = json!({ "type": "string", "pattern": pattern_of(name) });
            Some(json!({ "name": name, "in": "path", "required": true, "schema": schema }))
        });
        let in_query = self
            .query
            .iter()
            .map(|(name, schema)| json!({ "name": name, "in": "query", "schema": schema }));
        in_path.chain(in_query).collect()
    }

    fn responses(&self, error: &Value, shared: &mut Map<String, Value>) -> Map<String, Value> {
        let mut responses = Map::new();
        for (status, schema) in &self.answers {
            let mut response = json!({ "description": description(*status) });
            if let (Some(schema), Some(response)) = (schema, response.as_object_mut()) {
                let content = json!({ "application/json": { "schema": schema } });
                response.insert("content".to_owned(), content);
            }
            responses.insert(status.to_string(), response);
        }
        for status in &self.files {
            let file = json!({
                "description": description(*status),
                "content": { "*/*": { "schema": {} } },
            });
            responses.insert(status.to_string(), file);
        }
        let mut refusals: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for code in &self.refusals {
            let codes = refusals.entry(status_of(code)).or_default();
            if !codes.contains(code) {
                codes.push(code);
            }
        }
        for (status, codes) in refusals {
            let told = responses.get(&status.to_string()).map(|known| {
                // A status that is also an answer: its body is one or the other.
                known["content"]["application/json"]["schema"].clone()
            });
            let is_shared = told.is_none();
            let mut response = refusal(status, &codes, error, told);
            if is_shared {
                let name = codes.join(".");
                let reference = json!({ "$ref": format!("#/components/responses/{name}") });
                shared.insert(name, std::mem::replace(&mut response, reference));
            }
            responses.insert(status.to_string(), response);
        }
        responses
    }
}

fn refusal(status: u16, codes: &[&str], error: &Value, told: Option<Value>) -> Value {
    let code =
        json!({ "properties": { "error": { "properties": { "code": { "enum": codes } } } } });
    let schema = json!({ "allOf": [error, code] });
    let schema = match told {
        Some(told) => json!({ "anyOf": [told, schema] }),
        None => schema,
    };
    let mut response = json!({
        "description": description(status),
        "content": { "application/json": { "schema": schema } },
    });
    if let (429, Some(response)) = (status, response.as_object_mut()) {
        let seconds = json!({
            "description": "Seconds to wait; absent where time alone does not help.",
            "schema": { "type": "integer", "minimum": 1 },
        });
        response.insert("headers".to_owned(), json!({ "Retry-After": seconds }));
    }
    response
}

fn description(status: u16) -> &'static str {
    match status {
        101 => "The protocol is switched.",
        200 => "Here it is.",
        201 => "It was made.",
        202 => "It was taken.",
        204 => "It is done.",
        206 => "Here is the part.",
        302 | 307 => "Go on there.",
        400 => "The request cannot be understood.",
        401 => "It is not known who asks.",
        403 => "This is not for whoever asks.",
        404 => "It is not there, or not for whoever asks.",
        409 => "It does not fit what is there.",
        410 => "It is void.",
        411 => "Its length is not told.",
        413 => "It is too long.",
        415 => "It is not JSON.",
        416 => "There is no such part.",
        429 => "It is too much.",
        500 => "We failed.",
        502 => "GitHub failed.",
        503 => "It may work in a moment.",
        _ => "It did not work.",
    }
}

/// What each code is answered with.
pub(super) fn status_of(code: &str) -> u16 {
    match code {
        "not_signed_in" | "link_broken" | "bad_ticket" | "bad_token" | "missing_signature"
        | "stale_timestamp" | "bad_signature" => 401,
        "cross_site" | "forbidden" | "not_allowed" | "link_invalid" => 403,
        "not_found" | "no_changes" => 404,
        "conflicting_request"
        | "archived"
        | "not_waiting"
        | "nothing_runs"
        | "queue_changed"
        | "not_finished"
        | "no_snapshot"
        | "not_a_file"
        | "replayed" => 409,
        "void" | "link_expired" => 410,
        "length_required" => 411,
        "prompt_too_long" | "body_too_large" | "artifact_too_large" | "artifacts_full"
        | "file_too_large" => 413,
        "not_json" => 415,
        "rate_limited" | "queue_full" => 429,
        "internal" => 500,
        "github_unavailable" | "slack_unavailable" => 502,
        "busy" | "no_runner" => 503,
        _ => 400,
    }
}

/// What a part of a path looks like, by its name.
fn pattern_of(name: &str) -> &'static str {
    match name {
        "owner" => "^[A-Za-z0-9_][A-Za-z0-9._-]{0,38}$",
        "name" => "^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$",
        "session" => "^ses_[0-9a-z]{1,64}$",
        "prompt" => "^pmt_[0-9a-z]{1,64}$",
        "image" => "^img_[0-9a-z]{1,64}$",
        "artifact" => "^art_[0-9a-z]{1,64}$",
        "number" => "^[1-9][0-9]{0,8}$",
        "token" => "^tok_[0-9a-z]{1,64}$",
        "environment" => "^[a-z][a-z0-9-]{0,39}$",
        "path" => "^[^/]+(/[^/]+)*$",
        "secret" => "^[A-Z][A-Z0-9_]{0,63}$",
        _ => "^[^/]+$",
    }
}
