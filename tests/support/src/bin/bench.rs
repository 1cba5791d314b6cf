//! `make bench`: figures of the real stack, as a table and in `target/bench/results.json`.
//!
//! Names of measures as arguments choose some of them, and `BENCH_ROUNDS` how many runs each makes
//! instead of its own number. No bar that is missed makes it fail. The scripted model is used whatever keys
//! there are: a real one's own time would hide ours.

use std::path::Path;
use std::process::ExitCode;

use protocol::Seq;
use support::bench::alone::Alone;
use support::bench::{
    BenchError, Results, crowd, events, first_token, idle, memory, page, routing, sandbox_start,
    snapshot, sockets, warm, wire,
};
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
            eprintln!("Logs are below target/stack.");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BenchError> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, state] = chosen.as_slice()
        && mode == crowd::HOLD
    {
        return crowd::hold(Path::new(state)).await;
    }
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|one| one == name);
    let mut results = Results::default();
    if wanted("events_per_second") {
        println!("events_per_second: 5,000 events into one session");
        results.push(events::measure().await?);
    }
    if wanted("sockets_300_p99") {
        println!("sockets_300_p99: 300 sessions, a live socket each, 100 events a second");
        results.extend(sockets::measure().await?);
    }
    if wanted("render_frame_p95") || wanted("first_load_js") {
        println!(
            "render_frame_p95, first_load_js: 200 kB of text that grows; the baseline renders all \
             of it anew through react-markdown"
        );
        results.extend(page::measure().await?);
    }
    if wanted("slack_routing_accuracy") || wanted("slack_routing_asked") {
        println!(
            "slack_routing_accuracy, slack_routing_asked: 133 labelled messages over 25 \
             repositories; the baseline is without a model"
        );
        results.extend(routing::measure().await?);
    }
    launcher(&wanted, &mut results).await?;
    let on_stack = ["prompt_to_first_token", "wire_bytes", "runner_memory"];
    if on_stack.into_iter().any(wanted) {
        let stack = Stack::start("bench", ModelChoice::Scripted).await?;
        on_whole_stack(stack, &wanted, &mut results).await?;
    }
    let path = repository_root().join("target/bench/results.json");
    results.write(&path)?;
    println!("\n{}\nwritten to {}", results.table(), path.display());
    Ok(())
}

/// What the runner's parts do in this process, without a Worker.
async fn launcher(wanted: &impl Fn(&str) -> bool, results: &mut Results) -> Result<(), BenchError> {
    if wanted("sandbox_start") {
        println!("sandbox_start: a program in a sandbox, and in bubblewrap alone");
        results.push(sandbox_start::measure().await?);
    }
    if wanted("launcher_start") {
        println!("launcher_start: the same on three layers");
        results.extend(sandbox_start::measure_launcher().await?);
    }
    if wanted("concurrent_100") {
        println!("concurrent_100: a hundred sandboxes at once, and a hundred times bubblewrap");
        results.extend(crowd::measure_concurrent().await?);
    }
    if wanted("adopt_50") {
        println!("adopt_50: who holds fifty sandboxes is killed and started again");
        results.push(crowd::measure_adoption().await?);
    }
    if wanted("idle_sandbox_memory") {
        println!("idle_sandbox_memory: fifty idle sandboxes, and fifty times bubblewrap");
        results.extend(idle::measure().await?);
    }
    if wanted("snapshot_1gb") || wanted("restore_1gb") {
        println!(
            "snapshot_1gb, restore_1gb: 100,000 files, which are written once and read before each \
             snapshot; the baseline is one megabyte"
        );
        results.extend(snapshot::measure().await?);
    }
    if wanted("pool_claim") {
        println!("pool_claim: 30 warm sandboxes; the baseline is the agent alone, already up");
        results.push(warm::measure_claim().await?);
    }
    if wanted("cold_start") {
        println!("cold_start: 30 sandboxes from the image, and the agent started by hand");
        results.push(warm::measure_cold().await?);
    }
    Ok(())
}

async fn on_whole_stack(
    stack: Stack,
    wanted: &impl Fn(&str) -> bool,
    results: &mut Results,
) -> Result<(), BenchError> {
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
