//! Typing, release and sleep.

use super::*;
use crate::session::machine::rest::{ABANDONED_MS, TYPING_STEP_MS};

/// A session whose first prompt has ended, with a snapshot of it.
fn worked() -> Session {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    session
        .report(Report::Snapshotted {
            snapshot: snapshot(1),
            prompt: Some(prompt_id(1)),
        })
        .unwrap();
    session.finish(1, PromptResult::Completed).unwrap();
    session
}

fn snapshot(number: u8) -> SnapshotId {
    SnapshotId::from_random([number; 16])
}

const FIRST: Epoch = Epoch(1);

#[test]
fn typing_starts_one_sandbox_and_then_writes_at_most_every_fifteen_seconds() {
    let mut session = Session::new();
    session.take(Input::Typing).unwrap();
    let writes = session.writes;
    for _ in 0..50 {
        session.clock += 290;
        session.take(Input::Typing).unwrap();
    }
    assert_eq!(session.writes, writes);
    session.clock += 1000;
    session.take(Input::Typing).unwrap();
    assert_eq!(session.writes, writes + 1);
    let starting = |fact: &Fact| matches!(fact, Fact::SandboxStarting { .. });
    assert_eq!(session.count(starting), 1);
}

#[test]
fn a_sandbox_that_typing_made_ready_is_released_when_no_prompt_follows() {
    let mut session = Session::ready();
    session.ring(Deadline::Abandoned { epoch: FIRST }, 80_000);
    let released = |fact: &Fact| matches!(fact, Fact::SandboxReleased { .. });
    assert_eq!(session.count(released), 1);
    let ends = |effect: &&Effect| matches!(effect, Effect::EndSandbox { .. });
    assert_eq!(session.effects.iter().filter(ends).count(), 1);
    assert_eq!(session.state.activity(), SessionState::Idle);
    // The session can be begun all the same.
    session.take(Input::Typing).unwrap();
    assert_eq!(session.state.epoch, Epoch(2));
}

#[test]
fn nothing_is_released_within_a_minute_of_the_last_keystroke() {
    let mut session = Session::ready();
    session.clock += 50_000;
    session.take(Input::Typing).unwrap();
    session.clock += 14_000;
    session.take(Input::Typing).unwrap();
    let last = session.clock;
    session.ring(Deadline::Abandoned { epoch: FIRST }, 20_000);
    let key = Deadline::Abandoned { epoch: FIRST }.key();
    let due = session.schedule[&key].0;
    assert!(due >= Millis(last + ABANDONED_MS), "{due}");
    assert!(due <= Millis(last + ABANDONED_MS + TYPING_STEP_MS));
    assert!(session.state.sandbox.is_some());
}

#[test]
fn a_prompt_keeps_the_sandbox_and_shows_how_long_it_was_typed() {
    let mut session = Session::new();
    session.take(Input::Typing).unwrap();
    let first = session.clock;
    session.clock += 4000;
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let typed = session.facts.iter().find_map(|fact| match fact {
        Fact::Step { step } if step.name == StepName::Typing => Some(step.clone()),
        _ => None,
    });
    let typed = typed.expect("a step");
    assert_eq!((typed.started_at, typed.ms), (Millis(first), 4001));
    session.placed();
    let image = None;
    let commit = "c".to_owned();
    session.report(Report::Ready { image, commit }).unwrap();
    let key = Deadline::Abandoned { epoch: FIRST }.key();
    assert!(!session.schedule.contains_key(&key));
    assert_eq!(session.sends(), [&prompt_id(1)]);
}

#[test]
fn typing_that_was_given_up_is_not_counted() {
    let mut session = Session::new();
    session.take(Input::Typing).unwrap();
    session.clock += 200_000;
    session.take(Input::Typing).unwrap();
    assert_eq!(session.state.typing.unwrap().since, Millis(session.clock));
}

#[test]
fn how_long_the_sandbox_took_is_noted_once() {
    let mut session = Session::ready();
    let image = None;
    let commit = "c".to_owned();
    session.report(Report::Ready { image, commit }).unwrap();
    let notes = |effect: &&Effect| matches!(effect, Effect::NoteReady { ms: 2, .. });
    assert_eq!(session.effects.iter().filter(notes).count(), 1);
}

#[test]
fn a_sandbox_from_before_there_was_sleep_is_not_taken_for_an_abandoned_one() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let mut stored = serde_json::to_value(&session.state).unwrap();
    let sandbox = stored["sandbox"].as_object_mut().unwrap();
    for new in ["asked_at", "prompted", "sleeping", "rests_since", "runner"] {
        sandbox.remove(new).unwrap();
    }
    session.state = serde_json::from_value(stored).unwrap();
    session.finish(1, PromptResult::Completed).unwrap();
    session.ring(Deadline::Idle { epoch: FIRST }, IDLE_MS);
    assert!(session.state.sandbox.as_ref().unwrap().sleeping);
}

