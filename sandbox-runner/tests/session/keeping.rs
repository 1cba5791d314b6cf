//! A call that writes begins when what was written before it is out of danger.

use protocol::api::FilePlace;
use protocol::callback::{PromptResult, Report};
use protocol::event::StepName;

use crate::stage::{LIMIT, Stage};
use crate::survival::open_from;

fn late(report: &Report) -> bool {
    let Report::Step { step } = report else {
        return false;
    };
    let detail = step.detail.as_deref().unwrap_or_default();
    step.name == StepName::WriteWait && detail.ends_with("is not kept yet")
}

fn warning(report: &Report) -> bool {
    let Report::Notice { message } = report else {
        return false;
    };
    message.contains("is not kept outside of its sandbox yet")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_write_begins_what_was_written_before_it_outlives_the_machine() {
    let mut stage = Stage::start_with_depot().await;
    let first = stage.open(1).await;
    let text =
        r#"[[write path="a.txt" content="a"]] [[bash command="touch b.txt; exec sleep 300"]]"#;
    stage.prompt(&first, 1, text).await;
    stage.ready(&first).await;
    let parcel = stage.depot().join(format!("progress/{}/1", first.session));
    let place = || FilePlace::Sandbox {
        sandbox: first.sandbox.clone(),
    };
    let begun = tokio::time::timeout(LIMIT, async {
        while stage.file(place(), "b.txt").await.0 != 200 {
            tokio::task::yield_now().await;
        }
    });
    begun.await.expect("the second call never began");
    let kept = std::fs::read(&parcel).unwrap();
    assert!(stage.files_in_progress(&kept).contains(&"a.txt".to_owned()));

    stage.replace_runner().await;
    let second = open_from(&stage, 2, None).await;
    let prompt = stage.prompt(&second, 2, r#"[[bash command="ls"]]"#).await;
    assert_eq!(
        stage.finished(&second, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["show", "agent/work:a.txt"]), "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_depot_that_takes_nothing_delays_one_write_and_is_told_once() {
    let stage = Stage::start_with_depot().await;
    // A file where its folder would be.
    std::fs::write(stage.depot().join("progress"), "").unwrap();
    let start = stage.open(1).await;
    let text = r#"[[write path="a.txt" content="a"]] [[write path="b.txt" content="b"]] [[write path="c.txt" content="c"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    let reports = stage.reports(&start);
    let count = |fits: fn(&Report) -> bool| reports.iter().filter(|one| fits(one)).count();
    assert_eq!((count(late), count(warning)), (1, 1), "{reports:?}");
    assert_eq!(stage.git(&["show", "agent/work:c.txt"]), "c");
}
