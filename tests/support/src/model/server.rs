//! The two endpoints, and the stream of an answer.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::anthropic;
use super::conversation::Conversation;
use super::hall::Hall;
use super::openai;
use super::pace::Pace;
use super::prose::tokens;
use super::script::{Ending, Turn};

const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// Which protocol a request speaks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dialect {
    OpenAi,
    Anthropic,
}

pub(super) fn router(hall: Arc<Hall>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/messages", post(messages))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(hall)
}

async fn chat_completions(
    State(hall): State<Arc<Hall>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&hall, Dialect::OpenAi, &uri, &headers, &body)
}

async fn messages(
    State(hall): State<Arc<Hall>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&hall, Dialect::Anthropic, &uri, &headers, &body)
}

fn answer(hall: &Hall, dialect: Dialect, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
    let parsed = serde_json::from_slice::<Value>(body).ok();
    let request = parsed.clone().unwrap_or(Value::Null);
    let (status, turn, conversation) = if !hall.is_authorised(dialect, headers) {
        (StatusCode::UNAUTHORIZED, Turn::default(), None)
    } else if !request.get("messages").is_some_and(Value::is_array) {
        (StatusCode::BAD_REQUEST, Turn::default(), None)
    } else {
        let conversation = match dialect {
            Dialect::OpenAi => Conversation::from_openai(&request),
            Dialect::Anthropic => Conversation::from_anthropic(&request),
        };
        let turn = hall.turn(&conversation, &request);
        let status = turn.status();
        (status, turn, Some(conversation))
    };
    hall.record(uri, headers, request.clone(), status);
    match conversation {
        Some(conversation) if status.is_success() => {
            let streamed = request.get("stream").and_then(Value::as_bool) == Some(true);
            play(dialect, conversation, turn, &request, streamed)
        }
        _ => error(dialect, status),
    }
}

fn play(
    dialect: Dialect,
    conversation: Conversation,
    turn: Turn,
    request: &Value,
    streamed: bool,
) -> Response {
    if !streamed {
        let body = match dialect {
            Dialect::OpenAi => openai::whole(&conversation, &turn),
            Dialect::Anthropic => anthropic::whole(&conversation, &turn),
        };
        return json_response(StatusCode::OK, &body);
    }
    let (sender, receiver) = mpsc::channel(1);
    let usage = request
        .pointer("/stream_options/include_usage")
        .and_then(Value::as_bool);
    tokio::spawn(async move {
        // An error only says that the client went away.
        let _ = match dialect {
            Dialect::OpenAi => {
                openai::stream(&sender, &conversation, &turn, usage == Some(true)).await
            }
            Dialect::Anthropic => anthropic::stream(&sender, &conversation, &turn).await,
        };
    });
    let chunks = stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async {
        let chunk = receiver.recv().await?;
        Some((Ok::<_, Infallible>(chunk), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::from_stream(chunks)).into_response()
}

/// The client went away.
#[derive(Debug)]
pub(super) struct Gone;

pub(super) type Frames = mpsc::Sender<Bytes>;

pub(super) async fn send(frames: &Frames, frame: String) -> Result<(), Gone> {
    frames.send(Bytes::from(frame)).await.map_err(|_| Gone)
}

/// Says the text of a turn, token by token, each in a frame of its own; silence ends only with
/// the client.
pub(super) async fn speak(
    frames: &Frames,
    turn: &Turn,
    frame: impl Fn(&str) -> String,
) -> Result<(), Gone> {
    let mut pace = Pace::new(turn.delay, turn.rate);
    for token in tokens(&turn.text) {
        pace.next().await;
        send(frames, frame(token)).await?;
    }
    if turn.text.is_empty() {
        pace.next().await;
    }
    if turn.ending == Ending::Silence {
        frames.closed().await;
        return Err(Gone);
    }
    Ok(())
}

/// Unlike for any other call in the conversation.
pub(super) fn call_id(prefix: &str, conversation: &Conversation, index: usize) -> String {
    format!("{prefix}_{}_{index}", conversation.answers())
}

/// About what a real model would count.
pub(super) fn prompt_tokens(conversation: &Conversation) -> usize {
    (conversation.system.len() + conversation.prompt().len()) / 5 + 1
}

pub(super) fn answer_tokens(turn: &Turn) -> usize {
    let calls = turn.tool_calls.iter();
    let calls = calls.map(|call| tokens(&call.arguments.to_string()).count());
    tokens(&turn.text).count() + calls.sum::<usize>()
}

fn error(dialect: Dialect, status: StatusCode) -> Response {
    let kind = match status.as_u16() {
        400 => "invalid_request_error",
        401 => "authentication_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    let message = status.canonical_reason().unwrap_or("Overloaded");
    let body = match dialect {
        Dialect::OpenAi => {
            json!({"error": {"message": message, "type": kind, "param": null, "code": null}})
        }
        Dialect::Anthropic => json!({"type": "error", "error": {"type": kind, "message": message}}),
    };
    json_response(status, &body)
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, body.to_string()).into_response()
}
