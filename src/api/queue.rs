//! What waits in a session: put in order, given to the running prompt, resumed, cleared.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use protocol::PromptId;
use protocol::api::ReorderQueue;
use worker::Env;

use super::sessions::asked;
use super::{Caller, ask_session, read_json};
use crate::error::Error;
use crate::session::request::Request as Ask;

/// `PUT /api/sessions/{id}/queue`
#[worker::send]
pub async fn reorder(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    let session = caller.session(&id).await?;
    let ReorderQueue { order } = read_json(body).await?;
    let by = caller.person.clone();
    ask_session(&caller.env, &session, &Ask::Reorder { order, by }).await
}

/// `POST /api/sessions/{id}/queue/resume`
#[worker::send]
pub async fn resume(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    asked(env, &id, &parts, |caller| Ask::ResumeQueue {
        by: caller.person.clone(),
    })
    .await
}

/// `POST /api/sessions/{id}/queue/clear`
#[worker::send]
pub async fn clear(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    asked(env, &id, &parts, |caller| Ask::ClearQueue {
        by: caller.person.clone(),
    })
    .await
}

/// `POST /api/sessions/{id}/prompts/{prompt}/insert`
#[worker::send]
pub async fn insert(
    State(env): State<Env>,
    Path((id, prompt)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let prompt = PromptId::parse(&prompt).map_err(|_| Error::NotFound("prompt"))?;
    asked(env, &id, &parts, |caller| Ask::Insert {
        prompt,
        by: caller.person.clone(),
    })
    .await
}
