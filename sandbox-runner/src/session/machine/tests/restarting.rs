//! The process ends in the middle, and the next one goes on from what was recorded.

use super::*;

#[test]
fn the_same_prompt_again_is_ignored_also_after_a_restart() {
    let mut bench = Bench::running();
    bench.apply(Input::Prompt(fixture::prompt(1, "first")));
    bench.restart();
    bench.apply(Input::Prompt(fixture::prompt(1, "first")));
    bench.idle();
    bench.apply(push("c1"));
    assert_eq!(bench.delivered(), Vec::<&str>::new());
}

#[test]
fn a_restart_before_the_delivery_delivers_once_the_agent_shows_that_it_has_nothing() {
    let mut bench = Bench::new();
    bench.apply(synchronised());
    bench.apply(ready());
    bench.apply(Input::Prompt(fixture::prompt(1, "first")));
    bench.restart();
    assert_eq!(bench.actions, [Action::Listen]);
    bench.hear(AgentEvent::Snapshot(Snapshot::default()));
    assert_eq!(bench.delivered(), ["first"]);
}

#[test]
fn a_restart_after_the_delivery_does_not_deliver_again() {
    let mut bench = Bench::running();
    bench.restart();
    bench.hear(AgentEvent::Snapshot(Snapshot {
        status: Status::Busy,
        ..Snapshot::default()
    }));
    assert_eq!(bench.actions, [Action::Listen]);
}

#[test]
fn a_restart_during_the_push_pushes_again() {
    let mut bench = Bench::running();
    bench.idle();
    bench.restart();
    assert!(matches!(
        bench.actions.as_slice(),
        [Action::Listen, Action::Publish(_)]
    ));
}

#[test]
fn a_restart_while_stopping_stops_again() {
    let mut bench = Bench::running();
    bench.apply(Input::Stop(fixture::prompt(1, "").prompt));
    bench.restart();
    assert_eq!(bench.actions, [Action::Listen, Action::Abort]);
}

#[test]
fn text_that_was_held_back_is_not_lost_with_the_process() {
    let mut bench = Bench::running();
    let mut told = String::new();
    bench.hear(text("prt_2", "msg_2", "", false));
    for piece in ["a", "b", "c"] {
        let delta = AgentEvent::Delta {
            conversation: conversation(),
            message: "msg_2".into(),
            part: "prt_2".into(),
            text: piece.into(),
        };
        let effects = bench.machine.apply(Input::Agent(delta), bench.now);
        bench.keep(effects);
    }
    let deltas = |bench: &Bench| -> String {
        let text = |report: &Report| match report {
            Report::Delta { text, .. } => Some(text.clone()),
            _ => None,
        };
        bench.reports.iter().filter_map(text).collect()
    };
    told.push_str(&deltas(&bench));
    assert_ne!(told, "abc");
    bench.restart();
    told.push_str(&deltas(&bench));
    assert_eq!(told, "abc");
}
