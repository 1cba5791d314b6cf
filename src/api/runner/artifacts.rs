//! Files between a session and its sandbox, by way of the runner.

use axum::extract::{Request, State};
use axum::response::Response;
use protocol::api::MAX_ARTIFACT;
use protocol::{ArtifactId, PromptId, SessionId};
use serde::Deserialize;
use worker::Env;

use super::{MAX_MESSAGE_BODY, verified};
use crate::api::artifacts::note;
use crate::api::extract::{Path, Query};
use crate::artifacts::serve::{Audience, serve};
use crate::artifacts::upload::Upload;
use crate::artifacts::{Artifacts, Key};
use crate::database::{self, Database};
use crate::error::Error;
use crate::fleet;
use crate::session::artifacts::Maker;

/// Most characters of a caption.
const LONGEST_CAPTION: usize = 300;

/// `GET /runner/artifacts/{session}/{artifact}`
#[worker::send]
pub async fn get(
    State(env): State<Env>,
    Path((session, artifact)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let (id, _) = verified(&env, request, MAX_MESSAGE_BODY).await?;
    if !fleet::first_sight(&env, &id).await? {
        return Err(Error::Replayed);
    }
    let session = SessionId::parse(&session).map_err(|_| Error::NotFound("session"))?;
    let artifact = ArtifactId::parse(&artifact).map_err(|_| Error::NotFound("artifact"))?;
    let key = Key::of_session(&session, &artifact);
    serve(&Artifacts::new(&env)?, &key, None, Audience::Own).await
}

#[derive(Deserialize)]
pub struct PutQuery {
    /// Made by the runner: a repetition has the same.
    id: String,
    #[serde(default)]
    name: String,
    prompt: Option<String>,
    caption: Option<String>,
}

/// `POST /runner/artifacts/{session}?id=&name=&prompt=&caption=`: a file that the agent shares.
#[worker::send]
pub async fn put(
    State(env): State<Env>,
    Path(session): Path<String>,
    Query(query): Query<PutQuery>,
    request: Request,
) -> Result<Response, Error> {
    let (webhook_id, body) = verified(&env, request, MAX_ARTIFACT).await?;
    if !fleet::first_sight(&env, &webhook_id).await? {
        return Err(Error::Replayed);
    }
    let session = SessionId::parse(&session).map_err(|_| Error::NotFound("session"))?;
    let bad = |_| Error::invalid("malformed", "an identifier cannot be read");
    let id = ArtifactId::parse(&query.id).map_err(bad)?;
    let prompt = query.prompt.as_deref().map(PromptId::parse).transpose();
    let prompt = prompt.map_err(bad)?;
    // What does not exist keeps no bytes either.
    database::sessions::repository_of(&Database::new(&env)?, &session)
        .await?
        .ok_or(Error::NotFound("session"))?;
    let upload = Upload::whole(body, &query.name, None).await?;
    let uploaded = Artifacts::new(&env)?
        .put(&Key::of_session(&session, &id), upload)
        .await?;
    let caption = query
        .caption
        .map(|caption| caption.trim().chars().take(LONGEST_CAPTION).collect())
        .filter(|caption: &String| !caption.is_empty());
    note(
        &env,
        &session,
        &id,
        uploaded,
        Maker::Agent { prompt, caption },
    )
    .await
}
