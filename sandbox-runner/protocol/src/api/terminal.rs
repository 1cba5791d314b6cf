//! A shell in a session's sandbox, seen by several people and written to by one of them at a time.
//!
//! Bytes of the terminal are binary messages both ways, what is said about it is JSON in text
//! messages. A viewer's bytes count only while they have control.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Person;
use crate::id::{Epoch, SandboxId, UserId};

/// The subprotocol of a terminal's socket; the ticket is offered beside it, as for a session's.
pub const TERMINAL_SUBPROTOCOL: &str = "v1.terminal";

/// Most bytes of one message of a viewer.
pub const MAX_TERMINAL_INPUT: usize = 64 * 1024;

/// How long a viewer is let in for; then the page asks for another ticket.
pub const TERMINAL_VISIT: Duration = Duration::from_secs(3600);

/// Largest window.
pub const MAX_COLUMNS: u16 = 500;
pub const MAX_ROWS: u16 = 200;

/// `POST /api/sessions/{id}/terminal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TerminalTicket {
    /// Absolute `ws:` or `wss:` URL of a host of its own, which never gets the page's cookies.
    pub url: String,
    /// Good once, for 30 seconds.
    pub ticket: String,
}

/// `POST /runner/terminals/{session}`: somebody types there, so the sandbox is not idle; signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TerminalUsed {
    pub sandbox: SandboxId,
    pub epoch: Epoch,
}

/// `POST /terminal/{sandbox}/expel` of a runner: this viewer may not look on any more; signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalExpulsion {
    pub user: UserId,
}

/// A text message of a viewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TerminalRequest {
    /// Takes the terminal from whoever has it.
    TakeControl {},
    ReleaseControl {},
    /// Of the one in control; others see that window.
    Resize {
        columns: u16,
        rows: u16,
    },
    Ping {},
}

/// A text message to a viewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TerminalNotice {
    /// The first message, and again whenever something in it changes. Recent output follows the
    /// first one.
    State {
        columns: u16,
        rows: u16,
        viewers: Vec<Person>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        controller: Option<Person>,
        /// Whether this viewer is the one in control.
        yours: bool,
    },
    /// The shell has ended; whoever connects next starts another.
    Ended {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        code: Option<i32>,
    },
    Error {
        code: String,
        message: String,
    },
    Pong,
}
