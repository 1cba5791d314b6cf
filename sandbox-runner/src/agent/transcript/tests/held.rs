//! What an agent holds at each moment, made from its own events.

use super::super::text;
use crate::agent::{
    AgentEvent, Conversation, ConversationId, Message, PartKind, PartTime, Role, Snapshot, Status,
    Tool, ToolState,
};

/// What an agent holds, made from its own events.
#[derive(Clone, Default)]
pub(super) struct Held {
    pub(super) status: Status,
    conversations: Vec<Conversation>,
    messages: Vec<Message>,
}

/// Whether growing texts are in what the agent answers, or only their beginnings and ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Freshness {
    EveryDelta,
    WholeTexts,
}

impl Held {
    pub(super) fn take(&mut self, root: &ConversationId, event: &AgentEvent, freshness: Freshness) {
        match event {
            AgentEvent::Conversation(one) => {
                self.conversations.retain(|known| known.id != one.id);
                self.conversations.push(one.clone());
            }
            AgentEvent::Message(info) => {
                match self
                    .messages
                    .iter_mut()
                    .find(|message| message.info.id == info.id)
                {
                    Some(message) => message.info = info.clone(),
                    None => self.messages.push(Message {
                        info: info.clone(),
                        parts: Vec::new(),
                    }),
                }
            }
            AgentEvent::Part(part) => {
                let message = self
                    .messages
                    .iter_mut()
                    .find(|one| one.info.id == part.message);
                let parts = &mut message.unwrap().parts;
                match parts.iter_mut().find(|known| known.id == part.id) {
                    Some(known) => *known = part.clone(),
                    None => parts.push(part.clone()),
                }
            }
            AgentEvent::Delta {
                part, text: delta, ..
            } if freshness == Freshness::EveryDelta => {
                let mut parts = self
                    .messages
                    .iter_mut()
                    .flat_map(|message| &mut message.parts);
                let known = parts.find(|known| known.id == *part).unwrap();
                match &mut known.kind {
                    PartKind::Text { text, .. } | PartKind::Reasoning { text, .. } => {
                        text.push_str(delta);
                    }
                    other => panic!("{other:?} cannot grow"),
                }
            }
            AgentEvent::Status {
                conversation,
                status,
            } if conversation == root => {
                self.status = status.clone();
            }
            _ => {}
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            status: self.status.clone(),
            conversations: self.conversations.clone(),
            messages: self.messages.clone(),
        }
    }

    /// The texts that must be told: of parts that the agent itself has ended.
    pub(super) fn texts(&self, root: &ConversationId) -> Vec<String> {
        let mut texts = Vec::new();
        for message in self
            .messages
            .iter()
            .filter(|one| one.info.role == Role::Assistant)
        {
            for part in &message.parts {
                let ended = |time: &Option<PartTime>| time.unwrap_or_default().end.is_some();
                match &part.kind {
                    PartKind::Text { text, time, .. } | PartKind::Reasoning { text, time }
                        if part.conversation == *root && ended(time) && !text.is_empty() =>
                    {
                        texts.push(text.clone());
                    }
                    PartKind::Tool(Tool {
                        state: ToolState::Completed { output, .. },
                        ..
                    }) => {
                        texts.push(text::cut_output(output));
                    }
                    _ => {}
                }
            }
        }
        texts.sort();
        texts
    }
}
