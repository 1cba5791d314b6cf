//! Acting as the App: a JWT proves who we are, an installation token is scoped to one repository.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::Millis;
use protocol::event::Repository;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Github, GithubError};
use crate::platform::{clock, crypto};

/// GitHub's limit is ten minutes; one less for clocks that differ.
const JWT_SECONDS: i64 = 540;

/// GitHub refuses a JWT from the future, so it is dated back for clocks that differ.
const BACKDATED_SECONDS: i64 = 60;

/// Installation tokens are good for an hour; one less than that is what we count on.
const TOKEN_MS: i64 = 55 * 60_000;

/// What a token lets its holder do with the repository's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    Read,
    Write,
}

pub struct InstallationToken {
    pub token: String,
    pub expires_at: Millis,
}

#[derive(Deserialize)]
struct InstallationAnswer {
    id: i64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: String,
}

impl Github {
    /// A token for one repository and nothing else.
    pub async fn installation_token(
        &self,
        repository: &Repository,
        contents: Contents,
    ) -> Result<InstallationToken, GithubError> {
        let jwt = self.jwt().await?;
        let path = format!("/repos/{repository}/installation");
        let installation: InstallationAnswer =
            self.call(Method::GET, &path, &jwt, None::<&()>).await?;
        let body = json!({
            "repositories": [repository.name()],
            "permissions": {
                "contents": match contents { Contents::Read => "read", Contents::Write => "write" },
            },
        });
        let path = format!("/app/installations/{}/access_tokens", installation.id);
        let answer: TokenAnswer = self.call(Method::POST, &path, &jwt, Some(&body)).await?;
        Ok(InstallationToken {
            token: answer.token,
            expires_at: clock::now().plus(TOKEN_MS),
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
