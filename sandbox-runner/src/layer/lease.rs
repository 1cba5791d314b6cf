//! Layers that somebody is about to use. They are not on any record yet, so the collection would
//! take them for unused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{LayerError, LayerId, LayerStore};

/// How long a layer is kept after a lease: a collection that is on its way may have looked at the
/// records before the lease's holder wrote one.
pub(super) const REST: Duration = Duration::from_secs(60);

/// Keeps layers from being collected for as long as it lives, and for a while after.
#[derive(Debug)]
pub struct Lease {
    layers: Vec<LayerId>,
    leased: Leased,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Leased(Arc<Mutex<HashMap<LayerId, Holding>>>);

#[derive(Debug, Default)]
struct Holding {
    leases: usize,
    /// When the last lease ended.
    ended: Option<Instant>,
}

impl Leased {
    fn lock(&self) -> MutexGuard<'_, HashMap<LayerId, Holding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LayerStore {
    /// Keeps these layers from being collected; fails if one of them does not exist.
    pub fn lease(&self, layers: &[LayerId]) -> Result<Lease, LayerError> {
        let lease = self.reserve(layers);
        match layers.iter().find(|id| !self.exists(id)) {
            Some(missing) => Err(LayerError::Unknown(missing.clone())),
            None => Ok(lease),
        }
    }

    /// Keeps these layers from being collected, also those that do not exist yet.
    pub(super) fn reserve(&self, layers: &[LayerId]) -> Lease {
        let mut leased = self.leased.lock();
        for id in layers {
            leased.entry(id.clone()).or_default().leases += 1;
        }
        Lease {
            layers: layers.to_vec(),
            leased: self.leased.clone(),
        }
    }

    /// Moves a layer to the trash unless somebody leases it, and says whether it is gone.
    pub(super) fn discard(&self, id: &LayerId, now: Instant) -> Result<bool, LayerError> {
        // Held until the layer is gone, so that nobody leases it in between.
        let mut leased = self.leased.lock();
        leased.retain(|_, holding| holding.is_active(now));
        if leased.contains_key(id) {
            return Ok(false);
        }
        let discarded = self.trash.discard(&self.directory(id));
        discarded.map_err(|source| LayerError::Discard {
            id: id.clone(),
            source,
        })?;
        Ok(true)
    }
}

impl Holding {
    fn is_active(&self, now: Instant) -> bool {
        let rested = |ended: Instant| now.saturating_duration_since(ended) >= REST;
        self.leases > 0 || !self.ended.is_some_and(rested)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leased = self.leased.lock();
        for id in &self.layers {
            if let Some(holding) = leased.get_mut(id) {
                holding.leases = holding.leases.saturating_sub(1);
                holding.ended = Some(Instant::now());
            }
        }
    }
}
