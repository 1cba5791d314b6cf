//! Models that are given `apply_patch` in place of `write` and `edit`: what it writes waits for the sync
//! and is kept like anything else.

use protocol::callback::{PromptResult, Report};
use protocol::command::{Model, Provider, Start};
use protocol::event::{PartBody, Step, StepName};
use serde_json::json;
use support::model::Turn;

use crate::stage::Stage;

/// A sandbox whose agent patches, since its model's name is one of those that were taught to.
fn patching(stage: &Stage, epoch: u32) -> Start {
    let model = Model {
        provider: Provider::Openai,
        name: "gpt-5".to_owned(),
    };
    Start {
        model,
        ..stage.start_command(epoch)
    }
}

fn patch(lines: &[&str]) -> Turn {
    let lines = [&["*** Begin Patch"], lines, &["*** End Patch"]].concat();
    let patch = json!({ "patchText": lines.join("\n") });
    Turn::say("I patch.").call("apply_patch", patch)
}

fn write_wait(report: &Report) -> Option<Step> {
    match report {
        Report::Step { step } => (step.name == StepName::WriteWait).then(|| step.clone()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_to_a_path_that_upstream_changed_waits_for_the_sync() {
    let stage = Stage::start().await;
    let before = stage.open(1).await;
    stage.ready(&before).await;
    let newer = stage.move_main("README.md", "# hello again\n");
    // It fits what upstream has by now, and not the image.
    let lines = [
        "*** Update File: README.md",
        "*** Move to: GREETING.md",
        "@@",
        "-# hello again",
        "+# good evening",
    ];
    stage
        .model
        .script("patch", [patch(&lines), Turn::say("Done.")]);
    stage.worker.set_closed(true);
    let start = Start {
        work_branch: "agent/patched".to_owned(),
        ..patching(&stage, 2)
    };
    let start = stage.open_as(start).await;
    let prompt = stage.prompt(&start, 1, "[[patch]]").await;
    stage
        .until(&start, "a patch", |reports| {
            let begun = |report: &Report| matches!(report, Report::PartStarted { body: PartBody::Tool { tool, .. }, .. } if tool == "apply_patch");
            reports.iter().any(begun).then_some(())
        })
        .await;
    stage.worker.set_closed(false);
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    let wait = stage.reports(&start).iter().find_map(write_wait);
    let detail = wait.and_then(|wait| wait.detail);
    assert_eq!(
        detail.as_deref(),
        Some("apply_patch README.md, GREETING.md")
    );
    let files = stage.git(&["ls-tree", "--name-only", "agent/patched"]);
    assert_eq!(files, "GREETING.md");
    let text = stage.git(&["show", "agent/patched:GREETING.md"]);
    assert_eq!(text, "# good evening");
    assert_eq!(stage.git(&["rev-parse", "agent/patched~1"]), newer);
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_patch_wrote_moved_and_deleted_is_kept_after_it() {
    let stage = Stage::start().await;
    stage.commit("main", "old.txt", "one\n");
    stage.commit("main", "gone.txt", "one\n");
    let lines = [
        "*** Add File: added.txt",
        "+one",
        "*** Update File: old.txt",
        "*** Move to: moved.txt",
        "@@",
        "-one",
        "+two",
        "*** Delete File: gone.txt",
    ];
    let waits = Turn::say("I wait.").call(
        "bash",
        json!({ "command": "sleep 300", "description": "wait" }),
    );
    stage.model.script("patch", [patch(&lines), waits]);
    let start = stage.open_as(patching(&stage, 1)).await;
    stage.prompt(&start, 1, "[[patch]]").await;
    let parcel = stage.work_in_progress(&start).await;
    assert_eq!(
        stage.files_in_progress(&parcel),
        ["README.md", "added.txt", "moved.txt"]
    );
    stage.worker.assert_faultless();
}
