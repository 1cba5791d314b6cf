//! How reports reach the session: coalesced, recorded, sent in order until they are held there.
//!
//! # Layout
//!
//! - [`coalescer`]: joins the deltas of fast text; pure.
//! - [`outbox`]: numbers reports and keeps them on disk until they are acknowledged.
//! - [`sender`]: one task for each sandbox that posts what the outbox holds.

pub mod coalescer;
pub mod outbox;
pub mod sender;
