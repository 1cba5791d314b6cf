//! How much a layer holds, for the limit of the sandboxes that lie upon it: `weight.json` beside its
//! metadata. Written some time after the layer, since to count takes longer the more there is; what is
//! not written yet counts nothing so far. What an image holds counts for none of its sandboxes.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{FS, LayerId, LayerStore};
use crate::sandbox::disk::{self, Usage};
use crate::sandbox::durable;

const WEIGHT: &str = "weight.json";
const SHARED: &str = "shared";

impl LayerStore {
    /// What the layer takes of a sandbox's limit; `None` while that is not known.
    pub(crate) fn weight(&self, id: &LayerId) -> Option<Usage> {
        if self.is_shared(id) {
            return Some(Usage::default());
        }
        let text = fs::read(self.directory(id).join(WEIGHT)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// How many of a chain's topmost layers are no image's, and what they take together.
    pub(crate) fn own(&self, chain: &[LayerId]) -> (usize, Usage) {
        let own = chain
            .iter()
            .rev()
            .take_while(|layer| !self.is_shared(layer));
        own.fold((0, Usage::default()), |(count, usage), layer| {
            (
                count + 1,
                usage.plus(self.weight(layer).unwrap_or_default()),
            )
        })
    }

    /// Says that a layer is part of an image.
    pub(crate) fn share(&self, id: &LayerId) -> io::Result<()> {
        File::create(self.directory(id).join(SHARED)).map(drop)
    }

    pub(crate) fn is_shared(&self, id: &LayerId) -> bool {
        self.directory(id).join(SHARED).exists()
    }
}

/// Counts what a layer holds and writes that down.
pub(super) fn weigh(layer: &Path) -> io::Result<()> {
    // The agent's state is a copy each time, of which one is in force.
    durable::write_json(&layer.join(WEIGHT), &disk::weigh(&[layer.join(FS)]))
}
