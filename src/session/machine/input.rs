//! What happens to a session: everything that a step can be taken for.

use protocol::api::PullRequest;
use protocol::callback::{Batch, PullRequestWish};
use protocol::event::{Artifact, Opener, Person, Prompt, Step};
use protocol::{Epoch, Millis, PromptId, RunnerId, SessionId};

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

#[derive(Debug, Clone)]
pub enum Input {
    /// Somebody writes a prompt: a sandbox is made ready meanwhile.
    Typing,
    Prompt(Prompt),
    Edit {
        prompt: PromptId,
        text: String,
        by: Person,
    },
    Cancel {
        prompt: PromptId,
        by: Person,
    },
    /// Gives a prompt that waits to the running one, or to the agent next.
    Insert {
        prompt: PromptId,
        by: Person,
    },
    Reorder {
        order: Vec<PromptId>,
        by: Person,
    },
    /// Ends the running prompt; what waits stays until the queue is resumed or cleared.
    Stop {
        by: Person,
    },
    ResumeQueue {
        by: Person,
    },
    ClearQueue {
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
    Archive {
        by: Person,
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
