//! The whole: real sandboxes, the real agent, real git. One test for each thing that must hold
//! however its parts fare.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol::event::{Fact, Mode, Outcome as PromptOutcome};
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::{Seq, SessionId};
use support::client::{Client, Viewer};
use support::demo::{self, LOGIN, PROMPT, Stage};

use crate::stage::{Failure, Outcome};
use crate::tests;
use crate::world::{Group, World};

mod disturbed;
mod guarded;

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        the_main_job_ends_in_the_users_own_pull_request,
        text_arrives_before_the_answer_is_complete_and_within_three_times_its_bytes,
        a_second_prompt_lands_on_the_same_branch_and_pull_request,
        a_stopped_prompt_ends_with_everything_it_started,
        ten_idle_sandboxes_cost_the_runner_little,
        a_person_sees_tokens_arrive_in_the_browser,
    );
    guarded::group(group);
    disturbed::group(group);
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
