//! Work in a sandbox and commits of others that change the same places: neither is lost, and both the
//! agent and the people learn of it.

use std::time::Duration;

use futures_util::SinkExt as _;
use protocol::api::FilePlace;
use protocol::callback::{PromptResult, Report};
use protocol::command::{Command, Start};
use tokio_tungstenite::tungstenite::Message;

use crate::stage::{LIMIT, Stage};
use crate::survival::open_from;
use crate::warm::kept;

/// What people are told that contains this.
async fn notice(stage: &Stage, start: &Start, text: &str) -> String {
    let find = |report: &Report| match report {
        Report::Notice { message } => message.contains(text).then(|| message.clone()),
        _ => None,
    };
    stage
        .until(start, text, |reports| reports.iter().find_map(find))
        .await
}

/// A person writes to a file of the workspace by hand, before the prompt.
async fn write_by_hand(stage: &Stage, start: &Start, path: &str, text: &str) {
    let mut screen = stage.terminal(start).await;
    let typed = format!("cd ~/workspace; echo {text} > {path}; exit\n");
    let typed = Message::binary(typed.into_bytes());
    screen.send(typed).await.unwrap();
    let place = || FilePlace::Sandbox {
        sandbox: start.sandbox.clone(),
    };
    let written = tokio::time::timeout(LIMIT, async {
        while stage.file(place(), path).await != (200, format!("{text}\n")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    written.await.expect("the terminal does not write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_written_before_the_sync_and_changed_upstream_is_told_until_it_is_merged() {
    let stage = Stage::start().await;
    // It makes the image.
    let first = stage.open(1).await;
    stage.ready(&first).await;
    let old = stage.git(&["rev-parse", "main"]);
    let newer = stage.move_main("README.md", "# hello again\n");
    stage.worker.set_closed(true);
    let start = stage.open_for(2, 8).await;
    stage.ready(&start).await;
    write_by_hand(&stage, &start, "README.md", "mine").await;
    stage.worker.set_closed(false);

    let told = notice(&stage, &start, "README.md").await;
    for commit in [&old, &newer] {
        assert!(told.contains(commit.get(..12).unwrap()), "{told}");
    }
    let text = r#"[[bash command="touch made; cat README.md"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    let said = format!("newer changes to README.md. The newer commit {newer} is here");
    assert!(stage.model_was_given(&["touch made", &said]));
    // What was written by hand is as it was, and is pushed upon what it was written on.
    assert_eq!(stage.texts(&start), ["mine\n", "Done."]);
    assert_eq!(stage.git(&["show", "agent/work-8:README.md"]), "mine");
    assert_eq!(stage.git(&["rev-parse", "agent/work-8~1"]), old);

    // As it was told, once its own work is committed.
    let merge = format!("git merge -q -X ours --no-edit {newer}");
    let text = format!(r#"[[bash command="{merge}"]] [[say text="Merged."]]"#);
    let prompt = stage.prompt(&start, 2, &text).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    let asked = stage.model.requests();
    let told = asked.iter().map(|one| one.body.to_string().contains(&said));
    let told: Vec<bool> = told.collect();
    assert_eq!(told[told.len() - 2..], [true, false]);
    assert_eq!(stage.git(&["rev-parse", "agent/work-8^2"]), newer);
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_sandbox_of_a_session_is_told_of_a_conflict_until_it_is_merged() {
    let stage = Stage::start().await;
    // It makes the image.
    let other = stage.open_for(1, 8).await;
    stage.ready(&other).await;
    let newer = stage.move_main("README.md", "# hello again\n");
    stage.worker.set_closed(true);
    let first = stage.open(2).await;
    stage.ready(&first).await;
    write_by_hand(&stage, &first, "README.md", "mine").await;
    stage.worker.set_closed(false);
    notice(&stage, &first, "README.md").await;
    let prompt = stage.prompt(&first, 1, r#"[[say text="One."]]"#).await;
    let snapshot = kept(&stage, &first, &prompt).await;
    let said = format!("newer changes to README.md. The newer commit {newer} is here");

    let sandbox = first.sandbox.clone();
    stage.accept(&Command::Sleep { sandbox }).await;
    let second = open_from(&stage, 3, Some(snapshot)).await;
    let merge = format!("git merge -q -X ours --no-edit {newer}");
    // The first write waits for the sync.
    let text = format!(
        r#"second [[bash command="touch seen"]] [[bash command="{merge}"]] [[say text="Merged."]]"#
    );
    let prompt = stage.prompt(&second, 2, &text).await;
    let snapshot = kept(&stage, &second, &prompt).await;
    assert!(stage.model_was_given(&["second", &merge, &said]));
    // People were told once.
    let repeats = |report: &Report| matches!(report, Report::Notice { .. });
    assert!(!stage.reports(&second).iter().any(repeats));

    let sandbox = second.sandbox.clone();
    stage.accept(&Command::Sleep { sandbox }).await;
    let third = open_from(&stage, 4, Some(snapshot)).await;
    let text = r#"third [[bash command="touch made"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&third, 3, text).await;
    assert_eq!(
        stage.finished(&third, &prompt).await,
        PromptResult::Completed
    );
    // Its last request came after the write, and so after the sync.
    let asked = stage.model.requests();
    assert!(!asked.last().unwrap().body.to_string().contains(&said));
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_of_a_lost_sandbox_that_others_pushed_over_is_told_and_stays_at_hand() {
    let mut stage = Stage::start().await;
    let first = stage.open(1).await;
    let text = r#"[[write path="a.txt" content="kept"]] [[bash command="sleep 300"]]"#;
    stage.prompt(&first, 1, text).await;
    stage.work_in_progress(&first).await;
    stage.kill_runner().await;
    stage.sweep();
    stage.commit("agent/work", "a.txt", "theirs");
    stage.start_runner().await;
    crate::survival::lost(&stage, &first).await;

    let second = stage.open(2).await;
    let told = notice(&stage, &second, "is not in the files").await;
    let (_, commit) = told.rsplit_once("commit ").unwrap();
    let commit = commit.trim_end_matches('.');
    let text = format!(
        r#"[[bash command="touch made; cat a.txt; git show {commit}:a.txt"]] [[say text="Done."]]"#
    );
    let prompt = stage.prompt_again(&second, 1, &text).await;
    assert_eq!(
        stage.finished(&second, &prompt).await,
        PromptResult::Completed
    );
    assert!(stage.model_was_given(&["touch made", &told]));
    assert_eq!(stage.texts(&second), ["theirskept", "Done."]);
    assert_eq!(stage.git(&["show", "agent/work:a.txt"]), "theirs");
    stage.worker.assert_faultless();
}
