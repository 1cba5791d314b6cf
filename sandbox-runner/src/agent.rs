//! The driver of the agent inside a sandbox: OpenCode's HTTP API (v1) and its event stream.
//!
//! The agent is reached only through a [`Dial`], which the sandbox backend makes: there is no
//! address that another process could reach. What the agent says is hostile until parsed, and
//! what it says of kinds unknown here is passed over.
//!
//! - [`launch`] says how the agent is started.
//! - [`Agent`] makes requests and opens the event stream.
//! - [`transcript`] turns events and snapshots into reports, exactly once each.

mod connection;
mod event_stream;
pub mod launch;
pub mod transcript;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered};
use hyper::Method;
use protocol::command::{GitIdentity, Model};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout_at};

use connection::Connections;
pub use wire::{
    AgentEvent, Conversation, Failure, Message, MessageInfo, Part, PartKind, PartTime, Role,
    Snapshot, Status, Tool, ToolState,
};

/// A byte stream to a port inside a sandbox.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub type BoxIo = Box<dyn Io>;

/// Opens a new connection to the agent's port.
pub type Dial = Arc<dyn Fn() -> BoxFuture<'static, io::Result<BoxIo>> + Send + Sync>;

/// What happens to one conversation, from the moment that the stream was opened.
pub type Events = BoxStream<'static, Result<AgentEvent, AgentError>>;

/// The agent's name of a conversation: `ses_…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConversationId(String);

