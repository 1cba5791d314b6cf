//! What the plugin in a sandbox asks about its workspace, and what it tells.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /workspace/sync?seen=<tag>` | how far the sync is; held while that is unknown or has the tag |
//! | `POST /workspace/waits` `{ms, tool, path, cause}` | a write has waited |
//! | `POST /workspace/wrote` | a tool has written; held until that is kept, see [`Writes`] |
//! | `POST /workspace/pull-request` `{branch?, title?, body?, draft?}` | how the agent wants it to be |
//! | `POST /workspace/update` `{text}` | how the work goes, for people |
//! | `POST /workspace/share` `{path, caption}` | a file for the session; answered when it is taken |
//! | `GET /workspace/variables` | secrets that the repository wants in its sandboxes, by name |
//!
//! Any program in the sandbox can ask and tell this. So nothing of it is more than a hint, and a
//! flood of it costs nothing: a request is short, waits are counted, any number of writes is kept at once.

mod gate;
mod writes;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use protocol::branch::is_branch_name;

pub use self::gate::{Gate, Wait, WaitCause, Wish};
pub use self::writes::Writes;
use super::forward::{json_answer, refuse};
use super::secrets::Vault;
use crate::cause;

/// Longest body that is read.
const LONGEST_BODY: usize = 16 << 10;
/// A body of a pull request is text for people.
const LONGEST_WISH: usize = 64 << 10;
/// Most characters of an update.
const LONGEST_UPDATE: usize = 2000;

/// `path` is what follows `/workspace/`.
pub(super) async fn answer(gate: &Gate, path: &str, request: Request) -> Response {
    match (request.method(), path) {
        (&Method::GET, "sync") => {
            let query = request.uri().query().unwrap_or_default();
            let seen = query.strip_prefix("seen=").unwrap_or_default();
            match serde_json::to_value(gate.told(seen).await) {
                Ok(told) => json_answer(StatusCode::OK, &told),
                Err(error) => refuse(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    &error.to_string(),
                ),
            }
        }
        (&Method::POST, "waits") => {
            let body = to_bytes(request.into_body(), LONGEST_BODY).await;
            let wait = body
                .ok()
                .and_then(|body| serde_json::from_slice(&body).ok());
            match wait.map(|wait| gate.put(wait)) {
                Some(true) => StatusCode::NO_CONTENT.into_response(),
                Some(false) => json_answer(StatusCode::TOO_MANY_REQUESTS, &json!({})),
                None => refuse(
                    StatusCode::BAD_REQUEST,
                    "malformed",
                    "A wait is {ms, tool, path, cause}.",
                ),
            }
        }
        (&Method::POST, "pull-request") => {
            let body = to_bytes(request.into_body(), LONGEST_WISH).await;
            let wish: Option<Wish> = body
                .ok()
                .and_then(|body| serde_json::from_slice(&body).ok())
                .filter(|wish: &Wish| wish.branch.as_deref().is_none_or(is_branch_name));
            match wish.map(|wish| gate.wish(wish)) {
                Some(true) => StatusCode::ACCEPTED.into_response(),
                Some(false) => json_answer(StatusCode::TOO_MANY_REQUESTS, &json!({})),
                None => refuse(
                    StatusCode::BAD_REQUEST,
                    "malformed",
                    "A wish is {branch?, title?, body?, draft?}.",
                ),
            }
        }
        (&Method::POST, "update") => {
            let body = to_bytes(request.into_body(), LONGEST_BODY).await;
            let text = body.ok().and_then(|body| update_of(&body));
            match text.map(|text| gate.update(text)) {
                Some(true) => StatusCode::ACCEPTED.into_response(),
                Some(false) => json_answer(StatusCode::TOO_MANY_REQUESTS, &json!({})),
                None => refuse(
                    StatusCode::BAD_REQUEST,
                    "malformed",
                    "An update is {text}, of at most 2000 characters.",
                ),
            }
        }
        (&Method::POST, "share") => gate.offers().answer(request).await,
        (&Method::POST, "wrote") => {
            let kept = gate.writes().told().await;
            json_answer(StatusCode::OK, &json!({ "kept": kept }))
        }
        _ => refuse(
            StatusCode::NOT_FOUND,
            "not_found",
            "The gateway has nothing at this path.",
        ),
    }
}

/// An update, without what cannot be shown.
fn update_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Update {
        text: String,
    }
    let Update { text } = serde_json::from_slice(body).ok()?;
    let is_shown = |character: &char| *character == '\n' || !character.is_control();
    let text: String = text.chars().filter(is_shown).collect();
    let text = text.trim();
    (!text.is_empty() && text.chars().count() <= LONGEST_UPDATE).then(|| text.to_owned())
}

/// Whoever asks is a program in the sandbox, for which these are.
pub(super) async fn variables(vault: &Vault) -> Response {
    match vault.variables().await {
        Ok(variables) => json_answer(StatusCode::OK, &json!(variables)),
        Err(error) => {
            let error = cause::chain(&*error);
            tracing::warn!(error, "a repository's secrets cannot be had");
            let message = "The secrets of this repository cannot be had at the moment.";
            refuse(StatusCode::BAD_GATEWAY, "secrets_unavailable", message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_text_of_bounded_length() {
        let of = |text: &str| update_of(json!({ "text": text }).to_string().as_bytes());
        assert_eq!(of(" a\u{7}\nb ").as_deref(), Some("a\nb"));
        assert!(of(&"é".repeat(LONGEST_UPDATE)).is_some());
        assert_eq!(of(&"é".repeat(LONGEST_UPDATE + 1)), None);
        assert_eq!(of(" \u{1b} "), None);
        assert_eq!(update_of(b"{}"), None);
    }
}
