//! A machine that goes away while sessions rest and work on it.

use protocol::callback::{PromptResult, Report};
use protocol::command::Start;

use crate::stage::Stage;
use crate::survival::{GO_ON, WORK, is_at_work, lost, open_from};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_go_on_elsewhere_when_their_machine_goes_away() {
    let mut stage = Stage::start_with_depot().await;
    stage.warm(|_| true).await;
    let resting = stage.open(1).await;
    let text = r#"remember the word stork [[bash command="mkdir -p ~/notes; echo hidden > ~/notes/word"]] [[say text="Noted."]]"#;
    let prompt = stage.prompt(&resting, 1, text).await;
    stage.finished(&resting, &prompt).await;
    let working = stage.open_for(2, 8).await;
    let prompt = stage.prompt(&working, 2, WORK).await;
    is_at_work(&stage, &working, &prompt).await;
    // It has only been told to start.
    let starting = stage.open_for(3, 9).await;
    stage.retire_runner().await;

    let slept = stage
        .reports(&resting)
        .into_iter()
        .find_map(|report| match report {
            Report::Slept { snapshot } => Some(snapshot),
            _ => None,
        });
    let left = lost(&stage, &working).await;
    assert!(left.is_some(), "nothing is left of it");
    for start in [&working, &starting] {
        let reason = stage
            .reports(start)
            .into_iter()
            .find_map(|report| match report {
                Report::Lost { reason } => Some(reason),
                _ => None,
            });
        assert_eq!(
            reason.as_deref(),
            Some("the machine of the sandbox is taken out of service")
        );
    }

    let woken = open_from(&stage, 4, Some(slept.expect("it does not sleep"))).await;
    let text = r#"[[bash command="cat ~/notes/word > word.txt"]] [[say text="Here it is."]]"#;
    let prompt = stage.prompt(&woken, 4, text).await;
    assert_eq!(
        stage.finished(&woken, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["show", "agent/work:word.txt"]), "hidden");
    assert!(stage.model_was_given(&["stork", "cat ~/notes/word"]));

    let resumed = Start {
        sandbox: stage.start_command(5).sandbox,
        epoch: stage.start_command(5).epoch,
        snapshot: left,
        ..working
    };
    let resumed = stage.open_as(resumed).await;
    let prompt = stage.prompt_again(&resumed, 2, GO_ON).await;
    assert_eq!(
        stage.finished(&resumed, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(
        stage.git(&["show", "agent/work-8:both.txt"]),
        "kept\nignored"
    );
    assert!(stage.model_was_given(&["heron", "The sandbox was lost", "cat a.txt"]));
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_without_a_depot_is_not_cleared() {
    let mut stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    stage.kill_runner().await;
    let (success, said) = stage.try_to_retire().await;
    assert!(!success && said.contains("DEPOT_URL"), "{said}");
    stage.start_runner().await;
    let prompt = stage.prompt(&start, 1, r#"[[say text="Hello."]]"#).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    stage.worker.assert_faultless();
}
