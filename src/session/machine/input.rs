//! What happens to a session: everything that a step can be taken for.

use protocol::api::PullRequest;
use protocol::callback::{Batch, PullRequestWish};
use protocol::event::{Artifact, Opener, Person, Prompt, Step};
use protocol::{Epoch, Millis, PromptId, RunnerId, SessionId};
use serde::{Deserialize, Serialize};

use super::changes::KeptChanges;
use super::effect::Deadline;
use super::following::Follower;
use super::pull_requests::PullRequestNews;

/// What the outside world brings to a step.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    pub now: Millis,
    /// For the identifier of a sandbox, should one be started.
    pub random: [u8; 16],
    /// How long a sandbox without work stays awake.
    pub idle_ms: i64,
}

/// What a person does to a session beyond prompting, by whichever way they ask for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    Edit {
        prompt: PromptId,
        text: String,
    },
    Cancel {
        prompt: PromptId,
    },
    /// Gives a prompt that waits to the running one, or to the agent next.
    Insert {
        prompt: PromptId,
    },
    Reorder {
        order: Vec<PromptId>,
    },
    /// Ends the running prompt; what waits stays until the queue is resumed or cleared.
    Stop,
    ResumeQueue,
    ClearQueue,
    Archive,
}

impl Act {
    pub fn by(self, by: Person) -> Input {
        Input::Act { act: self, by }
    }
}

#[derive(Debug, Clone)]
pub enum Input {
    /// Somebody writes a prompt: a sandbox is made ready meanwhile.
    Typing,
    Prompt(Prompt),
    /// Somebody does something to the session or its queue.
    Act {
        act: Act,
        by: Person,
    },
    /// Another session goes on from a prompt of this one.
    Forked {
        session: SessionId,
        by: Person,
    },
    Rename {
        title: String,
    },
    Batch(Batch),
    Placed {
        epoch: Epoch,
        runner: RunnerId,
        runner_url: String,
        claim: Step,
    },
    /// A command could not be delivered, or no runner took the sandbox.
    Unreachable {
        epoch: Epoch,
        reason: String,
    },
    PullRequestOpened {
        prompt: PromptId,
        pull_request: PullRequest,
        by: Opener,
        step: Step,
        /// What people should know of it.
        notice: Option<String>,
    },
    PullRequestFailed {
        message: String,
    },
    /// Somebody says how a branch's pull request is to be.
    PullRequestWished {
        branch: String,
        wish: PullRequestWish,
        by: Person,
    },
    /// Somebody approved or asked for changes, or took that back.
    ReviewsChanged {
        number: u64,
    },
    /// A check failed on a commit of this session.
    Repair {
        prompt: Prompt,
        branch: String,
        commit: String,
    },
    /// Somebody called this session on an issue or a pull request.
    Called {
        number: u64,
    },
    /// A thread elsewhere is to be told of everything here.
    FollowedBy(Follower),
    /// The forge tells of a pull request of this session.
    PullRequest(PullRequestNews),
    /// The agent made a file, which is stored.
    ArtifactAdded {
        artifact: Artifact,
        prompt: Option<PromptId>,
    },
    /// What a prompt has changed is kept.
    ChangesKept(KeptChanges),
    /// Somebody types in the sandbox's terminal.
    TerminalUsed,
    Expired(Deadline),
}
