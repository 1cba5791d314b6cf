//! Between two turns: files are kept, and an idle sandbox sleeps.

use super::*;

#[test]
fn no_turn_begins_while_the_files_of_the_last_are_being_kept() {
    let mut bench = Bench::running();
    bench.apply(Input::Prompt(fixture::prompt(2, "second")));
    bench.idle();
    bench.take(push("c1"));
    assert_eq!(bench.finished(), [outcome(1, PromptResult::Completed)]);
    assert_eq!(bench.delivered(), [""; 0]);
    let snapshot = SnapshotId::from_random([1; 16]);
    bench.apply(Input::Kept {
        snapshot: Some(snapshot.clone()),
        prompt: fixture::prompt(1, "").prompt,
        started_at: bench.now.at,
        recorded: None,
    });
    let told = Report::Snapshotted {
        snapshot,
        prompt: Some(fixture::prompt(1, "").prompt),
    };
    assert!(bench.reports.contains(&told));
    assert_eq!(bench.delivered(), ["second"]);
}

#[test]
fn an_idle_sandbox_sleeps_when_it_is_told_to_and_a_busy_one_when_it_is_done() {
    let mut idle = Bench::new();
    idle.apply(ready());
    idle.apply(synchronised());
    idle.apply(Input::Sleep);
    assert!(matches!(idle.actions.last(), Some(Action::Sleep(_))));

    let mut busy = Bench::running();
    busy.apply(Input::Sleep);
    assert_eq!(busy.actions, []);
    busy.idle();
    busy.apply(push("c1"));
    assert!(matches!(busy.actions.last(), Some(Action::Sleep(_))));
}

#[test]
fn a_sandbox_that_was_going_to_sleep_goes_on_with_that_after_a_restart() {
    let mut bench = Bench::new();
    bench.apply(ready());
    bench.apply(synchronised());
    bench.apply(Input::Sleep);
    bench.restart();
    assert!(matches!(bench.actions.last(), Some(Action::Sleep(_))));
    let snapshot = SnapshotId::from_random([1; 16]);
    bench.apply(Input::Slept {
        snapshot: snapshot.clone(),
    });
    assert_eq!(bench.reports, [Report::Slept { snapshot }]);
    assert!(bench.machine.is_gone());
}

#[test]
fn nothing_is_kept_and_nobody_sleeps_while_the_workspace_is_being_moved() {
    let mut bench = Bench::new();
    bench.apply(ready());
    bench.apply(Input::Prompt(fixture::prompt(1, "first")));
    bench.apply(Input::Stop(fixture::prompt(1, "").prompt));
    bench.apply(Input::Sleep);
    bench.apply(Input::Cleared);
    assert_eq!(bench.finished(), [outcome(1, PromptResult::Stopped)]);
    let keeps = |action: &Action| matches!(action, Action::Keep { .. } | Action::Sleep(_));
    assert!(!bench.actions.iter().any(keeps), "{:?}", bench.actions);
    bench.apply(synchronised());
    assert!(matches!(bench.actions.last(), Some(Action::Sleep(_))));
}

#[test]
fn a_sandbox_that_is_only_told_to_sleep_is_brought_up_to_date_after_a_restart() {
    let mut bench = Bench::new();
    bench.apply(ready());
    bench.apply(Input::Sleep);
    bench.restart();
    assert!(!bench.machine.is_falling_asleep());
    assert_eq!(bench.actions.last(), Some(&Action::Synchronise));
    bench.apply(synchronised());
    assert!(matches!(bench.actions.last(), Some(Action::Sleep(_))));
}

#[test]
fn a_sandbox_that_was_told_to_sleep_does_so_when_it_has_ended_meanwhile() {
    let mut bench = Bench::running();
    bench.idle();
    bench.take(push("c1"));
    bench.take(Input::Sleep);
    assert!(
        !bench
            .actions
            .iter()
            .any(|action| matches!(action, Action::Sleep(_)))
    );
    bench.restart();
    assert!(bench.machine.may_sleep());
    let effects = bench.machine.sleep_ended(bench.now);
    assert!(matches!(effects.actions[..], [Action::Sleep(_)]));
    assert!(bench.machine.is_falling_asleep());
}

#[test]
fn a_sandbox_with_a_prompt_that_waits_does_not_sleep_although_it_was_told_to() {
    let mut bench = Bench::running();
    bench.apply(Input::Prompt(fixture::prompt(2, "second")));
    bench.apply(Input::Sleep);
    bench.idle();
    bench.take(push("c1"));
    bench.restart();
    assert!(!bench.machine.may_sleep());
}
