//! A session's pull requests, as people want them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::api::{ChangePullRequest, WishPullRequest};
use protocol::branch::is_of_session;
use protocol::callback::PullRequestWish;
use serde_json::{Map, Value, json};

use super::extract::{Input, Path};
use super::sessions::checked_branch;
use super::{Caller, ask_session};
use crate::auth::policy::Action;
use crate::database;
use crate::error::Error;
use crate::github::GithubError;
use crate::github::pull_request::session_of;
use crate::session::forge::ForgeRequest;
use crate::session::request::Request as Ask;

/// GitHub's limit.
const MAX_TITLE: usize = 256;

/// `POST /api/sessions/{session}/pull-requests`
#[worker::send]
pub async fn wish(
    caller: Caller,
    Path(id): Path<String>,
    Input(wanted): Input<WishPullRequest>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Prompt).await?;
    let WishPullRequest {
        branch,
        title,
        draft,
    } = wanted;
    if let Some(branch) = &branch
        && !is_of_session(&format!("agent/{session}"), branch)
    {
        let message =
            format!("the branches of this session are agent/{session} and agent/{session}-<topic>");
        return Err(Error::invalid("bad_branch", message));
    }
    let wish = PullRequestWish {
        title: title.map(checked_title).transpose()?,
        body: None,
        draft,
    };
    let by = caller.person.clone();
    let ask = ForgeRequest::Wish { branch, wish, by };
    let answer = ask_session(&caller.env, &session, &Ask::Forge(ask)).await?;
    if !answer.status().is_success() {
        return Ok(answer);
    }
    // It is opened as soon as there are commits, which the log tells.
    Ok(StatusCode::ACCEPTED.into_response())
}

/// `PATCH /api/sessions/{session}/pull-requests/{number}`: at GitHub, with the caller's own token.
#[worker::send]
pub async fn change(
    caller: Caller,
    Path((id, number)): Path<(String, u64)>,
    Input(wanted): Input<ChangePullRequest>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::Prompt).await?;
    let ChangePullRequest { title, base, draft } = wanted;
    let repository = database::sessions::repository_of(&caller.database, &session)
        .await?
        .ok_or(Error::NotFound("session"))?;
    let mut change = Map::new();
    if let Some(title) = title {
        change.insert("title".to_owned(), json!(checked_title(title)?));
    }
    if let Some(base) = base {
        change.insert("base".to_owned(), json!(checked_branch(base)?));
    }
    let (github, user) = (&caller.github, caller.person.id);
    let found = github.as_user(user, async |token: &str| {
        github.pull_request(token, &repository, number).await
    });
    let found = match found.await {
        Err(Error::Github(error)) if error.status() == Some(404) => {
            return Err(Error::NotFound("pull request"));
        }
        outcome => outcome?,
    };
    let is_own = session_of(&found.head.branch).as_ref() == Some(&session);
    if !is_own || !found.is_within(&repository) {
        return Err(Error::NotFound("pull request"));
    }
    if let Some(draft) = draft.filter(|draft| *draft != found.draft) {
        let set = github.as_user(user, async |token: &str| {
            github.set_draft(token, &found, draft).await
        });
        let set = set.await;
        set.map_err(|error| refused(error, "it could not be made a draft, or ready for review"))?;
    }
    let change = Value::Object(change);
    let changed = github.as_user(user, async |token: &str| {
        if change == json!({}) {
            return github.pull_request(token, &repository, number).await;
        }
        github
            .change_pull_request(token, &repository, number, &change)
            .await
    });
    let changed = changed.await;
    let changed = changed.map_err(|error| refused(error, "it could not be changed"))?;
    Ok(Json(changed.summary()).into_response())
}

/// What GitHub does not take is the client's to know, in GitHub's words.
fn refused(error: Error, what: &str) -> Error {
    match &error {
        Error::Github(GithubError::Refused {
            status: 400..=499,
            message,
            ..
        }) => Error::invalid("github_refused", format!("{what}: {message}")),
        _ => error,
    }
}

fn checked_title(title: String) -> Result<String, Error> {
    let title = title.trim();
    let fits = (1..=MAX_TITLE).contains(&title.chars().count());
    if fits && !title.chars().any(char::is_control) {
        Ok(title.to_owned())
    } else {
        let message = format!("a title is one line of at most {MAX_TITLE} characters");
        Err(Error::invalid("bad_title", message))
    }
}
