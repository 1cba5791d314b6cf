//! One thread of Slack's and the session behind it, purely: the session's log goes in, event by
//! event, and what is to be said comes out.
//!
//! What is said has a name: saying something else under the same name edits it. So a status message
//! can be said as often as there is news, and whoever sends has to send the newest alone.

mod telling;

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::{
    Event, Outcome, PartBody, Person, Prompt, PullRequestState, Repository, Source,
};
use protocol::{Fact, Millis, PartId, PromptId, Seq, SessionId};
use serde::{Deserialize, Serialize};

use self::telling::say;
use super::blocks::Said;
use super::event::Heard;
use super::message::{cut, escape, mrkdwn};

/// Most turns and pull requests that a thread remembers; the oldest are forgotten first.
const MAX_TURNS: usize = 50;

/// Most characters of a prompt that is quoted.
const MAX_QUOTED: usize = 300;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thread {
    pub session: Option<SessionId>,
    pub repository: Option<Repository>,
    pub branch: String,
    /// Why this repository, for people.
    pub reason: String,
    /// Everything of the log up to this was seen to.
    pub seen: Seq,
    /// Every message of the thread up to this was given to the agent.
    pub given: String,
    /// What waits until it is known for which repository it is.
    pub waiting: Vec<Heard>,
    /// What the session began with, should it have to begin in another repository.
    pub first: Option<Heard>,
    /// The session was made.
    pub is_made: bool,
    /// Somebody said that it is another repository.
    pub is_doubted: bool,
    turns: BTreeMap<PromptId, Turn>,
    /// In the order in which they began, since identifiers have none.
    order: Vec<PromptId>,
    pulls: BTreeMap<u64, Pull>,
    /// Texts of the agent that are not finished.
    texts: BTreeSet<PartId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Turn {
    author: Person,
    source: Source,
    text: String,
    began_at: Millis,
    started_at: Option<Millis>,
    ended: Option<(Millis, Outcome)>,
    doing: String,
    /// The last text of the agent: its answer, once the turn has ended.
    answer: String,
    files: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pull {
    url: String,
    title: String,
    state: PullRequestState,
    prompt: PromptId,
}

/// Something to be said in the thread, or said anew.
#[derive(Debug, Clone, PartialEq)]
pub struct Say {
    /// Unique in its thread.
    pub name: String,
    pub said: Said,
}

/// Where the buttons lead.
pub struct Scene<'a> {
    pub public_url: &'a str,
    pub now: Millis,
}

impl Thread {
    /// Forgets the session, so that what it began with waits for another one.
    pub fn begin_anew(&mut self) {
        let first = self.first.take().into_iter();
        *self = Self {
            waiting: first.chain(std::mem::take(&mut self.waiting)).collect(),
            ..Self::default()
        };
    }

    /// Takes the next events of the log; answers what they are to the thread.
    pub fn follow(&mut self, events: &[Event], scene: &Scene<'_>) -> Vec<Say> {
        let mut says: Vec<Say> = Vec::new();
        for event in events {
            if event.seq <= self.seen {
                continue;
            }
            self.seen = event.seq;
            for say in self.take(event.fact.clone(), event.at, scene) {
                says.retain(|known| known.name != say.name);
                says.push(say);
            }
        }
        says
    }

    fn take(&mut self, fact: Fact, at: Millis, scene: &Scene<'_>) -> Vec<Say> {
        match fact {
            Fact::PromptQueued { prompt } => {
                let id = prompt.id.clone();
                self.begin(prompt, at);
                self.status(&id, scene)
            }
            Fact::PromptStarted { prompt } => {
                self.change(&prompt, scene, |turn| turn.started_at = Some(at))
            }
            Fact::PromptResumed { prompt, .. } => self.change(&prompt, scene, |turn| {
                turn.doing = "going on in another sandbox".to_owned();
            }),
            Fact::PromptEdited { prompt, text, .. } => {
                self.change(&prompt, scene, |turn| turn.text = text)
            }
            Fact::PromptCancelled { prompt, by } => {
                let outcome = Outcome::Stopped { by };
                self.change(&prompt, scene, |turn| turn.ended = Some((at, outcome)))
            }
            Fact::PartStarted {
                prompt,
                body: PartBody::Tool { tool, title, .. },
                ..
            } => {
                let doing = if title.is_empty() { tool } else { title };
                self.change(&prompt, scene, |turn| turn.doing = doing)
            }
            Fact::PartStarted {
                part,
                body: PartBody::Text,
                ..
            } => {
                self.texts.insert(part);
                Vec::new()
            }
            Fact::PartFinished {
                part, prompt, text, ..
            } => {
                let text = text.filter(|text| self.texts.remove(&part) && !text.trim().is_empty());
                if let (Some(text), Some(turn)) = (text, self.turns.get_mut(&prompt)) {
                    turn.answer = text;
                }
                Vec::new()
            }
            Fact::PromptFinished { prompt, outcome } => {
                let mut says = self.change(&prompt, scene, |turn| turn.ended = Some((at, outcome)));
                says.extend(self.result(&prompt, scene));
                says
            }
            Fact::Pushed { prompt, files, .. } => {
                self.change(&prompt, scene, |turn| turn.files = files.len())
            }
            Fact::PullRequestOpened {
                prompt,
                number,
                url,
                title,
                by,
            } => self.opened(prompt, number, url, title, &by, scene),
            Fact::PullRequestChanged { number, state, by } => self.pull_changed(number, state, &by),
            Fact::ChecksFinished {
                number,
                commit,
                failed,
            } if !failed.is_empty() => {
                let names = escape(&failed.join(", "));
                let text = format!(":x: Checks of {} failed: {names}", self.pull_link(number));
                let name = format!("checks:{number}:{commit}");
                vec![say(name, Said::line(&text))]
            }
            Fact::ArtifactAdded {
                artifact,
                prompt: Some(_),
            } => {
                let Some(session) = &self.session else {
                    return Vec::new();
                };
                let url = format!(
                    "{}/api/sessions/{session}/artifacts/{}",
                    scene.public_url, artifact.id
                );
                let label = artifact.caption.as_deref().unwrap_or(&artifact.name);
                let text = format!(":frame_with_picture: <{url}|{}>", escape(label));
                vec![say(format!("file:{}", artifact.id), Said::line(&text))]
            }
            Fact::Notice { message } => {
                let text = format!(":information_source: {}", mrkdwn(&message));
                vec![say(format!("notice:{}", self.seen), Said::line(&text))]
            }
            Fact::SessionArchived { by } => {
                let text = format!("{} archived this session.", escape(&by.login));
                vec![say("archived".to_owned(), Said::line(&text))]
            }
            _ => Vec::new(),
        }
    }

    fn begin(&mut self, prompt: Prompt, at: Millis) {
        while self.order.len() >= MAX_TURNS {
            let oldest = self.order.remove(0);
            self.turns.remove(&oldest);
        }
        self.order.push(prompt.id.clone());
        let turn = Turn {
            author: prompt.author,
            source: prompt.source,
            text: cut(&prompt.text, MAX_QUOTED),
            began_at: at,
            started_at: None,
            ended: None,
            doing: String::new(),
            answer: String::new(),
            files: 0,
        };
        self.turns.insert(prompt.id, turn);
    }

    fn change(
        &mut self,
        prompt: &PromptId,
        scene: &Scene<'_>,
        change: impl FnOnce(&mut Turn),
    ) -> Vec<Say> {
        let Some(turn) = self.turns.get_mut(prompt) else {
            return Vec::new();
        };
        change(turn);
        self.status(prompt, scene)
    }

    /// Whether something runs or waits, as far as the log was seen to.
    pub fn is_busy(&self) -> bool {
        self.turns.values().any(|turn| turn.ended.is_none())
    }
}

#[cfg(test)]
mod tests;
