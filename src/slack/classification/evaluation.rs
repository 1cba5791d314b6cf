//! How well messages are routed, on a set of labelled ones over 25 repositories: by rules alone, and
//! with a scripted model in place of a real one.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::*;

#[derive(Deserialize)]
struct Set {
    repositories: Vec<Candidate>,
    messages: Vec<Labelled>,
}

#[derive(Deserialize)]
struct Labelled {
    text: String,
    channel: String,
    /// `None` where only a person knows.
    repository: Option<Repository>,
}

/// What came of a set, of all messages.
#[derive(Debug, Default)]
struct Score {
    all: usize,
    /// Routed to the right one, or asked where only a person knows.
    right: usize,
    asked: usize,
    /// Routed to another one.
    wrong: Vec<String>,
}

fn set() -> Set {
    serde_json::from_str(include_str!("../../../tests/slack/routing.json")).unwrap()
}

/// Plays the whole cascade for every message.
fn score(model: impl Fn(&Question<'_>) -> Option<Answer>) -> Score {
    let set = set();
    let rules = Rules::default();
    let mut score = Score::default();
    for message in &set.messages {
        let question = Question {
            text: &message.text,
            thread: &[],
            channel: "C1",
            channel_name: &message.channel,
            candidates: &set.repositories,
            rules: &rules,
        };
        let decision = match decide(&question) {
            Decision::Unsure => judged(&question, model(&question)),
            decision => decision,
        };
        score.all += 1;
        match (decision, &message.repository) {
            (Decision::Known(found, _), Some(label)) if found == *label => score.right += 1,
            (Decision::Known(found, _), _) => {
                score.wrong.push(format!("{}: {found}", message.text))
            }
            (Decision::Ask { likely, .. }, label) => {
                assert!(!likely.is_empty() && likely.len() <= MAX_OFFERED);
                score.asked += 1;
                score.right += usize::from(label.is_none());
            }
            (other, _) => panic!("{}: {other:?}", message.text),
        }
    }
    score
}

/// A model that counts words, and is sure where one repository leads by two. It answers as a real one
/// does, and only what it was asked.
fn scripted(question: &Question<'_>) -> Option<Answer> {
    let body = request::body(protocol::command::Provider::Openai, "scripted-1", question);
    let choices = body.pointer("/tools/0/function/parameters/properties/repository/enum")?;
    let mut scores: Vec<(usize, String)> = question
        .candidates
        .iter()
        .map(|candidate| {
            (
                resemblance(question.text, candidate),
                candidate.repository.to_string(),
            )
        })
        .collect();
    scores.sort();
    let (best, name) = scores.pop()?;
    let (second, _) = scores.pop()?;
    let is_sure = best >= second + 2;
    assert!(choices.as_array()?.contains(&Value::from(name.as_str())));
    let arguments = json!({
        "repository": if is_sure { name.as_str() } else { "unknown" },
        "confidence": if is_sure { "high" } else { "low" },
        "reason": "its words are in the description", "alternatives": [name],
    });
    let call = json!({ "function": { "name": "choose", "arguments": arguments.to_string() } });
    let answer = json!({ "choices": [{ "message": { "tool_calls": [call] } }] });
    answer::parse(answer.to_string().as_bytes())
}

#[test]
fn the_set_is_large_and_every_label_is_a_repository() {
    let set = set();
    assert_eq!(set.repositories.len(), 25);
    assert!(set.messages.len() >= 120);
    for message in &set.messages {
        let is_there =
            |label: &Repository| set.repositories.iter().any(|it| it.repository == *label);
        assert!(
            message.repository.as_ref().is_none_or(is_there),
            "{}",
            message.text
        );
    }
}

#[test]
fn rules_alone_are_never_wrong_and_ask_about_all_they_do_not_know() {
    let score = score(|_| None);
    println!("rules alone: {score:?}");
    assert_eq!(score.wrong, Vec::<String>::new());
    assert_eq!(
        score.all - score.asked,
        2,
        "two messages name their repository"
    );
}

#[test]
fn a_scripted_model_routes_most_messages_and_none_of_the_hostile_ones() {
    let score = score(scripted);
    println!("scripted model: {score:?}");
    assert_eq!(score.wrong, Vec::<String>::new());
    assert!(score.right * 100 >= score.all * 60, "{score:?}");
    assert!(score.asked * 100 <= score.all * 60, "{score:?}");
}
