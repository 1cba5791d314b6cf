//! The Durable Object of one user, named by GitHub's number of them: what has to happen one at a
//! time for each person.
//!
//! It holds their link to GitHub, and counts what they do. A refresh token works once, so there is one place that renews it,
//! one renewal at a time, and the new pair is stored before anybody gets it.

pub mod link;
mod spending;

use std::panic::{RefUnwindSafe, UnwindSafe};

use futures_util::lock::Mutex;
use protocol::UserId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use worker::{DurableObject, Env, Request as HttpRequest, Response, State, durable_object};

use self::link::{Link, Standing};
use crate::config;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::oauth::UserTokens;
use crate::github::{Github, GithubError};
use crate::limits::Rate;
use crate::limits::shared::Kind;
use crate::platform::migration::migrate;
use crate::platform::sql::DurableSql;
use crate::platform::{clock, object};
use crate::session::store::StoreError;

const STEPS: &[&str] = &[
    "
    CREATE TABLE link (
        id INTEGER PRIMARY KEY CHECK (id = 1), access TEXT NOT NULL, expires_at INTEGER,
        refresh TEXT, refresh_expires_at INTEGER, broken INTEGER NOT NULL
    )
    ",
    spending::STEP,
];

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Request {
    /// The user signed in.
    Link {
        tokens: UserTokens,
    },
    Token,
    /// GitHub did not take this token.
    Refused {
        token: String,
    },
    /// The user took back what they had allowed.
    Unlink,
    /// The user does so many of something; answers the seconds to wait if that is too often.
    Spend {
        kind: Kind,
        count: u32,
        rate: Rate,
    },
}

#[durable_object]
pub struct User {
    user: Option<UserId>,
    sql: DurableSql,
    env: Env,
    /// Held by whoever asks GitHub; each question has a deadline.
    asking: Mutex<()>,
}

// SQLite is all that an object holds; a turn that ends in a panic is given back.
impl UnwindSafe for User {}
impl RefUnwindSafe for User {}

impl DurableObject for User {
    fn new(state: State, env: Env) -> Self {
        let sql = DurableSql::new(&state);
        if let Err(error) = migrate(&sql, STEPS) {
            Error::from(StoreError::from(error)).log();
        }
        let name = state.id().name();
        Self {
            user: name.and_then(|name| name.parse().ok()).map(UserId),
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

impl User {
    async fn answer(&self, request: Request) -> Result<serde_json::Value, Error> {
        if let Request::Spend { kind, count, rate } = request {
            let wait = spending::spend(&self.sql, kind, count, rate, clock::now());
            return Ok(serde_json::to_value(wait.map_err(StoreError::from)?)?);
        }
        let user = self.user.ok_or(Error::NotFound("user"))?;
        let keys = config::encryption_keys(&self.env)?;
        let link = Link::new(&self.sql, keys, user);
        match request {
            Request::Link { tokens } => link.keep(&tokens)?,
            Request::Token => return Ok(serde_json::to_value(self.token(user, &link).await?)?),
            Request::Refused { token } => link.refused(&token)?,
            Request::Unlink => link.cut()?,
            // Answered above, since it needs no link.
            Request::Spend { .. } => {}
        }
        Ok(serde_json::Value::Null)
    }

    /// A token that is good for some minutes; `None` asks for a new link.
    async fn token(
        &self,
        user: UserId,
        link: &Link<'_, DurableSql>,
    ) -> Result<Option<String>, Error> {
        if let Standing::Good { token } = link.standing(clock::now())? {
            return Ok(Some(token));
        }
        let _turn = self.asking.lock().await;
        let (refresh, meanwhile) = match link.standing(clock::now())? {
            // Somebody else has just renewed it.
            Standing::Good { token } => return Ok(Some(token)),
            Standing::Broken => return Ok(None),
            Standing::Unlinked => return self.take_over(user, link).await,
            Standing::Old { refresh, meanwhile } => (refresh, meanwhile),
        };
        match Github::new(&self.env)?.renew(&refresh).await {
            Ok(tokens) => {
                link.keep(&tokens)?;
                Ok(Some(tokens.access_token))
            }
            Err(GithubError::LinkBroken) => {
                link.broken()?;
                Ok(None)
            }
            Err(error) => match meanwhile {
                Some(token) => {
                    Error::from(error).log();
                    Ok(Some(token))
                }
                None => Err(error.into()),
            },
        }
    }

    /// Links from before this object are in D1.
    async fn take_over(
        &self,
        user: UserId,
        link: &Link<'_, DurableSql>,
    ) -> Result<Option<String>, Error> {
        let database = Database::new(&self.env)?;
        let Some(token) = database::users::former_token(&database, user).await? else {
            return Ok(None);
        };
        link.keep(&UserTokens::lasting(token.clone()))?;
        Ok(Some(token))
    }
}

/// Keeps what a user got at sign-in.
pub async fn link(env: &Env, user: UserId, tokens: UserTokens) -> Result<(), Error> {
    ask(env, user, &Request::Link { tokens }).await
}

/// The user's own GitHub token: the one way to act for somebody.
pub async fn github_token(env: &Env, user: UserId) -> Result<String, Error> {
    let token: Option<String> = ask(env, user, &Request::Token).await?;
    token.ok_or(Error::LinkBroken)
}

/// GitHub does not take a token. It is not given out again: it is renewed, or the user has to link
/// again.
pub async fn refused(env: &Env, user: UserId, token: String) -> Result<(), Error> {
    ask(env, user, &Request::Refused { token }).await
}

/// Counts what a user does wherever it comes in; the seconds to wait if that is too often.
pub async fn spend(
    env: &Env,
    user: UserId,
    kind: Kind,
    count: u32,
    rate: Rate,
) -> Result<Option<u64>, Error> {
    ask(env, user, &Request::Spend { kind, count, rate }).await
}

/// Forgets a user's tokens.
pub async fn unlink(env: &Env, user: UserId) -> Result<(), Error> {
    ask(env, user, &Request::Unlink).await
}

async fn ask<T: DeserializeOwned>(env: &Env, user: UserId, request: &Request) -> Result<T, Error> {
    Ok(object::ask(env, "USER", &user.to_string(), request).await?)
}
