//! What a session has changed, as it was at the end of a prompt.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use protocol::PromptId;
use protocol::api::ChangesScope;
use serde::Deserialize;

use super::extract::{Path, Query};
use super::sessions::read_answer;
use super::{Caller, ask_session, into_axum};
use crate::artifacts::{Artifacts, Key};
use crate::auth::policy::Action;
use crate::error::Error;
use crate::session::changes::{ChangesRequest, Newest};
use crate::session::request::Request as Ask;

#[derive(Deserialize)]
pub struct DiffQuery {
    prompt: Option<String>,
    #[serde(default)]
    scope: ChangesScope,
}

/// `GET /api/sessions/{session}/diff?prompt=&scope=`
#[worker::send]
pub async fn diff(
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<DiffQuery>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::View).await?;
    let prompt = match query.prompt.as_deref() {
        Some(prompt) => PromptId::parse(prompt).map_err(|_| Error::NotFound("prompt"))?,
        None => {
            let ask = Ask::Changes(ChangesRequest::Newest);
            let answer = ask_session(&caller.env, &session, &ask).await?;
            if !answer.status().is_success() {
                return Ok(answer);
            }
            let newest = read_answer::<Newest>(answer).await?;
            let newest = newest.and_then(|newest| newest.prompt);
            newest.ok_or(Error::NoChanges)?
        }
    };
    let key = Key::of_changes(&session, &prompt, query.scope);
    let object = Artifacts::new(&caller.env)?.get(&key, None).await?;
    let object = object.ok_or(Error::NoChanges)?;
    let body = object.body().ok_or(Error::NoChanges)?.response_body()?;
    let mut response = into_axum(worker::Response::from_body(body)?)?;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}
