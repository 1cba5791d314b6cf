//! A terminal beside the agent's work: no prompt's end is its end, and who types keeps the sandbox awake.

use futures_util::{SinkExt as _, StreamExt as _};
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
