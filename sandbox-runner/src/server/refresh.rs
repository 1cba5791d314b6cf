//! `POST /refresh`: a repository's settings or secrets have changed. What they are is asked for, so
//! hints that are lost, late or repeated do no harm.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::routing::post;
use protocol::command::Refresh;
use protocol::signature::Keys;
use tokio::sync::Notify;

use super::{Refusal, verified};
use crate::clock;
use crate::gateway::Gateway;

/// What it takes to hear of changes.
#[derive(Clone)]
pub struct Refreshing {
    pub keys: Keys,
    pub gateway: Arc<Gateway>,
    /// Has the runner register at once, and so ask what its sandboxes may reach.
    pub registrations: Arc<Notify>,
}

/// To be merged with the other routes.
pub fn router(refreshing: Refreshing) -> Router {
    Router::new()
        .route("/refresh", post(refresh))
        .with_state(refreshing)
}

async fn refresh(
    State(refreshing): State<Refreshing>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let body = body.map_err(|rejection| Refusal::Body(rejection.status()))?;
    let request = (&method, &uri, &headers);
    verified(&refreshing.keys, clock::now(), request, &body)?;
    let Refresh { repository } = serde_json::from_slice(&body).map_err(Refusal::Malformed)?;
    refreshing.gateway.forget_secrets(&repository);
    refreshing.registrations.notify_one();
    Ok(StatusCode::NO_CONTENT)
}
