//! Whoever is signed in.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::api::{Me, SetMe};
use worker::Env;

use super::{Caller, read_json};
use crate::database;
use crate::error::Error;

/// `GET /api/me`
#[worker::send]
pub async fn show(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    Ok(Json(Me {
        person: caller.person,
    })
    .into_response())
}

/// `PUT /api/me`: one's commits have an address that GitHub has verified to be one's own.
#[worker::send]
pub async fn set(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(env, &parts).await?;
    let SetMe { commit_email } = read_json(body).await?;
    let (github, user) = (&caller.github, caller.person.id);
    if let Some(wanted) = &commit_email {
        let asked = github.as_user(user, async |token: &str| {
            github.verified_emails(token).await
        });
        let verified = match asked.await {
            Err(Error::Github(error)) if matches!(error.status(), Some(403 | 404)) => {
                let message = "GitHub does not tell your addresses to this App: it needs the \
                               account permission “Email addresses: read”";
                return Err(Error::invalid("emails_unknown", message));
            }
            outcome => outcome?,
        };
        if !verified.contains(wanted) {
            let message = "GitHub has not verified this address to be yours";
            return Err(Error::invalid("email_not_verified", message));
        }
    }
    let chosen = commit_email.as_deref();
    database::commit_emails::choose(&caller.database, user, chosen).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
