//! `POST /changes`: what the prompt that runs in a sandbox has changed so far. The Worker has checked
//! who asks.

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::routing::post;
use axum::{Json, Router};
use protocol::api::{Changes, LookAtChanges};
use protocol::signature::Keys;

use super::Refusal;
use super::message::FromWorker;
use crate::session::Machinery;
use crate::session::glance::{GlanceError, glance};

/// What the way to changes needs.
#[derive(Clone)]
pub struct Glances {
    pub keys: Keys,
    pub machinery: Arc<Machinery>,
}

impl FromRef<Glances> for Keys {
    fn from_ref(glances: &Glances) -> Self {
        glances.keys.clone()
    }
}

/// To be merged with the other routes.
pub fn router(glances: Glances) -> Router {
    Router::new()
        .route("/changes", post(look))
        .with_state(glances)
}

async fn look(
    State(glances): State<Glances>,
    sent: FromWorker<LookAtChanges>,
) -> Result<Json<Changes>, Refusal> {
    let LookAtChanges { sandbox, scope } = sent.message;
    match glance(&glances.machinery, &sandbox, scope).await {
        Ok(changes) => Ok(Json(changes)),
        Err(GlanceError::Unknown) => Err(Refusal::UnknownSandbox),
        Err(GlanceError::Idle) => Err(Refusal::Idle),
        Err(error) => Err(Refusal::Files(error.into())),
    }
}
