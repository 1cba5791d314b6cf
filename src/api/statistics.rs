//! Figures of the whole deployment. They name no repository.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use worker::Env;

use super::Caller;
use crate::error::Error;
use crate::fleet;

/// `GET /api/statistics/pool`
#[worker::send]
pub async fn pool(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    Ok(Json(fleet::pool_figures(&caller.env).await?).into_response())
}
