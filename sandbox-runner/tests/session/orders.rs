//! Orders for images, which are carried out and reported whatever happens in between.

use protocol::ImageId;
use protocol::callback::{PromptResult, Register, Report};
use protocol::command::{BuildImage, Command, Start};
use protocol::image::{EnvironmentName, ImageOutcome, Specification};

use crate::stage::{Heard, Stage};

/// A set-up that goes on when the forge has the branch `go`.
const WAITING: &str = "\
    echo waiting here; \
    until git ls-remote --exit-code origin go > /dev/null 2>&1; do sleep 0.1; done; \
    echo and on\n";
const SETUP: &str = ".agents/setup.sh";

fn let_go(stage: &Stage) {
    stage.git(&["branch", "go", "main"]);
}

async fn ordered(stage: &Stage, branch: &str, seed: u8) -> BuildImage {
    let order = stage.order(branch, seed);
    stage.accept(&Command::BuildImage(order.clone())).await;
    order
}

fn waits(heard: &Heard) -> bool {
    heard.log.contains("waiting here\n")
}

fn is_told(heard: &Heard) -> bool {
    !heard.outcomes.is_empty()
}

fn assert_made_once(heard: &Heard) {
    let [ImageOutcome::Ready(image)] = heard.outcomes.as_slice() else {
        panic!("{:?}", heard.outcomes);
    };
    assert_eq!(image.reason, "no image yet");
    assert_eq!(image.steps.len(), 1);
    assert!(image.steps[0].success);
}

