//! GitHub's web flow with state and PKCE (S256).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{DEADLINE, Github, GithubError, USER_AGENT, refusal};
use crate::platform::http;

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

/// GitHub answers 200 to a refused code, with `error` in the body.
#[derive(Deserialize)]
struct ExchangeAnswer {
    access_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
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

    /// The user's token for a code, or why there is none.
    pub async fn exchange(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<String, GithubError> {
        let what = "the code exchange".to_owned();
        let body = Exchange {
            client_id: &self.config.client_id,
            client_secret: &self.config.client_secret,
            code,
            redirect_uri,
            code_verifier: verifier,
        };
        let request = self
            .client
            .post(format!("{}/login/oauth/access_token", self.config.url))
            .header("accept", "application/json")
            .header("user-agent", USER_AGENT)
            .json(&body);
        let answer = http::send(request, &self.config.url, DEADLINE).await?;
        if !(200..300).contains(&answer.status) {
            return Err(refusal(what, answer.status, &answer.body));
        }
        let answer: ExchangeAnswer =
            serde_json::from_slice(&answer.body).map_err(|source| GithubError::Form {
                what: what.clone(),
                source,
            })?;
        answer.access_token.ok_or_else(|| GithubError::Refused {
            what,
            status: 401,
            message: answer
                .error_description
                .or(answer.error)
                .unwrap_or_default(),
        })
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
