//! What a session does: `(State, Input, Context) -> Transition`, pure.
//!
//! No I/O, no clock, no randomness: [`Context`] brings them in. The shell persists the new state,
//! the outputs and the effects in one transaction and only then performs anything, so an eviction
//! or a panic between two statements leaves a session that goes on. Effects are keyed: performing
//! one twice is harmless.
//!
//! Invariants (held by property tests):
//! - at most one prompt runs, and every prompt that started finishes exactly once, in however many
//!   sandboxes it ran;
//! - while the queue is paused something waits in it, and nothing starts;
//! - reports are taken in number order, each once, and only from the newest epoch;
//! - there is at most one sandbox, it is only let go of while nothing runs in it, and nothing stays
//!   scheduled for one that is gone;
//! - deltas of a part meet without gap or overlap until the part is finished.

pub mod changes;
mod creation;
mod effect;
pub mod figures;
pub mod following;
pub mod forge;
mod fork;
mod input;
mod prompts;
pub mod pull_requests;
mod queue;
mod reports;
mod rest;
mod resumption;
mod sandbox;
mod state;
#[cfg(test)]
mod tests;
mod transition;

use protocol::Fact;
use protocol::event::Person;

pub use self::creation::{Create, create};
pub use self::effect::{Deadline, Effect};
pub use self::input::{Act, Context, Input};
pub use self::state::{Kept, OpenPart, Running, Sandbox, State, Typing, Waiting};
pub use self::transition::{BOOKKEEPING_DELAY_MS, Output, Refusal, Transition};

/// An image may have to be built first, with a repository's whole set-up.
pub const START_LIMIT_MS: i64 = 30 * 60_000;
/// The agent is idle 10 to 70 ms after an abort; what takes this long has hung.
pub const STOP_LIMIT_MS: i64 = 10_000;
/// A build without a line of output may take long; a runner that died says nothing for ever.
pub const SILENCE_LIMIT_MS: i64 = 20 * 60_000;
/// A snapshot takes milliseconds; a runner that has not told of it by then is in trouble.
pub const SLEEP_LIMIT_MS: i64 = 60_000;
/// Sandboxes that one prompt may lose: what runs in the next would end that one too.
pub const MAX_RESUMED: u32 = 3;
/// Sandboxes in a row that may be lost before they are ready, until what waits for them fails.
pub const MAX_FAILED_STARTS: u32 = 2;

impl State {
    /// Takes one input. On a refusal the state is as it was.
    pub fn step(&mut self, input: Input, context: Context) -> Result<Transition, Refusal> {
        let mut transition = Transition::default();
        let (before, activity) = (self.summary_key(), self.activity());
        let resting = self.resting();
        let running = self.running.as_ref();
        let running = running.map(|running| running.prompt.clone());
        match input {
            Input::Typing => self.typing(context, &mut transition)?,
            Input::Prompt(prompt) => {
                let author = prompt.author.clone();
                self.prompt(prompt, context, &mut transition)?;
                self.forge.last_prompter = Some(author);
                self.forge.repairs.clear();
            }
            Input::Act { act, by } => self.act(act, by, context, &mut transition)?,
            Input::Forked { session, by } => self.forked(session, &by, &mut transition),
            Input::Rename { title } => self.rename(title, &mut transition)?,
            Input::Batch(batch) => self.batch(batch, context, &mut transition)?,
            Input::Placed {
                epoch,
                runner,
                runner_url,
                claim,
            } => {
                self.placed(epoch, (runner, runner_url), claim, &mut transition);
            }
            Input::Unreachable { epoch, reason } => {
                if self.is_current(epoch) {
                    // It may be there all the same, with nothing to report from which it would
                    // learn that it is not wanted any more.
                    self.give_up(&reason, context, &mut transition);
                }
            }
            Input::PullRequestOpened {
                prompt,
                pull_request,
                by,
                step,
                notice,
            } => {
                self.pull_request_opened(prompt, pull_request, by, step, context, &mut transition);
                if let Some(message) = notice {
                    transition.fact(Fact::Notice { message });
                }
            }
            Input::PullRequestFailed { message } => transition.fact(Fact::Notice { message }),
            Input::PullRequestWished { branch, wish, by } => {
                self.wished(branch, wish, Some(by), context, &mut transition);
            }
            Input::ReviewsChanged { number } => {
                transition.soon(context, Effect::CheckReviews { number });
            }
            Input::Repair {
                prompt,
                branch,
                commit,
            } => self.repair(prompt, &branch, &commit, context, &mut transition)?,
            Input::Called { number } => self.called(number, context, &mut transition),
            Input::FollowedBy(follower) => {
                self.followed_by(follower, context, &mut transition);
            }
            Input::PullRequest(news) => self.pull_request_news(news, &mut transition),
            Input::ArtifactAdded { artifact, prompt } => {
                transition.fact(Fact::ArtifactAdded { artifact, prompt });
            }
            Input::ChangesKept(kept) => self.changes_kept(kept, &mut transition),
            Input::TerminalUsed => self.terminal_used = Some(context.now),
            Input::Expired(deadline) => self.expired(deadline, context, &mut transition),
        }
        self.settle(resting, context, &mut transition);
        self.count_prompts(running, context, &mut transition);
        self.tell_forge(activity, context, &mut transition);
        self.tell_follower(context, &mut transition);
        if transition
            .outputs
            .iter()
            .any(|output| matches!(output, Output::Fact(_)))
        {
            self.updated_at = context.now;
        }
        if self.summary_key() != before {
            transition.soon(context, Effect::UpdateIndex);
        }
        Ok(transition)
    }

    fn act(
        &mut self,
        act: Act,
        by: Person,
        context: Context,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        match act {
            Act::Edit { prompt, text } => self.edit(prompt, text, by, transition)?,
            Act::Cancel { prompt } => self.cancel(prompt, by, transition)?,
            Act::Insert { prompt } => self.insert_waiting(&prompt, by, context, transition)?,
            Act::Reorder { order } => self.reorder(&order, by, transition)?,
            Act::Stop => self.stop(by, context, transition)?,
            Act::ResumeQueue => self.resume_queue(by, context, transition),
            Act::ClearQueue => self.clear_queue(&by, transition),
            Act::Archive => self.archive(by, context, transition),
        }
        Ok(())
    }
}
