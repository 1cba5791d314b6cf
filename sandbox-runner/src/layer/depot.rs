//! Where layers travel between runners: an object store that keeps archives by their digest.
//!
//! ```text
//! layers/<sha256>            an archive, written once and never changed
//! snapshots/<name>.json      a manifest: the layers of a snapshot, lowest first
//! progress/<name>/<number>   a file that is replaced by newer ones (`parcel`)
//! doomed/<sha256>            an archive that nothing refers to (`collection`)
//! ```
//! An archive is uploaded unless the depot has it, and every layer remembers which archive it is. A
//! layer is imported as a whole: it is there after its digest was compared, or it is not there.
//! Nothing else may remove objects while runners use them.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

pub use self::collection::Collected;
use self::collection::Standing;
pub use self::location::{DepotConfig, InvalidDepot};
use super::archive::{ArchiveError, Digest, Limits, Packed, pack, unpack};
use super::{LayerError, LayerId, LayerMeta, LayerStore, Lease};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod bucket;
mod collection;
mod location;
mod memory;
mod parcel;
mod retention;
mod transfer;

/// How long one layer may take.
const TRANSFER: Duration = Duration::from_secs(15 * 60);
const MANIFEST: Duration = Duration::from_secs(60);
/// How often a layer is fetched that arrives damaged. Single requests are repeated besides.
const ATTEMPTS: u32 = 3;
/// Layers on their way at once, for one snapshot.
const AT_ONCE: usize = 2;
/// The most of a manifest that is read.
const MAX_MANIFEST: u64 = 1 << 20;

