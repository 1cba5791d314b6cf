//! The whole: real sandboxes, the real agent, real git. One test for each thing that must hold
//! however its parts fare.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol::event::{Fact, Mode, Outcome as PromptOutcome};
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::{Seq, SessionId};
use support::client::{Client, Viewer};
use support::demo::{self, LOGIN, PROMPT, Stage};
use support::stack::{MODEL_KEY, ModelChoice, Stack};

use crate::stage::{Failure, Outcome};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        the_main_job_ends_in_the_users_own_pull_request,
        text_arrives_before_the_answer_is_complete_and_within_three_times_its_bytes,
        a_second_prompt_lands_on_the_same_branch_and_pull_request,
        a_stopped_prompt_ends_with_everything_it_started,
        no_secret_is_inside_a_sandbox,
        a_push_to_another_branch_is_refused,
        what_is_only_a_pull_requests_is_never_checked_out,
        a_runner_killed_in_the_middle_loses_nothing,
        a_prompt_goes_on_when_its_runner_is_killed_with_its_sandboxes,
        a_worker_restarted_in_the_middle_loses_nothing,
        ten_idle_sandboxes_cost_the_runner_little,
        a_person_sees_tokens_arrive_in_the_browser,
    );
}

/// A first answer waits for an image, a sandbox and a cold agent.
const READY: Duration = Duration::from_secs(180);

async fn session(
    client: &Client,
    stage: &Stage,
    prompt: Option<&str>,
) -> Result<(SessionId, Viewer), Failure> {
    let created = client.create_session(&stage.wanted(prompt)).await?;
    let viewer = client.watch(&created.id, Seq(0)).await?;
    Ok((created.id, viewer))
}

/// A session whose sandbox takes prompts at once.
async fn warm(client: &Client, stage: &Stage) -> Result<(SessionId, Viewer), Failure> {
    let (id, mut viewer) = session(client, stage, None).await?;
    demo::ready(&mut viewer).await?;
    Ok((id, viewer))
}

async fn ask(viewer: &mut Viewer, text: &str) -> Outcome {
    let text = text.to_owned();
    let frame = ClientFrame::Prompt {
        text,
        mode: Mode::Queue,
        client_request_id: None,
        attachments: Vec::new(),
    };
    Ok(viewer.send(&frame).await?)
}

/// How many prompts have ended so far decides which end is waited for.
async fn end_of_prompt(viewer: &mut Viewer, number: usize) -> Result<PromptOutcome, Failure> {
    let ends = |viewer: &Viewer| -> Vec<PromptOutcome> {
        let ends = viewer.events.iter().filter_map(|event| match &event.fact {
            Fact::PromptFinished { outcome, .. } => Some(outcome.clone()),
            _ => None,
        });
        ends.collect()
    };
    if let Some(outcome) = ends(viewer).get(number - 1) {
        return Ok(outcome.clone());
    }
    Ok(viewer
        .wait_for("the prompt's end", READY, |viewer, _| {
            ends(viewer).get(number - 1).cloned()
        })
        .await?)
}

fn last_text(viewer: &Viewer) -> String {
    viewer
        .finished
        .values()
        .next_back()
        .cloned()
        .unwrap_or_default()
}

async fn the_main_job_ends_in_the_users_own_pull_request(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let (id, mut viewer) = session(client, stage, Some(PROMPT)).await?;
    demo::follow(&mut viewer, |_| ()).await?;
    let pull = demo::verify(stage, &id).await?;
    assert!(pull.body.contains("What was wrong"), "{}", pull.body);
    // It merges, and then the default branch passes as well.
    stage
        .stack
        .forge
        .merge("acme", stage.project.name, pull.number, LOGIN)
        .await?;
    let steps = client.waterfall(&id).await?.steps;
    let names: Vec<_> = steps
        .iter()
        .map(|step| format!("{:?}", step.name))
        .collect();
    for wanted in [
        "Claim",
        "Restore",
        "FirstToken",
        "Run",
        "Push",
        "PullRequest",
    ] {
        assert!(
            names.iter().any(|name| name == wanted),
            "{wanted} is missing: {names:?}"
        );
    }
    // An agent of the pool is up before anybody waits for it.
    let is_warm = steps
        .iter()
        .any(|step| step.detail.as_deref() == Some("warm"));
    let waited = names.iter().any(|name| name == "AgentUp");
    assert_eq!(waited, !is_warm, "{names:?}");
    client.archive(&id).await?;
    Ok(())
}

