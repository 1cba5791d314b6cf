//! How much sandboxes have written, and the end of those that write more than they may.
//!
//! No quota of the kernel works on every volume, so files are counted, by walks over what a sandbox
//! writes. One walk at a time is under way over all sandboxes: they share a disk. A sandbox is
//! walked every two seconds, less often if that takes long, and more often while the volume fills
//! fast. One that is beyond its limit is stopped where it is, marked, and killed; for everybody
//! else it has ended by itself.
//!
//! A sandbox overshoots by what it writes between two walks. What its processes
//! hold and what has no name any more counts where there are control groups. What snapshots froze counts as well: a snapshot would begin a new limit otherwise.

mod held;
mod walk;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::SandboxId;
use rustix::fs::statvfs;
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use super::cgroup::Driver;
use super::limits::Limits;
use super::record::{SandboxRecord, SandboxState};
use crate::cause;
use crate::layer::LayerStore;

/// How often it is asked what the volume has left, which is one system call.
const LOOK: Duration = Duration::from_millis(250);
/// Time between walks of one sandbox, if they are short.
const PERIOD: Duration = Duration::from_secs(2);
/// A walk is under way for at most one part in so many of the time.
const REST: u32 = 10;
/// The same while the volume fills fast.
const SHORT_REST: u32 = 2;
/// The volume fills fast when this much went between two looks.
const FAST_BYTES: u64 = 32 << 20;
const FAST_FILES: u64 = 2000;

/// What a sandbox has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    pub bytes: u64,
    pub files: u64,
}

/// A sandbox wrote more than it may. Counting ended there, so it may be even more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    pub usage: Usage,
    pub limits: Usage,
}

impl Usage {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            files: self.files.saturating_add(other.files),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            files: self.files.saturating_sub(other.files),
        }
    }
}

/// Counts what is below directories that nobody changes any more.
pub(crate) fn weigh(parts: &[impl AsRef<Path>]) -> Usage {
    walk::weigh(parts)
}

impl fmt::Display for Excess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { usage, limits } = self;
        if usage.files > limits.files {
            return write!(
                formatter,
                "its files are more than the {} that a sandbox may have",
                limits.files
            );
        }
        let mebibytes = limits.bytes >> 20;
        write!(
            formatter,
            "its files take more than the {mebibytes} MiB that a sandbox may write"
        )
    }
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(super) struct DiskWatch {
    watched: Arc<Mutex<BTreeMap<SandboxId, Watched>>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Watched {
    directory: PathBuf,
    limits: Usage,
    walked: Option<Walked>,
    excess: Option<Excess>,
}

#[derive(Debug, Clone, Copy)]
struct Walked {
    at: Instant,
    took: Duration,
}

impl Drop for DiskWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl DiskWatch {
    /// Needs a tokio runtime.
    pub(super) fn start(volume: &Path, groups: Driver, layers: LayerStore) -> Self {
        let watched = Arc::default();
        let shared = Arc::clone(&watched);
        let task = tokio::spawn(watch(volume.to_owned(), groups, layers, shared));
        Self { watched, task }
    }

    pub(super) fn enter(&self, id: &SandboxId, directory: &Path, limits: &Limits) {
        let watched = Watched {
            directory: directory.to_owned(),
            limits: Usage {
                bytes: limits.disk_bytes,
                files: limits.files,
            },
            walked: None,
            excess: None,
        };
        lock(&self.watched).insert(id.clone(), watched);
    }

    pub(super) fn leave(&self, id: &SandboxId) {
        lock(&self.watched).remove(id);
    }

    /// Why the sandbox was ended, if that was here.
    pub(super) fn excess(&self, id: &SandboxId) -> Option<Excess> {
        lock(&self.watched)
            .get(id)
            .and_then(|watched| watched.excess)
    }
}

impl Watched {
    fn is_due(&self, now: Instant, is_filling: bool) -> bool {
        let Some(Walked { at, took }) = self.walked else {
            return true;
        };
        let pause = if is_filling {
            took * SHORT_REST
        } else {
            PERIOD.max(took * REST)
        };
        self.excess.is_none() && now.duration_since(at) >= pause
    }
}

async fn watch(
    volume: PathBuf,
    groups: Driver,
    layers: LayerStore,
    shared: Arc<Mutex<BTreeMap<SandboxId, Watched>>>,
) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = Usage::default();
    loop {
        looks.tick().await;
        let before = std::mem::replace(&mut left, free(&volume).unwrap_or_default());
        let is_filling = before.bytes.saturating_sub(left.bytes) >= FAST_BYTES
            || before.files.saturating_sub(left.files) >= FAST_FILES;
        let now = Instant::now();
        let due: Vec<_> = lock(&shared)
            .iter()
            .filter(|(_, watched)| watched.is_due(now, is_filling))
            .map(|(id, watched)| (id.clone(), watched.clone()))
            .collect();
        for (
            id,
            Watched {
                directory, limits, ..
            },
        ) in due
        {
            let started = Instant::now();
            let parts = ["upper", "agent", "system"].map(|part| directory.join(part));
            let (beneath, layers) = (directory.clone(), layers.clone());
            let (about, root, name) = (groups.clone(), volume.clone(), id.clone());
            let walking = spawn_blocking(move || {
                let other = frozen(&layers, &beneath).plus(held(&about, &root, &name));
                // Counting ends where the limit does.
                walk::measure(&parts, limits.minus(other)).plus(other)
            });
            let Ok(usage) = walking.await else {
                return;
            };
            let at = Instant::now();
            let is_beyond = usage.bytes > limits.bytes || usage.files > limits.files;
            let excess = is_beyond.then_some(Excess { usage, limits });
            // Nobody else's turn is taken for what follows: a snapshot may hold it for long.
            if excess.is_some() {
                stop_where_it_is(&groups, &id).await;
            }
            match lock(&shared).get_mut(&id) {
                Some(watched) => {
                    watched.walked = Some(Walked {
                        at,
                        took: at.duration_since(started),
                    });
                    watched.excess = excess;
                }
                // It has ended meanwhile.
                None => continue,
            }
            if let Some(excess) = excess {
                tracing::warn!(sandbox = %id, %excess, "a sandbox is ended");
                let groups = groups.clone();
                let name = id.clone();
                let killed = spawn_blocking(move || kill(&groups, &name, &directory)).await;
                if let Ok(Err(error)) = killed {
                    let error = cause::chain(error.as_ref());
                    tracing::error!(sandbox = %id, error, "a sandbox that is too large goes on");
                    // Tried again with the next walk.
                    if let Some(watched) = lock(&shared).get_mut(&id) {
                        watched.excess = None;
                    }
                }
            }
        }
    }
}

