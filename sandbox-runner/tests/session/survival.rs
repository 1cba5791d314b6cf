//! A prompt that is running survives whatever ends: the agent, the sandbox, the runner, its machine.

use std::time::Duration;

use protocol::callback::{PromptResult, Report};
use protocol::command::Start;
use protocol::event::StepName;
use protocol::{PromptId, SnapshotId};

use crate::stage::{LIMIT, Stage};
use crate::warm::kept;

mod moments;

/// What is told of a lost sandbox: the snapshot that it left, if it did.
pub(crate) async fn lost(stage: &Stage, start: &Start) -> Option<SnapshotId> {
    stage
        .until(start, "loss", |reports| {
            let lost = |report: &Report| matches!(report, Report::Lost { .. });
            reports.iter().any(lost).then(|| newest(reports))
        })
        .await
}

pub(crate) fn newest(reports: &[Report]) -> Option<SnapshotId> {
    let find = |report: &Report| match report {
        Report::Snapshotted { snapshot, .. } => Some(snapshot.clone()),
        _ => None,
    };
    reports.iter().rev().find_map(find)
}

/// The session's next sandbox, from what it was told of last.
pub(crate) async fn open_from(stage: &Stage, epoch: u32, snapshot: Option<SnapshotId>) -> Start {
    let start = Start {
        snapshot,
        ..stage.start_command(epoch)
    };
    stage.open_as(start).await
}

/// Waits for something that nobody tells of.
pub(crate) async fn until(wanted: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("no {wanted}"));
}

pub(crate) async fn is_at_work(stage: &Stage, start: &Start, prompt: &PromptId) {
    stage
        .until(start, "running program", |reports| {
            let begun = |report: &Report| matches!(report, Report::Delta { text, .. } if text.contains("begun"));
            let of = |report: &Report| matches!(report, Report::PartStarted { prompt: one, .. } if one == prompt);
            (reports.iter().any(begun) && reports.iter().any(of)).then_some(())
        })
        .await;
}

pub(crate) const WORK: &str = r#"remember the word heron
    [[bash command="echo kept > a.txt; mkdir -p ~/notes; echo ignored > ~/notes/word"]]
    [[bash command="echo begun; sleep 300"]]"#;
pub(crate) const GO_ON: &str =
    r#"[[bash command="cat a.txt ~/notes/word > both.txt"]] [[say text="Done."]]"#;

async fn goes_on_with_everything(stage: &Stage, second: &Start) {
    let prompt = stage.prompt_again(second, 1, GO_ON).await;
    assert_eq!(
        stage.finished(second, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["show", "agent/work:both.txt"]), "kept\nignored");
    // It is the same conversation, and nothing of it is told again.
    assert!(stage.model_was_given(&["heron", "The sandbox was lost", "cat a.txt"]));
    assert_eq!(stage.texts(second), ["(no output)", "Done."]);
    let commits = stage.git(&["rev-list", "--count", "main..agent/work"]);
    assert_eq!(commits, "1");
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_goes_on_with_all_that_was_there_when_its_sandbox_is_killed() {
    let stage = Stage::start().await;
    let first = stage.open(1).await;
    let prompt = stage.prompt(&first, 1, WORK).await;
    is_at_work(&stage, &first, &prompt).await;
    stage.kill_sandboxes();
    let snapshot = lost(&stage, &first).await;
    assert!(snapshot.is_some(), "nothing is left of it");
    let second = open_from(&stage, 2, snapshot).await;
    goes_on_with_everything(&stage, &second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_goes_on_with_all_that_was_there_when_its_runner_is_killed_with_its_sandboxes() {
    let mut stage = Stage::start().await;
    let first = stage.open(1).await;
    let prompt = stage.prompt(&first, 1, WORK).await;
    is_at_work(&stage, &first, &prompt).await;
    // The session gives it up, and hears nothing of what is left.
    stage.kill_runner().await;
    stage.kill_sandboxes();
    stage.worker.set_deaf(true);
    stage.start_runner().await;
    let second = open_from(&stage, 2, None).await;
    stage.worker.set_deaf(false);
    goes_on_with_everything(&stage, &second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_goes_on_at_another_runner_when_the_machine_of_the_first_is_gone() {
    let mut stage = Stage::start_with_depot().await;
    let first = stage.open(1).await;
    let text = r#"remember the word heron [[bash command="mkdir -p ~/notes; echo ignored > ~/notes/word"]] [[say text="Noted."]]"#;
    let before = stage.prompt(&first, 9, text).await;
    let snapshot = kept(&stage, &first, &before).await;
    let manifest = stage.depot().join(format!("snapshots/{snapshot}.json"));
    until("snapshot in the depot", || manifest.exists()).await;
    let manifests = stage.depot().join("snapshots");
    until("image in the depot", || {
        let mut entries = std::fs::read_dir(&manifests).unwrap();
        entries.any(|entry| {
            let name = entry.unwrap().file_name();
            name.to_string_lossy().starts_with("image-")
        })
    })
    .await;
    stage.prompt(&first, 1, WORK).await;
    let parcel = stage.depot().join(format!("progress/{}/1", first.session));
    // Work upon that snapshot, and not what was done before it.
    until("work in progress in the depot", || {
        let text = std::fs::read(&parcel).unwrap_or_default();
        let label = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        // What was done before it may be kept late, and then upon it.
        String::from_utf8_lossy(label).contains(snapshot.as_str())
            && stage.files_in_progress(&text).contains(&"a.txt".to_owned())
    })
    .await;
    stage.replace_runner().await;

    let second = open_from(&stage, 2, Some(snapshot)).await;
    goes_on_with_everything(&stage, &second).await;

    // A session of its own there begins with the image that the first one made.
    let other = stage.open_for(3, 8).await;
    stage.ready(&other).await;
    let details: Vec<_> = stage
        .reports(&other)
        .iter()
        .filter_map(image_detail)
        .collect();
    assert_eq!(details, ["no image here: from the depot"]);
}

fn image_detail(report: &Report) -> Option<String> {
    match report {
        Report::Step { step } if step.name == StepName::Image => step.detail.clone(),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_was_pushed_before_the_loss_is_told_and_is_not_done_twice() {
    let mut stage = Stage::start_with_depot().await;
    let first = stage.open(1).await;
    stage.ready(&first).await;
    let text = r#"[[write path="note.txt" content="hello\n"]] [[say text="Done."]]"#;
    stage.worker.set_deaf(true);
    stage.prompt(&first, 1, text).await;
    let forge = stage.forge.clone();
    let pushed = || {
        let bare = forge.bare_repository(support::forge::ORGANIZATION, crate::stage::REPOSITORY);
        bare.join("refs/heads/agent/work").exists()
    };
    until("push", pushed).await;
    stage.replace_runner().await;
    stage.worker.set_deaf(false);
    let commit = stage.git(&["rev-parse", "agent/work"]);

    let second = open_from(&stage, 2, None).await;
    let prompt = stage.prompt_again(&second, 1, text).await;
    assert_eq!(
        stage.finished(&second, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["rev-parse", "agent/work"]), commit);
    let told = stage
        .reports(&second)
        .into_iter()
        .filter_map(|report| match report {
            Report::Pushed { commit, prompt, .. } => Some((commit, prompt)),
            _ => None,
        });
    assert_eq!(told.collect::<Vec<_>>(), [(commit, prompt)]);
    stage.worker.assert_faultless();
}
