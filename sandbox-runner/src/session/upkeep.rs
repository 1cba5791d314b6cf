//! What a session does with its sandbox besides the agent's work: wait for its end, clear what a
//! stopped turn left, remove it.

use std::time::Duration;

use protocol::SandboxId;

use super::Machinery;
use super::machine::Input;
use super::provision::{AGENT, AGENT_LOG};
use crate::cause;
use crate::init::wire::{ExecSpec, Exit};
use crate::sandbox::{SandboxBackend, SandboxError};

const CLEAR_LIMIT: Duration = Duration::from_secs(10);
const LOG_LIMIT: Duration = Duration::from_secs(5);
/// How long a sandbox's programs get to end by themselves.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Kills everything in the sandbox but its init, the agent ($1, which init started), the session of
/// processes of people's terminal ($2) and this script. An agent that was told to stop may still be starting a program, which on a busy machine
/// takes it a while, so it takes 300 ms in which nothing new appeared. A stop has a second.
const CLEAR: &str = r#"
clean=0
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do
    killed=
    for process in /proc/[0-9]*; do
        id=${process#/proc/}
        [ "$id" = 1 ] || [ "$id" = $$ ] && continue
        parent=
        while read -r key value; do
            [ "$key" = PPid: ] && parent=$value && break
        done 2>/dev/null <"$process/status"
        if [ "$2" ]; then
            stat=
            read -r stat 2>/dev/null <"$process/stat"
            set -- "$1" "$2" ${stat##*) }
            [ "$6" = "$2" ] && continue
        fi
        [ "$parent" = 1 ] && [ "$(readlink "$process/exe")" = "$1" ] && continue
        kill -9 "$id" 2>/dev/null && killed=yes
    done
    [ "$killed" ] && clean=0 || clean=$((clean + 1))
    [ $clean = 6 ] && break
    sleep 0.05
done
true
"#;

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
            tracing::error!(%sandbox, error = &error as &dyn std::error::Error, "the sandbox ended");
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

/// Ends every program that the agent started.
pub(super) async fn clear(machinery: &Machinery, sandbox: &SandboxId) {
    let terminal = machinery.terminals.shell_at(sandbox);
    let terminal = terminal
        .map(|number| number.to_string())
        .unwrap_or_default();
    let agent = machinery.agent_binary.as_str();
    let argv = ["/bin/sh", "-c", CLEAR, "clear", agent, &terminal];
    let spec = ExecSpec::new(argv, CLEAR_LIMIT);
    let cleared = match machinery.backend.exec(sandbox, &spec).await {
        Ok(exec) => exec.output().await.map_err(Into::into),
        Err(error) => Err(error),
    };
    if let Err(error) = cleared {
        tracing::warn!(%sandbox, error = &error as &dyn std::error::Error, "a stopped turn may have left programs");
    }
}

/// Removes the sandbox, if it is there. What cannot be removed now is swept at the next start.
pub(super) async fn destroy(backend: &dyn SandboxBackend, sandbox: &SandboxId) {
    if let Err(error) = backend.stop(sandbox, STOP_GRACE).await
        && !matches!(error, SandboxError::Unknown(_))
    {
        tracing::debug!(%sandbox, error = &error as &dyn std::error::Error, "a sandbox did not stop");
    }
    match backend.destroy(sandbox).await {
        Ok(()) | Err(SandboxError::Unknown(_)) => {}
        Err(error) => {
            tracing::warn!(%sandbox, error = &error as &dyn std::error::Error, "a sandbox remains");
        }
    }
}
