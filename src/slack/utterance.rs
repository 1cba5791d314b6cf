//! Everything that we say in a channel, each in its newest form.

use protocol::SessionId;
use protocol::event::Artifact;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blocks::Said;
use super::progress::Progress;

/// One thing to be said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Utterance {
    /// In the thread; another one of the same key edits it.
    Message {
        said: Said,
    },
    /// In the thread, and shown to the whole channel as well.
    Announcement {
        said: Said,
    },
    /// How a turn goes: streamed as cards where the workspace has that, else `said`, edited.
    Turn {
        said: Said,
        progress: Progress,
    },
    /// Whether the thread's session works; where the workspace has that, it comes with a button.
    Standing {
        is_working: bool,
        title: String,
        /// Whoever spoke last, if somebody did here.
        user: String,
    },
    /// A picture, into the thread.
    Picture {
        session: SessionId,
        artifact: Artifact,
    },
    /// To one person alone.
    Whisper {
        user: String,
        said: Said,
    },
    Reaction {
        ts: String,
        name: String,
    },
    Unfurl {
        ts: String,
        unfurls: Value,
    },
}

impl Utterance {
    /// Whether it is a message or an edit, of which Slack takes one a second.
    pub fn is_message(&self) -> bool {
        !matches!(self, Self::Reaction { .. } | Self::Standing { .. })
    }
}
