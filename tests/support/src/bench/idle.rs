//! What each further sandbox costs while nothing runs in it: its processes, what it makes this
//! process and the zygote hold, and what the kernel holds for it. Beside it, bubblewrap with a
//! program that does nothing.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::try_join_all;
use sandbox_runner::layer::LayerId;
use sandbox_runner::sandbox::SandboxBackend as _;
use sandbox_runner::sandbox::record::SandboxState;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::bed::Bed;
use super::bubblewrap::Bubblewrap;
use super::memory::kilobytes;
use super::{Bar, BenchError, Measure, io, rounds};

const SANDBOXES: usize = 50;
const LAYERS: usize = 3;
const ROUNDS: usize = 30;
/// The kernel frees what belonged to ended processes a moment later.
const SETTLED: Duration = Duration::from_millis(300);

/// Of the kernel's own memory, what grows with processes, mounts and namespaces.
const KERNEL: [&str; 5] = [
    "SUnreclaim:",
    "KernelStack:",
    "PageTables:",
    "Percpu:",
    "Shmem:",
];

pub async fn measure() -> Result<[Measure; 2], BenchError> {
    let bed = Bed::open("bench-idle", Vec::new()).await?;
    let measured = compare(&bed).await;
    bed.clear().await?;
    let [mut ours, mut theirs] = measured?;
    let runs = ours.len();
    let mut part = |of: fn(&Occupied) -> f64| {
        let middle = |samples: &mut Vec<Occupied>| {
            samples.sort_unstable_by(|one, other| of(one).total_cmp(&of(other)));
            samples.get(samples.len() / 2).map(of)
        };
        (middle(&mut ours).unwrap_or_default(), middle(&mut theirs))
    };
    let (value, baseline) = part(|one| one.processes + one.kernel);
    let whole = Measure {
        name: "idle_sandbox_memory",
        value,
        unit: "MB",
        baseline,
        bar: Bar::Value(1.0),
        runs,
    };
    let (value, baseline) = part(|one| one.processes);
    let processes = Measure {
        name: "idle_sandbox_processes",
        value,
        unit: "MB",
        baseline,
        bar: Bar::None,
        runs,
    };
    Ok([whole, processes])
}

/// In megabytes.
#[derive(Debug, Clone, Copy)]
struct Occupied {
    processes: f64,
    kernel: f64,
}

impl Occupied {
    /// Of this process, all below it, and the `others` with all below them.
    fn now(others: &[i32]) -> Result<Self, BenchError> {
        let mut family = BTreeSet::new();
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        for process in others.iter().copied().chain([own]) {
            descend(process, &mut family);
        }
        let processes: f64 = family
            .iter()
            .filter_map(|process| {
                // One may have ended since.
                let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
                Some(kilobytes(&text.ok()?, "Pss:"))
            })
            .sum();
        let machine =
            std::fs::read_to_string("/proc/meminfo").map_err(io("read the machine's memory"))?;
        let kernel: f64 = KERNEL.iter().map(|field| kilobytes(&machine, field)).sum();
        Ok(Self {
            processes: processes / 1024.0,
            kernel: kernel / 1024.0,
        })
    }

    fn each_since(self, before: Self) -> Self {
        Self {
            processes: (self.processes - before.processes) / SANDBOXES as f64,
            kernel: (self.kernel - before.kernel) / SANDBOXES as f64,
        }
    }
}

fn descend(process: i32, family: &mut BTreeSet<i32>) {
    if !family.insert(process) {
        return;
    }
    // Children are listed by the thread that has started them.
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    for thread in threads.into_iter().flatten().filter_map(Result::ok) {
        let children = std::fs::read_to_string(thread.path().join("children"));
        for child in children.unwrap_or_default().split_whitespace() {
            if let Ok(child) = child.parse() {
                descend(child, family);
            }
        }
    }
}

async fn compare(bed: &Bed) -> Result<[Vec<Occupied>; 2], BenchError> {
    let bubblewrap = Bubblewrap::find(&bed.state().join("bubblewrap"), LAYERS)?;
    let layers = bed.layers(LAYERS).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds(ROUNDS) {
        ours.push(sandboxes(bed, &layers).await?);
        if let Some(bubblewrap) = &bubblewrap {
            theirs.push(bubbles(bubblewrap).await?);
        }
    }
    Ok([ours, theirs])
}

async fn sandboxes(bed: &Bed, layers: &[LayerId]) -> Result<Occupied, BenchError> {
    tokio::time::sleep(SETTLED).await;
    let before = Occupied::now(&[])?;
    // Held, as the runner holds their ports.
    let held = try_join_all((0..SANDBOXES).map(|_| bed.create(layers))).await?;
    tokio::time::sleep(SETTLED).await;
    let records = bed.backend.list().await?.into_iter();
    let processes: Vec<i32> = records
        .filter_map(|record| match record.state {
            SandboxState::Running(process) => Some(process.pid),
            _ => None,
        })
        .collect();
    let each = Occupied::now(&processes)?.each_since(before);
    try_join_all(held.iter().map(|sandbox| bed.backend.destroy(&sandbox.id))).await?;
    bed.quiet().await?;
    Ok(each)
}

async fn bubbles(bubblewrap: &Bubblewrap) -> Result<Occupied, BenchError> {
    tokio::time::sleep(SETTLED).await;
    let before = Occupied::now(&[])?;
    let mut held = Vec::new();
    for number in 0..SANDBOXES {
        let mut command = bubblewrap.command(number, "/bin/cat")?;
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(io("run bubblewrap"))?;
        // It answers, so it is up, and it waits from then on.
        if let (Some(input), Some(output)) = (&mut child.stdin, &mut child.stdout) {
            input
                .write_all(b"x")
                .await
                .map_err(io("write to bubblewrap"))?;
            output
                .read_exact(&mut [0])
                .await
                .map_err(io("read from bubblewrap"))?;
        }
        held.push(child);
    }
    tokio::time::sleep(SETTLED).await;
    let each = Occupied::now(&[])?.each_since(before);
    for child in &mut held {
        drop(child.stdin.take());
        child.wait().await.map_err(io("end bubblewrap"))?;
    }
    Ok(each)
}
