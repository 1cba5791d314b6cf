//! How long a sandbox takes from nothing to the result of its first program.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use protocol::SandboxId;
use sandbox_runner::init::wire::ExecSpec;
use sandbox_runner::sandbox::limits::Limits;
use sandbox_runner::sandbox::namespaces::{Namespaces, NamespacesConfig};
use sandbox_runner::sandbox::{SandboxBackend as _, SandboxError, SandboxSpec};
use tokio::process::Command;

use super::{Bar, BenchError, Measure, io, median, milliseconds};
use crate::stack::{environment, runner_binary};

const PROGRAM: &str = "/bin/true";
const ROUNDS: usize = 30;
const SANDBOX_UID: u32 = 20_001;

/// `state` becomes the state directory of the sandboxes, and is removed in the end.
pub async fn measure(state: &Path) -> Result<Measure, BenchError> {
    let backend = Namespaces::open(&NamespacesConfig {
        state: state.join("runner"),
        runner: runner_binary(),
        sandbox_uid: SANDBOX_UID,
        tools: Vec::new(),
    })?;
    let layers = ["lower", "upper", "work"].map(|name| state.join(name));
    for layer in &layers {
        std::fs::create_dir_all(layer).map_err(io("make an overlay's folder"))?;
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(sandbox(&backend).await?);
        theirs.push(bubblewrap(&layers).await?);
    }
    std::fs::remove_dir_all(state).map_err(io("remove the sandboxes' state"))?;
    Ok(Measure {
        name: "sandbox_start",
        value: milliseconds(median(&mut ours)),
        unit: "ms",
        baseline: Some(milliseconds(median(&mut theirs))),
        bar: Bar::None,
    })
}

async fn sandbox(backend: &Namespaces) -> Result<Duration, BenchError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let id = SandboxId::from_random(random);
    let spec = SandboxSpec {
        id: id.clone(),
        layers: Vec::new(),
        env: BTreeMap::new(),
        workshop: false,
        limits: Limits::default(),
    };
    let began = Instant::now();
    let _sandbox = backend.create(&spec).await?;
    let program = ExecSpec::new([PROGRAM], Duration::from_secs(10));
    backend
        .exec(&id, &program)
        .await?
        .output()
        .await
        .map_err(SandboxError::from)?;
    let took = began.elapsed();
    backend.destroy(&id).await?;
    Ok(took)
}

/// Bubblewrap alone, with the same kinds of namespaces and mounts.
async fn bubblewrap(
    [lower, upper, work]: &[std::path::PathBuf; 3],
) -> Result<Duration, BenchError> {
    let mut command = Command::new(environment("BWRAP_BIN")?);
    command
        .args([
            "--unshare-all",
            "--unshare-user",
            "--disable-userns",
            "--new-session",
        ])
        .args(["--as-pid-1", "--cap-drop", "ALL", "--hostname", "sandbox"])
        .args(["--uid", "1000", "--gid", "1000", "--clearenv"])
        .args(["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"])
        .args([
            "--symlink",
            "usr/lib",
            "/lib",
            "--symlink",
            "usr/lib64",
            "/lib64",
        ])
        .args(["--ro-bind", "/etc/ssl/certs", "/etc/ssl/certs"])
        .args([
            "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run",
        ])
        .arg("--overlay-src")
        .arg(lower)
        .arg("--overlay")
        .args([upper, work])
        .args([
            "/home/agent",
            "--remount-ro",
            "/",
            "--chdir",
            "/home/agent",
            "--",
            PROGRAM,
        ])
        .stdin(Stdio::null());
    let began = Instant::now();
    let status = command.status().await.map_err(io("run bubblewrap"))?;
    let took = began.elapsed();
    if status.success() {
        Ok(took)
    } else {
        Err(BenchError::Unexpected(
            "bubblewrap alone cannot start a program".to_owned(),
        ))
    }
}
