//! What people write in a terminal outlives the machine without any prompt.

use futures_util::SinkExt as _;
use protocol::callback::PromptResult;
use tokio_tungstenite::tungstenite::Message;

use crate::stage::Stage;
use crate::survival::{open_from, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_typed_without_a_prompt_is_there_when_the_machine_is_gone() {
    let mut stage = Stage::start_with_depot().await;
    let first = stage.open(1).await;
    stage.ready(&first).await;
    let mut screen = stage.terminal(&first).await;
    let typed = b"cd ~/workspace; echo mine > by-hand.txt\n".to_vec();
    screen.send(Message::binary(typed)).await.unwrap();
    let parcel = stage.depot().join(format!("progress/{}/1", first.session));
    until("work in progress in the depot", || {
        let kept = std::fs::read(&parcel).unwrap_or_default();
        kept.contains(&b'\n')
            && stage
                .files_in_progress(&kept)
                .contains(&"by-hand.txt".to_owned())
    })
    .await;

    stage.replace_runner().await;
    let second = open_from(&stage, 2, None).await;
    let prompt = stage.prompt(&second, 2, r#"[[bash command="ls"]]"#).await;
    assert_eq!(
        stage.finished(&second, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["show", "agent/work:by-hand.txt"]), "mine");
}
