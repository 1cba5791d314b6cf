//! What the waterfall shows: the steps from a keystroke to a pull request.

use serde::{Deserialize, Serialize};

use crate::id::Millis;

/// One bar of the waterfall: what was waited for, from when, how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Step {
    pub name: StepName,
    pub started_at: Millis,
    pub ms: u64,
    /// Why it took what it took, for people: "no image yet", "built for commit 1a2b3c".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum StepName {
    /// From the first keystroke to the prompt's arrival: the time that warming had.
    Typing,
    /// Choosing a runner, and a sandbox of its pool if there is one.
    Claim,
    /// Building the image, when there was none.
    Image,
    /// Mounting the image and starting the process tree.
    Restore,
    /// Bringing the workspace to the branch's newest commit.
    Sync,
    /// A write that waited until the workspace was up to date.
    WriteWait,
    /// Until the agent server answers.
    AgentUp,
    /// From the prompt's arrival to its first token.
    FirstToken,
    /// From the prompt's start to its end.
    Run,
    /// Keeping the files as a snapshot.
    Snapshot,
    /// Committing and pushing.
    Push,
    PullRequest,
}

impl StepName {
    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Typing => "typing",
            Self::Claim => "claim",
            Self::Image => "image",
            Self::Restore => "restore",
            Self::Sync => "sync",
            Self::WriteWait => "write waited",
            Self::AgentUp => "agent up",
            Self::FirstToken => "first token",
            Self::Run => "run",
            Self::Snapshot => "snapshot",
            Self::Push => "push",
            Self::PullRequest => "pull request",
        }
    }
}
