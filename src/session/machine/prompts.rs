//! Prompts: sent, started, joined by others, stopped, ended.

use protocol::api::MAX_QUEUE;
use protocol::event::{Mode, Outcome, Person, Prompt};
use protocol::{Epoch, Fact, PromptId};

use super::{
    Context, Deadline, Effect, Refusal, Running, SILENCE_LIMIT_MS, STOP_LIMIT_MS, State,
    Transition, Waiting,
};

/// Most characters of a title that is made from a prompt.
const TITLE_LENGTH: usize = 80;

/// How a prompt comes to the agent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sending {
    First,
    /// Beside the one that runs.
    Insert,
    /// After the sandbox in which it ran was lost.
    Again,
    InsertAgain,
}

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
            queued_at: context.now,
        };
        let insert = prompt.mode == Mode::Insert;
        transition.fact(Fact::PromptQueued { prompt });
        self.typed(context, transition);
        if insert && self.takes_inserts() {
            self.join(waiting, context, transition);
            return Ok(());
        }
        self.queue.push(waiting);
        self.go_on(context, transition);
        Ok(())
    }

    /// Gives the session another title than its first prompt's.
    pub(super) fn rename(
        &mut self,
        title: String,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        if self.archived {
            return Err(Refusal::Archived);
        }
        if self.title != title {
            self.title.clone_from(&title);
            transition.fact(Fact::SessionTitled { title });
        }
        Ok(())
    }

    /// Whether there is a running prompt that others can still join.
    pub(super) fn takes_inserts(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.stopped_by.is_none())
    }

    /// Gives a prompt to the running one's agent, which reads it at its next step.
    pub(super) fn join(&mut self, waiting: Waiting, context: Context, transition: &mut Transition) {
        let Some(running) = &mut self.running else {
            return;
        };
        transition.fact(Fact::PromptStarted {
            prompt: waiting.prompt.clone(),
        });
        let adrift = running.adrift;
        running.joined.push(waiting.clone());
        self.credit(&waiting.author);
        // Without a sandbox it is sent with the one that it joined.
        if !adrift {
            self.send(&waiting, self.epoch, Sending::Insert, context, transition);
        }
    }

    pub(super) fn send(
        &self,
        waiting: &Waiting,
        epoch: Epoch,
        sending: Sending,
        context: Context,
        transition: &mut Transition,
    ) {
        transition.now(
            context,
            Effect::SendPrompt {
                prompt: waiting.prompt.clone(),
                epoch,
                author: waiting.author.clone(),
                co_authors: self.co_authors(&waiting.author),
                sent_at: waiting.queued_at,
                insert: matches!(sending, Sending::Insert | Sending::InsertAgain),
                resumed: matches!(sending, Sending::Again | Sending::InsertAgain),
            },
        );
    }

    pub(super) fn stop(
        &mut self,
        by: Person,
        context: Context,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        let epoch = self.epoch;
        let running = self.running.as_mut().ok_or(Refusal::NothingRuns)?;
        if running.stopped_by.is_some() {
            return Ok(());
        }
        running.stopped_by = Some(by.clone());
        if running.adrift {
            // It runs nowhere, so it has stopped.
            self.pause(by.clone(), transition);
            self.finish_running(Outcome::Stopped { by }, transition);
            return Ok(());
        }
        let prompt = running.prompt.clone();
        for prompt in running.prompts() {
            // One that has not gone out need not.
            transition.cancel(Effect::send_key(prompt, epoch));
            transition.now(
                context,
                Effect::StopPrompt {
                    prompt: prompt.clone(),
                    epoch,
                },
            );
        }
        transition.expire(context.now.plus(STOP_LIMIT_MS), Deadline::Stop { prompt });
        self.pause(by, transition);
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
        if self.running.is_some() || self.paused || self.queue.is_empty() {
            return;
        }
        let epoch = sandbox.epoch;
        sandbox.last_report_at = context.now;
        let next = self.queue.remove(0);
        self.ended.clear();
        self.credit(&next.author);
        transition.fact(Fact::PromptStarted {
            prompt: next.prompt.clone(),
        });
        self.send(&next, epoch, Sending::First, context, transition);
        transition.expire(
            context.now.plus(SILENCE_LIMIT_MS),
            Deadline::Silence { epoch },
        );
        self.running = Some(Running {
            prompt: next.prompt,
            author: next.author,
            queued_at: next.queued_at,
            joined: Vec::new(),
            stopped_by: None,
            adrift: false,
            resumed: 0,
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
        for prompt in running.prompts() {
            self.finish_one(prompt.clone(), outcome.clone(), transition);
        }
    }

    pub(super) fn finish_one(
        &mut self,
        prompt: PromptId,
        outcome: Outcome,
        transition: &mut Transition,
    ) {
        Self::recall(&prompt, self.epoch, transition);
        self.ended.push(prompt.clone());
        self.prompt_ended(&prompt);
        transition.fact(Fact::PromptFinished { prompt, outcome });
    }

    /// Takes what would be said of a prompt to the sandbox of `epoch` off the schedule.
    pub(super) fn recall(prompt: &PromptId, epoch: Epoch, transition: &mut Transition) {
        transition.cancel(Effect::send_key(prompt, epoch));
        transition.cancel(Effect::stop_key(prompt, epoch));
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
