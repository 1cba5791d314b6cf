//! How long a sandbox takes from nothing to the result of its first program, and bubblewrap alone
//! from nothing to the end of the same program.
//!
//! Each has a rest before it, in which the launcher makes ready what the next start needs. What a
//! start takes that follows at once upon another, for which nothing is ready, is a measure of its own.

use std::time::{Duration, Instant};

use sandbox_runner::layer::LayerId;
use sandbox_runner::sandbox::SandboxBackend as _;
use tokio::time::sleep;

use super::bed::{Bed, spec};
use super::bubblewrap::Bubblewrap;
use super::{Bar, BenchError, Measure, milliseconds, rounds, spread};

const PROGRAM: &str = "/bin/true";
const ROUNDS: usize = 60;
const REST: Duration = Duration::from_millis(200);

/// On an overlay without layers below.
pub async fn measure() -> Result<Measure, BenchError> {
    let times = on_layers("bench-start", 0).await?;
    Ok(times.measure("sandbox_start", Bar::None))
}

/// On an overlay of three layers; the second measure is of starts without a rest before.
pub async fn measure_launcher() -> Result<[Measure; 2], BenchError> {
    let times = on_layers("bench-launcher", 3).await?;
    let again = Times {
        ours: times.again.clone(),
        ..times.clone()
    };
    Ok([
        times.measure("launcher_start", Bar::Ratio(0.8)),
        again.measure("launcher_start_at_once", Bar::None),
    ])
}

#[derive(Default, Clone)]
struct Times {
    ours: Vec<Duration>,
    again: Vec<Duration>,
    theirs: Vec<Duration>,
}

impl Times {
    fn measure(mut self, name: &'static str, bar: Bar) -> Measure {
        let value = milliseconds(spread(name, &mut self.ours));
        let baseline = milliseconds(spread("bubblewrap", &mut self.theirs));
        Measure {
            name,
            value,
            unit: "ms",
            baseline: (!self.theirs.is_empty()).then_some(baseline),
            bar,
            runs: self.ours.len(),
        }
    }
}

async fn on_layers(name: &str, layers: usize) -> Result<Times, BenchError> {
    let bed = Bed::open(name, Vec::new()).await?;
    let measured = compare(&bed, layers).await;
    bed.clear().await?;
    measured
}

async fn compare(bed: &Bed, layers: usize) -> Result<Times, BenchError> {
    // Bubblewrap knows no overlay without a layer below.
    let bubblewrap = Bubblewrap::find(&bed.state().join("bubblewrap"), layers.max(1))?;
    let layers = bed.layers(layers).await?;
    let mut times = Times::default();
    for _ in 0..rounds(ROUNDS) {
        sleep(REST).await;
        times.ours.push(sandbox(bed, &layers).await?);
        times.again.push(sandbox(bed, &layers).await?);
        if let Some(bubblewrap) = &bubblewrap {
            sleep(REST).await;
            times.theirs.push(bubblewrap.run(0, PROGRAM).await?);
        }
    }
    Ok(times)
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
