//! What waits in a session: put in order, given to the running prompt, resumed, cleared.

use axum::response::Response;
use protocol::PromptId;
use protocol::api::ReorderQueue;

use super::extract::{Input, Path};
use super::{Caller, ask_session};
use crate::auth::policy::Action;
use crate::error::Error;
use crate::session::machine::Act;
use crate::session::request::Request as Ask;

/// `PUT /api/sessions/{session}/queue`
#[worker::send]
pub async fn reorder(
    caller: Caller,
    Path(id): Path<String>,
    Input(ReorderQueue { order }): Input<ReorderQueue>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Prompt).await?;
    let by = caller.person.clone();
    ask_session(&caller.env, &session, &Ask::act(Act::Reorder { order }, by)).await
}

/// `POST /api/sessions/{session}/queue/resume`
#[worker::send]
pub async fn resume(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Prompt).await?;
    let by = caller.person.clone();
    ask_session(&caller.env, &session, &Ask::act(Act::ResumeQueue, by)).await
}

/// `POST /api/sessions/{session}/queue/clear`
#[worker::send]
pub async fn clear(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Prompt).await?;
    let by = caller.person.clone();
    ask_session(&caller.env, &session, &Ask::act(Act::ClearQueue, by)).await
}

/// `POST /api/sessions/{session}/prompts/{prompt}/insert`
#[worker::send]
pub async fn insert(
    caller: Caller,
    Path((id, prompt)): Path<(String, String)>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Prompt).await?;
    let prompt = PromptId::parse(&prompt).map_err(|_| Error::NotFound("prompt"))?;
    let by = caller.person.clone();
    ask_session(&caller.env, &session, &Ask::act(Act::Insert { prompt }, by)).await
}
