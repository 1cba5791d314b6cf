//! The edge Worker: a stateless front and two Durable Objects.
//!
//! # Layout
//!
//! - [`router`]: every route; [`api`], [`auth`]: handlers and who may call them.
//! - [`session`]: the object of one session; [`session::machine`] decides, purely.
//! - [`fleet`]: the object that knows the runners.
//! - [`images`]: the registry of images. [`limits`]: how often somebody may ask.
//! - [`database`]: D1. [`github`]: GitHub's API. [`config`], [`error`]: what the names say.
//! - [`platform`]: the only place that knows JavaScript and the clock.

pub mod api;
pub mod auth;
pub mod config;
pub mod database;
pub mod error;
pub mod fleet;
pub mod github;
pub mod images;
pub mod limits;
pub mod platform;
pub mod router;
pub mod secrets;
pub mod session;

use axum::body::Body;
use tower_service::Service as _;
use worker::{Context, Env, HttpRequest, ScheduleContext, ScheduledEvent, event};

#[event(fetch)]
async fn fetch(
    request: HttpRequest,
    env: Env,
    _context: Context,
) -> worker::Result<axum::http::Response<Body>> {
    let is_encrypted = config::public_url(&env).is_ok_and(|url| url.starts_with("https:"));
    let response = router::router(env).call(request).await;
    let response = match response {
        Ok(response) => response,
        // The router answers its own errors; its error type has no values.
        Err(never) => match never {},
    };
    // A switch of protocols takes its headers from the handshake alone.
    if response.status() == axum::http::StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    Ok(router::secure(response, is_encrypted))
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    if let Err(error) = images::refresh::refresh_all(&env).await {
        error.log();
    }
    if let Err(error) = forget(&env).await {
        error.log();
    }
}

/// Lets go of what has expired.
async fn forget(env: &Env) -> Result<(), error::Error> {
    let (database, now) = (database::Database::new(env)?, platform::clock::now());
    database::logins::forget(&database, now).await?;
    database::tokens::forget(&database, now).await?;
    Ok(database::audit::forget(&database, now).await?)
}
