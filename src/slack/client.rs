//! Slack's Web API, as far as we use it. Every call has a deadline, and every failure says whether
//! another try may succeed and when.

mod files;
mod lookup;
mod messages;
mod streams;

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::lookup::Profile;
use crate::github::oauth::encode_component;
use crate::platform::http::{self, HttpError};

const DEADLINE: Duration = Duration::from_secs(10);

/// If Slack does not say when to try again.
const RETRY_AFTER_SECONDS: i64 = 5;

#[derive(Debug, thiserror::Error)]
pub enum SlackError {
    #[error("Slack could not be reached")]
    Http(#[from] HttpError),
    #[error("Slack wants {method} to be tried again in {seconds} s")]
    Limited { method: &'static str, seconds: i64 },
    #[error("Slack failed at {method}: {status}")]
    Failed { method: &'static str, status: u16 },
    #[error("Slack refused {method}: {code}")]
    Refused { method: &'static str, code: String },
    #[error("Slack's answer to {method} is of another form")]
    Form {
        method: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

impl SlackError {
    /// Whether another try may succeed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Http(_) | Self::Limited { .. } | Self::Failed { .. } => true,
            Self::Refused { code, .. } => matches!(
                code.as_str(),
                "internal_error"
                    | "fatal_error"
                    | "service_unavailable"
                    | "ratelimited"
                    | "request_timeout"
            ),
            Self::Form { .. } => false,
        }
    }

    /// Whether it is our token that Slack does not take, and so no call of ours.
    pub fn is_disconnected(&self) -> bool {
        matches!(
            self.code(),
            "invalid_auth"
                | "not_authed"
                | "account_inactive"
                | "token_revoked"
                | "token_expired"
                // As events tell it, which are kept as the reason.
                | "app_uninstalled"
                | "tokens_revoked"
        )
    }

    /// Whether it is this call that Slack does not take: another one may do instead.
    pub fn is_of_the_call(&self) -> bool {
        !self.is_passing() && !self.is_disconnected()
    }

    /// Milliseconds for which nothing of this kind is to be asked.
    pub fn wait_ms(&self) -> Option<i64> {
        match self {
            Self::Limited { seconds, .. } => Some(seconds.saturating_mul(1000)),
            _ => None,
        }
    }

    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }
}

/// How Slack is reached, and as whom.
#[derive(Clone)]
pub struct Slack {
    pub api_url: String,
    pub token: String,
}

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    pub channel: &'a str,
    pub root: Option<&'a str>,
}

impl Slack {
    async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        body: &Value,
    ) -> Result<T, SlackError> {
        let request = reqwest::Client::new()
            .post(format!("{}/{method}", self.api_url))
            .header("content-type", "application/json; charset=utf-8")
            .bearer_auth(&self.token)
            .body(body.to_string());
        self.exchange(method, request).await
    }

    /// Methods that read do not take JSON.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        fields: &[(&str, &str)],
    ) -> Result<T, SlackError> {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encode_component(value)))
            .collect();
        let request = reqwest::Client::new()
            .post(format!("{}/{method}", self.api_url))
            .header("content-type", "application/x-www-form-urlencoded")
            .bearer_auth(&self.token)
            .body(body.join("&"));
        self.exchange(method, request).await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, SlackError> {
        let answer = http::send(request, "Slack", DEADLINE).await?;
        let wait = answer
            .headers
            .get("retry-after")
            .and_then(|value| value.to_str().ok());
        read(method, answer.status, wait, &answer.body)
    }
}

/// What Slack's answer says.
fn read<T: DeserializeOwned>(
    method: &'static str,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Result<T, SlackError> {
    #[derive(Deserialize)]
    struct Verdict {
        ok: bool,
        error: Option<String>,
    }
    if status == 429 {
        let seconds = retry_after.and_then(|text| text.trim().parse().ok());
        let seconds = seconds.unwrap_or(RETRY_AFTER_SECONDS).clamp(1, 3600);
        return Err(SlackError::Limited { method, seconds });
    }
    let form = |source| SlackError::Form { method, source };
    match serde_json::from_slice::<Verdict>(body) {
        Ok(Verdict { ok: true, .. }) => serde_json::from_slice(body).map_err(form),
        Ok(Verdict { error, .. }) => {
            let code = error.unwrap_or_default();
            Err(SlackError::Refused { method, code })
        }
        // How a server that stands in for Slack says that it has no such method.
        Err(_) if status == 404 => Err(SlackError::Refused {
            method,
            code: "unknown_method".to_owned(),
        }),
        Err(_) if !(200..300).contains(&status) => Err(SlackError::Failed { method, status }),
        Err(error) => Err(form(error)),
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn verdict(status: u16, wait: Option<&str>, body: &str) -> SlackError {
        match read::<Value>("chat.update", status, wait, body.as_bytes()) {
            Err(error) => error,
            Ok(value) => panic!("{value}"),
        }
    }

    #[test]
    fn a_failure_says_whether_and_when_to_try_again() {
        let limited = verdict(429, Some("30"), "");
        assert_eq!(
            (limited.is_passing(), limited.wait_ms()),
            (true, Some(30_000))
        );
        assert_eq!(verdict(429, None, "x").wait_ms(), Some(5000));
        assert!(verdict(500, None, "oops").is_passing());
        assert!(verdict(200, None, r#"{"ok":false,"error":"internal_error"}"#).is_passing());
        let refused = verdict(200, None, r#"{"ok":false,"error":"channel_not_found"}"#);
        assert_eq!(
            (refused.is_passing(), refused.code()),
            (false, "channel_not_found")
        );
        assert!(!verdict(200, None, "<html>").is_passing());
        assert!(refused.is_of_the_call() && !refused.is_disconnected());
        let dead = verdict(200, None, r#"{"ok":false,"error":"token_revoked"}"#);
        assert!(dead.is_disconnected() && !dead.is_of_the_call() && !dead.is_passing());
        // What an event told is the code of the failing check.
        let told = verdict(200, None, r#"{"ok":false,"error":"app_uninstalled"}"#);
        assert!(told.is_disconnected());
    }
}
