//! Layers: what sandboxes start from, each the changes of one earlier sandbox.
//!
//! ```text
//! layers/<id>/fs/       changes below the home directory, always there
//! layers/<id>/agent/    the agent's own state, if it was kept
//! layers/<id>/system/   unpacked system packages, which lie over /usr, if there are any
//! layers/<id>/meta.json
//! ```
//! A layer never changes, and it exists once `meta.json` does: until then its directory holds
//! `intent.json`, which says where each part came from. A crash in between leaves no layer, and the
//! next sweep moves the parts back to where they were, so nothing of the sandbox is lost either.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::syncfs;
use serde::{Deserialize, Serialize};

pub use self::id::{InvalidLayerId, LayerId};
use crate::sandbox::{directory, durable};

mod id;

const META: &str = "meta.json";
const INTENT: &str = "intent.json";
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
    #[error("failed to sweep the layers in {path}")]
    Sweep {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

#[derive(Debug, Clone)]
pub struct LayerStore {
    root: PathBuf,
}

/// What `intent.json` holds while a layer is being committed.
#[derive(Serialize, Deserialize)]
struct Intent {
    #[serde(flatten)]
    meta: LayerMeta,
    /// The name of each part and where it came from.
    origins: Vec<(String, PathBuf)>,
}

impl LayerStore {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where a layer's changes of the home directory are, if the layer exists.
    pub fn files(&self, id: &LayerId) -> Option<PathBuf> {
        self.part(id, FS)
    }

    /// Where the agent's state is, if the layer exists and has any.
    pub fn agent(&self, id: &LayerId) -> Option<PathBuf> {
        self.part(id, AGENT)
    }

    /// Where the layer's system packages are, if the layer exists and has any.
    pub fn system(&self, id: &LayerId) -> Option<PathBuf> {
        self.part(id, SYSTEM)
    }

    /// Turns directories into a layer by renames; a layer that exists already is left as it is, and
    /// so are the directories then.
    pub fn commit(&self, meta: &LayerMeta, parts: Parts<'_>) -> Result<(), LayerError> {
        let path = self.directory(&meta.id);
        if path.join(META).exists() {
            return Ok(());
        }
        let intent = Intent {
            meta: meta.clone(),
            origins: parts
                .named()
                .map(|(name, origin)| (name.to_owned(), origin.to_owned()))
                .collect(),
        };
        directory::create(&path, directory::PASSABLE)
            .and_then(|()| durable::write_json(&path.join(INTENT), &intent))
            .map_err(|source| LayerError::Meta {
                id: meta.id.clone(),
                source,
            })?;
        let moved = move_parts(&path, parts);
        if moved.is_err() {
            put_back(&path, &intent);
        }
        moved.map_err(|source| LayerError::Commit {
            id: meta.id.clone(),
            source,
        })
    }

    /// Undoes what a crash left of layers that were never committed.
    pub(crate) fn sweep(&self) -> Result<(), LayerError> {
        let failed = |source| LayerError::Sweep {
            path: self.root.clone(),
            source,
        };
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let directory = entry.map_err(failed)?.path();
            if directory.join(META).exists() {
                continue;
            }
            let intent = fs::read(directory.join(INTENT)).unwrap_or_default();
            if let Ok(intent) = serde_json::from_slice(&intent) {
                put_back(&directory, &intent);
            }
            fs::remove_dir_all(&directory).map_err(failed)?;
        }
        Ok(())
    }

    fn part(&self, id: &LayerId, name: &str) -> Option<PathBuf> {
        let directory = self.directory(id);
        let part = directory.join(name);
        (part.is_dir() && directory.join(META).exists()).then_some(part)
    }

    fn directory(&self, id: &LayerId) -> PathBuf {
        self.root.join(id.as_str())
    }
}

fn move_parts(layer: &Path, parts: Parts<'_>) -> io::Result<()> {
    // What the sandbox wrote is in memory still; a layer is whole after a loss of power.
    syncfs(File::open(layer)?)?;
    for (name, origin) in parts.named() {
        fs::rename(origin, layer.join(name))?;
    }
    durable::sync_directory(layer)?;
    // The intent names the metadata too, so this is the moment from which there is a layer.
    fs::rename(layer.join(INTENT), layer.join(META))?;
    durable::sync_directory(layer)
}

