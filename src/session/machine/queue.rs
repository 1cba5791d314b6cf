//! What waits: edited, cancelled, reordered, given to the running prompt, paused, resumed, cleared.

use protocol::event::Person;
use protocol::{Fact, PromptId};

use super::{Context, Refusal, State, Transition};

impl State {
    pub(super) fn edit(
        &mut self,
        prompt: PromptId,
        text: String,
        by: Person,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        if !self.queue.iter().any(|waiting| waiting.prompt == prompt) {
            return Err(Refusal::NotWaiting);
        }
        transition.fact(Fact::PromptEdited { prompt, text, by });
        Ok(())
    }

    pub(super) fn cancel(
        &mut self,
        prompt: PromptId,
        by: Person,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        let place = self
            .queue
            .iter()
            .position(|waiting| waiting.prompt == prompt);
        self.queue.remove(place.ok_or(Refusal::NotWaiting)?);
        transition.fact(Fact::PromptCancelled {
            prompt,
            by: by.clone(),
        });
        self.resume_empty(by, transition);
        Ok(())
    }

    pub(super) fn insert_waiting(
        &mut self,
        prompt: &PromptId,
        by: Person,
        context: Context,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        let place = self
            .queue
            .iter()
            .position(|waiting| waiting.prompt == *prompt)
            .ok_or(Refusal::NotWaiting)?;
        let waiting = self.queue.remove(place);
        if self.takes_inserts() {
            self.join(waiting, context, transition);
            self.resume_empty(by, transition);
            return Ok(());
        }
        self.queue.insert(0, waiting);
        if place > 0 {
            transition.fact(Fact::PromptsReordered {
                order: self.order(),
                by,
            });
        }
        self.go_on(context, transition);
        Ok(())
    }

    pub(super) fn reorder(
        &mut self,
        order: &[PromptId],
        by: Person,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        let before = self.order();
        let place = |prompt: &PromptId| order.iter().position(|wanted| wanted == prompt);
        // As many, and each of them there: so each once.
        if order.len() != before.len() || before.iter().any(|prompt| place(prompt).is_none()) {
            return Err(Refusal::QueueChanged);
        }
        if before == order {
            return Ok(());
        }
        self.queue.sort_by_key(|waiting| place(&waiting.prompt));
        transition.fact(Fact::PromptsReordered {
            order: self.order(),
            by,
        });
        Ok(())
    }

    fn order(&self) -> Vec<PromptId> {
        let prompts = self.queue.iter().map(|waiting| waiting.prompt.clone());
        prompts.collect()
    }

    /// After a stop: what was sent before it may not be wanted any more.
    pub(super) fn pause(&mut self, by: Person, transition: &mut Transition) {
        if !self.paused && !self.queue.is_empty() {
            self.paused = true;
            transition.fact(Fact::QueuePaused { by });
        }
    }

    pub(super) fn resume_queue(
        &mut self,
        by: Person,
        context: Context,
        transition: &mut Transition,
    ) {
        if self.paused {
            self.paused = false;
            transition.fact(Fact::QueueResumed { by });
            self.go_on(context, transition);
        }
    }

    pub(super) fn clear_queue(&mut self, by: &Person, transition: &mut Transition) {
        for waiting in std::mem::take(&mut self.queue) {
            transition.fact(Fact::PromptCancelled {
                prompt: waiting.prompt,
                by: by.clone(),
            });
        }
        self.resume_empty(by.clone(), transition);
    }

    /// A pause is about what waits: it ends with the last of it.
    pub(super) fn resume_empty(&mut self, by: Person, transition: &mut Transition) {
        if self.paused && self.queue.is_empty() {
            self.paused = false;
            transition.fact(Fact::QueueResumed { by });
        }
    }

    /// Something may have become possible: what may start gets a sandbox, or starts.
    pub(super) fn go_on(&mut self, context: Context, transition: &mut Transition) {
        if self.is_wanted() {
            self.ensure_sandbox(context, transition);
            self.start_next(context, transition);
        }
    }

    /// Whether there is work for a sandbox.
    pub(super) fn is_wanted(&self) -> bool {
        self.running.is_some() || (!self.queue.is_empty() && !self.paused)
    }
}
