//! How a prompt reaches the agent: once, whatever happens on the way.
//!
//! A request that failed or was cut off may have arrived. So it is not repeated until a fresh look
//! at the agent shows that it has not.

use protocol::PromptId;
use protocol::callback::PromptResult;
use protocol::command::SendPrompt;

use super::Machine;
use super::exchange::{Action, Effects, Moment};
use super::state::{Delivery, Phase, Turn};
use super::turns::deliver;

/// How often a prompt is given to an agent that does not take it.
pub(super) const DELIVERY_ATTEMPTS: u32 = 3;

impl Machine {
    /// A fresh look at the agent shows that it does not have the prompt.
    pub(super) fn deliver_again(&mut self, now: Moment, effects: &mut Effects) {
        let unknown = |turn: &&mut Turn| turn.delivery == Delivery::Unknown;
        let Some(turn) = self.turn_in(Phase::Running).filter(unknown) else {
            return;
        };
        if turn.attempts >= DELIVERY_ATTEMPTS {
            let message = "the agent does not take the prompt; send it again".to_owned();
            return self.finish(&PromptResult::Failed { message }, now, effects);
        }
        turn.attempts += 1;
        turn.delivery = Delivery::InFlight;
        if let Some(prompt) = turn.prompts.first() {
            effects.actions.push(deliver(prompt));
        }
    }

    pub(super) fn delivered(&mut self, prompt: &PromptId) {
        let turn = self
            .state
            .running
            .as_mut()
            .and_then(|running| running.turn.as_mut());
        if let Some(turn) = turn
            && turn
                .prompts
                .first()
                .is_some_and(|first| first.prompt == *prompt)
        {
            turn.delivery = Delivery::Taken;
        }
    }

    pub(super) fn undelivered(
        &mut self,
        prompt: &PromptId,
        message: String,
        fatal: bool,
        now: Moment,
        effects: &mut Effects,
    ) {
        let Some(turn) = self.turn_in(Phase::Running) else {
            return;
        };
        let first = turn
            .prompts
            .first()
            .is_some_and(|first| first.prompt == *prompt);
        if first && fatal {
            self.finish(&PromptResult::Failed { message }, now, effects);
        } else if first {
            turn.delivery = Delivery::Unknown;
            effects.actions.push(Action::Listen);
        } else if turn.prompts.iter().any(|one| one.prompt == *prompt) {
            // The agent is busy with another prompt: this one comes after it.
            let late = |one: &SendPrompt| one.prompt == *prompt;
            let (again, kept) = std::mem::take(&mut turn.prompts)
                .into_iter()
                .partition(late);
            turn.prompts = kept;
            let again: Vec<SendPrompt> = again;
            self.state.waiting.extend(again);
        }
    }
}
