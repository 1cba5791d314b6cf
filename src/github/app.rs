//! Acting as the App: a JWT proves who we are, an installation token is scoped to one repository.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::Millis;
use protocol::event::Repository;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::event::{InstallationId, time};
use super::{Github, GithubError};
use crate::platform::{clock, crypto};

/// GitHub's limit is ten minutes; one less for clocks that differ.
const JWT_SECONDS: i64 = 540;

/// GitHub refuses a JWT from the future, so it is dated back for clocks that differ.
const BACKDATED_SECONDS: i64 = 60;

/// How much a token lets its holder do with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Read,
    Write,
}

/// What a token lets its holder do with its repository: nothing but what is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contents: Option<Level>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pull_requests: Option<Level>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checks: Option<Level>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issues: Option<Level>,
    /// Never more than read: logs of what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actions: Option<Level>,
}

impl Permissions {
    #[must_use]
    pub fn contents(mut self, level: Level) -> Self {
        self.contents = Some(level);
        self
    }

    #[must_use]
    pub fn pull_requests(mut self, level: Level) -> Self {
        self.pull_requests = Some(level);
        self
    }

    #[must_use]
    pub fn checks(mut self, level: Level) -> Self {
        self.checks = Some(level);
        self
    }

    #[must_use]
    pub fn issues(mut self, level: Level) -> Self {
        self.issues = Some(level);
        self
    }

    #[must_use]
    pub fn read_actions(mut self) -> Self {
        self.actions = Some(Level::Read);
        self
    }
}

/// The same for the same permissions, so that a token is found again by it.
impl std::fmt::Display for Permissions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = [
            ("contents", self.contents),
            ("pull_requests", self.pull_requests),
            ("checks", self.checks),
            ("issues", self.issues),
            ("actions", self.actions),
        ];
        for (name, level) in named {
            match level {
                Some(Level::Read) => write!(formatter, "{name}:read ")?,
                Some(Level::Write) => write!(formatter, "{name}:write ")?,
                None => {}
            }
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallationToken {
    pub token: String,
    pub expires_at: Millis,
}

impl std::fmt::Debug for InstallationToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("InstallationToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct InstallationAnswer {
    id: InstallationId,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: String,
    #[serde(deserialize_with = "time")]
    expires_at: Millis,
}

impl Github {
    /// The installation that reaches a repository.
    pub async fn installation(
        &self,
        repository: &Repository,
    ) -> Result<InstallationId, GithubError> {
        let jwt = self.jwt().await?;
        let path = format!("/repos/{repository}/installation");
        let answer: InstallationAnswer = self.call(Method::GET, &path, &jwt, None::<&()>).await?;
        Ok(answer.id)
    }

    /// A new token for one repository and nothing else. Those at hand are with
    /// [`tokens`](crate::tokens).
    pub async fn mint(
        &self,
        installation: InstallationId,
        repository: &Repository,
        permissions: Permissions,
    ) -> Result<InstallationToken, GithubError> {
        let jwt = self.jwt().await?;
        let body = json!({ "repositories": [repository.name()], "permissions": permissions });
        let path = format!("/app/installations/{}/access_tokens", installation.0);
        let answer: TokenAnswer = self.call(Method::POST, &path, &jwt, Some(&body)).await?;
        Ok(InstallationToken {
            token: answer.token,
            expires_at: answer.expires_at,
        })
    }

    pub(super) async fn jwt(&self) -> Result<String, GithubError> {
        let text = unsigned_jwt(&self.config.app_id, clock::now());
        let signature = crypto::sign_rs256(&self.config.private_key, &text).await?;
        Ok(format!("{text}.{signature}"))
    }
}

fn unsigned_jwt(app_id: &str, now: Millis) -> String {
    let seconds = now.0.div_euclid(1000);
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({ "alg": "RS256", "typ": "JWT" }));
    let claims = encode(json!({
        "iat": seconds - BACKDATED_SECONDS,
        "exp": seconds + JWT_SECONDS,
        "iss": app_id,
    }));
    format!("{header}.{claims}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_is_dated_back_and_lasts_less_than_ten_minutes() {
        let text = unsigned_jwt("42", Millis(1_000_000_000));
        let claims = URL_SAFE_NO_PAD
            .decode(text.split('.').nth(1).unwrap())
            .unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(
            claims,
            json!({ "iat": 999_940, "exp": 1_000_540, "iss": "42" })
        );
    }
}
