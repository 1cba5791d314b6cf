//! What a layer remembers of the depot: `depot.json` beside its metadata.

use std::fs::{self, File};

use serde::{Deserialize, Serialize};

use super::{Depot, DepotError};
use crate::layer::archive::Packed;
use crate::layer::{LayerId, LayerStore};
use crate::sandbox::durable;

const FILE: &str = "depot.json";

#[derive(Serialize, Deserialize)]
struct Memory {
    /// Another depot may lack the layer.
    depot: String,
    #[serde(flatten)]
    packed: Packed,
}

impl Depot {
    /// What a layer is in this depot, if it was uploaded to it or came from it.
    pub fn holds(&self, layers: &LayerStore, id: &LayerId) -> Option<Packed> {
        let text = fs::read(layers.directory(id).join(FILE)).ok()?;
        let memory: Memory = serde_json::from_slice(&text).ok()?;
        (memory.depot == self.address).then_some(memory.packed)
    }
}

impl LayerStore {
    pub(super) fn remember(
        &self,
        id: &LayerId,
        depot: &str,
        packed: &Packed,
    ) -> Result<(), DepotError> {
        let memory = Memory {
            depot: depot.to_owned(),
            packed: packed.clone(),
        };
        let path = self.directory(id).join(FILE);
        durable::write_json(&path, &memory).map_err(|source| DepotError::Remember {
            layer: id.clone(),
            source,
        })
    }

    /// A file without a name, of which a crash leaves nothing.
    pub(super) fn spool(&self, id: &LayerId) -> Result<File, DepotError> {
        tempfile::tempfile_in(&self.root).map_err(|source| DepotError::Spool {
            layer: id.clone(),
            source,
        })
    }
}
