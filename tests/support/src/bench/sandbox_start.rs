//! How long a sandbox takes from nothing to the result of its first program, and bubblewrap alone
//! from nothing to the end of the same program.

use std::time::{Duration, Instant};

use sandbox_runner::layer::LayerId;
use sandbox_runner::sandbox::SandboxBackend as _;

use super::bed::{Bed, spec};
use super::bubblewrap::Bubblewrap;
use super::{Bar, BenchError, Measure, median, milliseconds, rounds};

const PROGRAM: &str = "/bin/true";
const ROUNDS: usize = 60;

/// On an overlay without layers below.
pub async fn measure() -> Result<Measure, BenchError> {
    on_layers("sandbox_start", 0, Bar::None).await
}

/// On an overlay of three layers.
pub async fn measure_launcher() -> Result<Measure, BenchError> {
    on_layers("launcher_start", 3, Bar::Ratio(0.8)).await
}

async fn on_layers(name: &'static str, layers: usize, bar: Bar) -> Result<Measure, BenchError> {
    let bed = Bed::open("bench-start", Vec::new()).await?;
    let measured = compare(&bed, layers).await;
    bed.clear().await?;
    let (mut ours, mut theirs) = measured?;
    Ok(Measure {
        name,
        value: milliseconds(median(&mut ours)),
        unit: "ms",
        baseline: (!theirs.is_empty()).then(|| milliseconds(median(&mut theirs))),
        bar,
        runs: ours.len(),
    })
}

async fn compare(bed: &Bed, layers: usize) -> Result<(Vec<Duration>, Vec<Duration>), BenchError> {
    // Bubblewrap knows no overlay without a layer below.
    let bubblewrap = Bubblewrap::find(&bed.state().join("bubblewrap"), layers.max(1))?;
    let layers = bed.layers(layers).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds(ROUNDS) {
        ours.push(sandbox(bed, &layers).await?);
        if let Some(bubblewrap) = &bubblewrap {
            theirs.push(bubblewrap.run(0, PROGRAM).await?);
        }
    }
    Ok((ours, theirs))
}

async fn sandbox(bed: &Bed, layers: &[LayerId]) -> Result<Duration, BenchError> {
    let spec = spec(layers)?;
    let began = Instant::now();
    let _sandbox = bed.backend.create(&spec).await?;
    bed.run(&spec.id, &[PROGRAM]).await?;
    let took = began.elapsed();
    bed.backend.destroy(&spec.id).await?;
    Ok(took)
}
