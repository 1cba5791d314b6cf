//! Git for a session's work: bring the workspace up to date, commit, push, keep work in progress.
//!
//! Every git runs inside the sandbox, since a hostile repository's hooks, filters and settings
//! are programs. Credentials are added by the gateway, which lets this sandbox push to the session's
//! own branches.

mod branches;
mod conflict;
mod difference;
mod marks;
pub mod message;
mod numstat;
mod progress;
mod publication;
mod sync;
mod turn;

use std::time::Duration;

use protocol::SandboxId;
use protocol::event::{FileChange, Repository};

use crate::init::wire::{ExecSpec, Exit, GATEWAY_PORT};
use crate::sandbox::channel::{ChannelError, Exec, ExecOutput};
use crate::sandbox::{SandboxBackend, SandboxError};
pub use difference::Difference;
pub use marks::Marks;
pub use progress::{BundleError, Restored};
pub use publication::{Publication, Published};
pub use sync::{Conflict, Looked, Synchronised};
pub use turn::Recorded;

/// Long enough to look through a large working tree on a busy machine.
const LOCAL: Duration = Duration::from_secs(120);
/// Long enough to move a large history.
const REMOTE: Duration = Duration::from_secs(300);
/// Where a workspace has the commit of another session that its own is a fork of.
const FORKED: &str = "refs/agent/forked";
/// Most of git's own words in an error.
const MAX_COMPLAINT: usize = 600;

/// Nothing that the repository sets may start a program or wait for a person.
const SETTINGS: [(&str, &str); 7] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("commit.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("credential.helper", ""),
];

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("failed to run git {operation}")]
    Run {
        operation: String,
        #[source]
        source: SandboxError,
    },
    #[error("failed to follow git {operation}")]
    Output {
        operation: String,
        #[source]
        source: ChannelError,
    },
    #[error("git {operation} failed: {complaint}")]
    Failed {
        operation: String,
        complaint: String,
    },
    #[error("the repository has no branch {0}")]
    NoBranch(String),
    #[error("the session's earlier work, commit {0}, is not merged into this workspace")]
    Behind(String),
}

/// A repository's working tree inside a sandbox.
pub struct Workspace<'a> {
    pub backend: &'a dyn SandboxBackend,
    pub sandbox: &'a SandboxId,
    /// Absolute path inside the sandbox.
    pub directory: &'a str,
    pub repository: &'a Repository,
}

impl Workspace<'_> {
    /// Notes that the work so far is another session's.
    pub async fn fork(&self) -> Result<(), GitError> {
        let noting = self.git(&["update-ref", FORKED, "HEAD"]);
        noting.text().await.map(drop)
    }

    /// Whether a commit is the one with which another session's work ended. It is not this one's.
    async fn is_forked(&self, commit: &str) -> Result<bool, GitError> {
        let forked = self.git(&["rev-parse", "--verify", "--quiet", FORKED]);
        let output = forked.run().await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim() == commit)
    }

    async fn changes(&self, base: &str, commit: &str) -> Result<Vec<FileChange>, GitError> {
        let range = format!("{base}...{commit}");
        let listed = self
            .git(&["diff", "--numstat", "-z", "--no-ext-diff", &range])
            .bytes()
            .await?;
        Ok(numstat::parse(&listed))
    }

    /// The commit that is checked out.
    pub async fn head(&self) -> Result<String, GitError> {
        self.git(&["rev-parse", "--verify", "HEAD"]).text().await
    }

    async fn holds(&self, commit: &str) -> Result<bool, GitError> {
        let object = format!("{commit}^{{commit}}");
        Ok(self
            .git(&["cat-file", "-e", &object])
            .exit()
            .await?
            .success())
    }

    async fn is_ancestor(&self, older: &str, newer: &str) -> Result<bool, GitError> {
        let ask = ["merge-base", "--is-ancestor", older, newer];
        Ok(self.git(&ask).exit().await?.success())
    }

    fn remote(&self) -> String {
        let (owner, name) = (self.repository.owner(), self.repository.name());
        format!("http://127.0.0.1:{GATEWAY_PORT}/git/{owner}/{name}.git")
    }

    fn git(&self, arguments: &[&str]) -> Git<'_> {
        let settings = SETTINGS.map(|(name, value)| format!("{name}={value}"));
        let mut argv = vec!["git"];
        for setting in &settings {
            argv.extend(["-c", setting]);
        }
        argv.extend(arguments);
        Git {
            workspace: self,
            operation: arguments.first().copied().unwrap_or_default().to_owned(),
            spec: ExecSpec::new(argv, LOCAL)
                .cwd(self.directory)
                .env("GIT_TERMINAL_PROMPT", "0")
                .env("GIT_EDITOR", "true")
                .env("LC_ALL", "C.UTF-8"),
        }
    }
}

fn heads(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

/// One run of git.
struct Git<'a> {
    workspace: &'a Workspace<'a>,
    operation: String,
    spec: ExecSpec,
}

impl Git<'_> {
    fn within(mut self, limit: Duration) -> Self {
        self.spec.timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self
    }

    fn input(mut self, text: &str) -> Self {
        self.spec = self.spec.stdin(text);
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.spec = self.spec.env(name, value);
        self
    }

    /// Goes on when the runner's process ends: half of it would be worse than either.
    fn unbroken(mut self) -> Self {
        self.spec
            .argv
            .splice(0..0, ["setsid", "--wait"].map(str::to_owned));
        self
    }

    /// What a successful git printed, without the white space around it.
    async fn text(self) -> Result<String, GitError> {
        Ok(String::from_utf8_lossy(&self.bytes().await?)
            .trim()
            .to_owned())
    }

    async fn bytes(self) -> Result<Vec<u8>, GitError> {
        let operation = self.operation.clone();
        let output = self.run().await?;
        if output.exit.success() {
            return Ok(output.stdout);
        }
        let complaint = match output.exit {
            Exit::TimedOut => "it took too long and was ended".to_owned(),
            _ => {
                let text = String::from_utf8_lossy(&output.stderr);
                text.trim().chars().take(MAX_COMPLAINT).collect()
            }
        };
        Err(GitError::Failed {
            operation,
            complaint,
        })
    }

    async fn exit(self) -> Result<Exit, GitError> {
        self.run().await.map(|output| output.exit)
    }

    async fn run(self) -> Result<ExecOutput, GitError> {
        let operation = self.operation.clone();
        self.start()
            .await?
            .output()
            .await
            .map_err(|source| GitError::Output { operation, source })
    }

    async fn start(self) -> Result<Exec, GitError> {
        let Self {
            workspace,
            operation,
            spec,
        } = self;
        let exec = workspace.backend.exec(workspace.sandbox, &spec).await;
        exec.map_err(|source| GitError::Run { operation, source })
    }
}