async fn text_arrives_before_the_answer_is_complete_and_within_three_times_its_bytes(
    world: &World,
) -> Outcome {
    let (stage, client) = world.whole().await;
    let (id, mut viewer) = warm(client, stage).await?;
    let before = viewer.bytes;
    ask(&mut viewer, "[[stream tokens=800 rate=100]]").await?;
    let early = viewer
        .wait_for("the first text", READY, |viewer, frame| match frame {
            ServerFrame::Delta { .. } => {
                Some(viewer.texts.values().map(String::len).sum::<usize>())
            }
            _ => None,
        })
        .await?;
    assert_eq!(
        end_of_prompt(&mut viewer, 1).await?,
        PromptOutcome::Completed
    );
    let text = last_text(&viewer);
    assert!(
        early < text.len() / 10,
        "{early} of {} bytes came first",
        text.len()
    );
    let wire = viewer.bytes - before;
    assert!(
        wire <= 3 * text.len(),
        "{wire} bytes for a text of {}",
        text.len()
    );
    client.archive(&id).await?;
    Ok(())
}

async fn a_second_prompt_lands_on_the_same_branch_and_pull_request(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let first = r#"[[write path="NOTES.md" content="one"]]"#;
    let (id, mut viewer) = session(client, stage, Some(first)).await?;
    demo::follow(&mut viewer, |_| ()).await?;
    ask(&mut viewer, r#"[[write path="MORE.md" content="two"]]"#).await?;
    assert_eq!(
        end_of_prompt(&mut viewer, 2).await?,
        PromptOutcome::Completed
    );
    let branch = format!("agent/{id}");
    let pulls = stage
        .stack
        .forge
        .pull_requests("acme", stage.project.name)
        .await?;
    let ours: Vec<_> = pulls
        .iter()
        .filter(|pull| pull.head_branch == branch)
        .collect();
    let [pull] = ours.as_slice() else {
        panic!("{} pull requests", ours.len())
    };
    let diff = stage
        .stack
        .forge
        .pull_request_diff("acme", stage.project.name, pull.number)
        .await?;
    assert!(
        diff.contains("NOTES.md") && diff.contains("MORE.md"),
        "{diff}"
    );
    client.archive(&id).await?;
    Ok(())
}

async fn a_stopped_prompt_ends_with_everything_it_started(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let (id, mut viewer) = warm(client, stage).await?;
    // A number that nothing else on this machine sleeps for.
    ask(&mut viewer, r#"[[bash command="sleep 86397"]]"#).await?;
    viewer
        .wait_for_fact("the command", READY, |fact| {
            matches!(
                fact,
                Fact::PartStarted {
                    body: protocol::event::PartBody::Tool { .. },
                    ..
                }
            )
            .then_some(())
        })
        .await?;
    let asked = Instant::now();
    client.stop(&id).await?;
    let outcome = end_of_prompt(&mut viewer, 1).await?;
    let took = asked.elapsed();
    assert!(took <= Duration::from_secs(1), "stopped after {took:?}");
    assert!(
        matches!(outcome, PromptOutcome::Stopped { .. }),
        "{outcome:?}"
    );
    assert!(
        !processes()
            .iter()
            .any(|process| process.contains("sleep\086397")),
        "it still sleeps"
    );
    ask(&mut viewer, "and now?").await?;
    assert_eq!(
        end_of_prompt(&mut viewer, 2).await?,
        PromptOutcome::Completed
    );
    client.archive(&id).await?;
    Ok(())
}

/// Command lines of all processes, as the kernel has them.
fn processes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect()
}

async fn no_secret_is_inside_a_sandbox(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let (id, mut viewer) = warm(client, stage).await?;
    let app = stage.stack.forge.app();
    let key_line = app
        .private_key_pem
        .lines()
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let secrets = [
        MODEL_KEY.to_owned(),
        stage
            .stack
            .runner_keys()
            .trim_start_matches("whsec_")
            .to_owned(),
        app.client_secret.clone(),
        app.webhook_secret.clone(),
        key_line,
        // Whatever the forge gives out begins with one of these.
        "ghs_".to_owned(),
        "ghu_".to_owned(),
        "gho_".to_owned(),
        // The control: this one is there, and the search has to find it.
        "agent:x:1000".to_owned(),
    ];
    // The push makes the gateway use a token, so that there is one that could have leaked.
    ask(&mut viewer, r#"[[write path="A.md" content="a"]]"#).await?;
    assert_eq!(
        end_of_prompt(&mut viewer, 1).await?,
        PromptOutcome::Completed
    );
    // The words are put together inside, since the prompt itself is in the agent's own files.
    for (number, secret) in secrets.iter().enumerate() {
        let (head, tail) = secret.split_at(secret.len() / 2);
        let places =
            "/home /run /etc /tmp /opt/agent/config /proc/[0-9]*/environ /proc/[0-9]*/cmdline";
        let command = format!(
            "printf '%s%s' {head} {tail} | grep -arlF -f - {places} 2>/dev/null | grep . \
             && echo FOUND || echo CLEAN"
        );
        ask(&mut viewer, &format!("[[bash command=\"{command}\"]]")).await?;
        assert_eq!(
            end_of_prompt(&mut viewer, number + 2).await?,
            PromptOutcome::Completed
        );
        let outputs: Vec<_> = viewer.finished.values().cloned().collect();
        let output = outputs
            .iter()
            .rev()
            .find(|text| text.contains("CLEAN") || text.contains("FOUND"));
        let output = output.cloned().unwrap_or_default();
        let is_control = number == secrets.len() - 1;
        assert_eq!(
            output.contains("FOUND"),
            is_control,
            "secret {number}: {output}"
        );
    }
    client.archive(&id).await?;
    Ok(())
}

async fn a_push_to_another_branch_is_refused(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let (id, mut viewer) = warm(client, stage).await?;
    let main = stage
        .stack
        .forge
        .branch("acme", stage.project.name, "main")
        .await?;
    let command = "git commit -q --allow-empty -m x; \
        git push http://127.0.0.1:3129/git/acme/shlex.git HEAD:refs/heads/main 2>&1; echo DONE";
    ask(&mut viewer, &format!("[[bash command=\"{command}\"]]")).await?;
    end_of_prompt(&mut viewer, 1).await?;
    assert!(viewer.finished.values().any(|text| text.contains("DONE")));
    let after = stage
        .stack
        .forge
        .branch("acme", stage.project.name, "main")
        .await?;
    assert_eq!(main, after);
    client.archive(&id).await?;
    Ok(())
}

/// Starts a prompt, disturbs the stack once `early` of its text is there, and watches it to its
/// end with a viewer that begins anew: it checks numbers, deltas and lengths of all that it sees.
async fn disturbed(
    name: &str,
    prompt: &str,
    early: &str,
    disturb: impl AsyncFnOnce(&mut Stack) -> Outcome,
) -> Result<Viewer, Failure> {
    let mut stage = Stage::set(Stack::start(name, ModelChoice::Scripted).await?).await?;
    let client = Client::sign_in(&stage.stack.url(), &stage.stack.forge, LOGIN).await?;
    let (id, mut viewer) = warm(&client, &stage).await?;
    ask(&mut viewer, prompt).await?;
    viewer
        .wait_for("the beginning of the answer", READY, |viewer, _| {
            viewer
                .texts
                .values()
                .any(|text| text.contains(early))
                .then_some(())
        })
        .await?;
    drop(viewer);
    disturb(&mut stage.stack).await?;
    let mut viewer = client.watch(&id, Seq(0)).await?;
    assert_eq!(
        end_of_prompt(&mut viewer, 1).await?,
        PromptOutcome::Completed
    );
    Ok(viewer)
}

/// A forge shows what is in a fork under `refs/pull`, and a session has its repository's secrets.
async fn what_is_only_a_pull_requests_is_never_checked_out(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let bare = stage
        .stack
        .forge
        .bare_repository("acme", stage.project.name);
    let status = std::process::Command::new("git")
        .arg("--git-dir")
        .arg(&bare)
        .args(["update-ref", "refs/pull/900/head", "HEAD"])
        .status()?;
    assert!(status.success());
    for branch in ["pull/900/head", "refs/pull/900/head"] {
        let mut wanted = stage.wanted(Some("Look around"));
        wanted.branch = Some(branch.to_owned());
        let id = client.create_session(&wanted).await?.id;
        let mut viewer = client.watch(&id, Seq(0)).await?;
        let outcome = end_of_prompt(&mut viewer, 1).await?;
        let failed = matches!(outcome, PromptOutcome::Failed { .. });
        assert!(failed, "{branch}: {outcome:?}");
        let facts = viewer.events.iter().map(|event| &event.fact);
        let mut ready = facts.filter(|fact| matches!(fact, Fact::SandboxReady { .. }));
        assert_eq!(ready.next(), None, "{branch}");
        client.archive(&id).await?;
    }
    Ok(())
}

async fn a_runner_killed_in_the_middle_loses_nothing(_: &World) -> Outcome {
    // The command goes on in its sandbox while nobody reports.
    let prompt = r#"[[bash command="for n in 1 2 3 4 5 6 7 8; do echo line-$n; sleep 1; done"]]"#;
    let viewer = disturbed("e2e-runner-killed", prompt, "line-2", async |stack| {
        stack.kill_runner().await;
        Ok(stack.start_runner().await?)
    })
    .await?;
    let lines = (1..=8)
        .map(|number| format!("line-{number}\n"))
        .collect::<String>();
    let outputs: Vec<_> = viewer
        .finished
        .values()
        .filter(|text| text.contains("line-"))
        .collect();
    assert_eq!(
        outputs,
        [&lines],
        "one command, reported once, with all its output"
    );
    Ok(())
}

async fn a_prompt_goes_on_when_its_runner_is_killed_with_its_sandboxes(_: &World) -> Outcome {
    // It ends only where the file is that it wrote the first time.
    let prompt = r#"[[bash command="test -e kept.txt && echo again || { echo kept > kept.txt; echo begun; sleep 600; }"]] [[say text="Done."]]"#;
    let viewer = disturbed("e2e-all-killed", prompt, "begun", async |stack| {
        stack.kill_runner().await;
        stack.kill_sandboxes()?;
        Ok(stack.start_runner().await?)
    })
    .await?;
    let texts: Vec<_> = viewer.finished.values().map(String::as_str).collect();
    assert_eq!(texts.last(), Some(&"Done."), "{texts:?}");
    assert!(texts.contains(&"again\n"), "{texts:?}");
    let count = |fits: fn(&Fact) -> bool| {
        let facts = viewer.events.iter().map(|event| &event.fact);
        facts.filter(|fact| fits(fact)).count()
    };
    let counted = [
        count(|fact| matches!(fact, Fact::SandboxLost { .. })),
        count(|fact| matches!(fact, Fact::PromptStarted { .. })),
        count(|fact| matches!(fact, Fact::PromptResumed { .. })),
        count(|fact| matches!(fact, Fact::Pushed { .. })),
        count(|fact| matches!(fact, Fact::PromptFinished { .. })),
    ];
    assert_eq!(counted, [1; 5], "lost, started, resumed, pushed, finished");
    Ok(())
}

async fn a_worker_restarted_in_the_middle_loses_nothing(_: &World) -> Outcome {
    let prompt = "[[stream tokens=1200 rate=100]]";
    let answer = support::model::prose(1200);
    let early: String = answer.chars().take(600).collect();
    let viewer = disturbed("e2e-worker-killed", prompt, &early, async |stack| {
        stack.kill_worker().await;
        Ok(stack.start_worker().await?)
    })
    .await?;
    let texts: Vec<_> = viewer.finished.values().collect();
    assert_eq!(texts, [&answer], "one answer, reported once, whole");
    Ok(())
}

/// Most kilobytes of the runner's own memory with ten idle sandboxes.
const RUNNER_MEMORY_KB: u64 = 50 * 1024;

async fn ten_idle_sandboxes_cost_the_runner_little(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let mut sessions = Vec::new();
    for _ in 0..10 {
        sessions.push(warm(client, stage).await?);
        // Nobody prompts them; without this the first would be released before the last is ready.
        for (_, viewer) in &mut sessions {
            viewer.send(&ClientFrame::Typing {}).await?;
        }
    }
    let process = stage.stack.runner_process_id().expect("the runner runs");
    let status =
        std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"))?;
    let resident = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse::<u64>()
                .ok()
        })
        .expect("the kernel says how much");
    assert!(
        resident <= RUNNER_MEMORY_KB,
        "the runner holds {resident} kB"
    );
    for (id, _) in &sessions {
        client.archive(id).await?;
    }
    Ok(())
}

async fn a_person_sees_tokens_arrive_in_the_browser(world: &World) -> Outcome {
    let (stage, _) = world.whole().await;
    let root = support::stack::repository_root();
    let output = tokio::process::Command::new(std::env::var("NODE_BIN")?)
        .arg(root.join("tests/browser/session.mjs"))
        .env("BASE_URL", stage.stack.url())
        .env("LOGIN", LOGIN)
        .env("REPOSITORY", stage.repository.to_string())
        .env("PROMPT", "[[stream tokens=600 rate=100]]")
        .env("SCREENSHOTS", root.join("target/screenshots"))
        .kill_on_drop(true)
        .output()
        .await?;
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
    Ok(())
}
