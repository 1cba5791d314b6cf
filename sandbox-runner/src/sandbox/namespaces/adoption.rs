//! What an earlier runner left is taken over, whatever that was doing when it ended.

use std::time::Duration;

use protocol::SandboxId;

use super::Namespaces;
use super::end::ended;
use crate::sandbox::channel::ChannelError;
use crate::sandbox::identity::boot_id;
use crate::sandbox::record::{SandboxRecord, SandboxState, Snapshot};
use crate::sandbox::{Adoption, Sandbox, SandboxError};

impl Namespaces {
    /// The caller has the sandbox's turn.
    pub(super) async fn take_over(&self, id: &SandboxId) -> Result<Adoption, SandboxError> {
        let record = self.recover(id).await?;
        let identity = match record.state {
            SandboxState::Starting => return Ok(Adoption::Stale),
            SandboxState::Stopped => return Ok(Adoption::Gone),
            SandboxState::Running(identity) => identity,
        };
        let watch = |source| SandboxError::Watch {
            pid: identity.pid,
            source,
        };
        if boot_id().map_err(watch)? != identity.boot_id {
            return Ok(Adoption::Stale);
        }
        match identity.open().map_err(watch)? {
            Some(process) => match self.reach(id).await {
                Ok(sandbox) => Ok(Adoption::Alive(sandbox)),
                // The sockets of a process that was killed are closed before it has ended.
                Err(SandboxError::Channel(ChannelError::Connect(_)))
                    if ended(process).await.map_err(watch)? =>
                {
                    Ok(Adoption::Gone)
                }
                Err(error) => Err(error),
            },
            None => Ok(Adoption::Gone),
        }
    }

    /// The record, after what a runner left that ended in the middle of a snapshot.
    async fn recover(&self, id: &SandboxId) -> Result<SandboxRecord, SandboxError> {
        let mut record = self.record(id)?;
        match record.snapshot {
            None => return Ok(record),
            // Whether the home is mounted is not known; what was written is all there.
            Some(Snapshot::Begun) => {
                record = self.end(id, Duration::ZERO).await?;
                record.snapshot = None;
                self.write_record(&record)?;
            }
            Some(Snapshot::Swapped | Snapshot::Copying) => {
                if let SandboxState::Running(identity) = &record.state {
                    let pid = identity.pid;
                    let alive = identity.open();
                    let alive = alive.map_err(|source| SandboxError::Watch { pid, source })?;
                    if alive.is_some() {
                        self.resume(id).await?;
                    }
                }
                self.finish_snapshot(&mut record).await?;
            }
        }
        Ok(record)
    }

    /// As [`Self::hold`], of a sandbox whose processes an earlier runner may have left stopped.
    async fn reach(&self, id: &SandboxId) -> Result<Sandbox, SandboxError> {
        if let Err(error) = self.resume(id).await {
            tracing::debug!(sandbox = %id, %error, "whether a sandbox is stopped is not known");
        }
        self.hold(id).await
    }
}