fn held(register: &Register, image: &ImageId) -> Option<i64> {
    let mut images = register.images.iter();
    let found = images.find(|held| held.image == *image)?;
    Some(found.built_at.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_told_while_it_grows_and_the_outcome_once_however_often_it_is_ordered() {
    let stage = Stage::start().await;
    stage.commit("main", SETUP, WAITING);
    let order = ordered(&stage, "main", 1).await;
    stage.worker.heard(&order.image, waits).await;
    stage.accept(&Command::BuildImage(order.clone())).await;
    let_go(&stage);
    let heard = stage.worker.heard(&order.image, is_told).await;
    assert_made_once(&heard);
    assert_eq!(heard.log, stage.image_log("main"));
    stage
        .worker
        .until_registered(|register| held(register, &order.image).is_some())
        .await;

    let second = ordered(&stage, "main", 2).await;
    let heard = stage.worker.heard(&second.image, is_told).await;
    let commit = stage.git(&["rev-parse", "main"]);
    assert_eq!(heard.outcomes, [ImageOutcome::Unchanged { commit }]);

    let failing = ordered(&stage, "no-such-branch", 3).await;
    let heard = stage.worker.heard(&failing.image, is_told).await;
    let [ImageOutcome::Failed { message }] = heard.outcomes.as_slice() else {
        panic!("{:?}", heard.outcomes);
    };
    assert!(
        message.starts_with("git clone failed, exit code 128: "),
        "{message}"
    );
    let first = stage.worker.heard(&order.image, is_told).await;
    assert_eq!(first.outcomes.len(), 1);
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_is_begun_again_when_the_runner_is_killed_in_it_and_killed_once_more() {
    let mut stage = Stage::start().await;
    stage.commit("main", SETUP, WAITING);
    let order = ordered(&stage, "main", 1).await;
    for beginnings in 1..3 {
        let begun = |heard: &Heard| heard.beginnings >= beginnings && waits(heard);
        stage.worker.heard(&order.image, begun).await;
        stage.kill_runner().await;
        let known = stage.worker.heard(&order.image, |_| true).await;
        assert_eq!(known.outcomes, []);
        stage.start_runner().await;
    }
    let_go(&stage);
    let heard = stage.worker.heard(&order.image, is_told).await;
    assert_made_once(&heard);
    assert_eq!(heard.log, stage.image_log("main"));
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_was_made_before_the_runner_was_killed_is_only_told_again() {
    let mut stage = Stage::start().await;
    stage.worker.set_deaf(true);
    let order = ordered(&stage, "main", 1).await;
    let is_held = |register: &Register| held(register, &order.image).is_some();
    stage.worker.until_registered(is_held).await;
    let built_at = |stage: &Stage| {
        stage
            .worker
            .with(|told| held(told.registered().last().unwrap(), &order.image))
    };
    let before = built_at(&stage);
    stage.kill_runner().await;
    stage.worker.set_deaf(false);
    stage.start_runner().await;
    let heard = stage.worker.heard(&order.image, is_told).await;
    assert!(matches!(
        heard.outcomes.as_slice(),
        [ImageOutcome::Ready(_)]
    ));
    assert_eq!(heard.log, stage.image_log("main"));
    stage.worker.until_registered(is_held).await;
    assert_eq!(built_at(&stage), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_orders_are_carried_out_at_a_time_and_a_session_waits_for_neither() {
    let stage = Stage::start().await;
    let mut orders = Vec::new();
    for (branch, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        stage.commit(branch, SETUP, WAITING);
        orders.push(ordered(&stage, branch, seed).await);
    }
    for order in &orders[..2] {
        stage.worker.heard(&order.image, waits).await;
    }
    // It makes the image of `main` first.
    let start = stage.open(1).await;
    stage.ready(&start).await;
    let third = &orders[2].image;
    assert_eq!(stage.worker.heard(third, |_| true).await.log, "");

    let_go(&stage);
    for order in &orders {
        assert_made_once(&stage.worker.heard(&order.image, is_told).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_nobody_wants_any_more_is_told_no_further() {
    let mut stage = Stage::start().await;
    stage.commit("main", SETUP, WAITING);
    stage.worker.set_void(true);
    let order = ordered(&stage, "main", 1).await;
    let refused = |heard: &Heard| heard.refusals > 0;
    stage.worker.heard(&order.image, refused).await;
    stage.worker.set_void(false);
    let_go(&stage);
    // Made after the first one, which is forgotten then, and not told when the runner is back.
    for seed in 2..4 {
        let next = ordered(&stage, "main", seed).await;
        stage.worker.heard(&next.image, is_told).await;
        stage.kill_runner().await;
        stage.start_runner().await;
    }
    let heard = stage.worker.heard(&order.image, |_| true).await;
    assert_eq!((heard.reports, heard.refusals), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_starts_from_an_environments_image_like_from_any() {
    let stage = Stage::start().await;
    let environment = Some(EnvironmentName::parse("legacy").unwrap());
    let mut order = stage.order("main", 1);
    order.base.environment.clone_from(&environment);
    order.specification = Some(Specification {
        setup: Some("echo of legacy > ~/made".to_owned()),
        ..Specification::default()
    });
    stage.accept(&Command::BuildImage(order.clone())).await;
    assert_made_once(&stage.worker.heard(&order.image, is_told).await);

    let start = Start {
        environment,
        ..stage.start_command(1)
    };
    let start = stage.open_as(start).await;
    let text = r#"[[bash command="cp ~/made made.txt"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["show", "agent/work:made.txt"]), "of legacy");
    let ready = |report: &Report| match report {
        Report::Ready { image, .. } => image.clone(),
        _ => None,
    };
    let used = stage.reports(&start).iter().find_map(ready);
    assert_eq!(used, Some(order.image));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_a_session_needed_is_told_as_if_it_had_been_ordered() {
    let stage = Stage::start().await;
    let start = Start {
        specification: Some(Specification {
            setup: Some("echo as the settings say".to_owned()),
            ..Specification::default()
        }),
        ..stage.start_command(1)
    };
    let start = stage.open_as(start).await;
    stage.ready(&start).await;
    stage
        .worker
        .until_registered(|register| !register.images.is_empty())
        .await;
    let registered = stage.worker.registered();
    let image = registered.images.first().unwrap();
    let heard = stage.worker.heard(&image.image, is_told).await;
    assert_made_once(&heard);
    assert!(heard.log.contains("as the settings say"), "{}", heard.log);
    assert_eq!(heard.base.as_ref(), Some(&image.base));
    stage
        .until(&start, "its restore", |reports| {
            let said = |report: &Report| {
                let Report::Step { step } = report else {
                    return false;
                };
                step.detail.as_deref() == Some("from the image that was just made")
            };
            reports.iter().any(said).then_some(())
        })
        .await;
    stage.worker.assert_faultless();
}
