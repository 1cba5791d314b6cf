//! A stranger reads the description of the HTTP surface and holds the Worker to it: whatever is
//! sent, nothing fails on our side, and every answer is one that is described.

use std::path::Path;
use std::process::Stdio;

use protocol::api::TokenScope;
use tokio::process::Command;

use super::token;
use crate::stage::{ALICE, Failure, Outcome, Played, PlayedStack};
use crate::tests;
use crate::world::{Group, World};
use support::chat::SIGNING_SECRET;
use support::forge::ORGANIZATION;
use support::stack::Stack;

pub fn group(group: &mut Group<'_>) {
    tests!(group; every_answer_to_anything_is_one_that_is_described);
}

/// Chosen once, so that a failure can be had again.
const SEED: &str = "20260731";

async fn every_answer_to_anything_is_one_that_is_described(_: &World) -> Outcome {
    // A Slack that nobody signs for: its routes are there, and nothing is behind them.
    let slack = [
        ("SLACK_SIGNING_SECRET", SIGNING_SECRET),
        ("SLACK_BOT_TOKEN", "xoxb-nobody"),
        ("SLACK_API_URL", "http://127.0.0.1:9/"),
    ];
    let stack = Stack::start_with_variables("e2e-described", &slack).await?;
    let stack = PlayedStack::of(stack).await;
    let played = Played::ready_on(&stack).await?;
    let client = stack.client(ALICE).await?;
    let all = [TokenScope::Read, TokenScope::Write, TokenScope::Admin];
    let secret = token(&client, &all).await.secret;
    let directory = stack.stack.directory().to_owned();
    // Most of what is made up is not there, so what is there is asked for as well.
    let there = format!(
        "[parameters]\n\"path.owner\" = \"{ORGANIZATION}\"\n\"path.name\" = \"tool\"\n\
         \"path.session\" = \"{}\"\n",
        played.session
    );
    for (name, parameters, phases) in [
        ("anything", "", "examples,coverage"),
        ("what-is-there", &there, "fuzzing"),
    ] {
        let settings = directory.join(format!("{name}.toml"));
        std::fs::write(&settings, format!("{CHECKS}{parameters}"))?;
        run(&stack.stack.url(), &secret, &settings, phases).await?;
    }
    stack.stack.stop().await;
    Ok(())
}

/// What fits the description can still be refused for what it means, by these statuses.
const CHECKS: &str = r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "302", "400", "401", "403", "404", "409", "410", "413", "429"]

[checks.negative_data_rejection]
# A browser's cookie would be needed, or a signature: that is told before the request is read.
expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415", "429"]
"#;

async fn run(url: &str, secret: &str, settings: &Path, phases: &str) -> Outcome {
    let directory = settings.parent().ok_or("settings are in a folder")?;
    let program = std::env::var("SCHEMATHESIS_BIN")
        .map_err(|_| "SCHEMATHESIS_BIN is not set: run this through make, or `. .ci/env`")?;
    let output = Command::new(program)
        .current_dir(directory)
        .arg("--config-file")
        .arg(settings)
        .args(["run", &format!("{url}/api/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {secret}")])
        .args(["--checks", "all", "--phases", phases])
        // With more workers, Python 3.11 fails now and then: it counts the depth of its parser once for
        // all threads (gh-106905).
        .args(["--max-examples", "8", "--seed", SEED, "--workers", "1"])
        .args([
            "--generation-database",
            "none",
            "--no-color",
            "--max-redirects",
            "0",
        ])
        .args(["--suppress-health-check", "all", "--request-timeout", "20"])
        .stdin(Stdio::null())
        .output()
        .await?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    Err(Failure::from(format!("{told}\n{failed}")))
}
