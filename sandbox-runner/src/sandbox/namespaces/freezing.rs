//! A sandbox ends and becomes a layer.

use std::io;
use std::time::Duration;

use protocol::SandboxId;
use tokio::task::spawn_blocking;

use super::Namespaces;
use crate::layer::{LayerId, LayerMeta, Parts};
use crate::sandbox::SandboxError;

/// What programs get to save their state before their files become a layer.
const FREEZE_GRACE: Duration = Duration::from_secs(5);

impl Namespaces {
    /// The caller has the sandbox's turn.
    pub(super) async fn become_layer(&self, id: &SandboxId) -> Result<LayerId, SandboxError> {
        let mut record = match self.end(id, FREEZE_GRACE).await {
            Err(SandboxError::Unknown(id)) => {
                return self.last_layer(&id).ok_or(SandboxError::Unknown(id));
            }
            ended => ended?,
        };
        self.finish_snapshot(&mut record).await?;
        let layer = LayerId::of(id, record.ordinal);
        let directory = self.state.sandbox(id);
        let meta = LayerMeta {
            id: layer.clone(),
            parents: record.layers,
        };
        let (layers, parts) = (self.layers.clone(), directory.clone());
        spawn_blocking(move || {
            let (upper, agent, system) = (parts.upper(), parts.agent(), parts.system());
            let parts = Parts {
                fs: &upper,
                agent: Some(&agent),
                system: record.workshop.then_some(&system),
            };
            layers.commit(&meta, parts)
        })
        .await
        .map_err(|error| SandboxError::Prepare {
            path: directory.upper(),
            source: io::Error::other(error),
        })??;
        self.discard(&directory)?;
        Ok(layer)
    }

    /// The newest layer that a sandbox became. Earlier ones may be gone: a copy lies upon none of them.
    fn last_layer(&self, id: &SandboxId) -> Option<LayerId> {
        let layers = self.layers.ids().ok()?;
        let ordinals = layers.iter().filter_map(|layer| layer.ordinal_of(id));
        ordinals.max().map(|ordinal| LayerId::of(id, ordinal))
    }
}
