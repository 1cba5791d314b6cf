//! Finds out at start-up whether sandboxes can be had, and says what to do if not.
//!
//! The last word is a real sandbox: what it cannot do, no later one can. The runner does not start
//! without it, so nothing ever runs less isolated than it should.

use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use protocol::SandboxId;

use super::bubblewrap::Bubblewrap;
use super::channel::ChannelError;
use super::{SandboxBackend, SandboxError, SandboxSpec};
use crate::init::wire::ExecSpec;

const PROBE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    #[error(
        "user {user} cannot run {program}: every directory above it must let others pass \
         (chmod o+x), or the state directory must be elsewhere: {cause}"
    )]
    Unreachable {
        user: u32,
        program: String,
        cause: String,
    },
    #[error("failed to run {program}: {cause}")]
    Broken { program: String, cause: String },
    #[error("{version} cannot mount overlays: 0.11 or later is needed")]
    TooOld { version: String },
    #[error(
        "user namespaces are not available: set kernel.unprivileged_userns_clone=1, \
         kernel.apparmor_restrict_unprivileged_userns=0 and user.max_user_namespaces above 0 \
         with sysctl where they exist: {cause}"
    )]
    UserNamespaces { cause: String },
    #[error("a sandbox could not be started for a test")]
    Probe(#[source] SandboxError),
    #[error("the sandbox that was started for a test did not work: {cause}")]
    ProbeFailed { cause: String },
    #[error("failed to draw a random name for a sandbox: {0}")]
    Random(String),
}

/// Checks everything that a sandbox needs; takes some ten milliseconds.
pub async fn check(backend: &Bubblewrap) -> Result<(), DoctorError> {
    let program = backend.program().display().to_string();
    let help = run(backend, &["--help"])
        .await
        .map_err(|error| match backend.user() {
            Some(user) => DoctorError::Unreachable {
                user,
                program: program.clone(),
                cause: error.to_string(),
            },
            None => DoctorError::Broken {
                program: program.clone(),
                cause: error.to_string(),
            },
        })?;
    if !help.contains("--overlay-src") {
        let version = run(backend, &["--version"]).await.unwrap_or_default();
        return Err(DoctorError::TooOld {
            version: version.trim().to_owned(),
        });
    }
    run(
        backend,
        &[
            "--unshare-user",
            "--unshare-net",
            "--ro-bind",
            "/",
            "/",
            "/bin/true",
        ],
    )
    .await
    .map_err(|error| DoctorError::UserNamespaces {
        cause: error.to_string(),
    })?;
    probe(backend).await
}

async fn run(backend: &Bubblewrap, arguments: &[&str]) -> io::Result<String> {
    let mut command = backend.command();
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = tokio::time::timeout(PROBE, output)
        .await
        .map_err(io::Error::other)??;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}

async fn probe(backend: &Bubblewrap) -> Result<(), DoctorError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| DoctorError::Random(error.to_string()))?;
    let spec = SandboxSpec {
        id: SandboxId::from_random(bytes),
        layers: Vec::new(),
        env: BTreeMap::new(),
    };
    let sandbox = backend.create(&spec).await.map_err(DoctorError::Probe)?;
    let outcome = try_out(backend, &sandbox.id).await;
    backend
        .destroy(&sandbox.id)
        .await
        .map_err(DoctorError::Probe)?;
    outcome
}

async fn try_out(backend: &Bubblewrap, id: &SandboxId) -> Result<(), DoctorError> {
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
