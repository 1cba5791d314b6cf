//! A sandbox with nothing to do: made ready while somebody types, ended when no prompt follows,
//! put to sleep when none has come for long, woken by the next one.
//!
//! A sandbox rests while it is ready and no prompt runs or waits to start. Each rest has one deadline, which
//! is looked at anew when it rings: typing only moves what it finds then, so that a keystroke
//! writes nothing.

use protocol::event::{Step, StepName};
use protocol::{Epoch, Fact, Millis, SnapshotId};

use super::{
    Context, Deadline, Effect, Kept, Refusal, SLEEP_LIMIT_MS, Sandbox, State, Transition, Typing,
};

/// A keystroke this soon after one that was written down is not written down.
pub const TYPING_STEP_MS: i64 = 15_000;
/// How long a sandbox waits for the prompt that somebody began to write.
pub const ABANDONED_MS: i64 = 60_000;

impl State {
    pub(super) fn typing(
        &mut self,
        context: Context,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        if self.archived {
            return Err(Refusal::Archived);
        }
        let now = context.now;
        match &mut self.typing {
            Some(typing) if now < typing.last.plus(TYPING_STEP_MS) => {}
            Some(typing) if now < typing.last.plus(TYPING_STEP_MS + ABANDONED_MS) => {
                typing.last = now;
            }
            // What was begun longer ago was given up.
            typing => {
                *typing = Some(Typing {
                    since: now,
                    last: now,
                });
            }
        }
        self.ensure_sandbox(context, transition);
        Ok(())
    }

    /// A prompt came: whoever typed is done, and the sandbox, if there is one, is used.
    pub(super) fn typed(&mut self, context: Context, transition: &mut Transition) {
        let unused = self.sandbox.as_ref().is_none_or(|known| !known.prompted);
        if let Some(typing) = self.typing.take()
            && unused
        {
            transition.fact(Fact::Step {
                step: Step {
                    name: StepName::Typing,
                    started_at: typing.since,
                    ms: context.now.since(typing.since),
                    detail: None,
                },
            });
        }
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.prompted = true;
        }
    }

    /// The epoch of a sandbox that rests.
    pub(super) fn resting(&self) -> Option<Epoch> {
        self.sandbox
            .as_ref()
            .filter(|sandbox| sandbox.ready && !sandbox.sleeping)
            .filter(|_| !self.is_wanted())
            .map(|sandbox| sandbox.epoch)
    }

    /// Begins or ends a rest, by what `before` was.
    pub(super) fn settle(
        &mut self,
        before: Option<Epoch>,
        context: Context,
        transition: &mut Transition,
    ) {
        let after = self.resting();
        if before == after {
            return;
        }
        if let Some(epoch) = before.filter(|epoch| self.is_current(*epoch)) {
            transition.cancel(Deadline::Abandoned { epoch }.key());
            transition.cancel(Deadline::Idle { epoch }.key());
        }
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.rests_since = after.map(|_| context.now);
        }
        if let Some((due, deadline)) = self.end_of_rest(context) {
            transition.expire(due, deadline);
        }
    }

    fn end_of_rest(&self, context: Context) -> Option<(Millis, Deadline)> {
        let epoch = self.resting()?;
        let sandbox = self.sandbox.as_ref()?;
        let rests_since = sandbox.rests_since?;
        // The last keystroke may have been up to this much later than the one written down.
        let typed = self.typing.map(|typing| typing.last.plus(TYPING_STEP_MS));
        let used = typed.into_iter().chain(self.terminal_used);
        let used = used.fold(rests_since, Millis::max);
        Some(if sandbox.prompted {
            (used.plus(context.idle_ms), Deadline::Idle { epoch })
        } else {
            (used.plus(ABANDONED_MS), Deadline::Abandoned { epoch })
        })
    }

    /// The deadline of a rest rang: somebody may have typed since it was set.
    pub(super) fn rested(
        &mut self,
        rung: &Deadline,
        context: Context,
        transition: &mut Transition,
    ) {
        match self.end_of_rest(context) {
            Some((due, deadline)) if deadline == *rung => {
                if due > context.now {
                    transition.expire(due, deadline);
                } else if matches!(deadline, Deadline::Abandoned { .. }) {
                    self.release(context, transition);
                } else {
                    self.fall_asleep(context, transition);
                }
            }
            // It is busy, or another one is there.
            _ => {}
        }
    }

    /// Ends a sandbox that nobody gave anything to do; the session is as it was before it.
    fn release(&mut self, context: Context, transition: &mut Transition) {
        let Some(sandbox) = self.sandbox.take() else {
            return;
        };
        self.typing = None;
        Self::unschedule(&sandbox, transition);
        transition.fact(Fact::SandboxReleased {
            sandbox: sandbox.id.clone(),
            epoch: sandbox.epoch,
        });
        Self::end(sandbox, context, transition);
    }

    /// From here on prompts wait: whether the command has reached the runner cannot be known, so
    /// it cannot be taken back.
    fn fall_asleep(&mut self, context: Context, transition: &mut Transition) {
        let Some(sandbox) = &mut self.sandbox else {
            return;
        };
        let epoch = sandbox.epoch;
        sandbox.sleeping = true;
        transition.now(context, Effect::SleepSandbox { epoch });
        transition.expire(context.now.plus(SLEEP_LIMIT_MS), Deadline::Sleep { epoch });
    }

    /// The sandbox is gone but for its snapshot; a prompt that came meanwhile wakes it.
    pub(super) fn slept(
        &mut self,
        snapshot: SnapshotId,
        context: Context,
        transition: &mut Transition,
    ) {
        let Some(sandbox) = self.sandbox.take() else {
            return;
        };
        Self::unschedule(&sandbox, transition);
        self.snapshot = Some(Kept {
            id: snapshot.clone(),
            runner: sandbox.runner.clone(),
        });
        let reason = "the sandbox was put to sleep";
        self.close_parts(reason, transition);
        transition.fact(Fact::SandboxSlept {
            sandbox: sandbox.id.clone(),
            epoch: sandbox.epoch,
            snapshot,
        });
        self.survive(&sandbox, reason, context, transition);
    }

    /// Takes everything off the schedule that is about a sandbox which is not the session's any
    /// more.
    pub(super) fn unschedule(sandbox: &Sandbox, transition: &mut Transition) {
        let epoch = sandbox.epoch;
        for deadline in [
            Deadline::Start { epoch },
            Deadline::Silence { epoch },
            Deadline::Abandoned { epoch },
            Deadline::Idle { epoch },
            Deadline::Sleep { epoch },
        ] {
            transition.cancel(deadline.key());
        }
        let start = Effect::StartSandbox {
            sandbox: sandbox.id.clone(),
            epoch,
        };
        transition.cancel(start.key());
        transition.cancel(Effect::SleepSandbox { epoch }.key());
    }
}
