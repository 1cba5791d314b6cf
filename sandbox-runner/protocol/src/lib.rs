//! The wire types that the Worker, the runner and the clients share.
//!
//! There is no I/O here, no clock and no randomness: whoever needs those passes them in, so the
//! same code runs natively, on wasm and in property tests.
//!
//! # Layout
//!
//! - [`id`]: every identifier is a type of its own; [`branch`]: what a branch may be named.
//! - [`image`]: what sandboxes start from.
//! - [`event`]: the ordered log of a session, which is what every client reads.
//! - [`frame`]: what travels on a client's WebSocket.
//! - [`api`]: bodies of the HTTP surface.
//! - [`command`] and [`callback`]: what the Worker tells a runner, and what a runner reports.
//! - [`egress`]: what a sandbox may reach outside; [`ledger`]: what it has reached.
//! - [`signature`]: how the last two prove who sent them.
//!
//! Every message is a contract with peers of another version: new fields get `#[serde(default)]`,
//! nothing is renamed, and `tests/golden` holds one example of each.

pub mod api;
pub mod branch;
pub mod callback;
pub mod command;
pub mod egress;
pub mod event;
pub mod frame;
pub mod id;
pub mod image;
pub mod ledger;
pub mod signature;
#[cfg(test)]
mod typescript;

pub use event::{Event, Fact};
pub use id::{
    ArtifactId, Epoch, ImageId, Millis, PartId, PromptId, RunnerId, SandboxId, Seq, SessionId,
    SnapshotId, TokenId, UserId,
};

/// Version of these messages. A runner of another major version is not placed on.
pub const VERSION: &str = "1.0";
