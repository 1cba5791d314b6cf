//! What a machine is told, and what it wants.

use std::time::Instant;

use protocol::callback::Report;
use protocol::command::SendPrompt;
use protocol::event::Step;
use protocol::{ImageId, Millis, PromptId};

use crate::agent::{AgentEvent, ConversationId};
use crate::git::{Published, Synchronised};

/// What happened.
pub(in crate::session) enum Input {
    Prompt(SendPrompt),
    Stop(PromptId),
    Step(Step),
    /// The sandbox runs, and its workspace is being brought up to date.
    Opened,
    Ready(Box<Ready>),
    /// The workspace is where the work goes on.
    Synchronised(Box<Synchronised>),
    /// The workspace stays on the image's commit, for now.
    Unsynchronised {
        message: String,
    },
    /// Something for people to know.
    Notice {
        message: String,
    },
    Agent(AgentEvent),
    Delivered(PromptId),
    /// The agent did not take a prompt; `fatal` when it never will.
    Undelivered {
        prompt: PromptId,
        message: String,
        fatal: bool,
    },
    /// What the stopped turn left running is gone.
    Cleared,
    Published {
        outcome: Result<Option<Published>, String>,
        started_at: Millis,
    },
    /// A moment that [`Machine::due`] named has come.
    Time,
    /// The sandbox is gone.
    Lost {
        reason: String,
    },
}

pub(in crate::session) struct Ready {
    pub(in crate::session) image: Option<ImageId>,
    pub(in crate::session) conversation: ConversationId,
    pub(in crate::session) directory: String,
    /// What is checked out.
    pub(in crate::session) commit: String,
}

/// What is to be done once the state is recorded.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::session) enum Action {
    Deliver(SendPrompt),
    /// Opens the event stream anew, whose first event tells how things stand.
    Listen,
    Abort,
    /// Ends every process that the agent started.
    Clear,
    Publish(Box<Work>),
    /// Brings the workspace, which started from this commit, up to date.
    Synchronise(String),
    /// Nobody needs the agent now: time to make its first answer fast.
    WarmUp,
}

/// What a turn has to publish.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::session) struct Work {
    pub(in crate::session) prompts: Vec<SendPrompt>,
    pub(in crate::session) summary: String,
    pub(in crate::session) base: String,
    pub(in crate::session) pushed: Option<String>,
    pub(in crate::session) behind: bool,
}

/// A moment by both clocks: one for people, one that never goes back.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Moment {
    pub(in crate::session) at: Millis,
    pub(in crate::session) instant: Instant,
}

#[derive(Debug, Default)]
pub(in crate::session) struct Effects {
    pub(in crate::session) reports: Vec<Report>,
    pub(in crate::session) actions: Vec<Action>,
}
