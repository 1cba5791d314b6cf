//! Sessions: made, listed, prompted, stopped, followed.

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::api::{
    CreatePrompt, CreateSession, CreatedSession, EditPrompt, SessionList, SessionSummary,
};
use protocol::branch::is_branch_name;
use protocol::event::{Mode, Source};
use protocol::image::Base;
use protocol::{Millis, PromptId, SessionId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use worker::Env;

use super::{Caller, ask_session, into_axum, read_json};
use crate::database::sessions::Reservation;
use crate::error::Error;
use crate::platform::{clock, random};
use crate::session::checked_prompt;
use crate::session::machine::Create;
use crate::session::request::{NewPrompt, Request as Ask, SOCKET_PATH};
use crate::{auth, config, database};

/// `POST /api/sessions`
#[worker::send]
pub async fn create(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    let wanted: CreateSession = read_json(body).await?;
    let prompt = wanted.prompt.as_deref().map(checked_prompt).transpose()?;
    let default_branch = auth::authorize_repository(
        &caller.database,
        &caller.github,
        &caller.person,
        &wanted.repository,
    )
    .await?;
    let environment = wanted.environment.as_ref();
    caller
        .authorize_environment(&wanted.repository, environment)
        .await?;
    let request_id = wanted.client_request_id.as_deref();
    let session = reserve(&caller, request_id, &serde_json::to_string(&wanted)?).await?;
    let base = Base {
        repository: wanted.repository,
        branch: checked_branch(wanted.branch.unwrap_or(default_branch))?,
        environment: wanted.environment,
    };
    let create = Create {
        session: session.clone(),
        branch: base.branch.clone(),
        repository: base.repository.clone(),
        model: match wanted.model {
            Some(model) => model,
            None => config::default_model(&caller.env)?,
        },
        environment: base.environment.clone(),
        by: caller.person.clone(),
        title: String::new(),
        parent: None,
        snapshot: None,
    };
    make(&caller, &session, create).await?;
    database::bases::used(&caller.database, &base, clock::now()).await?;
    let started = match prompt {
        Some(text) => {
            let prompt = NewPrompt {
                author: caller.person.clone(),
                text,
                source: Source::Web,
                mode: Mode::Queue,
                attachments: wanted.attachments,
                // A repetition that died between the two steps still asks once.
                client_request_id: Some("first".to_owned()),
            };
            ask_session(&caller.env, &session, &Ask::Prompt(prompt)).await?
        }
        None => ask_session(&caller.env, &session, &Ask::Warm).await?,
    };
    if !started.status().is_success() {
        return Ok(started);
    }
    Ok(created(&caller, session))
}

/// Makes the session unless it is there, and puts it into the index before anybody is told of it:
/// whoever has the identifier can open it at once.
pub(super) async fn make(
    caller: &Caller,
    session: &SessionId,
    create: Create,
) -> Result<(), Error> {
    let made = ask_session(&caller.env, session, &Ask::Create { create }).await?;
    let summary = read_answer(made).await?.ok_or(Error::NotFound("session"))?;
    Ok(database::sessions::update(&caller.database, &summary).await?)
}

pub(super) fn created(caller: &Caller, id: SessionId) -> Response {
    let url = format!("{}/sessions/{id}", caller.public_url);
    (StatusCode::CREATED, Json(CreatedSession { id, url })).into_response()
}

/// What a session's object answered; `None` if that is of another form.
pub(super) async fn read_answer<T: DeserializeOwned>(answer: Response) -> Result<Option<T>, Error> {
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
    Ok(bytes
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The session that a request of the caller's makes, now or by an earlier try.
pub(super) async fn reserve(
    caller: &Caller,
    client_request_id: Option<&str>,
    body: &str,
) -> Result<SessionId, Error> {
    let fresh = SessionId::from_random(random::bytes()?);
    let Some(id) = client_request_id else {
        return Ok(fresh);
    };
    if id.is_empty() || id.len() > 100 {
        return Err(Error::invalid(
            "malformed",
            "client_request_id is 1 to 100 characters",
        ));
    }
    let user = caller.person.id;
    match database::sessions::reserve(&caller.database, user, id, body, fresh).await? {
        Reservation::Session(session) => Ok(session),
        Reservation::Conflicting => Err(Error::ConflictingRequest),
    }
}

pub(super) fn checked_branch(branch: String) -> Result<String, Error> {
    if is_branch_name(&branch) {
        Ok(branch)
    } else {
        Err(Error::invalid("bad_branch", "that is no branch name"))
    }
}

#[derive(Deserialize)]
pub struct ListQuery {
    #[serde(default)]
    mine: Option<String>,
    cursor: Option<i64>,
}

/// `GET /api/sessions`
#[worker::send]
pub async fn list(
    State(env): State<Env>,
    Query(query): Query<ListQuery>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    let now = clock::now();
    if !database::users::has_recent_access(&caller.database, caller.person.id, now).await? {
        super::repositories::refresh(&caller).await?;
    }
    let sessions = database::sessions::list(
        &caller.database,
        caller.person.id,
        query.mine.is_some_and(|mine| mine == "true"),
        query.cursor.map(Millis),
        now,
    )
    .await?;
    let cursor = next_cursor(&sessions);
    Ok(Json(SessionList { sessions, cursor }).into_response())
}

/// Where a list goes on, if the page is full.
pub(super) fn next_cursor(sessions: &[SessionSummary]) -> Option<String> {
    let full = i64::try_from(sessions.len()).is_ok_and(|count| count == database::sessions::PAGE);
    let last = sessions.last().filter(|_| full);
    last.map(|last| last.updated_at.to_string())
}

/// Authorises, then asks the session.
pub(super) async fn asked(
    env: Env,
    id: &str,
    parts: &axum::http::request::Parts,
    ask: impl FnOnce(&Caller) -> Ask,
) -> Result<Response, Error> {
    let caller = Caller::of(env, parts).await?;
    let session = caller.session(id).await?;
    ask_session(&caller.env, &session, &ask(&caller)).await
}

/// `GET /api/sessions/{id}`
#[worker::send]
pub async fn show(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    asked(env, &id, &parts, |_| Ask::Summary).await
}

/// `DELETE /api/sessions/{id}`
#[worker::send]
pub async fn archive(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    asked(env, &id, &parts, |caller| Ask::Archive {
        by: caller.person.clone(),
    })
    .await
}

/// `POST /api/sessions/{id}/prompts`
#[worker::send]
pub async fn prompt(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    let session = caller.session(&id).await?;
    let CreatePrompt {
        text,
        mode,
        attachments,
        client_request_id,
    } = read_json(body).await?;
    let author = caller.person.clone();
    let source = Source::Api;
    let prompt = NewPrompt {
        author,
        text,
        source,
        mode,
        attachments,
        client_request_id,
    };
    ask_session(&caller.env, &session, &Ask::Prompt(prompt)).await
}

/// `PATCH /api/sessions/{id}/prompts/{prompt}`
#[worker::send]
pub async fn edit_prompt(
    State(env): State<Env>,
    Path((id, prompt)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let prompt = PromptId::parse(&prompt).map_err(|_| Error::NotFound("prompt"))?;
    let caller = Caller::of(env, &parts).await?;
    let session = caller.session(&id).await?;
    let EditPrompt { text } = read_json(body).await?;
    let by = caller.person.clone();
    ask_session(&caller.env, &session, &Ask::Edit { prompt, text, by }).await
}

/// `DELETE /api/sessions/{id}/prompts/{prompt}`
#[worker::send]
pub async fn cancel_prompt(
    State(env): State<Env>,
    Path((id, prompt)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let prompt = PromptId::parse(&prompt).map_err(|_| Error::NotFound("prompt"))?;
    asked(env, &id, &parts, |caller| Ask::Cancel {
        prompt,
        by: caller.person.clone(),
    })
    .await
}

/// `POST /api/sessions/{id}/stop`
#[worker::send]
pub async fn stop(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    asked(env, &id, &parts, |caller| Ask::Stop {
        by: caller.person.clone(),
    })
    .await
}

/// `GET /api/sessions/{id}/waterfall`
#[worker::send]
pub async fn waterfall(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    asked(env, &id, &parts, |_| Ask::Waterfall).await
}

/// `GET /api/sessions/{id}/contacts`
#[worker::send]
pub async fn contacts(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    asked(env, &id, &parts, |_| Ask::Contacts).await
}

/// `POST /api/sessions/{id}/ws-ticket`
#[worker::send]
pub async fn ticket(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    asked(env, &id, &parts, |caller| Ask::IssueTicket {
        person: caller.person.clone(),
        origin: caller.public_url.clone(),
    })
    .await
}

/// `GET /api/sessions/{id}/ws`: the ticket says who it is, so there is no cookie to misuse.
#[worker::send]
pub async fn socket(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let session = SessionId::parse(&id).map_err(|_| Error::NotFound("session"))?;
    let given = |name: header::HeaderName| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    if !given(header::UPGRADE).eq_ignore_ascii_case("websocket") {
        let message = "this is a WebSocket: connect with `new WebSocket` and a ticket";
        return Err(Error::invalid("not_a_websocket", message));
    }
    if given(header::ORIGIN) != config::public_url(&env)? {
        return Err(Error::CrossSite);
    }
    let mut init = worker::RequestInit::new();
    let headers = worker::Headers::new();
    for name in [
        header::UPGRADE,
        header::ORIGIN,
        header::SEC_WEBSOCKET_PROTOCOL,
    ] {
        headers.set(name.as_str(), given(name.clone()))?;
    }
    init.with_headers(headers);
    let url = format!("https://object{SOCKET_PATH}");
    let stub = env
        .durable_object("SESSION")?
        .get_by_name(session.as_str())?;
    into_axum(
        stub.fetch_with_request(worker::Request::new_with_init(&url, &init)?)
            .await?,
    )
}
