//! What the runner itself needs while it holds idle sandboxes; their agents are processes of their
//! own and not counted.

use protocol::Seq;

use super::{Bar, BenchError, Measure, ask, finished, io};
use crate::client::Client;
use crate::demo::{self, Stage};

const SANDBOXES: usize = 10;

/// Adds sessions to the `held` ones until there are ten sandboxes, each of which has answered once.
pub async fn measure(
    stage: &Stage,
    client: &Client,
    held: usize,
) -> Result<[Measure; 2], BenchError> {
    for _ in held..SANDBOXES {
        let session = client.create_session(&stage.wanted(None)).await?.id;
        let mut viewer = client.watch(&session, Seq(0)).await?;
        demo::ready(&mut viewer).await?;
        ask(&mut viewer, r#"[[say text="Here I am."]]"#).await?;
        finished(&mut viewer).await?;
    }
    let runner = stage.stack.runner_process_id();
    let runner = runner.ok_or_else(|| BenchError::Unexpected("there is no runner".to_owned()))?;
    let read = |file: &str| {
        std::fs::read_to_string(format!("/proc/{runner}/{file}"))
            .map_err(io("read the runner's memory"))
    };
    let resident = kilobytes(&read("status")?, "VmRSS:");
    let rollup = read("smaps_rollup")?;
    let private = kilobytes(&rollup, "Private_Clean:") + kilobytes(&rollup, "Private_Dirty:");
    let measure = |name, kilobytes: f64, bar| Measure {
        name,
        value: kilobytes / 1024.0,
        unit: "MB",
        baseline: None,
        bar,
        runs: 1,
    };
    Ok([
        measure("runner_memory", resident, Bar::Value(50.0)),
        measure("runner_memory_private", private, Bar::None),
    ])
}

/// A field of a file in /proc.
pub(super) fn kilobytes(text: &str, field: &str) -> f64 {
    text.lines()
        .find_map(|line| {
            line.strip_prefix(field)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0.0)
}
