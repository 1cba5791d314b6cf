//! What prompts have changed is kept beside the log; the log says that it can be looked at.
//!
//! It may arrive late, twice and out of order: after the sandbox slept, or when the next prompt has
//! ended already. Only a sandbox that another one has followed is not believed.

use protocol::{Epoch, Fact, PromptId, SandboxId};
use serde::{Deserialize, Serialize};

use super::{Refusal, State, Transition};

/// How many prompts back a repetition is known.
const REMEMBERED: usize = 16;

/// What is known of the changes that are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangesIndex {
    /// The prompt that is shown when nobody names one.
    pub newest: Option<PromptId>,
    /// The prompt that ended last.
    last_ended: Option<PromptId>,
    /// What was told, newest last.
    told: Vec<KeptChanges>,
}

/// Since the session began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptChanges {
    pub prompt: PromptId,
    pub files: u32,
    pub additions: u32,
    pub deletions: u32,
}

impl State {
    /// Whether what a sandbox tells of its files is this session's: it may have ended meanwhile, but
    /// no other may have begun.
    pub fn believes(&self, sandbox: &SandboxId, epoch: Epoch) -> Result<(), Refusal> {
        let held = self.sandbox.as_ref();
        let is_other = held.is_some_and(|held| held.id != *sandbox);
        match epoch == self.epoch && !is_other {
            true => Ok(()),
            false => Err(Refusal::Void),
        }
    }

    pub(super) fn changes_kept(&mut self, kept: KeptChanges, transition: &mut Transition) {
        let index = &mut self.changes;
        if index.newest.is_none() || index.last_ended.as_ref() == Some(&kept.prompt) {
            index.newest = Some(kept.prompt.clone());
        }
        if index.told.contains(&kept) {
            return;
        }
        index.told.retain(|told| told.prompt != kept.prompt);
        index.told.push(kept.clone());
        if index.told.len() > REMEMBERED {
            index.told.remove(0);
        }
        let KeptChanges {
            prompt,
            files,
            additions,
            deletions,
        } = kept;
        transition.fact(Fact::ChangesKept {
            prompt,
            files,
            additions,
            deletions,
        });
    }

    pub(super) fn prompt_ended(&mut self, prompt: &PromptId) {
        self.changes.last_ended = Some(prompt.clone());
    }
}
