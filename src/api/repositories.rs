//! Repositories that a user reaches, and what each is set to.

use axum::Json;
use axum::response::{IntoResponse, Response};
use protocol::api::{BranchList, Deed, RepositoryDetail, RepositoryList, Settings};
use protocol::image::Base;
use serde::Deserialize;

use super::Caller;
use super::extract::{Input, Path, Query};
use crate::auth::policy::{Action, Subject};
use crate::auth::reach;
use crate::database::images::Wish;
use crate::error::Error;
use crate::images::checks;
use crate::platform::clock;
use crate::{database, fleet, images};

/// No branch's name is longer.
const MAX_BRANCH_QUERY: usize = 255;

/// `GET /api/repositories`
#[worker::send]
pub async fn list(caller: Caller) -> Result<Response, Error> {
    caller.may(Action::View, Subject::Deployment, "").await?;
    let (database, user) = (&caller.database, caller.person.id);
    let mut repositories = reach::repositories(database, &caller.github, user).await?;
    let ages = database::image_ages::of(database, &repositories).await?;
    for (repository, age) in repositories.iter_mut().zip(ages) {
        repository.image = age;
    }
    Ok(Json(RepositoryList { repositories }).into_response())
}

/// `GET /api/repositories/{owner}/{name}`
#[worker::send]
pub async fn show(
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, Error> {
    let (repository, default_branch) = caller.repository(&owner, &name, Action::View).await?;
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

#[derive(Deserialize)]
pub struct BranchQuery {
    #[serde(default)]
    query: String,
}

/// `GET /api/repositories/{owner}/{name}/branches?query=`
#[worker::send]
pub async fn branches(
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    Query(BranchQuery { query }): Query<BranchQuery>,
) -> Result<Response, Error> {
    let (repository, default_branch) = caller.repository(&owner, &name, Action::View).await?;
    if query.chars().count() > MAX_BRANCH_QUERY {
        let message = format!("look for at most {MAX_BRANCH_QUERY} characters");
        return Err(Error::invalid("malformed", message));
    }
    let github = &caller.github;
    let branches = github
        .as_user(caller.person.id, async |token| {
            let sought = query.trim();
            github
                .branches(token, &repository, &default_branch, sought)
                .await
        })
        .await?
        .ok_or(Error::NotFound("repository"))?;
    Ok(Json(BranchList { branches }).into_response())
}

/// `PUT /api/repositories/{owner}/{name}/settings`: another specification is built at once, another
/// egress policy holds at once.
#[worker::send]
pub async fn set(
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    Input(settings): Input<Settings>,
) -> Result<Response, Error> {
    let (repository, branch) = caller
        .repository(&owner, &name, Action::ManageSettings)
        .await?;
    checks::check_settings(&settings)?;
    let (database, now) = (&caller.database, clock::now());
    let login = &caller.person.login;
    let before = database::repositories::settings(database, &repository).await?;
    database::repositories::set(database, &repository, &settings, login, now).await?;
    caller
        .note(Deed::SettingsChanged, &repository.to_string())
        .await?;
    if before.egress != settings.egress {
        fleet::refresh(&caller.env, &repository).await;
    }
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
