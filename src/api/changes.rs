//! What a session has changed, as it was at the end of a prompt.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use protocol::api::{Changes, ChangesScope, LookAtChanges};
use protocol::{PromptId, SessionId};
use serde::Deserialize;
use worker::Env;

use super::extract::{Path, Query};
use super::sessions::read_answer;
use super::{Caller, ask_session, into_axum};
use crate::artifacts::{Artifacts, Key};
use crate::auth::policy::Action;
use crate::config;
use crate::error::Error;
use crate::platform::http;
use crate::session::changes::{ChangesRequest, Newest};
use crate::session::files::Whereabouts;
use crate::session::request::Request as Ask;

#[derive(Deserialize)]
pub struct DiffQuery {
    prompt: Option<String>,
    #[serde(default)]
    scope: ChangesScope,
    /// Of the prompt that runs, if one does, as the files are now.
    #[serde(default)]
    live: bool,
}

/// Git looks through the whole working tree.
const DEADLINE: Duration = Duration::from_secs(60);

/// `GET /api/sessions/{session}/diff?prompt=&scope=&live=`
#[worker::send]
pub async fn diff(
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<DiffQuery>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::View).await?;
    if query.live
        && query.prompt.is_none()
        && let Some(response) = live(&caller.env, &session, query.scope).await?
    {
        return Ok(response);
    }
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

/// What the runner sees now; nothing if no prompt runs, or if it cannot be asked.
async fn live(
    env: &Env,
    session: &SessionId,
    scope: ChangesScope,
) -> Result<Option<Response>, Error> {
    let answer = ask_session(env, session, &Ask::Whereabouts).await?;
    if !answer.status().is_success() {
        return Ok(Some(answer));
    }
    let whereabouts = read_answer::<Whereabouts>(answer).await?;
    let Some((sandbox, runner)) = whereabouts.and_then(|known| known.sandbox) else {
        return Ok(None);
    };
    let wanted = LookAtChanges { sandbox, scope };
    let keys = config::runner_keys(env)?;
    match http::post_signed(&keys, &runner, "/changes", &wanted, DEADLINE).await {
        Ok(answer) if answer.status == 200 => {
            let changes: Changes = serde_json::from_slice(&answer.body)?;
            Ok(Some(Json(changes).into_response()))
        }
        Ok(answer) => {
            if answer.status >= 500 {
                let status = answer.status;
                worker::console_warn!("a runner did not tell changes: status={status}");
            }
            Ok(None)
        }
        Err(error) => {
            worker::console_warn!("a runner was not asked for changes: {error}");
            Ok(None)
        }
    }
}
