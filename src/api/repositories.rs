//! Repositories that a user reaches, and images of them.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::ImageId;
use protocol::api::{RepositoryList, RepositorySummary};
use protocol::callback::Register;
use protocol::command::{BuildImage, Command};
use protocol::event::Repository;
use protocol::image::Base;
use serde_json::json;
use std::time::Duration;
use worker::Env;

use super::Caller;
use crate::error::Error;
use crate::platform::{clock, http, random};
use crate::{auth, config, database, fleet};

/// `GET /api/repositories`
#[worker::send]
pub async fn list(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    Ok(Json(RepositoryList {
        repositories: refresh(&caller).await?,
    })
    .into_response())
}

/// Asks GitHub what the caller reaches, with their own token, and writes it down.
pub async fn refresh(caller: &Caller) -> Result<Vec<RepositorySummary>, Error> {
    let token = database::users::github_token(&caller.database, caller.person.id)
        .await?
        .ok_or(Error::LinkBroken)?;
    let repositories = match caller.github.repositories(&token).await {
        Ok(repositories) => repositories,
        Err(error) if error.status() == Some(401) => return Err(Error::LinkBroken),
        Err(error) => return Err(error.into()),
    };
    let user = caller.person.id;
    database::users::remember_access(&caller.database, user, &repositories, clock::now()).await?;
    Ok(repositories)
}

/// `POST /api/repositories/{owner}/{name}/images`: builds the default branch's image, unless there
/// is one of its newest commit.
#[worker::send]
pub async fn build_image(
    State(env): State<Env>,
    Path((owner, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    let repository = Repository::new(&owner, &name).map_err(|_| Error::NotFound("repository"))?;
    let branch = auth::authorize_repository(
        &caller.database,
        &caller.github,
        &caller.person,
        &repository,
    )
    .await?;
    let Register { url, .. } = fleet::any(&caller.env).await?.ok_or(Error::NoRunner)?;
    let image = ImageId::from_random(random::bytes()?);
    let public_url = config::public_url(&caller.env)?;
    let command = Command::BuildImage(BuildImage {
        callback_url: format!("{public_url}/runner/images/{image}"),
        image,
        base: Base {
            repository,
            branch,
            environment: None,
        },
        specification: None,
        force: false,
    });
    let keys = config::runner_keys(&caller.env)?;
    let deadline = Duration::from_secs(10);
    let answer = http::post_signed(&keys, &url, "/commands", &command, deadline).await;
    match answer {
        Ok(answer) if answer.status == 202 => {
            Ok((StatusCode::ACCEPTED, Json(json!({ "status": "building" }))).into_response())
        }
        _ => Err(Error::NoRunner),
    }
}
