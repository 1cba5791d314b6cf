//! What a turn has changed is told once, in order, and again after a restart.

use super::*;
use crate::git::Recorded;

fn surveys(bench: &Bench) -> Vec<Survey> {
    let told = bench.actions.iter().filter_map(|action| match action {
        Action::Survey(survey) => Some(survey.as_ref().clone()),
        _ => None,
    });
    told.collect()
}

fn recorded() -> Recorded {
    let commit = |name: &str| name.to_owned();
    Recorded {
        session: commit("base"),
        turn: commit("base"),
        files: commit("files"),
    }
}

fn kept(bench: &Bench, prompt: u8) -> Input {
    Input::Kept {
        snapshot: None,
        prompt: fixture::prompt(prompt, "").prompt,
        started_at: bench.now.at,
        recorded: Some(recorded()),
    }
}

#[test]
fn a_turn_is_told_of_when_its_files_are_kept_and_the_next_one_may_run_meanwhile() {
    let mut bench = Bench::running();
    bench.apply(Input::Prompt(fixture::prompt(2, "second")));
    bench.idle();
    bench.take(push("c1"));
    assert_eq!(surveys(&bench), []);
    bench.take(kept(&bench, 1));
    assert_eq!(bench.delivered(), ["second"]);
    let told = surveys(&bench);
    assert_eq!(told.len(), 1);
    let survey = told.first().unwrap();
    assert_eq!(survey.prompts, [fixture::prompt(1, "").prompt]);
    assert_eq!(survey.recorded, Some(recorded()));
}

#[test]
fn a_sandbox_sleeps_when_its_last_turn_was_told_of() {
    let mut bench = Bench::running();
    bench.apply(Input::Sleep);
    bench.idle();
    bench.take(push("c1"));
    bench.take(kept(&bench, 1));
    let sleeps = |action: &Action| matches!(action, Action::Sleep(_));
    assert!(!bench.actions.iter().any(sleeps));
    bench.take(Input::Surveyed);
    assert!(bench.actions.last().is_some_and(sleeps));
}

#[test]
fn a_turn_that_was_not_told_of_is_told_of_after_a_restart() {
    let mut bench = Bench::running();
    bench.idle();
    bench.take(push("c1"));
    bench.take(kept(&bench, 1));
    bench.restart();
    assert_eq!(surveys(&bench).len(), 1);
    bench.take(Input::Surveyed);
    bench.restart();
    assert_eq!(surveys(&bench).len(), 0);
}
