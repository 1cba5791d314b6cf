//! Sandboxes that were ready before the session was, and sessions that go on from a snapshot.

use protocol::callback::{PromptResult, Register, Report, WarmSandbox};
use protocol::command::{Command, Refresh, Start};
use protocol::event::StepName;
use protocol::{PartId, PromptId, SessionId, SnapshotId};

use crate::stage::Stage;

async fn open_warm(stage: &Stage, epoch: u32, warm: &WarmSandbox) -> Start {
    let start = Start {
        warm: Some(warm.sandbox.clone()),
        ..stage.start_command(epoch)
    };
    stage.open_as(start).await
}

fn is_warm(report: &Report) -> Option<()> {
    match report {
        Report::Step { step } if step.name == StepName::Restore => {
            (step.detail.as_deref() == Some("warm")).then_some(())
        }
        _ => None,
    }
}

pub(crate) async fn slept(stage: &Stage, start: &Start) -> SnapshotId {
    let sandbox = start.sandbox.clone();
    stage.accept(&Command::Sleep { sandbox }).await;
    let find = |report: &Report| match report {
        Report::Slept { snapshot } => Some(snapshot.clone()),
        _ => None,
    };
    stage
        .until(start, "sleep", |reports| reports.iter().find_map(find))
        .await
}

