//! Answers in the form that GitHub documents for errors.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::emulator::EmulatorError;
use super::git::GitError;
use super::mirror::MirrorError;

const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// A request that the forge does not grant.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Value,
    challenge: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: &str) -> Self {
        let body = json!({
            "message": message,
            "documentation_url": DOCUMENTATION,
            "status": status.as_u16().to_string(),
        });
        Self {
            status,
            body,
            challenge: false,
        }
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(super) fn bad_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Bad credentials")
    }

    pub(super) fn not_accessible() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Resource not accessible by integration",
        )
    }

    /// What GitHub can do and this forge cannot: said openly, so that nobody relies on it.
    pub(super) fn not_supported() -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "The local forge does not support this operation.",
        )
    }

    /// 422 with one entry in `errors`.
    pub(super) fn invalid(error: Value) -> Self {
        let mut refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed");
        if let Some(body) = refusal.body.as_object_mut() {
            body.insert("errors".to_owned(), json!([error]));
        }
        refusal
    }

    /// 401 that makes a git client ask for credentials.
    pub(super) fn git_challenge() -> Self {
        Self {
            challenge: true,
            ..Self::bad_credentials()
        }
    }

    fn broken(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, cause = error.source().map(tracing::field::display), "the forge could not answer");
        Self::new(StatusCode::BAD_GATEWAY, &error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, &self.body);
        if self.challenge {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"GitHub\""),
            );
        }
        response
    }
}

impl From<GitError> for Refusal {
    fn from(error: GitError) -> Self {
        Self::broken(&error)
    }
}

impl From<EmulatorError> for Refusal {
    fn from(error: EmulatorError) -> Self {
        Self::broken(&error)
    }
}

impl From<MirrorError> for Refusal {
    fn from(error: MirrorError) -> Self {
        Self::broken(&error)
    }
}

impl From<getrandom::Error> for Refusal {
    fn from(error: getrandom::Error) -> Self {
        Self::broken(&error)
    }
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    response
}

pub(super) fn text_response(content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
