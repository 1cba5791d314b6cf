//! What the client costs a browser: work for each frame of a growing text, and what is loaded first.
//!
//! `web/tests/bench/run.ts` measures in Chromium, ours and the other way in the same run.

use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use super::{Bar, BenchError, Measure, io, unexpected};
use crate::stack::repository_root;

#[derive(Deserialize)]
struct Told {
    render_frame_p95: Figure,
    first_load_js: Figure,
}

#[derive(Deserialize)]
struct Figure {
    value: f64,
    baseline: f64,
    runs: usize,
}

/// The client has to be built.
pub async fn measure() -> Result<[Measure; 2], BenchError> {
    let node = std::env::var("NODE_BIN").unwrap_or_else(|_| "node".to_owned());
    let output = Command::new(node)
        .args([
            "--disable-warning=ExperimentalWarning",
            "tests/bench/run.ts",
        ])
        .current_dir(repository_root().join("web"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(io("start the browser's measures"))?;
    if !output.status.success() {
        return Err(unexpected("the browser's measures failed"));
    }
    let Told {
        render_frame_p95: frame,
        first_load_js: load,
    } = serde_json::from_slice(&output.stdout).map_err(unexpected)?;
    let measure = |name, figure: Figure, unit, most| Measure {
        name,
        value: figure.value,
        unit,
        baseline: Some(figure.baseline),
        bar: Bar::Value(most),
        runs: figure.runs,
    };
    Ok([
        measure("render_frame_p95", frame, "ms", 4.0),
        measure("first_load_js", load, "KB", 120.0),
    ])
}
