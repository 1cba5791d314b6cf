//! A runner that is killed at a certain moment: what it was doing is done once in the end.

use protocol::command::Command;
use sandbox_runner::sandbox::cgroup::Driver;

use super::*;

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
