//! A machine that goes away while sessions rest and work on it.

use std::collections::BTreeSet;

use protocol::SnapshotId;
use protocol::callback::{PromptResult, Report};
use protocol::command::{Command, Start};

use crate::stage::{LIMIT, Stage};
use crate::survival::{GO_ON, WORK, is_at_work, lost, newest, open_from, until};
use crate::warm::kept;

fn is_in_depot(stage: &Stage, snapshot: &SnapshotId) -> bool {
    let manifest = format!("snapshots/{snapshot}.json");
    stage.depot().join(manifest).is_file()
}

/// The snapshot that a sandbox became which was put to sleep.
fn slept(reports: &[Report]) -> Option<SnapshotId> {
    reports.iter().find_map(|report| match report {
        Report::Slept { snapshot } => Some(snapshot.clone()),
        _ => None,
    })
}

/// Whether a session was told that its sandbox is no more.
fn is_told(reports: &[Report]) -> bool {
    let tells = |report: &Report| matches!(report, Report::Slept { .. } | Report::Lost { .. });
    reports.iter().any(tells)
}

/// The sandbox of which a line of the log says this.
fn sandbox_of(line: &str, said: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fits = line["fields"]["message"] == said;
    fits.then(|| line["span"]["sandbox"].as_str().map(str::to_owned))?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_go_on_elsewhere_when_their_machine_goes_away() {
    let mut stage = Stage::start_with_depot().await;
    stage.warm(|_| true).await;
    let resting = stage.open(1).await;
    let text = r#"remember the word stork [[bash command="mkdir -p ~/notes; echo hidden > ~/notes/word"]] [[say text="Noted."]]"#;
    let prompt = stage.prompt(&resting, 1, text).await;
    stage.finished(&resting, &prompt).await;
    let working = stage.open_for(2, 8).await;
    let prompt = stage.prompt(&working, 2, WORK).await;
    is_at_work(&stage, &working, &prompt).await;
    // It has only been told to start.
    let starting = stage.open_for(3, 9).await;
    stage.retire_runner().await;

    let slept = slept(&stage.reports(&resting));
    let left = lost(&stage, &working).await;
    assert!(left.is_some(), "nothing is left of it");
    for start in [&working, &starting] {
        let reason = stage
            .reports(start)
            .into_iter()
            .find_map(|report| match report {
                Report::Lost { reason } => Some(reason),
                _ => None,
            });
        assert_eq!(
            reason.as_deref(),
            Some("the machine of the sandbox is taken out of service")
        );
    }

    let woken = open_from(&stage, 4, Some(slept.expect("it does not sleep"))).await;
    let text = r#"[[bash command="cat ~/notes/word > word.txt"]] [[say text="Here it is."]]"#;
    let prompt = stage.prompt(&woken, 4, text).await;
    assert_eq!(
        stage.finished(&woken, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["show", "agent/work:word.txt"]), "hidden");
    assert!(stage.model_was_given(&["stork", "cat ~/notes/word"]));

    let resumed = Start {
        sandbox: stage.start_command(5).sandbox,
        epoch: stage.start_command(5).epoch,
        snapshot: left,
        ..working
    };
    let resumed = stage.open_as(resumed).await;
    let prompt = stage.prompt_again(&resumed, 2, GO_ON).await;
    assert_eq!(
        stage.finished(&resumed, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(
        stage.git(&["show", "agent/work-8:both.txt"]),
        "kept\nignored"
    );
    assert!(stage.model_was_given(&["heron", "The sandbox was lost", "cat a.txt"]));
    stage.worker.assert_faultless();
}

/// The next runner has the sandbox as it was.
async fn goes_on_here(stage: &mut Stage, start: &Start) {
    stage.start_runner().await;
    let prompt = stage.prompt(start, 1, r#"[[say text="Hello."]]"#).await;
    assert_eq!(
        stage.finished(start, &prompt).await,
        PromptResult::Completed
    );
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_without_a_depot_is_not_cleared() {
    let mut stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    stage.kill_runner().await;
    let (success, said) = stage.try_to_retire().await;
    assert!(!success && said.contains("DEPOT_URL"), "{said}");
    goes_on_here(&mut stage, &start).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_is_told_before_the_depot_has_what_its_sandbox_held() {
    let mut stage = Stage::start_with_depot().await;
    let resting = stage.open(1).await;
    let text = r#"[[write path="a.txt" content="a"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&resting, 1, text).await;
    let snapshot = kept(&stage, &resting, &prompt).await;
    until("snapshot in the depot", || is_in_depot(&stage, &snapshot)).await;
    let working = stage.open_for(2, 8).await;
    let prompt = stage.prompt(&working, 2, WORK).await;
    is_at_work(&stage, &working, &prompt).await;
    stage.kill_runner().await;

    // Layers can be brought there, and none of what says what they are.
    let (snapshots, aside) = (stage.depot().join("snapshots"), stage.depot().join("aside"));
    std::fs::rename(&snapshots, &aside).unwrap();
    std::os::unix::fs::symlink("nowhere", &snapshots).unwrap();
    let mut retiring = stage.begin_to_retire().await;
    let mut refused = BTreeSet::new();
    while refused.len() < 2 {
        let more = |line: &str| {
            let sandbox = sandbox_of(line, "a snapshot is not in the depot yet")?;
            (!refused.contains(&sandbox)).then_some(sandbox)
        };
        let more = retiring.wait_for("refusal", LIMIT, more).await;
        refused.insert(more.unwrap());
    }
    for start in [&resting, &working] {
        assert!(!is_told(&stage.reports(start)), "{:?}", start.session);
    }
    // Whatever it had done by then, it is done again.
    retiring.kill().await;
    std::fs::remove_file(&snapshots).unwrap();
    std::fs::rename(&aside, &snapshots).unwrap();
    let (success, said) = stage.try_to_retire().await;
    assert!(success, "{said}");
    assert!(said.contains("Ended 2 sandboxes"), "{said}");
    let slept = slept(&stage.reports(&resting)).expect("it does not sleep");
    let left = newest(&stage.reports(&working)).expect("nothing is left of it");
    assert!(is_in_depot(&stage, &slept) && is_in_depot(&stage, &left));
    assert!(is_told(&stage.reports(&working)));
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_of_which_nothing_can_be_kept_is_said_and_the_others_are_kept() {
    let mut stage = Stage::start_with_depot().await;
    let first = stage.open(1).await;
    let prompt = stage.prompt(&first, 1, WORK).await;
    is_at_work(&stage, &first, &prompt).await;
    let second = stage.open_for(2, 8).await;
    let prompt = stage.prompt(&second, 2, WORK).await;
    is_at_work(&stage, &second, &prompt).await;
    stage.kill_runner().await;
    stage.kill_sandboxes();
    // What it wrote last may have been in the memory of the machine, and nowhere else.
    stage.forget_boot(&second);
    let (success, said) = stage.try_to_retire().await;
    assert!(!success, "{said}");
    let last = said.lines().last().unwrap();
    let expected = "sandbox-runner: the runner cannot work: ended 2 sandboxes; of 1 nothing could be \
                    kept, and 0 snapshots from before never reached the depot: see the log";
    assert_eq!(last, expected);
    let unkept = said
        .lines()
        .filter_map(|line| sandbox_of(line, "nothing could be kept of a sandbox"));
    assert_eq!(unkept.collect::<Vec<_>>(), [second.sandbox.to_string()]);

    let left = newest(&stage.reports(&first)).expect("nothing is left of it");
    assert!(is_in_depot(&stage, &left));
    assert_eq!(newest(&stage.reports(&second)), None);
    for start in [&first, &second] {
        assert!(is_told(&stage.reports(start)), "{:?}", start.session);
    }
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_whose_depot_does_not_answer_is_not_cleared() {
    let mut stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    stage.kill_runner().await;
    let (success, said) = stage.try_to_retire_into_nothing().await;
    assert!(!success, "{said}");
    assert!(said.contains("the depot cannot be reached"), "{said}");
    goes_on_here(&mut stage, &start).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_never_reached_the_depot_is_counted_and_said() {
    let mut stage = Stage::start_with_depot().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    // Nothing that says what a layer is can be brought there.
    let snapshots = stage.depot().join("snapshots");
    let _ = std::fs::remove_dir_all(&snapshots);
    std::os::unix::fs::symlink("nowhere", &snapshots).unwrap();
    let sandbox = start.sandbox.clone();
    stage.accept(&Command::Sleep { sandbox }).await;
    let slept = stage.until(&start, "sleep", slept).await;
    stage.kill_runner().await;
    std::fs::remove_file(&snapshots).unwrap();
    // The disk has lost the files before they were anywhere else.
    let layers = std::fs::read_dir(stage.state().join("layers")).unwrap();
    let own = |path: &std::path::PathBuf| path.to_string_lossy().contains(start.sandbox.as_str());
    let own: Vec<_> = layers
        .map(|entry| entry.unwrap().path())
        .filter(own)
        .collect();
    assert_eq!(own.len(), 1, "{own:?}");
    std::fs::remove_dir_all(&own[0]).unwrap();

    let (success, said) = stage.try_to_retire().await;
    assert!(!success, "{said}");
    let last = said.lines().last().unwrap();
    // Its sandbox may be on record still, as one that has told its end.
    let expected = "sandboxes; of 0 nothing could be kept, and 1 snapshots from before never reached \
                    the depot: see the log";
    assert!(last.ends_with(expected), "{last}");
    assert!(!is_in_depot(&stage, &slept));
    stage.worker.assert_faultless();
}
