//! What a prompt has changed is told to its session, whatever ends in between.

use protocol::PromptId;
use protocol::api::{Changes, ChangesScope, KeepChanges, LookAtChanges};
use protocol::callback::{PromptResult, Report};
use protocol::command::Command;

use crate::stage::Stage;

fn of(kept: &KeepChanges, scope: ChangesScope) -> Vec<&str> {
    let find = |changes: &&Changes| changes.scope == scope;
    let changes = kept.changes.iter().find(find).unwrap();
    changes
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect()
}

fn write(path: &str) -> String {
    format!(r#"write. [[write path="{path}" content="hello\n"]] [[say text="Done."]]"#)
}

async fn kept(stage: &Stage, prompt: &PromptId) -> KeepChanges {
    stage.worker.kept(prompt).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_prompt_is_told_by_itself_and_with_all_before_it_across_sandboxes() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    let first = stage.prompt(&start, 1, &write("one.txt")).await;
    let told = kept(&stage, &first).await;
    assert_eq!((&told.sandbox, told.epoch), (&start.sandbox, start.epoch));
    assert_eq!(of(&told, ChangesScope::Session), ["one.txt"]);
    assert_eq!(of(&told, ChangesScope::Prompt), ["one.txt"]);

    let second = stage.prompt(&start, 2, &write("two.txt")).await;
    let told = kept(&stage, &second).await;
    assert_eq!(of(&told, ChangesScope::Session), ["one.txt", "two.txt"]);
    assert_eq!(of(&told, ChangesScope::Prompt), ["two.txt"]);

    // The next sandbox starts from what was pushed.
    let sandbox = start.sandbox.clone();
    stage.accept(&Command::End { sandbox }).await;
    let next = stage.open(2).await;
    let third = stage.prompt(&next, 3, &write("three.txt")).await;
    let told = kept(&stage, &third).await;
    assert_eq!(of(&told, ChangesScope::Prompt), ["three.txt"]);
    assert_eq!(
        of(&told, ChangesScope::Session),
        ["one.txt", "three.txt", "two.txt"]
    );
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_told_is_told_by_the_next_runner() {
    let mut stage = Stage::start().await;
    let start = stage.open(1).await;
    let prompt = stage.prompt(&start, 1, &write("one.txt")).await;
    let result = stage.finished(&start, &prompt).await;
    assert_eq!(result, PromptResult::Completed);
    kept(&stage, &prompt).await;
    stage.worker.set_deaf(true);
    let second = stage.prompt(&start, 2, &write("two.txt")).await;
    stage.worker.refused(&second).await;
    stage.kill_runner().await;
    stage.worker.set_deaf(false);
    stage.start_runner().await;
    let told = kept(&stage, &second).await;
    assert_eq!(of(&told, ChangesScope::Prompt), ["two.txt"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_prompt_has_changed_so_far_is_seen_while_it_runs() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    let first = stage.prompt(&start, 1, &write("one.txt")).await;
    stage.finished(&start, &first).await;
    kept(&stage, &first).await;
    let text = r#"go on. [[write path="two.txt" content="hello\n"]] [[bash command="echo waits; sleep 9999"]] [[say text="Done."]]"#;
    let second = stage.prompt(&start, 2, text).await;
    stage
        .until(&start, "running program", |reports| {
            let waits = |report: &Report| matches!(report, Report::Delta { text, .. } if text.contains("waits"));
            reports.iter().any(waits).then_some(())
        })
        .await;
    for (scope, files) in [
        (ChangesScope::Session, vec!["one.txt", "two.txt"]),
        (ChangesScope::Prompt, vec!["two.txt"]),
    ] {
        let sandbox = start.sandbox.clone();
        let (status, seen) = stage
            .ask("/changes", &LookAtChanges { sandbox, scope })
            .await;
        assert_eq!(status, 200, "{seen}");
        let seen: Changes = serde_json::from_str(&seen).unwrap();
        assert_eq!((&seen.prompt, seen.scope), (&second, scope));
        let paths: Vec<_> = seen.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, files);
    }
    let sandbox = start.sandbox.clone();
    let stop = Command::Stop {
        sandbox: sandbox.clone(),
        prompt: second.clone(),
    };
    stage.accept(&stop).await;
    assert_eq!(stage.finished(&start, &second).await, PromptResult::Stopped);
    // What was looked at in between is no turn's end.
    let told = kept(&stage, &second).await;
    assert_eq!(of(&told, ChangesScope::Prompt), ["two.txt"]);
    let scope = ChangesScope::Prompt;
    let idle = stage
        .ask("/changes", &LookAtChanges { sandbox, scope })
        .await;
    assert_eq!(idle.0, 409, "{}", idle.1);
}
