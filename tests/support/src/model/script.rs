//! What the model is to do: turns, fixed or made from the conversation.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;

use super::conversation::Conversation;

/// One answer of the model.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    pub text: String,
    pub tool_calls: Vec<ToolCall>,
    /// Before the first token.
    pub delay: Duration,
    /// Tokens a second; `None` is as fast as they go.
    pub rate: Option<f64>,
    pub(super) ending: Ending,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    pub name: String,
    pub arguments: Value,
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Ending {
    #[default]
    Normal,
    /// An error in place of an answer.
    Status { code: u16, times: usize },
    /// Nothing more, with the connection open.
    Silence,
}

/// One answer of a script.
#[derive(Clone)]
pub enum Step {
    Fixed(Turn),
    Computed(Arc<dyn Fn(&Conversation) -> Turn + Send + Sync>),
}

impl Turn {
    pub fn say(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// With the call of a tool after the text.
    #[must_use]
    pub fn call(mut self, name: &str, arguments: Value) -> Self {
        self.tool_calls.push(ToolCall {
            name: name.to_owned(),
            arguments,
        });
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        match self.ending {
            Ending::Status { code, .. } => {
                StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Ending::Normal | Ending::Silence => StatusCode::OK,
        }
    }

    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    #[must_use]
    pub fn at_rate(mut self, tokens_a_second: f64) -> Self {
        self.rate = (tokens_a_second > 0.0).then_some(tokens_a_second);
        self
    }
}

impl Step {
    pub fn computed(turn: impl Fn(&Conversation) -> Turn + Send + Sync + 'static) -> Self {
        Self::Computed(Arc::new(turn))
    }

    /// How often it fails, if that is what it does.
    pub(super) fn failures(&self) -> Option<usize> {
        match self {
            Self::Fixed(Turn {
                ending: Ending::Status { times, .. },
                ..
            }) => Some(*times),
            _ => None,
        }
    }

    pub(super) fn turn(&self, conversation: &Conversation) -> Turn {
        match self {
            Self::Fixed(turn) => turn.clone(),
            Self::Computed(turn) => turn(conversation),
        }
    }
}

impl From<Turn> for Step {
    fn from(turn: Turn) -> Self {
        Self::Fixed(turn)
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(turn) => formatter.debug_tuple("Fixed").field(turn).finish(),
            Self::Computed(_) => formatter.write_str("Computed"),
        }
    }
}
