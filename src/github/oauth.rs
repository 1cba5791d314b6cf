//! GitHub's web flow with state and PKCE (S256), and the renewal of the tokens that it yields.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::Millis;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{DEADLINE, Github, GithubError, USER_AGENT, refusal};
use crate::platform::{clock, http};

/// Where the browser is sent to.
pub struct Authorize<'a> {
    pub redirect_uri: &'a str,
    pub state: &'a str,
    pub verifier: &'a str,
}

#[derive(Serialize)]
struct Exchange<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    code: &'a str,
    redirect_uri: &'a str,
    code_verifier: &'a str,
}

#[derive(Serialize)]
struct Renewal<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    grant_type: &'a str,
    refresh_token: &'a str,
}

/// GitHub answers 200 to what it refuses, with `error` in the body.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    /// Seconds; absent for tokens that do not expire.
    expires_in: Option<i64>,
    refresh_token: Option<String>,
    refresh_token_expires_in: Option<i64>,
    error: Option<String>,
    error_description: Option<String>,
}

/// What GitHub hands out for a user. Tokens expire unless the App says otherwise.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserTokens {
    pub access_token: String,
    pub expires_at: Option<Millis>,
    /// Works once, and then the whole pair is replaced.
    pub refresh_token: Option<String>,
    pub refresh_expires_at: Option<Millis>,
}

impl UserTokens {
    /// A token that does not expire.
    pub fn lasting(access_token: String) -> Self {
        Self {
            access_token,
            expires_at: None,
            refresh_token: None,
            refresh_expires_at: None,
        }
    }
}

impl std::fmt::Debug for UserTokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("UserTokens")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Github {
    pub fn authorize_url(&self, authorize: &Authorize<'_>) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(authorize.verifier.as_bytes()));
        let query = [
            ("client_id", self.config.client_id.as_str()),
            ("redirect_uri", authorize.redirect_uri),
            ("state", authorize.state),
            ("scope", "repo read:user"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]
        .map(|(name, value)| format!("{name}={}", encode_component(value)))
        .join("&");
        format!("{}/login/oauth/authorize?{query}", self.config.url)
    }

    /// The user's tokens for a code, or why there are none.
    pub async fn exchange(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<UserTokens, GithubError> {
        let body = Exchange {
            client_id: &self.config.client_id,
            client_secret: &self.config.client_secret,
            code,
            redirect_uri,
            code_verifier: verifier,
        };
        self.tokens("the code exchange", &body).await
    }

    /// A new pair for a refresh token, which kills the old pair. [`GithubError::LinkBroken`] if the
    /// refresh token is none.
    pub async fn renew(&self, refresh_token: &str) -> Result<UserTokens, GithubError> {
        let body = Renewal {
            client_id: &self.config.client_id,
            client_secret: &self.config.client_secret,
            grant_type: "refresh_token",
            refresh_token,
        };
        self.tokens("the renewal of a user's token", &body).await
    }

    async fn tokens(&self, what: &str, body: &impl Serialize) -> Result<UserTokens, GithubError> {
        let request = self
            .client
            .post(format!("{}/login/oauth/access_token", self.config.url))
            .header("accept", "application/json")
            .header("user-agent", USER_AGENT)
            .json(body);
        let answer = http::send(request, &self.config.url, DEADLINE).await?;
        if !(200..300).contains(&answer.status) {
            return Err(refusal(what.to_owned(), answer.status, &answer.body));
        }
        tokens_of(what, &answer.body, clock::now())
    }
}

fn tokens_of(what: &str, body: &[u8], now: Millis) -> Result<UserTokens, GithubError> {
    let answer: TokenAnswer = serde_json::from_slice(body).map_err(|source| GithubError::Form {
        what: what.to_owned(),
        source,
    })?;
    let end = |seconds: Option<i64>| {
        let seconds = seconds.filter(|seconds| *seconds > 0)?;
        Some(now.plus(seconds.saturating_mul(1000)))
    };
    match answer.access_token {
        Some(access_token) => Ok(UserTokens {
            access_token,
            expires_at: end(answer.expires_in),
            refresh_token: answer.refresh_token,
            refresh_expires_at: end(answer.refresh_token_expires_in),
        }),
        None if answer.error.as_deref() == Some("bad_refresh_token") => {
            Err(GithubError::LinkBroken)
        }
        None => Err(GithubError::Refused {
            what: what.to_owned(),
            status: 401,
            message: answer
                .error_description
                .or(answer.error)
                .unwrap_or_default(),
        }),
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
pub fn encode_component(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<UserTokens, GithubError> {
        tokens_of("a test", body.as_bytes(), Millis(1_000))
    }

    /// The answer in GitHub's "Refreshing user access tokens".
    #[test]
    fn githubs_documented_answer_is_read() {
        let tokens = read(
            r#"{"access_token":"ghu_16C7","expires_in":28800,"refresh_token":"ghr_1B4a",
                "refresh_token_expires_in":15811200,"token_type":"bearer","scope":""}"#,
        )
        .unwrap();
        let expected = UserTokens {
            access_token: "ghu_16C7".to_owned(),
            expires_at: Some(Millis(28_801_000)),
            refresh_token: Some("ghr_1B4a".to_owned()),
            refresh_expires_at: Some(Millis(15_811_201_000)),
        };
        assert!(tokens == expected);
        assert!(!format!("{tokens:?}").contains("gh"));
    }

    #[test]
    fn tokens_that_do_not_expire_have_no_end() {
        let tokens = read(r#"{"access_token":"gho_1","scope":"repo"}"#).unwrap();
        assert!(tokens == UserTokens::lasting("gho_1".to_owned()));
    }

    #[test]
    fn only_a_bad_refresh_token_breaks_a_link() {
        let broken = read(r#"{"error":"bad_refresh_token","error_description":"expired"}"#);
        assert!(matches!(broken, Err(GithubError::LinkBroken)));
        let ours = read(r#"{"error":"incorrect_client_credentials"}"#);
        assert!(matches!(ours, Err(GithubError::Refused { .. })));
        assert!(matches!(read("<html>"), Err(GithubError::Form { .. })));
    }
}
