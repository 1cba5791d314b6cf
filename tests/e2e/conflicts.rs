//! A file that somebody wrote before the workspace was up to date, and that others changed meanwhile:
//! whoever follows the session learns of it, its agent does, and nothing is lost.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use protocol::Seq;
use protocol::event::{Fact, Mode, Outcome as PromptOutcome, PartBody, StepName};
use protocol::frame::ClientFrame;
use support::client::Viewer;
use support::demo;
use support::forge::ORGANIZATION;

use crate::stage::{Failure, LIMIT, Outcome, wanted, write_source};
use crate::tests;
use crate::views::{open, ticket};
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group; what_was_written_before_the_sync_and_changed_upstream_is_told_and_not_lost);
}

/// A first answer waits for an image, a sandbox and a cold agent.
const READY: Duration = Duration::from_secs(180);

const NAME: &str = "overtaken";

async fn what_was_written_before_the_sync_and_changed_upstream_is_told_and_not_lost(
    world: &World,
) -> Outcome {
    let (stage, client) = world.whole().await;
    let (forge, ours) = (&stage.stack.forge, stage.stack.url());
    let source = stage.stack.directory().join(NAME);
    write_source(&source);
    forge.create_repository(ORGANIZATION, NAME, &source).await?;
    let bare = forge.bare_repository(ORGANIZATION, NAME);
    let mut wanted = wanted(None);
    wanted.repository = protocol::event::Repository::new(ORGANIZATION, NAME)?;
    // It makes the image.
    let first = client.create_session(&wanted).await?.id;
    demo::ready(&mut client.watch(&first, Seq(0)).await?).await?;
    client.archive(&first).await?;
    let old = git(&bare, &["rev-parse", "main"])?;
    let newer = push(&bare, &stage.stack.directory().join("overtaken-copy"))?;

    forge.hold_fetches(ORGANIZATION, NAME, true)?;
    let session = client.create_session(&wanted).await?.id;
    let mut viewer = client.watch(&session, Seq(0)).await?;
    demo::ready(&mut viewer).await?;
    let asked = ticket(client, &session).await?;
    let mut terminal = open(&asked.url, &asked.ticket, &ours, None).await?;
    let typed = "cd ~/workspace && echo mine > README.md && echo writ\"t\"en\n";
    terminal.type_in(typed).await?;
    terminal.sees("written").await?;
    let text = r#"[[bash command="touch made; cat README.md"]] [[say text="Done."]]"#;
    ask(&mut viewer, text).await?;
    // The agent is about to write, and has to wait.
    viewer
        .wait_for_fact("the tool's call", READY, |fact| match fact {
            Fact::PartStarted {
                body: PartBody::Tool { .. },
                ..
            } => Some(()),
            _ => None,
        })
        .await?;
    forge.hold_fetches(ORGANIZATION, NAME, false)?;

    let told = viewer
        .wait_for_fact("the notice", LIMIT, |fact| match fact {
            Fact::Notice { message } if message.contains("README.md") => Some(message.clone()),
            _ => None,
        })
        .await?;
    for commit in [&old, &newer] {
        let short = commit.get(..12).unwrap_or_default();
        assert!(told.contains(short), "{told}");
    }
    let outcome = viewer
        .wait_for_fact("the prompt's end", READY, |fact| match fact {
            Fact::PromptFinished { outcome, .. } => Some(outcome.clone()),
            _ => None,
        })
        .await?;
    assert_eq!(outcome, PromptOutcome::Completed);
    let events = client.events(&session, Seq(0)).await?.events;
    let notices = events.iter().filter_map(|event| match &event.fact {
        Fact::Notice { message } => Some(message.clone()),
        _ => None,
    });
    assert_eq!(notices.collect::<Vec<_>>(), [told]);

    let steps = client.waterfall(&session).await?.steps;
    let waited = steps.iter().find(|step| step.name == StepName::WriteWait);
    let waited = waited.ok_or("no wait is in the waterfall")?;
    let synchronised = steps.iter().find(|step| step.name == StepName::Sync);
    let synchronised = synchronised.ok_or("no sync is in the waterfall")?;
    assert!(
        waited.ms > 0 && waited.ms <= synchronised.ms,
        "{waited:?} {synchronised:?}"
    );

    let said = format!("newer changes to README.md. The newer commit {newer} is here");
    let given = stage.stack.model().requests().into_iter().any(|request| {
        let body = request.body.to_string();
        body.contains("touch made; cat README.md") && body.contains(&said)
    });
    assert!(given, "the agent was not told");
    // What each of them wrote is where it belongs.
    let branch = format!("agent/{session}");
    assert_eq!(
        git(&bare, &["show", &format!("{branch}:README.md")])?,
        "mine"
    );
    assert_eq!(
        git(&bare, &["ls-tree", "--name-only", &branch, "made"])?,
        "made"
    );
    assert_eq!(git(&bare, &["rev-parse", &format!("{branch}~1")])?, old);
    assert_eq!(git(&bare, &["rev-parse", "main"])?, newer);
    client.archive(&session).await?;
    Ok(())
}

async fn ask(viewer: &mut Viewer, text: &str) -> Outcome {
    let frame = ClientFrame::Prompt {
        text: text.to_owned(),
        mode: Mode::Queue,
        client_request_id: None,
        attachments: Vec::new(),
    };
    Ok(viewer.send(&frame).await?)
}

/// Somebody else pushes another `README.md` to `main`; answers the commit.
fn push(bare: &Path, copy: &Path) -> Result<String, Failure> {
    let _ = std::fs::remove_dir_all(copy);
    std::fs::create_dir_all(copy)?;
    let from = bare.to_string_lossy();
    git(copy, &["clone", "--quiet", "--branch=main", &from, "."])?;
    std::fs::write(copy.join("README.md"), "# theirs\n")?;
    let identity = ["-c", "user.name=Eve", "-c", "user.email=eve@example.com"];
    let commit = ["commit", "--quiet", "--all", "-m", "newer"];
    git(copy, &[&identity[..], &commit[..]].concat())?;
    git(copy, &["push", "--quiet", "origin", "main"])?;
    git(bare, &["rev-parse", "main"])
}

fn git(directory: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let mut command = Command::new("git");
    let output = command.arg("-C").arg(directory).args(arguments).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
