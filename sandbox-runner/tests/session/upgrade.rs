//! A machine whose system is not the one that its images were made on.

use protocol::callback::Register;
use protocol::command::{BuildImage, Command};
use protocol::image::ImageOutcome;
use serde_json::Value;

use crate::stage::Stage;

fn is_stale(register: &Register, order: &BuildImage) -> Option<bool> {
    let mut images = register.images.iter();
    let found = images.find(|held| held.image == order.image)?;
    Some(found.stale)
}

/// What the runner has on record of the newest image of `main`.
fn read(stage: &Stage) -> Value {
    serde_json::from_slice(&std::fs::read(stage.newest_image("main")).unwrap()).unwrap()
}

fn layers(image: &Value) -> Vec<Value> {
    image["layers"].as_array().unwrap().clone()
}

async fn made(stage: &Stage, seed: u8) -> (BuildImage, ImageOutcome) {
    let order = stage.order("main", seed);
    stage.accept(&Command::BuildImage(order.clone())).await;
    let told = stage
        .worker
        .heard(&order.image, |heard| !heard.outcomes.is_empty());
    let outcome = told.await.outcomes.remove(0);
    (order, outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_of_an_earlier_system_is_told_and_made_anew_from_a_fresh_clone() {
    let mut stage = Stage::start().await;
    let (first, _) = made(&stage, 1).await;
    stage
        .worker
        .until_registered(|register| is_stale(register, &first) == Some(false))
        .await;

    stage.kill_runner().await;
    let mut image = read(&stage);
    image["ground"]["system"]["packages"] = "what was installed before".into();
    let known = layers(&image);
    std::fs::write(stage.newest_image("main"), image.to_string()).unwrap();
    stage.start_runner().await;
    stage
        .worker
        .until_registered(|register| is_stale(register, &first) == Some(true))
        .await;

    let (second, outcome) = made(&stage, 2).await;
    let ImageOutcome::Ready(built) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(built.reason, "the system's packages changed");
    let new = layers(&read(&stage));
    assert!(known.iter().all(|layer| !new.contains(layer)), "{new:?}");
    stage
        .worker
        .until_registered(|register| is_stale(register, &second) == Some(false))
        .await;
    stage.worker.assert_faultless();
}
