//! One thread of Slack's and the session behind it, purely: the session's log goes in, event by
//! event, and what is to be said comes out.
//!
//! What is said has a name: saying something else under the same name edits it. So a status message
//! can be said as often as there is news, and whoever sends has to send the newest alone.

mod telling;

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::{
    Event, Outcome, PartBody, PartOutcome, Person, Prompt, PullRequestState, Repository, Source,
};
use protocol::{Fact, Millis, PartId, PromptId, Seq, SessionId};
use serde::{Deserialize, Serialize};

use self::telling::say;
use super::blocks::Said;
use super::event::Heard;
use super::message::{cut, escape, mrkdwn};
use super::progress::{self, Status, Task};
use super::utterance::Utterance;
use crate::artifacts::media;
use crate::github::pull_request::body::TestRun;
use crate::session::test_runs::{Command, test_command};

/// Most turns and pull requests that a thread remembers; the oldest are forgotten first.
const MAX_TURNS: usize = 50;

/// Most earlier turns whose steps are remembered.
const MAX_CARDS: usize = 5;

/// Most characters of a prompt that is quoted.
const MAX_QUOTED: usize = 300;

/// Slack's own limit.
const MAX_TITLE: usize = 200;

/// The end of a run of tests tells what became of it.
const MAX_OUTPUT: usize = 400;

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
    /// Runs of tests that are not finished.
    running: BTreeMap<PartId, Command>,
    /// Whoever spoke here last, as Slack names them.
    pub asker: String,
    /// Whether the session was last said to work.
    is_working: bool,
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
    #[serde(default)]
    tasks: Vec<Task>,
    /// Each command once, with its last outcome.
    #[serde(default)]
    tests: Vec<TestRun>,
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
    pub utterance: Utterance,
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
        says.extend(self.standing());
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
                self.change(&prompt, scene, |turn| turn.text = cut(&text, MAX_QUOTED))
            }
            Fact::PromptCancelled { prompt, by } => {
                let outcome = Outcome::Stopped { by };
                self.change(&prompt, scene, |turn| turn.ended = Some((at, outcome)))
            }
            Fact::PartStarted {
                part,
                prompt,
                body: body @ PartBody::Tool { .. },
            } => self.step_begun(part, &prompt, &body, scene),
            Fact::PartStarted {
                part,
                body: PartBody::Text,
                ..
            } => {
                self.texts.insert(part);
                Vec::new()
            }
            Fact::PartFinished {
                part,
                prompt,
                text,
                outcome,
                ..
            } => {
                let output = text.as_deref().unwrap_or_default();
                self.step_ended(part, &prompt, output, &outcome);
                let text = text.filter(|text| self.texts.remove(&part) && !text.trim().is_empty());
                if let (Some(text), Some(turn)) = (text, self.turns.get_mut(&prompt)) {
                    turn.answer = text;
                }
                Vec::new()
            }
            Fact::PromptFinished { prompt, outcome } => {
                let last = match &outcome {
                    Outcome::Completed => Status::Complete,
                    Outcome::Stopped { .. } | Outcome::Failed { .. } => Status::Error,
                };
                let mut says = self.change(&prompt, scene, |turn| {
                    progress::end_all(&mut turn.tasks, last);
                    turn.ended = Some((at, outcome));
                });
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
                let Some(session) = self.session.clone() else {
                    return Vec::new();
                };
                let name = format!("file:{}", artifact.id);
                if media::is_picture(&artifact.media_type) {
                    let utterance = Utterance::Picture { session, artifact };
                    return vec![Say { name, utterance }];
                }
                let url = format!(
                    "{}/api/sessions/{session}/artifacts/{}",
                    scene.public_url, artifact.id
                );
                let label = artifact.caption.as_deref().unwrap_or(&artifact.name);
                let text = format!(":page_facing_up: <{url}|{}>", escape(label));
                vec![say(name, Said::line(&text))]
            }
            Fact::Update { text, .. } => {
                let text = format!(":speech_balloon: {}", mrkdwn(&text));
                vec![say(format!("update:{}", self.seen), Said::line(&text))]
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
        for earlier in self.order.iter().rev().skip(MAX_CARDS) {
            if let Some(turn) = self.turns.get_mut(earlier) {
                turn.tasks.clear();
            }
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
            tasks: Vec::new(),
            tests: Vec::new(),
        };
        self.turns.insert(prompt.id, turn);
    }

    fn step_begun(
        &mut self,
        part: PartId,
        prompt: &PromptId,
        body: &PartBody,
        scene: &Scene<'_>,
    ) -> Vec<Say> {
        let PartBody::Tool { tool, title, .. } = body else {
            return Vec::new();
        };
        if let Some(command) = test_command(body) {
            self.running.insert(part, command);
        }
        let doing = if title.is_empty() { tool } else { title };
        self.change(prompt, scene, |turn| {
            doing.clone_into(&mut turn.doing);
            progress::begin(&mut turn.tasks, part.to_string(), doing);
        })
    }

    /// It is not worth a message of its own: the next one has it.
    fn step_ended(&mut self, part: PartId, prompt: &PromptId, output: &str, outcome: &PartOutcome) {
        let command = self.running.remove(&part);
        let Some(turn) = self.turns.get_mut(prompt) else {
            return;
        };
        let status = match outcome {
            PartOutcome::Completed { .. } => Status::Complete,
            PartOutcome::Failed { .. } => Status::Error,
        };
        progress::end(&mut turn.tasks, &part.to_string(), status);
        if let Some(command) = command {
            let skipped = output.chars().count().saturating_sub(MAX_OUTPUT);
            let end: String = output.chars().skip(skipped).collect();
            let run = command.ended(outcome, &end);
            turn.tests.retain(|known| known.command != run.command);
            turn.tests.push(run);
        }
    }

    /// Says whether the session works, if that has changed.
    fn standing(&mut self) -> Option<Say> {
        let is_working = self.is_busy();
        if self.session.is_none() || is_working == self.is_working {
            return None;
        }
        self.is_working = is_working;
        let first = self.order.first().and_then(|first| self.turns.get(first));
        let title = first.map_or("", |turn| turn.text.as_str());
        Some(Say {
            name: "standing".to_owned(),
            utterance: Utterance::Standing {
                is_working,
                title: cut(title.lines().next().unwrap_or_default(), MAX_TITLE),
                user: self.asker.clone(),
            },
        })
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

    pub fn has_pull_request(&self) -> bool {
        !self.pulls.is_empty()
    }

    pub fn has_several_turns(&self) -> bool {
        self.order.len() > 1
    }

    /// Whether something runs or waits, as far as the log was seen to.
    pub fn is_busy(&self) -> bool {
        self.turns.values().any(|turn| turn.ended.is_none())
    }
}

#[cfg(test)]
mod tests;
