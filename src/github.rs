//! GitHub's REST API, as far as we use it: sign-in, access, installation tokens, branches,
//! pull requests, webhooks.
//!
//! The client is small on purpose; its requests are checked against GitHub's published behaviour
//! by a stateful peer in the end-to-end tests. Base URLs are configuration.

pub mod app;
pub mod blame;
pub mod branch;
pub mod checks;
pub mod comment;
pub mod described;
pub mod event;
mod graphql;
pub mod hook;
pub mod identity;
pub mod independence;
pub mod oauth;
mod pages;
pub mod pull_request;
pub mod review;
pub mod wake;
pub mod webhook;

use std::time::Duration;

use protocol::UserId;
use protocol::api::RepositorySummary;
use protocol::event::{Person, Repository};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use worker::Env;

use self::app::{InstallationToken, Permissions};
use self::pages::Pages;
use crate::config::{self, ConfigError};
use crate::error::Error;
use crate::platform::crypto::CryptoError;
use crate::platform::http::{self, HttpError};
use crate::{tokens, user};

const DEADLINE: Duration = Duration::from_secs(15);

/// GitHub refuses requests without one.
const USER_AGENT: &str = "hosted-agents";

#[derive(Debug, thiserror::Error)]
pub enum GithubError {
    #[error("failed to reach GitHub")]
    Http(#[from] HttpError),
    #[error("GitHub answered {status} to {what}: {message}")]
    Refused {
        what: String,
        status: u16,
        message: String,
    },
    #[error("GitHub's answer to {what} has an unknown form")]
    Form {
        what: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the user has to link again")]
    LinkBroken,
    #[error("the app's private key cannot be used")]
    Key(#[from] CryptoError),
    #[error("GitHub is not configured")]
    Config(#[from] ConfigError),
}

impl GithubError {
    /// Whether trying again may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Http(_) => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Form { .. } | Self::LinkBroken | Self::Key(_) | Self::Config(_) => false,
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

pub struct Github {
    env: Env,
    config: config::Github,
    client: reqwest::Client,
}

#[derive(Deserialize)]
struct UserAnswer {
    id: i64,
    login: String,
    name: Option<String>,
    avatar_url: Option<String>,
}

#[derive(Deserialize)]
struct RepositoryAnswer {
    full_name: Repository,
    default_branch: Option<String>,
    #[serde(default)]
    private: bool,
    /// Of whoever asks.
    #[serde(default)]
    permissions: Rights,
}

#[derive(Default, Deserialize)]
struct Rights {
    #[serde(default)]
    push: bool,
}

impl From<RepositoryAnswer> for RepositorySummary {
    fn from(answer: RepositoryAnswer) -> Self {
        Self {
            repository: answer.full_name,
            default_branch: answer.default_branch.unwrap_or_else(|| "main".to_owned()),
            private: answer.private,
            may_write: answer.permissions.push,
            image: None,
        }
    }
}

impl Github {
    pub fn new(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            env: env.clone(),
            config: config::Github::from_env(env)?,
            client: reqwest::Client::new(),
        })
    }

    /// The user's own token: with [`as_user`](Self::as_user) the one way to act for somebody.
    pub async fn user_token(&self, user: UserId) -> Result<String, Error> {
        user::github_token(&self.env, user).await
    }

    /// Asks something with the user's own token, and with a new one if GitHub does not take it.
    pub async fn as_user<T>(
        &self,
        user: UserId,
        ask: impl AsyncFn(&str) -> Result<T, GithubError>,
    ) -> Result<T, Error> {
        let is_refusal = |error: &GithubError| error.status() == Some(401);
        let token = self.user_token(user).await?;
        match ask(&token).await {
            Err(error) if is_refusal(&error) => user::refused(&self.env, user, token).await?,
            outcome => return Ok(outcome?),
        }
        let token = self.user_token(user).await?;
        ask(&token).await.map_err(|error| match is_refusal(&error) {
            true => Error::LinkBroken,
            false => error.into(),
        })
    }

    /// The App's token for one repository, good for five minutes at least.
    pub async fn installation_token(
        &self,
        repository: &Repository,
        permissions: Permissions,
    ) -> Result<InstallationToken, Error> {
        tokens::installation_token(&self.env, repository, permissions).await
    }

    pub async fn user(&self, token: &str) -> Result<Person, GithubError> {
        let answer: UserAnswer = self.call(Method::GET, "/user", token, None::<&()>).await?;
        Ok(Person {
            id: UserId(answer.id),
            name: answer
                .name
                .filter(|name| !name.is_empty())
                .unwrap_or(answer.login.clone()),
            login: answer.login,
            avatar: answer.avatar_url.unwrap_or_default(),
        })
    }

    /// The addresses of a user that GitHub has verified.
    pub async fn verified_emails(&self, token: &str) -> Result<Vec<String>, GithubError> {
        #[derive(Deserialize)]
        struct Email {
            email: String,
            #[serde(default)]
            verified: bool,
        }
        let path = "/user/emails?per_page=100";
        let emails: Vec<Email> = self.call(Method::GET, path, token, None::<&()>).await?;
        let verified = emails.into_iter().filter(|email| email.verified);
        Ok(verified.map(|email| email.email).collect())
    }

    /// Repositories that a user reaches, the most recently pushed first, at most 1000.
    pub async fn repositories(&self, token: &str) -> Result<Vec<RepositorySummary>, GithubError> {
        let path = "/user/repos?per_page=100&sort=pushed".to_owned();
        let mut pages = Pages::new(self, token, path);
        let mut repositories = Vec::new();
        while let Some(page) = pages.next::<RepositoryAnswer>().await? {
            repositories.extend(page.into_iter().map(Into::into));
        }
        Ok(repositories)
    }

    /// The repository as a user sees it; `None` when it is not there for them.
    pub async fn repository(
        &self,
        token: &str,
        repository: &Repository,
    ) -> Result<Option<RepositorySummary>, GithubError> {
        let path = format!("/repos/{repository}");
        match self
            .call::<RepositoryAnswer>(Method::GET, &path, token, None::<&()>)
            .await
        {
            Ok(answer) => Ok(Some(answer.into())),
            Err(error) if matches!(error.status(), Some(403 | 404 | 451)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn api_url(&self) -> &str {
        &self.config.api_url
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&impl serde::Serialize>,
    ) -> Result<T, GithubError> {
        let answer = self.call_with_headers(method, path, token, body).await?;
        Ok(answer.0)
    }

    async fn call_with_headers<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&impl serde::Serialize>,
    ) -> Result<(T, HeaderMap), GithubError> {
        let url = format!("{}{path}", self.config.api_url);
        self.exchange_json(method, &url, token, body).await
    }

    /// For what is beside the REST API.
    async fn call_at<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &str,
        token: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, GithubError> {
        let answer = self.exchange_json(method, url, token, Some(body)).await?;
        Ok(answer.0)
    }

    async fn exchange_json<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &str,
        token: &str,
        body: Option<&impl serde::Serialize>,
    ) -> Result<(T, HeaderMap), GithubError> {
        let path = url.strip_prefix(&self.config.api_url).unwrap_or(url);
        let what = format!("{method} {path}");
        let mut request = self
            .client
            .request(method, url)
            .header("authorization", format!("Bearer {token}"))
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header("user-agent", USER_AGENT);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = http::send(request, &self.config.api_url, DEADLINE).await?;
        if !(200..300).contains(&answer.status) {
            return Err(refusal(what, answer.status, &answer.body));
        }
        // Some answers are empty, and nothing is asked of those.
        let body = match answer.body.as_slice() {
            [] => b"null",
            body => body,
        };
        let value =
            serde_json::from_slice(body).map_err(|source| GithubError::Form { what, source })?;
        Ok((value, answer.headers))
    }
}

fn refusal(what: String, status: u16, body: &[u8]) -> GithubError {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
        #[serde(default)]
        errors: Vec<serde_json::Value>,
    }
    let message = serde_json::from_slice::<Refusal>(body).map_or_else(
        |_| String::new(),
        |refusal| {
            let details = refusal
                .errors
                .iter()
                .filter_map(|error| error.get("message").and_then(|message| message.as_str()));
            std::iter::once(refusal.message.as_str())
                .chain(details)
                .collect::<Vec<_>>()
                .join(": ")
        },
    );
    GithubError::Refused {
        what,
        status,
        message,
    }
}
