//! Requests to model providers.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, StatusCode};
use serde_json::json;

use super::forward::{
    allow_contact, discard, fail_contact, json_answer, named, refuse, refuse_contact, stream,
};
use super::{Caller, Provider};

/// Longest request: a long conversation with images.
const LONGEST_REQUEST: usize = 32 * 1024 * 1024;

/// What a provider needs to know of a request besides its body.
const REQUEST_HEADERS: [HeaderName; 7] = [
    ACCEPT,
    CONTENT_TYPE,
    USER_AGENT,
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    // Providers keep a conversation on the machine that has it cached.
    HeaderName::from_static("x-session-id"),
    HeaderName::from_static("x-session-affinity"),
];

/// Two tokens, so that the agent goes through all that it does with a stream.
const WARM_UP: &str = concat!(
    r#"data: {"id":"w","object":"chat.completion.chunk","created":0,"model":"warmup","choices":[{"index":0,"delta":{"role":"assistant","content":"warm"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"w","object":"chat.completion.chunk","created":0,"model":"warmup","choices":[{"index":0,"delta":{"content":"."},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"w","object":"chat.completion.chunk","created":0,"model":"warmup","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
    "\n\n",
    "data: [DONE]\n\n",
);

/// The shape in which a provider's clients expect errors.
#[derive(Clone, Copy)]
enum Dialect {
    Anthropic,
    Openai,
}

/// `path` is what follows `/llm/`.
pub(super) async fn answer(caller: &Caller, path: &str, request: Request) -> Response {
    let (name, path) = path.split_once("/v1/").unwrap_or((path, ""));
    let allowed = match *request.method() {
        Method::POST => matches!(path, "chat/completions" | "messages" | "responses"),
        Method::GET => path == "models",
        _ => false,
    };
    let (dialect, provider) = match name {
        "anthropic" => (Dialect::Anthropic, &caller.outside.anthropic),
        "openai" => (Dialect::Openai, &caller.outside.openai),
        "warmup" if allowed => {
            let headers = [(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))];
            return (headers, WARM_UP).into_response();
        }
        _ => {
            refuse_contact(&caller.contacts, "");
            return refuse(
                StatusCode::NOT_FOUND,
                "not_found",
                "There is no such model provider.",
            );
        }
    };
    if !allowed {
        refuse_contact(&caller.contacts, &provider.place.host);
        let message = "The gateway does not offer this of the provider.";
        return dialect.error(StatusCode::FORBIDDEN, "permission_error", message);
    }
    forward(caller, dialect, provider, path, request).await
}

async fn forward(
    caller: &Caller,
    dialect: Dialect,
    provider: &Provider,
    path: &str,
    request: Request,
) -> Response {
    let host = &provider.place.host;
    let Some(credential) = provider
        .key
        .as_deref()
        .and_then(|key| dialect.credential(key))
    else {
        refuse_contact(&caller.contacts, host);
        let message = format!(
            "The runner has no key for this provider: set {}.",
            dialect.variable()
        );
        return dialect.error(StatusCode::UNAUTHORIZED, "authentication_error", &message);
    };
    let (parts, body) = request.into_parts();
    let Some(body) = whole(body).await else {
        refuse_contact(&caller.contacts, host);
        let message = "The request is longer than 32 MB or was cut off.";
        return dialect.error(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message);
    };
    let sent = body.len() as u64;
    let url = provider.place.url(path, parts.uri.query());
    let mut headers = named(&parts.headers, &REQUEST_HEADERS);
    headers.insert(credential.0, credential.1);
    let request = provider
        .place
        .client
        .request(parts.method, url)
        .headers(headers)
        .body(body);
    match request.send().await {
        Ok(answer) => {
            allow_contact(&caller.contacts, host, path, answer.status());
            caller.contacts.bytes(host, sent);
            stream(Arc::clone(&caller.contacts), host.clone(), answer)
        }
        Err(error) => {
            fail_contact(&caller.contacts, host, &error.without_url());
            let message = "The model provider could not be reached.";
            dialect.error(StatusCode::BAD_GATEWAY, "api_error", message)
        }
    }
}

/// The body, unless it is too long or was cut off.
async fn whole(body: Body) -> Option<Vec<u8>> {
    let mut pieces = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        whole.extend_from_slice(&piece.ok()?);
        if whole.len() > LONGEST_REQUEST {
            discard(&mut pieces).await;
            return None;
        }
    }
    Some(whole)
}

impl Dialect {
    fn credential(self, key: &str) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match self {
            Self::Anthropic => (HeaderName::from_static("x-api-key"), key.to_owned()),
            Self::Openai => (AUTHORIZATION, format!("Bearer {key}")),
        };
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Anthropic => "ANTHROPIC_API_KEY",
            Self::Openai => "OPENAI_API_KEY",
        }
    }

    fn error(self, status: StatusCode, kind: &str, message: &str) -> Response {
        let detail = json!({ "type": kind, "message": message });
        let body = match self {
            Self::Anthropic => json!({ "type": "error", "error": detail }),
            Self::Openai => json!({ "error": detail }),
        };
        json_answer(status, &body)
    }
}
