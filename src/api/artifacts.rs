//! Files of a session: given by people, read by whoever may, shared by links that expire.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use protocol::api::{
    ArtifactUrl, MAX_URL_SECONDS, MIN_URL_SECONDS, RequestArtifactUrl, URL_SECONDS,
};
use protocol::event::Artifact;
use protocol::{ArtifactId, Millis, SessionId};
use serde::Deserialize;
use worker::Env;

use super::extract::{OptionalInput, Path, Query};
use super::{Caller, MAX_BODY, ask_session, read_body};
use crate::artifacts::link::Link;
use crate::artifacts::serve::{Audience, serve};
use crate::artifacts::upload::{Upload, Uploaded};
use crate::artifacts::{Artifacts, Key};
use crate::auth::policy::{Action, Subject};
use crate::config;
use crate::error::Error;
use crate::platform::{clock, random};
use crate::session::artifacts::{ArtifactRequest, Maker, checked_attachments, unknown_attachment};
use crate::session::request::Request as Ask;

#[derive(Deserialize)]
pub struct UploadQuery {
    #[serde(default)]
    name: String,
}

/// `POST /api/artifacts?name=`: for the first prompt of a session that is not there yet.
#[worker::send]
pub async fn upload(
    caller: Caller,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Result<Response, Error> {
    caller.may(Action::Prompt, Subject::Deployment, "").await?;
    let (parts, body) = request.into_parts();
    let upload = Upload::of(&parts.headers, &query.name, body).await?;
    let id = fresh()?;
    let key = Key::of_upload(caller.person.id, &id);
    let uploaded = Artifacts::new(&caller.env)?.put(&key, upload).await?;
    Ok((StatusCode::CREATED, Json(uploaded.artifact(id, None))).into_response())
}

/// `POST /api/sessions/{session}/artifacts?name=`
#[worker::send]
pub async fn add(
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Prompt).await?;
    let (parts, body) = request.into_parts();
    let upload = Upload::of(&parts.headers, &query.name, body).await?;
    let room = ArtifactRequest::Room {
        bytes: upload.length,
    };
    let room = ask_session(&caller.env, &session, &Ask::Artifact(room)).await?;
    if !room.status().is_success() {
        return Ok(room);
    }
    let id = fresh()?;
    let uploaded = Artifacts::new(&caller.env)?
        .put(&Key::of_session(&session, &id), upload)
        .await?;
    note(&caller.env, &session, &id, uploaded, Maker::Person).await
}

/// Has the session note a file that is in R2. What it does not take, or has already, goes again.
pub(crate) async fn note(
    env: &Env,
    session: &SessionId,
    id: &ArtifactId,
    uploaded: Uploaded,
    maker: Maker,
) -> Result<Response, Error> {
    let add = ArtifactRequest::Add {
        id: id.clone(),
        uploaded,
        maker,
    };
    let answer = ask_session(env, session, &Ask::Artifact(add)).await?;
    let status = answer.status();
    let (parts, body) = answer.into_parts();
    let body = read_body(body, MAX_BODY).await?;
    let kept = serde_json::from_slice::<Artifact>(&body);
    // Where our own side failed nothing is known of what was noted.
    if !status.is_server_error() && kept.map_or(true, |kept| kept.id != *id) {
        let key = Key::of_session(session, id);
        Artifacts::new(env)?.remove(&key).await?;
    }
    Ok(Response::from_parts(parts, body.into()))
}

/// Refuses attachments of a session to come that its maker did not upload.
pub(super) async fn check_uploads(caller: &Caller, ids: &[ArtifactId]) -> Result<(), Error> {
    checked_attachments(ids)?;
    if ids.is_empty() {
        return Ok(());
    }
    let artifacts = Artifacts::new(&caller.env)?;
    for id in ids {
        if !artifacts.has(&Key::of_upload(caller.person.id, id)).await? {
            return Err(unknown_attachment(id));
        }
    }
    Ok(())
}

/// Gives uploads to a session that is there now. They stay where they are until they are swept, so that
/// a repetition finds them.
pub(super) async fn adopt_uploads(
    caller: &Caller,
    session: &SessionId,
    ids: &[ArtifactId],
) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let artifacts = Artifacts::new(&caller.env)?;
    for id in ids {
        let waiting = Key::of_upload(caller.person.id, id);
        let uploaded = artifacts
            .adopt(&waiting, &Key::of_session(session, id))
            .await?
            .ok_or_else(|| unknown_attachment(id))?;
        let add = ArtifactRequest::Add {
            id: id.clone(),
            uploaded,
            // By its identifier, which the prompt names: not by what it holds.
            maker: Maker::Upload,
        };
        let noted = ask_session(&caller.env, session, &Ask::Artifact(add)).await?;
        if !noted.status().is_success() {
            return Err(Error::invalid(
                "artifacts_full",
                "the attachments are too large together",
            ));
        }
    }
    Ok(())
}

