//! The door in front of the emulator: it remembers every call of the app's, fails when it is told to,
//! and answers what the emulator does not know.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::seed::BOT_TOKEN;
use super::text;

/// One call of the Web API.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub at: Instant,
    pub body: Value,
    /// What it was answered with.
    pub status: u16,
    /// What it was refused with; empty if it was not.
    pub error: String,
}

#[derive(Default)]
pub(super) struct Record {
    pub(super) calls: Vec<Call>,
    /// Statuses with which the next calls of a method fail.
    pub(super) failures: BTreeMap<String, VecDeque<u16>>,
    /// Methods that are refused, and with which code.
    pub(super) refused: BTreeMap<String, &'static str>,
    /// What every call with the app's token is refused with, once that token is dead.
    pub(super) dead: Option<&'static str>,
    /// Whether the workspace has what is newer than the emulator: [`NEWER`].
    pub(super) has_agents: bool,
    /// Time stamps of messages that grow.
    streams: BTreeSet<String>,
    pub(super) files: BTreeMap<String, Kept>,
}

/// A file, which is given to whoever has the app's token.
#[derive(Debug, Clone)]
pub(super) enum Kept {
    Bytes(&'static str, Vec<u8>),
    /// It is elsewhere.
    Moved(String),
}

/// What not every workspace has.
const NEWER: &[&str] = &[
    "chat.startStream",
    "chat.appendStream",
    "chat.stopStream",
    "agents.sessions.setStatus",
    "assistant.threads.setStatus",
];

pub(super) struct Door {
    pub(super) upstream: String,
    pub(super) client: reqwest::Client,
    pub(super) record: Mutex<Record>,
}

impl Door {
    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a call is refused with, if it is.
    fn refusal(&self, method: &str, headers: &HeaderMap) -> Option<&'static str> {
        let record = self.record();
        let dead = record.dead.filter(|_| is_app(headers));
        dead.or_else(|| record.refused.get(method).copied())
    }
}

/// Passes a call of the app's on, unless it is to fail.
pub(super) async fn pass(
    State(door): State<Arc<Door>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(name) = uri.path().strip_prefix("/files/") {
        return file(&door, name, &headers);
    }
    let method = uri.path().trim_start_matches("/api/").to_owned();
    let parsed = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let failure = {
        let mut record = door.record();
        record
            .failures
            .get_mut(&method)
            .and_then(VecDeque::pop_front)
    };
    let refusal = door.refusal(&method, &headers);
    let (status, answer) = match (failure, refusal) {
        (Some(status), _) => (status, Bytes::from_static(b"not now")),
        (None, Some(code)) => {
            let answer = json!({ "ok": false, "error": code });
            (200, Bytes::from(answer.to_string()))
        }
        (None, None) => forward(&door, &uri, &headers, &method, body).await,
    };
    door.record().calls.push(Call {
        method,
        at: Instant::now(),
        body: parsed,
        status,
        error: serde_json::from_slice(&answer)
            .map(|answer: Value| text(&answer["error"]))
            .unwrap_or_default(),
    });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let json = (header::CONTENT_TYPE, "application/json");
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            (status, [(header::RETRY_AFTER, "1")], answer).into_response()
        }
        status => (status, [json], answer).into_response(),
    }
}

/// A file, for whoever has the app's token; for all others the page to sign in on.
fn file(door: &Door, name: &str, headers: &HeaderMap) -> Response {
    let mut record = door.record();
    let bearer = bearer(headers);
    let host = headers.get(header::HOST);
    record.calls.push(Call {
        method: format!("files/{name}"),
        at: Instant::now(),
        body: json!([bearer, host.and_then(|host| host.to_str().ok())]),
        status: 200,
        error: String::new(),
    });
    let is_app = is_app(headers);
    match record.files.get(name) {
        Some(Kept::Bytes(kind, bytes)) if is_app => {
            ([(header::CONTENT_TYPE, *kind)], bytes.clone()).into_response()
        }
        Some(Kept::Moved(to)) if is_app => {
            (StatusCode::FOUND, [(header::LOCATION, to.clone())]).into_response()
        }
        _ => ([(header::CONTENT_TYPE, "text/html")], "<h1>Sign in</h1>").into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?;
    value.to_str().ok()
}

fn is_app(headers: &HeaderMap) -> bool {
    bearer(headers).and_then(|value| value.strip_prefix("Bearer ")) == Some(BOT_TOKEN)
}

async fn forward(
    door: &Door,
    uri: &Uri,
    headers: &HeaderMap,
    method: &str,
    body: Bytes,
) -> (u16, Bytes) {
    // What the emulator does not know.
    if method == "chat.unfurl" {
        return (200, Bytes::from_static(br#"{"ok":true}"#));
    }
    if NEWER.contains(&method) {
        let answer = newer(door, method, &body).await;
        return (200, Bytes::from(answer.to_string()));
    }
    let mut request = door.client.post(format!("{}{uri}", door.upstream));
    for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    match request.body(body).send().await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            (status, answer.bytes().await.unwrap_or_default())
        }
        Err(_) => (502, Bytes::new()),
    }
}

/// Growing messages and sessions of agents, as a workspace that has them answers.
async fn newer(door: &Door, method: &str, body: &[u8]) -> Value {
    let refused = |code: &str| json!({ "ok": false, "error": code });
    if !door.record().has_agents {
        return refused("unknown_method");
    }
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    match method {
        "chat.startStream" => {
            let message = json!({
                "channel": body["channel"], "thread_ts": body["thread_ts"], "text": "streaming",
            });
            let request = door
                .client
                .post(format!("{}/api/chat.postMessage", door.upstream))
                .bearer_auth(BOT_TOKEN)
                .json(&message);
            let Ok(answer) = request.send().await else {
                return refused("internal_error");
            };
            let posted: Value = answer.json().await.unwrap_or(Value::Null);
            let ts = text(&posted["ts"]);
            door.record().streams.insert(ts.clone());
            json!({ "ok": true, "channel": body["channel"], "ts": ts })
        }
        "chat.appendStream" | "chat.stopStream" => {
            let ts = text(&body["ts"]);
            let mut record = door.record();
            let is_open = match method {
                "chat.stopStream" => record.streams.remove(&ts),
                _ => record.streams.contains(&ts),
            };
            match is_open {
                true => json!({ "ok": true, "channel": body["channel"], "ts": ts }),
                false => refused("message_not_in_streaming_state"),
            }
        }
        _ => json!({ "ok": true }),
    }
}
