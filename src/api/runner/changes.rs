//! What a prompt has changed, brought by the runner.

use axum::extract::{Request, State};
use axum::response::Response;
use protocol::SessionId;
use protocol::api::{ChangedFile, Changes, ChangesScope, KeepChanges};
use worker::Env;

use super::verified;
use crate::api::extract::Path;
use crate::api::{ask_session, parse_json};
use crate::artifacts::{Artifacts, Key};
use crate::error::Error;
use crate::fleet;
use crate::session::changes::ChangesRequest;
use crate::session::machine::changes::KeptChanges;
use crate::session::request::Request as Ask;

/// Both scopes with all their patches, and long names.
const MAX_CHANGES_BODY: usize = 24 * 1024 * 1024;

/// `POST /runner/changes/{session}`
#[worker::send]
pub async fn keep(
    State(env): State<Env>,
    Path(session): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (webhook_id, body) = verified(&env, request, MAX_CHANGES_BODY).await?;
    let KeepChanges {
        sandbox,
        epoch,
        prompt,
        changes,
    } = parse_json(&body)?;
    drop(body);
    if !fleet::first_sight(&env, &webhook_id).await? {
        return Err(Error::Replayed);
    }
    let session = SessionId::parse(&session).map_err(|_| Error::NotFound("session"))?;
    if changes.iter().any(|changes| changes.prompt != prompt) {
        let message = "all of it has to be of one prompt";
        return Err(Error::invalid("malformed", message));
    }
    // Asked before anything is written: what an earlier sandbox says replaces nothing.
    let check = ChangesRequest::Check {
        sandbox,
        epoch,
        prompt: prompt.clone(),
    };
    let checked = ask_session(&env, &session, &Ask::Changes(check)).await?;
    if !checked.status().is_success() {
        return Ok(checked);
    }
    let artifacts = Artifacts::new(&env)?;
    for changes in &changes {
        let key = Key::of_changes(&session, &prompt, changes.scope);
        artifacts.write(&key, serde_json::to_vec(changes)?).await?;
    }
    let whole = changes
        .iter()
        .find(|changes| changes.scope == ChangesScope::Session);
    let kept = ChangesRequest::Kept(counted(whole, prompt));
    ask_session(&env, &session, &Ask::Changes(kept)).await
}

fn counted(changes: Option<&Changes>, prompt: protocol::PromptId) -> KeptChanges {
    let files = changes.map_or(&[][..], |changes| &changes.files);
    let omitted = changes.map_or(0, |changes| changes.omitted);
    let sum = |lines: fn(&ChangedFile) -> Option<u32>| {
        let lines = files.iter().filter_map(lines);
        lines.fold(0, u32::saturating_add)
    };
    KeptChanges {
        prompt,
        files: u32::try_from(files.len())
            .unwrap_or(u32::MAX)
            .saturating_add(omitted),
        additions: sum(|file| file.additions),
        deletions: sum(|file| file.deletions),
    }
}
