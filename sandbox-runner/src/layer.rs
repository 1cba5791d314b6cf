//! Layers: what sandboxes start from, each the changes of one earlier sandbox.
//!
//! ```text
//! layers/<id>/fs/          changes below the home directory, always there
//! layers/<id>/agent/       the agent's own state as a whole, if it was kept
//! layers/<id>/system/      unpacked system packages, which lie over /usr, if there are any
//! layers/<id>/meta.json    layers/<id>/settled    layers/<id>/depot.json
//! layers/<id>/weight.json  layers/<id>/shared
//! ```
//! The name says where a layer came from and not what it holds: a content's address would have to be
//! made of every byte before anything could start from it, and a snapshot takes milliseconds whatever
//! its size. The address is made when there is time, as the layer is packed for the depot
//! ([`archive`]); `depot.json` has it from then on.
//!
//! A layer never changes, and it exists once `meta.json` does: until then its directory holds
//! `intent.json`, which says where each part came from. A crash in between leaves no layer, and the
//! next sweep moves the parts back to where they were, so nothing of the sandbox is lost either.
//!
//! To write a layer's data to the disk takes longer the more there is, so a commit does not wait for
//! it. `settled` is there once it is done; a layer without it that an earlier boot of the machine
//! made may lack anything, and is swept.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::syncfs;
use serde::{Deserialize, Serialize};

pub use self::id::{InvalidLayerId, LayerId};
pub use self::lease::Lease;
pub(crate) use self::staging::Staging;
use crate::sandbox::trash::Trash;
use crate::sandbox::{boot_id, directory, durable};

pub mod archive;
pub mod collection;
pub mod depot;
pub(crate) mod descent;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod fixture;
mod id;
mod lease;
pub mod lookup;
mod overlay;
pub mod replica;
pub mod squash;
mod staging;
mod weight;

const META: &str = "meta.json";
const INTENT: &str = "intent.json";
const SETTLED: &str = "settled";
const FS: &str = "fs";
const AGENT: &str = "agent";
const SYSTEM: &str = "system";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerMeta {
    pub id: LayerId,
    /// What the layer lies upon, lowest first.
    pub parents: Vec<LayerId>,
}

/// The directories that become a layer; all on the file system of the store.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub fs: &'a Path,
    pub agent: Option<&'a Path>,
    pub system: Option<&'a Path>,
}

impl<'a> Parts<'a> {
    /// A layer of the home directory alone.
    pub fn fs(fs: &'a Path) -> Self {
        Self {
            fs,
            agent: None,
            system: None,
        }
    }

