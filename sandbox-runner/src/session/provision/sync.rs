//! The workspace of a sandbox, brought to where the session's work goes on while its agent reads it.

use protocol::SandboxId;
use protocol::command::Start;
use protocol::event::StepName;
use tokio::sync::mpsc;

use super::{WORKSPACE, tell};
use crate::gateway::Gate;
use crate::git::{BundleError, Conflict, GitError, Restored, Synchronised, Workspace};
use crate::session::Machinery;
use crate::session::machine::{Ground, Input, Source};
use crate::session::progress::{self, FindError};
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
    let unmerged = match &synchronised.conflict {
        Some(conflict) => Some(conflict.clone()),
        None => unmerged(machinery, start, footing, &synchronised.head).await,
    };
    match unmerged {
        Some(conflict) => gate.conflict(&conflict.paths, &conflict.newest),
        None => gate.up_to_date(),
    }
    tell(told, StepName::Sync, began, detail.map(str::to_owned)).await;
    Input::Synchronised(Box::new(synchronised))
}

/// The conflict of a sandbox before this one, which its agent has to know of until it is merged. People
/// were told of it.
async fn unmerged(
    machinery: &Machinery,
    start: &Start,
    footing: Footing<'_>,
    head: &str,
) -> Option<Conflict> {
    if !matches!(footing.ground.source, Source::Snapshot | Source::Fork) {
        return None;
    }
    let workspace = workspace(machinery, start, footing.place);
    workspace.unmerged(head).await.unwrap_or_else(|error| {
        let error = cause::chain(&error);
        tracing::warn!(sandbox = %start.sandbox, error, "an earlier conflict is not told again");
        None
    })
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
    if footing.untouched && footing.ground.source == Source::Fork {
        workspace.fork().await?;
    } else if footing.untouched {
        match restore(machinery, start, footing, &workspace, pushed, gate).await {
            Ok(None) => {}
            Ok(Some(Restored::Whole)) => {
                let detail = "with the work in progress of the sandbox before";
                return Ok((workspace.stay(&looked?).await?, Some(detail)));
            }
            Ok(Some(Restored::Outdated)) => {}
            Ok(Some(Restored::Conflicting { commit })) => {
                let message = format!(
                    "Work of the sandbox before, which was not pushed, is not in the files: what \
                     was pushed meanwhile changes the same places. The workspace's git has it as \
                     commit {commit}."
                );
                gate.note(&message);
                let _ = told.send(Input::Notice { message }).await;
            }
            Err(error) => {
                let error = cause::chain(&error);
                tracing::warn!(sandbox = %start.sandbox, error, "work in progress was not restored");
                let message = format!(
                    "Work of the sandbox before, which was not pushed, could not be restored: {error}"
                );
                gate.note(&message);
                let _ = told.send(Input::Notice { message }).await;
            }
        }
    }
    let looked = looked?;
    // A snapshot's files are the session's own. They are moved to nothing but later work of it, also
    // when they were written to since: a runner may have been killed before it brought them there.
    let is_resumed = matches!(footing.ground.source, Source::Snapshot | Source::Fork);
    let stays = if is_resumed {
        !workspace.is_overtaken(&looked).await?
    } else {
        // There is work in it already, which nothing may move away from under the agent.
        looked.head != footing.ground.commit
    };
    if stays {
        let detail = Some("work goes on where it was");
        return Ok((workspace.stay(&looked).await?, detail));
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
    Find(#[from] FindError),
}

/// What became of work in progress that was done upon what the sandbox started from, if there is any.
async fn restore(
    machinery: &Machinery,
    start: &Start,
    footing: Footing<'_>,
    workspace: &Workspace<'_>,
    pushed: Option<&str>,
    gate: &Gate,
) -> Result<Option<Restored>, RestoreError> {
    let kept = progress::newest(machinery, start).await?;
    let upon = footing.ground.lineage.newest();
    let Some(kept) = kept.filter(|kept| kept.label.lineage.follows(upon)) else {
        return Ok(None);
    };
    gate.changing(None);
    let bundle = (kept.path.as_path(), kept.offset);
    let restored = workspace.restore_progress(&start.work_branch, pushed, bundle);
    Ok(Some(restored.await?))
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
