//! `GET /healthz`: whether this runner can hold sandboxes, and what they do without on this machine.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::sandbox::doctor::{Machine, Unfit};

/// Beside the routes of a runner that works.
pub fn fit(machine: &Machine) -> Router {
    let health = json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "machine": machine,
    });
    router(StatusCode::OK, health)
}

/// All that is served on a machine that can have no sandboxes.
pub fn unfit(reason: &Unfit) -> Router {
    let health = json!({
        "status": "unfit",
        "version": env!("CARGO_PKG_VERSION"),
        "message": reason.to_string(),
    });
    router(StatusCode::SERVICE_UNAVAILABLE, health)
}

fn router(status: StatusCode, health: Value) -> Router {
    Router::new()
        .route("/healthz", get(tell))
        .with_state(Arc::new((status, health)))
}

async fn tell(State(health): State<Arc<(StatusCode, Value)>>) -> impl IntoResponse {
    let (status, health) = health.as_ref();
    (*status, Json(health.clone()))
}
