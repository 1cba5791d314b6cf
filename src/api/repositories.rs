//! Repositories that a user reaches, and what each is set to.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use protocol::api::{RepositoryDetail, RepositoryList, RepositorySummary, Settings};
use protocol::image::Base;
use worker::Env;

use super::{Caller, read_json};
use crate::database::images::Wish;
use crate::error::Error;
use crate::images::checks;
use crate::platform::clock;
use crate::{database, images};

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
    let user = caller.person.id;
    let github = &caller.github;
    let repositories = github
        .as_user(user, async |token| github.repositories(token).await)
        .await?;
    database::users::remember_access(&caller.database, user, &repositories, clock::now()).await?;
    Ok(repositories)
}

/// `GET /api/repositories/{owner}/{name}`
#[worker::send]
pub async fn show(
    State(env): State<Env>,
    Path((owner, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    let (repository, default_branch) = caller.repository(&owner, &name).await?;
    let settings = database::repositories::settings(&caller.database, &repository).await?;
    let base = Base {
        repository,
        branch: default_branch,
        environment: None,
    };
    let rows = database::images::of_base(&caller.database, &base).await?;
    Ok(Json(RepositoryDetail {
        image: rows.first().map(|row| row.image()).transpose()?,
        repository: base.repository,
        default_branch: base.branch,
        settings,
    })
    .into_response())
}

/// `PUT /api/repositories/{owner}/{name}/settings`: another specification is built at once.
#[worker::send]
pub async fn set(
    State(env): State<Env>,
    Path((owner, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    let (repository, branch) = caller.repository(&owner, &name).await?;
    let settings: Settings = read_json(body).await?;
    checks::check_settings(&settings)?;
    let (database, now) = (&caller.database, clock::now());
    let login = &caller.person.login;
    let before = database::repositories::settings(database, &repository).await?;
    database::repositories::set(database, &repository, &settings, login, now).await?;
    if before.specification != settings.specification {
        let base = Base {
            repository,
            branch,
            environment: None,
        };
        database::bases::used(database, &base, now).await?;
        let wish = Wish {
            behind: true,
            ..images::wish(&base, "the specification changed", login, now)
        };
        images::request(database, &wish).await?;
        images::dispatch(&caller.env, database).await;
    }
    Ok(Json(settings).into_response())
}
