//! The main job, once: a real crate with a real defect, from a prompt to a pull request.
//!
//! `make demo` prints it as it happens; the end-to-end test does the same job and looks at the
//! result with the same eyes ([`verify`]).

use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::api::CreateSession;
use protocol::event::{Fact, Outcome, Repository};
use protocol::frame::ServerFrame;
use protocol::{Seq, SessionId};
use tokio::process::Command;

use crate::client::{Client, ClientError, Viewer};
use crate::defect::{self, DefectError, Project};
use crate::forge::{Forge, ForgeError, ORGANIZATION, PullRequest};
use crate::stack::{Stack, StackError, repository_root};

pub const PROMPT: &str = "the tests fail, find out why and fix it";
pub const LOGIN: &str = "alice";

/// Where the repository is in every sandbox.
const WORKSPACE: &str = "/home/agent/workspace";

/// A first image clones, compiles and tests the crate; a real model may think for minutes.
const READY_LIMIT: Duration = Duration::from_secs(600);
const JOB_LIMIT: Duration = Duration::from_secs(1200);

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("the stack failed")]
    Stack(#[from] StackError),
    #[error("the crate could not be prepared")]
    Defect(#[from] DefectError),
    #[error("the forge failed")]
    Forge(#[from] ForgeError),
    #[error("the Worker refused or broke off")]
    Client(#[from] ClientError),
    #[error("the prompt did not complete: {0}")]
    Prompt(String),
    #[error("the result is not what it should be: {0}")]
    Check(String),
    #[error("failed to run {program}")]
    Program {
        program: &'static str,
        #[source]
        source: std::io::Error,
    },
}

/// A stack with the crate on its forge, and a model that knows the way if it is the scripted one.
pub struct Stage {
    pub stack: Stack,
    pub project: Project,
    pub repository: Repository,
}

impl Stage {
    pub async fn set(stack: Stack) -> Result<Self, DemoError> {
        let cache = cache_directory().join("crates");
        let project = defect::prepare(&cache, &stack.directory().join("project")).await?;
        stack
            .forge
            .create_repository(ORGANIZATION, project.name, &project.directory)
            .await?;
        if let Some(model) = &stack.model {
            model.script_for("repair", "tests fail", project.repair(WORKSPACE).steps());
        }
        let repository = Repository::new(ORGANIZATION, project.name)
            .map_err(|error| DemoError::Check(error.to_string()))?;
        Ok(Self {
            stack,
            project,
            repository,
        })
    }

    /// Makes the repository's image by warming a session that nobody uses.
    pub async fn build_image(&self, client: &Client) -> Result<(), DemoError> {
        let created = client.create_session(&self.wanted(None)).await?;
        let mut viewer = client.watch(&created.id, Seq(0)).await?;
        ready(&mut viewer).await?;
        client.archive(&created.id).await?;
        Ok(())
    }

    pub fn wanted(&self, prompt: Option<&str>) -> CreateSession {
        CreateSession {
            repository: self.repository.clone(),
            branch: None,
            prompt: prompt.map(str::to_owned),
            model: None,
            environment: None,
            client_request_id: None,
            attachments: Vec::new(),
        }
    }
}

/// Waits until the session's sandbox takes prompts.
pub async fn ready(viewer: &mut Viewer) -> Result<(), DemoError> {
    let lost = viewer
        .wait_for_fact("a ready sandbox", READY_LIMIT, |fact| match fact {
            Fact::SandboxReady { .. } => Some(None),
            Fact::SandboxLost { reason, .. } => Some(Some(reason.clone())),
            _ => None,
        })
        .await?;
    lost.map_or(Ok(()), |reason| Err(DemoError::Prompt(reason)))
}

/// Follows a session until its prompt is done and its pull request is open, showing each frame.
pub async fn follow(
    viewer: &mut Viewer,
    mut show: impl FnMut(&ServerFrame),
) -> Result<(), DemoError> {
    let mut finished = false;
    let mut opened = false;
    let failure = viewer
        .wait_for("a pull request", JOB_LIMIT, |_, frame| {
            show(frame);
            let ServerFrame::Events { events } = frame else {
                return None;
            };
            for event in events {
                match &event.fact {
                    Fact::PromptFinished {
                        outcome: Outcome::Completed,
                        ..
                    } => finished = true,
                    Fact::PromptFinished { outcome, .. } => {
                        return Some(Some(format!("{outcome:?}")));
                    }
                    Fact::PullRequestOpened { .. } => opened = true,
                    Fact::Notice { message } => return Some(Some(message.clone())),
                    _ => {}
                }
            }
            (finished && opened).then_some(None)
        })
        .await?;
    failure.map_or(Ok(()), |failure| Err(DemoError::Prompt(failure)))
}

/// What the forge holds, looked at from outside: the pull request, who wrote and who committed,
/// and whether the pushed branch passes the crate's tests in a fresh clone.
pub async fn verify(stage: &Stage, session: &SessionId) -> Result<PullRequest, DemoError> {
    let forge = &stage.stack.forge;
    let name = stage.project.name;
    let branch = format!("agent/{session}");
    let pulls = forge.pull_requests(ORGANIZATION, name).await?;
    let pull = pulls
        .into_iter()
        .find(|pull| pull.head_branch == branch)
        .ok_or_else(|| DemoError::Check(format!("no pull request of {branch}")))?;
    check(pull.open, "the pull request is not open")?;
    check(pull.author == LOGIN, "the pull request is not the user's")?;
    check(
        pull.body.contains(session.as_str()),
        "the pull request does not link the session",
    )?;
    let tip = forge.branch(ORGANIZATION, name, &branch).await?;
    check(
        tip.as_ref() == Some(&pull.head_commit),
        "the branch is not what was proposed",
    )?;
    let names = commit_names(forge, name, &pull.head_commit).await?;
    let expected = format!("{LOGIN}@users.noreply.github.com|{}", forge.app().bot_login);
    check(
        names.contains(&expected),
        &format!("the commit is by {names}, not {expected}"),
    )?;
    test_in_fresh_clone(forge, name, &branch, &stage.stack.directory().join("check")).await?;
    Ok(pull)
}

fn check(holds: bool, otherwise: &str) -> Result<(), DemoError> {
    if holds {
        Ok(())
    } else {
        Err(DemoError::Check(otherwise.to_owned()))
    }
}

/// `author e-mail|committer name` of a commit.
async fn commit_names(forge: &Forge, name: &str, commit: &str) -> Result<String, DemoError> {
    let bare = forge.bare_repository(ORGANIZATION, name);
    let output = Command::new("git")
        .arg("-C")
        .arg(&bare)
        .args(["show", "--no-patch", "--format=%ae|%cn", commit])
        .output()
        .await
        .map_err(|source| DemoError::Program {
            program: "git",
            source,
        })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn test_in_fresh_clone(
    forge: &Forge,
    name: &str,
    branch: &str,
    target: &Path,
) -> Result<(), DemoError> {
    // One from an earlier check of this stack would not be fresh.
    let _ = tokio::fs::remove_dir_all(target).await;
    let clone = Command::new("git")
        .args(["clone", "--quiet", "--branch", branch])
        .arg(forge.bare_repository(ORGANIZATION, name))
        .arg(target)
        .status()
        .await
        .map_err(|source| DemoError::Program {
            program: "git",
            source,
        })?;
    check(clone.success(), "the branch cannot be cloned")?;
    let tests = Command::new("cargo")
        .args(["test", "--quiet", "--offline"])
        .current_dir(target)
        .env("CARGO_TARGET_DIR", target.join("target"))
        .output()
        .await
        .map_err(|source| DemoError::Program {
            program: "cargo",
            source,
        })?;
    let said = String::from_utf8_lossy(&tests.stdout).into_owned();
    check(
        tests.status.success(),
        &format!("the crate's tests fail on the branch:\n{said}"),
    )
}

fn cache_directory() -> PathBuf {
    std::env::var_os("HOSTED_AGENTS_CACHE")
        .map_or_else(|| repository_root().join("target"), PathBuf::from)
}
