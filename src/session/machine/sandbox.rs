//! The session's sandbox: asked for, placed, lost, ended.

use protocol::event::{Outcome, PartOutcome, Person, Step};
use protocol::{Epoch, Fact, RunnerId, SandboxId};

use super::{
    Context, Deadline, Effect, SILENCE_LIMIT_MS, START_LIMIT_MS, Sandbox, State, Transition,
};

impl State {
    pub(super) fn ensure_sandbox(&mut self, context: Context, transition: &mut Transition) {
        if self.sandbox.is_some() {
            return;
        }
        let epoch = Epoch(self.epoch.0 + 1);
        let sandbox = SandboxId::from_random(context.random);
        self.epoch = epoch;
        self.sandbox = Some(Sandbox {
            id: sandbox.clone(),
            epoch,
            asked_at: Some(context.now),
            ready: false,
            prompted: self.running.is_some() || !self.queue.is_empty(),
            sleeping: false,
            rests_since: None,
            runner: None,
            runner_url: None,
            received: 0,
            last_report_at: context.now,
        });
        transition.fact(Fact::SandboxStarting {
            sandbox: sandbox.clone(),
            epoch,
        });
        transition.now(context, Effect::StartSandbox { sandbox, epoch });
        transition.expire(context.now.plus(START_LIMIT_MS), Deadline::Start { epoch });
    }

    pub(super) fn placed(
        &mut self,
        epoch: Epoch,
        (runner, runner_url): (RunnerId, String),
        claim: Step,
        transition: &mut Transition,
    ) {
        // One that the session let go of meanwhile learns so from the answer to its first report.
        if let Some(sandbox) = self
            .sandbox
            .as_mut()
            .filter(|sandbox| sandbox.epoch == epoch)
        {
            sandbox.runner = Some(runner);
            sandbox.runner_url = Some(runner_url);
            transition.fact(Fact::Step { step: claim });
        }
    }

    /// The sandbox is gone: what ran in it goes on in a new one, as does what waits.
    pub(super) fn lose_sandbox(
        &mut self,
        reason: String,
        context: Context,
        transition: &mut Transition,
    ) {
        let Some(sandbox) = self.sandbox.take() else {
            return;
        };
        Self::unschedule(&sandbox, transition);
        let reason = match &self.snapshot {
            Some(_) => format!("{reason}; the next sandbox goes on from the newest snapshot"),
            None => reason,
        };
        self.close_parts("the sandbox was lost", transition);
        transition.fact(Fact::SandboxLost {
            sandbox: sandbox.id.clone(),
            epoch: sandbox.epoch,
            reason: reason.clone(),
        });
        self.survive(&sandbox, &reason, context, transition);
    }

    pub(super) fn fail_waiting(&mut self, reason: &str, transition: &mut Transition) {
        for waiting in std::mem::take(&mut self.queue) {
            self.last_failed = true;
            transition.fact(Fact::PromptStarted {
                prompt: waiting.prompt.clone(),
            });
            transition.fact(Fact::PromptFinished {
                prompt: waiting.prompt,
                outcome: Outcome::Failed {
                    message: reason.to_owned(),
                },
            });
        }
    }

    pub(super) fn close_parts(&mut self, reason: &str, transition: &mut Transition) {
        for (part, open) in std::mem::take(&mut self.open_parts) {
            transition.fact(Fact::PartFinished {
                part,
                prompt: open.prompt,
                length: open.length,
                text: None,
                outcome: PartOutcome::Failed {
                    message: reason.to_owned(),
                },
            });
        }
    }

    pub(super) fn archive(&mut self, by: Person, context: Context, transition: &mut Transition) {
        if self.archived {
            return;
        }
        self.archived = true;
        self.typing = None;
        self.clear_queue(&by, transition);
        self.close_parts("the session was archived", transition);
        self.finish_running(Outcome::Stopped { by: by.clone() }, transition);
        if let Some(sandbox) = self.sandbox.take() {
            Self::unschedule(&sandbox, transition);
            Self::end(sandbox, context, transition);
        }
        transition.fact(Fact::SessionArchived { by });
    }

    pub(super) fn end(sandbox: Sandbox, context: Context, transition: &mut Transition) {
        transition.now(
            context,
            Effect::EndSandbox {
                sandbox: sandbox.id,
                runner_url: sandbox.runner_url,
            },
        );
    }

    pub(super) fn expired(
        &mut self,
        deadline: Deadline,
        context: Context,
        transition: &mut Transition,
    ) {
        match deadline {
            Deadline::Start { epoch } => {
                if self
                    .sandbox
                    .as_ref()
                    .is_some_and(|s| s.epoch == epoch && !s.ready)
                {
                    let reason = "the sandbox was not ready in time: see the runner's log";
                    self.give_up(reason, context, transition);
                }
            }
            Deadline::Stop { prompt } => {
                if self
                    .running
                    .as_ref()
                    .is_some_and(|running| running.prompt == prompt)
                {
                    let reason = "the agent did not stop in time, so its sandbox was ended";
                    self.give_up(reason, context, transition);
                }
            }
            Deadline::Silence { epoch } => {
                let Some(sandbox) = self.sandbox.as_ref().filter(|s| s.epoch == epoch) else {
                    return;
                };
                if self.running.is_none() {
                    return;
                }
                let due = sandbox.last_report_at.plus(SILENCE_LIMIT_MS);
                if due > context.now {
                    transition.expire(due, Deadline::Silence { epoch });
                } else {
                    let reason = "the sandbox has not reported for 20 minutes";
                    self.give_up(reason, context, transition);
                }
            }
            Deadline::Abandoned { .. } | Deadline::Idle { .. } => {
                self.rested(&deadline, context, transition);
            }
            Deadline::Sleep { epoch } => {
                if self
                    .sandbox
                    .as_ref()
                    .is_some_and(|sandbox| sandbox.epoch == epoch && sandbox.sleeping)
                {
                    let reason = "the sandbox did not go to sleep in time, so it was ended";
                    self.give_up(reason, context, transition);
                }
            }
        }
    }

    /// Ends a sandbox that does not answer, and treats it as lost.
    pub(super) fn give_up(&mut self, reason: &str, context: Context, transition: &mut Transition) {
        if let Some(sandbox) = self.sandbox.clone() {
            Self::end(sandbox, context, transition);
        }
        self.lose_sandbox(reason.to_owned(), context, transition);
    }
}
