//! The HTTP surface: each handler parses, authorises, asks one thing, answers.

pub mod account;
pub mod artifacts;
pub mod audit;
pub mod blame;
pub mod changes;
pub mod environments;
pub mod extract;
pub mod files;
pub mod forks;
pub mod images;
pub mod integrations;
pub mod lobby;
pub mod log;
pub mod me;
pub mod models;
pub mod openapi;
pub mod pull_requests;
pub mod queue;
pub mod repositories;
pub mod runner;
pub mod secrets;
pub mod sessions;
pub mod slack;
mod sockets;
pub mod statistics;
pub mod terminals;
pub mod webhooks;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use protocol::SessionId;
use protocol::api::{Deed, Means, Role};
use protocol::event::{Person, Repository, Source};
use protocol::image::EnvironmentName;
use serde::de::DeserializeOwned;
use worker::{Context, Env};

use crate::auth::policy::{self, Action, Actor, Subject, can};
use crate::auth::{self, CurrentUser};
use crate::database::audit::Entry;
use crate::database::environments::Environment;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::limits::shared;
use crate::platform::clock;
use crate::platform::http::to_object;
use crate::session::request::{REQUEST_PATH, Request as SessionRequest};
use crate::{config, limits};

/// Most bytes of a body from a client: the longest prompt, escaped, fits.
const MAX_BODY: usize = 256 * 1024;

/// A known user's request, ready to be decided.
pub struct Caller {
    pub env: Env,
    pub public_url: String,
    pub database: Database,
    pub github: Github,
    pub person: Person,
    actor: Actor,
}

impl Caller {
    pub async fn of(env: Env, parts: &Parts) -> Result<Self, Error> {
        let public_url = config::public_url(&env)?;
        let database = Database::new(&env)?;
        let CurrentUser { person, means } = CurrentUser::of(parts, &public_url, &database).await?;
        if config::allowed_users(&env).is_some_and(|people| !people.contains(&person)) {
            return Err(Error::NotAllowed);
        }
        let changes = config::changes_per_minute(&env)?;
        match parts.method {
            Method::GET | Method::HEAD => {
                let background = parts.extensions.get::<Arc<Context>>();
                let background = background.map(AsRef::as_ref);
                shared::look(&env, background, person.id, limits::looks(changes))?;
            }
            _ => shared::change(&env, person.id, limits::changes(changes)).await?,
        }
        let role = match config::administrators(&env).contains(&person) {
            true => Role::Administrator,
            false => Role::Member,
        };
        Ok(Self {
            github: Github::new(&env)?,
            public_url,
            database,
            person,
            actor: Actor { role, means },
            env,
        })
    }

    /// Lets the caller do `action`; a refusal is written down.
    pub async fn may(&self, action: Action, subject: Subject, name: &str) -> Result<(), Error> {
        let Err(denied) = can(&self.actor, action, subject) else {
            return Ok(());
        };
        self.note_refusal(name).await?;
        Err(denied.into())
    }

    /// The session that a path names, once its repository is found to be open to the caller and
    /// `action` to be theirs to do.
    pub async fn session(&self, id: &str, action: Action) -> Result<SessionId, Error> {
        let session = SessionId::parse(id).map_err(|_| Error::NotFound("session"))?;
        let (database, github) = (&self.database, &self.github);
        let reach = auth::authorize_session(database, github, &self.person, &session).await;
        let reach = self.noted(reach, session.as_str()).await?;
        let may_write = reach.may_write;
        let subject = Subject::Repository { may_write };
        self.may(action, subject, session.as_str()).await?;
        Ok(session)
    }

    /// The repository that a path names, and its default branch, under the same conditions.
    pub async fn repository(
        &self,
        owner: &str,
        name: &str,
        action: Action,
    ) -> Result<(Repository, String), Error> {
        let repository = Repository::new(owner, name).map_err(|_| Error::NotFound("repository"))?;
        let branch = self.reach(&repository, action).await?;
        Ok((repository, branch))
    }

    /// The default branch of a repository, under the same conditions.
    pub async fn reach(&self, repository: &Repository, action: Action) -> Result<String, Error> {
        let (database, github) = (&self.database, &self.github);
        let reach = auth::authorize_repository(database, github, &self.person, repository).await;
        let name = repository.to_string();
        let reach = self.noted(reach, &name).await?;
        let may_write = reach.may_write;
        self.may(action, Subject::Repository { may_write }, &name)
            .await?;
        Ok(reach.default_branch)
    }

    /// Where prompts of this caller come from.
    pub fn source(&self) -> Source {
        match self.actor.means {
            policy::Means::Browser => Source::Web,
            policy::Means::Token { .. } => Source::Api,
        }
    }

    /// For the audit log.
    pub fn entry<'a>(&'a self, deed: Deed, subject: &'a str, detail: Option<&'a str>) -> Entry<'a> {
        Entry {
            person: &self.person,
            means: match self.actor.means {
                policy::Means::Browser => Means::Browser,
                policy::Means::Token { .. } => Means::Token,
            },
            deed,
            subject,
            detail,
        }
    }

    /// Writes down what the caller has done.
    pub async fn note(&self, deed: Deed, subject: &str) -> Result<(), Error> {
        let entry = self.entry(deed, subject, None);
        Ok(database::audit::write(&self.database, entry, clock::now()).await?)
    }

    async fn noted<T>(&self, outcome: Result<T, Error>, name: &str) -> Result<T, Error> {
        if let Err(Error::NotFound(_)) = &outcome {
            self.note_refusal(name).await?;
        }
        outcome
    }

    async fn note_refusal(&self, name: &str) -> Result<(), Error> {
        let entry = self.entry(Deed::AccessRefused, name, None);
        Ok(database::audit::write_refusal(&self.database, entry, clock::now()).await?)
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

/// A path that is there, asked in a way that it does not know.
pub async fn unknown_method(method: Method) -> Error {
    Error::Method(method.to_string())
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

pub(crate) fn into_axum(response: worker::Response) -> Result<Response, Error> {
    let response: worker::HttpResponse = response.try_into()?;
    Ok(response.map(Body::new))
}
