#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]
//! Whatever the mixture of live events, lost connections, snapshots and restarts: every part is
//! started once, grows without a gap, is finished once, and its text is what the agent holds.

mod generated;
mod held;

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::event::PartOutcome;
use serde_json::json;

use super::*;
use crate::agent::{Failure, recordings};
use generated::{Item, event, events, items};
use held::{Freshness, Held};

const ROOT: &str = "ses_root";
const CHILD: &str = "ses_child";

fn prompt() -> PromptId {
    PromptId::from_random([7; 16])
}

fn conversation(id: &str) -> ConversationId {
    ConversationId::parse(id).unwrap()
}

/// A connection: opened at `from`, its snapshot read at `snapshot`, lost at `until`.
#[derive(Debug, Clone, Copy)]
struct Connection {
    from: usize,
    snapshot: usize,
    until: usize,
}

/// Connections over `length` events; the last one sees the end.
fn connections(length: usize, draws: &[(usize, usize, usize)]) -> Vec<Connection> {
    let mut connections = Vec::new();
    let mut at = 0;
    for (gap, lag, life) in draws {
        let from = (at + gap).min(length);
        let connection = Connection {
            from,
            snapshot: (from + lag).min(length),
            until: (from + life).min(length),
        };
        at = connection.until.max(connection.snapshot);
        connections.push(connection);
    }
    connections.push(Connection {
        from: at,
        snapshot: (at + 2).min(length),
        until: length,
    });
    connections
}

struct Told {
    reports: Vec<Report>,
    ends: Vec<Turn>,
}

/// Tells the events over the connections, with a restart of the runner after each.
fn tell(
    root: &ConversationId,
    events: &[AgentEvent],
    connections: &[Connection],
    freshness: Freshness,
) -> Told {
    let mut held = vec![Held::default()];
    for event in events {
        let mut next = held.last().unwrap().clone();
        next.take(root, event, freshness);
        held.push(next);
    }
    let mut transcript = Transcript::new(root.clone(), "/workspace", PartId(10));
    let mut told = Told {
        reports: transcript.begin(prompt()),
        ends: Vec::new(),
    };
    for connection in connections {
        let snapshot = AgentEvent::Snapshot(held[connection.snapshot].snapshot());
        let live = &events[connection.from..connection.until];
        for event in std::iter::once(&snapshot).chain(live) {
            let progress = transcript.event(event);
            told.reports.extend(progress.reports);
            told.ends.extend(
                progress
                    .turn
                    .filter(|turn| matches!(turn, Turn::Idle | Turn::Error { .. })),
            );
        }
        // The runner is restarted.
        let stored = serde_json::to_string(&transcript).unwrap();
        transcript = serde_json::from_str(&stored).unwrap();
    }
    told.reports.extend(transcript.close("closed"));
    told
}

