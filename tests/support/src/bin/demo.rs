//! `make demo`: the main job once, on the whole stack, as it happens.

use std::process::ExitCode;
use std::time::Instant;

use protocol::Seq;
use support::client::Client;
use support::demo::{self, DemoError, LOGIN, PROMPT, Stage};
use support::forge::ORGANIZATION;
use support::screen::{self, Screen};
use support::stack::{ModelChoice, Stack};

#[tokio::main]
async fn main() -> ExitCode {
    let check = std::env::var("CHECK").is_ok_and(|value| value == "1");
    match run(check).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = cause {
                eprintln!("error: {error}");
                cause = error.source();
            }
            eprintln!("Logs are in target/stack/demo.");
            ExitCode::FAILURE
        }
    }
}

async fn run(check: bool) -> Result<(), DemoError> {
    let began = Instant::now();
    let choice = ModelChoice::from_environment();
    let model = match &choice {
        ModelChoice::Scripted => {
            "the scripted model (set ANTHROPIC_API_KEY for a real one)".to_owned()
        }
        ModelChoice::Real { name } => name.clone(),
    };
    progress(began, "starting forge, Worker and runner");
    let stack = Stack::start("demo", choice).await?;
    let stage = Stage::set(stack).await?;
    let project = &stage.project;
    progress(
        began,
        &format!(
            "{} {} is on the forge, with one defect in {}",
            project.name, project.version, project.file
        ),
    );
    let client = Client::sign_in(&stage.stack.url(), &stage.stack.forge, LOGIN).await?;
    progress(
        began,
        &format!("{LOGIN} signed in with GitHub; building the repository's image"),
    );
    stage.build_image(&client).await?;
    progress(began, &format!("asking {model}: {PROMPT:?}"));

    let created = client.create_session(&stage.wanted(Some(PROMPT))).await?;
    println!("\n  watch it at {}\n", created.url);
    let mut viewer = client.watch(&created.id, Seq(0)).await?;
    let mut screen = Screen::default();
    demo::follow(&mut viewer, |frame| screen.show(frame)).await?;

    println!("\nWhere the time went\n");
    print!(
        "{}",
        screen::waterfall(&client.waterfall(&created.id).await?.steps)
    );
    let pull = demo::verify(&stage, &created.id).await?;
    println!(
        "\nPull request #{} by {}: {}\n{}\n",
        pull.number, pull.author, pull.title, pull.url
    );
    let diff = stage
        .stack
        .forge
        .pull_request_diff(ORGANIZATION, project.name, pull.number)
        .await?;
    println!("{diff}");
    progress(
        began,
        "checked: the pull request is the user's, and the branch passes the tests",
    );
    if !check {
        println!(
            "\nThe session stays at {} (sign in as {LOGIN}).",
            created.url
        );
        println!("Press Ctrl-C to end.");
        // Nothing else is waited for, so there is nothing to do about an error.
        let _ = tokio::signal::ctrl_c().await;
    }
    let Stage { stack, .. } = stage;
    stack.stop().await;
    Ok(())
}

fn progress(began: Instant, text: &str) {
    println!("[{:>6.1} s] {text}", began.elapsed().as_secs_f64());
}
