#![allow(clippy::unwrap_used, clippy::unreachable, reason = "tests")]

use protocol::event::{Artifact, FileChange, Mode, Opener, PartOutcome, PullRequestState};
use protocol::{ArtifactId, UserId};

use super::*;

const SCENE: Scene<'static> = Scene {
    public_url: "https://agents.example",
    now: Millis(65_000),
};

fn alice() -> Person {
    Person {
        id: UserId(1),
        login: "alice".to_owned(),
        name: "Alice".to_owned(),
        avatar: String::new(),
    }
}

fn prompt() -> PromptId {
    PromptId::parse("pmt_1").unwrap()
}

fn thread() -> Thread {
    Thread {
        session: Some(SessionId::parse("ses_1").unwrap()),
        repository: Some(Repository::new("acme", "api").unwrap()),
        branch: "main".to_owned(),
        ..Thread::default()
    }
}

fn queued(source: Source) -> Fact {
    Fact::PromptQueued {
        prompt: Prompt {
            id: prompt(),
            author: alice(),
            text: "fix <!channel>".to_owned(),
            source,
            mode: Mode::Queue,
            attachments: Vec::new(),
            client_request_id: None,
        },
    }
}

fn log(facts: Vec<Fact>) -> Vec<Event> {
    (1..)
        .zip(facts)
        .map(|(seq, fact)| Event {
            seq: Seq(seq),
            at: Millis(0),
            fact,
        })
        .collect()
}

fn whole_turn() -> Vec<Fact> {
    let (prompt, part) = (prompt(), PartId(1));
    vec![
        queued(Source::Slack),
        Fact::PromptStarted {
            prompt: prompt.clone(),
        },
        Fact::PartStarted {
            part,
            prompt: prompt.clone(),
            body: PartBody::Tool {
                tool: "bash".to_owned(),
                title: "Run the tests".to_owned(),
                input: String::new(),
            },
        },
        Fact::PartFinished {
            part,
            prompt: prompt.clone(),
            length: 4,
            text: Some("all output of the tool".to_owned()),
            outcome: PartOutcome::Completed { title: None },
        },
        Fact::PartStarted {
            part: PartId(2),
            prompt: prompt.clone(),
            body: PartBody::Text,
        },
        Fact::PartFinished {
            part: PartId(2),
            prompt: prompt.clone(),
            length: 6,
            text: Some("It was **one** `!` too many. @here".to_owned()),
            outcome: PartOutcome::Completed { title: None },
        },
        Fact::Pushed {
            prompt: prompt.clone(),
            branch: "agent/ses_1".to_owned(),
            commit: "c0ffee".to_owned(),
            files: vec![FileChange {
                path: "a".to_owned(),
                additions: Some(1),
                deletions: None,
            }],
        },
        Fact::PromptFinished {
            prompt: prompt.clone(),
            outcome: Outcome::Completed,
        },
        Fact::PullRequestOpened {
            prompt,
            number: 7,
            url: "https://github.com/acme/api/pull/7".to_owned(),
            title: "Fix it".to_owned(),
            by: Opener::User { person: alice() },
        },
        Fact::PullRequestChanged {
            number: 7,
            state: PullRequestState::Merged,
            by: "bob".to_owned(),
        },
    ]
}

fn names(says: &[Say]) -> Vec<&str> {
    says.iter().map(|say| say.name.as_str()).collect()
}

