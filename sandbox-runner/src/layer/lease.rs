//! Layers that somebody is about to use. They are not on any record yet, so the collection would
//! take them for unused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{LayerError, LayerId, LayerStore};

/// Keeps layers from being collected for as long as it lives.
#[derive(Debug)]
pub struct Lease {
    layers: Vec<LayerId>,
    leased: Arc<Mutex<HashMap<LayerId, usize>>>,
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
    pub(crate) fn reserve(&self, layers: &[LayerId]) -> Lease {
        let mut leased = self.leased.lock().unwrap_or_else(PoisonError::into_inner);
        for id in layers {
            *leased.entry(id.clone()).or_default() += 1;
        }
        Lease {
            layers: layers.to_vec(),
            leased: Arc::clone(&self.leased),
        }
    }

    /// Moves a layer to the trash unless somebody leases it, and says whether it is gone.
    pub(super) fn discard(&self, id: &LayerId) -> Result<bool, LayerError> {
        // Held until the layer is gone, so that nobody leases it in between.
        let leased = self.leased.lock().unwrap_or_else(PoisonError::into_inner);
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

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leased = self.leased.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &self.layers {
            if let Some(count) = leased.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    leased.remove(id);
                }
            }
        }
    }
}
