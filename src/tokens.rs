//! The Durable Object of one repository's installation tokens, named like the repository.
//!
//! A token is for this repository and named permissions alone, and whoever needs the same gets the
//! same one until shortly before it expires. GitHub is asked by one at a time.

pub mod shelf;

use std::panic::{RefUnwindSafe, UnwindSafe};

use futures_util::lock::Mutex;
use protocol::event::Repository;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use worker::{DurableObject, Env, Request as HttpRequest, Response, State, durable_object};

use self::shelf::Shelf;
use crate::config;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::github::app::{InstallationToken, Permissions};
use crate::platform::migration::migrate;
use crate::platform::sql::DurableSql;
use crate::platform::{clock, object};
use crate::session::store::StoreError;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Request {
    Token {
        permissions: Permissions,
    },
    /// What is held may be of no use any more.
    Forget,
}

#[durable_object]
pub struct Tokens {
    repository: Option<Repository>,
    sql: DurableSql,
    env: Env,
    /// Held by whoever asks GitHub; each question has a deadline.
    asking: Mutex<()>,
}

// SQLite is all that an object holds; a turn that ends in a panic is given back.
impl UnwindSafe for Tokens {}
impl RefUnwindSafe for Tokens {}

impl DurableObject for Tokens {
    fn new(state: State, env: Env) -> Self {
        let sql = DurableSql::new(&state);
        if let Err(error) = migrate(&sql, shelf::STEPS) {
            Error::from(StoreError::from(error)).log();
        }
        let name = state.id().name();
        Self {
            repository: name.and_then(|name| Repository::parse(&name).ok()),
            sql,
            env,
            asking: Mutex::new(()),
        }
    }

    async fn fetch(&self, request: HttpRequest) -> worker::Result<Response> {
        let take = async |request| self.answer(request).await;
        object::answer(request, take, Error::into_worker_response).await
    }
}

impl Tokens {
    async fn answer(&self, request: Request) -> Result<serde_json::Value, Error> {
        let repository = self.repository.as_ref();
        let repository = repository.ok_or(Error::NotFound("repository"))?;
        let keys = config::encryption_keys(&self.env)?;
        let shelf = Shelf::new(&self.sql, keys, repository);
        match request {
            Request::Token { permissions } => {
                let token = self.token(repository, permissions, &shelf).await?;
                Ok(serde_json::to_value(token)?)
            }
            Request::Forget => {
                shelf.clear()?;
                Ok(serde_json::Value::Null)
            }
        }
    }

    async fn token(
        &self,
        repository: &Repository,
        permissions: Permissions,
        shelf: &Shelf<'_, DurableSql>,
    ) -> Result<InstallationToken, Error> {
        if let Some(token) = shelf.find(permissions, clock::now())? {
            return Ok(token);
        }
        let _turn = self.asking.lock().await;
        if let Some(token) = shelf.find(permissions, clock::now())? {
            return Ok(token);
        }
        let token = self.mint(repository, permissions).await?;
        shelf.keep(permissions, &token)?;
        Ok(token)
    }

    /// A new token. That an installation is known does not say that it is still there.
    async fn mint(
        &self,
        repository: &Repository,
        permissions: Permissions,
    ) -> Result<InstallationToken, Error> {
        let github = Github::new(&self.env)?;
        let database = Database::new(&self.env)?;
        if let Some(known) = database::installations::of(&database, repository).await? {
            match github.mint(known, repository, permissions).await {
                Ok(token) => return Ok(token),
                Err(error) if matches!(error.status(), Some(403 | 404 | 422)) => {
                    database::installations::forget(&database, repository).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let found = github.installation(repository).await?;
        let token = github.mint(found, repository, permissions).await?;
        database::installations::remember(&database, found, repository).await?;
        Ok(token)
    }
}

/// A token for one repository and nothing else, good for five minutes at least.
pub async fn installation_token(
    env: &Env,
    repository: &Repository,
    permissions: Permissions,
) -> Result<InstallationToken, Error> {
    ask(env, repository, &Request::Token { permissions }).await
}

/// Has a repository's tokens made anew when they are needed next.
pub async fn forget(env: &Env, repository: &Repository) -> Result<(), Error> {
    ask(env, repository, &Request::Forget).await
}

async fn ask<T: DeserializeOwned>(
    env: &Env,
    repository: &Repository,
    request: &Request,
) -> Result<T, Error> {
    let name = repository.to_string();
    Ok(object::ask(env, "TOKENS", &name, request).await?)
}
