//! What travels on a client's WebSocket: JSON, tagged by `type`.
//!
//! After `subscribe` a socket gets everything after `since`, then the live tail. Text of a part
//! that is still growing arrives as deltas whose offsets meet without a gap, the first at 0.

use serde::{Deserialize, Serialize};

use crate::api::SessionSummary;
use crate::event::{Event, Mode, Person, Prompt};
use crate::id::{ArtifactId, PartId, PromptId, Seq};

/// The subprotocol that a client asks for and the server chooses. The one-time ticket is offered
/// beside it as `ticket.<value>`, since a URL would end up in logs.
pub const SUBPROTOCOL: &str = "v1.agent";
pub const TICKET_PREFIX: &str = "ticket.";

/// Most bytes of one client frame: the longest prompt, escaped, fits.
pub const MAX_CLIENT_FRAME: usize = 256 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ClientFrame {
    Subscribe {
        since: Seq,
    },
    Prompt {
        text: String,
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<Mode>"))]
        mode: Mode,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        client_request_id: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<Vec<ArtifactId>>"))]
        attachments: Vec<ArtifactId>,
    },
    EditPrompt {
        prompt: PromptId,
        text: String,
    },
    CancelPrompt {
        prompt: PromptId,
    },
    /// Gives a prompt that waits to the running one's agent now.
    InsertPrompt {
        prompt: PromptId,
    },
    /// All prompts that wait, in the order in which they are to start.
    ReorderPrompts {
        order: Vec<PromptId>,
    },
    /// Ends the running prompt. What waits stays until the queue is resumed or cleared.
    Stop {},
    ResumeQueue {},
    /// Cancels every prompt that waits.
    ClearQueue {},
    Typing {},
    Presence {
        active: bool,
    },
    Ping {},
}

#[allow(
    clippy::large_enum_variant,
    reason = "a frame is made, written and dropped, never kept"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ServerFrame {
    Welcome {
        session: SessionSummary,
        participants: Vec<Participant>,
        queue: Vec<Prompt>,
        head_seq: Seq,
    },
    Events {
        events: Vec<Event>,
    },
    /// `offset` counts UTF-16 code units, which is `string.length` in a browser.
    Delta {
        part: PartId,
        offset: u64,
        text: String,
    },
    Presence {
        participants: Vec<Participant>,
    },
    Typing {
        person: Person,
    },
    Error {
        code: String,
        message: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        client_request_id: Option<String>,
    },
    Pong,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Participant {
    pub person: Person,
    pub active: bool,
}
