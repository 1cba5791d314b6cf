//! Finds out at start-up whether sandboxes can be had, and says what to do if not.
//!
//! The last word is a real sandbox: what it cannot do, no later one can. The runner does not start
//! without it, so nothing ever runs less isolated than it should. What a sandbox can do without is in
//! [`Machine`], with what stands in for it.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::SandboxId;

pub use self::kernel::{Kernel, Unfit};
pub use self::machine::{Machine, Missing};
use super::channel::ChannelError;
use super::limits::Limits;
use super::namespaces::Namespaces;
use super::{SandboxBackend, SandboxError, SandboxSpec};
use crate::init::wire::ExecSpec;

mod kernel;
mod machine;

const PROBE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(
        "user namespaces are not available: set kernel.unprivileged_userns_clone=1, \
         kernel.apparmor_restrict_unprivileged_userns=0 and user.max_user_namespaces above 0 \
         with sysctl where they exist: {0}"
    )]
    UserNamespaces(String),
    #[error(
        "the file system of the state directory cannot show files as another user's: put it on \
         ext4, XFS or btrfs, with Linux 5.19 or later: {0}"
    )]
    Owners(String),
    #[error(
        "overlays cannot be written in user namespaces: Linux 6.5 or later is needed, and a state \
         directory on ext4, XFS or btrfs: {0}"
    )]
    Overlay(String),
    #[error(
        "a sandbox cannot have a /proc of its own: in a container, the runner's must be whole, \
         without masked paths: {0}"
    )]
    Proc(String),
    #[error("a sandbox could not be started for a test")]
    Probe(#[source] SandboxError),
    #[error("the sandbox that was started for a test did not work: {cause}")]
    ProbeFailed { cause: String },
    #[error("failed to draw a random name for a sandbox: {0}")]
    Random(String),
}

impl DoctorError {
    /// Says what to do about it, if that is known.
    fn of(error: SandboxError) -> Self {
        let SandboxError::Start { output } = &error else {
            return Self::Probe(error);
        };
        let failed_to = |step: &str| output.contains(step);
        let reason = output.clone();
        if failed_to("make namespaces") || failed_to("map the user") {
            Self::UserNamespaces(reason)
        } else if failed_to("map owners of files") {
            Self::Owners(reason)
        } else if failed_to("mount the home") {
            Self::Overlay(reason)
        } else if failed_to("mount /proc") {
            Self::Proc(reason)
        } else {
            Self::Probe(error)
        }
    }
}

/// Checks everything that a sandbox needs; takes some ten milliseconds.
pub async fn check(backend: &Namespaces) -> Result<Machine, DoctorError> {
    probe(backend).await?;
    let kernel = Kernel::read();
    Ok(Machine::look_at(&kernel, backend.root(), backend.groups()))
}

async fn probe(backend: &Namespaces) -> Result<(), DoctorError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| DoctorError::Random(error.to_string()))?;
    let spec = SandboxSpec {
        id: SandboxId::from_random(bytes),
        layers: Vec::new(),
        env: BTreeMap::new(),
        workshop: false,
        limits: Limits::default(),
    };
    let sandbox = backend.create(&spec).await.map_err(DoctorError::of)?;
    let outcome = try_out(backend, &sandbox.id).await;
    backend
        .destroy(&sandbox.id)
        .await
        .map_err(DoctorError::Probe)?;
    outcome
}

async fn try_out(backend: &Namespaces, id: &SandboxId) -> Result<(), DoctorError> {
    // All capability sets empty, system calls filtered, and no more than a loopback.
    let script = "echo x > \"$HOME/probe\" && cd /proc/self \
                  && grep -q '^CapBnd:\\s0*$' status && grep -q '^Seccomp:\\s2$' status \
                  && grep -q '^NoNewPrivs:\\s1$' status && [ $(grep -c : net/dev) = 1 ]";
    let exec = ExecSpec::new(["/bin/sh", "-c", script], PROBE);
    let exec = backend.exec(id, &exec).await.map_err(DoctorError::Probe)?;
    let channel = |error: ChannelError| DoctorError::Probe(error.into());
    let output = exec.output().await.map_err(channel)?;
    if output.exit.success() {
        return Ok(());
    }
    let cause = String::from_utf8_lossy(&output.stderr);
    Err(DoctorError::ProbeFailed {
        cause: format!("{:?} {}", output.exit, cause.trim()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_start_is_told_as_what_is_to_be_done() {
        let output = "failed to make namespaces: Operation not permitted (os error 1)".to_owned();
        let found = DoctorError::of(SandboxError::Start { output });
        assert!(matches!(found, DoctorError::UserNamespaces(_)), "{found:?}");
        assert!(found.to_string().contains("sysctl"), "{found}");
        let output = "failed to name the host".to_owned();
        let found = DoctorError::of(SandboxError::Start { output });
        assert!(matches!(found, DoctorError::Probe(_)), "{found:?}");
    }
}