/// What is said first under names that begin so.
fn said<'a>(says: &'a [Say], beginning: &str) -> &'a Said {
    let say = says.iter().find(|say| say.name.starts_with(beginning));
    match &say.unwrap().utterance {
        Utterance::Message { said } | Utterance::Turn { said, .. } => said,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_turn_has_one_status_and_ends_with_its_result() {
    let events = log(whole_turn());
    let mut thread = thread();
    let says = thread.follow(&events, &SCENE);
    let expected = ["result:pmt_1", "status:pmt_1", "pull:7", "pull:7:true"];
    assert_eq!(names(&says), expected);
    let status = serde_json::to_string(said(&says, "status")).unwrap();
    assert!(
        status.contains("Done") && status.contains("Open pull request"),
        "{status}"
    );
    assert!(!status.contains("\"stop\""), "{status}");
    let result = &said(&says, "result").text;
    assert!(
        result.contains("*one*") && !result.contains("@here"),
        "{result}"
    );
    assert!(!thread.is_busy());
}

#[test]
fn events_that_come_again_say_nothing_and_pieces_lead_to_the_same_end() {
    let events = log(whole_turn());
    let mut at_once = thread();
    at_once.follow(&events, &SCENE);
    let mut piecemeal = thread();
    for event in &events {
        piecemeal.follow(std::slice::from_ref(event), &SCENE);
        assert_eq!(piecemeal.follow(std::slice::from_ref(event), &SCENE), []);
    }
    assert_eq!(at_once, piecemeal);
}

#[test]
fn a_running_turn_shows_what_it_does_and_can_be_stopped() {
    let facts = whole_turn().into_iter().take(3).collect();
    let mut thread = thread();
    let says = thread.follow(&log(facts), &SCENE);
    let status = serde_json::to_string(said(&says, "status")).unwrap();
    assert!(
        status.contains("Run the tests") && status.contains("\"stop\""),
        "{status}"
    );
    assert!(status.contains("1 min 5 s"), "{status}");
    assert!(thread.is_busy());
}

#[test]
fn a_prompt_from_elsewhere_is_quoted_and_notifies_nobody() {
    let mut thread = thread();
    let says = thread.follow(&log(vec![queued(Source::Web)]), &SCENE);
    let status = serde_json::to_string(said(&says, "status")).unwrap();
    assert!(status.contains("*alice* asked elsewhere"), "{status}");
    assert!(!status.contains("<!channel>"), "{status}");
}

#[test]
fn the_session_is_said_to_work_while_it_does() {
    let mut thread = thread();
    let mut standings = Vec::new();
    for event in log(whole_turn()) {
        for say in thread.follow(std::slice::from_ref(&event), &SCENE) {
            if let Utterance::Standing { is_working, .. } = say.utterance {
                standings.push(is_working);
            }
        }
    }
    assert_eq!(standings, [true, false]);
}

#[test]
fn a_turns_steps_are_tasks_that_end_with_it() {
    let facts: Vec<Fact> = whole_turn().into_iter().take(3).collect();
    let mut thread = thread();
    let progress = |says: &[Say]| match &says.first().unwrap().utterance {
        Utterance::Turn { progress, .. } => progress.clone(),
        other => unreachable!("{other:?}"),
    };
    let running = progress(&thread.follow(&log(facts.clone()), &SCENE));
    let task = running.tasks.first().unwrap();
    assert_eq!(
        (task.title.as_str(), task.status),
        ("Run the tests", Status::InProgress)
    );
    let stopped = Fact::PromptFinished {
        prompt: prompt(),
        outcome: Outcome::Stopped { by: alice() },
    };
    let all: Vec<Fact> = facts.into_iter().chain([stopped]).collect();
    let over = progress(&thread.follow(&log(all), &SCENE));
    assert_eq!(over.tasks.first().unwrap().status, Status::Error);
    assert!(over.is_over && over.title.starts_with("Stopped by alice"));
}

#[test]
fn the_result_tells_which_tests_ran_and_how_they_ended() {
    let mut facts = whole_turn();
    let run = |part: u64, output: &str| {
        let input = r#"{"command":"cargo test"}"#.to_owned();
        let body = PartBody::Tool {
            tool: "bash".to_owned(),
            title: "Run the tests".to_owned(),
            input,
        };
        let part = PartId(part);
        let started = Fact::PartStarted {
            part,
            prompt: prompt(),
            body,
        };
        let finished = Fact::PartFinished {
            part,
            prompt: prompt(),
            length: 0,
            text: Some(output.to_owned()),
            outcome: PartOutcome::Completed { title: None },
        };
        [started, finished]
    };
    let failed = run(7, "test result: FAILED");
    let passed = run(8, "test result: ok");
    facts.splice(2..2, failed.clone());
    let says = thread().follow(&log(facts.clone()), &SCENE);
    let result = serde_json::to_string(said(&says, "result")).unwrap();
    assert!(result.contains(":x: `cargo test` failed"), "{result}");
    facts.splice(4..4, passed);
    let says = thread().follow(&log(facts), &SCENE);
    let result = serde_json::to_string(said(&says, "result")).unwrap();
    assert!(result.contains("`cargo test` passed"), "{result}");
    assert!(!result.contains("failed"), "{result}");
}

#[test]
fn an_update_of_the_agents_is_said_at_once_and_notifies_nobody() {
    let update = Fact::Update {
        prompt: prompt(),
        text: format!("<!channel> @here {}", "The cause is found. ".repeat(400)),
    };
    let says = thread().follow(&log(vec![update]), &SCENE);
    let update = said(&says, "update");
    assert!(update.blocks.len() > 1);
    let update = serde_json::to_string(update).unwrap();
    assert!(
        !update.contains("<!channel>") && !update.contains("@here"),
        "{update}"
    );
}

#[test]
fn a_picture_is_uploaded_and_another_file_is_linked() {
    let added = |media_type: &str| Fact::ArtifactAdded {
        artifact: Artifact {
            id: ArtifactId::parse("art_1").unwrap(),
            name: "shot".to_owned(),
            media_type: media_type.to_owned(),
            bytes: 3,
            caption: None,
        },
        prompt: Some(prompt()),
    };
    let says = thread().follow(&log(vec![added("image/png")]), &SCENE);
    assert!(matches!(
        says.first().unwrap().utterance,
        Utterance::Picture { .. }
    ));
    let says = thread().follow(&log(vec![added("text/csv")]), &SCENE);
    assert!(matches!(
        says.first().unwrap().utterance,
        Utterance::Message { .. }
    ));
}
