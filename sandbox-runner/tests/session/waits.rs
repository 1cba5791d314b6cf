//! Waits inside a sandbox, for people to see.

use futures_util::SinkExt as _;
use protocol::callback::Report;
use protocol::event::StepName;
use tokio_tungstenite::tungstenite::Message;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_has_waited_is_a_step_of_its_session() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    // As the agent's plugin tells it.
    let wait = r#"{"ms":70,"tool":"edit","path":"src/lib.rs"}"#;
    let told = format!("curl -s -d '{wait}' http://127.0.0.1:3129/workspace/waits\n");
    let mut screen = stage.terminal(&start).await;
    screen
        .send(Message::binary(told.into_bytes()))
        .await
        .unwrap();
    let find = |report: &Report| match report {
        Report::Step { step } => (step.name == StepName::WriteWait).then(|| step.clone()),
        _ => None,
    };
    let step = stage
        .until(&start, "wait", |reports| reports.iter().find_map(find))
        .await;
    assert_eq!(
        (step.ms, step.detail.as_deref()),
        (70, Some("edit src/lib.rs"))
    );
}