/// What a sandbox's snapshots, and those that it goes on from, hold above its image.
fn frozen(layers: &LayerStore, directory: &Path) -> Usage {
    // One that cannot be read has ended, or is read the next time.
    let record = SandboxRecord::read(directory).ok().flatten();
    let chain = record.map(|record| record.layers).unwrap_or_default();
    layers.own(&chain).1
}

/// What its processes hold and what has no name; a few system calls for a sandbox that is idle.
fn held(groups: &Driver, volume: &Path, id: &SandboxId) -> Usage {
    let group = groups.open(id.as_str()).ok().flatten();
    // One that has ended holds nothing.
    let held = group.and_then(|group| held::measure(volume, &group).ok());
    held.unwrap_or_default()
}

/// What the volume has left.
fn free(volume: &Path) -> io::Result<Usage> {
    let left = statvfs(volume)?;
    Ok(Usage {
        bytes: left.f_bavail.saturating_mul(left.f_frsize),
        files: left.f_favail,
    })
}

/// So that it writes no more while it is told of; without control groups it goes on that long.
async fn stop_where_it_is(groups: &Driver, id: &SandboxId) {
    let (groups, name) = (groups.clone(), id.clone());
    let stopped = spawn_blocking(move || match groups.open(name.as_str())? {
        Some(group) => group.freeze(),
        None => Ok(()),
    });
    if let Ok(Err(error)) = stopped.await {
        let error = cause::chain(&error);
        tracing::debug!(sandbox = %id, error, "a sandbox did not stop before its end");
    }
}

type KillError = Box<dyn std::error::Error + Send + Sync>;

/// The record and the group are left for whoever owns the sandbox.
fn kill(groups: &Driver, id: &SandboxId, directory: &Path) -> Result<(), KillError> {
    if let Some(group) = groups.open(id.as_str())? {
        group.kill()?;
    }
    let record = SandboxRecord::read(directory)?;
    if let Some(SandboxState::Running(identity)) = record.map(|record| record.state)
        && let Some(process) = identity.open()?
    {
        match pidfd_send_signal(&process, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn lock(
    watched: &Mutex<BTreeMap<SandboxId, Watched>>,
) -> MutexGuard<'_, BTreeMap<SandboxId, Watched>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn watched(took: Duration) -> (Watched, Instant) {
        let at = Instant::now();
        let watched = Watched {
            directory: PathBuf::new(),
            limits: Usage::default(),
            walked: Some(Walked { at, took }),
            excess: None,
        };
        (watched, at)
    }

    #[test]
    fn a_walk_that_takes_long_is_made_less_often() {
        let (short, at) = watched(Duration::from_millis(20));
        assert!(!short.is_due(at + Duration::from_secs(1), false));
        assert!(short.is_due(at + Duration::from_secs(2), false));
        let (long, at) = watched(Duration::from_secs(3));
        assert!(!long.is_due(at + Duration::from_secs(29), false));
        assert!(long.is_due(at + Duration::from_secs(30), false));
    }

    #[test]
    fn a_volume_that_fills_fast_is_not_waited_for() {
        let (long, at) = watched(Duration::from_secs(3));
        assert!(!long.is_due(at + Duration::from_secs(5), true));
        assert!(long.is_due(at + Duration::from_secs(6), true));
    }
}