/// `GET /api/sessions/{session}/artifacts`
#[worker::send]
pub async fn list(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    let session = caller.session(&id, Action::View).await?;
    ask_session(&caller.env, &session, &Ask::Artifact(ArtifactRequest::List)).await
}

/// `GET /api/sessions/{session}/artifacts/{artifact}`
#[worker::send]
pub async fn show(
    caller: Caller,
    Path((id, artifact)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let artifact = parse(&artifact)?;
    let session = caller.session(&id, Action::View).await?;
    if config::artifacts_url(&caller.env).is_some() {
        // Files of strangers are not shown on the host that people are signed in to.
        let (url, _) = link(&caller, session, artifact, MIN_URL_SECONDS)?;
        return Ok(Redirect::temporary(&url).into_response());
    }
    let key = Key::of_session(&session, &artifact);
    let artifacts = Artifacts::new(&caller.env)?;
    serve(&artifacts, &key, headers.get(header::RANGE), Audience::Own).await
}

/// `POST /api/sessions/{session}/artifacts/{artifact}/url`
#[worker::send]
pub async fn url(
    caller: Caller,
    Path((id, artifact)): Path<(String, String)>,
    OptionalInput(wanted): OptionalInput<RequestArtifactUrl>,
) -> Result<Response, Error> {
    let artifact = parse(&artifact)?;
    let session = caller.session(&id, Action::View).await?;
    let seconds = wanted.expires_in_seconds.unwrap_or(URL_SECONDS);
    if !(MIN_URL_SECONDS..=MAX_URL_SECONDS).contains(&seconds) {
        let message = format!("a link lives {MIN_URL_SECONDS} to {MAX_URL_SECONDS} seconds");
        return Err(Error::invalid("malformed", message));
    }
    let key = Key::of_session(&session, &artifact);
    if !Artifacts::new(&caller.env)?.has(&key).await? {
        return Err(Error::NotFound("artifact"));
    }
    let (url, expires_at) = link(&caller, session, artifact, seconds)?;
    Ok((StatusCode::CREATED, Json(ArtifactUrl { url, expires_at })).into_response())
}

#[derive(Deserialize)]
pub struct LinkQuery {
    #[serde(default)]
    session: String,
    #[serde(default)]
    expires: i64,
    #[serde(default)]
    signature: String,
}

/// `GET /artifacts/{artifact}?session=&expires=&signature=`: the link itself is the permission.
#[worker::send]
pub async fn open(
    State(env): State<Env>,
    Path(artifact): Path<String>,
    Query(query): Query<LinkQuery>,
    request: Request,
) -> Result<Response, Error> {
    let link = Link {
        session: SessionId::parse(&query.session).map_err(|_| Error::NotFound("artifact"))?,
        artifact: parse(&artifact)?,
        expires_at: Millis(query.expires),
    };
    link.verify(
        &config::encryption_keys(&env)?,
        &query.signature,
        clock::now(),
    )?;
    let key = Key::of_session(&link.session, &link.artifact);
    let range = request.headers().get(header::RANGE);
    serve(&Artifacts::new(&env)?, &key, range, Audience::Anybody).await
}

fn link(
    caller: &Caller,
    session: SessionId,
    artifact: ArtifactId,
    seconds: u32,
) -> Result<(String, Millis), Error> {
    let expires_at = clock::now().plus(i64::from(seconds) * 1000);
    let link = Link {
        session,
        artifact,
        expires_at,
    };
    let origin = config::artifacts_url(&caller.env).unwrap_or_else(|| caller.public_url.clone());
    let path = link.path(&config::encryption_keys(&caller.env)?);
    Ok((format!("{origin}{path}"), expires_at))
}

fn fresh() -> Result<ArtifactId, Error> {
    Ok(ArtifactId::from_random(random::bytes()?))
}

fn parse(artifact: &str) -> Result<ArtifactId, Error> {
    ArtifactId::parse(artifact).map_err(|_| Error::NotFound("artifact"))
}