/// A part that is not there has not been moved.
fn put_back(layer: &Path, intent: &Intent) {
    for (name, origin) in &intent.origins {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::SandboxId;

    use super::*;

    struct Bench {
        root: tempfile::TempDir,
        store: LayerStore,
    }

    impl Bench {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let store = LayerStore::new(root.path().join("layers"));
            fs::create_dir(&store.root).unwrap();
            Self { root, store }
        }

        fn part(&self, name: &str, text: &str) -> PathBuf {
            let path = self.root.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), text).unwrap();
            path
        }
    }

    fn meta(number: u8) -> LayerMeta {
        LayerMeta {
            id: LayerId::of(&SandboxId::from_random([number; 16]), 0),
            parents: Vec::new(),
        }
    }

    fn text(directory: Option<PathBuf>) -> Option<String> {
        directory.map(|directory| fs::read_to_string(directory.join("file")).unwrap())
    }

    #[test]
    fn a_committed_layer_holds_its_parts() {
        let bench = Bench::new();
        let (home, agent) = (bench.part("home", "home"), bench.part("agent", "agent"));
        let parts = Parts {
            agent: Some(&agent),
            ..Parts::fs(&home)
        };
        bench.store.commit(&meta(1), parts).unwrap();
        let id = meta(1).id;
        assert_eq!(text(bench.store.files(&id)).as_deref(), Some("home"));
        assert_eq!(text(bench.store.agent(&id)).as_deref(), Some("agent"));
        assert_eq!(bench.store.system(&id), None);
        assert!(!home.exists() && !agent.exists());
    }

    #[test]
    fn committing_again_keeps_the_first_result() {
        let bench = Bench::new();
        for content in ["first", "second"] {
            let home = bench.part(content, content);
            bench.store.commit(&meta(1), Parts::fs(&home)).unwrap();
        }
        assert_eq!(
            text(bench.store.files(&meta(1).id)).as_deref(),
            Some("first")
        );
    }

    #[test]
    fn a_layer_that_lacks_a_part_is_absent_and_its_parts_are_where_they_were() {
        let bench = Bench::new();
        let home = bench.part("home", "home");
        let missing = bench.root.path().join("missing");
        let parts = Parts {
            system: Some(&missing),
            ..Parts::fs(&home)
        };
        assert!(bench.store.commit(&meta(1), parts).is_err());
        assert_eq!(bench.store.files(&meta(1).id), None);
        assert_eq!(text(Some(home)).as_deref(), Some("home"));
    }

    #[test]
    fn the_sweep_gives_back_the_parts_of_a_layer_that_was_never_committed() {
        let bench = Bench::new();
        let (home, agent) = (bench.part("home", "home"), bench.part("agent", "agent"));
        let origins = [("fs", &home), ("agent", &agent)];
        let intent = Intent {
            meta: meta(1),
            origins: origins
                .map(|(name, path)| (name.to_owned(), path.clone()))
                .to_vec(),
        };
        let directory = bench.store.directory(&meta(1).id);
        fs::create_dir(&directory).unwrap();
        durable::write_json(&directory.join(INTENT), &intent).unwrap();
        fs::rename(&home, directory.join(FS)).unwrap();
        assert_eq!(bench.store.files(&meta(1).id), None);

        bench.store.sweep().unwrap();
        assert!(!directory.exists());
        assert_eq!(text(Some(home)).as_deref(), Some("home"));
        assert_eq!(text(Some(agent)).as_deref(), Some("agent"));
    }

    #[test]
    fn the_sweep_removes_only_layers_that_do_not_exist() {
        let bench = Bench::new();
        let home = bench.part("home", "home");
        bench.store.commit(&meta(1), Parts::fs(&home)).unwrap();
        let orphan = bench.store.directory(&meta(2).id);
        fs::create_dir(&orphan).unwrap();
        bench.store.sweep().unwrap();
        assert!(!orphan.exists());
        assert!(bench.store.files(&meta(1).id).is_some());
    }
}
