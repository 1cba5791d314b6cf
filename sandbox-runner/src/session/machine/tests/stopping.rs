//! A prompt that is stopped, by a person or because it ran too long.

use protocol::event::Limit;

use super::*;
use crate::session::machine::turns::overdue;

#[test]
fn a_stopped_prompt_is_aborted_cleared_and_then_over() {
    let mut bench = Bench::running();
    bench.apply(Input::Stop(fixture::prompt(1, "").prompt));
    assert_eq!(bench.actions, [Action::Abort]);
    bench.hear(status(Status::Idle));
    assert_eq!(bench.actions, [Action::Abort, Action::Clear]);
    assert_eq!(bench.finished(), []);
    bench.apply(Input::Cleared);
    assert_eq!(bench.finished(), [outcome(1, PromptResult::Stopped)]);
}

#[test]
fn an_agent_that_does_not_stop_is_not_waited_for() {
    let mut bench = Bench::running();
    bench.apply(Input::Stop(fixture::prompt(1, "").prompt));
    let due = bench.machine.due(bench.now.instant).unwrap();
    assert!(due <= bench.now.instant + STOP_PATIENCE);
    bench.pass(STOP_PATIENCE);
    bench.apply(Input::Time);
    assert_eq!(bench.actions, [Action::Abort, Action::Clear]);
}

#[test]
fn a_prompt_that_runs_too_long_is_ended_and_told_of() {
    let mut bench = Bench::running();
    bench.pass(TURN_LIMIT / 2);
    // The clock goes on where it was.
    bench.restart();
    bench.forget();
    let due = bench.machine.due(bench.now.instant).unwrap();
    assert!(due <= bench.now.instant + TURN_LIMIT / 2);
    bench.apply(Input::Time);
    assert_eq!(bench.actions, []);
    bench.pass(TURN_LIMIT / 2);
    bench.apply(Input::Time);
    assert_eq!(bench.actions, [Action::Abort]);
    bench.apply(Input::Cleared);
    let told = |report: &Report| {
        matches!(
            report,
            Report::LimitReached {
                limit: Limit::Time,
                ..
            }
        )
    };
    assert!(bench.reports.iter().any(told));
    let message = overdue(TURN_LIMIT);
    assert_eq!(
        bench.finished(),
        [outcome(1, PromptResult::Failed { message })]
    );
    assert_eq!(bench.machine.due(bench.now.instant), None);
}

#[test]
fn stopping_a_prompt_that_waits_leaves_the_running_one_alone() {
    let mut bench = Bench::running();
    bench.apply(Input::Prompt(fixture::prompt(2, "second")));
    bench.apply(Input::Stop(fixture::prompt(2, "").prompt));
    assert_eq!(bench.finished(), [outcome(2, PromptResult::Stopped)]);
    assert_eq!(bench.actions, []);
}

#[test]
fn stopping_what_is_over_or_unknown_does_nothing() {
    let mut bench = Bench::running();
    bench.apply(Input::Stop(fixture::prompt(3, "").prompt));
    bench.idle();
    bench.apply(push("c1"));
    bench.forget();
    bench.apply(Input::Stop(fixture::prompt(1, "").prompt));
    assert_eq!((bench.reports.len(), bench.actions.len()), (0, 0));
}
