//! Forks: sessions that go on from the end of another one's prompt.

use axum::Json;
use axum::response::{IntoResponse, Response};
use protocol::Millis;
use protocol::api::{ForkSession, SessionList};
use serde::Deserialize;

use super::extract::{Count, Input, Path, Query};
use super::sessions::{created, make, next_cursor, read_answer, reserve};
use super::{Caller, ask_session};
use crate::auth::policy::Action;
use crate::database;
use crate::error::Error;
use crate::session::request::Request as Ask;

/// `POST /api/sessions/{session}/fork`
#[worker::send]
pub async fn fork(
    caller: Caller,
    Path(id): Path<String>,
    Input(wanted): Input<ForkSession>,
) -> Result<Response, Error> {
    let parent = caller.session(&id, Action::Prompt).await?;
    let request_id = wanted.client_request_id.as_deref();
    let body = format!("fork {parent} {}", serde_json::to_string(&wanted)?);
    let session = reserve(&caller, request_id, &body).await?;
    let ask = Ask::Fork {
        prompt: wanted.prompt,
        session: session.clone(),
        by: caller.person.clone(),
    };
    let answer = ask_session(&caller.env, &parent, &ask).await?;
    if !answer.status().is_success() {
        return Ok(answer);
    }
    let create = read_answer(answer)
        .await?
        .ok_or(Error::NotFound("session"))?;
    make(&caller, &session, create).await?;
    let told = Ask::Forked {
        session: session.clone(),
        by: caller.person.clone(),
    };
    // Each step is repeated by a repetition of the request, which then finds it done.
    for (session, ask) in [(&parent, told), (&session, Ask::Warm)] {
        let answer = ask_session(&caller.env, session, &ask).await?;
        if !answer.status().is_success() {
            return Ok(answer);
        }
    }
    Ok(created(&caller, session))
}

#[derive(Deserialize)]
pub struct ChildrenQuery {
    cursor: Option<Count>,
}

/// `GET /api/sessions/{session}/children`
#[worker::send]
pub async fn children(
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ChildrenQuery>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::View).await?;
    let cursor = query.cursor.map(|cursor| Millis(cursor.into()));
    let user = caller.person.id;
    let children = database::session_list::children(&caller.database, user, &session, cursor);
    let sessions = children.await?;
    let cursor = next_cursor(&sessions);
    Ok(Json(SessionList { sessions, cursor }).into_response())
}
