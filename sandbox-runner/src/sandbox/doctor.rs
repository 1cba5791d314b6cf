//! Finds out at start-up whether sandboxes can be had, and says what to do if not.
//!
//! The last word is a real sandbox: what it cannot do, no later one can. The runner does not start
//! without it, so nothing ever runs less isolated than it should.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::SandboxId;

use super::channel::ChannelError;
use super::limits::Limits;
use super::namespaces::Namespaces;
use super::{SandboxBackend, SandboxError, SandboxSpec};
use crate::init::wire::ExecSpec;

const PROBE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    #[error("a sandbox could not be started for a test")]
    Probe(#[source] SandboxError),
    #[error("the sandbox that was started for a test did not work: {cause}")]
    ProbeFailed { cause: String },
    #[error("failed to draw a random name for a sandbox: {0}")]
    Random(String),
}

/// Checks everything that a sandbox needs; takes some ten milliseconds.
pub async fn check(backend: &Namespaces) -> Result<(), DoctorError> {
    probe(backend).await
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
    let sandbox = backend.create(&spec).await.map_err(DoctorError::Probe)?;
    let outcome = try_out(backend, &sandbox.id).await;
    backend
        .destroy(&sandbox.id)
        .await
        .map_err(DoctorError::Probe)?;
    outcome
}

async fn try_out(backend: &Namespaces, id: &SandboxId) -> Result<(), DoctorError> {
    // All capability sets empty, and no more than a loopback.
    let script = "echo x > \"$HOME/probe\" && grep -q '^CapBnd:\\s0*$' /proc/self/status \
                  && [ $(grep -c : /proc/net/dev) = 1 ]";
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
