//! A session's files and conversation, kept as a snapshot: after each turn while the sandbox lives,
//! and instead of it when it goes to sleep.

use protocol::command::Start;
use protocol::{PromptId, SandboxId, SnapshotId};

use super::Machinery;
use super::machine::{Input, Scene};
use super::provision::base;
use crate::layer::{LayerError, LayerId};
use crate::sandbox::SandboxError;
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

/// Keeps the files of a sandbox that goes on. One in which a program still holds files open is left
/// for the next turn's end.
pub(super) async fn keep(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
    scene: Scene,
    prompt: PromptId,
) -> Input {
    let started_at = clock::now();
    let kept = async {
        let top = machinery.backend.snapshot(place).await;
        record(machinery, start, scene, &top.map_err(KeepError::Layer)?)
    };
    let snapshot = match kept.await {
        Ok(snapshot) => Some(snapshot),
        Err(KeepError::Layer(SandboxError::Busy { holder, .. })) => {
            tracing::info!(sandbox = %start.sandbox, holder, "files are in use, so none were kept");
            None
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(sandbox = %start.sandbox, error, "no snapshot was made");
            None
        }
    };
    Input::Kept {
        snapshot,
        prompt,
        started_at,
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
        record(machinery, start, scene, &top.map_err(KeepError::Layer)?)
    };
    match slept.await {
        Ok(snapshot) => Input::Slept { snapshot },
        Err(error) => Input::Lost {
            reason: format!(
                "the sandbox could not be put to sleep ({}); the next prompt goes on from the \
                 last snapshot",
                cause::chain(&error)
            ),
        },
    }
}

fn record(
    machinery: &Machinery,
    start: &Start,
    scene: Scene,
    top: &LayerId,
) -> Result<SnapshotId, KeepError> {
    let snapshot = Snapshot {
        id: SnapshotId::from_random(clock::random()),
        session: start.session.clone(),
        base: base(start),
        image: scene.ground.image,
        commit: scene.ground.commit,
        layers: machinery.layers.chain(top).map_err(KeepError::Chain)?,
        transcript: scene.transcript,
        at: clock::now(),
    };
    let kept = machinery.store.keep_snapshot(&snapshot);
    kept.map_err(KeepError::Record)?;
    Ok(snapshot.id)
}
