//! Sessions: made, listed, named, prompted, stopped, followed.

mod filter;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::api::{
    CreatePrompt, CreateSession, CreatedSession, Deed, EditPrompt, MAX_TITLE, RenameSession,
    SessionList, SessionSummary,
};
use protocol::branch::is_branch_name;
use protocol::command::Model;
use protocol::event::Mode;
use protocol::image::Base;
use protocol::{PromptId, SessionId};
use serde::de::DeserializeOwned;
use worker::Env;

use self::filter::ListQuery;
use super::artifacts::{adopt_uploads, check_uploads};
use super::extract::{Input, Path, Query};
use super::{Caller, ask_session, sockets};
use crate::auth::policy::{Action, Subject};
use crate::auth::reach;
use crate::database::session_list::Filter;
use crate::database::sessions::Reservation;
use crate::error::Error;
use crate::platform::{clock, random};
use crate::session::checked_prompt;
use crate::session::machine::{Act, Create};
use crate::session::request::{NewPrompt, Request as Ask};
use crate::tickets::Bearer;
use crate::{config, database};

/// `POST /api/sessions`
#[worker::send]
pub async fn create(
    caller: Caller,
    Input(wanted): Input<CreateSession>,
) -> Result<Response, Error> {
    let prompt = wanted.prompt.as_deref().map(checked_prompt).transpose()?;
    let model = chosen_model(&caller, wanted.model.as_ref())?;
    check_uploads(&caller, &wanted.attachments).await?;
    let default_branch = caller.reach(&wanted.repository, Action::Prompt).await?;
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
        model,
        environment: base.environment.clone(),
        by: caller.person.clone(),
        title: String::new(),
        parent: None,
        snapshot: None,
    };
    make(&caller, &session, create).await?;
    database::bases::used(&caller.database, &base, clock::now()).await?;
    adopt_uploads(&caller, &session, &wanted.attachments).await?;
    let started = match prompt {
        Some(text) => {
            let prompt = NewPrompt {
                author: caller.person.clone(),
                text,
                source: caller.source(),
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

/// The model that was asked for, if it is one of those to choose from; else the default.
fn chosen_model(caller: &Caller, wanted: Option<&Model>) -> Result<Model, Error> {
    let Some(wanted) = wanted else {
        return Ok(config::default_model(&caller.env)?);
    };
    let models = config::models(&caller.env)?;
    match models.iter().find(|choice| choice.model == *wanted) {
        Some(choice) => Ok(choice.model.clone()),
        None => Err(Error::invalid(
            "unknown_model",
            "this deployment does not offer that model: choose one of `GET /api/models`",
        )),
    }
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

/// `GET /api/sessions`
#[worker::send]
pub async fn list(caller: Caller, Query(query): Query<ListQuery>) -> Result<Response, Error> {
    caller.may(Action::View, Subject::Deployment, "").await?;
    let (database, user) = (&caller.database, caller.person.id);
    let filter = Filter::try_from(query)?;
    reach::refresh(database, &caller.github, user).await?;
    let sessions = database::session_list::list(database, user, &filter, clock::now()).await?;
    let cursor = next_cursor(&sessions);
    Ok(Json(SessionList { sessions, cursor }).into_response())
}

/// Where a list goes on, if the page is full.
pub(super) fn next_cursor(sessions: &[SessionSummary]) -> Option<String> {
    let full = i64::try_from(sessions.len()).is_ok_and(|count| count == database::sessions::PAGE);
    let last = sessions.last().filter(|_| full);
    last.map(|last| last.updated_at.to_string())
}

/// `GET /api/sessions/{session}`
#[worker::send]
pub async fn show(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    let session = caller.session(&id, Action::View).await?;
    ask_session(&caller.env, &session, &Ask::Summary).await
}

/// `DELETE /api/sessions/{session}`
#[worker::send]
pub async fn archive(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Archive).await?;
    let by = caller.person.clone();
    let answer = ask_session(&caller.env, &session, &Ask::act(Act::Archive, by)).await?;
    noted(&caller, answer, Deed::SessionArchived, &session).await
}

/// `PATCH /api/sessions/{session}`
#[worker::send]
pub async fn rename(
    caller: Caller,
    Path(id): Path<String>,
    Input(wanted): Input<RenameSession>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Prompt).await?;
    let title = checked_title(&wanted.title)?;
    ask_session(&caller.env, &session, &Ask::Rename { title }).await
}

/// A title in one line.
fn checked_title(title: &str) -> Result<String, Error> {
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    if title.is_empty() || title.encode_utf16().count() > MAX_TITLE {
        let message = format!("a title has 1 to {MAX_TITLE} characters");
        return Err(Error::invalid("bad_title", message));
    }
    Ok(title)
}

/// `POST /api/sessions/{session}/prompts`
#[worker::send]
pub async fn prompt(
    caller: Caller,
    Path(id): Path<String>,
    Input(wanted): Input<CreatePrompt>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Prompt).await?;
    let prompt = NewPrompt {
        author: caller.person.clone(),
        text: wanted.text,
        source: caller.source(),
        mode: wanted.mode,
        attachments: wanted.attachments,
        client_request_id: wanted.client_request_id,
    };
    ask_session(&caller.env, &session, &Ask::Prompt(prompt)).await
}

/// `PATCH /api/sessions/{session}/prompts/{prompt}`
#[worker::send]
pub async fn edit_prompt(
    caller: Caller,
    Path((id, prompt)): Path<(String, String)>,
    Input(EditPrompt { text }): Input<EditPrompt>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Prompt).await?;
    let prompt = PromptId::parse(&prompt).map_err(|_| Error::NotFound("prompt"))?;
    let by = caller.person.clone();
    ask_session(
        &caller.env,
        &session,
        &Ask::act(Act::Edit { prompt, text }, by),
    )
    .await
}