/// The final texts of parts that are not failed; panics if the reports are not well formed.
fn texts(reports: &[Report]) -> Vec<String> {
    let mut open = BTreeMap::new();
    let mut texts = Vec::new();
    let mut next = PartId(10);
    for report in reports {
        match report {
            Report::PartStarted { part, .. } => {
                assert_eq!(*part, next, "parts are numbered as they start");
                next = next.next();
                open.insert(*part, String::new());
            }
            Report::Delta { part, offset, text } => {
                let known = open.get_mut(part).expect("only an open part grows");
                assert_eq!(*offset, known.encode_utf16().count() as u64);
                assert!(!text.is_empty());
                known.push_str(text);
            }
            Report::PartFinished {
                part,
                length,
                text,
                outcome,
                ..
            } => {
                let known = open.remove(part).expect("a part is finished once");
                assert_ne!(text.as_ref(), Some(&known), "a text is not repeated");
                let whole = text.clone().unwrap_or(known);
                assert_eq!(*length, whole.encode_utf16().count() as u64);
                if matches!(outcome, PartOutcome::Completed { .. }) {
                    texts.push(whole);
                }
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(open.is_empty(), "every part is finished");
    texts.sort();
    texts
}

fn check(
    root: &ConversationId,
    events: &[AgentEvent],
    draws: &[(usize, usize, usize)],
    freshness: Freshness,
) -> Told {
    let told = tell(root, events, &connections(events.len(), draws), freshness);
    let mut held = Held::default();
    events
        .iter()
        .for_each(|event| held.take(root, event, freshness));
    assert_eq!(texts(&told.reports), held.texts(root));
    told
}

fn draws() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
    prop::collection::vec((0..12_usize, 0..12_usize, 0..60_usize), 0..6)
}

fn freshness() -> impl Strategy<Value = Freshness> {
    prop_oneof![Just(Freshness::EveryDelta), Just(Freshness::WholeTexts)]
}

proptest! {
    #[test]
    fn any_mixture_of_events_and_snapshots_tells_each_part_once(
        items in items(),
        draws in draws(),
        freshness in freshness(),
    ) {
        let told = check(&conversation(ROOT), &events(&items), &draws, freshness);
        prop_assert_eq!(told.ends.last(), Some(&Turn::Idle));
    }

    #[test]
    fn so_do_recorded_runs(draws in draws(), freshness in freshness(), scale in 1..9_usize) {
        let draws: Vec<_> = draws.into_iter().map(|(a, b, c)| (a * scale, b, c * scale)).collect();
        for recording in recordings::RUNS {
            let (root, events) = recorded(recording);
            check(&root, &events, &draws, freshness);
        }
    }

    #[test]
    fn a_single_connection_tells_every_text_by_its_deltas(items in items()) {
        let events = events(&items);
        let told = check(&conversation(ROOT), &events, &[], Freshness::WholeTexts);
        let rewritten = |item: &Item| matches!(item, Item::Text { rewritten: true, .. });
        let expected = items.iter().flatten().filter(|item| rewritten(item)).count();
        let repeated = told.reports.iter().filter(|report| {
            matches!(report, Report::PartFinished { text: Some(_), .. })
        });
        // What was rewritten without having been shown is told by a delta as well.
        prop_assert!(repeated.count() <= expected);
        prop_assert_eq!(told.ends, vec![Turn::Idle]);
    }
}

fn recorded(recording: &str) -> (ConversationId, Vec<AgentEvent>) {
    let events: Vec<_> = recording
        .lines()
        .filter_map(|line| AgentEvent::parse(line).unwrap())
        .collect();
    let root = events.iter().find_map(|event| match event {
        AgentEvent::Conversation(Conversation {
            id, parent: None, ..
        }) => Some(id.clone()),
        _ => None,
    });
    (root.unwrap(), events)
}

#[test]
fn a_recording_of_two_prompts_reads_as_it_happened() {
    let (root, events) = recorded(recordings::RUN);
    let mut transcript = Transcript::new(root, "/srv/lab/repo", PartId(1));
    transcript.begin(prompt());
    let mut parts = Vec::new();
    let mut summaries = Vec::new();
    for event in &events {
        let progress = transcript.event(event);
        parts.extend(progress.reports.iter().filter_map(|report| match report {
            Report::PartStarted {
                body: PartBody::Tool { title, .. },
                ..
            } => Some(title.clone()),
            Report::PartStarted { .. } => Some("says".to_owned()),
            _ => None,
        }));
        if progress.turn == Some(Turn::Idle) {
            summaries.push(transcript.summary().to_owned());
            assert_eq!(transcript.close("all is finished"), []);
            transcript.begin(prompt());
        }
    }
    let bash = "for i in 1 2 3; do echo line $i; sleep 0.3; done; cat hello.txt";
    let first = [
        "says",
        "read hello.txt",
        "says",
        "edit hello.txt",
        "says",
        bash,
        "write new.txt",
        "says",
    ];
    assert_eq!(parts[..8], first);
    assert_eq!(parts[8..], ["says"]);
    assert_eq!(summaries.len(), 2);
    assert!(summaries[0].starts_with("All done: hello.txt now greets opencode"));
    assert_eq!(summaries[1], "Short answer.");
}

#[test]
fn the_work_of_a_sub_agent_is_told_with_its_purpose() {
    let (root, events) = recorded(recordings::SUB_AGENT);
    let told = check(&root, &events, &[], Freshness::WholeTexts);
    assert!(told.reports.iter().any(|report| matches!(
        report,
        Report::PartStarted { body: PartBody::Tool { title, .. }, .. }
            if title == "write a file: read /srv/lab/repo/hello.txt"
    )));
}

fn begun() -> Transcript {
    let mut transcript = Transcript::new(conversation(ROOT), "/workspace", PartId(1));
    transcript.begin(prompt());
    transcript
}

#[test]
fn the_end_of_an_earlier_prompt_is_not_the_end_of_this_one() {
    let mut transcript = begun();
    let idle = event("session.idle", json!({ "sessionID": ROOT }));
    assert_eq!(transcript.event(&idle).turn, None);
    let all = events(&[vec![]]);
    let ends = all.iter().filter_map(|event| transcript.event(event).turn);
    assert_eq!(
        ends.filter(|turn| *turn != Turn::Busy).collect::<Vec<_>>(),
        [Turn::Idle]
    );
}

#[test]
fn late_parts_of_a_stopped_prompt_are_not_told_under_the_next() {
    let tool = Item::Tool {
        in_sub_agent: false,
        outputs: vec!["a".to_owned()],
        fails: false,
        ends_with: "b".to_owned(),
    };
    let all = events(&[vec![tool]]);
    let (before, after) = all.split_at(9);
    let mut transcript = begun();
    before
        .iter()
        .for_each(|event| drop(transcript.event(event)));
    let closed = transcript.close("stopped");
    assert!(
        matches!(&closed[..], [Report::PartFinished { outcome: PartOutcome::Failed { message }, .. }] if message == "stopped")
    );
    transcript.begin(PromptId::from_random([8; 16]));
    for event in after {
        let progress = transcript.event(event);
        assert_eq!(progress.reports, []);
        assert!(!matches!(
            progress.turn,
            Some(Turn::Idle | Turn::Error { .. })
        ));
    }
}

#[test]
fn a_failure_is_told_when_the_agent_is_done() {
    let mut transcript = begun();
    let all = events(&[vec![]]);
    let (start, end) = all.split_at(all.len() - 2);
    start.iter().for_each(|event| drop(transcript.event(event)));
    let error = json!({ "name": "APIError", "data": { "message": "overloaded" } });
    let failed = event(
        "session.error",
        json!({ "sessionID": ROOT, "error": error }),
    );
    assert_eq!(transcript.event(&failed).turn, None);
    let told: Vec<_> = end
        .iter()
        .filter_map(|event| transcript.event(event).turn)
        .collect();
    assert_eq!(
        told,
        [Turn::Error {
            message: "overloaded".to_owned()
        }]
    );
}

#[test]
fn a_late_failure_of_an_earlier_prompt_is_not_one_of_this() {
    let mut transcript = begun();
    let error = json!({ "name": "UnknownError", "data": { "message": "no such model" } });
    let failed = event(
        "session.error",
        json!({ "sessionID": ROOT, "error": error }),
    );
    transcript.event(&failed);
    assert!(!transcript.has_begun());
    let all = events(&[vec![]]);
    let told: Vec<_> = all
        .iter()
        .filter_map(|event| transcript.event(event).turn)
        .collect();
    assert_eq!(told, [Turn::Busy, Turn::Idle]);
}

#[test]
fn an_agent_that_was_restarted_in_the_middle_has_failed() {
    let mut held = Held::default();
    let all = events(&[vec![]]);
    for event in all.iter().take(6) {
        held.take(&conversation(ROOT), event, Freshness::WholeTexts);
    }
    held.status = Status::Idle;
    let progress = begun().event(&AgentEvent::Snapshot(held.snapshot()));
    let message = "the agent was interrupted".to_owned();
    assert_eq!(progress.turn, Some(Turn::Error { message }));
}

#[test]
fn an_aborted_answer_is_no_failure() {
    let abort = Failure {
        name: "MessageAbortedError".to_owned(),
        data: Default::default(),
    };
    let mut transcript = begun();
    let all = events(&[vec![]]);
    let (start, end) = all.split_at(all.len() - 2);
    start.iter().for_each(|event| drop(transcript.event(event)));
    let failed = AgentEvent::Failed {
        conversation: Some(conversation(ROOT)),
        failure: abort,
    };
    transcript.event(&failed);
    assert_eq!(transcript.event(&end[0]).turn, Some(Turn::Idle));
}

#[test]
fn what_the_user_wrote_is_not_told() {
    let mut transcript = begun();
    let all = events(&[vec![]]);
    assert!(
        all.iter()
            .all(|event| transcript.event(event).reports.is_empty())
    );
    assert!(transcript.has_begun());
}
