//! The life of a session on a real runner: see [`stage`] for what is real. Needs the tools that
//! `.ci/env` names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod bounds;
mod changes;
mod conflicts;
mod keeping;
mod orders;
mod overtaken;
mod patches;
mod retirement;
mod stage;
mod survival;
mod terminal;
mod terminals;
mod upgrade;
mod waits;
mod warm;

use axum::http::StatusCode;
use protocol::callback::{PromptResult, Report};
use protocol::command::Command;
use protocol::event::{Mode, StepName};
use protocol::ledger::Verdict;
use protocol::{PromptId, SandboxId};

use stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_becomes_a_pushed_commit() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    // Before the sandbox is there: it waits.
    let text = r#"add a note. [[write path="note.txt" content="hello\n"]] [[say text="I added the note."]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );

    let commit = stage.git(&["rev-parse", "agent/work"]);
    let reports = stage.reports(&start);
    let pushed = reports.iter().find_map(|report| match report {
        Report::Pushed {
            commit,
            files,
            summary,
            branch,
            ..
        } => Some((
            commit.clone(),
            files.clone(),
            summary.clone(),
            branch.clone(),
        )),
        _ => None,
    });
    let (pushed, files, summary, branch) = pushed.expect("nothing was pushed");
    assert_eq!(
        (pushed.as_str(), branch.as_str()),
        (commit.as_str(), "agent/work")
    );
    assert_eq!(summary, "I added the note.");
    assert_eq!(
        files
            .iter()
            .map(|file| file.path.as_str())
            .collect::<Vec<_>>(),
        ["note.txt"]
    );
    assert_eq!(files[0].additions, Some(1));
    let people = stage.git(&["log", "-1", "--format=%an <%ae> %cn <%ce>", "agent/work"]);
    assert_eq!(
        people,
        "Ada Prompter <ada@example.com> the-bot <bot@example.com>"
    );
    let message = stage.git(&["log", "-1", "--format=%B", "agent/work"]);
    assert!(
        message.starts_with("Add a note\n\nI added the note.\n\n"),
        "{message}"
    );
    for trailer in [
        format!("Session-Id: {}", start.session),
        format!("Prompt-Id: {prompt}"),
        "Model: openai/scripted-1".to_owned(),
        "Co-authored-by: Bob <bob@example.com>".to_owned(),
    ] {
        assert!(message.contains(&trailer), "{message}");
    }
    assert_eq!(
        stage.texts(&start).last().map(String::as_str),
        Some("I added the note.")
    );
    let mut steps = stage.steps(&start);
    // The agent works while the workspace is synchronised, and may have to wait or not; the snapshot is
    // made behind the prompt's end, and may be told already.
    steps.retain(|step| !matches!(step, StepName::WriteWait | StepName::Snapshot));
    steps.sort_by_key(|step| *step as u8);
    let expected = [
        StepName::Image,
        StepName::Restore,
        StepName::Sync,
        StepName::AgentUp,
        StepName::FirstToken,
        StepName::Run,
        StepName::Push,
    ];
    assert_eq!(steps, expected);

    // A second prompt in the same sandbox: only what it changed is new.
    let prompt = stage
        .prompt(&start, 2, r#"[[say text="Nothing to do."]]"#)
        .await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["rev-parse", "agent/work"]), commit);

    // The next sandbox of the session goes on from what was pushed.
    stage
        .accept(&Command::End {
            sandbox: start.sandbox.clone(),
        })
        .await;
    let second = stage.open(2).await;
    let text = r#"[[bash command="cat note.txt"]] [[write path="more.txt" content="x"]] [[say text="More."]]"#;
    let prompt = stage.prompt(&second, 3, text).await;
    assert_eq!(
        stage.finished(&second, &prompt).await,
        PromptResult::Completed
    );
    assert!(
        stage
            .texts(&second)
            .iter()
            .any(|text| text.contains("hello")),
        "{:?}",
        stage.texts(&second)
    );
    assert_eq!(stage.git(&["rev-parse", "agent/work~1"]), commit);
    assert!(!stage.steps(&second).contains(&StepName::Image));
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_killed_goes_on_where_it_was() {
    let mut stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    let text = r#"[[bash command="echo begun; sleep 3; echo slept"]] [[write path="a.txt" content="a"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    stage
        .until(&start, "running program", |reports| {
            let begun = |report: &Report| matches!(report, Report::Delta { text, .. } if text.contains("begun"));
            reports.iter().any(begun).then_some(())
        })
        .await;
    // The session does not hear what comes next, so it is in the outbox when the runner dies.
    stage.worker.set_deaf(true);
    stage.kill_runner().await;
    stage.worker.set_deaf(false);
    stage.start_runner().await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    let texts = stage.texts(&start);
    assert_eq!(
        texts.first().map(String::as_str),
        Some("begun\nslept\n"),
        "{texts:?}"
    );
    assert_eq!(texts.last().map(String::as_str), Some("Done."), "{texts:?}");
    assert_eq!(stage.git(&["show", "agent/work:a.txt"]), "a");

    // The model's answer passes through the runner: it breaks off, and the agent asks again.
    let prompt = stage
        .prompt(&start, 2, "[[stream tokens=300 rate=100]]")
        .await;
    stage
        .until(&start, "streamed text", |reports| {
            let of = |report: &Report| match report {
                Report::PartStarted { part, prompt: one, .. } if *one == prompt => Some(*part),
                _ => None,
            };
            let part = reports.iter().find_map(of)?;
            let grown = |report: &&Report| matches!(report, Report::Delta { part: one, .. } if *one == part);
            (reports.iter().filter(grown).count() > 5).then_some(())
        })
        .await;
    stage.kill_runner().await;
    stage.start_runner().await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    let answer = support::model::prose(300);
    let texts = stage.texts(&start);
    assert_eq!(
        texts.iter().filter(|text| **text == answer).count(),
        1,
        "{texts:#?}"
    );

    let reports = stage.reports(&start);
    let count = |fits: fn(&Report) -> bool| reports.iter().filter(|report| fits(report)).count();
    assert_eq!(count(|report| matches!(report, Report::Ready { .. })), 1);
    assert_eq!(
        count(|report| matches!(report, Report::PromptFinished { .. })),
        2
    );
    assert_eq!(count(|report| matches!(report, Report::Pushed { .. })), 1);
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_on_from_a_newer_commit_than_its_image_has() {
    let stage = Stage::start().await;
    let first = stage.open(1).await;
    stage.ready(&first).await;
    let old = stage.git(&["rev-parse", "main"]);
    let newer = stage.move_main("README.md", "# hello again\n");
    let second = stage.open_for(2, 8).await;
    let text = r#"[[bash command="touch made; cat README.md"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&second, 1, text).await;
    assert_eq!(
        stage.finished(&second, &prompt).await,
        PromptResult::Completed
    );
    // The writing command ran after the sync, so it shows what is new.
    let texts = stage.texts(&second);
    assert!(
        texts.iter().any(|text| text.contains("# hello again")),
        "{texts:?}"
    );
    assert_eq!(stage.git(&["rev-parse", "agent/work-8~1"]), newer);
    let ready = stage
        .reports(&second)
        .into_iter()
        .find_map(|report| match report {
            Report::Ready { commit, .. } => Some(commit),
            _ => None,
        });
    assert_eq!(ready, Some(old));
}

async fn the_next_sandbox_has_what_was_kept(stage: &Stage) {
    let second = stage.open(2).await;
    let text = r#"[[bash command="touch b.txt; cat a.txt"]] [[say text="Done."]]"#;
    let prompt = stage.prompt(&second, 2, text).await;
    assert_eq!(
        stage.finished(&second, &prompt).await,
        PromptResult::Completed
    );
    assert_eq!(stage.git(&["show", "agent/work:a.txt"]), "kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_machine_costs_nothing_that_a_tool_had_written() {
    let mut stage = Stage::start().await;
    let start = stage.open(1).await;
    let text = r#"[[write path="a.txt" content="kept"]] [[bash command="sleep 300"]]"#;
    stage.prompt(&start, 1, text).await;
    stage.work_in_progress(&start).await;
    let bundle = stage.state().join(format!("wip/{}.bundle", start.session));
    stage.kill_runner().await;
    stage.sweep();
    stage.start_runner().await;
    survival::lost(&stage, &start).await;

    the_next_sandbox_has_what_was_kept(&stage).await;
    // What is pushed is kept at the forge.
    assert!(!bundle.exists());
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_ends_leaves_all_that_it_wrote() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    stage
        .prompt(
            &start,
            1,
            r#"[[bash command="echo kept > a.txt; kill -9 $PPID"]]"#,
        )
        .await;
    survival::lost(&stage, &start).await;
    the_next_sandbox_has_what_was_kept(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_insert_and_end_do_what_they_say() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    let running = |prompt: PromptId| async {
        stage
            .until(&start, "running program", |reports| {
                let started = |report: &Report| matches!(report, Report::PartStarted { prompt: one, .. } if *one == prompt);
                reports.iter().any(started).then_some(())
            })
            .await;
        prompt
    };
    // A program that nobody waits for must be gone as well.
    let text = r#"[[bash command="(setsid sleep 300 &) ; sleep 301"]] [[say text="late"]]"#;
    let prompt = running(stage.prompt(&start, 1, text).await).await;
    stage
        .accept(&Command::Stop {
            sandbox: start.sandbox.clone(),
            prompt: prompt.clone(),
        })
        .await;
    assert_eq!(stage.finished(&start, &prompt).await, PromptResult::Stopped);
    let sleeping =
        r#"[[bash command="ps ax -o args | grep -c '[s]leep 30'; true"]] [[say text="counted"]]"#;
    let prompt = stage.prompt(&start, 2, sleeping).await;
    assert_eq!(
        stage.finished(&start, &prompt).await,
        PromptResult::Completed
    );
    let texts = stage.texts(&start);
    assert_eq!(texts[texts.len() - 2].trim(), "0", "{texts:?}");

    let text =
        r#"[[bash command="sleep 3"]] [[bash command="sleep 1"]] [[say text="first is done"]]"#;
    let first = running(stage.prompt(&start, 3, text).await).await;
    let second = stage
        .prompt_as(&start, 4, r#"[[say text="heard you"]]"#, Mode::Insert)
        .await;
    assert_eq!(
        stage.finished(&start, &first).await,
        PromptResult::Completed
    );
    assert_eq!(
        stage.finished(&start, &second).await,
        PromptResult::Completed
    );
    assert!(
        stage.texts(&start).iter().any(|text| text == "heard you"),
        "{:?}",
        stage.texts(&start)
    );

    stage
        .accept(&Command::End {
            sandbox: start.sandbox.clone(),
        })
        .await;
    // Registered anew, or asked with a command: the sandbox is not here any more.
    let gone = tokio::time::timeout(stage::LIMIT, async {
        let stop = Command::Prompt(protocol::command::SendPrompt {
            sandbox: start.sandbox.clone(),
            prompt: PromptId::from_random([9; 16]),
            text: "x".into(),
            mode: Mode::Queue,
            sent_at: protocol::Millis(0),
            author: protocol::command::GitIdentity {
                name: "a".into(),
                email: "a@b".into(),
            },
            co_authors: vec![],
            attachments: Vec::new(),
            resumed: false,
        });
        while stage.send(&stop).await != StatusCode::NOT_FOUND {
            tokio::task::yield_now().await;
        }
    });
    gone.await.expect("the sandbox does not end");
    let sandboxes = stage.path().join("state/sandboxes");
    assert_eq!(std::fs::read_dir(sandboxes).unwrap().count(), 0);
    stage.worker.assert_faultless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_started_is_said_with_what_to_do() {
    let stage = Stage::start().await;
    let mut start = stage.open(1).await;
    stage.ready(&start).await;
    start.sandbox = SandboxId::from_random([99; 16]);
    start.branch = "no-such-branch".into();
    stage.accept(&Command::Start(start.clone())).await;
    let reason = stage
        .until(&start, "loss", |reports| {
            reports.iter().find_map(|report| match report {
                Report::Lost { reason } => Some(reason.clone()),
                _ => None,
            })
        })
        .await;
    assert!(
        reason.contains("check the repository and its branch"),
        "{reason}"
    );
    assert!(reason.contains("no-such-branch"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_whose_session_is_void_is_ended() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    stage.worker.until_registered(|_| true).await;
    stage.worker.set_void(true);
    stage.prompt(&start, 1, r#"[[say text="x"]]"#).await;
    let stop = Command::Stop {
        sandbox: start.sandbox.clone(),
        prompt: PromptId::from_random([1; 16]),
    };
    let sandboxes = stage.path().join("state/sandboxes");
    let ended = tokio::time::timeout(stage::LIMIT, async {
        while std::fs::read_dir(&sandboxes).unwrap().count() > 0 {
            assert_eq!(stage.send(&stop).await, StatusCode::ACCEPTED);
        }
    });
    ended.await.expect("the sandbox lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_logged_of_a_session_names_it_and_its_sandbox() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    let text = r#"[[bash command="curl -s https://denied.example; true"]]"#;
    let prompt = stage.prompt(&start, 1, text).await;
    stage.finished(&start, &prompt).await;
    // The end of a prompt is logged after it was told, and before the next one begins.
    let next = stage.prompt(&start, 2, r#"[[say text="Done."]]"#).await;
    stage.finished(&start, &next).await;
    let log = std::fs::read_to_string(stage.path().join("runner.log")).unwrap();
    let lines = log.lines();
    let lines = lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")));
    let lines: Vec<serde_json::Value> = lines.collect();
    for message in [
        "step ended",
        "prompt ended",
        "a sandbox made a contact",
        "a sandbox was denied a contact",
    ] {
        let said = |line: &&serde_json::Value| {
            // What is done for an image is no session's.
            line["fields"]["message"] == message && !line["span"].is_null()
        };
        let line = lines.iter().find(said).unwrap_or_else(|| panic!("{log}"));
        assert_eq!(line["span"]["session"], start.session.as_str());
        assert_eq!(line["span"]["sandbox"], start.sandbox.as_str());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_told_before_a_prompt_ends_and_counts_on_after_a_restart() {
    let mut stage = Stage::start().await;
    let start = stage.open(1).await;
    let text = r#"[[say text="One."]]"#;
    let first = stage.prompt(&start, 1, text).await;
    stage.finished(&start, &first).await;
    let before = stage.model_contact(&start, &first);
    assert_eq!(before.verdict, Verdict::Allowed);
    assert!(before.requests > 0 && before.bytes_up > 0 && before.bytes_down > 0);
    assert!(before.tokens.is_some_and(|tokens| tokens.output > 0));

    stage.kill_runner().await;
    stage.start_runner().await;
    let second = stage.prompt(&start, 2, text).await;
    stage.finished(&start, &second).await;
    let after = stage.model_contact(&start, &second);
    assert_eq!(after.requests, before.requests + 1);
    assert!(after.bytes_up > before.bytes_up);
}
