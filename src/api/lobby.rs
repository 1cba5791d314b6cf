//! The list of sessions as it changes, and what somebody has seen of it.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use worker::Env;

use super::extract::Path;
use super::{Caller, into_axum, sockets};
use crate::auth::policy::{Action, Subject};
use crate::error::Error;
use crate::platform::clock;
use crate::{database, lobby};

/// `POST /api/lobby/ws-ticket`
#[worker::send]
pub async fn ticket(caller: Caller) -> Result<Response, Error> {
    caller.may(Action::View, Subject::Deployment, "").await?;
    let (person, origin) = (caller.person.clone(), caller.public_url.clone());
    into_axum(lobby::issue_ticket(&caller.env, person, origin).await?)
}

/// `GET /api/lobby/ws`
#[worker::send]
pub async fn socket(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    sockets::upgrade(&env, &lobby::stub(&env)?, request).await
}

/// `PUT /api/sessions/{session}/seen`: the caller has seen all that happened in it up to now.
#[worker::send]
pub async fn see(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    let session = caller.session(&id, Action::View).await?;
    let user = caller.person.id;
    database::seen::note(&caller.database, user, &session, clock::now()).await?;
    lobby::seen(&caller.env, user, session).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
