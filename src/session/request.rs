//! What the Worker asks of a session's object: one typed request each, as JSON over the stub.

use protocol::event::{Mode, Person, Source};
use protocol::{ArtifactId, PromptId, Seq, SessionId, UserId};
use serde::{Deserialize, Serialize};

use crate::session::artifacts::ArtifactRequest;
use crate::session::changes::ChangesRequest;
use crate::session::forge::ForgeRequest;
use crate::session::machine::following::Follower;
use crate::session::machine::pull_requests::PullRequestNews;
use crate::session::machine::{Act, Create};
use crate::session::terminal::TerminalRequest;
use crate::tickets::Bearer;

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
    Act {
        act: Act,
        by: Person,
    },
    /// Answers with the `Create` of a session that goes on from the end of `prompt`.
    Fork {
        prompt: PromptId,
        session: SessionId,
        by: Person,
    },
    /// Says that `session` was made from this one. Idempotent.
    Forked {
        session: SessionId,
        by: Person,
    },
    Rename {
        title: String,
    },
    Summary,
    Events {
        since: Seq,
        limit: i64,
    },
    EventsBefore {
        before: Seq,
        limit: i64,
    },
    /// Answers with server-sent events.
    Stream {
        since: Seq,
        person: Person,
    },
    Waterfall,
    Contacts,
    /// The forge tells of a pull request of this session; harmless when it is told twice.
    PullRequest {
        news: PullRequestNews,
    },
    /// Has a thread elsewhere told of everything here. Idempotent.
    FollowedBy {
        follower: Follower,
    },
    IssueTicket {
        bearer: Bearer,
        origin: String,
    },
    Forge(ForgeRequest),
    /// Asks GitHub now whether `user`, or everybody, may still follow this session; whoever may
    /// not is cut off. For whoever hears that access has changed.
    Recheck {
        user: Option<UserId>,
    },
    /// A signed batch whose signature has been verified.
    Callbacks {
        webhook_id: String,
        body: String,
    },
    Artifact(ArtifactRequest),
    Changes(ChangesRequest),
    Terminal(TerminalRequest),
    /// Answers a [`Whereabouts`](crate::session::files::Whereabouts).
    Whereabouts,
    /// Panics after a write, inside of a transaction.
    #[cfg(feature = "fault-drill")]
    Panic,
    /// Which life of the object answers.
    #[cfg(feature = "fault-drill")]
    Life,
}

impl Request {
    pub fn act(act: Act, by: Person) -> Self {
        Self::Act { act, by }
    }
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
