//! What the agent says, as far as it is used here.
//!
//! Types unknown here are passed over rather than refused: the agent adds some with every version.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ConversationId;

#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// Everything up to a moment after the stream was opened; always the first event.
    Snapshot(Snapshot),
    Conversation(Conversation),
    Message(MessageInfo),
    Part(Part),
    PartRemoved {
        conversation: ConversationId,
        part: String,
    },
    /// What a text grew by. The agent numbers nothing: it counts from the last [`AgentEvent::Part`].
    Delta {
        conversation: ConversationId,
        message: String,
        part: String,
        text: String,
    },
    Status {
        conversation: ConversationId,
        status: Status,
    },
    Failed {
        conversation: Option<ConversationId>,
        failure: Failure,
    },
    /// The agent waits for a permission that its configuration does not decide.
    PermissionAsked {
        id: String,
        permission: String,
    },
}

/// Everything that the agent holds of a conversation and of the sub-agents under it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub status: Status,
    pub conversations: Vec<Conversation>,
    pub messages: Vec<Message>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Conversation {
    pub id: ConversationId,
    /// Set for a sub-agent's.
    #[serde(default, rename = "parentID")]
    pub parent: Option<ConversationId>,
    #[serde(default)]
    pub title: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Message {
    pub info: MessageInfo,
    #[serde(default, deserialize_with = "known_parts")]
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MessageInfo {
    pub id: String,
    #[serde(rename = "sessionID")]
    pub conversation: ConversationId,
    pub role: Role,
    /// The user message that this one answers.
    #[serde(default, rename = "parentID")]
    pub answers: Option<String>,
    #[serde(default)]
    pub time: MessageTime,
    #[serde(default)]
    pub error: Option<Failure>,
    /// `true` for a summary that the agent writes for itself when its context is full; user
    /// messages have an object here.
    #[serde(default)]
    pub summary: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Assistant,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct MessageTime {
    #[serde(default)]
    pub completed: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Part {
    pub id: String,
    #[serde(rename = "sessionID")]
    pub conversation: ConversationId,
    #[serde(rename = "messageID")]
    pub message: String,
    #[serde(flatten)]
    pub kind: PartKind,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum PartKind {
    Text {
        #[serde(default)]
        text: String,
        /// Written by the agent's own machinery, not by the model.
        #[serde(default)]
        synthetic: bool,
        #[serde(default)]
        time: Option<PartTime>,
    },
    Reasoning {
        #[serde(default)]
        text: String,
        #[serde(default)]
        time: Option<PartTime>,
    },
    Tool(Tool),
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct PartTime {
    #[serde(default)]
    pub end: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Tool {
    pub tool: String,
    pub state: ToolState,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum ToolState {
    /// The model is still writing the arguments.
    Pending,
    Running {
        #[serde(default)]
        input: Value,
        #[serde(default)]
        metadata: Value,
    },
    Completed {
        #[serde(default)]
        input: Value,
        #[serde(default)]
        output: String,
        #[serde(default)]
        title: String,
        #[serde(default)]
        metadata: Value,
    },
    Error {
        #[serde(default)]
        input: Value,
        #[serde(default)]
        error: String,
        #[serde(default)]
        metadata: Value,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Status {
    #[default]
    Idle,
    Busy,
    /// The model refused for now; the agent tries again by itself.
    Retry {
        #[serde(default)]
        message: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failure {
    pub name: String,
    #[serde(default)]
    pub data: FailureData,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct FailureData {
    #[serde(default)]
    pub message: Option<String>,
}

impl Failure {
    /// Whether this is only the answer to an abort.
    pub fn is_abort(&self) -> bool {
        self.name == "MessageAbortedError"
    }

    /// The cause, for people.
    pub fn message(&self) -> String {
        self.data
            .message
            .clone()
            .unwrap_or_else(|| self.name.clone())
    }
}

impl MessageInfo {
    pub fn is_summary(&self) -> bool {
        self.summary == Value::Bool(true)
    }
}

impl AgentEvent {
    /// Reads one event; `None` for a kind that is not used here.
    pub fn parse(data: &str) -> Result<Option<Self>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Envelope {
            #[serde(rename = "type")]
            kind: String,
            #[serde(default)]
            properties: Value,
        }
        let Envelope { kind, properties } = serde_json::from_str(data)?;
        let event = match kind.as_str() {
            "session.created" | "session.updated" => Self::Conversation(field(properties, "info")?),
            "message.updated" => Self::Message(field(properties, "info")?),
            "message.part.updated" => Self::Part(field(properties, "part")?),
            "message.part.delta" => {
                let delta: Delta = serde_json::from_value(properties)?;
                if delta.field != "text" {
                    return Ok(None);
                }
                Self::Delta {
                    conversation: delta.conversation,
                    message: delta.message,
                    part: delta.part,
                    text: delta.delta,
                }
            }
            "message.part.removed" => Self::PartRemoved {
                conversation: field(properties.clone(), "sessionID")?,
                part: field(properties, "partID")?,
            },
            "session.status" => Self::Status {
                conversation: field(properties.clone(), "sessionID")?,
                status: field(properties, "status")?,
            },
            "session.idle" => Self::Status {
                conversation: field(properties, "sessionID")?,
                status: Status::Idle,
            },
            "session.error" => {
                let failed: Failed = serde_json::from_value(properties)?;
                Self::Failed {
                    conversation: failed.conversation,
                    failure: failed.error,
                }
            }
            "permission.asked" => Self::PermissionAsked {
                id: field(properties.clone(), "id")?,
                permission: field(properties, "permission")?,
            },
            _ => return Ok(None),
        };
        Ok(Some(event))
    }
}

/// Every conversation that is not idle, by `GET /session/status`.
pub(super) type Statuses = HashMap<ConversationId, Status>;

#[derive(Deserialize)]
struct Delta {
    #[serde(rename = "sessionID")]
    conversation: ConversationId,
    #[serde(rename = "messageID")]
    message: String,
    #[serde(rename = "partID")]
    part: String,
    field: String,
    delta: String,
}

#[derive(Deserialize)]
struct Failed {
    #[serde(default, rename = "sessionID")]
    conversation: Option<ConversationId>,
    error: Failure,
}

fn field<T: DeserializeOwned>(mut properties: Value, name: &str) -> Result<T, serde_json::Error> {
    let value = properties
        .get_mut(name)
        .map(Value::take)
        .unwrap_or_default();
    serde_json::from_value(value)
}

/// Reads the parts that can be read: one malformed part must not hide the others.
fn known_parts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Part>, D::Error> {
    let values = Vec::<Value>::deserialize(deserializer)?;
    Ok(values
        .into_iter()
        .filter_map(|value| serde_json::from_value(value).ok())
        .collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_event_is_read() {
        for line in crate::agent::recordings::RUNS
            .into_iter()
            .flat_map(str::lines)
        {
            AgentEvent::parse(line).unwrap();
        }
    }

    #[test]
    fn an_unknown_kind_is_passed_over() {
        assert_eq!(
            AgentEvent::parse(r#"{"type":"plugin.added","properties":{"id":1}}"#).unwrap(),
            None
        );
        let part = r#"{"type":"message.part.updated","properties":{"part":
            {"id":"prt_1","sessionID":"ses_1","messageID":"msg_1","type":"novel","x":1}}}"#;
        let Some(AgentEvent::Part(part)) = AgentEvent::parse(part).unwrap() else {
            panic!()
        };
        assert_eq!(part.kind, PartKind::Other);
    }

    #[test]
    fn a_conversation_that_is_no_identifier_is_refused() {
        let event = r#"{"type":"session.idle","properties":{"sessionID":"../x"}}"#;
        assert!(AgentEvent::parse(event).is_err());
    }
}
