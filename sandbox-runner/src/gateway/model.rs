//! Requests to model providers: counted, paid from the session's budget, and streamed.
//!
//! A provider is one host, and a request must not make it a way to others: see [`asked`].

mod asked;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use self::asked::{Form, Refusal};
use super::billing::Price;
use super::forward::{
    allow_contact, content_length, discard, fail_contact, json_answer, named, refuse, stream,
};
use super::ledger::{ContactKind, Ledger};
use super::usage::Usage;
use super::{Access, Caller, Provider};

/// Longest request: a long conversation with images.
const LONGEST_REQUEST: usize = 32 * 1024 * 1024;

/// Requests of one sandbox at a time. What is under way is not spent yet, so this bounds how far a
/// session can exceed its budget.
pub(super) const MOST_REQUESTS: usize = 16;

/// Kilobytes of one sandbox's requests at a time.
pub(super) const MEMORY: u32 = 64 * 1024;

/// Features that a request switches on.
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// What a provider needs to know of a request besides its body.
const REQUEST_HEADERS: [HeaderName; 5] = [
    ACCEPT,
    USER_AGENT,
    HeaderName::from_static("anthropic-version"),
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
            let reason = "there is no such model provider";
            caller.ledger.denied(ContactKind::Model, "", reason);
            return refuse(
                StatusCode::NOT_FOUND,
                "not_found",
                "There is no such model provider.",
            );
        }
    };
    let refused = if allowed {
        match caller.policy.access {
            Access::Image => Some("No model is asked while an image is built."),
            Access::Pool => Some("No model is asked before there is a session."),
            Access::Session { .. } => None,
        }
    } else {
        Some("The gateway does not offer this of the provider.")
    };
    if let Some(message) = refused {
        deny(caller, provider, message);
        return dialect.error(StatusCode::FORBIDDEN, "permission_error", message);
    }
    let call = Call {
        dialect,
        name,
        provider,
        path,
    };
    forward(caller, &call, request).await
}

struct Call<'a> {
    dialect: Dialect,
    /// Of the provider, in prices.
    name: &'a str,
    provider: &'a Provider,
    path: &'a str,
}

async fn forward(caller: &Caller, call: &Call<'_>, request: Request) -> Response {
    let Call {
        dialect,
        name,
        provider,
        path,
    } = *call;
    let host = &provider.place.host;
    let Some(credential) = provider
        .key
        .as_deref()
        .and_then(|key| dialect.credential(key))
    else {
        let message = format!(
            "The runner has no key for this provider: set {}.",
            dialect.variable()
        );
        deny(caller, provider, &message);
        return dialect.error(StatusCode::UNAUTHORIZED, "authentication_error", &message);
    };
    let (parts, body) = request.into_parts();
    // Neither is ever closed. Bodies are held in memory, so few of them wait at a time.
    let room = Arc::clone(&caller.model_room).acquire_owned().await.ok();
    let length = content_length(&parts.headers).unwrap_or(LONGEST_REQUEST as u64);
    let weight = u32::try_from(length / 1024 + 1).unwrap_or(u32::MAX);
    let memory = caller.model_memory.acquire_many(weight.min(MEMORY)).await;
    let Some(body) = whole(body).await else {
        let message = "The request is longer than 32 MB or was cut off.";
        deny(caller, provider, message);
        return dialect.error(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message);
    };
    let sent = body.len() as u64;
    let mut meter = None;
    if parts.method == Method::POST {
        let form = match path {
            "messages" => Form::Anthropic,
            _ => Form::Openai,
        };
        let asked = asked::read(&body, form);
        let price = caller.billing.price(name, &asked.model);
        let spent = caller
            .policy
            .spent_microdollars
            .saturating_add(caller.ledger.spent_microdollars());
        if let Some(message) = caller.billing.refusal(price, spent) {
            deny(caller, provider, &message);
            caller.ledger.exhaust(&message);
            return dialect.error(StatusCode::PAYMENT_REQUIRED, "billing_error", &message);
        }
        if let Some(refusal) = asked.refusal {
            let message = refusal.to_string();
            deny(caller, provider, &message);
            let (status, kind) = match refusal {
                Refusal::Malformed => (StatusCode::BAD_REQUEST, "invalid_request_error"),
                _ => (StatusCode::FORBIDDEN, "permission_error"),
            };
            return dialect.error(status, kind, &message);
        }
        meter = Some(Meter {
            ledger: Arc::clone(&caller.ledger),
            host: host.clone(),
            price,
            usage: None,
            _room: room,
        });
    }
    let url = provider.place.url(path, parts.uri.query());
    let mut headers = request_headers(&parts.headers);
    headers.insert(credential.0, credential.1);
    let request = provider
        .place
        .client
        .request(parts.method, url)
        .headers(headers)
        .body(body);
    let sending = request.send().await;
    drop(memory);
    match sending {
        Ok(answer) => {
            let ledger = Arc::clone(&caller.ledger);
            allow_contact(&ledger, ContactKind::Model, host, path, answer.status());
            ledger.bytes(ContactKind::Model, host, sent, 0);
            if let Some(meter) = meter.as_mut().filter(|_| answer.status().is_success()) {
                meter.usage = Some(Usage::new(sent, is_stream(&answer)));
            }
            let host = host.clone();
            stream(answer, move |bytes| {
                ledger.bytes(ContactKind::Model, &host, 0, bytes.len() as u64);
                if let Some(usage) = meter.as_mut().and_then(|meter| meter.usage.as_mut()) {
                    usage.read(bytes);
                }
            })
        }
        Err(error) => {
            fail_contact(
                &caller.ledger,
                ContactKind::Model,
                host,
                &error.without_url(),
            );
            let message = "The model provider could not be reached.";
            dialect.error(StatusCode::BAD_GATEWAY, "api_error", message)
        }
    }
}

fn request_headers(sent: &HeaderMap) -> HeaderMap {
    let mut headers = named(sent, &REQUEST_HEADERS);
    // The body was read as this: by another type or character set it could say something else.
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let features = sent.get_all(BETA).into_iter();
    let features = asked::betas(features.filter_map(|value| value.to_str().ok()));
    if let Some(value) = features.and_then(|features| HeaderValue::try_from(features).ok()) {
        headers.insert(BETA, value);
    }
    headers
}

/// One call under way. It is accounted for when its answer has ended, or was given up.
struct Meter {
    ledger: Arc<Ledger>,
    host: String,
    price: Option<Price>,
    /// Absent for a call that the provider refused.
    usage: Option<Usage>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(usage) = self.usage.take() {
            let tokens = usage.tokens();
            let cost = self.price.map(|price| price.cost(tokens));
            self.ledger.used(&self.host, tokens, cost);
        }
    }
}

fn is_stream(answer: &reqwest::Response) -> bool {
    answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

fn deny(caller: &Caller, provider: &Provider, reason: &str) {
    caller
        .ledger
        .denied(ContactKind::Model, &provider.place.host, reason);
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
