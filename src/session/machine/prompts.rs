//! Prompts: queued, edited, cancelled, started, stopped.

use protocol::api::MAX_QUEUE;
use protocol::event::{Mode, Outcome, Person, Prompt};
use protocol::{Fact, PromptId};

use super::{
    Context, Deadline, Effect, Refusal, Running, SILENCE_LIMIT_MS, STOP_LIMIT_MS, State,
    Transition, Waiting,
};

/// Most characters of a title that is made from a prompt.
const TITLE_LENGTH: usize = 80;

impl State {
    pub(super) fn prompt(
        &mut self,
        prompt: Prompt,
        context: Context,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        if self.archived {
            return Err(Refusal::Archived);
        }
        if self.queue.len() >= MAX_QUEUE {
            return Err(Refusal::QueueFull);
        }
        if self.title.is_empty() {
            self.title = title_of(&prompt.text);
            transition.fact(Fact::SessionTitled {
                title: self.title.clone(),
            });
        }
        self.last_failed = false;
        let waiting = Waiting {
            prompt: prompt.id.clone(),
            author: prompt.author.clone(),
            source: prompt.source,
            queued_at: context.now,
        };
        let insert = prompt.mode == Mode::Insert;
        transition.fact(Fact::PromptQueued { prompt });
        self.typed(context, transition);
        if insert && self.insert(&waiting, context, transition) {
            return Ok(());
        }
        self.queue.push(waiting);
        self.ensure_sandbox(context, transition);
        self.start_next(context, transition);
        Ok(())
    }

    /// Gives a prompt to the running one's agent, if there is one that can still take it.
    fn insert(&mut self, waiting: &Waiting, context: Context, transition: &mut Transition) -> bool {
        let Some(epoch) = self
            .sandbox
            .as_ref()
            .filter(|sandbox| sandbox.ready)
            .map(|s| s.epoch)
        else {
            return false;
        };
        let Some(running) = self
            .running
            .as_mut()
            .filter(|running| running.stopped_by.is_none())
        else {
            return false;
        };
        running.inserted.push(waiting.prompt.clone());
        transition.fact(Fact::PromptStarted {
            prompt: waiting.prompt.clone(),
        });
        self.credit(&waiting.author);
        transition.now(
            context,
            Effect::SendPrompt {
                prompt: waiting.prompt.clone(),
                epoch,
                author: waiting.author.clone(),
                co_authors: self.co_authors(&waiting.author),
                sent_at: waiting.queued_at,
                insert: true,
            },
        );
        true
    }

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
        transition.fact(Fact::PromptCancelled { prompt, by });
        Ok(())
    }

    pub(super) fn stop(
        &mut self,
        by: Person,
        context: Context,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        let running = self.running.as_mut().ok_or(Refusal::NothingRuns)?;
        if running.stopped_by.is_some() {
            return Ok(());
        }
        running.stopped_by = Some(by);
        let prompt = running.prompt.clone();
        transition.now(
            context,
            Effect::StopPrompt {
                prompt: prompt.clone(),
                epoch: self.epoch,
            },
        );
        transition.expire(context.now.plus(STOP_LIMIT_MS), Deadline::Stop { prompt });
        Ok(())
    }

    /// Starts the next prompt when the sandbox is free for it.
    pub(super) fn start_next(&mut self, context: Context, transition: &mut Transition) {
        let Some(sandbox) = self
            .sandbox
            .as_mut()
            .filter(|sandbox| sandbox.ready && !sandbox.sleeping)
        else {
            return;
        };
        if self.running.is_some() || self.queue.is_empty() {
            return;
        }
        let epoch = sandbox.epoch;
        sandbox.last_report_at = context.now;
        let next = self.queue.remove(0);
        self.credit(&next.author);
        transition.fact(Fact::PromptStarted {
            prompt: next.prompt.clone(),
        });
        transition.now(
            context,
            Effect::SendPrompt {
                prompt: next.prompt.clone(),
                epoch,
                author: next.author.clone(),
                co_authors: self.co_authors(&next.author),
                sent_at: next.queued_at,
                insert: false,
            },
        );
        transition.expire(
            context.now.plus(SILENCE_LIMIT_MS),
            Deadline::Silence { epoch },
        );
        self.running = Some(Running {
            prompt: next.prompt,
            author: next.author,
            queued_at: next.queued_at,
            inserted: Vec::new(),
            stopped_by: None,
        });
    }

    /// Ends the running prompt and all that joined it.
    pub(super) fn finish_running(&mut self, outcome: Outcome, transition: &mut Transition) {
        let Some(running) = self.running.take() else {
            return;
        };
        self.last_failed = matches!(outcome, Outcome::Failed { .. });
        transition.cancel(
            Deadline::Stop {
                prompt: running.prompt.clone(),
            }
            .key(),
        );
        transition.cancel(Deadline::Silence { epoch: self.epoch }.key());
        for prompt in std::iter::once(running.prompt).chain(running.inserted) {
            transition.fact(Fact::PromptFinished {
                prompt,
                outcome: outcome.clone(),
            });
        }
    }

    fn credit(&mut self, person: &Person) {
        if !self.uncredited.iter().any(|known| known.id == person.id) {
            self.uncredited.push(person.clone());
        }
    }

    fn co_authors(&self, author: &Person) -> Vec<Person> {
        self.uncredited
            .iter()
            .filter(|person| person.id != author.id)
            .cloned()
            .collect()
    }
}

/// The prompt's first line, cut at a word.
fn title_of(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    if line.chars().count() <= TITLE_LENGTH {
        return line.to_owned();
    }
    let cut: String = line.chars().take(TITLE_LENGTH).collect();
    let whole_words = cut
        .rsplit_once(' ')
        .map_or(cut.as_str(), |(words, _)| words);
    format!("{whole_words}…")
}
