//! Reports of a sandbox: each counts once, in order, and only from the sandbox that is used.

use super::*;

#[test]
fn a_repeated_batch_changes_nothing_and_a_gap_is_refused() {
    let mut session = Session::ready();
    let sandbox = session.state.sandbox.clone().unwrap();
    let batch = |first, message: &str| Batch {
        sandbox: sandbox.id.clone(),
        epoch: sandbox.epoch,
        first,
        reports: vec![Report::Notice {
            message: message.to_owned(),
        }],
    };
    session.take(Input::Batch(batch(2, "a"))).unwrap();
    let facts = session.facts.len();
    session.take(Input::Batch(batch(2, "a"))).unwrap();
    assert_eq!(session.facts.len(), facts);
    let refusal = session.take(Input::Batch(batch(4, "c"))).unwrap_err();
    assert_eq!(refusal, Refusal::Gap { received: 2 });
}

#[test]
fn reports_of_an_earlier_sandbox_are_void() {
    let mut session = Session::ready();
    let old = session.state.sandbox.clone().unwrap();
    session
        .report(Report::Lost {
            reason: "gone".to_owned(),
        })
        .unwrap();
    session.take(Input::Typing).unwrap();
    let batch = Batch {
        sandbox: old.id,
        epoch: old.epoch,
        first: 3,
        reports: Vec::new(),
    };
    assert_eq!(session.take(Input::Batch(batch)), Err(Refusal::Void));
}

#[test]
fn a_lost_sandbox_closes_its_parts() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let part = session.state.next_part;
    let body = PartBody::Text;
    session
        .report(Report::PartStarted {
            part,
            prompt: prompt_id(1),
            body,
        })
        .unwrap();
    session
        .report(Report::Lost {
            reason: "gone".to_owned(),
        })
        .unwrap();
    assert!(session.state.open_parts.is_empty());
    let closed = |fact: &Fact| {
        matches!(fact, Fact::PartFinished { outcome: PartOutcome::Failed { message }, .. }
            if message == "the sandbox was lost")
    };
    assert_eq!(session.count(closed), 1);
}
