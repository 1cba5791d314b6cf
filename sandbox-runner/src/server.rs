//! The HTTP surface: signed commands in.
//!
//! `POST /commands` verifies the raw body before it looks at it, records the command, and only
//! then answers 202. Everything that is refused changes nothing. `GET /metrics` gives counts to
//! whoever asks: nothing in them names anybody, see [`crate::metrics`].

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use protocol::api::{ErrorBody, ErrorDetail};
use protocol::command::{Accepted, Command};
use protocol::signature::{Keys, Signature, SignatureError, Signed};
use serde_json::json;

use crate::clock;
use crate::metrics::{Gauges, METRICS};
use crate::session::Sessions;
use crate::store::{Acceptance, Store, StoreError};

/// Most bytes of a command: a prompt is far below it.
const MAX_COMMAND: usize = 1024 * 1024;

/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";

/// What the handlers share.
#[derive(Clone)]
pub struct Commands {
    pub keys: Keys,
    pub store: Arc<Store>,
    pub sessions: Sessions,
    pub capacity: u32,
    /// How many sandboxes are ready before anybody asks.
    pub warm: Arc<dyn Fn() -> usize + Send + Sync>,
}

pub fn router(commands: Commands) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/commands", post(take_command))
        .layer(DefaultBodyLimit::max(MAX_COMMAND))
        .fallback(|| async { Refusal::NoRoute })
        .method_not_allowed_fallback(|| async { Refusal::Method })
        .with_state(commands)
}

async fn health() -> impl IntoResponse {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

async fn metrics(State(commands): State<Commands>) -> Result<impl IntoResponse, Refusal> {
    let store = Arc::clone(&commands.store);
    let waiting = tokio::task::spawn_blocking(move || store.reports_waiting()).await;
    let gauges = Gauges {
        sessions: commands.sessions.sandboxes().len(),
        warm: (commands.warm)(),
        capacity: commands.capacity,
        reports_waiting: waiting
            .map_err(|_| Refusal::Cancelled)?
            .map_err(Refusal::Count)?,
    };
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], METRICS.text(gauges)))
}

async fn take_command(
    State(commands): State<Commands>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let body = body.map_err(|rejection| Refusal::Body(rejection.status()))?;
    let signature =
        Signature::from_headers(|name| headers.get(name).and_then(|value| value.to_str().ok()))?;
    let path = uri
        .path_and_query()
        .map_or_else(|| uri.path(), |path| path.as_str());
    let now = clock::now();
    let signed = Signed {
        method: method.as_str(),
        path,
        body: &body,
    };
    commands.keys.verify_request(&signature, now, signed)?;
    let command: Command = serde_json::from_slice(&body).map_err(Refusal::Malformed)?;

    let store = Arc::clone(&commands.store);
    let recorded = command.clone();
    // The disk is waited for.
    let acceptance = tokio::task::spawn_blocking(move || {
        store.accept(&signature.id, now, &recorded, commands.capacity)
    })
    .await
    .map_err(|_| Refusal::Cancelled)?
    .map_err(Refusal::Store)?;
    match acceptance {
        Acceptance::Recorded => {
            commands.sessions.recorded(command);
            Ok((StatusCode::ACCEPTED, Json(Accepted { accepted: true })))
        }
        Acceptance::Replayed => Err(Refusal::Replayed),
        Acceptance::UnknownSandbox => Err(Refusal::UnknownSandbox),
        Acceptance::Full => Err(Refusal::Full),
    }
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there is nothing at this address")]
    NoRoute,
    #[error("this address does not take this method")]
    Method,
    #[error("the body could not be read: it may be at most {MAX_COMMAND} bytes")]
    Body(StatusCode),
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("the body is not a command: {0}")]
    Malformed(serde_json::Error),
    #[error("this webhook id was used before; sign each attempt with a new one")]
    Replayed,
    #[error("the sandbox is not on this runner; start another")]
    UnknownSandbox,
    #[error("this runner holds as many sandboxes as it may; choose another or end one")]
    Full,
    #[error("the runner is shutting down; try again")]
    Cancelled,
    #[error("the runner could not record the command; try again")]
    Store(#[source] StoreError),
    #[error("the runner could not count; try again")]
    Count(#[source] StoreError),
}

impl Refusal {
    fn parts(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoRoute => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Body(status) if *status == StatusCode::PAYLOAD_TOO_LARGE => {
                (*status, "too_large")
            }
            Self::Body(_) => (StatusCode::BAD_REQUEST, "malformed"),
            Self::Signature(SignatureError::Missing) => {
                (StatusCode::UNAUTHORIZED, "missing_signature")
            }
            Self::Signature(SignatureError::Timestamp) => {
                (StatusCode::UNAUTHORIZED, "stale_timestamp")
            }
            Self::Signature(SignatureError::Mismatch) => {
                (StatusCode::UNAUTHORIZED, "bad_signature")
            }
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
            Self::Replayed => (StatusCode::CONFLICT, "replayed"),
            Self::UnknownSandbox => (StatusCode::NOT_FOUND, "unknown_sandbox"),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, "full"),
            Self::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Store(_) | Self::Count(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = self.parts();
        if let Self::Store(error) | Self::Count(error) = &self {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "the store failed a request"
            );
        }
        let error = ErrorDetail {
            code: code.to_owned(),
            message: self.to_string(),
        };
        (status, Json(ErrorBody { error })).into_response()
    }
}
