//! Check runs: the emulator does not keep which App made each, and GitHub tells it everywhere.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};

use super::api::pass_on;
use super::app::AppCredentials;
use super::json::{number, text};
use super::reply::{Refusal, json_response};
use super::site::{Call, Site, respond};
use super::token::{Grant, Holder};

/// The number of GitHub Actions among Apps, which stands for all others here.
const ACTIONS: u64 = 15_368;

/// The check runs that our App made.
#[derive(Debug, Default)]
pub(super) struct OwnRuns(Mutex<BTreeSet<u64>>);

impl OwnRuns {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a path below a repository's is about check runs.
pub(super) fn is_about(rest: &[&str]) -> bool {
    matches!(
        rest,
        ["check-runs", ..] | ["commits", _, "check-runs"] | ["check-suites", _, "check-runs"]
    )
}

/// Answers as the emulator does, which asks for the permission itself, and says whose each run is.
pub(super) async fn answer(site: &Site, call: &Call, grant: &Grant) -> Result<Response, Refusal> {
    let answer = pass_on(site, call).await?;
    if !answer.status.is_success() {
        return Ok(respond(site, &answer));
    }
    let mut body = answer.json();
    let is_app = matches!(grant.holder, Holder::Installation { .. });
    if call.method == Method::POST && is_app {
        site.own_runs.lock().insert(number(&body, "/id"));
    }
    let runs = body.get_mut("check_runs").and_then(Value::as_array_mut);
    match runs {
        Some(runs) => {
            for run in runs {
                sign(site, run);
            }
        }
        None => sign(site, &mut body),
    }
    Ok(json_response(answer.status, &body))
}

/// Completes what is told of a check run. It may be told of before its maker is answered.
pub(super) fn complete(site: &Site, payload: &mut Value) {
    let is_own = text(payload, "/sender/login") == site.app.bot_login;
    if let Some(run) = payload.get_mut("check_run") {
        if is_own {
            site.own_runs.lock().insert(number(run, "/id"));
        }
        sign(site, run);
    }
}

fn sign(site: &Site, run: &mut Value) {
    let is_own = site.own_runs.lock().contains(&number(run, "/id"));
    if let Some(fields) = run.as_object_mut() {
        fields.insert("app".to_owned(), app(&site.app, is_own));
    }
}

fn app(own: &AppCredentials, is_own: bool) -> Value {
    match is_own {
        true => json!({"id": own.app_id, "slug": own.slug, "name": own.name}),
        false => json!({"id": ACTIONS, "slug": "github-actions", "name": "GitHub Actions"}),
    }
}
