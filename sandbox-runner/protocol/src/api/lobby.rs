//! The list of sessions as it changes, for every page of a signed-in person.
//!
//! A notice is a hint: it may be missed while a page is away, so a page asks for the list again
//! after it connects.

use serde::{Deserialize, Serialize};

use crate::api::SessionSummary;
use crate::id::SessionId;

/// The subprotocol of the lobby's socket at `GET /api/lobby/ws`; the ticket of
/// `POST /api/lobby/ws-ticket` is offered beside it, as for a session's.
pub const LOBBY_SUBPROTOCOL: &str = "v1.lobby";

#[allow(
    clippy::large_enum_variant,
    reason = "a notice is made, written and dropped, never kept"
)]
/// What the lobby tells. A client sends nothing but `ping`, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum LobbyNotice {
    /// A session of a repository that the person reaches is new or changed. `unread` is left to
    /// the page, which knows what is open.
    Session {
        session: SessionSummary,
    },
    /// The person looked at it, here or elsewhere.
    Seen {
        session: SessionId,
    },
    /// How many people prompted in the last five minutes.
    Prompting {
        people: u64,
    },
    Pong,
}
