//! Slack: the team's chat as a place to work from. One thread is one session, for ever.
//!
//! # Layout
//!
//! - [`signature`], [`event`], [`interaction`], [`form`]: what Slack posts to us, verified and read.
//! - [`delivery`]: what came, brought from the queue to whoever acts on it.
//! - [`channel`]: the object of one channel, which hears and speaks in order.
//! - [`thread`], [`message`], [`blocks`], [`progress`], [`utterance`]: what is said, purely. [`classification`]: which repository
//!   is meant, purely; [`classifier`] asks a model.
//! - [`wishes`]: which branch and model a message asks for, purely.
//! - [`identity`]: who somebody is at GitHub, [`invitation`]: how they are asked. [`home`]: the app's
//!   home. [`client`]: Slack's Web API, [`connection`]: whether it takes our token.
//!
//! Slack is answered as soon as a delivery is recorded. From there it goes by the queue to the
//! channel's object, which takes each message once, and whose outbox says each thing once.

pub mod blocks;
pub mod channel;
pub mod classification;
pub mod classifier;
pub mod client;
pub mod connection;
pub mod delivery;
pub mod event;
pub mod form;
pub mod home;
pub mod identity;
pub mod interaction;
pub mod invitation;
pub mod message;
pub mod progress;
pub mod signature;
pub mod thread;
pub mod utterance;
pub mod wishes;

/// The manifest from which the Slack app is made: exactly the scopes and events that are used.
pub const MANIFEST: &str = include_str!("slack/manifest.json");

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::{Value, json};

    use super::MANIFEST;
    use super::delivery::WORK_ON_THIS;
    use super::event::Event;

    #[test]
    fn every_event_and_shortcut_of_the_manifest_is_acted_on() {
        let manifest: Value = serde_json::from_str(MANIFEST).unwrap();
        let events = manifest.pointer("/settings/event_subscriptions/bot_events");
        let events = events.and_then(Value::as_array).unwrap();
        assert_eq!(events.len(), 10);
        for name in events {
            let kind = name.as_str().unwrap().split('.').next().unwrap();
            let sample = json!({
                "type": kind, "user": "U1", "channel": "C1", "message_ts": "1.1",
                "reaction": "eyes", "item": {},
            });
            let event: Event = serde_json::from_value(sample).unwrap();
            assert_ne!(event, Event::Other, "{name}");
        }
        let shortcut = manifest.pointer("/features/shortcuts/0/callback_id");
        assert_eq!(shortcut.unwrap(), WORK_ON_THIS);
    }
}
