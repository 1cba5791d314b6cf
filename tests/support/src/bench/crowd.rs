//! Many sandboxes without agents: started at once, and taken over from a runner that was killed.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use sandbox_runner::sandbox::{Adoption, SandboxBackend as _};
use tokio::process::Command;

use super::bed::{Bed, spec};
use super::bubblewrap::Bubblewrap;
use super::{Bar, BenchError, LIMIT, Measure, io, milliseconds, rounds, spread};
use crate::process::Process;

const AT_ONCE: usize = 100;
const ADOPTED: usize = 50;
const LAYERS: usize = 3;
const PROGRAM: &str = "/bin/true";
const ROUNDS: usize = 30;

/// This program's argument that makes it the process that holds sandboxes: see [`hold`].
pub const HOLD: &str = "--hold";

/// A hundred sandboxes, until each has run a program; the second measure counts those that failed.
pub async fn measure_concurrent() -> Result<[Measure; 2], BenchError> {
    let bed = Bed::open("bench-crowd", Vec::new()).await?;
    let measured = start_at_once(&bed).await;
    bed.clear().await?;
    let Starts {
        mut ours,
        mut theirs,
        failed,
    } = measured?;
    let runs = ours.len();
    Ok([
        Measure {
            name: "concurrent_100",
            value: milliseconds(spread("concurrent_100", &mut ours)),
            unit: "ms",
            baseline: (!theirs.is_empty()).then(|| milliseconds(spread("bubblewrap", &mut theirs))),
            bar: Bar::Value(1000.0),
            runs,
        },
        Measure {
            name: "concurrent_100_failed",
            value: failed as f64,
            unit: "",
            baseline: None,
            bar: Bar::Value(0.0),
            runs,
        },
    ])
}

#[derive(Default)]
struct Starts {
    ours: Vec<Duration>,
    theirs: Vec<Duration>,
    failed: usize,
}

async fn start_at_once(bed: &Bed) -> Result<Starts, BenchError> {
    let bubblewrap = Bubblewrap::find(&bed.state().join("bubblewrap"), LAYERS)?;
    let layers = bed.layers(LAYERS).await?;
    let mut starts = Starts::default();
    for _ in 0..rounds(ROUNDS) {
        let specs = (0..AT_ONCE).map(|_| spec(&layers));
        let specs: Vec<_> = specs.collect::<Result<_, _>>()?;
        let began = Instant::now();
        let started = join_all(specs.iter().map(|spec| async {
            let _sandbox = bed.backend.create(spec).await?;
            bed.run(&spec.id, &[PROGRAM]).await
        }));
        let started = started.await;
        starts.ours.push(began.elapsed());
        for error in started.into_iter().filter_map(Result::err) {
            starts.failed += 1;
            eprintln!("one of {AT_ONCE} sandboxes did not start: {error}");
        }
        let ended = specs.iter().map(|spec| bed.backend.destroy(&spec.id));
        try_join_all(ended).await?;
        bed.quiet().await?;
        if let Some(bubblewrap) = &bubblewrap {
            let began = Instant::now();
            try_join_all((0..AT_ONCE).map(|number| bubblewrap.run(number, PROGRAM))).await?;
            starts.theirs.push(began.elapsed());
        }
    }
    Ok(starts)
}

/// From the start of a process that takes over what a killed one held until it has all of it. The
/// agents and the sessions' own records are no part of it.
pub async fn measure_adoption() -> Result<Measure, BenchError> {
    let bed = Bed::open("bench-adopt", Vec::new()).await?;
    let state = bed.state().to_owned();
    drop(bed);
    let measured = take_over(&state).await;
    Bed::at(&state, Vec::new())?.clear().await?;
    let mut times = measured?;
    Ok(Measure {
        name: "adopt_50",
        value: milliseconds(spread("adopt_50", &mut times)),
        unit: "ms",
        baseline: None,
        bar: Bar::Value(1000.0),
        runs: times.len(),
    })
}

async fn take_over(state: &Path) -> Result<Vec<Duration>, BenchError> {
    let mut holder = holder(state).await?;
    let mut times = Vec::new();
    for _ in 0..rounds(ROUNDS) {
        holder.kill().await;
        let began = Instant::now();
        holder = self::holder(state).await?;
        times.push(began.elapsed());
    }
    holder.kill().await;
    Ok(times)
}

/// Returns when it holds all sandboxes.
async fn holder(state: &Path) -> Result<Process, BenchError> {
    let program = std::env::current_exe().map_err(io("find this program's own file"))?;
    let mut command = Command::new(program);
    command.arg(HOLD).arg(state);
    let log = state.with_extension("log");
    let mut process = Process::start("holder", command, &log).await?;
    let wanted = format!("holding {ADOPTED} sandboxes");
    let held = process
        .wait_for(&wanted, LIMIT, |line| (line == wanted).then_some(()))
        .await;
    let _ = std::fs::remove_file(log);
    held?;
    Ok(process)
}

/// Takes over the sandboxes in `state`, or starts them where there are none, says so, and holds
/// them until it is killed.
pub async fn hold(state: &Path) -> Result<(), BenchError> {
    let bed = Bed::at(state, Vec::new())?;
    let records = bed.backend.list().await?;
    let mut held = Vec::new();
    if records.is_empty() {
        let layers = bed.layers(LAYERS).await?;
        for _ in 0..ADOPTED {
            held.push(bed.create(&layers).await?);
        }
    } else {
        let adopted = records.iter().map(|record| bed.backend.adopt(&record.id));
        for adoption in try_join_all(adopted).await? {
            if let Adoption::Alive(sandbox) = adoption {
                held.push(sandbox);
            }
        }
    }
    println!("holding {} sandboxes", held.len());
    std::future::pending().await
}
