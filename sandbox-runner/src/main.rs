//! The program: chooses what to do, and says what went wrong.

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use sandbox_runner::config::{self, Config, ConfigError};
use sandbox_runner::runner::{self, RunnerError};
use tracing_subscriber::EnvFilter;

/// Two are enough for one that mostly waits, and each costs memory.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        // What sandboxes are copied from: decided before anything is read, started or logged.
        ["zygote"] => return sandbox_runner::sandbox::namespaces::zygote::run(),
        [] => serve(),
        ["doctor"] => doctor(),
        ["retire"] => retire(),
        ["sweep"] => sweep(),
        ["--help" | "-h" | "help"] => print(&config::help()),
        ["--version" | "-V"] => print(concat!("sandbox-runner ", env!("CARGO_PKG_VERSION"), "\n")),
        _ => Err(Failure::Usage),
    };
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
    let mut message = format!("sandbox-runner: {failure}");
    let mut source = failure.source();
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    let _ = writeln!(io::stderr(), "{message}");
    match failure {
        Failure::Usage | Failure::Config(_) => ExitCode::from(2),
        Failure::Runtime(_) | Failure::Runner(_) | Failure::Print(_) => ExitCode::FAILURE,
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no such command; --help lists them")]
    Usage,
    #[error("the configuration is incomplete")]
    Config(#[source] ConfigError),
    #[error("failed to start the runtime")]
    Runtime(#[source] io::Error),
    #[error("the runner cannot work")]
    Runner(#[source] RunnerError),
    #[error("failed to print")]
    Print(#[source] io::Error),
}

fn serve() -> Result<(), Failure> {
    let config = prepare()?;
    runtime()?
        .block_on(runner::serve(config))
        .map_err(Failure::Runner)
}

fn doctor() -> Result<(), Failure> {
    let config = prepare()?;
    let machine = runtime()?
        .block_on(runner::doctor(&config))
        .map_err(Failure::Runner)?;
    print(&format!("This machine can hold sandboxes.\n{machine}"))
}

fn retire() -> Result<(), Failure> {
    let config = prepare()?;
    let ended = runtime()?
        .block_on(runner::retire(config))
        .map_err(Failure::Runner)?;
    print(&format!(
        "Ended {ended} sandboxes; the depot has what they held.\n"
    ))
}

fn sweep() -> Result<(), Failure> {
    let config = prepare()?;
    let ended = runtime()?
        .block_on(runner::sweep(&config))
        .map_err(Failure::Runner)?;
    print(&format!("Ended {ended} sandboxes.\n"))
}

fn prepare() -> Result<Config, Failure> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    if io::stderr().is_terminal() {
        log.init();
    } else {
        // For programs that collect it: one object a line, with the session and the sandbox.
        log.json().with_span_list(false).init();
    }
    Config::read(|name| std::env::var(name).ok()).map_err(Failure::Config)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(Failure::Runtime)
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::Print)
}
