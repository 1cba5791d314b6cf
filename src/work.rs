//! Work that is done after an answer was given, through a Cloudflare Queue.
//!
//! A message says what is to be done and where it is recorded, never what it is about: it is small,
//! and a repetition finds out by itself that nothing is left to do. What keeps failing goes to the
//! dead-letter queue; its record stays, and the cron puts it on the queue again ([`deliveries`]).

use serde::{Deserialize, Serialize};
use worker::{Env, Message, MessageBatch, MessageExt as _, QueueRetryOptionsBuilder};

use crate::deliveries;
use crate::error::Error;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Work {
    /// A webhook of GitHub's that was received.
    GithubDelivery { id: String },
    /// Something that Slack told.
    SlackDelivery { id: String },
}

/// Seconds until a piece of work that failed is tried again.
const AGAIN_SECONDS: u32 = 10;

pub async fn put(env: &Env, work: Work) -> Result<(), Error> {
    Ok(env.queue("WORK")?.send(work).await?)
}

/// Does what came off the queue. A message is taken off it unless it is to be tried again.
pub async fn perform(env: &Env, batch: &MessageBatch<Work>) {
    for message in batch.raw_iter() {
        let message = match Message::<Work>::try_from(message) {
            Ok(message) => message,
            Err(error) => {
                // Of another version of this Worker; no try of ours will read it.
                worker::console_error!("a message of the queue is not understood: {error}");
                continue;
            }
        };
        let outcome = match message.body() {
            Work::GithubDelivery { id } | Work::SlackDelivery { id } => {
                deliveries::perform(env, id).await
            }
        };
        match outcome {
            Ok(()) => message.ack(),
            Err(error) => {
                error.log();
                let again = QueueRetryOptionsBuilder::new().with_delay_seconds(AGAIN_SECONDS);
                message.retry_with_options(&again.build());
            }
        }
    }
}
