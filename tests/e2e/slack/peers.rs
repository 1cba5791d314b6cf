//! Slack's own code: it takes what we take, and would have sent what we send.

use std::process::Stdio;

use serde_json::{Value, json};
use support::chat::{Chat, SIGNING_SECRET};
use support::stack::{ModelChoice, Stack, repository_root};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::chat_of;
use crate::stage::{Failure, Outcome};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group; slacks_own_framework_takes_and_refuses_the_same_requests);
}

async fn slacks_own_framework_takes_and_refuses_the_same_requests(_: &World) -> Outcome {
    let mut stack =
        Stack::start_without_runner("e2e-slack-verdicts", ModelChoice::Scripted).await?;
    let _chat = chat_of(&mut stack, &[]).await?;
    let written = script(
        "python3",
        "verdicts.py",
        &[&stack.url(), SIGNING_SECRET],
        "",
    )
    .await?;
    assert_eq!(written.lines().count(), 15 * 9);
    Ok(())
}

/// Runs one of the scripts that know Slack's own code; answers what it wrote.
async fn script(
    program: &str,
    name: &str,
    arguments: &[&str],
    input: &str,
) -> Result<String, Failure> {
    let mut child = Command::new(program)
        .arg(repository_root().join("tests/slack").join(name))
        .args(arguments)
        .env("PYTHONPATH", std::env::var("SLACK_PYTHON")?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    let written = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{name}:\n{written}");
    Ok(written)
}

/// Everything that was said is what Slack's SDKs would have sent, and so is the manifest.
pub async fn check_calls(chat: &Chat) -> Outcome {
    let calls = chat
        .calls()
        .into_iter()
        .filter(|call| call.body.is_object());
    let mut calls: Vec<Value> = calls
        .map(|call| json!({ "method": call.method, "body": call.body }))
        .collect();
    let bodies: Vec<&Value> = calls.iter().map(|call| &call["body"]).collect();
    script(
        "python3",
        "blocks.py",
        &[],
        &serde_json::to_string(&bodies)?,
    )
    .await?;
    let manifest: Value = serde_json::from_str(hosted_agents::slack::MANIFEST)?;
    let manifest = json!({ "manifest": manifest });
    calls.push(json!({ "method": "apps.manifest.validate", "body": manifest }));
    let node = std::env::var("NODE_BIN")?;
    script(&node, "schemas.mjs", &[], &serde_json::to_string(&calls)?).await?;
    Ok(())
}
