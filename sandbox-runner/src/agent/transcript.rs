//! Turns what the agent says into reports: each part started once and finished once, its deltas
//! adding up to its text.
//!
//! Pure: events and snapshots in, reports out. The state is small and serialisable, so that it is
//! persisted in the transaction that persists the reports; a restarted runner goes on with it.
//!
//! Live events are taken in the order of one stream; snapshots may be older or newer than the
//! events around them. A snapshot at the start of each stream covers what no stream told. The
//! agent does not number what a text grows by, so after a gap a text's growth is passed over until
//! the agent gives the whole text, which it does at the latest when the text ends.
//!
//! Of sub-agents, what they do (their tool calls) is reported. What they say comes back as the
//! output of the tool call that started them.

mod part;
mod text;
mod title;

use std::collections::{BTreeMap, BTreeSet};

use protocol::callback::Report;
use protocol::event::PartBody;
use protocol::{PartId, PromptId};
use serde::{Deserialize, Serialize};

use super::ConversationId;
use super::wire::{AgentEvent, Conversation, MessageInfo, Part, PartKind, Role, Snapshot, Status};
use part::{Heard, PartState, Reporter, Text};
use text::cut;
use title::{sub_agent_title, title};

/// Longest summary that is kept of a turn.
const LONGEST_SUMMARY: usize = 16 * 1024;

/// One conversation with the agent, told as reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    conversation: ConversationId,
    /// Paths in titles are shown relative to it.
    directory: String,
    next_part: PartId,
    /// User messages of earlier turns. What answers them is over.
    past: BTreeSet<String>,
    sub_agents: BTreeMap<ConversationId, String>,
    turn: Option<TurnState>,
}

/// What follows from one event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    pub reports: Vec<Report>,
    pub turn: Option<Turn>,
}

/// How the agent stands to the current prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    Busy,
    /// The model refused for now, and the agent tries again by itself.
    Retrying {
        message: String,
    },
    /// The agent is done. Told once.
    Idle,
    /// The agent is done and has failed. Told once, instead of [`Turn::Idle`].
    Error {
        message: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TurnState {
    prompt: PromptId,
    /// The prompt has reached the agent.
    begun: bool,
    over: bool,
    error: Option<String>,
    /// Whether the newest answer of the agent itself is complete.
    answered: bool,
    newest: Option<String>,
    summary: String,
    messages: BTreeMap<String, Origin>,
    parts: BTreeMap<String, PartState>,
}

/// Whose message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Origin {
    User,
    Agent,
    SubAgent,
    /// Of an earlier turn, or one that the agent writes for itself.
    Unreported,
}

impl Transcript {
    /// `first_part` is the first part number that is free in the session.
    pub fn new(conversation: ConversationId, directory: &str, first_part: PartId) -> Self {
        Self {
            conversation,
            directory: directory.to_owned(),
            next_part: first_part,
            past: BTreeSet::new(),
            sub_agents: BTreeMap::new(),
            turn: None,
        }
    }

    /// The same conversation in another sandbox, between two turns.
    pub fn resumed(self, first_part: PartId) -> Self {
        Self {
            next_part: self.next_part.max(first_part),
            ..self
        }
    }

    /// The same conversation in a session of its own, whose parts are numbered anew.
    pub fn forked(self, first_part: PartId) -> Self {
        Self {
            next_part: first_part,
            ..self
        }
    }

    pub fn conversation(&self) -> &ConversationId {
        &self.conversation
    }

    /// Starts a turn. To be called, and persisted, before the prompt is sent.
    pub fn begin(&mut self, prompt: PromptId) -> Vec<Report> {
        let reports = self.close("the next prompt has begun");
        self.turn = Some(TurnState {
            prompt,
            begun: false,
            over: false,
            error: None,
            answered: false,
            newest: None,
            summary: String::new(),
            messages: BTreeMap::new(),
            parts: BTreeMap::new(),
        });
        reports
    }

