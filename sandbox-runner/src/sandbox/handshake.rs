//! What a starting sandbox says: bubblewrap on its standard output, init on its standard error.

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::SandboxError;
use crate::init::wire::READY;

/// The most that is kept of what a failed start printed.
const MAX_OUTPUT: usize = 8 << 10;

/// The line that bubblewrap writes once the first process exists.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    child_pid: i32,
}

/// Waits until init says that it can be reached, and returns its process number on the host.
pub(super) async fn started(child: &mut Child) -> Result<i32, SandboxError> {
    let (Some(status), Some(messages)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed("bubblewrap has no pipes"));
    };
    let mut output = String::new();
    let mut messages = BufReader::new(messages).lines();
    loop {
        match messages.next_line().await {
            Ok(Some(line)) if line == READY => break,
            Ok(Some(line)) if output.len() < MAX_OUTPUT => {
                output.push_str(&line);
                output.push('\n');
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return Err(failed(&output)),
        }
    }
    let line = BufReader::new(status).lines().next_line().await;
    let status = line.ok().flatten();
    match status.and_then(|line| serde_json::from_str(&line).ok()) {
        Some(Status { child_pid }) => Ok(child_pid),
        None => Err(failed("bubblewrap did not tell the process of init")),
    }
}

fn failed(output: &str) -> SandboxError {
    SandboxError::Start {
        output: output.trim().to_owned(),
    }
}
