//! What a session can be started with.

use axum::Json;
use axum::response::{IntoResponse, Response};
use protocol::api::ModelList;

use super::Caller;
use crate::auth::policy::{Action, Subject};
use crate::config;
use crate::error::Error;

/// `GET /api/models`
#[worker::send]
pub async fn list(caller: Caller) -> Result<Response, Error> {
    caller.may(Action::View, Subject::Deployment, "").await?;
    let models = config::models(&caller.env)?;
    Ok(Json(ModelList { models }).into_response())
}
