//! Reports of the runner, taken in order and once.

use protocol::callback::{Batch, PromptResult, Report};
use protocol::event::{Limit, Outcome, PartOutcome};
use protocol::{Fact, PartId, PromptId};

use super::forge::Push;
use super::{Context, Deadline, Effect, Kept, OpenPart, Output, Refusal, State, Transition};

impl State {
    pub(super) fn batch(
        &mut self,
        batch: Batch,
        context: Context,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        let sandbox = self
            .sandbox
            .as_mut()
            .filter(|sandbox| sandbox.id == batch.sandbox && sandbox.epoch == batch.epoch)
            .ok_or(Refusal::Void)?;
        let received = sandbox.received;
        if batch.first == 0 || batch.first > received + 1 {
            return Err(Refusal::Gap { received });
        }
        sandbox.last_report_at = context.now;
        let numbered = (batch.first..).zip(batch.reports);
        for (number, report) in numbered.skip_while(|(number, _)| *number <= received) {
            // A report may end the sandbox; what follows it then is void.
            match self
                .sandbox
                .as_mut()
                .filter(|sandbox| sandbox.epoch == batch.epoch)
            {
                Some(sandbox) => sandbox.received = number,
                None => break,
            }
            self.report(report, context, transition);
        }
        Ok(())
    }

    fn report(&mut self, report: Report, context: Context, transition: &mut Transition) {
        match report {
            Report::Step { step } => transition.fact(Fact::Step { step }),
            Report::Ready { image, commit } => {
                let Some(sandbox) = self.sandbox.as_mut() else {
                    return;
                };
                sandbox.ready = true;
                self.failed_starts = 0;
                let asked_at = sandbox.asked_at.take();
                let (sandbox, epoch) = (sandbox.id.clone(), sandbox.epoch);
                if let Some(asked_at) = asked_at {
                    let sandbox = sandbox.clone();
                    let ms = context.now.since(asked_at);
                    transition.soon(context, Effect::NoteReady { sandbox, ms });
                }
                transition.cancel(Deadline::Start { epoch }.key());
                transition.fact(Fact::SandboxReady {
                    sandbox,
                    epoch,
                    image,
                    commit,
                });
                self.resume_running(context, transition);
                self.start_next(context, transition);
            }
            Report::PartStarted { part, prompt, body } => {
                // Numbers only go up: one that was used is a repetition.
                if part < self.next_part {
                    return;
                }
                self.next_part = part.next();
                self.open_parts.insert(
                    part,
                    OpenPart {
                        prompt: prompt.clone(),
                        length: 0,
                    },
                );
                transition.fact(Fact::PartStarted { part, prompt, body });
            }
            Report::Delta { part, offset, text } => self.delta(part, offset, text, transition),
            Report::PartFinished {
                part,
                prompt,
                text,
                outcome,
                ..
            } => {
                self.part_finished(part, prompt, text, outcome, transition);
            }
            Report::Pushed {
                prompt,
                branch,
                commit,
                files,
                summary,
                base,
            } => {
                let push = Push {
                    prompt,
                    branch,
                    commit,
                    base,
                    files,
                    summary,
                };
                self.pushed(push, context, transition);
            }
            Report::PullRequestWished { branch, wish, .. } => {
                self.wished(branch, wish, None, context, transition);
            }
            Report::PromptFinished { prompt, result } => {
                self.prompt_finished(&prompt, result, context, transition);
            }
            Report::Update { prompt, text } => transition.fact(Fact::Update { prompt, text }),
            Report::Notice { message } => transition.fact(Fact::Notice { message }),
            Report::Snapshotted { snapshot, prompt } => {
                let runner = self.sandbox.as_ref().and_then(|known| known.runner.clone());
                let kept = Kept {
                    id: snapshot.clone(),
                    runner,
                };
                self.snapshot = Some(kept.clone());
                if let Some(prompt) = &prompt {
                    self.kept(prompt, &kept, transition);
                }
                transition.fact(Fact::Snapshotted { snapshot, prompt });
            }
            Report::Slept { snapshot } => self.slept(snapshot, context, transition),
            Report::LimitReached { limit, message } => {
                self.forge.is_spent |= limit == Limit::Money;
                transition.fact(Fact::LimitReached { limit, message });
            }
            Report::Contacts { contacts } => {
                let epoch = self.epoch;
                let contacts = Output::Contacts { epoch, contacts };
                transition.outputs.push(contacts);
            }
            Report::Lost { reason } => self.lose_sandbox(reason, context, transition),
        }
    }

    /// Prompts that ended together ended with the same files.
    fn kept(&mut self, prompt: &PromptId, kept: &Kept, transition: &mut Transition) {
        let together = if self.ended.contains(prompt) {
            std::mem::take(&mut self.ended)
        } else {
            vec![prompt.clone()]
        };
        for prompt in together {
            transition.outputs.push(Output::Kept {
                prompt,
                kept: kept.clone(),
            });
        }
    }

    fn delta(&mut self, part: PartId, offset: u64, text: String, transition: &mut Transition) {
        let Some(open) = self
            .open_parts
            .get_mut(&part)
            .filter(|open| open.length == offset)
        else {
            return;
        };
        open.length += utf16_length(&text);
        transition
            .outputs
            .push(Output::Delta { part, offset, text });
    }

    fn part_finished(
        &mut self,
        part: PartId,
        prompt: PromptId,
        text: Option<String>,
        outcome: PartOutcome,
        transition: &mut Transition,
    ) {
        let Some(open) = self.open_parts.remove(&part) else {
            return;
        };
        let length = match &text {
            Some(text) => utf16_length(text),
            // What was streamed is what there is, whatever the runner counted.
            None => open.length,
        };
        transition.fact(Fact::PartFinished {
            part,
            prompt,
            length,
            text,
            outcome,
        });
    }

    /// One prompt ended. Those that joined it end with reports of their own: one that came too late
    /// for its turn has a turn to itself.
    fn prompt_finished(
        &mut self,
        prompt: &PromptId,
        result: PromptResult,
        context: Context,
        transition: &mut Transition,
    ) {
        let Some(running) = self
            .running
            .as_mut()
            .filter(|running| !running.adrift && running.prompts().any(|one| one == prompt))
        else {
            return;
        };
        let outcome = match (result, running.stopped_by.clone()) {
            (PromptResult::Completed, _) => Outcome::Completed,
            (PromptResult::Failed { message }, None) => Outcome::Failed { message },
            // A stop that arrived first is why it ended, however the agent put it.
            (PromptResult::Stopped | PromptResult::Failed { .. }, Some(by)) => {
                Outcome::Stopped { by }
            }
            (PromptResult::Stopped, None) => Outcome::Failed {
                message: "the agent was interrupted".to_owned(),
            },
        };
        // What is being stopped is waited for no longer than the one that runs.
        let stopped = running.stopped_by.is_some() && running.prompt == *prompt;
        let goes_on = !stopped && running.drop_one(prompt);
        self.close_parts("the prompt ended", transition);
        if goes_on {
            self.finish_one(prompt.clone(), outcome, transition);
        } else {
            self.finish_running(outcome, transition);
            self.start_next(context, transition);
        }
    }
}

fn utf16_length(text: &str) -> u64 {
    text.chars()
        .map(|character| character.len_utf16() as u64)
        .sum()
}