/// `DELETE /api/sessions/{session}/prompts/{prompt}`
#[worker::send]
pub async fn cancel_prompt(
    caller: Caller,
    Path((id, prompt)): Path<(String, String)>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Prompt).await?;
    let prompt = PromptId::parse(&prompt).map_err(|_| Error::NotFound("prompt"))?;
    let by = caller.person.clone();
    ask_session(&caller.env, &session, &Ask::act(Act::Cancel { prompt }, by)).await
}

/// `POST /api/sessions/{session}/stop`
#[worker::send]
pub async fn stop(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Stop).await?;
    let by = caller.person.clone();
    let answer = ask_session(&caller.env, &session, &Ask::act(Act::Stop, by)).await?;
    noted(&caller, answer, Deed::PromptStopped, &session).await
}

/// Writes down what the session has done.
async fn noted(
    caller: &Caller,
    answer: Response,
    deed: Deed,
    session: &SessionId,
) -> Result<Response, Error> {
    if answer.status().is_success() {
        caller.note(deed, session.as_str()).await?;
    }
    Ok(answer)
}

/// `GET /api/sessions/{session}/waterfall`
#[worker::send]
pub async fn waterfall(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    let session = caller.session(&id, Action::View).await?;
    ask_session(&caller.env, &session, &Ask::Waterfall).await
}

/// `GET /api/sessions/{session}/contacts`
#[worker::send]
pub async fn contacts(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    let session = caller.session(&id, Action::View).await?;
    ask_session(&caller.env, &session, &Ask::Contacts).await
}

/// `POST /api/sessions/{session}/ws-ticket`
#[worker::send]
pub async fn ticket(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Join).await?;
    let ask = Ask::IssueTicket {
        bearer: Bearer {
            person: caller.person.clone(),
            source: caller.source(),
        },
        origin: caller.public_url.clone(),
    };
    ask_session(&caller.env, &session, &ask).await
}

/// `GET /api/sessions/{session}/ws`
#[worker::send]
pub async fn socket(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let session = SessionId::parse(&id).map_err(|_| Error::NotFound("session"))?;
    let stub = env
        .durable_object("SESSION")?
        .get_by_name(session.as_str())?;
    sockets::upgrade(&env, &stub, request).await
}
