//! The git plumbing commands that the forge runs on its bare repositories.
//!
//! Every command has a deadline and ignores the configuration of whoever runs the forge, so that
//! an answer depends on the repository alone.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const DEADLINE: Duration = Duration::from_secs(120);

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("git could not be started; is it installed?")]
    Start(#[source] std::io::Error),
    #[error("git {command} did not end within {DEADLINE:?}")]
    Deadline { command: String },
    #[error("git {command} failed: {message}")]
    Failed { command: String, message: String },
    #[error("git {command} answered something that is not UTF-8")]
    Encoding { command: String },
}

/// One bare repository.
#[derive(Debug, Clone)]
pub(super) struct Git {
    directory: PathBuf,
}

impl Git {
    pub(super) fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Standard output of a command that must succeed.
    pub(super) async fn bytes(&self, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
        self.bytes_from(arguments, &[], b"").await
    }

    /// The same, fed from `input`, with more environment.
    pub(super) async fn bytes_from(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        input: &[u8],
    ) -> Result<Vec<u8>, GitError> {
        let output = self.output(arguments, environment, input).await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(GitError::Failed {
            command: arguments.join(" "),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Standard output as text, without the final newline.
    pub(super) async fn text(&self, arguments: &[&str]) -> Result<String, GitError> {
        let bytes = self.bytes(arguments).await?;
        let text = String::from_utf8(bytes).map_err(|_| GitError::Encoding {
            command: arguments.join(" "),
        })?;
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// The commit that a branch, tag or object name stands for.
    pub(super) async fn commit(&self, name: &str) -> Result<Option<String>, GitError> {
        if name.starts_with('-') {
            return Ok(None);
        }
        let peeled = format!("{name}^{{commit}}");
        let arguments = [
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &peeled,
        ];
        let output = self.output(&arguments, &[], b"").await?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((output.status.success() && !text.is_empty()).then_some(text))
    }

    /// The commit at the tip of a branch.
    pub(super) async fn branch(&self, name: &str) -> Result<Option<String>, GitError> {
        self.commit(&format!("refs/heads/{name}")).await
    }

    /// The tree of a merge of two commits, or `None` if they conflict.
    pub(super) async fn merge_tree(
        &self,
        base: &str,
        head: &str,
    ) -> Result<Option<String>, GitError> {
        let arguments = ["merge-tree", "--write-tree", base, head];
        let output = self.output(&arguments, &[], b"").await?;
        match output.status.code() {
            Some(0) => {
                let text = String::from_utf8_lossy(&output.stdout);
                Ok(text.lines().next().map(str::to_owned))
            }
            Some(1) => Ok(None),
            _ => Err(GitError::Failed {
                command: arguments.join(" "),
                message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            }),
        }
    }

    async fn output(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        input: &[u8],
    ) -> Result<Output, GitError> {
        let mut child = command(&self.directory)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(GitError::Start)?;
        let stdin = child.stdin.take();
        // The input is written while the output is read: either pipe may fill up first. A command
        // that does not read its input is no failure; its exit status tells.
        let write = async {
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(input).await;
            }
        };
        let both = async { tokio::join!(write, child.wait_with_output()).1 };
        tokio::time::timeout(DEADLINE, both)
            .await
            .map_err(|_| GitError::Deadline {
                command: arguments.join(" "),
            })?
            .map_err(GitError::Start)
    }
}

/// `git` in a repository.
fn command(directory: &Path) -> Command {
    let mut command = plain_command();
    command.arg("--git-dir").arg(directory);
    command
}

/// `git` free of the caller's configuration.
pub(super) fn plain_command() -> Command {
    let mut command = Command::new("git");
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .kill_on_drop(true);
    command
}
