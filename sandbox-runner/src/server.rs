//! The HTTP surface: signed commands in.
//!
//! `POST /commands` verifies the raw body before it looks at it, records the command, and only
//! then answers 202. Everything that is refused changes nothing. `GET /metrics` gives counts to
//! whoever asks: nothing in them names anybody, see [`crate::metrics`]. `GET /terminal/{sandbox}` is
//! a WebSocket for the viewer that its signed query names.

pub mod changes;
pub mod files;
pub mod health;
mod message;
pub mod refresh;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, FromRef, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::api::{
    ErrorBody, ErrorDetail, MAX_TERMINAL_INPUT, TERMINAL_SUBPROTOCOL, TerminalExpulsion,
};
use protocol::command::{Accepted, Command};
use protocol::event::Person;
use protocol::signature::{Keys, Signature, SignatureError, Signed};
use protocol::{Millis, SandboxId};

use self::message::FromWorker;
use crate::cause;
use crate::clock;
use crate::layer::lookup::LookupError;
use crate::metrics::{Gauges, METRICS};
use crate::session::Sessions;
use crate::store::{Acceptance, Store, StoreError};
use crate::terminal::{TerminalError, Terminals};

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

impl FromRef<Commands> for Keys {
    fn from_ref(commands: &Commands) -> Self {
        commands.keys.clone()
    }
}

pub fn router(commands: Commands) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/commands", post(take_command))
        .layer(DefaultBodyLimit::max(MAX_COMMAND))
        .fallback(|| async { Refusal::NoRoute })
        .method_not_allowed_fallback(|| async { Refusal::Method })
        .with_state(commands)
}

/// What the way to terminals needs.
#[derive(Clone)]
pub struct Lookout {
    pub keys: Keys,
    pub store: Arc<Store>,
    pub terminals: Arc<Terminals>,
}

impl FromRef<Lookout> for Keys {
    fn from_ref(lookout: &Lookout) -> Self {
        lookout.keys.clone()
    }
}

/// To be merged with the other routes.
pub fn terminal_router(lookout: Lookout) -> Router {
    Router::new()
        .route("/terminal/{sandbox}", get(terminal))
        .route("/terminal/{sandbox}/expel", post(expel))
        .with_state(lookout)
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
    sent: FromWorker<Command>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let FromWorker {
        signature,
        received_at,
        message: command,
    } = sent;
    let store = Arc::clone(&commands.store);
    let recorded = command.clone();
    // The disk is waited for.
    let acceptance = tokio::task::spawn_blocking(move || {
        store.accept(&signature.id, received_at, &recorded, commands.capacity)
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

/// Lets the viewer whom the query names look at a sandbox's terminal. The runner's own peer speaks
/// here, not a page: it has checked who that is.
async fn terminal(
    State(lookout): State<Lookout>,
    Path(sandbox): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let now = clock::now();
    let signature = verified(&lookout.keys, now, (&method, &uri, &headers), b"")?;
    let viewer = viewer(uri.query().unwrap_or_default()).ok_or(Refusal::Viewer)?;
    let sandbox = SandboxId::parse(&sandbox).map_err(|_| Refusal::UnknownSandbox)?;
    let store = Arc::clone(&lookout.store);
    let fresh = tokio::task::spawn_blocking(move || store.first_sight(&signature.id, now)).await;
    if !fresh
        .map_err(|_| Refusal::Cancelled)?
        .map_err(Refusal::Store)?
    {
        return Err(Refusal::Replayed);
    }
    let shell = lookout.terminals.open(&sandbox).await?;
    let upgrade = upgrade
        .protocols([TERMINAL_SUBPROTOCOL])
        .max_message_size(2 * MAX_TERMINAL_INPUT);
    Ok(upgrade.on_upgrade(move |socket| Terminals::attend(socket, shell, viewer)))
}

/// Ends what somebody sees of a sandbox's terminal. Whoever sees nothing of it is out already.
async fn expel(
    State(lookout): State<Lookout>,
    Path(sandbox): Path<String>,
    sent: FromWorker<TerminalExpulsion>,
) -> Result<StatusCode, Refusal> {
    let sandbox = SandboxId::parse(&sandbox).map_err(|_| Refusal::UnknownSandbox)?;
    lookout.terminals.expel(&sandbox, sent.message.user);
    Ok(StatusCode::NO_CONTENT)
}

/// `viewer=` and a person, as JSON in base64.
fn viewer(query: &str) -> Option<Person> {
    let viewer = query.strip_prefix("viewer=")?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(viewer).ok()?).ok()
}

fn verified(
    keys: &Keys,
    now: Millis,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    body: &[u8],
) -> Result<Signature, SignatureError> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signature = Signature::from_headers(header)?;
    let path = uri
        .path_and_query()
        .map_or_else(|| uri.path(), |path| path.as_str());
    let signed = Signed {
        method: method.as_str(),
        path,
        body,
    };
    keys.verify_request(&signature, now, signed)?;
    Ok(signature)
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
    #[error("no prompt runs in the sandbox")]
    Idle,
    #[error("the query names no viewer")]
    Viewer,
    #[error("the sandbox has no terminal now; try again")]
    Terminal(#[source] TerminalError),
    #[error("the runner is shutting down; try again")]
    Cancelled,
    #[error("the runner could not record the command; try again")]
    Store(#[source] StoreError),
    #[error("the snapshot is neither on this runner nor in its depot")]
    UnknownSnapshot,
    #[error("{0}")]
    File(LookupError),
    #[error("the files cannot be had now; try again")]
    Files(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the runner could not count; try again")]
    Count(#[source] StoreError),
}

impl From<TerminalError> for Refusal {
    fn from(error: TerminalError) -> Self {
        match error {
            TerminalError::Unknown => Self::UnknownSandbox,
            other => Self::Terminal(other),
        }
    }
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
            Self::Malformed(_) | Self::Viewer => (StatusCode::BAD_REQUEST, "malformed"),
            Self::Terminal(_) => (StatusCode::SERVICE_UNAVAILABLE, "terminal_unavailable"),
            Self::Replayed => (StatusCode::CONFLICT, "replayed"),
            Self::UnknownSandbox => (StatusCode::NOT_FOUND, "unknown_sandbox"),
            Self::UnknownSnapshot => (StatusCode::NOT_FOUND, "unknown_snapshot"),
            Self::File(error) => files::parts(error),
            Self::Files(_) => (StatusCode::SERVICE_UNAVAILABLE, "files_unavailable"),
            Self::Idle => (StatusCode::CONFLICT, "nothing_runs"),
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
            tracing::error!(error = cause::chain(error), "the store failed a request");
        }
        if let Self::Files(error) = &self {
            let error = cause::chain(error.as_ref());
            tracing::warn!(error, "files could not be read");
        }
        if let Self::Terminal(error) = &self {
            let error = cause::chain(error);
            tracing::warn!(error, "a terminal could not be opened");
        }
        let error = ErrorDetail {
            code: code.to_owned(),
            message: self.to_string(),
        };
        (status, Json(ErrorBody { error })).into_response()
    }
}
