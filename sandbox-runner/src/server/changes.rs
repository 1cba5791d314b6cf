//! `POST /changes`: what the prompt that runs in a sandbox has changed so far. The Worker has checked
//! who asks.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, Method, Uri};
use axum::routing::post;
use axum::{Json, Router};
use protocol::api::{Changes, LookAtChanges};
use protocol::signature::Keys;

use super::{Refusal, verified};
use crate::clock;
use crate::session::Machinery;
use crate::session::glance::{GlanceError, glance};

/// What the way to changes needs.
#[derive(Clone)]
pub struct Glances {
    pub keys: Keys,
    pub machinery: Arc<Machinery>,
}

/// To be merged with the other routes.
pub fn router(glances: Glances) -> Router {
    Router::new()
        .route("/changes", post(look))
        .with_state(glances)
}

async fn look(
    State(glances): State<Glances>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Changes>, Refusal> {
    let body = body.map_err(|rejection| Refusal::Body(rejection.status()))?;
    verified(
        &glances.keys,
        clock::now(),
        (&method, &uri, &headers),
        &body,
    )?;
    let LookAtChanges { sandbox, scope } =
        serde_json::from_slice(&body).map_err(Refusal::Malformed)?;
    match glance(&glances.machinery, &sandbox, scope).await {
        Ok(changes) => Ok(Json(changes)),
        Err(GlanceError::Unknown) => Err(Refusal::UnknownSandbox),
        Err(GlanceError::Idle) => Err(Refusal::Idle),
        Err(error) => Err(Refusal::Files(error.into())),
    }
}
