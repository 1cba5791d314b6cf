//! What is recorded of a machine. Every change to it is in the transaction of its reports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::command::SendPrompt;
use protocol::ledger::Contact;
use protocol::{Millis, PromptId};
use serde::{Deserialize, Serialize};

use super::exchange::Ground;
use super::surveying::Survey;
use crate::agent::transcript::Transcript;
use crate::callback::coalescer::Coalescer;

/// The recorded half of a [`Machine`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::session) struct State {
    /// Present once the sandbox is ready.
    pub(super) running: Option<Running>,
    /// Present once the workspace is up to date.
    #[serde(default)]
    pub(super) standing: Option<Standing>,
    /// Whether it was tried to its end to bring it there: from then on the agent may have written.
    #[serde(default)]
    pub(super) tried: bool,
    pub(super) coalescer: Coalescer,
    pub(super) waiting: VecDeque<SendPrompt>,
    /// Every prompt that was ever taken, so that none is taken twice.
    pub(super) taken: BTreeSet<PromptId>,
    /// The sandbox is gone, lost or asleep.
    pub(super) gone: bool,
    /// Why the sandbox is lost, while what is left of it is being kept.
    #[serde(default)]
    pub(super) losing: Option<String>,
    /// Whether a turn began since the files were last kept.
    #[serde(default)]
    pub(super) unsaved: bool,
    #[serde(default)]
    pub(super) rest: Rest,
    /// The turns that have ended and whose changes are still to be told, oldest first.
    #[serde(default)]
    pub(super) surveys: VecDeque<Survey>,
    /// What was pushed before the first turn of this sandbox.
    #[serde(default)]
    pub(super) found: Option<String>,
    /// Whether a turn has ended in this sandbox.
    #[serde(default)]
    pub(super) turned: bool,
    /// Totals of the ledger as last reported: a later process of the runner counts on from them.
    #[serde(default)]
    pub(super) contacts: Vec<Contact>,
}

/// The turn that runs, and what its changes are compared with.
pub(in crate::session) struct UnderWay {
    /// The newest of its prompts.
    pub(in crate::session) prompt: PromptId,
    pub(in crate::session) base: String,
    pub(in crate::session) found: Option<String>,
}

impl State {
    pub(in crate::session) fn under_way(self) -> Option<UnderWay> {
        let running = self.running?;
        let prompt = running.turn?.prompts.pop()?.prompt;
        let base = self.standing.map(|standing| standing.base);
        Some(UnderWay {
            prompt,
            base: base.unwrap_or(running.ground.commit),
            found: self.found,
        })
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) ground: Ground,
    pub(super) transcript: Transcript,
    pub(super) turn: Option<Turn>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Rest {
    #[default]
    Awake,
    /// It is to sleep as soon as nothing is to be done.
    Drowsy,
    /// Its agent is being ended and the sandbox becomes a snapshot, unless a prompt comes first.
    Asleep,
}

/// What the workspace stands on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Standing {
    /// What the work is compared with.
    pub(super) base: String,
    /// The work branch at the forge.
    pub(super) pushed: Option<String>,
    /// The branches beside it that this sandbox has pushed.
    #[serde(default)]
    pub(super) beside: BTreeMap<String, String>,
    /// Whether what is pushed may be missing in the workspace.
    pub(super) behind: bool,
}

/// One run of the agent, from its prompt to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Turn {
    /// The one it began with, and those inserted since.
    pub(super) prompts: Vec<SendPrompt>,
    pub(super) started_at: Millis,
    pub(super) phase: Phase,
    /// Whether the first token was reported.
    pub(super) answered: bool,
    pub(super) delivery: Delivery,
    pub(super) attempts: u32,
    /// The last complaint of the model that was passed on.
    pub(super) complaint: Option<String>,
    /// Whether it is stopped for having taken too long.
    #[serde(default)]
    pub(super) is_overdue: bool,
}

/// Whether the agent has the turn's first prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Delivery {
    InFlight,
    /// The request failed or was cut off. The next look at the agent tells.
    Unknown,
    Taken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    Running,
    Stopping,
    /// The work is being committed and pushed. An inserted prompt that reached the agent just after
    /// its end makes it busy once more, and then there is more to publish.
    Publishing {
        busy: bool,
        again: bool,
    },
}
