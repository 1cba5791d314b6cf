//! The end of a sandbox: every process of it is gone, and its files are what is left.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use protocol::SandboxId;
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use tokio::task::spawn_blocking;

use super::Namespaces;
use crate::sandbox::cgroup::{Cgroup, CgroupError};
use crate::sandbox::channel;
use crate::sandbox::identity::wait_for_end;
use crate::sandbox::record::{SandboxRecord, SandboxState};
use crate::sandbox::{SandboxBackend as _, SandboxError};

/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(10);

impl Namespaces {
    pub(super) async fn end(
        &self,
        id: &SandboxId,
        grace: Duration,
    ) -> Result<SandboxRecord, SandboxError> {
        self.disk.leave(id);
        self.replicas.forget(id);
        let mut record = self.record(id)?;
        let identity = match &record.state {
            SandboxState::Running(identity) => identity,
            SandboxState::Starting => {
                // Its group may have been made, and whoever starts it again needs the name.
                self.remove_group(id).await?;
                return Ok(record);
            }
            SandboxState::Stopped => return Ok(record),
        };
        let pid = identity.pid;
        let watch = |source| SandboxError::Watch { pid, source };
        if let Some(process) = identity.open().map_err(watch)? {
            if !grace.is_zero()
                && let Err(error) = self.ask_to_stop(id, grace).await
            {
                tracing::debug!(sandbox = %id, %error, "sandbox did not end by itself");
            }
            self.kill_group(id).await?;
            match pidfd_send_signal(&process, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(watch(error.into())),
            }
            if !ended(process).await.map_err(watch)? {
                return Err(SandboxError::Unkillable { pid });
            }
        }
        self.remove_group(id).await?;
        record.state = SandboxState::Stopped;
        self.write_record(&record)?;
        self.slots.free(record.slot);
        Ok(record)
    }

    async fn ask_to_stop(&self, id: &SandboxId, grace: Duration) -> Result<(), SandboxError> {
        Ok(channel::stop(self.connect(id).await?, grace).await?)
    }

    /// Also ends what a debugger or the freezer holds.
    async fn kill_group(&self, id: &SandboxId) -> Result<(), SandboxError> {
        self.with_group(id, Cgroup::kill).await
    }

    /// Its processes have ended.
    pub(super) async fn remove_group(&self, id: &SandboxId) -> Result<(), SandboxError> {
        self.with_group(id, |group| {
            group.kill()?;
            group.remove()
        })
        .await?;
        self.groups.forget(id.as_str());
        Ok(())
    }

    /// Does nothing where there are no groups.
    pub(super) async fn with_group(
        &self,
        id: &SandboxId,
        work: impl FnOnce(&Cgroup) -> Result<(), CgroupError> + Send + 'static,
    ) -> Result<(), SandboxError> {
        let Some(group) = self.groups.open(id.as_str())? else {
            return Ok(());
        };
        let worked = spawn_blocking(move || work(&group)).await;
        Ok(worked.map_err(|error| SandboxError::Interrupted(error.into()))??)
    }
}

/// Waits until a killed process has ended, and with PID 1 all others of its namespace.
pub(super) async fn ended(process: OwnedFd) -> io::Result<bool> {
    spawn_blocking(move || wait_for_end(&process, KILLED))
        .await
        .map_err(io::Error::other)?
}
