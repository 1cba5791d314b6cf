//! What a prompt has changed is told to its session, whatever ends in between.

use protocol::PromptId;
use protocol::api::{Changes, ChangesScope, KeepChanges};
use protocol::callback::PromptResult;
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
