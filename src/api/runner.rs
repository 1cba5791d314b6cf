//! What runners tell us and ask for, each message signed and taken once.

pub mod artifacts;
pub mod changes;
pub mod terminals;

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::callback::{
    Acknowledgement, Credentials, CredentialsRequest, ImageReport, Purpose, Register, Registered,
    Secrets, SecretsRequest,
};
use protocol::signature::{Signature, Signed};
use protocol::{ImageId, SessionId};
use serde::de::DeserializeOwned;
use worker::Env;

use super::extract::Path;
use super::{ask_session, parse_json, read_body};
use crate::database::{self, Database};
use crate::error::Error;
use crate::fleet::Stock;
use crate::github::Github;
use crate::github::app::{Level, Permissions};
use crate::images::{self, Taken};
use crate::platform::clock;
use crate::session::request::Request as Ask;
use crate::{config, fleet};

/// Most bytes of a batch: 200 reports whose texts are cut, and some.
const MAX_BATCH_BODY: usize = 16 * 1024 * 1024;
/// A piece of a log fits, however it is escaped, and a registration with everything a runner holds.
const MAX_MESSAGE_BODY: usize = 256 * 1024;

/// `POST /runner/callbacks/{session}`
#[worker::send]
pub async fn callbacks(
    State(env): State<Env>,
    Path(session): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (webhook_id, body) = verified(&env, request, MAX_BATCH_BODY).await?;
    let session = SessionId::parse(&session).map_err(|_| Error::NotFound("session"))?;
    let body = String::from_utf8(body)
        .map_err(|_| Error::invalid("malformed", "the body is not UTF-8"))?;
    ask_session(&env, &session, &Ask::Callbacks { webhook_id, body }).await
}

/// `POST /runner/register`
#[worker::send]
pub async fn register(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let register: Register = message(&env, request).await?;
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(&register.version) != major(protocol::VERSION) {
        let message = format!(
            "this deployment speaks version {}, the runner speaks {}: bring both to one release",
            protocol::VERSION,
            register.version
        );
        return Err(Error::invalid("wrong_version", message));
    }
    let mut repositories: BTreeSet<_> = register.repositories.iter().cloned().collect();
    let Stock { pool, lapsed } = fleet::register(&env, register).await?;
    repositories.extend(pool.iter().map(|target| target.base.repository.clone()));
    let database = Database::new(&env)?;
    let egress = database::repositories::egress(&database, repositories).await?;
    images::dispatch(&env, &database).await;
    let registered = Registered {
        registered: true,
        pool,
        egress,
        lapsed,
    };
    Ok(Json(registered).into_response())
}

/// `POST /runner/images/{image}`
#[worker::send]
pub async fn image(
    State(env): State<Env>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let report: ImageReport = message(&env, request).await?;
    let image = ImageId::parse(&image).map_err(|_| Error::NotFound("image"))?;
    let database = Database::new(&env)?;
    let (status, received) = match images::report(&env, &database, &image, report).await? {
        Taken::Received(received) => (StatusCode::OK, received),
        Taken::Gap(received) => (StatusCode::CONFLICT, received),
    };
    Ok((status, Json(Acknowledgement { received })).into_response())
}

/// `POST /runner/credentials`
#[worker::send]
pub async fn credentials(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let CredentialsRequest {
        repository,
        purpose,
    } = message(&env, request).await?;
    let contents = match purpose {
        Purpose::Image => Level::Read,
        Purpose::Session { session } => {
            let database = Database::new(&env)?;
            let known = database::sessions::repository_of(&database, &session).await?;
            if known.as_ref() != Some(&repository) {
                return Err(Error::NotFound("session of this repository"));
            }
            Level::Write
        }
    };
    let token = Github::new(&env)?
        .installation_token(&repository, Permissions::default().contents(contents))
        .await?;
    Ok(Json(Credentials {
        // What GitHub documents for git over HTTPS with an installation token.
        username: "x-access-token".to_owned(),
        password: token.token,
        expires_at: token.expires_at,
    })
    .into_response())
}

/// `POST /runner/secrets`: for the gateway, which lets none of them into a sandbox but those that
/// are meant to be there.
#[worker::send]
pub async fn secrets(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let SecretsRequest { session } = message(&env, request).await?;
    let database = Database::new(&env)?;
    let repository = database::sessions::repository_of(&database, &session)
        .await?
        .ok_or(Error::NotFound("session"))?;
    let secrets = database::secrets::reveal(&database, &repository).await?;
    Ok(Json(Secrets { secrets }).into_response())
}

/// `POST /runner/drill/{session}`
#[cfg(feature = "fault-drill")]
#[worker::send]
pub async fn drill(
    State(env): State<Env>,
    Path(session): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    verified(&env, request, MAX_MESSAGE_BODY).await?;
    let session = SessionId::parse(&session).map_err(|_| Error::NotFound("session"))?;
    ask_session(&env, &session, &Ask::Panic).await
}

/// `POST /runner/drill/{session}/life`
#[cfg(feature = "fault-drill")]
#[worker::send]
pub async fn life(
    State(env): State<Env>,
    Path(session): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    verified(&env, request, MAX_MESSAGE_BODY).await?;
    let session = SessionId::parse(&session).map_err(|_| Error::NotFound("session"))?;
    ask_session(&env, &session, &Ask::Life).await
}

/// A verified message that has not been here before.
async fn message<T: DeserializeOwned>(env: &Env, request: Request) -> Result<T, Error> {
    let (id, body) = verified(env, request, MAX_MESSAGE_BODY).await?;
    let message = parse_json(&body)?;
    if !fleet::first_sight(env, &id).await? {
        return Err(Error::Replayed);
    }
    Ok(message)
}

/// The identifier and body of a request whose signature is right. Nothing is parsed before.
async fn verified(env: &Env, request: Request, limit: usize) -> Result<(String, Vec<u8>), Error> {
    let (parts, body) = request.into_parts();
    let signature = signature_of(&parts.headers)?;
    let body = read_body(body, limit).await?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let signed = Signed {
        method: parts.method.as_str(),
        path,
        body: &body,
    };
    config::runner_keys(env)?.verify_request(&signature, clock::now(), signed)?;
    Ok((signature.id, body))
}

fn signature_of(headers: &HeaderMap) -> Result<Signature, Error> {
    Ok(Signature::from_headers(|name| {
        headers.get(name).and_then(|value| value.to_str().ok())
    })?)
}