    fn named(self) -> impl Iterator<Item = (&'static str, &'a Path)> {
        let optional = [(AGENT, self.agent), (SYSTEM, self.system)];
        let optional = optional.into_iter();
        std::iter::once((FS, self.fs))
            .chain(optional.filter_map(|(name, path)| path.map(|path| (name, path))))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error("failed to read the metadata of layer {id}")]
    Read {
        id: LayerId,
        #[source]
        source: io::Error,
    },
    #[error("there is no layer {0}")]
    Unknown(LayerId),
    #[error("failed to write the metadata of layer {id}")]
    Meta {
        id: LayerId,
        #[source]
        source: io::Error,
    },
    #[error("failed to move the files of layer {id} into place")]
    Commit {
        id: LayerId,
        #[source]
        source: io::Error,
    },
    #[error("failed to make room for a new layer in {path}")]
    Stage {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to sweep the layers in {path}")]
    Sweep {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to list the layers in {path}")]
    List {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to move layer {id} to the trash")]
    Discard {
        id: LayerId,
        #[source]
        source: io::Error,
    },
}

/// The layers of this machine. Clones are the same store.
#[derive(Debug, Clone)]
pub struct LayerStore {
    root: PathBuf,
    trash: Trash,
    leased: lease::Leased,
}

/// What `intent.json` holds while a layer is being committed, and `meta.json` from then on.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    meta: LayerMeta,
    /// The boot of the machine under which it was made.
    boot: String,
    /// The name of each part and where it came from.
    origins: Vec<(String, PathBuf)>,
}

impl LayerStore {
    pub(crate) fn new(root: PathBuf, trash: Trash) -> Self {
        Self {
            root,
            trash,
            leased: lease::Leased::default(),
        }
    }

    pub fn exists(&self, id: &LayerId) -> bool {
        self.directory(id).join(META).exists()
    }

    /// Where a layer's changes of the home directory are, if the layer exists.
    pub fn files(&self, id: &LayerId) -> Option<PathBuf> {
        self.part(id, FS)
    }

    /// Opens the directories of a chain's files, topmost first.
    pub fn open(&self, chain: &[LayerId]) -> Result<Vec<OwnedFd>, LayerError> {
        let opened = chain.iter().rev().map(|id| {
            let path = self
                .files(id)
                .ok_or_else(|| LayerError::Unknown(id.clone()))?;
            let opened = File::open(path).map(OwnedFd::from);
            opened.map_err(|source| LayerError::Read {
                id: id.clone(),
                source,
            })
        });
        opened.collect()
    }

    /// Where the agent's state is, if the layer exists and has any. It is the whole state: of a
    /// chain of layers the topmost one that has any is in force.
    pub fn agent(&self, id: &LayerId) -> Option<PathBuf> {
        self.part(id, AGENT)
    }

    /// Where the layer's system packages are, if the layer exists and has any.
    pub fn system(&self, id: &LayerId) -> Option<PathBuf> {
        self.part(id, SYSTEM)
    }

    /// A layer with all that it lies upon, lowest first.
    pub fn chain(&self, top: &LayerId) -> Result<Vec<LayerId>, LayerError> {
        let read = || -> io::Result<LayerMeta> {
            let bytes = fs::read(self.directory(top).join(META))?;
            Ok(serde_json::from_slice(&bytes)?)
        };
        let mut meta = read().map_err(|source| LayerError::Read {
            id: top.clone(),
            source,
        })?;
        meta.parents.push(meta.id);
        Ok(meta.parents)
    }

    /// Turns directories into a layer by renames, however much they hold; a layer that exists
    /// already is left as it is, and so are the directories then.
    pub fn commit(&self, meta: &LayerMeta, parts: Parts<'_>) -> Result<(), LayerError> {
        if self.exists(&meta.id) {
            return Ok(());
        }
        let origins = parts.named();
        let origins = origins.map(|(name, origin)| (name.to_owned(), origin.to_owned()));
        let path = self.directory(&meta.id);
        let record = boot_id().map(|boot| Record {
            meta: meta.clone(),
            boot,
            origins: origins.collect(),
        });
        let record = record.and_then(|record| {
            directory::create(&path, directory::PASSABLE)?;
            durable::write_json(&path.join(INTENT), &record)?;
            Ok(record)
        });
        let record = record.map_err(|source| LayerError::Meta {
            id: meta.id.clone(),
            source,
        })?;
        let moved = move_parts(&path, parts);
        if moved.is_err() {
            put_back(&path, &record);
        }
        moved.map_err(|source| LayerError::Commit {
            id: meta.id.clone(),
            source,
        })?;
        settle_later(path);
        Ok(())
    }

    /// Every layer that exists.
    pub fn ids(&self) -> Result<Vec<LayerId>, LayerError> {
        let failed = |source| LayerError::List {
            path: self.root.clone(),
            source,
        };
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let id = name.to_str().and_then(|name| LayerId::parse(name).ok());
            ids.extend(id.filter(|id| self.exists(id)));
        }
        Ok(ids)
    }

    /// How long ago a layer was made.
    fn age(&self, id: &LayerId) -> Option<Duration> {
        let made = fs::metadata(self.directory(id).join(META)).ok()?;
        SystemTime::now().duration_since(made.modified().ok()?).ok()
    }

    /// Undoes what a crash left of layers that were never committed.
    pub(crate) fn sweep(&self) -> Result<(), LayerError> {
        let failed = |source| LayerError::Sweep {
            path: self.root.clone(),
            source,
        };
        let boot = boot_id().map_err(failed)?;
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let directory = entry.map_err(failed)?.path();
            if directory.join(SETTLED).exists() {
                continue;
            }
            if let Some(record) = read(&directory.join(META)) {
                if record.boot == boot {
                    settle_later(directory);
                    continue;
                }
                tracing::warn!(layer = %record.meta.id, "a layer was lost with the machine's power");
            } else if let Some(record) = read(&directory.join(INTENT)) {
                put_back(&directory, &record);
            }
            self.trash.discard(&directory).map_err(failed)?;
        }
        Ok(())
    }

    fn part(&self, id: &LayerId, name: &str) -> Option<PathBuf> {
        let part = self.directory(id).join(name);
        (part.is_dir() && self.exists(id)).then_some(part)
    }

    fn directory(&self, id: &LayerId) -> PathBuf {
        self.root.join(id.as_str())
    }
}

fn read(path: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn move_parts(layer: &Path, parts: Parts<'_>) -> io::Result<()> {
    for (name, origin) in parts.named() {
        fs::rename(origin, layer.join(name))?;
    }
    // The intent holds the metadata too, so this is the moment from which there is a layer.
    fs::rename(layer.join(INTENT), layer.join(META))?;
    durable::sync_directory(layer)
}

/// A part that is not there has not been moved.
fn put_back(layer: &Path, record: &Record) {
    for (name, origin) in &record.origins {
        match fs::rename(layer.join(name), origin) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let path = origin.display();
                tracing::warn!(%path, %error, "a part of a layer could not be moved back");
            }
        }
    }
}

fn settle_later(layer: PathBuf) {
    let name = "settle-layer".to_owned();
    let settle = move || {
        // A layer may be gone again by then.
        if let Err(error) = settle(&layer)
            && layer.exists()
        {
            tracing::warn!(layer = %layer.display(), %error, "a layer is not on the disk yet");
        }
    };
    if let Err(error) = std::thread::Builder::new().name(name).spawn(settle) {
        tracing::warn!(%error, "a layer is not on the disk yet");
    }
}

/// The layer's data is on the disk when this returns.
fn settle(layer: &Path) -> io::Result<()> {
    weight::weigh(layer)?;
    syncfs(File::open(layer)?)?;
    File::create(layer.join(SETTLED))?.sync_all()?;
    durable::sync_directory(layer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