/// The agent named a conversation in a way that it never does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a conversation of the agent")]
pub struct InvalidConversation;

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("failed to connect to the agent")]
    Dial(#[source] io::Error),
    #[error("failed to talk to the agent")]
    Http(#[source] hyper::Error),
    #[error("failed to make a request for the agent")]
    Request(#[source] hyper::http::Error),
    #[error("the agent did not answer `{operation}` in time")]
    Timeout { operation: &'static str },
    #[error("the agent answered `{operation}` with status {status}: {message}")]
    Refused {
        operation: &'static str,
        status: u16,
        message: String,
    },
    #[error("failed to read the agent's answer to `{operation}`")]
    Answer {
        operation: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("failed to read an event of the agent")]
    Event(#[source] serde_json::Error),
    #[error("the agent's event stream ended")]
    StreamEnded,
    #[error("the agent sends an answer longer than {limit} bytes")]
    TooLong { limit: usize },
}

/// The agent in one sandbox. Clones share their connections.
#[derive(Clone)]
pub struct Agent {
    connections: Arc<Connections>,
}

/// What a prompt comes with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enclosure {
    /// Said to the agent besides the prompt's own text.
    pub note: Option<String>,
    pub pictures: Vec<Picture>,
}

/// A picture that the model sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub name: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// Longest that a request may take. A request that was accepted while the agent was starting is
/// never answered, so every one has an end.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest for the warm-up, which loads the agent's code for the first time.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a health probe may take. The agent accepts connections before it can answer them, and
/// those are lost; one that comes in time is answered late on a busy machine.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two probes: nothing tells when the agent can answer. It grows by a part of itself while
/// probes are without an answer, so that a busy machine is not made busier.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);
const LONGEST_PROBE_INTERVAL: Duration = Duration::from_millis(250);
const PROBE_INTERVAL_GROWTH: u32 = 16;

/// How often status and messages are read until they agree on one moment.
const SNAPSHOT_ATTEMPTS: usize = 3;

impl Agent {
    /// Connects when the first request is made. `directory` is the repository inside the sandbox.
    pub fn connect(dial: Dial, directory: &str) -> Self {
        Self {
            connections: Arc::new(Connections::new(dial, directory)),
        }
    }

    /// Returns once the agent answers, or with the last failure at the deadline. A probe does not wait
    /// for the one before, which may have come too early and is lost then.
    pub async fn wait_until_up(&self, deadline: Instant) -> Result<(), AgentError> {
        let mut probes = FuturesUnordered::new();
        let mut interval = PROBE_INTERVAL;
        loop {
            if !probes.is_empty() {
                interval += interval / PROBE_INTERVAL_GROWTH;
                interval = interval.min(LONGEST_PROBE_INTERVAL);
            }
            probes.push(self.connections.probe("/global/health", PROBE_TIMEOUT));
            let next = Instant::now() + interval;
            while let Ok(Some(answer)) = timeout_at(next, probes.next()).await {
                match answer {
                    Ok(()) => return Ok(()),
                    Err(error) if Instant::now() >= deadline => return Err(error),
                    Err(_) => {}
                }
            }
            sleep_until(next).await;
        }
    }

    /// Starts a conversation. Without a title the agent would ask the model for one.
    pub async fn conversation(&self, title: &str) -> Result<ConversationId, AgentError> {
        let body = json!({ "title": title });
        let answer = self
            .call("create", Method::POST, "/session", Some(&body))
            .await?;
        let conversation: Conversation = read("create", &answer)?;
        Ok(conversation.id)
    }

    /// Gives the agent a prompt; what it does is told by [`Agent::events`]. During a run the agent
    /// reads it at its next step.
    ///
    /// After an error it is unknown whether the agent has it: [`Agent::snapshot`] tells.
    pub async fn prompt(
        &self,
        conversation: &ConversationId,
        text: &str,
        model: &Model,
        author: &GitIdentity,
    ) -> Result<(), AgentError> {
        self.prompt_with(conversation, text, model, author, &Enclosure::default())
            .await
    }

    /// The same, with files.
    pub async fn prompt_with(
        &self,
        conversation: &ConversationId,
        text: &str,
        model: &Model,
        author: &GitIdentity,
        enclosure: &Enclosure,
    ) -> Result<(), AgentError> {
        let path = format!("/session/{conversation}/prompt_async");
        let mut body = prompt_body(text, model.provider.as_str(), &model.name);
        if let Some(part) = body.pointer_mut("/parts/0") {
            // The plugin reads it, so that commits which the agent makes have their author.
            part["metadata"] = json!({ "author": author });
        }
        if let Some(parts) = body.pointer_mut("/parts").and_then(Value::as_array_mut) {
            parts.extend(enclosure.parts());
        }
        self.call("prompt", Method::POST, &path, Some(&body))
            .await
            .map(drop)
    }

    /// Ends what the conversation does. It is idle 10 to 70 ms later, and parts may still follow.
    pub async fn abort(&self, conversation: &ConversationId) -> Result<(), AgentError> {
        let path = format!("/session/{conversation}/abort");
        self.call("abort", Method::POST, &path, None)
            .await
            .map(drop)
    }

    /// Makes the agent load everything that its first answer needs, which takes it more than a
    /// second, by a throw-away prompt that the gateway answers itself.
    pub async fn warm_up(&self) -> Result<(), AgentError> {
        let conversation = self.conversation("warm-up").await?;
        let path = format!("/session/{conversation}/message");
        let body = prompt_body("warm-up", launch::WARM_UP_PROVIDER, launch::WARM_UP_MODEL);
        let request = self.connections.request(Method::POST, &path, Some(&body))?;
        let answered = self
            .connections
            .send("warm up", request, WARM_UP_TIMEOUT)
            .await;
        let path = format!("/session/{conversation}");
        self.call("delete", Method::DELETE, &path, None).await?;
        answered.map(drop)
    }

    /// Opens the event stream. Its first event is a snapshot that was taken after the stream was
    /// open, so nothing is missed. It ends with an error; whoever still needs it opens another.
    ///
    /// A malformed event is an error of that event only: the stream goes on.
    pub async fn events(&self, conversation: &ConversationId) -> Result<Events, AgentError> {
        event_stream::open(self.clone(), conversation.clone()).await
    }

    /// All messages of one conversation, oldest first.
    pub async fn messages(
        &self,
        conversation: &ConversationId,
    ) -> Result<Vec<Message>, AgentError> {
        let path = format!("/session/{conversation}/message");
        let answer = self.call("messages", Method::GET, &path, None).await?;
        let values: Vec<Value> = read("messages", &answer)?;
        Ok(values
            .into_iter()
            .filter_map(|value| serde_json::from_value(value).ok())
            .collect())
    }

    /// What the agent holds of a conversation and of the sub-agents under it.
    pub async fn snapshot(&self, conversation: &ConversationId) -> Result<Snapshot, AgentError> {
        let mut before = self.status(conversation).await?;
        let mut attempts = SNAPSHOT_ATTEMPTS;
        loop {
            let (conversations, messages) = self.family(conversation).await?;
            let after = self.status(conversation).await?;
            attempts -= 1;
            // Messages read while a run began or ended would look like a run that was cut off.
            if before == after || attempts == 0 {
                return Ok(Snapshot {
                    status: after,
                    conversations,
                    messages,
                });
            }
            before = after;
        }
    }

    async fn status(&self, conversation: &ConversationId) -> Result<Status, AgentError> {
        let answer = self
            .call("status", Method::GET, "/session/status", None)
            .await?;
        let mut statuses: wire::Statuses = read("status", &answer)?;
        Ok(statuses.remove(conversation).unwrap_or_default())
    }

    /// The conversation and those of its sub-agents, with all their messages.
    async fn family(
        &self,
        root: &ConversationId,
    ) -> Result<(Vec<Conversation>, Vec<Message>), AgentError> {
        let mut conversations = Vec::new();
        let mut messages = self.messages(root).await?;
        let mut open = vec![root.clone()];
        while let Some(parent) = open.pop() {
            let path = format!("/session/{parent}/children");
            let answer = self.call("children", Method::GET, &path, None).await?;
            let children: Vec<Conversation> = read("children", &answer)?;
            for child in children {
                messages.extend(self.messages(&child.id).await?);
                open.push(child.id.clone());
                conversations.push(child);
            }
        }
        Ok((conversations, messages))
    }

    /// Refuses a permission: there is nobody to ask, and without an answer the run never ends.
    async fn refuse_permission(&self, id: &str) -> Result<(), AgentError> {
        let path = format!("/permission/{id}/reply");
        let body = json!({ "reply": "reject", "message": "This is not allowed in this sandbox." });
        self.call("permission", Method::POST, &path, Some(&body))
            .await
            .map(drop)
    }

    async fn call(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Vec<u8>, AgentError> {
        let request = self.connections.request(method, path, body)?;
        self.connections
            .send(operation, request, REQUEST_TIMEOUT)
            .await
    }
}

impl Enclosure {
    fn parts(&self) -> impl Iterator<Item = Value> {
        let note = self.note.iter();
        let note = note.map(|note| json!({ "type": "text", "text": note, "synthetic": true }));
        let pictures = self.pictures.iter().map(|picture| {
            let bytes = STANDARD.encode(&picture.bytes);
            json!({
                "type": "file",
                "mime": picture.media_type,
                "filename": picture.name,
                "url": format!("data:{};base64,{bytes}", picture.media_type),
            })
        });
        note.chain(pictures)
    }
}

impl ConversationId {
    /// Accepts what is safe in a path, as all names that the agent gives are.
    pub fn parse(text: &str) -> Result<Self, InvalidConversation> {
        let fits = text.starts_with("ses_")
            && text.len() <= 64
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidConversation)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ConversationId {
    type Error = InvalidConversation;

    fn try_from(text: String) -> Result<Self, InvalidConversation> {
        Self::parse(&text)
    }
}

impl From<ConversationId> for String {
    fn from(id: ConversationId) -> String {
        id.0
    }
}

impl std::fmt::Display for ConversationId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn prompt_body(text: &str, provider: &str, model: &str) -> Value {
    json!({
        "model": { "providerID": provider, "modelID": model },
        "parts": [{ "type": "text", "text": text }],
    })
}

fn read<T: serde::de::DeserializeOwned>(
    operation: &'static str,
    answer: &[u8],
) -> Result<T, AgentError> {
    serde_json::from_slice(answer).map_err(|source| AgentError::Answer { operation, source })
}

/// Event streams of a real agent, one file for each run.
#[cfg(test)]
mod recordings {
    pub(super) const RUN: &str = include_str!("agent/recordings/run.jsonl");
    pub(super) const SUB_AGENT: &str = include_str!("agent/recordings/sub-agent.jsonl");
    pub(super) const RUNS: [&str; 2] = [RUN, SUB_AGENT];
}
