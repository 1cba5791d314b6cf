//! Figures: of what sessions came to in repositories that the caller reaches, and of the whole
//! deployment's pools, which name no repository.

use axum::Json;
use axum::response::{IntoResponse, Response};
use protocol::api::WINDOWS;
use protocol::event::Repository;
use serde::Deserialize;

use super::Caller;
use super::extract::Query;
use crate::auth::policy::{Action, Subject};
use crate::auth::reach;
use crate::error::Error;
use crate::platform::clock;
use crate::{database, fleet, statistics};

#[derive(Deserialize)]
pub struct StatisticsQuery {
    #[serde(default = "shortest")]
    days: u32,
    #[serde(default)]
    repository: Option<Repository>,
}

fn shortest() -> u32 {
    let [days, ..] = WINDOWS;
    days
}

/// `GET /api/statistics?days=&repository=`
#[worker::send]
pub async fn show(caller: Caller, Query(query): Query<StatisticsQuery>) -> Result<Response, Error> {
    caller.may(Action::View, Subject::Deployment, "").await?;
    let StatisticsQuery { days, repository } = query;
    if !WINDOWS.contains(&days) {
        let message = "figures are of the last 7, 30 or 90 days";
        return Err(Error::invalid("bad_window", message));
    }
    let user = caller.person.id;
    match &repository {
        Some(named) => {
            caller.reach(named, Action::View).await?;
        }
        None => reach::refresh(&caller.database, &caller.github, user).await?,
    }
    let now = clock::now();
    let since = statistics::beginning(days, now);
    let one = repository.as_ref();
    let facts = database::statistics::facts(&caller.database, user, one, since, now).await?;
    Ok(Json(statistics::figures(&facts, days, repository, now)).into_response())
}

/// `GET /api/statistics/pool`
#[worker::send]
pub async fn pool(caller: Caller) -> Result<Response, Error> {
    caller.may(Action::View, Subject::Deployment, "").await?;
    Ok(Json(fleet::pool_figures(&caller.env).await?).into_response())
}
