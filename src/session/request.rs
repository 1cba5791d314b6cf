//! What the Worker asks of a session's object: one typed request each, as JSON over the stub.

use protocol::event::{Mode, Person, Source};
use protocol::{ArtifactId, PromptId, Seq};
use serde::{Deserialize, Serialize};

use crate::session::artifacts::ArtifactRequest;
use crate::session::machine::Create;

/// The path that requests are posted to; the socket upgrade goes to [`SOCKET_PATH`].
pub const REQUEST_PATH: &str = "/request";
pub const SOCKET_PATH: &str = "/socket";

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Idempotent: a session that exists stays as it is.
    Create {
        create: Create,
    },
    Warm,
    Prompt(NewPrompt),
    Edit {
        prompt: PromptId,
        text: String,
        by: Person,
    },
    Cancel {
        prompt: PromptId,
        by: Person,
    },
    Stop {
        by: Person,
    },
    Archive {
        by: Person,
    },
    Summary,
    Events {
        since: Seq,
        limit: i64,
    },
    Waterfall,
    Contacts,
    IssueTicket {
        person: Person,
        origin: String,
    },
    /// A signed batch whose signature has been verified.
    Callbacks {
        webhook_id: String,
        body: String,
    },
    Artifact(ArtifactRequest),
    /// Panics after a write, inside of a transaction.
    #[cfg(feature = "fault-drill")]
    Panic,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewPrompt {
    pub author: Person,
    pub text: String,
    pub source: Source,
    pub mode: Mode,
    #[serde(default)]
    pub attachments: Vec<ArtifactId>,
    pub client_request_id: Option<String>,
}
