//! The HTTP surface: each handler parses, authorises, asks one thing, answers.

pub mod blame;
pub mod environments;
pub mod images;
pub mod me;
pub mod pull_requests;
pub mod repositories;
pub mod runner;
pub mod sessions;
pub mod statistics;
pub mod webhooks;

use axum::Json;
use axum::body::Body;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use protocol::SessionId;
use protocol::event::{Person, Repository};
use protocol::image::EnvironmentName;
use serde::de::DeserializeOwned;
use worker::Env;

use crate::auth::{self, CurrentUser};
use crate::config;
use crate::database::environments::Environment;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::platform::http::to_object;
use crate::session::request::{REQUEST_PATH, Request as SessionRequest};

/// Most bytes of a body from a client: the longest prompt, escaped, fits.
const MAX_BODY: usize = 256 * 1024;

/// A signed-in user's request, ready to be decided.
pub struct Caller {
    pub env: Env,
    pub public_url: String,
    pub database: Database,
    pub github: Github,
    pub person: Person,
}

impl Caller {
    pub async fn of(env: Env, parts: &Parts) -> Result<Self, Error> {
        let public_url = config::public_url(&env)?;
        let database = Database::new(&env)?;
        let CurrentUser { person } = CurrentUser::of(parts, &public_url, &database).await?;
        Ok(Self {
            github: Github::new(&env)?,
            public_url,
            database,
            person,
            env,
        })
    }

    /// The session that a path names, once its repository is found to be open to the caller.
    pub async fn session(&self, id: &str) -> Result<SessionId, Error> {
        let session = SessionId::parse(id).map_err(|_| Error::NotFound("session"))?;
        auth::authorize_session(&self.database, &self.github, &self.person, &session).await?;
        Ok(session)
    }

    /// The repository that a path names, and its default branch, if it is open to the caller.
    pub async fn repository(&self, owner: &str, name: &str) -> Result<(Repository, String), Error> {
        let repository = Repository::new(owner, name).map_err(|_| Error::NotFound("repository"))?;
        let (database, github) = (&self.database, &self.github);
        let branch =
            auth::authorize_repository(database, github, &self.person, &repository).await?;
        Ok((repository, branch))
    }

    /// An environment of a repository that is open to the caller. Without a name it is the default
    /// one, which everybody may use.
    pub async fn authorize_environment(
        &self,
        repository: &Repository,
        name: Option<&EnvironmentName>,
    ) -> Result<(), Error> {
        match name {
            Some(name) => self.environment(repository, name).await.map(|_| ()),
            None => Ok(()),
        }
    }

    async fn environment(
        &self,
        repository: &Repository,
        name: &EnvironmentName,
    ) -> Result<Environment, Error> {
        database::environments::find(&self.database, repository, name)
            .await?
            .filter(|environment| environment.is_open_to(&self.person))
            .ok_or(Error::NotFound("environment"))
    }
}

/// `GET /healthz`
pub async fn health() -> Response {
    let body = serde_json::json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") });
    Json(body).into_response()
}

/// Everything else under `/api`.
pub async fn unknown() -> Error {
    Error::NotFound("such endpoint")
}

/// Reads a JSON body within the limit.
async fn read_json<T: DeserializeOwned>(body: Body) -> Result<T, Error> {
    parse_json(&read_body(body, MAX_BODY).await?)
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(malformed)
}

fn malformed(error: impl std::fmt::Display) -> Error {
    Error::invalid("malformed", format!("the body cannot be read: {error}"))
}

async fn read_body(body: Body, limit: usize) -> Result<Vec<u8>, Error> {
    let bytes = axum::body::to_bytes(body, limit).await.map_err(|_| {
        Error::invalid(
            "body_too_large",
            format!("a body has at most {limit} bytes"),
        )
    })?;
    Ok(bytes.to_vec())
}

/// Asks a session's object; its answer is already in the form that clients get.
pub(crate) async fn ask_session(
    env: &Env,
    session: &SessionId,
    request: &SessionRequest,
) -> Result<Response, Error> {
    let stub = env
        .durable_object("SESSION")?
        .get_by_name(session.as_str())?;
    let response = stub
        .fetch_with_request(to_object(REQUEST_PATH, request)?)
        .await?;
    into_axum(response)
}

fn into_axum(response: worker::Response) -> Result<Response, Error> {
    let response: worker::HttpResponse = response.try_into()?;
    Ok(response.map(Body::new))
}
