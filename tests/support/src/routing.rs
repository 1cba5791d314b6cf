//! How well messages of a chat find their repository: labelled messages, and how often each way of
//! deciding is right, asks, or is wrong.
//!
//! `tests/routing/messages.json` holds the messages, ambiguous and hostile ones among them, whose
//! label is that somebody has to be asked.

use std::collections::{BTreeMap, BTreeSet};

use hosted_agents::slack::classification::answer::{Answer, Confidence};
use hosted_agents::slack::classification::{Candidate, Decision, Question, Rules, decide, judged};
use protocol::event::Repository;
use serde::Deserialize;

const MESSAGES: &str = include_str!("../../routing/messages.json");

#[derive(Debug, Deserialize)]
pub struct Messages {
    pub repositories: Vec<Candidate>,
    rules: Pairs,
    pub messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
struct Pairs {
    words: Vec<(String, Repository)>,
    channels: Vec<(String, Repository)>,
}

#[derive(Debug, Deserialize)]
pub struct Message {
    pub kind: Kind,
    /// Where it belongs; none if only a person knows.
    pub want: Option<Repository>,
    pub channel: String,
    pub text: String,
    #[serde(default)]
    pub thread: Vec<String>,
}

/// What a message has to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Named,
    Channel,
    Rule,
    Plain,
    Thread,
    Ambiguous,
    Hostile,
}

/// What came of all messages.
#[derive(Debug, Default)]
pub struct Score {
    pub messages: usize,
    /// Sent where they belong, or asked about when only a person knows.
    pub right: usize,
    pub asked: usize,
    /// Sent to where they do not belong.
    pub wrong: Vec<String>,
}

impl Score {
    /// In percent.
    pub fn accuracy(&self) -> f64 {
        percent(self.right, self.messages)
    }

    /// In percent.
    pub fn asked(&self) -> f64 {
        percent(self.asked, self.messages)
    }
}

impl Messages {
    pub fn read() -> serde_json::Result<Self> {
        serde_json::from_str(MESSAGES)
    }

    /// Decides every message; `model` is asked what a model would be.
    pub async fn score(&self, model: impl AsyncFn(&Question<'_>) -> Option<Answer>) -> Score {
        let rules = Rules {
            words: self.rules.words.clone(),
            channels: self.rules.channels.clone(),
            ..Rules::default()
        };
        let mut score = Score::default();
        for message in &self.messages {
            let question = Question {
                text: &message.text,
                thread: &message.thread,
                channel: &message.channel,
                channel_name: &message.channel,
                candidates: &self.repositories,
                rules: &rules,
                association: None,
            };
            let decision = match decide(&question) {
                Decision::Unsure => judged(&question, model(&question).await),
                decided => decided,
            };
            score.add(message, decision);
        }
        score
    }
}

impl Score {
    fn add(&mut self, message: &Message, decision: Decision) {
        self.messages += 1;
        let found = match decision {
            Decision::Known(repository, _) => Some(repository),
            _ => None,
        };
        self.asked += usize::from(found.is_none());
        self.right += usize::from(found == message.want);
        if let Some(found) = found.filter(|found| Some(found) != message.want.as_ref()) {
            self.wrong.push(format!("{found}: {}", message.text));
        }
    }
}

/// Stands in for a model: words that few repositories have in common weigh most, and it is sure only
/// when there are several and no other repository comes near.
pub fn scripted(question: &Question<'_>) -> Option<Answer> {
    let known: Vec<BTreeSet<String>> = question.candidates.iter().map(stems_of).collect();
    let mut spread: BTreeMap<&str, f64> = BTreeMap::new();
    for stem in known.iter().flatten() {
        *spread.entry(stem).or_default() += 1.0;
    }
    let mut said = stems(question.text);
    said.extend(question.thread.iter().flat_map(|text| stems(text)));
    let mut weighed: Vec<(f64, usize, String)> = Vec::new();
    for (candidate, own) in question.candidates.iter().zip(&known) {
        let common: Vec<&String> = said.intersection(own).collect();
        let weights = common.iter().filter_map(|stem| spread.get(stem.as_str()));
        let weight = weights.map(|count| 1.0 / count).sum();
        weighed.push((weight, common.len(), candidate.repository.to_string()));
    }
    weighed.sort_by(|(one, ..), (other, ..)| other.total_cmp(one));
    let mut weighed = weighed.into_iter();
    let (best, common, repository) = weighed.next()?;
    let (second, _, next) = weighed.next()?;
    let is_sure = common > 1 && best >= 2.0 * second;
    Some(Answer {
        repository: (best > 0.0).then_some(repository),
        confidence: if is_sure {
            Confidence::High
        } else {
            Confidence::Medium
        },
        reason: "It has these words in common with the repository.".to_owned(),
        alternatives: vec![next],
    })
}

fn stems_of(candidate: &Candidate) -> BTreeSet<String> {
    let known = format!(
        "{} {} {} {}",
        candidate.repository.name(),
        candidate.description,
        candidate.hints,
        candidate.examples.join(" ")
    );
    stems(&known)
}

/// Words without their endings, so that "refunds" is "refund".
fn stems(text: &str) -> BTreeSet<String> {
    const STEM: usize = 6;
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words
        .filter(|word| word.chars().count() > 3)
        .map(|word| word.to_lowercase().chars().take(STEM).collect())
        .collect()
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
