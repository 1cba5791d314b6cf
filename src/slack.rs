//! Slack: the team's chat as a place to work from. One thread is one session, for ever.
//!
//! # Layout
//!
//! - [`signature`], [`event`], [`interaction`], [`form`]: what Slack posts to us, verified and read.
//! - [`delivery`]: what came, brought from the queue to whoever acts on it.
//! - [`channel`]: the object of one channel, which hears and speaks in order.
//! - [`thread`], [`message`], [`blocks`]: what is said, purely. [`classification`]: which repository
//!   is meant, purely; [`classifier`] asks a model.
//! - [`identity`]: who somebody is at GitHub. [`client`]: Slack's Web API.
//!
//! Slack is answered as soon as a delivery is recorded. From there it goes by the queue to the
//! channel's object, which takes each message once, and whose outbox says each thing once.

pub mod blocks;
pub mod channel;
pub mod classification;
pub mod classifier;
pub mod client;
pub mod delivery;
pub mod event;
pub mod form;
pub mod home;
pub mod identity;
pub mod interaction;
pub mod message;
pub mod signature;
pub mod thread;

/// The manifest from which the Slack app is made: exactly the scopes and events that are used.
pub const MANIFEST: &str = include_str!("slack/manifest.json");
