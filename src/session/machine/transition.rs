//! What a step leads to, or why it is refused.

use protocol::ledger::Contact;
use protocol::{Epoch, Fact, Millis, PartId, PromptId};

use super::effect::{Deadline, Effect};
use super::input::Context;
use super::state::Kept;

/// Changes that follow each other are one write to the index, and lists are not read that fast.
pub const BOOKKEEPING_DELAY_MS: i64 = 1_000;

/// What a step leads to, all of it persisted at once.
#[derive(Debug, Default)]
pub struct Transition {
    pub outputs: Vec<Output>,
    /// Work that is due at the given time.
    pub effects: Vec<(Millis, Effect)>,
    /// Keys of work that is void now.
    pub cancelled: Vec<String>,
}

impl Transition {
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.effects.is_empty() && self.cancelled.is_empty()
    }

    pub(super) fn fact(&mut self, fact: Fact) {
        self.outputs.push(Output::Fact(fact));
    }

    pub(super) fn now(&mut self, context: Context, effect: Effect) {
        self.effects.push((context.now, effect));
    }

    /// For what nobody waits for: it does not hold up what follows.
    pub(super) fn soon(&mut self, context: Context, effect: Effect) {
        self.effects
            .push((context.now.plus(BOOKKEEPING_DELAY_MS), effect));
    }

    pub(super) fn expire(&mut self, at: Millis, deadline: Deadline) {
        self.effects.push((at, Effect::Expire(deadline)));
    }

    /// Also of what was asked for earlier in this step: what is asked for afterwards stays.
    pub(super) fn cancel(&mut self, key: String) {
        self.effects.retain(|(_, effect)| effect.key() != key);
        self.cancelled.push(key);
    }
}

/// A fact for the log, text of a part that is still growing, or what a sandbox has reached.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    Fact(Fact),
    Delta {
        part: PartId,
        offset: u64,
        text: String,
    },
    /// What the files were at the end of a prompt; no part of the log.
    Kept {
        prompt: PromptId,
        kept: Kept,
    },
    /// Totals of a sandbox's ledger, which replace those before; no part of the log.
    Contacts {
        epoch: Epoch,
        contacts: Vec<Contact>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this session is archived: start a new one")]
    Archived,
    #[error(
        "{} prompts wait already: cancel one or wait for the agent",
        protocol::api::MAX_QUEUE
    )]
    QueueFull,
    #[error("there is no such prompt in this session's queue: it has started or was cancelled")]
    NotWaiting,
    #[error("nothing is running")]
    NothingRuns,
    #[error("name every prompt that waits once: the queue is not what you saw, look again")]
    QueueChanged,
    #[error("this prompt has not ended: fork when it has")]
    NotFinished,
    #[error("the files at the end of this prompt were not kept: fork from another one")]
    NoSnapshot,
    #[error("these reports leave a gap: send them from the one after {received}")]
    Gap { received: u64 },
    #[error("this sandbox is not this session's any more: end it")]
    Void,
    #[error("a failed check is not worked on: {0}")]
    NoRepair(&'static str),
}
