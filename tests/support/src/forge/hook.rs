//! Webhooks as GitHub sends them: the emulator says what happened, and this passes it on.
//!
//! The emulator's deliveries have no identifier of their own and tell of commits that are no more.
//! Here each gets one, carries the branches as they are now, and is signed with the secret of
//! whoever listens.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::json::text;
use super::pull;
use super::reply::Refusal;
use super::site::{Call, Site};
use crate::random;

/// Where the emulator posts to.
pub(super) const PATH: &str = "_forge/webhook";

const DEADLINE: Duration = Duration::from_secs(10);

/// Who listens, once somebody does.
#[derive(Debug, Default)]
pub(super) struct Listener(RwLock<Option<Target>>);

#[derive(Debug, Clone)]
struct Target {
    url: String,
    secret: String,
}

impl Listener {
    pub(super) fn set(&self, url: &str, secret: &str) {
        let target = Target {
            url: url.to_owned(),
            secret: secret.to_owned(),
        };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(target);
    }
}

/// Takes a delivery of the emulator's and passes it on.
pub(super) async fn relay(site: &Site, call: &Call) -> Result<Response, Refusal> {
    let listener = &site.listener.0;
    let target = listener
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let Some(target) = target else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let mut payload: Value =
        serde_json::from_slice(&call.body).map_err(|_| Refusal::not_found())?;
    let name = text(&payload, "/repository/full_name");
    let repository = name
        .split_once('/')
        .and_then(|(owner, name)| site.repositories.find(owner, name));
    if let (Some(repository), Some(pull)) = (repository, payload.get_mut("pull_request")) {
        pull::bring_up_to_date(&repository, pull).await?;
    }
    let event = call.headers.get("x-github-event");
    let event = event.and_then(|value| value.to_str().ok());
    send(&target, event.unwrap_or_default(), payload.to_string()).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Nobody waits for a listener, as with GitHub.
async fn send(target: &Target, event: &str, body: String) {
    let Ok(id) = random::token(32) else { return };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(target.secret.as_bytes()) else {
        return;
    };
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let request = reqwest::Client::new()
        .post(&target.url)
        .header("content-type", "application/json")
        .header("user-agent", "GitHub-Hookshot/forge")
        .header("x-github-event", event)
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", format!("sha256={digits}"))
        .timeout(DEADLINE)
        .body(body);
    match request.send().await {
        Ok(answer) if answer.status().is_success() => {}
        Ok(answer) => tracing::warn!(event, status = %answer.status(), "a webhook was not taken"),
        Err(error) => tracing::warn!(event, %error, "a webhook was not delivered"),
    }
}
