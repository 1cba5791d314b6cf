//! A thread elsewhere that follows this session: it is told whenever there is more in the log, and
//! reads it from where it left off.

use serde::{Deserialize, Serialize};

use super::{Context, Effect, Output, State, Transition};
use protocol::{Fact, Millis};

/// A thread of Slack's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    pub team: String,
    pub channel: String,
    /// Time stamp of its first message.
    pub root: String,
}

/// What happens within a stretch of this length is told at once. Its ends are fixed, so that
/// something that never stops happening is told all the same.
const STRETCH_MS: i64 = 500;

impl State {
    pub(super) fn followed_by(
        &mut self,
        follower: Follower,
        context: Context,
        transition: &mut Transition,
    ) {
        if self.follower.as_ref() != Some(&follower) {
            self.follower = Some(follower.clone());
            transition.now(context, Effect::TellFollower { follower });
        }
    }

    pub(super) fn tell_follower(&self, context: Context, transition: &mut Transition) {
        let Some(follower) = &self.follower else {
            return;
        };
        let is_news = |output: &Output| match output {
            Output::Fact(fact) => !matches!(fact, Fact::Step { .. }),
            _ => false,
        };
        if transition.outputs.iter().any(is_news) {
            let due = (context.now.0.div_euclid(STRETCH_MS) + 1) * STRETCH_MS;
            let follower = follower.clone();
            transition
                .effects
                .push((Millis(due), Effect::TellFollower { follower }));
        }
    }
}
