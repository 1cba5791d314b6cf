//! What `make bench` measures: each figure on the real stack, with its baseline in the same run.
//!
//! A module measures one thing and gives a [`Measure`]; [`Results`] are printed as a table and
//! written as JSON.

pub mod alone;
mod bed;
mod bubblewrap;
pub mod crowd;
pub mod events;
pub mod first_token;
pub mod idle;
pub mod memory;
pub mod page;
pub mod results;
pub mod routing;
pub mod sandbox_start;
pub mod snapshot;
pub mod sockets;
pub mod warm;
pub mod wire;

use std::time::Duration;

use protocol::event::Fact;
use protocol::frame::{ClientFrame, ServerFrame};
use sandbox_runner::agent::AgentError;
use sandbox_runner::image::ImageError;
use sandbox_runner::sandbox::SandboxError;
use sandbox_runner::sandbox::namespaces::SetupError;
use sandbox_runner::store::StoreError;

use crate::client::{ClientError, Viewer};
use crate::demo::DemoError;
use crate::forge::ForgeError;
use crate::process::ProcessError;
use crate::puppet::PuppetError;
use crate::stack::StackError;

pub use results::{Bar, Measure, Results};

/// How long one answer may take: the longest stream is 80 seconds.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("the stack failed")]
    Stack(#[from] StackError),
    #[error("the stage could not be set")]
    Stage(#[from] DemoError),
    #[error("the forge failed")]
    Forge(#[from] ForgeError),
    #[error("the Worker refused or broke off")]
    Client(#[from] ClientError),
    #[error("the played runner failed")]
    Puppet(#[from] PuppetError),
    #[error("a process failed")]
    Process(#[from] ProcessError),
    #[error("the agent failed")]
    Agent(#[from] AgentError),
    #[error("sandboxes could not be prepared")]
    Setup(#[from] SetupError),
    #[error("a sandbox failed")]
    Sandbox(#[from] SandboxError),
    #[error("an image failed")]
    Image(#[from] ImageError),
    #[error("the runner's store failed")]
    Store(#[from] StoreError),
    #[error("no random bits could be had")]
    Random(#[from] getrandom::Error),
    #[error("failed to {operation}")]
    Io {
        operation: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{0}")]
    Unexpected(String),
}

fn io(operation: &'static str) -> impl FnOnce(std::io::Error) -> BenchError {
    move |source| BenchError::Io { operation, source }
}

fn unexpected(error: impl std::fmt::Display) -> BenchError {
    BenchError::Unexpected(error.to_string())
}

/// How many runs a measure makes: `BENCH_ROUNDS`, to try one quickly, or else its own number.
fn rounds(usual: usize) -> usize {
    let asked = std::env::var("BENCH_ROUNDS").ok();
    asked
        .and_then(|rounds| rounds.parse().ok())
        .map_or(usual, |rounds: usize| rounds.max(1))
}

/// The value that half of the samples stay below.
fn median(samples: &mut [Duration]) -> Duration {
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// As [`median`]; says the fastest and the slowest as well.
fn spread(name: &str, samples: &mut [Duration]) -> Duration {
    let median = median(samples);
    if let (Some(least), Some(most)) = (samples.first(), samples.last()) {
        let [least, middle, most] = [*least, median, *most].map(milliseconds);
        println!(
            "  {name}: {least:.2} / {middle:.2} / {most:.2} ms of {}",
            samples.len()
        );
    }
    median
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

async fn ask(viewer: &mut Viewer, text: &str) -> Result<(), BenchError> {
    let prompt = ClientFrame::Prompt {
        text: text.to_owned(),
        mode: protocol::event::Mode::Queue,
        client_request_id: None,
        attachments: Vec::new(),
    };
    Ok(viewer.send(&prompt).await?)
}

/// Waits for the end of the prompt that was asked last.
async fn finished(viewer: &mut Viewer) -> Result<(), BenchError> {
    let outcome = viewer
        .wait_for("the end of the prompt", LIMIT, |_, frame| {
            let ServerFrame::Events { events } = frame else {
                return None;
            };
            events.iter().find_map(|event| match &event.fact {
                Fact::PromptFinished { outcome, .. } => Some(outcome.clone()),
                _ => None,
            })
        })
        .await?;
    match outcome {
        protocol::event::Outcome::Completed => Ok(()),
        other => Err(BenchError::Unexpected(format!(
            "a prompt ended as {other:?}"
        ))),
    }
}
