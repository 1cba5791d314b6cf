//! Forks: sessions that go on from the end of another one's prompt.

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use protocol::Millis;
use protocol::api::{ForkSession, SessionList};
use serde::Deserialize;
use worker::Env;

use super::sessions::{created, make, next_cursor, read_answer, reserve};
use super::{Caller, ask_session, read_json};
use crate::database;
use crate::error::Error;
use crate::session::request::Request as Ask;

/// `POST /api/sessions/{id}/fork`
#[worker::send]
pub async fn fork(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    let parent = caller.session(&id).await?;
    let wanted: ForkSession = read_json(body).await?;
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
    cursor: Option<i64>,
}

/// `GET /api/sessions/{id}/children`
#[worker::send]
pub async fn children(
    State(env): State<Env>,
    Path(id): Path<String>,
    Query(query): Query<ChildrenQuery>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    let session = caller.session(&id).await?;
    let cursor = query.cursor.map(Millis);
    let sessions = database::sessions::children(&caller.database, &session, cursor).await?;
    let cursor = next_cursor(&sessions);
    Ok(Json(SessionList { sessions, cursor }).into_response())
}
