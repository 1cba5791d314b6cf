//! What a session does with its sandbox besides the agent's work: wait for its end, clear what a
//! stopped turn left, remove it.

use std::path::PathBuf;
use std::time::Duration;

use protocol::SandboxId;

use super::Machinery;
use super::machine::Input;
use super::provision::{AGENT, AGENT_LOG};
use crate::cause;
use crate::init::wire::{ExecSpec, Exit};
use crate::sandbox::{SandboxBackend, SandboxError, Stays};

const LOG_LIMIT: Duration = Duration::from_secs(5);
/// How long a sandbox's programs get to end by themselves.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Returns when the agent's process, or the whole sandbox, has ended.
pub(super) async fn agent_ended(backend: &dyn SandboxBackend, sandbox: &SandboxId) -> Input {
    let reason = match backend.wait(sandbox, AGENT).await {
        Ok(exit) => {
            let last_words = log(backend, sandbox).await;
            tracing::error!(%sandbox, ?exit, last_words, "the agent ended");
            match exit {
                Exit::Code(code) => format!("the agent ended with code {code}"),
                Exit::Signal(signal) => format!("the agent was ended by signal {signal}"),
                Exit::TimedOut => "the agent ended".to_owned(),
            }
        }
        Err(error) => {
            tracing::error!(%sandbox, error = cause::chain(&error), "the sandbox ended");
            "the sandbox ended".to_owned()
        }
    };
    Input::Lost { reason }
}

async fn log(backend: &dyn SandboxBackend, sandbox: &SandboxId) -> String {
    let spec = ExecSpec::new(["tail", "-c", "2000", AGENT_LOG], LOG_LIMIT);
    let output = match backend.exec(sandbox, &spec).await {
        Ok(exec) => exec.output().await,
        Err(error) => return cause::chain(&error),
    };
    match output {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => cause::chain(&error),
    }
}

/// Ends every program but the agent and those of people's terminal.
pub(super) async fn clear(machinery: &Machinery, sandbox: &SandboxId) {
    let stays = Stays {
        server: PathBuf::from(&machinery.agent_binary),
        session: machinery.terminals.shell_at(sandbox),
    };
    if let Err(error) = machinery.backend.clear(sandbox, &stays).await {
        tracing::warn!(%sandbox, error = cause::chain(&error), "a stopped turn may have left programs");
    }
}

/// Removes the sandbox, if it is there. What cannot be removed now is swept at the next start.
pub(super) async fn destroy(backend: &dyn SandboxBackend, sandbox: &SandboxId) {
    if let Err(error) = backend.stop(sandbox, STOP_GRACE).await
        && !matches!(error, SandboxError::Unknown(_))
    {
        tracing::debug!(%sandbox, error = cause::chain(&error), "a sandbox did not stop");
    }
    match backend.destroy(sandbox).await {
        Ok(()) | Err(SandboxError::Unknown(_)) => {}
        Err(error) => {
            tracing::warn!(%sandbox, error = cause::chain(&error), "a sandbox remains");
        }
    }
}
