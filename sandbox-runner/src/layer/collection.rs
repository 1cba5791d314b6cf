//! Which layers may go: those that nothing uses, and when the disk is full those that can be fetched
//! again.
//!
//! Callers say what is in use; everything else that is not young is removed. Leases protect what is
//! about to be used. What is removed is out of the way at once, and gone from the disk later, since
//! the trash is emptied slowly.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::Millis;
use rustix::fs::statvfs;

use super::depot::Depot;
use super::{LayerError, LayerId, LayerStore};

/// How long a layer is kept for whoever made it to put it on a record.
pub const GRACE: Duration = Duration::from_secs(10 * 60);
/// The part of a volume that is kept free, in percent.
pub const KEPT_FREE: u64 = 10;

/// Removes all layers but these and the young ones, and says which.
pub fn collect(
    store: &LayerStore,
    used: impl IntoIterator<Item = LayerId>,
) -> Result<Vec<LayerId>, LayerError> {
    collect_at(store, used, Instant::now())
}

fn collect_at(
    store: &LayerStore,
    used: impl IntoIterator<Item = LayerId>,
    now: Instant,
) -> Result<Vec<LayerId>, LayerError> {
    let used: HashSet<LayerId> = used.into_iter().collect();
    let mut removed = Vec::new();
    for id in store.ids()? {
        // A clock that went backwards makes a layer young.
        let old = store.age(&id).is_some_and(|age| age >= GRACE);
        if old && !used.contains(&id) && store.discard(&id, now)? {
            removed.push(id);
        }
    }
    Ok(removed)
}

/// A snapshot that no sandbox is made of.
#[derive(Debug, Clone)]
pub struct Idle {
    /// Lowest first.
    pub layers: Vec<LayerId>,
    pub used_at: Millis,
}

/// Removes layers of snapshots that can be fetched from the depot again, the least recently used
/// snapshot first, until this many bytes are free, and says which. Layers in `used`, and those of
/// snapshots that stay, are not touched.
pub fn evict(
    store: &LayerStore,
    depot: &Depot,
    used: &HashSet<LayerId>,
    idle: Vec<Idle>,
    bytes: u64,
) -> Result<Vec<LayerId>, LayerError> {
    evict_at(store, depot, used, idle, bytes, Instant::now())
}

fn evict_at(
    store: &LayerStore,
    depot: &Depot,
    used: &HashSet<LayerId>,
    mut idle: Vec<Idle>,
    bytes: u64,
    now: Instant,
) -> Result<Vec<LayerId>, LayerError> {
    idle.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.used_at));
    let mut removed = Vec::new();
    let mut freed = 0;
    while freed < bytes
        && let Some(snapshot) = idle.pop()
    {
        let staying: HashSet<&LayerId> = idle.iter().flat_map(|other| &other.layers).collect();
        for id in snapshot.layers {
            if used.contains(&id) || staying.contains(&id) || !store.exists(&id) {
                continue;
            }
            let Some(packed) = depot.holds(store, &id) else {
                continue;
            };
            if store.discard(&id, now)? {
                freed = freed.saturating_add(packed.content);
                removed.push(id);
            }
        }
    }
    Ok(removed)
}

impl LayerStore {
    /// How full the volume is that the layers are on.
    pub fn usage(&self) -> Result<Usage, LayerError> {
        Usage::of(&self.root).map_err(|source| LayerError::List {
            path: self.root.clone(),
            source,
        })
    }
}

/// How full a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub free_bytes: u64,
    /// How many files there can be; 0 if there is no limit.
    pub files: u64,
    pub free_files: u64,
}

impl Usage {
    pub fn of(path: &Path) -> io::Result<Self> {
        let volume = statvfs(path)?;
        Ok(Self {
            bytes: volume.f_blocks.saturating_mul(volume.f_frsize),
            free_bytes: volume.f_bavail.saturating_mul(volume.f_frsize),
            files: volume.f_files,
            free_files: volume.f_favail,
        })
    }

    /// How many bytes have to be freed; one if there are bytes, and no room for more files.
    pub fn shortage(&self) -> u64 {
        let kept = |of: u64| of / 100 * KEPT_FREE;
        let bytes = kept(self.bytes).saturating_sub(self.free_bytes);
        let no_files = self.free_files < kept(self.files);
        bytes.max(u64::from(no_files))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
