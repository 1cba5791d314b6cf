//! What went wrong, and what a client sees of it: the one place that maps errors to HTTP.
//!
//! Layers below have enums of their own (`StoreError`, `Refusal`, `GithubError`…) that know
//! nothing of HTTP. What a client gets is a status, a code for programs and a sentence for people;
//! causes are logged here, once, and never sent.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::api::{ErrorBody, ErrorDetail};
use protocol::callback::Acknowledgement;
use protocol::signature::SignatureError;

use crate::artifacts::link::LinkError;
use crate::auth::policy::Denied;
use crate::database::DatabaseError;
use crate::github::GithubError;
use crate::limits::Wait;
use crate::platform::object::ObjectError;
use crate::session::machine::Refusal;
use crate::session::store::StoreError;
use crate::slack::client::SlackError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("sign in first")]
    NotSignedIn,
    #[error("this request did not come from our own pages: reload and try again")]
    CrossSite,
    #[error("{0}")]
    Denied(#[from] Denied),
    #[error("this token is void: it was revoked, has expired or was never given out")]
    BadToken,
    #[error("this account may not use this deployment: ask an administrator")]
    NotAllowed,
    #[error("too many requests: wait {} s", .0.seconds)]
    RateLimited(Wait),
    #[error("this path does not take {0}")]
    Method(String),
    #[error("bodies are JSON: send `Content-Type: application/json`")]
    NotJson,
    #[error("there is no {0} here, or you have no access to it")]
    NotFound(&'static str),
    #[error("there are no changes to show yet: they are kept at the end of each prompt")]
    NoChanges,
    #[error("{message}")]
    Invalid { code: &'static str, message: String },
    #[error("this client_request_id was used for a different request: make a new one")]
    ConflictingRequest,
    #[error("the socket ticket is void: it was used, has expired or was given to another page")]
    BadTicket,
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("{0}")]
    Signature(#[from] SignatureError),
    #[error("{0}")]
    ArtifactLink(#[from] LinkError),
    #[error("this message was received before")]
    Replayed,
    #[error("GitHub did not accept the link: sign in again")]
    LinkBroken,
    #[error("no runner is at hand: start one with `sandbox-runner` (see README)")]
    NoRunner,
    #[error("somebody else is at it")]
    Busy,
    #[error("the Worker is not set up")]
    Config(#[from] crate::config::ConfigError),
    #[error("GitHub could not be asked")]
    Github(#[from] GithubError),
    #[error("Slack could not be asked")]
    Slack(#[from] SlackError),
    #[error("a session could not be told")]
    SessionAway,
    #[error("GitHub could not be asked: try again")]
    GithubAway,
    #[error("a user's link could not be used")]
    Link(#[from] crate::user::link::LinkError),
    #[error("the tokens at hand could not be used")]
    Shelf(#[from] crate::tokens::shelf::ShelfError),
    #[error("the session's tables could not be used")]
    Store(#[from] StoreError),
    #[error("the database could not be used")]
    Database(#[from] DatabaseError),
    #[error("a secret could not be sealed")]
    Crypto(#[from] crate::platform::crypto::CryptoError),
    #[error("the platform failed")]
    Platform(#[from] worker::Error),
    #[error("an object could not be asked")]
    Object(#[source] ObjectError),
    #[error("no random bits could be had")]
    Random(#[from] getrandom::Error),
    #[error("an internal message has an unknown form")]
    Internal(#[from] serde_json::Error),
}

impl From<ObjectError> for Error {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Refused { status: 502, .. } => Self::GithubAway,
            error => Self::Object(error),
        }
    }
}

impl Error {
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            code,
            message: message.into(),
        }
    }

    /// A client claims to know more of a log than there is.
    pub fn unknown_seq(head: protocol::Seq) -> Self {
        let message = format!("this session's log ends at {head}: go on from there");
        Self::invalid("unknown_seq", message)
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotSignedIn
            | Self::LinkBroken
            | Self::BadTicket
            | Self::BadToken
            | Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::CrossSite
            | Self::Denied(_)
            | Self::NotAllowed
            | Self::ArtifactLink(LinkError::Forged) => StatusCode::FORBIDDEN,
            Self::ArtifactLink(LinkError::Expired) => StatusCode::GONE,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoRunner | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound(_) | Self::NoChanges => StatusCode::NOT_FOUND,
            Self::Invalid {
                code:
                    "body_too_large" | "prompt_too_long" | "artifact_too_large" | "artifacts_full"
                    | "file_too_large",
                ..
            } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid {
                code: "length_required",
                ..
            } => StatusCode::LENGTH_REQUIRED,
            Self::Invalid {
                code: "not_a_file", ..
            } => StatusCode::CONFLICT,
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::Refused(Refusal::Void) => StatusCode::GONE,
            Self::Refused(Refusal::QueueFull) => StatusCode::TOO_MANY_REQUESTS,
            Self::Refused(_) | Self::ConflictingRequest | Self::Replayed => StatusCode::CONFLICT,
            Self::Github(_) | Self::GithubAway | Self::Slack(_) => StatusCode::BAD_GATEWAY,
            Self::Config(_)
            | Self::SessionAway
            | Self::Link(_)
            | Self::Shelf(_)
            | Self::Store(_)
            | Self::Database(_)
            | Self::Crypto(_)
            | Self::Platform(_)
            | Self::Object(_)
            | Self::Random(_)
            | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn => "not_signed_in",
            Self::CrossSite => "cross_site",
            Self::Denied(_) => "forbidden",
            Self::BadToken => "bad_token",
            Self::NotAllowed => "not_allowed",
            Self::RateLimited(_) => "rate_limited",
            Self::Method(_) => "method_not_allowed",
            Self::NotJson => "not_json",
            Self::NotFound(_) => "not_found",
            Self::NoChanges => "no_changes",
            Self::Invalid { code, .. } => code,
            Self::ConflictingRequest => "conflicting_request",
            Self::BadTicket => "bad_ticket",
            Self::Refused(Refusal::Archived) => "archived",
            Self::Refused(Refusal::QueueFull) => "queue_full",
            Self::Refused(Refusal::NotWaiting) => "not_waiting",
            Self::Refused(Refusal::NothingRuns) => "nothing_runs",
            Self::Refused(Refusal::QueueChanged) => "queue_changed",
            Self::Refused(Refusal::NotFinished) => "not_finished",
            Self::Refused(Refusal::NoSnapshot) => "no_snapshot",
            Self::Refused(Refusal::Gap { .. }) => "gap",
            Self::Refused(Refusal::Void) => "void",
            Self::Refused(Refusal::NoRepair(_)) => "no_repair",
            Self::Signature(SignatureError::Missing) => "missing_signature",
            Self::Signature(SignatureError::Timestamp) => "stale_timestamp",
            Self::Signature(SignatureError::Mismatch) => "bad_signature",
            Self::ArtifactLink(LinkError::Expired) => "link_expired",
            Self::ArtifactLink(LinkError::Forged) => "link_invalid",
            Self::Replayed => "replayed",
            Self::LinkBroken => "link_broken",
            Self::NoRunner => "no_runner",
            Self::Busy => "busy",
            Self::Github(_) | Self::GithubAway => "github_unavailable",
            Self::Slack(_) => "slack_unavailable",
            Self::Config(_)
            | Self::SessionAway
            | Self::Link(_)
            | Self::Shelf(_)
            | Self::Store(_)
            | Self::Database(_)
            | Self::Crypto(_)
            | Self::Platform(_)
            | Self::Object(_)
            | Self::Random(_)
            | Self::Internal(_) => "internal",
        }
    }

    pub fn body(&self) -> ErrorBody {
        let message = if self.status() == StatusCode::INTERNAL_SERVER_ERROR {
            "something failed on our side: try again, and tell an operator if it stays".to_owned()
        } else {
            self.to_string()
        };
        ErrorBody {
            error: ErrorDetail {
                code: self.code().to_owned(),
                message,
            },
        }
    }

    /// Seconds after which the same request may succeed, where that is known.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited(wait) => Some(wait.seconds),
            _ => None,
        }
    }

    /// Writes the whole chain of causes to the log if it is our failure rather than the client's.
    pub fn log(&self) {
        if self.status().is_server_error() {
            let mut text = self.to_string();
            let mut cause = std::error::Error::source(self);
            while let Some(error) = cause {
                text.push_str(": ");
                text.push_str(&error.to_string());
                cause = error.source();
            }
            worker::console_error!("request failed: code={} error={text}", self.code());
        }
    }

    /// The answer of a Durable Object, which the Worker passes on as it is.
    pub fn into_worker_response(self) -> worker::Result<worker::Response> {
        self.log();
        let status = self.status().as_u16();
        let mut response = match &self {
            // The sender has to know where to go on from.
            Self::Refused(Refusal::Gap { received }) => {
                worker::Response::from_json(&Acknowledgement {
                    received: *received,
                })?
            }
            _ => worker::Response::from_json(&self.body())?,
        };
        if let Some(seconds) = self.retry_after() {
            let headers = response.headers_mut();
            headers.set(header::RETRY_AFTER.as_str(), &seconds.to_string())?;
        }
        Ok(response.with_status(status))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.log();
        let mut response = (self.status(), Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            // Browsers sign in by a page of ours, and are not asked for a password.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
