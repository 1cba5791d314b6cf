//! A snapshot of a running sandbox, and a sandbox that starts from it. What one megabyte takes is
//! the baseline of what a gigabyte takes, so that growth with size is seen.
//!
//! The files are written once, which takes far longer than what is measured. For each further snapshot
//! they are what another sandbox has on top, as if it had written them, and it reads each: then the
//! kernel holds for it what it holds for one that wrote them, and the snapshot has as much to do.

use std::time::{Duration, Instant};

use sandbox_runner::layer::LayerId;
use sandbox_runner::sandbox::SandboxBackend as _;

use super::bed::{Bed, spec};
use super::{Bar, BenchError, Measure, milliseconds, rounds, spread};

const ROUNDS: usize = 30;
/// Of each snapshot.
const RESTORES: usize = 3;

const FILE_BYTES: usize = 10_000;
/// Folders, and files in each.
const SMALL: [usize; 2] = [1, 100];
const LARGE: [usize; 2] = [100, 1000];

#[derive(Default)]
struct Times {
    snapshot: Vec<Duration>,
    restore: Vec<Duration>,
}

pub async fn measure() -> Result<[Measure; 2], BenchError> {
    let bed = Bed::open("bench-snapshot", Vec::new()).await?;
    let measured = in_turns(&bed).await;
    bed.clear().await?;
    let (mut small, mut large) = measured?;
    Ok([
        Measure {
            name: "snapshot_1gb",
            value: milliseconds(spread("snapshot_1gb", &mut large.snapshot)),
            unit: "ms",
            baseline: Some(milliseconds(spread(
                "snapshot of 1 MB",
                &mut small.snapshot,
            ))),
            bar: Bar::Value(50.0),
            runs: large.snapshot.len(),
        },
        Measure {
            name: "restore_1gb",
            value: milliseconds(spread("restore_1gb", &mut large.restore)),
            unit: "ms",
            baseline: Some(milliseconds(spread("restore of 1 MB", &mut small.restore))),
            bar: Bar::Value(25.0),
            runs: large.restore.len(),
        },
    ])
}

async fn in_turns(bed: &Bed) -> Result<(Times, Times), BenchError> {
    let (mut small, mut large) = (Times::default(), Times::default());
    let (mut small_layer, mut large_layer) = (None, None);
    for _ in 0..rounds(ROUNDS) {
        small_layer = Some(round(bed, SMALL, small_layer, &mut small).await?);
        large_layer = Some(round(bed, LARGE, large_layer, &mut large).await?);
    }
    for layer in small_layer.iter().chain(&large_layer) {
        bed.remove_layer(layer)?;
    }
    Ok((small, large))
}

/// Returns the layer of the snapshot, for the next round.
async fn round(
    bed: &Bed,
    [folders, files]: [usize; 2],
    layer: Option<LayerId>,
    times: &mut Times,
) -> Result<LayerId, BenchError> {
    let id = bed.create(&[]).await?.id;
    let script = match layer {
        Some(layer) => {
            bed.give_back(&layer, &id)?;
            format!(
                "[ $(find . -type f -size {FILE_BYTES}c | wc -l) = {} ] && \
                 find . -type f -exec cat {{}} + > /dev/null",
                folders * files,
            )
        }
        None => format!(
            "i=0; while [ $i -lt {folders} ]; do mkdir $i || exit; \
             head -c {} /dev/urandom | split -b {FILE_BYTES} -a 3 - $i/ || exit; i=$((i+1)); done",
            files * FILE_BYTES,
        ),
    };
    bed.run(&id, &["/bin/sh", "-c", &script]).await?;
    // What is measured is the snapshot, not the disk's speed.
    rustix::fs::sync();

    let began = Instant::now();
    let layer = bed.backend.snapshot(&id).await?;
    times.snapshot.push(began.elapsed());

    for _ in 0..RESTORES {
        let spec = spec(std::slice::from_ref(&layer))?;
        let began = Instant::now();
        let _sandbox = bed.backend.create(&spec).await?;
        bed.run(&spec.id, &["/usr/bin/test", "-s", "0/aaa"]).await?;
        times.restore.push(began.elapsed());
        bed.backend.destroy(&spec.id).await?;
    }
    bed.backend.destroy(&id).await?;
    bed.quiet().await?;
    Ok(layer)
}
