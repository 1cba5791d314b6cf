//! `POST /refresh`: a repository's settings or secrets have changed. What they are is asked for, so
//! hints that are lost, late or repeated do no harm.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::routing::post;
use protocol::command::Refresh;
use protocol::signature::Keys;
use tokio::sync::Notify;

use super::message::FromWorker;
use crate::gateway::Gateway;

/// What it takes to hear of changes.
#[derive(Clone)]
pub struct Refreshing {
    pub keys: Keys,
    pub gateway: Arc<Gateway>,
    /// Has the runner register at once, and so ask what its sandboxes may reach.
    pub registrations: Arc<Notify>,
}

impl FromRef<Refreshing> for Keys {
    fn from_ref(refreshing: &Refreshing) -> Self {
        refreshing.keys.clone()
    }
}

/// To be merged with the other routes.
pub fn router(refreshing: Refreshing) -> Router {
    Router::new()
        .route("/refresh", post(refresh))
        .with_state(refreshing)
}

async fn refresh(
    State(refreshing): State<Refreshing>,
    FromWorker { message, .. }: FromWorker<Refresh>,
) -> StatusCode {
    refreshing.gateway.forget_secrets(&message.repository);
    refreshing.registrations.notify_one();
    StatusCode::NO_CONTENT
}
