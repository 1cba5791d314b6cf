//! What the turn that runs has changed so far: looked at when somebody asks, while the agent writes on.
//! Nothing is recorded of it; the turn's end tells what counts.

use protocol::SandboxId;
use protocol::api::{Changes, ChangesScope};

use super::Machinery;
use super::machine::State;
use super::provision::workspace;
use crate::git::GitError;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum GlanceError {
    #[error("the sandbox is not on this runner")]
    Unknown,
    #[error("no prompt runs in the sandbox")]
    Idle,
    #[error("failed to look the sandbox up")]
    Store(#[from] StoreError),
    #[error("failed to read what the sandbox is at")]
    State(#[from] serde_json::Error),
    #[error(transparent)]
    Git(#[from] GitError),
}

pub(crate) async fn glance(
    machinery: &Machinery,
    sandbox: &SandboxId,
    scope: ChangesScope,
) -> Result<Changes, GlanceError> {
    let stored = machinery.store.sandbox(sandbox)?;
    let stored = stored.ok_or(GlanceError::Unknown)?;
    let state: State = match &stored.state {
        Some(state) => serde_json::from_str(state)?,
        None => return Err(GlanceError::Idle),
    };
    let turn = state.under_way().ok_or(GlanceError::Idle)?;
    let place = machinery.store.place_of(sandbox)?;
    let workspace = workspace(machinery, &stored.start, &place);
    let found = turn.found.as_deref();
    let seen = workspace.look_at_turn(&turn.base, found).await?;
    let from = match scope {
        ChangesScope::Session => &seen.session,
        ChangesScope::Prompt => &seen.turn,
    };
    let difference = workspace.difference(from, &seen.files).await?;
    Ok(Changes {
        prompt: turn.prompt,
        scope,
        files: difference.files,
        omitted: difference.omitted,
    })
}
