//! A prompt that outlives its sandbox: what ran in a lost one goes on in the next, from what was
//! kept, unless that has happened too often.

use protocol::Fact;
use protocol::event::Outcome;

use super::prompts::Sending;
use super::{
    Context, Deadline, MAX_FAILED_STARTS, MAX_RESUMED, Running, SILENCE_LIMIT_MS, Sandbox, State,
    Transition, Waiting,
};

impl State {
    /// Decides what becomes of the work of a sandbox that is gone. What can go on gets another one.
    pub(super) fn survive(
        &mut self,
        lost: &Sandbox,
        reason: &str,
        context: Context,
        transition: &mut Transition,
    ) {
        self.failed_starts = if lost.ready {
            0
        } else {
            self.failed_starts + 1
        };
        let hopeless = self.failed_starts >= MAX_FAILED_STARTS;
        if let Some(running) = &mut self.running {
            for prompt in running.prompts() {
                Self::recall(prompt, lost.epoch, transition);
            }
            if let Some(by) = running.stopped_by.clone() {
                self.finish_running(Outcome::Stopped { by }, transition);
            } else if hopeless {
                let message = reason.to_owned();
                self.finish_running(Outcome::Failed { message }, transition);
            } else if running.resumed >= MAX_RESUMED {
                let message = format!("{reason}; it had been resumed {MAX_RESUMED} times before");
                self.finish_running(Outcome::Failed { message }, transition);
            } else {
                running.adrift = true;
            }
        }
        // What cannot start would not start for the next prompt either.
        if hopeless && !self.paused {
            self.fail_waiting(reason, transition);
        }
        if self.is_wanted() {
            self.ensure_sandbox(context, transition);
        } else {
            self.failed_starts = 0;
        }
    }

    /// The next sandbox is ready: the running prompt goes on in it, if it lost its own.
    pub(super) fn resume_running(&mut self, context: Context, transition: &mut Transition) {
        let epoch = self.epoch;
        let Some(running) = self.running.as_mut().filter(|running| running.adrift) else {
            return;
        };
        running.adrift = false;
        running.resumed += 1;
        let Running {
            prompt,
            author,
            queued_at,
            joined,
            ..
        } = running.clone();
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.last_report_at = context.now;
        }
        transition.fact(Fact::PromptResumed {
            prompt: prompt.clone(),
            epoch,
        });
        let first = Waiting {
            prompt,
            author,
            queued_at,
        };
        self.send(&first, epoch, Sending::Again, context, transition);
        for joined in &joined {
            self.send(joined, epoch, Sending::InsertAgain, context, transition);
        }
        transition.expire(
            context.now.plus(SILENCE_LIMIT_MS),
            Deadline::Silence { epoch },
        );
    }
}