    /// Ends the turn: what is still open ends as failed, what still comes is passed over.
    pub fn close(&mut self, reason: &str) -> Vec<Report> {
        let Some(turn) = self.turn.take() else {
            return Vec::new();
        };
        let users = turn
            .messages
            .iter()
            .filter(|(_, origin)| **origin == Origin::User);
        self.past.extend(users.map(|(id, _)| id.clone()));
        part::close(turn.parts, &turn.prompt, reason)
    }

    /// Whether the current prompt is known to have reached the agent.
    pub fn has_begun(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.begun)
    }

    /// The last words of the agent in the current turn.
    pub fn summary(&self) -> &str {
        self.turn.as_ref().map_or("", |turn| &turn.summary)
    }

    pub fn event(&mut self, event: &AgentEvent) -> Progress {
        let mut progress = Progress::default();
        match event {
            AgentEvent::Snapshot(snapshot) => return self.snapshot(snapshot),
            AgentEvent::Conversation(conversation) => self.conversation_known(conversation),
            AgentEvent::Message(info) => self.message(info),
            AgentEvent::Part(part) => self.part(part, Heard::Live, &mut progress.reports),
            AgentEvent::PartRemoved { part, .. } => self.removed(part, &mut progress.reports),
            AgentEvent::Delta { part, text, .. } => self.delta(part, text, &mut progress.reports),
            AgentEvent::Status {
                conversation,
                status,
            } if *conversation == self.conversation => {
                progress.turn = self.status(status);
            }
            AgentEvent::Failed {
                conversation: Some(conversation),
                failure,
            } if *conversation == self.conversation && !failure.is_abort() => {
                // The agent tells some failures once more after it is idle. A new answer clears it.
                if let Some(turn) = self.turn.as_mut().filter(|turn| turn.begun) {
                    turn.error = Some(failure.message());
                }
            }
            AgentEvent::Status { .. }
            | AgentEvent::Failed { .. }
            | AgentEvent::PermissionAsked { .. } => {}
        }
        progress
    }

    /// What the agent holds as a stream begins: positions of the stream before it are void.
    fn snapshot(&mut self, snapshot: &Snapshot) -> Progress {
        let mut reports = Vec::new();
        if let Some(turn) = &mut self.turn {
            turn.parts.values_mut().for_each(PartState::unhear);
        }
        snapshot
            .conversations
            .iter()
            .for_each(|one| self.conversation_known(one));
        snapshot
            .messages
            .iter()
            .for_each(|message| self.message(&message.info));
        // Part names rise with time: parts of sub-agents get their place among the others.
        let mut parts: Vec<&Part> = snapshot
            .messages
            .iter()
            .flat_map(|one| &one.parts)
            .collect();
        parts.sort_by(|a, b| a.id.cmp(&b.id));
        for part in parts {
            self.part(part, Heard::Never, &mut reports);
        }
        Progress {
            reports,
            turn: self.stands(&snapshot.status),
        }
    }

    fn conversation_known(&mut self, conversation: &Conversation) {
        let Some(parent) = &conversation.parent else {
            return;
        };
        if *parent == self.conversation || self.sub_agents.contains_key(parent) {
            self.sub_agents
                .insert(conversation.id.clone(), conversation.title.clone());
        }
    }

    fn message(&mut self, info: &MessageInfo) {
        let own = info.conversation == self.conversation;
        if !own && !self.sub_agents.contains_key(&info.conversation) {
            return;
        }
        let Some(turn) = &mut self.turn else {
            if info.role == Role::User {
                self.past.insert(info.id.clone());
            }
            return;
        };
        let origin = match (info.role, &info.answers) {
            (Role::User, _) if self.past.contains(&info.id) => return,
            (Role::User, _) => Origin::User,
            (Role::Assistant, Some(prompt)) if self.past.contains(prompt) => Origin::Unreported,
            (Role::Assistant, _) if info.is_summary() => Origin::Unreported,
            (Role::Assistant, _) if own => Origin::Agent,
            (Role::Assistant, _) => Origin::SubAgent,
        };
        let known = turn.messages.insert(info.id.clone(), origin);
        turn.begun |= own && origin != Origin::Unreported;
        if origin != Origin::Agent {
            return;
        }
        // Names of messages rise with time: an older one in a snapshot says nothing new.
        if known.is_none() && turn.newest.as_ref().is_none_or(|newest| *newest < info.id) {
            turn.newest = Some(info.id.clone());
            turn.answered = false;
            turn.error = None;
        }
        if turn.newest.as_ref() == Some(&info.id) && info.time.completed.is_some() {
            turn.answered = true;
            if let Some(failure) = info.error.as_ref().filter(|failure| !failure.is_abort()) {
                turn.error = Some(failure.message());
            }
        }
    }

    fn status(&mut self, status: &Status) -> Option<Turn> {
        let turn = self.turn.as_mut()?;
        match status {
            Status::Busy => {
                turn.over = false;
                Some(Turn::Busy)
            }
            Status::Retry { message } => {
                turn.over = false;
                Some(Turn::Retrying {
                    message: message.clone(),
                })
            }
            // Before this prompt has reached the agent, it is the end of an earlier one.
            Status::Idle if turn.over || !turn.begun => None,
            Status::Idle => {
                turn.over = true;
                Some(match turn.error.take() {
                    Some(message) => Turn::Error { message },
                    None => Turn::Idle,
                })
            }
        }
    }

    /// As [`Self::status`], by a snapshot: nobody has told how it came to be idle.
    fn stands(&mut self, status: &Status) -> Option<Turn> {
        let turn = self.turn.as_mut()?;
        if *status == Status::Idle && turn.newest.is_some() && !turn.answered {
            turn.error
                .get_or_insert_with(|| "the agent was interrupted".to_owned());
        }
        if *status == Status::Idle && turn.newest.is_none() && turn.error.is_none() {
            // The prompt may be on its way.
            return None;
        }
        self.status(status)
    }

    fn part(&mut self, part: &Part, heard: Heard, reports: &mut Vec<Report>) {
        let Some(turn) = &mut self.turn else { return };
        let Some(origin) = turn.messages.get(&part.message).copied() else {
            return;
        };
        let mut reporter = Reporter::new(&turn.prompt, &mut self.next_part, reports);
        let state = turn
            .parts
            .entry(part.id.clone())
            .or_insert_with(PartState::new);
        match (&part.kind, origin) {
            (
                PartKind::Text {
                    text,
                    synthetic: false,
                    time,
                },
                Origin::Agent,
            ) => {
                let ended = time.is_some_and(|time| time.end.is_some());
                reporter.text(
                    state,
                    &Text {
                        body: PartBody::Text,
                        text,
                        ended,
                        heard,
                    },
                );
                if ended && !text.trim().is_empty() {
                    turn.summary = cut(text, LONGEST_SUMMARY);
                }
            }
            (PartKind::Reasoning { text, time }, Origin::Agent) => {
                let ended = time.is_some_and(|time| time.end.is_some());
                reporter.text(
                    state,
                    &Text {
                        body: PartBody::Reasoning,
                        text,
                        ended,
                        heard,
                    },
                );
            }
            (PartKind::Tool(tool), Origin::Agent) => {
                reporter.tool(state, tool, |input| {
                    title(&tool.tool, input, &self.directory)
                });
            }
            (PartKind::Tool(tool), Origin::SubAgent) => {
                let agent = self
                    .sub_agents
                    .get(&part.conversation)
                    .map_or("", String::as_str);
                reporter.tool(state, tool, |input| {
                    sub_agent_title(agent, &title(&tool.tool, input, &self.directory))
                });
            }
            _ => {}
        }
    }

    fn delta(&mut self, part: &str, text: &str, reports: &mut Vec<Report>) {
        let Some(turn) = &mut self.turn else { return };
        let Some(state) = turn.parts.get_mut(part) else {
            return;
        };
        Reporter::new(&turn.prompt, &mut self.next_part, reports).grown(state, text);
    }

    fn removed(&mut self, part: &str, reports: &mut Vec<Report>) {
        let Some(turn) = &mut self.turn else { return };
        let Some(state) = turn.parts.get_mut(part) else {
            return;
        };
        Reporter::new(&turn.prompt, &mut self.next_part, reports).taken_back(state);
    }
}

#[cfg(test)]
mod tests;
