//! A sandbox that is lost, and the prompt that was running in it.

use protocol::event::Limit;

use super::*;

fn lost() -> Input {
    Input::Lost {
        reason: "it is gone".into(),
    }
}

fn resumed(seed: u8, text: &str) -> Input {
    Input::Prompt(SendPrompt {
        resumed: true,
        ..fixture::prompt(seed, text)
    })
}

fn is_loss(report: &Report) -> bool {
    matches!(report, Report::Lost { .. })
}

#[test]
fn what_is_left_of_a_sandbox_is_told_before_its_loss_also_after_a_restart() {
    let mut bench = Bench::running();
    bench.take(lost());
    assert!(matches!(bench.actions.as_slice(), [Action::Salvage(_)]));
    assert!(!bench.reports.iter().any(is_loss));
    // Nothing of it matters any more.
    bench.take(Input::Cleared);
    bench.take(lost());
    bench.restart();
    assert!(matches!(bench.actions.as_slice(), [Action::Salvage(_)]));
    let snapshot = SnapshotId::from_random([1; 16]);
    bench.take(Input::Salvaged {
        snapshot: Some(snapshot.clone()),
    });
    let prompt = None;
    let [.., told, loss] = bench.reports.as_slice() else {
        panic!("{:?}", bench.reports)
    };
    assert_eq!(told, &Report::Snapshotted { snapshot, prompt });
    assert!(is_loss(loss) && bench.machine.is_gone());
    assert_eq!(bench.finished(), []);
}

#[test]
fn a_sandbox_whose_files_are_kept_leaves_nothing_more() {
    let mut bench = Bench::running();
    bench.idle();
    bench.take(push("c1"));
    let snapshot = SnapshotId::from_random([1; 16]);
    bench.take(Input::Kept {
        snapshot: Some(snapshot.clone()),
        prompt: fixture::prompt(1, "").prompt,
        started_at: bench.now.at,
        recorded: None,
    });
    assert!(bench.machine.remains().is_none());
    let lineage = &bench.machine.ground().unwrap().lineage;
    assert_eq!(lineage.newest(), Some(&snapshot));
    bench.take(lost());
    assert!(bench.reports.iter().any(is_loss));
}

#[test]
fn an_agent_goes_on_with_its_work_when_it_can_see_it() {
    let mut bench = Bench::new();
    bench.apply(ready());
    bench.apply(resumed(1, "first"));
    assert_eq!(bench.delivered(), [""; 0]);
    bench.apply(synchronised());
    assert_eq!(bench.delivered(), ["first"]);

    let mut bench = Bench::new();
    bench.apply(resumed(1, "first"));
    bench.apply(ready());
    bench.apply(Input::Unsynchronised {
        message: "the forge is away".into(),
    });
    assert_eq!(bench.delivered(), ["first"]);
}

#[test]
fn time_that_was_lost_with_a_sandbox_is_no_wait_for_the_first_token() {
    let mut bench = Bench::new();
    bench.apply(synchronised());
    bench.apply(ready());
    bench.apply(Input::Prompt(SendPrompt {
        sent_at: bench.now.at.plus(-60_000),
        resumed: true,
        ..fixture::prompt(1, "first")
    }));
    bench.hear(message("msg_1", "user", None, false));
    bench.hear(message("msg_2", "assistant", Some("msg_1"), false));
    bench.hear(text("prt_1", "msg_2", "x", false));
    let waited = bench.reports.iter().find_map(|report| match report {
        Report::Step { step } if step.name == StepName::FirstToken => Some(step.ms),
        _ => None,
    });
    assert!(waited.unwrap() < 60_000);
}

#[test]
fn a_lost_sandbox_closes_what_was_open_and_stays_lost() {
    let mut bench = Bench::running();
    bench.hear(text("prt_2", "msg_2", "half a sen", false));
    bench.apply(Input::Lost {
        reason: "gone".into(),
    });
    let tail: Vec<_> = bench.reports.iter().rev().take(2).collect();
    assert!(
        matches!(
            tail.as_slice(),
            [Report::Lost { .. }, Report::PartFinished { .. }]
        ),
        "{tail:?}"
    );
    bench.restart();
    assert!(bench.machine.is_gone());
    assert_eq!(bench.actions, []);
}

#[test]
fn a_limit_that_ended_the_sandbox_is_told_of_before_its_loss() {
    let mut bench = Bench::running();
    bench.apply(Input::LimitReached {
        limit: Limit::Disk,
        message: "too much".to_owned(),
    });
    bench.apply(Input::Lost {
        reason: "the sandbox ended".to_owned(),
    });
    let place = |wanted: fn(&Report) -> bool| bench.reports.iter().position(wanted);
    let told = place(|report| matches!(report, Report::LimitReached { .. }));
    let lost = place(|report| matches!(report, Report::Lost { .. }));
    assert!(told.unwrap() < lost.unwrap());
}
