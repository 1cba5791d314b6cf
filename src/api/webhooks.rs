//! What other services tell us, signed by them.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::signature::SignatureError;
use serde_json::json;
use worker::Env;

use super::{malformed, read_body};
use crate::config;
use crate::deliveries::{self, Receipt};
use crate::error::Error;
use crate::github::event::Event;
use crate::github::webhook::{
    self, DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER, TARGET_HEADER,
};

/// GitHub sends no more.
const MAX_PAYLOAD: usize = 25 * 1024 * 1024;

/// `POST /github/webhooks`. Nothing is parsed before its signature is found to be right, and GitHub
/// is answered as soon as the delivery is recorded.
#[worker::send]
pub async fn github(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let secret = config::github_webhook_secret(&env).ok_or(Error::NotFound("such endpoint"))?;
    let (parts, body) = request.into_parts();
    let signature = header(&parts.headers, SIGNATURE_HEADER).ok_or(SignatureError::Missing)?;
    let body = read_body(body, MAX_PAYLOAD).await?;
    if !webhook::is_signed(&secret, &body, signature) {
        return Err(SignatureError::Mismatch.into());
    }
    if let Some(target) = header(&parts.headers, TARGET_HEADER)
        && target != config::Github::from_env(&env)?.app_id
    {
        let message = "this is the webhook of something else than our App";
        return Err(Error::invalid("wrong_app", message));
    }
    let delivery = header(&parts.headers, DELIVERY_HEADER)
        .filter(|id| (1..=100).contains(&id.len()))
        .ok_or_else(|| Error::invalid("malformed", "the delivery has no identifier"))?;
    let name = match header(&parts.headers, EVENT_HEADER) {
        Some("ping") => return Ok(Json(json!({ "pong": true })).into_response()),
        Some(name) if Event::is_acted_on(name) => name,
        _ => return Ok(accepted("ignored")),
    };
    let body = std::str::from_utf8(&body).map_err(malformed)?;
    Ok(accepted(
        match deliveries::receive(&env, delivery, name, body).await? {
            Receipt::Queued => "queued",
            Receipt::Known => "known",
        },
    ))
}

fn accepted(status: &str) -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "status": status }))).into_response()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
