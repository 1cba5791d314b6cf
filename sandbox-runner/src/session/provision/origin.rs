//! What a sandbox of a session goes on from, if there is anything: the newest of what the session
//! asks for, what was left of its lost sandboxes, and work in progress that says what it is upon.

use protocol::SnapshotId;
use protocol::command::Start;
use protocol::event::StepName;
use tokio::sync::mpsc;

use super::{ProvisionError, tell};
use crate::courier::Found;
use crate::session::Machinery;
use crate::session::machine::Input;
use crate::session::progress;
use crate::{cause, clock};

/// The snapshot that a sandbox starts from; `None` if it starts from the image.
pub(super) async fn find(
    machinery: &Machinery,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<Option<Found>, ProvisionError> {
    if let Some(remains) = remains(machinery, start)? {
        return Ok(Some(remains));
    }
    let Some(asked) = &start.snapshot else {
        return Ok(None);
    };
    if let Some(found) = obtain(machinery, asked, told).await? {
        return Ok(Some(found));
    }
    if let Some(found) = beneath_progress(machinery, start, told).await? {
        return Ok(Some(found));
    }
    let message = if machinery.courier.has_depot() {
        "What this session's files were is neither on this runner nor in the depot: it goes on from \
         what was pushed."
    } else {
        "What this session's files were is not on this runner, which has no depot (DEPOT_URL) to get \
         them from: it goes on from what was pushed."
    };
    let message = message.to_owned();
    let _ = told.send(Input::Notice { message }).await;
    Ok(None)
}

/// What is left here of a sandbox that came out of what the session asks for.
fn remains(machinery: &Machinery, start: &Start) -> Result<Option<Found>, ProvisionError> {
    let remains = machinery.store.remains(&start.session);
    for snapshot in remains.map_err(ProvisionError::Store)? {
        let follows = snapshot.lineage.follows(start.snapshot.as_ref());
        if follows
            && start.snapshot.as_ref() != Some(&snapshot.id)
            && let Ok(lease) = machinery.layers.lease(&snapshot.layers)
        {
            let fetched = false;
            return Ok(Some(Found {
                snapshot,
                fetched,
                lease,
            }));
        }
    }
    Ok(None)
}

/// What the session's work in progress is upon, where what it asks for was lost with its runner.
async fn beneath_progress(
    machinery: &Machinery,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<Option<Found>, ProvisionError> {
    let kept = match progress::newest(machinery, start).await {
        Ok(Some(kept)) => kept,
        Ok(None) => return Ok(None),
        Err(error) => {
            let error = cause::chain(&error);
            tracing::warn!(sandbox = %start.sandbox, error, "work in progress was not looked for");
            return Ok(None);
        }
    };
    for id in kept.label.lineage.snapshots() {
        if let Some(found) = obtain(machinery, id, told).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn obtain(
    machinery: &Machinery,
    id: &SnapshotId,
    told: &mpsc::Sender<Input>,
) -> Result<Option<Found>, ProvisionError> {
    let began = clock::now();
    let found = machinery.courier.snapshot(id).await;
    let found = found.map_err(ProvisionError::Fetch)?;
    if found.as_ref().is_some_and(|found| found.fetched) {
        let detail = Some("fetched from the depot".to_owned());
        tell(told, StepName::Restore, began, detail).await;
    }
    Ok(found)
}
