//! `make dev`: the whole stack on loopback, with a repository to try things on.

use std::process::ExitCode;

use support::demo::{DemoError, PROMPT, Stage};
use support::forge::PEOPLE;
use support::stack::{ModelChoice, Stack};

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
            eprintln!("Logs are in target/stack/dev.");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), DemoError> {
    println!("starting forge, Worker and runner …");
    let stage = Stage::set(Stack::start("dev", ModelChoice::from_environment()).await?).await?;
    let people: Vec<&str> = PEOPLE.iter().map(|person| person.login).collect();
    println!(
        "\n  Worker   {}   sign in as {}",
        stage.stack.url(),
        people.join(", ")
    );
    println!("  runner   {}", stage.stack.runner_url());
    println!("  forge    {}", stage.stack.forge.url());
    println!("  logs     {}", stage.stack.directory().display());
    println!(
        "\n{} is there to try: {PROMPT:?}\nPress Ctrl-C to end.",
        stage.repository
    );
    // Nothing else is waited for, so there is nothing to do about an error.
    let _ = tokio::signal::ctrl_c().await;
    let Stage { stack, .. } = stage;
    stack.stop().await;
    Ok(())
}
