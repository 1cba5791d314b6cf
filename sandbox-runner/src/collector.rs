//! Removes layers that nothing starts from any more, and when the disk is full those that the depot
//! has as well.
//!
//! What counts is on record: sandboxes, images that have not expired, snapshots. If one of the
//! lists cannot be read, nothing is removed.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;

use crate::cause;
use crate::image::{ImageError, Images};
use crate::layer::collection::{GRACE, Idle, collect, evict};
use crate::layer::depot::Depot;
use crate::layer::{LayerError, LayerId, LayerStore};
use crate::sandbox::{SandboxBackend, SandboxError};
use crate::store::snapshot::Snapshot;
use crate::store::{Store, StoreError};

/// How often it looks when no image is made: by then what was young may go.
const EVERY: Duration = GRACE;

#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    #[error("failed to list the sandboxes")]
    Sandboxes(#[source] SandboxError),
    #[error("failed to list the images")]
    Images(#[source] ImageError),
    #[error("failed to list the snapshots")]
    Snapshots(#[source] StoreError),
    #[error(transparent)]
    Layers(#[from] LayerError),
    #[error("the collection was interrupted")]
    Interrupted(#[source] JoinError),
}

pub struct Collector {
    pub backend: Arc<dyn SandboxBackend>,
    pub images: Arc<Images>,
    pub store: Arc<Store>,
    pub layers: LayerStore,
    /// Without one, every layer that a snapshot needs stays.
    pub depot: Option<Arc<Depot>>,
}

impl Collector {
    /// Collects now, after each new image, and every once in a while.
    pub async fn run(self) -> Infallible {
        loop {
            match self.collect().await {
                Ok(removed) if removed.is_empty() => {}
                Ok(removed) => tracing::info!(layers = removed.len(), "unused layers were removed"),
                Err(error) => {
                    let error = cause::chain(&error);
                    tracing::warn!(error, "unused layers remain");
                }
            }
            tokio::select! {
                () = self.images.made() => {}
                () = sleep(EVERY) => {}
            }
        }
    }

    /// Says which layers it removed.
    pub async fn collect(&self) -> Result<Vec<LayerId>, CollectorError> {
        let sandboxes = self.backend.list().await;
        let sandboxes = sandboxes.map_err(CollectorError::Sandboxes)?;
        let images = Arc::clone(&self.images);
        let (store, layers, depot) = (
            Arc::clone(&self.store),
            self.layers.clone(),
            self.depot.clone(),
        );
        let collecting = spawn_blocking(move || {
            let expired = images.expire().map_err(CollectorError::Images)?;
            if expired > 0 {
                tracing::info!(
                    images = expired,
                    "images that nothing starts from have expired"
                );
            }
            let images = images.layers().map_err(CollectorError::Images)?;
            let snapshots = store.snapshots().map_err(CollectorError::Snapshots)?;
            let sandboxes = sandboxes.into_iter().flat_map(|record| record.layers);
            let used: HashSet<_> = sandboxes.chain(images).collect();
            let needed = snapshots.iter().flat_map(|snapshot| &snapshot.layers);
            let mut removed = collect(&layers, used.iter().chain(needed).cloned())?;
            if let Some(depot) = depot {
                let shortage = layers.usage()?.shortage();
                let idle = snapshots.into_iter().map(idle).collect();
                removed.extend(evict(&layers, &depot, &used, idle, shortage)?);
            }
            Ok(removed)
        });
        collecting.await.map_err(CollectorError::Interrupted)?
    }
}

fn idle(snapshot: Snapshot) -> Idle {
    Idle {
        layers: snapshot.layers,
        used_at: snapshot.at,
    }
}
