//! A turn as a message that grows, where the workspace has that; and as one that is edited, where it
//! has not, or no longer. Which one it is can change in the middle of a turn: the message stays.

use super::Core;
use super::features::Feature;
use super::speaking::Sent;
use super::store::{Due, Stage};
use crate::error::Error;
use crate::slack::blocks::Said;
use crate::slack::client::{Place, Slack, SlackError};
use crate::slack::progress::Progress;

impl Core {
    pub(super) async fn send_turn(
        &self,
        slack: &Slack,
        due: &Due,
        said: &Said,
        progress: &Progress,
    ) -> Result<Sent, SlackError> {
        if let (Some(Stage::Streaming { told }), Some(ts)) = (&due.stage, &due.ts) {
            match self.grow(slack, ts, told, progress).await {
                Ok(()) if progress.is_over => {
                    self.reached(due, &Stage::Streamed, None);
                    // Its buttons and its end are still to come.
                    return Ok(Sent::More);
                }
                Ok(()) => {
                    let told = progress.clone();
                    self.reached(due, &Stage::Streaming { told }, None);
                    return Ok(Sent::Whole(None));
                }
                Err(error) if !error.is_of_the_call() => return Err(error),
                Err(error) => {
                    self.lacks(Feature::Streams, &error);
                    self.reached(due, &Stage::Edited, None);
                }
            }
        }
        let is_new = due.ts.is_none() && due.stage.is_none() && !due.is_tried;
        if is_new && !progress.is_over && self.may_have(Feature::Streams) {
            self.try_to_say(due);
            match self.start_stream(slack, due, said, progress).await {
                Ok(ts) => {
                    let told = progress.clone();
                    self.reached(due, &Stage::Streaming { told }, Some(&ts));
                    return Ok(Sent::Whole(Some(ts)));
                }
                Err(error) if !error.is_of_the_call() => return Err(error),
                Err(error) => {
                    self.lacks(Feature::Streams, &error);
                    self.reached(due, &Stage::Edited, None);
                }
            }
        }
        let cards = progress
            .block()
            .filter(|_| matches!(due.stage, Some(Stage::Streamed)));
        let Some(cards) = cards else {
            return self.send_message(slack, due, said).await;
        };
        let mut whole = said.clone();
        whole.blocks.insert(0, cards);
        match self.send_message(slack, due, &whole).await {
            // An edit with cards may be one of the things that a workspace lacks.
            Err(error) if error.is_of_the_call() => self.send_message(slack, due, said).await,
            outcome => outcome,
        }
    }

    async fn start_stream(
        &self,
        slack: &Slack,
        due: &Due,
        said: &Said,
        progress: &Progress,
    ) -> Result<String, SlackError> {
        let place = Place {
            channel: &self.channel,
            root: Some(&due.root),
        };
        let mut chunks = progress.since(&Progress::default());
        let about: Vec<_> = said
            .blocks
            .iter()
            .filter(|block| block.get("type").is_none_or(|kind| kind != "section"))
            .cloned()
            .collect();
        chunks.push(serde_json::json!({ "type": "blocks", "blocks": about }));
        let recipient = (self.team.as_str(), progress.user.as_str());
        slack.start_stream(&place, recipient, &chunks).await
    }

    async fn grow(
        &self,
        slack: &Slack,
        ts: &str,
        told: &Progress,
        progress: &Progress,
    ) -> Result<(), SlackError> {
        let chunks = progress.since(told);
        if progress.is_over {
            slack.stop_stream(&self.channel, ts, &chunks).await
        } else if chunks.is_empty() {
            Ok(())
        } else {
            slack.append_stream(&self.channel, ts, &chunks).await
        }
    }

    /// Should it not be written down, the next call tells the same again, which changes nothing.
    pub(super) fn reached(&self, due: &Due, stage: &Stage, ts: Option<&str>) {
        let reached = self
            .store()
            .and_then(|store| Ok(store.reach(due.number, stage, ts)?));
        if let Err(error) = reached {
            Error::log(&error);
        }
    }
}