/// The layers of a snapshot and what they are in the depot, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub layers: Vec<Entry>,
    /// What else whoever made the snapshot wants to know of it.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub about: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub layer: LayerId,
    pub digest: Digest,
    /// Bytes of the archive.
    pub size: u64,
    /// It is part of an image.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    #[error("failed to open the depot; check DEPOT_URL")]
    Open(#[source] object_store::Error),
    #[error(transparent)]
    Layer(#[from] LayerError),
    #[error("failed to pack layer {layer}")]
    Pack {
        layer: LayerId,
        #[source]
        source: ArchiveError,
    },
    #[error("failed to keep the archive of layer {layer} for its upload")]
    Spool {
        layer: LayerId,
        #[source]
        source: io::Error,
    },
    #[error("failed to remember that layer {layer} was uploaded")]
    Remember {
        layer: LayerId,
        #[source]
        source: io::Error,
    },
    #[error("failed to write {key} to the depot")]
    Write {
        key: String,
        #[source]
        source: object_store::Error,
    },
    #[error("failed to read {key} from the depot")]
    Read {
        key: String,
        #[source]
        source: object_store::Error,
    },
    #[error("the depot has no {0}")]
    Missing(String),
    #[error("failed to remove {key} from the depot")]
    Remove {
        key: String,
        #[source]
        source: object_store::Error,
    },
    #[error("the archive {0} is being removed from the depot; it is uploaded again afterwards")]
    Leaving(String),
    #[error("the transfer of {0} took too long")]
    Deadline(String),
    #[error("failed to unpack layer {layer}")]
    Unpack {
        layer: LayerId,
        #[source]
        source: ArchiveError,
    },
    #[error("{0:?} cannot be the name of a snapshot")]
    InvalidName(String),
    #[error("the manifest {key} cannot be used")]
    Manifest {
        key: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the work on a layer was interrupted")]
    Interrupted(#[source] JoinError),
}

pub struct Depot {
    store: Arc<dyn ObjectStore>,
    /// The configured address, by which layers remember where they are.
    address: String,
    turns: Mutex<HashMap<LayerId, Turn>>,
    /// Archives that are known to stay for a while.
    seen: Mutex<HashMap<String, Instant>>,
}

/// Held by whoever moves a layer.
type Turn = Arc<tokio::sync::Mutex<()>>;

impl Depot {
    pub fn open(config: &DepotConfig) -> Result<Self, DepotError> {
        Ok(Self {
            store: config.store().map_err(DepotError::Open)?,
            address: config.address().to_owned(),
            turns: Mutex::default(),
            seen: Mutex::default(),
        })
    }

    /// Uploads what the depot lacks of these layers, lowest first.
    pub async fn export(
        &self,
        layers: &LayerStore,
        chain: &[LayerId],
    ) -> Result<Manifest, DepotError> {
        let _lease = layers.lease(chain)?;
        let chain = stream::iter(chain.to_vec());
        let entries = chain.map(async |id| self.export_layer(layers, &id).await);
        let layers = entries.buffered(AT_ONCE).try_collect().await?;
        Ok(Manifest {
            layers,
            about: serde_json::Value::Null,
        })
    }

    /// Fetches what is missing of a manifest's layers; they stay at least as long as the lease.
    pub async fn import(
        &self,
        layers: &LayerStore,
        manifest: &Manifest,
    ) -> Result<Lease, DepotError> {
        let mut parents = Vec::new();
        let mut wanted = Vec::new();
        for entry in &manifest.layers {
            let meta = LayerMeta {
                id: entry.layer.clone(),
                parents: parents.clone(),
            };
            parents.push(entry.layer.clone());
            wanted.push((meta, entry.clone()));
        }
        let lease = layers.reserve(&parents);
        let imports = stream::iter(wanted);
        let imports =
            imports.map(async |(meta, entry)| self.import_layer(layers, meta, &entry).await);
        imports.buffered(AT_ONCE).try_collect::<()>().await?;
        Ok(lease)
    }

    /// Makes a snapshot known by its name, which it replaces.
    pub async fn publish(&self, name: &str, manifest: &Manifest) -> Result<(), DepotError> {
        let key = snapshot_key(name)?;
        let text = serde_json::to_vec(manifest).map_err(|source| DepotError::Manifest {
            key: key.to_string(),
            source,
        })?;
        let written = timeout(MANIFEST, self.store.put(&key, text.into())).await;
        let written = written.map_err(|_| DepotError::Deadline(key.to_string()))?;
        written.map_err(|source| DepotError::Write {
            key: key.to_string(),
            source,
        })?;
        Ok(())
    }

    /// The snapshot of this name, if there is one.
    pub async fn manifest(&self, name: &str) -> Result<Option<Manifest>, DepotError> {
        let key = snapshot_key(name)?;
        let read = timeout(
            MANIFEST,
            transfer::read_small(&*self.store, &key, MAX_MANIFEST),
        )
        .await;
        let read = read.map_err(|_| DepotError::Deadline(key.to_string()))?;
        let text = match read {
            Ok(text) => text,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => {
                let key = key.to_string();
                return Err(DepotError::Read { key, source });
            }
        };
        let manifest = serde_json::from_slice(&text);
        manifest.map(Some).map_err(|source| DepotError::Manifest {
            key: key.to_string(),
            source,
        })
    }

    async fn export_layer(&self, layers: &LayerStore, id: &LayerId) -> Result<Entry, DepotError> {
        let turn = self.turn(id);
        let _turn = turn.lock().await;
        let known = match self.holds(layers, id) {
            Some(packed) => {
                (self.reserve(&packed.digest).await? == Standing::There).then_some(packed)
            }
            None => None,
        };
        let packed = match known {
            Some(packed) => packed,
            None => {
                let packed = self.upload(layers, id).await?;
                layers.remember(id, &self.address, &packed)?;
                packed
            }
        };
        Ok(Entry {
            layer: id.clone(),
            digest: packed.digest,
            size: packed.size,
            shared: layers.is_shared(id),
        })
    }

    async fn upload(&self, layers: &LayerStore, id: &LayerId) -> Result<Packed, DepotError> {
        // Its name in the depot is its digest, which is known when all of it was made.
        let (directory, spool) = (layers.directory(id), layers.spool(id)?);
        let packing = spawn_blocking(move || {
            let packed = pack(&directory, &spool);
            (spool, packed)
        });
        let (spool, packed) = packing.await.map_err(DepotError::Interrupted)?;
        let packed = packed.map_err(|source| DepotError::Pack {
            layer: id.clone(),
            source,
        })?;
        let standing = self.reserve(&packed.digest).await?;
        let key = layer_key(&packed.digest);
        let upload = transfer::upload(&*self.store, &key, spool, packed.size, TRANSFER);
        upload.await?;
        if standing == Standing::Gone {
            self.restored(&packed.digest).await?;
        }
        Ok(packed)
    }

    async fn import_layer(
        &self,
        layers: &LayerStore,
        meta: LayerMeta,
        entry: &Entry,
    ) -> Result<(), DepotError> {
        let turn = self.turn(&meta.id);
        let _turn = turn.lock().await;
        let mut attempt = 1;
        while !layers.exists(&meta.id) {
            match self.fetch(layers, &meta, entry).await {
                Ok(()) => break,
                Err(error @ (DepotError::Unpack { .. } | DepotError::Read { .. }))
                    if attempt < ATTEMPTS =>
                {
                    let error = crate::cause::chain(&error);
                    tracing::warn!(layer = %meta.id, attempt, error, "a layer is fetched again");
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn fetch(
        &self,
        layers: &LayerStore,
        meta: &LayerMeta,
        entry: &Entry,
    ) -> Result<(), DepotError> {
        let (staging, digest) = (layers.stage()?, entry.digest.clone());
        let (feed, body) = transfer::pipe();
        let unpacking = spawn_blocking(move || {
            let content = unpack(body, &digest, staging.path(), Limits::default());
            (staging, content)
        });
        let key = layer_key(&entry.digest);
        let fed = transfer::download(&self.store, &key, entry.size, feed, TRANSFER).await;
        let (staging, content) = unpacking.await.map_err(DepotError::Interrupted)?;
        // Before the result: what did not arrive is of course damaged.
        fed?;
        let packed = Packed {
            digest: entry.digest.clone(),
            size: entry.size,
            content: content.map_err(|source| DepotError::Unpack {
                layer: meta.id.clone(),
                source,
            })?,
        };
        layers.admit(&staging, meta)?;
        if entry.shared {
            layers
                .share(&meta.id)
                .map_err(|source| DepotError::Remember {
                    layer: meta.id.clone(),
                    source,
                })?;
        }
        layers.remember(&meta.id, &self.address, &packed)
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, id: &LayerId) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(id.clone()).or_default())
    }
}

fn layer_key(digest: &Digest) -> Key {
    Key::from_iter(["layers", digest.as_str()])
}

fn snapshot_key(name: &str) -> Result<Key, DepotError> {
    let file = format!("{}.json", plain(name)?);
    Ok(Key::from_iter(["snapshots", file.as_str()]))
}

/// What can be one component of a key.
fn plain(name: &str) -> Result<&str, DepotError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=128).contains(&name.len()) && name.bytes().all(plain) {
        Ok(name)
    } else {
        Err(DepotError::InvalidName(name.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod peer;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
