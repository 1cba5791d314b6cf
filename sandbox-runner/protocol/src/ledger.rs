//! Whom a sandbox has reached or tried to reach, and what that cost.
//!
//! Numbers are totals of one sandbox epoch, so a contact that is told again replaces what was told
//! before: the key is host, kind and verdict. A session's totals are the sums over its epochs.

use serde::{Deserialize, Serialize};

use crate::id::Millis;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Contact {
    /// As it was asked for. [`OTHERS`] stands for what came after too many different ones.
    pub host: String,
    pub kind: ContactKind,
    pub verdict: Verdict,
    /// Why it was denied or failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub reason: Option<String>,
    /// Requests where the gateway sees them, else connections or look-ups.
    pub requests: u64,
    /// What the sandbox sent.
    pub bytes_up: u64,
    pub bytes_down: u64,
    /// Of model calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub tokens: Option<Tokens>,
    /// In millionths of a dollar. Absent when no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub cost_microdollars: Option<u64>,
    pub last_at: Millis,
}

/// The host of contacts that are counted together, because there were too many different ones.
pub const OTHERS: &str = "*";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ContactKind {
    /// A request to a model provider.
    Model,
    /// A request of git to the forge.
    Git,
    /// A connection, whose content nobody but its ends can read.
    Https,
    /// A request.
    Http,
    /// A look-up of a name that may not be reached; those that may are not counted.
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Verdict {
    Allowed,
    Denied,
    /// Allowed, but the host could not be reached.
    Failed,
}

/// Each token is in one of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

impl Contact {
    /// Whether the two tell about the same.
    pub fn replaces(&self, other: &Self) -> bool {
        self.host == other.host && self.kind == other.kind && self.verdict == other.verdict
    }
}

impl std::ops::AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
    }
}
