//! Parts of the whole are killed while a prompt runs: it goes on and ends.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use protocol::Seq;
use protocol::event::{Fact, Outcome as PromptOutcome, PartBody};
use support::demo;

use crate::stage::{Failure, Outcome};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group; a_prompt_whose_sandbox_is_killed_goes_on_in_another);
}

/// From one sandbox to the next and to the end of a short command.
const LIMIT: Duration = Duration::from_secs(180);

async fn a_prompt_whose_sandbox_is_killed_goes_on_in_another(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let created = client.create_session(&stage.wanted(None)).await?;
    let mut viewer = client.watch(&created.id, Seq(0)).await?;
    demo::ready(&mut viewer).await?;
    // A number that nothing else on this machine sleeps for.
    let text = r#"[[bash command="sleep 9.38641; echo awake"]]"#.to_owned();
    viewer
        .send(&protocol::frame::ClientFrame::Prompt {
            text,
            mode: protocol::event::Mode::Queue,
            client_request_id: None,
            attachments: Vec::new(),
        })
        .await?;
    viewer
        .wait_for_fact("the command", LIMIT, |fact| match fact {
            Fact::PartStarted {
                body: PartBody::Tool { .. },
                ..
            } => Some(()),
            _ => None,
        })
        .await?;
    let first = tokio::time::timeout(LIMIT, first_process_around("9.38641")).await??;
    let killed = Command::new("kill").args(["-9", &first]).status()?;
    assert!(killed.success());
    viewer
        .wait_for_fact("the resumption", LIMIT, |fact| {
            matches!(fact, Fact::PromptResumed { .. }).then_some(())
        })
        .await?;
    let outcome = viewer
        .wait_for_fact("the end", LIMIT, |fact| match fact {
            Fact::PromptFinished { outcome, .. } => Some(outcome.clone()),
            _ => None,
        })
        .await?;
    assert_eq!(outcome, PromptOutcome::Completed);
    let losses = viewer
        .events
        .iter()
        .filter(|event| matches!(event.fact, Fact::SandboxLost { .. }));
    assert_eq!(losses.count(), 1);
    client.archive(&created.id).await?;
    Ok(())
}

/// The first process of the sandbox in which somebody sleeps for so long, once there is one.
async fn first_process_around(duration: &str) -> Result<String, Failure> {
    loop {
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let sleeps = line
                .split(|byte| *byte == 0)
                .eq([b"sleep", duration.as_bytes(), b""]);
            if sleeps && let Some(first) = first_above(&entry.path()) {
                return Ok(first);
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The nearest process above that is number 1 in its own namespace.
fn first_above(process: &Path) -> Option<String> {
    let mut process = process.to_owned();
    loop {
        let status = std::fs::read_to_string(process.join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let inside = field("NSpid:")?.split_whitespace().last()?;
        if inside == "1" {
            return process.file_name()?.to_str().map(str::to_owned);
        }
        let parent = field("PPid:")?.trim();
        process = Path::new("/proc").join(parent);
    }
}
