//! A sandbox that is behind its session's work, when its runner is killed before it brought it there.

use std::path::PathBuf;

use protocol::callback::PromptResult;
use protocol::command::{Command, Start};

use crate::stage::Stage;
use crate::survival::lost;
use crate::warm::kept;

const WORK_BRANCH: &str = "agent/work";

/// The forge's repository, whose branches nobody can read until this is dropped: reading them waits.
struct Held {
    packed: PathBuf,
}

impl Held {
    fn take(stage: &Stage) -> Self {
        let repository = PathBuf::from(stage.git(&["rev-parse", "--absolute-git-dir"]));
        let packed = repository.join("packed-refs");
        assert!(!packed.exists(), "its branches are files of their own");
        let mut mkfifo = std::process::Command::new("mkfifo");
        assert!(mkfifo.arg(&packed).status().unwrap().success());
        Self { packed }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Opened for both, a pipe waits for nobody; who reads it finds nothing in it at its end.
        let mut options = std::fs::File::options();
        let pipe = options.read(true).write(true).open(&self.packed).unwrap();
        std::fs::remove_file(&self.packed).unwrap();
        drop(pipe);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_that_its_runner_left_behind_what_was_pushed_is_brought_there_by_the_next() {
    let mut stage = Stage::start().await;
    let first = stage.open(1).await;
    let text = r#"[[bash command="echo 1 > 1.txt"]]"#;
    let prompt = stage.prompt(&first, 1, text).await;
    let snapshot = kept(&stage, &first, &prompt).await;
    let sandbox = first.sandbox.clone();
    stage.accept(&Command::End { sandbox }).await;
    // As the sandbox of another machine did, whose files are gone with it.
    let nobody = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    let tree = format!("{WORK_BRANCH}^{{tree}}");
    let later = ["commit-tree", "-p", WORK_BRANCH, "-m", "later", &tree];
    let later = stage.git(&[&nobody[..], &later[..]].concat());
    let reference = format!("refs/heads/{WORK_BRANCH}");
    stage.git(&["update-ref", &reference, &later]);

    let held = Held::take(&stage);
    let start = Start {
        snapshot: Some(snapshot),
        ..stage.start_command(2)
    };
    let second = stage.open_as(start).await;
    stage.ready(&second).await;
    stage.kill_runner().await;
    drop(held);
    stage.start_runner().await;

    let text = r#"[[bash command="echo 2 > 2.txt"]]"#;
    let prompt = stage.prompt(&second, 2, text).await;
    let result = stage.finished(&second, &prompt).await;
    assert_eq!(result, PromptResult::Completed);
    let work = stage.git(&["show", &format!("{WORK_BRANCH}:2.txt")]);
    assert_eq!(work, "2");
    assert_eq!(stage.git(&["merge-base", WORK_BRANCH, &later]), later);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_in_progress_outlives_a_runner_that_was_killed_before_it_came_to_restore_it() {
    let mut stage = Stage::start().await;
    let first = stage.open(1).await;
    let text = r#"[[write path="a.txt" content="kept"]] [[bash command="sleep 300"]]"#;
    stage.prompt(&first, 1, text).await;
    stage.work_in_progress(&first).await;
    stage.kill_runner().await;
    stage.sweep();
    stage.start_runner().await;
    lost(&stage, &first).await;

    let held = Held::take(&stage);
    let second = stage.open(2).await;
    stage.ready(&second).await;
    stage.kill_runner().await;
    drop(held);
    stage.start_runner().await;
    let text = r#"[[bash command="touch made; cat a.txt"]] [[say text="Done."]]"#;
    let prompt = stage.prompt_again(&second, 1, text).await;
    let result = stage.finished(&second, &prompt).await;
    assert_eq!(result, PromptResult::Completed);
    assert_eq!(stage.texts(&second), ["kept", "Done."]);
    assert_eq!(
        stage.git(&["show", &format!("{WORK_BRANCH}:a.txt")]),
        "kept"
    );
}
