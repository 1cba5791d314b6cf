//! Whoever is signed in.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::api::{Me, SetMe};

use super::Caller;
use super::extract::Input;
use crate::auth::policy::{Action, Subject};
use crate::database;
use crate::error::Error;

/// `GET /api/me`
#[worker::send]
pub async fn show(caller: Caller) -> Result<Response, Error> {
    caller.may(Action::View, Subject::Deployment, "").await?;
    let (person, role) = (caller.person, caller.actor.role);
    Ok(Json(Me { person, role }).into_response())
}

/// `PUT /api/me`: one's commits have an address that GitHub has verified to be one's own.
#[worker::send]
pub async fn set(
    caller: Caller,
    Input(SetMe { commit_email }): Input<SetMe>,
) -> Result<Response, Error> {
    caller
        .may(Action::ManageAccount, Subject::Deployment, "")
        .await?;
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
