//! Whether a thread's session works, as Slack shows it: with a button that stops it where there are
//! sessions of agents, as a line under the thread where there are assistants, and not at all elsewhere.

use super::Core;
use super::features::Feature;
use super::speaking::Sent;
use super::store::Due;
use crate::slack::client::{Place, Slack, SlackError};

impl Core {
    pub(super) async fn send_standing(
        &self,
        slack: &Slack,
        due: &Due,
        is_working: bool,
        (title, user): (&str, &str),
    ) -> Result<Sent, SlackError> {
        let place = Place {
            channel: &self.channel,
            root: Some(&due.root),
        };
        if self.may_have(Feature::Sessions) {
            match slack.set_session(&place, is_working, title, user).await {
                Ok(()) => return Ok(Sent::Whole(None)),
                Err(error) if !error.is_of_the_call() => return Err(error),
                Err(error) => self.lacks(Feature::Sessions, &error),
            }
        }
        if self.may_have(Feature::Assistant) {
            match slack.set_status(&place, is_working).await {
                Ok(()) => return Ok(Sent::Whole(None)),
                Err(error) if !error.is_of_the_call() => return Err(error),
                Err(error) => self.lacks(Feature::Assistant, &error),
            }
        }
        // The message of the turn says it as well.
        Ok(Sent::Whole(None))
    }
}
