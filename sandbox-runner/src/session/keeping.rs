//! A session's files and conversation, kept as a snapshot: after each turn while the sandbox lives,
//! instead of it when it goes to sleep, and what is left of it when it is lost.

use protocol::command::Start;
use protocol::{PromptId, SandboxId, SnapshotId};

use super::Machinery;
use super::machine::{Input, Scene, Survey};
use super::provision::base;
use super::survey;
use crate::layer::{LayerError, LayerId};
use crate::sandbox::{Adoption, SandboxError};
use crate::store::StoreError;
use crate::store::snapshot::Snapshot;
use crate::{cause, clock};

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("failed to make a layer of the files")]
    Layer(#[source] SandboxError),
    #[error("failed to find what the layer lies upon")]
    Chain(#[source] LayerError),
    #[error("failed to record the snapshot")]
    Record(#[source] StoreError),
}

/// Keeps the files of a sandbox that goes on. One in which a program holds files open, and too many
/// have changed to be copied, is left for the next turn's end.
pub(super) async fn keep(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
    scene: Scene,
    prompt: PromptId,
    turn: &Survey,
) -> Input {
    let recorded = survey::record(machinery, start, place, turn).await;
    let started_at = clock::now();
    let kept = async {
        let top = machinery.backend.snapshot(place).await;
        let top = top.map_err(KeepError::Layer)?;
        record(machinery, start, scene, &top, End::Turn(&prompt))
    };
    let snapshot = match kept.await {
        Ok(snapshot) => Some(snapshot),
        Err(KeepError::Layer(SandboxError::Busy { holder, .. })) => {
            tracing::info!(sandbox = %start.sandbox, holder, "files are in use, so none were kept");
            None
        }
        Err(error) => {
            let error = cause::chain(&error);
            tracing::warn!(sandbox = %start.sandbox, error, "no snapshot was made");
            None
        }
    };
    Input::Kept {
        snapshot,
        prompt,
        started_at,
        recorded,
    }
}

/// Turns the sandbox into a snapshot. Repeating it finds what was done before.
pub(super) async fn sleep(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
    scene: Scene,
) -> Input {
    let slept = async {
        let top = machinery.backend.freeze(place).await;
        let top = top.map_err(KeepError::Layer)?;
        record(machinery, start, scene, &top, End::Sleep)
    };
    match slept.await {
        Ok(snapshot) => {
            machinery.courier.bring_asleep(&snapshot).await;
            Input::Slept { snapshot }
        }
        Err(error) => Input::Lost {
            reason: format!(
                "the sandbox could not be put to sleep ({}); the next prompt goes on from the \
                 last snapshot",
                cause::chain(&error)
            ),
        },
    }
}

/// Turns what is left of a lost sandbox into a snapshot; `None` if it is not to be gone on from: it
/// wrote more than it may, or an earlier boot of the machine may have taken some of it. Repeating it
/// finds what was done before.
pub(super) async fn salvage(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
    scene: Scene,
) -> Option<SnapshotId> {
    let backend = machinery.backend.as_ref();
    let stats = backend.stats(place).await;
    if stats.is_ok_and(|stats| stats.disk_excess.is_some()) {
        return None;
    }
    let salvaged = async {
        let top = match backend.adopt(place).await {
            Ok(Adoption::Stale) => return Ok(None),
            Ok(Adoption::Alive(_) | Adoption::Gone) | Err(SandboxError::Unknown(_)) => {
                backend.freeze(place).await
            }
            Err(error) => Err(error),
        };
        let top = top.map_err(KeepError::Layer)?;
        record(machinery, start, scene, &top, End::Loss).map(Some)
    };
    match salvaged.await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            let error = cause::chain(&error);
            tracing::warn!(sandbox = %start.sandbox, error, "nothing is left of a lost sandbox");
            None
        }
    }
}

/// What a snapshot is the end of.
enum End<'a> {
    Turn(&'a PromptId),
    Sleep,
    Loss,
}

fn record(
    machinery: &Machinery,
    start: &Start,
    scene: Scene,
    top: &LayerId,
    end: End<'_>,
) -> Result<SnapshotId, KeepError> {
    let snapshot = Snapshot {
        id: SnapshotId::from_random(clock::random()),
        session: start.session.clone(),
        epoch: start.epoch,
        base: base(start),
        image: scene.ground.image,
        commit: scene.ground.commit,
        layers: machinery.layers.chain(top).map_err(KeepError::Chain)?,
        transcript: scene.transcript,
        lineage: scene.ground.lineage,
        prompt: match end {
            End::Turn(prompt) => Some(prompt.clone()),
            End::Sleep | End::Loss => None,
        },
        remains: matches!(end, End::Loss),
        at: clock::now(),
    };
    let kept = machinery.store.keep_snapshot(&snapshot);
    kept.map_err(KeepError::Record)?;
    machinery.courier.recorded();
    Ok(snapshot.id)
}
