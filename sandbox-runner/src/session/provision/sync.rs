//! The workspace of a sandbox, brought to where the session's work goes on while its agent reads it.

use protocol::SandboxId;
use protocol::command::Start;
use protocol::event::StepName;
use tokio::sync::mpsc;

use super::{WORKSPACE, tell};
use crate::gateway::Gate;
use crate::git::{BundleError, GitError, Restored, Synchronised, Workspace};
use crate::session::Machinery;
use crate::session::machine::{Ground, Input, Source};
use crate::session::progress::KeepError;
use crate::{cause, clock};

/// What a workspace is before it is brought up to date.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Footing<'a> {
    /// What the backend knows the sandbox by.
    pub(in crate::session) place: &'a SandboxId,
    pub(in crate::session) ground: &'a Ground,
    /// Whether nothing can have been written to it since the sandbox was made.
    pub(in crate::session) untouched: bool,
}

/// Brings the workspace of a sandbox to where the session's work goes on, and lets writes through
/// as soon as they are in no danger.
pub(in crate::session) async fn synchronise(
    machinery: &Machinery,
    start: &Start,
    footing: Footing<'_>,
    gate: &Gate,
    told: &mpsc::Sender<Input>,
) -> Input {
    let began = clock::now();
    let (synchronised, detail) = match bring(machinery, start, footing, gate, told).await {
        Ok(brought) => brought,
        Err(error) => {
            let error = cause::chain(&error);
            tracing::warn!(sandbox = %start.sandbox, error, "a workspace is not up to date");
            gate.problem(&error);
            return Input::Unsynchronised { message: error };
        }
    };
    match &synchronised.conflict {
        Some(paths) => {
            let wanted = synchronised.pushed.as_ref().unwrap_or(&synchronised.base);
            gate.conflict(paths, wanted);
        }
        None => gate.up_to_date(),
    }
    tell(told, StepName::Sync, began, detail.map(str::to_owned)).await;
    Input::Synchronised(Box::new(synchronised))
}

async fn bring(
    machinery: &Machinery,
    start: &Start,
    footing: Footing<'_>,
    gate: &Gate,
    told: &mpsc::Sender<Input>,
) -> Result<(Synchronised, Option<&'static str>), GitError> {
    let workspace = workspace(machinery, start, footing.place);
    let looked = workspace.look(&start.branch, &start.work_branch).await;
    let pushed = looked
        .as_ref()
        .ok()
        .and_then(|looked| looked.pushed.as_deref());
    // A snapshot's files are the session's own: they are not replaced, nor moved to anything newer.
    let is_resumed = footing.ground.source == Source::Snapshot;
    if footing.untouched && !is_resumed {
        match restore(machinery, start, &workspace, pushed, gate).await {
            Ok(false) => {}
            Ok(true) => {
                let detail = "with the work in progress of the sandbox before";
                return Ok((workspace.stay(&looked?).await?, Some(detail)));
            }
            Err(error) => {
                let error = cause::chain(&error);
                tracing::warn!(sandbox = %start.sandbox, error, "work in progress was not restored");
                let message = format!(
                    "Work of the sandbox before, which was not pushed, could not be restored: {error}"
                );
                let _ = told.send(Input::Notice { message }).await;
            }
        }
    }
    let looked = looked?;
    if is_resumed || looked.head != footing.ground.commit {
        // There is work in it already, which nothing may move away from under the agent.
        return Ok((
            workspace.stay(&looked).await?,
            Some("work goes on where it was"),
        ));
    }
    gate.changing(looked.changed.as_deref());
    let detail = looked
        .is_unchanged()
        .then_some("nothing new since the image");
    Ok((workspace.advance(&looked).await?, detail))
}

#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Kept(#[from] KeepError),
}

/// Whether there was work in progress, and it is in the workspace now. What is kept is newer than
/// what the sandbox started from.
async fn restore(
    machinery: &Machinery,
    start: &Start,
    workspace: &Workspace<'_>,
    pushed: Option<&str>,
    gate: &Gate,
) -> Result<bool, RestoreError> {
    let Some(bundle) = machinery.progress.kept(&start.session).await? else {
        return Ok(false);
    };
    gate.changing(None);
    let restored = workspace.restore_progress(&start.work_branch, pushed, &bundle);
    match restored.await? {
        Restored::Whole => Ok(true),
        Restored::Outdated => {
            machinery.progress.forget(&start.session).await?;
            Ok(false)
        }
    }
}

/// The workspace of a session's sandbox.
pub(in crate::session) fn workspace<'a>(
    machinery: &'a Machinery,
    start: &'a Start,
    place: &'a SandboxId,
) -> Workspace<'a> {
    Workspace {
        backend: machinery.backend.as_ref(),
        sandbox: place,
        directory: WORKSPACE,
        repository: &start.repository,
    }
}
