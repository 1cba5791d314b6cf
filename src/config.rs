//! Configuration: the Worker's variables and secrets, typed. Errors name the variable.
//!
//! README lists every variable with its default and meaning.

mod models;
pub mod slack;

pub use self::models::{default_model, models};

use protocol::signature::{KeyError, Keys};
use worker::Env;

use crate::auth::policy::People;
use crate::fleet::Budget;
use crate::limits;
use crate::platform::sealing::KeyRing;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{name} is not set: add it to wrangler.toml or with `wrangler secret put {name}`")]
    Missing { name: &'static str },
    #[error("{name} must be {expected}")]
    Form {
        name: &'static str,
        expected: &'static str,
    },
    #[error("RUNNER_KEYS cannot be used")]
    Keys(#[from] KeyError),
}

/// Where people reach this deployment: scheme, host and port, without a slash at the end.
pub fn public_url(env: &Env) -> Result<String, ConfigError> {
    Ok(required(env, "PUBLIC_URL")?
        .trim_end_matches('/')
        .to_owned())
}

/// Where links to files lead, if that is another host than the one that people sign in to.
pub fn artifacts_url(env: &Env) -> Option<String> {
    let url = optional(env, "ARTIFACTS_URL", "");
    Some(url.trim_end_matches('/').to_owned()).filter(|url| !url.is_empty())
}

/// Where what listens in sandboxes is reached, if that is set: another host than the one that people
/// sign in to, which leads to this Worker as well.
pub fn sandbox_url(env: &Env) -> Option<String> {
    let url = optional(env, "SANDBOX_URL", "");
    Some(url.trim_end_matches('/').to_owned()).filter(|url| !url.is_empty())
}

/// Keys shared with the runners, newest first.
pub fn runner_keys(env: &Env) -> Result<Keys, ConfigError> {
    Ok(Keys::parse(&required(env, "RUNNER_KEYS")?)?)
}

/// What seals tokens and secrets at rest: the keys of `ENCRYPTION_KEYS`, then `ENCRYPTION_KEY`.
pub fn encryption_keys(env: &Env) -> Result<KeyRing, ConfigError> {
    let ring = optional(env, "ENCRYPTION_KEYS", "");
    let single = optional(env, "ENCRYPTION_KEY", "");
    if ring.is_empty() && single.is_empty() {
        let name = "ENCRYPTION_KEYS";
        return Err(ConfigError::Missing { name });
    }
    KeyRing::parse(&ring, &single).ok_or(ConfigError::Form {
        name: "ENCRYPTION_KEYS",
        expected: "`id:base64` of 32 random bytes each, ids different, separated by spaces; \
                   ENCRYPTION_KEY the base64 alone",
    })
}

/// Who administers this deployment.
pub fn administrators(env: &Env) -> People {
    People::parse(&optional(env, "ADMINISTRATORS", ""))
}

/// Who may come in at all; everybody with a GitHub account if nobody is named.
pub fn allowed_users(env: &Env) -> Option<People> {
    let people = People::parse(&optional(env, "ALLOWED_USERS", ""));
    Some(people).filter(|people| !people.is_empty())
}

/// How often one user may change something.
pub fn changes_per_minute(env: &Env) -> Result<u32, ConfigError> {
    let default = limits::CHANGES_PER_MINUTE.to_string();
    let rate = optional(env, "CHANGES_PER_MINUTE", &default).parse().ok();
    rate.filter(|rate| (1..=1_000_000).contains(rate))
        .ok_or(ConfigError::Form {
            name: "CHANGES_PER_MINUTE",
            expected: "a whole number from 1 to 1000000",
        })
}

/// Minutes that a sandbox without work stays awake, unless `IDLE_MINUTES` says otherwise.
pub const IDLE_MINUTES: i64 = 10;

pub fn idle_minutes(env: &Env) -> Result<i64, ConfigError> {
    let text = optional(env, "IDLE_MINUTES", &IDLE_MINUTES.to_string());
    let minutes = text.parse().ok();
    minutes
        .filter(|minutes| (1..=1440).contains(minutes))
        .ok_or(ConfigError::Form {
            name: "IDLE_MINUTES",
            expected: "a whole number from 1 to 1440",
        })
}

/// What warm sandboxes cost, and may cost in a day.
pub fn pool_budget(env: &Env) -> Result<Budget, ConfigError> {
    let hour = optional(env, "SANDBOX_HOUR_USD", "");
    let day = optional(env, "POOL_BUDGET_USD", "");
    if Budget::parse(&hour, "").is_none() {
        return Err(ConfigError::Form {
            name: "SANDBOX_HOUR_USD",
            expected: "dollars, up to a million",
        });
    }
    Budget::parse(&hour, &day).ok_or(ConfigError::Form {
        name: "POOL_BUDGET_USD",
        expected: "dollars for a day, up to a million, and needs SANDBOX_HOUR_USD, the dollars that one warm \
                   sandbox costs in an hour",
    })
}

/// What GitHub signs its webhooks with; without it there are none.
pub fn github_webhook_secret(env: &Env) -> Option<String> {
    Some(optional(env, "GITHUB_WEBHOOK_SECRET", "")).filter(|secret| !secret.is_empty())
}

/// How GitHub is reached and who we are there.
#[derive(Clone)]
pub struct Github {
    pub url: String,
    pub api_url: String,
    pub client_id: String,
    pub client_secret: String,
    pub app_id: String,
    /// PEM, PKCS#1 as GitHub hands it out or PKCS#8.
    pub private_key: String,
}

impl Github {
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let trim = |url: String| url.trim_end_matches('/').to_owned();
        Ok(Self {
            url: trim(optional(env, "GITHUB_URL", "https://github.com")),
            api_url: trim(optional(env, "GITHUB_API_URL", "https://api.github.com")),
            client_id: required(env, "GITHUB_CLIENT_ID")?,
            client_secret: required(env, "GITHUB_CLIENT_SECRET")?,
            app_id: required(env, "GITHUB_APP_ID")?,
            private_key: required(env, "GITHUB_APP_PRIVATE_KEY")?.replace("\\n", "\n"),
        })
    }
}

fn required(env: &Env, name: &'static str) -> Result<String, ConfigError> {
    env.var(name)
        .ok()
        .map(|value| value.to_string())
        .filter(|value| !value.is_empty())
        .ok_or(ConfigError::Missing { name })
}

fn optional(env: &Env, name: &str, default: &str) -> String {
    env.var(name)
        .ok()
        .map(|value| value.to_string())
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| default.to_owned())
}
