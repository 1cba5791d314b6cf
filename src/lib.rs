//! The edge Worker: a stateless front and its Durable Objects.
//!
//! # Layout
//!
//! - [`router`]: every route; [`api`], [`auth`]: handlers and who may call them.
//! - [`session`]: the object of one session; [`session::machine`] decides, purely.
//! - [`lobby`]: the object that tells pages how the list of sessions changes; [`tickets`]: who opens
//!   sockets.
//! - [`fleet`]: the object that knows the runners. [`user`]: one for each user, with their link to
//!   GitHub. [`tokens`]: one for each repository, with what the App acts by.
//! - [`images`]: the registry of images. [`artifacts`]: files beside sessions, in R2.
//! - [`hosts`]: which host answers what; [`pages`]: the web client.
//! - [`limits`]: how often somebody may ask.
//! - [`deliveries`]: what GitHub told, and who acts on it; [`work`]: the queue; [`wakes`]: what
//!   calls a session to work.
//! - [`database`]: D1. [`github`]: GitHub's API. [`config`], [`error`]: what the names say.
//! - [`slack`]: the team's chat, with one object for each of its channels.
//! - [`statistics`]: what sessions came to.
//! - [`platform`]: the only place that knows JavaScript and the clock.

pub mod api;
pub mod artifacts;
pub mod auth;
pub mod config;
pub mod database;
pub mod deliveries;
pub mod error;
pub mod fleet;
pub mod github;
pub mod hosts;
pub mod images;
pub mod limits;
pub mod lobby;
mod mac;
pub mod pages;
pub mod platform;
pub mod router;
pub mod secrets;
pub mod session;
pub mod slack;
pub mod statistics;
pub mod tickets;
pub mod tokens;
pub mod user;
pub mod wakes;
pub mod work;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use tower_service::Service as _;
use worker::{Context, Env, HttpRequest, MessageBatch, ScheduleContext, ScheduledEvent, event};

use self::platform::remainder::Remainder;
use self::work::Work;

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, context: Context) -> worker::Result<Response<Body>> {
    let (request, remainder) = Remainder::of(request);
    let response = answer(request, env, context).await;
    remainder.read().await;
    Ok(response)
}

async fn answer(mut request: Request<Body>, env: Env, context: Context) -> Response<Body> {
    let is_encrypted = config::public_url(&env).is_ok_and(|url| url.starts_with("https:"));
    if !hosts::answers(&env, request.uri()) {
        let refused = error::Error::NotFound("such endpoint");
        return router::secure(refused.into_response(), is_encrypted);
    }
    request.extensions_mut().insert(Arc::new(context));
    let response = router::router(env).call(request).await;
    let response = match response {
        Ok(response) => response,
        // The router answers its own errors; its error type has no values.
        Err(never) => match never {},
    };
    // A switch of protocols takes its headers from the handshake alone.
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    router::secure(response, is_encrypted)
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    for outcome in [
        images::refresh::refresh_all(&env).await,
        deliveries::sweep::sweep(&env).await,
        slack::channel::sweep(&env).await,
    ] {
        if let Err(error) = outcome {
            error.log();
        }
    }
    let swept = match artifacts::Artifacts::new(&env) {
        Ok(artifacts) => artifacts.sweep(platform::clock::now()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = swept {
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

#[event(queue)]
async fn queue(batch: MessageBatch<Work>, env: Env, _context: Context) -> worker::Result<()> {
    work::perform(&env, &batch).await;
    // Messages that are to come again were marked; an error here would be a panic.
    Ok(())
}
