//! Figures of the whole deployment. They name no repository.

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::Caller;
use crate::auth::policy::{Action, Subject};
use crate::error::Error;
use crate::fleet;

/// `GET /api/statistics/pool`
#[worker::send]
pub async fn pool(caller: Caller) -> Result<Response, Error> {
    caller.may(Action::View, Subject::Deployment, "").await?;
    Ok(Json(fleet::pool_figures(&caller.env).await?).into_response())
}
