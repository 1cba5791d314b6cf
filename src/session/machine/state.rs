//! What a session is: the one row that everything is decided from, and what is read off it.

use std::collections::BTreeMap;

use protocol::api::{PullRequest, SessionState};
use protocol::command::Model;
use protocol::event::{Parent, Person, Repository};
use protocol::image::{Base, EnvironmentName};
use protocol::{Epoch, Millis, PartId, PromptId, RunnerId, SandboxId, SessionId, SnapshotId};
use serde::{Deserialize, Serialize};

use super::changes::ChangesIndex;
use super::following::Follower;
use super::forge::Forge;

/// Everything that decides, small enough to be one row. Texts of prompts and parts are not here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub session: SessionId,
    pub repository: Repository,
    pub branch: String,
    pub work_branch: String,
    pub model: Model,
    #[serde(default)]
    pub environment: Option<EnvironmentName>,
    pub title: String,
    pub created_by: Person,
    pub created_at: Millis,
    pub updated_at: Millis,
    pub archived: bool,
    /// What it was forked from.
    #[serde(default)]
    pub parent: Option<Parent>,
    pub queue: Vec<Waiting>,
    /// Nothing starts until somebody resumes or clears the queue.
    #[serde(default)]
    pub paused: bool,
    pub running: Option<Running>,
    /// The prompts that ended since files were kept at the end of one.
    #[serde(default)]
    pub ended: Vec<PromptId>,
    pub last_failed: bool,
    pub sandbox: Option<Sandbox>,
    /// The newest epoch given out, also when its sandbox is gone.
    pub epoch: Epoch,
    /// How many sandboxes in a row were lost before they were ready.
    #[serde(default)]
    pub failed_starts: u32,
    pub next_part: PartId,
    pub open_parts: BTreeMap<PartId, OpenPart>,
    /// Who prompted since the last commit, in order, each once.
    pub uncredited: Vec<Person>,
    /// In the order in which they were opened.
    #[serde(default)]
    pub pull_requests: Vec<PullRequest>,
    /// What the forge told of them that is in the log already.
    #[serde(default)]
    pub told: Vec<String>,
    /// What the files were last; the next sandbox goes on from it.
    #[serde(default)]
    pub snapshot: Option<Kept>,
    /// Somebody types, and has not sent it yet.
    #[serde(default)]
    pub typing: Option<Typing>,
    /// Sessions that went on from prompts of this one.
    #[serde(default)]
    pub forks: Vec<SessionId>,
    #[serde(default)]
    pub forge: Forge,
    /// The thread elsewhere that is told of everything here.
    #[serde(default)]
    pub follower: Option<Follower>,
    #[serde(default)]
    pub changes: ChangesIndex,
    /// When somebody last typed in the sandbox's terminal.
    #[serde(default)]
    pub terminal_used: Option<Millis>,
}

impl State {
    /// What its sandboxes start from, without a snapshot.
    pub fn base(&self) -> Base {
        Base {
            repository: self.repository.clone(),
            branch: self.branch.clone(),
            environment: self.environment.clone(),
        }
    }

    /// What lists show of this session.
    pub fn activity(&self) -> SessionState {
        if self.archived {
            SessionState::Archived
        } else if self.running.is_some() || !self.queue.is_empty() {
            SessionState::Working
        } else if self.last_failed {
            SessionState::Failed
        } else if self.sandbox.as_ref().is_some_and(|sandbox| !sandbox.ready) {
            SessionState::Warming
        } else {
            SessionState::Idle
        }
    }

    /// What the index shows of this session.
    pub(super) fn summary_key(&self) -> (SessionState, bool, String, Vec<PullRequest>) {
        (
            self.activity(),
            self.paused,
            self.title.clone(),
            self.pull_requests.clone(),
        )
    }

    /// Whether a prompt is still to be given to the agent.
    pub fn wants_sent(&self, prompt: &PromptId) -> bool {
        self.running.as_ref().is_some_and(|running| {
            running.stopped_by.is_none() && running.prompts().any(|one| one == prompt)
        })
    }

    pub(super) fn is_current(&self, epoch: Epoch) -> bool {
        self.sandbox
            .as_ref()
            .is_some_and(|sandbox| sandbox.epoch == epoch)
    }
}

/// A snapshot, and the runner that has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub id: SnapshotId,
    pub runner: Option<RunnerId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Typing {
    /// The first keystroke.
    pub since: Millis,
    /// The last one, up to [`super::rest::TYPING_STEP_MS`] late.
    pub last: Millis,
}

/// A prompt that has not started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    pub prompt: PromptId,
    pub author: Person,
    pub queued_at: Millis,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    pub prompt: PromptId,
    pub author: Person,
    pub queued_at: Millis,
    /// Prompts that joined this one's run; the first of them goes on alone if it ends before.
    #[serde(default)]
    pub joined: Vec<Waiting>,
    pub stopped_by: Option<Person>,
    /// Its sandbox was lost: it waits for another one.
    #[serde(default)]
    pub adrift: bool,
    /// How often it went on in another sandbox.
    #[serde(default)]
    pub resumed: u32,
}

impl Running {
    /// This prompt and those that joined it.
    pub fn prompts(&self) -> impl Iterator<Item = &PromptId> {
        let joined = self.joined.iter().map(|joined| &joined.prompt);
        std::iter::once(&self.prompt).chain(joined)
    }

    /// Goes on without one of its prompts. False if it is the only one.
    pub(super) fn drop_one(&mut self, prompt: &PromptId) -> bool {
        if self.joined.is_empty() {
            return false;
        }
        if self.prompt == *prompt {
            let Waiting {
                prompt,
                author,
                queued_at,
            } = self.joined.remove(0);
            (self.prompt, self.author, self.queued_at) = (prompt, author, queued_at);
        } else {
            self.joined.retain(|joined| joined.prompt != *prompt);
        }
        true
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    pub id: SandboxId,
    pub epoch: Epoch,
    #[serde(default)]
    pub asked_at: Option<Millis>,
    pub ready: bool,
    /// A prompt came since it was asked for.
    #[serde(default = "prompted")]
    pub prompted: bool,
    /// It has been told to sleep, and takes nothing any more.
    #[serde(default)]
    pub sleeping: bool,
    /// Since when it is ready and has nothing to do.
    #[serde(default)]
    pub rests_since: Option<Millis>,
    #[serde(default)]
    pub runner: Option<RunnerId>,
    /// Where its commands go; known once it is placed.
    pub runner_url: Option<String>,
    /// Every report up to this number is in the log.
    pub received: u64,
    pub last_report_at: Millis,
}

/// What is true of a sandbox that was stored before this was.
fn prompted() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenPart {
    pub prompt: PromptId,
    /// UTF-16 code units so far.
    pub length: u64,
}
