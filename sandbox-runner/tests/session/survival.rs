//! A prompt that is running survives whatever ends: the agent, the sandbox, the runner, its machine.

use std::time::Duration;

use protocol::callback::{PromptResult, Report};
use protocol::command::{Command, Start};
use protocol::event::StepName;
use protocol::{PromptId, SnapshotId};
use sandbox_runner::sandbox::cgroup::Driver;

use crate::stage::{LIMIT, Stage};
use crate::warm::kept;

/// What is told of a lost sandbox: the snapshot that it left, if it did.
pub(crate) async fn lost(stage: &Stage, start: &Start) -> Option<SnapshotId> {
    stage
        .until(start, "loss", |reports| {
            let lost = |report: &Report| matches!(report, Report::Lost { .. });
            reports.iter().any(lost).then(|| newest(reports))
        })
        .await
}

pub(crate) fn newest(reports: &[Report]) -> Option<SnapshotId> {
    let find = |report: &Report| match report {
        Report::Snapshotted { snapshot, .. } => Some(snapshot.clone()),
        _ => None,
    };
    reports.iter().rev().find_map(find)
}

/// The session's next sandbox, from what it was told of last.
pub(crate) async fn open_from(stage: &Stage, epoch: u32, snapshot: Option<SnapshotId>) -> Start {
    let start = Start {
        snapshot,
        ..stage.start_command(epoch)
    };
    stage.open_as(start).await
}

/// Waits for something that nobody tells of.
pub(crate) async fn until(wanted: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("no {wanted}"));
}

pub(crate) async fn is_at_work(stage: &Stage, start: &Start, prompt: &PromptId) {
    stage
        .until(start, "running program", |reports| {
            let begun = |report: &Report| matches!(report, Report::Delta { text, .. } if text.contains("begun"));
            let of = |report: &Report| matches!(report, Report::PartStarted { prompt: one, .. } if one == prompt);
            (reports.iter().any(begun) && reports.iter().any(of)).then_some(())
        })
        .await;
}

pub(crate) const WORK: &str = r#"remember the word heron
    [[bash command="echo kept > a.txt; mkdir -p ~/notes; echo ignored > ~/notes/word"]]
    [[bash command="echo begun; sleep 300"]]"#;
pub(crate) const GO_ON: &str =
    r#"[[bash command="cat a.txt ~/notes/word > both.txt"]] [[say text="Done."]]"#;

