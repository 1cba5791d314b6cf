//! `make bench`: figures of the real stack, as a table and in `target/bench/results.json`.
//!
//! Names of measures as arguments choose some of them. The scripted model is used whatever keys
//! there are: a real one's own time would hide ours.

use std::process::ExitCode;

use protocol::Seq;
use support::bench::alone::Alone;
use support::bench::{BenchError, Results, events, first_token, memory, sandbox_start, wire};
use support::client::Client;
use support::demo::{self, LOGIN, Stage};
use support::forge::ORGANIZATION;
use support::stack::{ModelChoice, Stack, repository_root};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = cause {
                eprintln!("error: {error}");
                cause = error.source();
            }
            eprintln!("Logs are in target/stack/bench and target/stack/bench-events.");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BenchError> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|one| one == name);
    let mut results = Results::default();
    if wanted("events_per_second") {
        println!("events_per_second: 5,000 events into one session");
        results.push(events::measure().await?);
    }
    if [
        "prompt_to_first_token",
        "wire_bytes",
        "sandbox_start",
        "runner_memory",
    ]
    .into_iter()
    .any(wanted)
    {
        let stack = Stack::start("bench", ModelChoice::Scripted).await?;
        on_whole_stack(stack, &wanted, &mut results).await?;
    }
    let path = repository_root().join("target/bench/results.json");
    results.write(&path)?;
    println!("\n{}\nwritten to {}", results.table(), path.display());
    Ok(())
}

async fn on_whole_stack(
    stack: Stack,
    wanted: &impl Fn(&str) -> bool,
    results: &mut Results,
) -> Result<(), BenchError> {
    if wanted("sandbox_start") {
        println!("sandbox_start: 30 sandboxes, and bubblewrap alone");
        let state = stack.state_dir().with_file_name("bench-sandboxes");
        results.push(sandbox_start::measure(&state).await?);
    }
    let stage = Stage::set(stack).await?;
    let stack = &stage.stack;
    let client = Client::sign_in(&stack.url(), &stack.forge, LOGIN).await?;
    println!("building the repository's image");
    let session = client.create_session(&stage.wanted(None)).await?.id;
    let mut viewer = client.watch(&session, Seq(0)).await?;
    demo::ready(&mut viewer).await?;
    if wanted("prompt_to_first_token") {
        println!("prompt_to_first_token: 60 prompts each to the stack and to the agent alone");
        let repository = stack
            .forge
            .bare_repository(ORGANIZATION, stage.project.name);
        let directory = stack.directory().join("alone");
        let mut alone = Alone::start(&directory, &repository, stack.model().url()).await?;
        results.push(first_token::measure(&mut viewer, &mut alone).await?);
    }
    if wanted("wire_bytes") {
        println!("wire_bytes: 8,000 tokens at 100 a second");
        results.push(wire::measure(&mut viewer).await?);
    }
    if wanted("runner_memory") {
        println!("runner_memory: ten idle sandboxes");
        for measure in memory::measure(&stage, &client, 1).await? {
            results.push(measure);
        }
    }
    let Stage { stack, .. } = stage;
    stack.stop().await;
    Ok(())
}