#[test]
fn an_idle_sandbox_is_put_to_sleep_and_woken_by_the_next_prompt_from_its_snapshot() {
    let mut session = worked();
    session.ring(Deadline::Idle { epoch: FIRST }, IDLE_MS);
    let sleep = Effect::SleepSandbox { epoch: FIRST };
    assert_eq!(session.schedule[&sleep.key()].1, sleep);
    // What comes while it falls asleep waits.
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1)]);
    let slept = Report::Slept {
        snapshot: snapshot(2),
    };
    session.report(slept).unwrap();
    assert_eq!(session.state.epoch, Epoch(2));
    let kept = session.state.snapshot.clone().unwrap();
    let runner = Some(RunnerId::from_random([1; 16]));
    assert_eq!((kept.id, kept.runner), (snapshot(2), runner));
    session.placed();
    let image = None;
    let commit = "c".to_owned();
    session.report(Report::Ready { image, commit }).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1), &prompt_id(2)]);
}

#[test]
fn a_sandbox_does_not_sleep_while_somebody_types() {
    let mut session = worked();
    session.clock += IDLE_MS - 1000;
    session.take(Input::Typing).unwrap();
    session.ring(Deadline::Idle { epoch: FIRST }, 1000);
    assert!(!session.state.sandbox.as_ref().unwrap().sleeping);
    session.ring(Deadline::Idle { epoch: FIRST }, IDLE_MS + TYPING_STEP_MS);
    assert!(session.state.sandbox.as_ref().unwrap().sleeping);
}

#[test]
fn a_sandbox_does_not_sleep_while_its_terminal_is_used() {
    let mut session = worked();
    session.clock += IDLE_MS - 1000;
    session.take(Input::TerminalUsed).unwrap();
    session.ring(Deadline::Idle { epoch: FIRST }, 1000);
    assert!(!session.state.sandbox.as_ref().unwrap().sleeping);
    session.ring(Deadline::Idle { epoch: FIRST }, IDLE_MS);
    assert!(session.state.sandbox.as_ref().unwrap().sleeping);
}

#[test]
fn a_prompt_that_comes_before_the_sleep_is_run_at_once() {
    let mut session = worked();
    session.clock += IDLE_MS - 10;
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1), &prompt_id(2)]);
    let key = Deadline::Idle { epoch: FIRST }.key();
    assert!(!session.schedule.contains_key(&key));
    // The alarm may have been on its way.
    session.clock += 1000;
    session
        .take(Input::Expired(Deadline::Idle { epoch: FIRST }))
        .unwrap();
    assert!(!session.state.sandbox.as_ref().unwrap().sleeping);
}

#[test]
fn a_sandbox_whose_only_prompt_was_cancelled_sleeps_too() {
    let mut session = Session::new();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let by = person(1);
    session
        .take(
            Act::Cancel {
                prompt: prompt_id(1),
            }
            .by(by),
        )
        .unwrap();
    session.placed();
    let image = None;
    let commit = "c".to_owned();
    session.report(Report::Ready { image, commit }).unwrap();
    session.ring(Deadline::Idle { epoch: FIRST }, IDLE_MS);
    assert!(session.state.sandbox.as_ref().unwrap().sleeping);
}

#[test]
fn a_sandbox_that_does_not_fall_asleep_is_lost_and_its_last_snapshot_is_gone_on_with() {
    let mut session = worked();
    session.ring(Deadline::Idle { epoch: FIRST }, IDLE_MS);
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    session.ring(Deadline::Sleep { epoch: FIRST }, SLEEP_LIMIT_MS);
    let reason = session.facts.iter().find_map(|fact| match fact {
        Fact::SandboxLost { reason, .. } => Some(reason.as_str()),
        _ => None,
    });
    let reason = reason.expect("it is lost");
    assert!(
        reason.contains("goes on from the newest snapshot"),
        "{reason}"
    );
    assert_eq!(session.state.epoch, Epoch(2));
    assert_eq!(session.state.snapshot.unwrap().id, snapshot(1));
}

#[test]
fn what_ran_in_a_sandbox_put_to_sleep_by_its_runner_goes_on_in_the_next() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let snapshot = snapshot(1);
    session.report(Report::Slept { snapshot }).unwrap();
    session.another();
    assert_eq!(session.sends(), [&prompt_id(1), &prompt_id(1)]);
}

#[test]
fn a_sandbox_whose_queue_is_paused_sleeps_and_is_woken_when_it_is_resumed() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    session.take(Act::Stop.by(person(1))).unwrap();
    session.finish(1, PromptResult::Stopped).unwrap();
    session.ring(Deadline::Idle { epoch: FIRST }, IDLE_MS);
    let snapshot = snapshot(1);
    session.report(Report::Slept { snapshot }).unwrap();
    assert_eq!(session.state.sandbox, None);
    session.take(Act::ResumeQueue.by(person(1))).unwrap();
    session.another();
    assert_eq!(session.sends(), [&prompt_id(1), &prompt_id(2)]);
}
