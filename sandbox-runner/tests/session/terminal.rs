//! A terminal beside the agent's work: no prompt's end is its end, and who types keeps the sandbox awake.

use futures_util::{SinkExt as _, StreamExt as _};
use protocol::UserId;
use protocol::api::{FilePlace, TerminalExpulsion};
use protocol::callback::{PromptResult, Report};
use protocol::command::Command;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::stage::{LIMIT, Screen, Stage};

async fn type_in(screen: &mut Screen, text: &str) {
    let bytes = text.as_bytes().to_vec();
    screen.send(Message::binary(bytes)).await.unwrap();
}

async fn sees(screen: &mut Screen, text: &str) {
    let mut seen = String::new();
    let waiting = async {
        while !seen.contains(text) {
            if let Message::Binary(bytes) = screen.next().await.unwrap().unwrap() {
                seen.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    };
    let waited = timeout(LIMIT, waiting).await;
    waited.unwrap_or_else(|_| panic!("no {text} in {seen:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_that_is_stopped_takes_no_terminal_with_it() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    let mut screen = stage.terminal(&start).await;
    type_in(&mut screen, "sleep 7777 & echo be\"gun\"\n").await;
    sees(&mut screen, "begun").await;
    let text = r#"wait. [[bash command="echo begun; sleep 8888"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    stage
        .until(&start, "running program", |reports| {
            let begun = |report: &Report| matches!(report, Report::Delta { text, .. } if text.contains("begun"));
            reports.iter().any(begun).then_some(())
        })
        .await;
    let sandbox = start.sandbox.clone();
    let stop = Command::Stop {
        sandbox,
        prompt: prompt.clone(),
    };
    stage.accept(&stop).await;
    assert_eq!(stage.finished(&start, &prompt).await, PromptResult::Stopped);
    let count = "echo $(pgrep -fc '^sleep 7777') $(pgrep -fc '^sleep 8888') le\"ft\"\n";
    type_in(&mut screen, count).await;
    sees(&mut screen, "1 0 left").await;
    stage.worker.terminal_used(&start.sandbox).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_in_the_workspace_keeps_no_file_from_being_kept_and_read() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    let mut screen = stage.terminal(&start).await;
    type_in(
        &mut screen,
        "exec 5>> held; echo by-hand >&5; echo re\"ady\"\n",
    )
    .await;
    sees(&mut screen, "ready").await;
    let text = r#"[[write path="work.txt" content="by the agent"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    let snapshot = stage
        .until(&start, "a snapshot", |reports| {
            reports.iter().find_map(|report| match report {
                Report::Snapshotted { snapshot, .. } => Some(snapshot.clone()),
                _ => None,
            })
        })
        .await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    type_in(&mut screen, "echo later >&5; echo an\"other\"\n").await;
    sees(&mut screen, "another").await;

    let kept = FilePlace::Snapshot { snapshot };
    let live = FilePlace::Sandbox {
        sandbox: start.sandbox.clone(),
    };
    let held = stage.file(kept.clone(), "held").await;
    assert_eq!(held, (200, "by-hand\n".to_owned()));
    let held = stage.file(live.clone(), "held").await;
    assert_eq!(held, (200, "by-hand\nlater\n".to_owned()));
    for place in [kept, live] {
        let work = stage.file(place.clone(), "work.txt").await;
        assert_eq!(work.0, 200, "{work:?}");
        for (path, status) in [("../.bashrc", 404), ("none", 404), (".git", 409)] {
            assert_eq!(stage.file(place.clone(), path).await.0, status, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_look_on_any_more_is_out_of_the_terminal() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    let mut screen = stage.terminal(&start).await;
    type_in(&mut screen, "echo h\"ere\"\n").await;
    sees(&mut screen, "here").await;
    let path = format!("/terminal/{}/expel", start.sandbox);
    let expulsion = |user| TerminalExpulsion { user: UserId(user) };
    assert_eq!(stage.ask(&path, &expulsion(2)).await.0, 204);
    type_in(&mut screen, "echo st\"ill\"\n").await;
    sees(&mut screen, "still").await;
    assert_eq!(stage.ask(&path, &expulsion(1)).await.0, 204);
    let closed = async {
        loop {
            if let Message::Close(frame) = screen.next().await.unwrap().unwrap() {
                return frame.unwrap();
            }
        }
    };
    let closed = timeout(LIMIT, closed).await.unwrap();
    assert_eq!(u16::from(closed.code), 4001);
}
