//! What a turn has changed is told to the session after its end, while the next one may run. Each turn
//! that ended is remembered until that is done, so a runner that dies in between does it again.

use protocol::PromptId;
use serde::{Deserialize, Serialize};

use super::Machine;
use super::exchange::{Action, Effects};
use crate::git::Recorded;

/// Turns whose changes may wait to be told. More than a few are a sandbox that answers no git.
const MOST: usize = 8;

/// A turn whose changes are to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::session) struct Survey {
    /// Those that ended with it, in order.
    pub(in crate::session) prompts: Vec<PromptId>,
    /// What the session's work is compared with.
    pub(in crate::session) base: String,
    /// What was pushed before this sandbox's first turn, if it is that.
    pub(in crate::session) found: Option<String>,
    /// Known once the files at its end are.
    pub(in crate::session) recorded: Option<Recorded>,
}

impl Machine {
    /// Remembers that a turn has ended.
    pub(super) fn ended(&mut self, prompts: Vec<PromptId>) {
        let standing = self.state.standing.as_ref();
        let ground = self.state.running.as_ref();
        let base = standing
            .map(|standing| &standing.base)
            .or_else(|| ground.map(|running| &running.ground.commit));
        let Some(base) = base.cloned() else { return };
        let found = self.state.found.take();
        self.state.turned = true;
        if self.state.surveys.len() >= MOST {
            self.state.surveys.pop_front();
        }
        self.state.surveys.push_back(Survey {
            prompts,
            base,
            found,
            recorded: None,
        });
    }

    pub(super) fn recorded(&mut self, prompt: &PromptId, recorded: Option<Recorded>) {
        let mut surveys = self.state.surveys.iter_mut();
        if let Some(survey) = surveys.find(|survey| survey.prompts.last() == Some(prompt)) {
            survey.recorded = recorded;
        }
    }

    /// Tells of the oldest, one at a time.
    pub(super) fn survey(&mut self, effects: &mut Effects) {
        if self.surveying || self.is_falling_asleep() || self.is_losing() {
            return;
        }
        if let Some(survey) = self.state.surveys.front() {
            self.surveying = true;
            effects
                .actions
                .push(Action::Survey(Box::new(survey.clone())));
        }
    }

    pub(super) fn surveyed(&mut self, effects: &mut Effects) {
        if !std::mem::take(&mut self.surveying) {
            return;
        }
        self.state.surveys.pop_front();
        self.survey(effects);
        let runs = self
            .state
            .running
            .as_ref()
            .is_some_and(|running| running.turn.is_some());
        if !runs {
            self.doze(effects);
        }
    }
}
