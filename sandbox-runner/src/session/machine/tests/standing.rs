//! An agent that works while its workspace is brought up to date.

use super::*;

fn failed() -> Input {
    Input::Unsynchronised {
        message: "the forge is away".into(),
    }
}

fn notices(bench: &Bench) -> Vec<String> {
    let notice = |report: &Report| match report {
        Report::Notice { message } => Some(message.clone()),
        _ => None,
    };
    bench.reports.iter().filter_map(notice).collect()
}

/// The agent has answered its prompt, and the workspace is still behind.
fn answered() -> Bench {
    let mut bench = Bench::new();
    bench.apply(ready());
    bench.apply(Input::Prompt(fixture::prompt(1, "first")));
    bench.apply(Input::Delivered(fixture::prompt(1, "").prompt));
    bench.hear(message("msg_1", "user", None, false));
    bench.hear(status(Status::Busy));
    bench.hear(message("msg_2", "assistant", Some("msg_1"), false));
    bench.hear(text("prt_1", "msg_2", "Done it.", true));
    bench.idle();
    bench
}

#[test]
fn a_prompt_is_delivered_before_the_workspace_is_up_to_date() {
    let mut bench = Bench::new();
    bench.apply(Input::Prompt(fixture::prompt(1, "first")));
    bench.apply(ready());
    assert_eq!(bench.delivered(), ["first"]);
    let ready =
        |report: &Report| matches!(report, Report::Ready { commit, .. } if commit == "image");
    assert!(bench.reports.iter().any(ready), "{:?}", bench.reports);
}

#[test]
fn work_that_is_done_before_the_sync_is_published_after_it() {
    let mut bench = answered();
    let publishes = |action: &Action| matches!(action, Action::Publish(_));
    assert!(!bench.actions.iter().any(publishes));
    bench.apply(synchronised());
    assert!(bench.actions.iter().any(publishes));
    bench.apply(push("c1"));
    assert_eq!(bench.finished(), [outcome(1, PromptResult::Completed)]);
}

#[test]
fn a_sync_that_failed_is_told_and_tried_again_with_the_next_prompt() {
    let mut bench = answered();
    bench.apply(failed());
    assert_eq!(bench.finished(), [outcome(1, PromptResult::Completed)]);
    assert!(notices(&bench)[0].contains("the forge is away"));
    bench.forget();
    bench.apply(Input::Prompt(fixture::prompt(2, "second")));
    let again = bench.actions.contains(&Action::Synchronise);
    assert!(again, "{:?}", bench.actions);
    assert_eq!(bench.delivered(), ["second"]);
}

#[test]
fn a_restart_before_the_sync_begins_it_again_and_once() {
    let mut bench = answered();
    bench.restart();
    let again = |action: &&Action| **action == Action::Synchronise;
    let times = |bench: &Bench| bench.actions.iter().filter(again).count();
    assert_eq!(times(&bench), 1);
    bench.apply(synchronised());
    bench.apply(push("c1"));
    bench.restart();
    assert_eq!(times(&bench), 0);
}

#[test]
fn a_conflict_is_told_with_its_paths_and_keeps_the_earlier_work_in_mind() {
    let mut bench = answered();
    bench.apply(Input::Synchronised(Box::new(Synchronised {
        base: "base".into(),
        head: "image".into(),
        pushed: Some("earlier".into()),
        moved: false,
        behind: true,
        conflict: Some(Conflict {
            paths: (0..12).map(|n| format!("file-{n}")).collect(),
            newest: "0123456789abcdef".into(),
        }),
    })));
    let notice = &notices(&bench)[0];
    assert!(
        notice.contains("the newest, 0123456789ab: ")
            && notice.contains("file-0, ")
            && notice.contains("2 more"),
        "{notice}"
    );
    let Some(Action::Publish(work)) = bench.actions.last() else {
        panic!("{:?}", bench.actions)
    };
    assert!(work.behind && work.pushed.as_deref() == Some("earlier"));
}