pub(crate) async fn kept(stage: &Stage, start: &Start, prompt: &PromptId) -> SnapshotId {
    let find = |report: &Report| match report {
        Report::Snapshotted {
            snapshot,
            prompt: of,
        } => (of.as_ref() == Some(prompt)).then(|| snapshot.clone()),
        _ => None,
    };
    stage
        .until(start, "snapshot", |reports| reports.iter().find_map(find))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_claims_a_warm_sandbox_waits_for_no_agent_and_works_like_any() {
    let stage = Stage::start().await;
    let warm = stage.warm(|_| true).await;
    let start = open_warm(&stage, 1, &warm).await;
    let text = r#"[[write path="note.txt" content="x"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    assert!(stage.reports(&start).iter().find_map(is_warm).is_some());
    assert!(!stage.steps(&start).contains(&StepName::AgentUp));
    assert_eq!(stage.git(&["show", "agent/work:note.txt"]), "x");

    // The pool fills up again, and never with what was given away.
    stage.warm(|entry| entry.sandbox != warm.sandbox).await;
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_sandbox_is_given_to_one_of_two_sessions_and_the_other_starts_from_the_image() {
    let stage = Stage::start().await;
    let warm = stage.warm(|_| true).await;
    let other = Start {
        warm: Some(warm.sandbox.clone()),
        session: SessionId::from_random([8; 16]),
        work_branch: "agent/work-8".to_owned(),
        ..stage.start_command(2)
    };
    let (first, second) = tokio::join!(open_warm(&stage, 1, &warm), stage.open_as(other));
    let mut claimed = 0;
    for (seed, start) in [(1, &first), (2, &second)] {
        let prompt = stage.prompt(start, seed, r#"[[say text="Hello."]]"#).await;
        assert_eq!(
            stage.finished(start, &prompt).await,
            PromptResult::Completed
        );
        claimed += stage.reports(start).iter().filter_map(is_warm).count();
    }
    assert_eq!(claimed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leased_entry_that_nobody_came_for_is_replaced_and_who_comes_late_starts_from_the_image()
{
    let stage = Stage::start().await;
    let leased = stage.warm(|_| true).await;
    stage
        .worker
        .with(|told| told.lapsed = vec![leased.sandbox.clone()]);
    let hint = Refresh {
        repository: leased.base.repository.clone(),
    };
    assert_eq!(stage.ask("/refresh", &hint).await.0, 204);
    stage.warm(|entry| entry.sandbox != leased.sandbox).await;
    let gone = stage
        .state()
        .join("sandboxes")
        .join(leased.sandbox.as_str());
    assert!(!gone.exists());

    let start = open_warm(&stage, 1, &leased).await;
    let prompt = stage.prompt(&start, 1, r#"[[say text="Hello."]]"#).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.reports(&start).iter().find_map(is_warm), None);
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_an_older_image_is_replaced_when_the_newer_one_is_made() {
    let stage = Stage::start().await;
    let old = stage.warm(|_| true).await;
    stage.move_main("README.md", "# hello again\n");
    let order = stage.order("main", 10);
    stage.accept(&Command::BuildImage(order.clone())).await;
    let replaced = |register: &Register| {
        let warm = register.warm.as_slice();
        matches!(warm, [entry] if entry.image == order.image && entry.sandbox != old.sandbox)
    };
    stage.worker.until_registered(replaced).await;
    let new = stage.worker.registered().warm.remove(0);
    let start = open_warm(&stage, 1, &new).await;
    let text = r#"[[bash command="cat README.md"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    assert!(stage.reports(&start).iter().find_map(is_warm).is_some());
    assert!(stage.texts(&start)[0].contains("# hello again"));
    let gone = stage.state().join("sandboxes").join(old.sandbox.as_str());
    assert!(!gone.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warm_sandboxes_are_taken_over_by_a_restarted_runner() {
    let mut stage = Stage::start().await;
    let warm = stage.warm(|_| true).await;
    stage.kill_runner().await;
    stage.start_runner().await;
    stage.warm(|entry| entry.sandbox == warm.sandbox).await;
    let start = open_warm(&stage, 1, &warm).await;
    let prompt = stage.prompt(&start, 1, r#"[[say text="Hello."]]"#).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    assert!(stage.reports(&start).iter().find_map(is_warm).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleeping_session_wakes_with_its_files_and_its_conversation() {
    let stage = Stage::start().await;
    let first = stage.open(1).await;
    // Ignored by git, so that it is in no commit.
    let text = r#"remember the word heron [[bash command="mkdir -p ~/notes; echo kept > ~/notes/word"]] [[say text="Noted."]]"#;
    let prompt = stage.prompt(&first, 1, text).await;
    assert_eq!(
        stage.finished(&first, &prompt).await,
        PromptResult::Completed
    );
    let snapshot = slept(&stage, &first).await;

    let second = Start {
        snapshot: Some(snapshot),
        ..stage.start_command(2)
    };
    let second = stage.open_as(second).await;
    let text = r#"[[bash command="cat ~/notes/word > word.txt"]] [[say text="Here it is."]]"#;
    let prompt = stage.prompt(&second, 2, text).await;
    assert_eq!(
        stage.finished(&second, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["show", "agent/work:word.txt"]), "kept");
    // What was said before is not said again, and the model was given it.
    assert_eq!(stage.texts(&second), ["(no output)", "Here it is."]);
    assert!(stage.model_was_given(&["heron", "cat ~/notes/word"]));
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_in_a_warm_sandbox_writes_on_a_newer_commit_than_its_image_has() {
    let stage = Stage::start().await;
    let warm = stage.warm(|_| true).await;
    let newer = stage.move_main("README.md", "# hello again\n");
    let start = open_warm(&stage, 1, &warm).await;
    let text = r#"[[bash command="touch made; cat README.md"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    assert!(stage.reports(&start).iter().find_map(is_warm).is_some());
    let texts = stage.texts(&start);
    assert!(texts[0].contains("# hello again"), "{texts:?}");
    assert_eq!(stage.git(&["rev-parse", "agent/work~1"]), newer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_wakes_is_not_moved_to_what_is_newer() {
    let stage = Stage::start().await;
    let first = stage.open(1).await;
    let old = stage.git(&["rev-parse", "main"]);
    let prompt = stage.prompt(&first, 1, r#"[[say text="Hello."]]"#).await;
    stage.finished(&first, &prompt).await;
    let snapshot = slept(&stage, &first).await;
    stage.move_main("README.md", "# hello again\n");
    let second = Start {
        snapshot: Some(snapshot),
        ..stage.start_command(2)
    };
    let second = stage.open_as(second).await;
    let text = r#"[[bash command="touch made"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&second, 2, text).await;
    assert_eq!(
        stage.finished(&second, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["rev-parse", "agent/work~1"]), old);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_goes_on_from_the_end_of_any_turn_and_is_a_session_of_its_own() {
    let stage = Stage::start().await;
    let first = stage.open(1).await;
    let text = r#"remember the word heron [[bash command="mkdir -p ~/notes; echo one > ~/notes/word; echo 1 > one.txt"]]"#;
    let prompt = stage.prompt(&first, 1, text).await;
    let snapshot = kept(&stage, &first, &prompt).await;
    let forked_at = stage.git(&["rev-parse", "agent/work"]);
    // The sandbox goes on upon what was kept, and that stays as it was.
    let text = r#"[[bash command="echo two >> ~/notes/word; cat ~/notes/word > word.txt"]]"#;
    let later = stage.prompt(&first, 2, text).await;
    kept(&stage, &first, &later).await;
    assert_eq!(stage.git(&["show", "agent/work:word.txt"]), "one\ntwo");
    let before = stage.git(&["rev-parse", "agent/work"]);

    let fork = Start {
        session: SessionId::from_random([8; 16]),
        work_branch: "agent/fork".to_owned(),
        first_part: PartId(1),
        snapshot: Some(snapshot),
        ..stage.start_command(2)
    };
    let fork = stage.open_as(fork).await;
    // A command that writes begins when the branch is the fork's own.
    let text = r#"[[bash command="touch ~/notes/read; git branch --show-current; cat ~/notes/word"]] [[say text="Read."]]"#;
    let prompt = stage.prompt(&fork, 3, text).await;
    assert_eq!(
        stage.finished(&fork, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.texts(&fork), ["agent/fork\none\n", "Read."]);
    assert!(stage.model_was_given(&["heron", "git branch --show-current"]));
    // What the other session did is not this one's to push.
    assert_eq!(stage.git(&["branch", "--list", "agent/fork"]), "");

    let push =
        "git push http://127.0.0.1:3129/git/acme/hello.git HEAD:refs/heads/agent/work 2>&1 || true";
    let text = format!(r#"[[bash command="echo 2 > two.txt; {push}"]] [[say text="Done."]]"#);
    let prompt = stage.prompt(&fork, 4, &text).await;
    assert_eq!(
        stage.finished(&fork, &prompt).await,
        PromptResult::Completed
    );
    let files = stage.git(&["ls-tree", "--name-only", "agent/fork"]);
    assert_eq!(files, "README.md\none.txt\ntwo.txt");
    assert_eq!(stage.git(&["rev-parse", "agent/fork~1"]), forked_at);
    assert_eq!(stage.git(&["rev-parse", "agent/work"]), before);
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_not_here_is_said_and_the_session_goes_on_from_the_image() {
    let stage = Stage::start().await;
    let start = Start {
        snapshot: Some(SnapshotId::from_random([3; 16])),
        ..stage.start_command(1)
    };
    let start = stage.open_as(start).await;
    let prompt = stage.prompt(&start, 1, r#"[[say text="Hello."]]"#).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    let notice = |report: &Report| match report {
        Report::Notice { message } => Some(message.clone()),
        _ => None,
    };
    let said = stage.reports(&start).iter().find_map(notice).unwrap();
    assert!(said.contains("is not on this runner"), "{said}");
}