async fn goes_on_with_everything(stage: &Stage, second: &Start) {
    let prompt = stage.prompt_again(second, 1, GO_ON).await;
    assert_eq!(
        stage.finished(second, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["show", "agent/work:both.txt"]), "kept\nignored");
    // It is the same conversation, and nothing of it is told again.
    assert!(stage.model_was_given(&["heron", "The sandbox was lost", "cat a.txt"]));
    assert_eq!(stage.texts(second), ["(no output)", "Done."]);
    let commits = stage.git(&["rev-list", "--count", "main..agent/work"]);
    assert_eq!(commits, "1");
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_goes_on_with_all_that_was_there_when_its_sandbox_is_killed() {
    let stage = Stage::start().await;
    let first = stage.open(1).await;
    let prompt = stage.prompt(&first, 1, WORK).await;
    is_at_work(&stage, &first, &prompt).await;
    stage.kill_sandboxes();
    let snapshot = lost(&stage, &first).await;
    assert!(snapshot.is_some(), "nothing is left of it");
    let second = open_from(&stage, 2, snapshot).await;
    goes_on_with_everything(&stage, &second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_goes_on_with_all_that_was_there_when_its_runner_is_killed_with_its_sandboxes() {
    let mut stage = Stage::start().await;
    let first = stage.open(1).await;
    let prompt = stage.prompt(&first, 1, WORK).await;
    is_at_work(&stage, &first, &prompt).await;
    // The session gives it up, and hears nothing of what is left.
    stage.kill_runner().await;
    stage.kill_sandboxes();
    stage.worker.set_deaf(true);
    stage.start_runner().await;
    let second = open_from(&stage, 2, None).await;
    stage.worker.set_deaf(false);
    goes_on_with_everything(&stage, &second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_goes_on_at_another_runner_when_the_machine_of_the_first_is_gone() {
    let mut stage = Stage::start_with_depot().await;
    let first = stage.open(1).await;
    let text = r#"remember the word heron [[bash command="mkdir -p ~/notes; echo ignored > ~/notes/word"]] [[say text="Noted."]]"#;
    let before = stage.prompt(&first, 9, text).await;
    let snapshot = kept(&stage, &first, &before).await;
    let manifest = stage.depot().join(format!("snapshots/{snapshot}.json"));
    until("snapshot in the depot", || manifest.exists()).await;
    let manifests = stage.depot().join("snapshots");
    until("image in the depot", || {
        let mut entries = std::fs::read_dir(&manifests).unwrap();
        entries.any(|entry| {
            let name = entry.unwrap().file_name();
            name.to_string_lossy().starts_with("image-")
        })
    })
    .await;
    stage.prompt(&first, 1, WORK).await;
    let parcel = stage.depot().join(format!("progress/{}/1", first.session));
    // Work upon that snapshot, and not what was done before it.
    until("work in progress in the depot", || {
        let text = std::fs::read(&parcel).unwrap_or_default();
        let label = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        // What was done before it may be kept late, and then upon it.
        String::from_utf8_lossy(label).contains(snapshot.as_str())
            && stage.files_in_progress(&text).contains(&"a.txt".to_owned())
    })
    .await;
    stage.replace_runner().await;

    let second = open_from(&stage, 2, Some(snapshot)).await;
    goes_on_with_everything(&stage, &second).await;

    // A session of its own there begins with the image that the first one made.
    let other = stage.open_for(3, 8).await;
    stage.ready(&other).await;
    let details: Vec<_> = stage
        .reports(&other)
        .iter()
        .filter_map(image_detail)
        .collect();
    assert_eq!(details, ["no image here: from the depot"]);
}

fn image_detail(report: &Report) -> Option<String> {
    match report {
        Report::Step { step } if step.name == StepName::Image => step.detail.clone(),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_was_pushed_before_the_loss_is_told_and_is_not_done_twice() {
    let mut stage = Stage::start_with_depot().await;
    let first = stage.open(1).await;
    stage.ready(&first).await;
    let text = r#"[[write path="note.txt" content="hello\n"]] [[say text="Done."]]"#;
    stage.worker.set_deaf(true);
    stage.prompt(&first, 1, text).await;
    let forge = stage.forge.clone();
    let pushed = || {
        let bare = forge.bare_repository(support::forge::ORGANIZATION, crate::stage::REPOSITORY);
        bare.join("refs/heads/agent/work").exists()
    };
    until("push", pushed).await;
    stage.replace_runner().await;
    stage.worker.set_deaf(false);
    let commit = stage.git(&["rev-parse", "agent/work"]);

    let second = open_from(&stage, 2, None).await;
    let prompt = stage.prompt_again(&second, 1, text).await;
    assert_eq!(
        stage.finished(&second, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["rev-parse", "agent/work"]), commit);
    let told = stage
        .reports(&second)
        .into_iter()
        .filter_map(|report| match report {
            Report::Pushed { commit, prompt, .. } => Some((commit, prompt)),
            _ => None,
        });
    assert_eq!(told.collect::<Vec<_>>(), [(commit, prompt)]);
    stage.worker.assert_faultless();
}

/// Kills the runner as soon as `holds`, or when it is `missed`; says whether it still held then.
async fn kill_while(
    stage: &mut Stage,
    holds: impl Fn(&Stage) -> bool,
    missed: impl Fn(&Stage) -> bool,
) -> bool {
    let watched = tokio::time::timeout(LIMIT, async {
        while !holds(stage) && !missed(stage) {
            tokio::task::yield_now().await;
        }
    });
    watched.await.expect("neither held nor missed");
    stage.kill_runner().await;
    holds(stage)
}

/// Gives a prompt to the session's sandbox, or to its next one if it turns out to be lost.
async fn prompt_somewhere(stage: &Stage, start: &mut Start, seed: u8, text: &str) -> PromptId {
    let prompt = PromptId::from_random([seed; 16]);
    let mut resumed = false;
    loop {
        if !stage.try_prompt(start, seed, text, resumed).await {
            lost(stage, start).await;
        }
        let is_finished = stage
            .until(start, "end", |reports| {
                reports.iter().find_map(|report| match report {
                    Report::PromptFinished { prompt: one, .. } if *one == prompt => Some(true),
                    Report::Lost { .. } => Some(false),
                    _ => None,
                })
            })
            .await;
        if is_finished {
            return prompt;
        }
        let snapshot = newest(&stage.reports(start)).or_else(|| start.snapshot.clone());
        *start = open_from(stage, start.epoch.0 + 1, snapshot).await;
        resumed = true;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_killed_in_the_middle_of_a_snapshot_loses_nothing() {
    let mut stage = Stage::start().await;
    let mut start = stage.open(1).await;
    let mut hits = 0;
    let mut rounds = 0;
    // The moment is short, so it is missed at times.
    while hits < 3 && rounds < 20 {
        rounds += 1;
        let text = format!(r#"[[bash command="echo {rounds} >> ~/rounds"]] [[say text="Done."]]"#);
        let prompt = prompt_somewhere(&stage, &mut start, rounds, &text).await;
        let sandbox = start.clone();
        let is_kept = |stage: &Stage| {
            let is_of = |report: &Report| matches!(report, Report::Snapshotted { prompt: of, .. } if of.as_ref() == Some(&prompt));
            stage.reports(&sandbox).iter().any(is_of)
        };
        let is_being_kept = |stage: &Stage| {
            let record = stage.record(&sandbox).unwrap_or_default();
            !record["snapshot"].is_null()
        };
        hits += usize::from(kill_while(&mut stage, is_being_kept, is_kept).await);
        stage.start_runner().await;
    }
    assert!(hits > 0, "no snapshot was ever interrupted");
    let text = r#"[[bash command="cp ~/rounds rounds.txt"]] [[say text="Done."]]"#;
    prompt_somewhere(&stage, &mut start, 99, text).await;
    let expected: Vec<String> = (1..=rounds).map(|round| round.to_string()).collect();
    let told = stage.git(&["show", "agent/work:rounds.txt"]);
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_killed_in_the_middle_of_a_restore_restores_again() {
    let mut stage = Stage::start().await;
    let first = stage.open(1).await;
    let text =
        r#"[[bash command="mkdir -p ~/notes; echo ignored > ~/notes/word; echo kept > a.txt"]]"#;
    let prompt = stage.prompt(&first, 1, text).await;
    let mut snapshot = Some(kept(&stage, &first, &prompt).await);
    let mut hits = 0;
    // The first of the two moments is short, so it is missed at times.
    for epoch in 2..=12 {
        let state = if hits < 2 { "starting" } else { "running" };
        let start = open_from(&stage, epoch, snapshot.take()).await;
        let sandbox = start.clone();
        let is = |stage: &Stage, state: &str| {
            let record = stage.record(&sandbox).unwrap_or_default();
            record["state"] == state || record["state"].get(state).is_some()
        };
        let is_hit = kill_while(
            &mut stage,
            |stage| is(stage, state),
            |stage| is(stage, "running"),
        )
        .await;
        hits += usize::from(is_hit);
        stage.start_runner().await;
        let text = format!(r#"[[bash command="cat ~/notes/word a.txt > {epoch}.txt"]]"#);
        let prompt = stage.prompt(&start, epoch as u8, &text).await;
        assert_eq!(
            stage.finished(&start, &prompt).await,
            PromptResult::Completed
        );
        let file = format!("agent/work:{epoch}.txt");
        assert_eq!(stage.git(&["show", &file]), "ignored\nkept");
        snapshot = Some(kept(&stage, &start, &prompt).await);
        if hits == 3 {
            break;
        }
    }
    assert!(hits > 0, "no restore was ever interrupted");
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_killed_in_the_middle_of_a_claim_gives_the_entry_to_nobody_else() {
    let mut stage = Stage::start().await;
    // The moment is short, so it is missed at times.
    for round in 1..=12 {
        let warm = stage.warm(|_| true).await;
        let start = Start {
            warm: Some(warm.sandbox.clone()),
            ..stage.start_command(round)
        };
        let start = stage.open_as(start).await;
        let claim = stage.claims();
        let is_hit = kill_while(
            &mut stage,
            |_| claim.is_under_way(&start),
            |_| claim.is_served(&start),
        )
        .await;
        stage.start_runner().await;
        let text = format!(r#"[[bash command="echo {round} > {round}.txt"]]"#);
        let prompt = stage.prompt(&start, round as u8, &text).await;
        assert_eq!(
            stage.finished(&start, &prompt).await,
            PromptResult::Completed
        );
        let file = format!("agent/work:{round}.txt");
        assert_eq!(stage.git(&["show", &file]), round.to_string());
        if is_hit {
            let entry = stage.state().join("sandboxes").join(warm.sandbox.as_str());
            until("end of the entry", || !entry.exists()).await;
            let next = stage.warm(|_| true).await;
            assert_ne!(next.sandbox, warm.sandbox);
            stage.worker.assert_faultless();
            return;
        }
        let sandbox = start.sandbox.clone();
        stage.accept(&Command::End { sandbox }).await;
    }
    panic!("no claim was ever interrupted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_killed_in_the_middle_of_a_callback_loses_and_repeats_nothing() {
    let mut stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    stage.worker.set_holding(true);
    let text = r#"[[write path="a.txt" content="a"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    // The session has it, and the runner never learns that.
    stage.worker.holds_a_callback().await;
    stage.kill_runner().await;
    stage.worker.set_holding(false);
    stage.start_runner().await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(
        stage.texts(&start).last().map(String::as_str),
        Some("Done.")
    );
    assert_eq!(stage.git(&["show", "agent/work:a.txt"]), "a");
    let reports = stage.reports(&start);
    let ends = |report: &&Report| matches!(report, Report::PromptFinished { .. });
    assert_eq!(reports.iter().filter(ends).count(), 1);
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_wants_any_more_when_a_killed_runner_is_back_is_removed() {
    let mut stage = Stage::start().await;
    stage.commit("slow", ".agents/setup.sh", "echo at it; sleep 300");
    let order = stage.order("slow", 1);
    stage.accept(&Command::BuildImage(order.clone())).await;
    let is_at_it = |heard: &crate::stage::Heard| heard.log.contains("at it\n");
    stage.worker.heard(&order.image, is_at_it).await;
    let start = stage.open(1).await;
    let prompt = stage.prompt(&start, 1, WORK).await;
    is_at_work(&stage, &start, &prompt).await;
    let groups = Driver::detect(&stage.state());
    let before = groups.list().unwrap();
    let sandboxes = stage.state().join("sandboxes");
    assert_eq!(std::fs::read_dir(&sandboxes).unwrap().count(), 2);
    stage.kill_runner().await;

    // Nobody asks for that image again, and the session is over.
    stage.forget_orders();
    stage.worker.set_void(true);
    stage.start_runner().await;
    until("end of what was left", || {
        std::fs::read_dir(&sandboxes).unwrap().count() == 0
    })
    .await;
    let after = groups.list().unwrap();
    let left = before.iter().filter(|group| after.contains(group));
    assert_eq!(left.count(), 0, "{before:?} {after:?}");
    let path = stage.state().display().to_string();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&path), "{mounts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_that_was_told_to_sleep_does_so_whenever_the_runner_is_killed() {
    let mut stage = Stage::start().await;
    let mut snapshot = None;
    let is_end = |report: &Report| match report {
        Report::Slept { snapshot } => Some(Ok(snapshot.clone())),
        Report::Lost { reason } => Some(Err(reason.clone())),
        _ => None,
    };
    // At once, while the files of the last prompt may still be kept; while they are; while it sleeps.
    for (epoch, moment) in [(1, Moment::Told), (2, Moment::Keeping), (3, Moment::Ending)] {
        let start = open_from(&stage, epoch, snapshot.take()).await;
        let text = format!(r#"[[bash command="echo {epoch} >> ~/rounds"]] [[say text="Done."]]"#);
        let prompt = stage.prompt(&start, epoch as u8, &text).await;
        stage.finished(&start, &prompt).await;
        if moment == Moment::Ending {
            kept(&stage, &start, &prompt).await;
        }
        let sandbox = start.sandbox.clone();
        stage.accept(&Command::Sleep { sandbox }).await;
        let sandbox = start.clone();
        let record = |stage: &Stage| stage.record(&sandbox).unwrap_or_default();
        kill_while(
            &mut stage,
            |stage| match moment {
                Moment::Told => true,
                Moment::Keeping => !record(stage)["snapshot"].is_null(),
                Moment::Ending => record(stage)["state"] == "stopped",
            },
            |stage| {
                stage
                    .reports(&sandbox)
                    .iter()
                    .any(|one| is_end(one).is_some())
            },
        )
        .await;
        stage.start_runner().await;
        let slept = stage
            .until(&start, "sleep", |reports| reports.iter().find_map(is_end))
            .await;
        snapshot = Some(slept.unwrap());
    }
    let start = open_from(&stage, 4, snapshot).await;
    let text = r#"[[bash command="cp ~/rounds rounds.txt"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&start, 4, text).await;
    stage.finished(&start, &prompt).await;
    assert_eq!(stage.git(&["show", "agent/work:rounds.txt"]), "1\n2\n3");
    stage.worker.assert_faultless();
}

/// When a runner is killed that has told a sandbox to sleep.
#[derive(Clone, Copy, PartialEq)]
enum Moment {
    Told,
    Keeping,
    Ending,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_killed_right_after_a_sandbox_was_made_makes_it_again() {
    let mut stage = Stage::start().await;
    // So that there is an image, and the sandbox is made at once.
    let before = stage.open_for(1, 8).await;
    stage.ready(&before).await;
    let start = stage.open(2).await;
    let prompt = stage
        .prompt(
            &start,
            1,
            r#"[[write path="a.txt" content="a"]] [[say text="Done."]]"#,
        )
        .await;
    let sandbox = start.clone();
    kill_while(
        &mut stage,
        move |stage| {
            let record = stage.record(&sandbox).unwrap_or_default();
            record["state"].get("running").is_some()
        },
        |_| false,
    )
    .await;
    stage.start_runner().await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["show", "agent/work:a.txt"]), "a");
    stage.worker.assert_faultless();
}
