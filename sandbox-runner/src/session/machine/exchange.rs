//! What a machine is told, and what it wants.

use std::collections::BTreeMap;
use std::time::Instant;

use protocol::callback::{PullRequestWish, Report};
use protocol::command::SendPrompt;
use protocol::event::{Limit, Step};
use protocol::{ImageId, Millis, PromptId, SnapshotId};
use serde::{Deserialize, Serialize};

use super::surveying::Survey;
use crate::agent::AgentEvent;
use crate::agent::transcript::Transcript;
use crate::git::{Published, Recorded, Synchronised};
use crate::store::snapshot::Lineage;

/// What happened.
pub(in crate::session) enum Input {
    Prompt(SendPrompt),
    Stop(PromptId),
    /// The files are to be kept and the sandbox to end.
    Sleep,
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
    LimitReached {
        limit: Limit,
        message: String,
    },
    /// The agent says how a pull request is to be; without a branch, that of the work branch.
    PullRequestWished {
        branch: Option<String>,
        wish: PullRequestWish,
    },
    /// The agent says how it goes.
    Update {
        text: String,
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
        outcome: Result<Vec<Published>, String>,
        started_at: Millis,
    },
    /// The files were kept after a turn, or could not be, which harms nothing.
    Kept {
        snapshot: Option<SnapshotId>,
        prompt: PromptId,
        started_at: Millis,
        /// What the turn is compared with, if that could be told.
        recorded: Option<Recorded>,
    },
    /// What a turn changed is on its way to the session, or could not be told.
    Surveyed,
    /// The sandbox has become this snapshot.
    Slept {
        snapshot: SnapshotId,
    },
    /// A moment that [`Machine::due`] named has come.
    Time,
    /// The sandbox is gone, or is not to be used any more.
    Lost {
        reason: String,
    },
    /// What was left of a lost sandbox has become a snapshot, if it could.
    Salvaged {
        snapshot: Option<SnapshotId>,
    },
}

pub(in crate::session) struct Ready {
    pub(in crate::session) ground: Ground,
    pub(in crate::session) transcript: Transcript,
}

/// What a sandbox was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::session) struct Ground {
    pub(in crate::session) image: Option<ImageId>,
    /// The commit of the image. A sandbox of the same session that is made anew has it as well.
    pub(in crate::session) commit: String,
    pub(in crate::session) source: Source,
    /// What the session may know the files as.
    #[serde(default)]
    pub(in crate::session) lineage: Lineage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::session) enum Source {
    Image,
    /// The agent was there before the session, and its first answer is fast already.
    Pool,
    /// The files are those of an earlier sandbox of the session.
    Snapshot,
    /// The files are those of another session.
    Fork,
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
    /// Keeps the files and what is known of the conversation as a snapshot.
    Keep {
        prompt: PromptId,
        scene: Box<Scene>,
        /// The turn's files are recorded before.
        survey: Box<Survey>,
    },
    /// Tells the session what a turn has changed.
    Survey(Box<Survey>),
    /// The same, and ends the sandbox.
    Sleep(Box<Scene>),
    /// The same with a sandbox that is lost.
    Salvage(Box<Scene>),
    /// Brings the workspace up to date.
    Synchronise,
    /// Nobody needs the agent now: time to make its first answer fast.
    WarmUp,
}

/// What a session knows of its sandbox.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::session) struct Scene {
    pub(in crate::session) ground: Ground,
    pub(in crate::session) transcript: Transcript,
}

/// What a turn has to publish.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::session) struct Work {
    pub(in crate::session) prompts: Vec<SendPrompt>,
    pub(in crate::session) summary: String,
    pub(in crate::session) base: String,
    pub(in crate::session) pushed: Option<String>,
    pub(in crate::session) beside: BTreeMap<String, String>,
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
