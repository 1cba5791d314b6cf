//! Who asked for a line, and why.

use axum::Json;
use axum::response::{IntoResponse, Response};
use protocol::api::Blame;
use protocol::branch::is_branch_name;
use protocol::event::Prompt;
use protocol::{PromptId, SessionId};
use serde::Deserialize;
use worker::Env;

use super::extract::{Path, Query};
use super::{Caller, ask_session};
use crate::auth::policy::Action;
use crate::database;
use crate::error::Error;
use crate::session::forge::ForgeRequest;
use crate::session::request::Request as Ask;

const MAX_PATH: usize = 4096;

#[derive(Deserialize)]
pub struct BlameQuery {
    path: String,
    line: u64,
    /// A branch, a tag or a commit; the default branch without it.
    #[serde(rename = "ref")]
    reference: Option<String>,
}

/// `GET /api/repositories/{owner}/{name}/blame`: GitHub tells the commit, with the caller's own
/// token; the commit's trailers tell the session and the prompt.
#[worker::send]
pub async fn show(
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    Query(query): Query<BlameQuery>,
) -> Result<Response, Error> {
    let (repository, default_branch) = caller.repository(&owner, &name, Action::View).await?;
    let reference = query.reference.unwrap_or(default_branch);
    if !is_branch_name(&reference) {
        let message = "`ref` is a branch, a tag or a commit";
        return Err(Error::invalid("bad_branch", message));
    }
    if query.path.is_empty() || query.path.len() > MAX_PATH || query.line == 0 {
        let message = "`path` names a file from the root of the repository, `line` counts from 1";
        return Err(Error::invalid("malformed", message));
    }
    let (github, user) = (&caller.github, caller.person.id);
    let (path, line) = (&query.path, query.line);
    let blamed = github.as_user(user, async |token: &str| {
        github
            .blame(token, &repository, &reference, path, line)
            .await
    });
    let commit = match blamed.await {
        // GraphQL says so of what is not there.
        Err(Error::Github(error)) if error.status() == Some(422) => None,
        outcome => outcome?,
    };
    let commit = commit.ok_or(Error::NotFound("such line"))?;
    let mut origin = commit.origin();
    // Trailers are text that anybody can write: they count for sessions of this repository only.
    if let Some(session) = &origin.session {
        let of = database::sessions::repository_of(&caller.database, session).await?;
        if of.as_ref() != Some(&repository) {
            (origin.session, origin.prompt) = (None, None);
        }
    }
    let text = match (&origin.session, &origin.prompt) {
        (Some(session), Some(prompt)) => prompt_text(&caller.env, session, prompt).await?,
        _ => None,
    };
    let author = commit.author.as_ref();
    let author = author.map(|author| {
        let name = author.name.as_deref().unwrap_or_default();
        format!("{name} <{}>", author.email.as_deref().unwrap_or_default())
    });
    Ok(Json(Blame {
        pull_request: commit.pull_request_number(),
        commit: commit.oid,
        author: author.unwrap_or_default(),
        session: origin.session,
        prompt: origin.prompt,
        prompt_text: text,
        model: origin.model,
        co_authors: origin.co_authors,
    })
    .into_response())
}

async fn prompt_text(
    env: &Env,
    session: &SessionId,
    prompt: &PromptId,
) -> Result<Option<String>, Error> {
    let prompt = prompt.clone();
    let ask = Ask::Forge(ForgeRequest::Prompt { prompt });
    let answer = ask_session(env, session, &ask).await?;
    if !answer.status().is_success() {
        return Ok(None);
    }
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
    let prompt = body
        .ok()
        .and_then(|body| serde_json::from_slice::<Prompt>(&body).ok());
    Ok(prompt.map(|prompt| prompt.text))
}
