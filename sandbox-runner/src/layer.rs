//! Layers: directories that sandboxes start from, each the changes of one earlier sandbox.
//!
//! A layer is `<id>/fs` with `<id>/meta.json` beside it and never changes. It exists once `fs` is
//! there: the files and the metadata are durable before the rename that moves the directory in, so a crash leaves
//! either the sandbox as it was or a complete layer. A layer's id follows from the sandbox that it
//! was, so freezing twice finds the first result.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use protocol::SandboxId;
use rustix::fs::syncfs;
use serde::{Deserialize, Serialize};

use crate::sandbox::{directory, durable};

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerId(SandboxId);

impl LayerId {
    /// The layer that this sandbox's changes become.
    pub fn of(sandbox: &SandboxId) -> Self {
        Self(sandbox.clone())
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerMeta {
    pub id: LayerId,
    /// What the layer lies upon, lowest first.
    pub parents: Vec<LayerId>,
}

#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error("failed to write the metadata of layer {id}")]
    Meta {
        id: String,
        #[source]
        source: io::Error,
    },
    #[error("failed to move the files of layer {id} into place")]
    Commit {
        id: String,
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

impl LayerStore {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where a layer's files are, if it exists.
    pub fn files(&self, id: &LayerId) -> Option<PathBuf> {
        let files = self.directory(id).join("fs");
        files.is_dir().then_some(files)
    }

    /// Turns a directory into a layer by a rename; a layer that exists already is left as it is.
    pub(crate) fn commit(&self, meta: &LayerMeta, files: &Path) -> Result<(), LayerError> {
        if self.files(&meta.id).is_some() {
            return Ok(());
        }
        let id = || meta.id.as_str().to_owned();
        let path = self.directory(&meta.id);
        directory::create(&path, directory::PASSABLE)
            .and_then(|()| durable::write_json(&path.join("meta.json"), meta))
            .map_err(|source| LayerError::Meta { id: id(), source })?;
        // What the sandbox wrote is in memory still; a layer is whole after a loss of power.
        File::open(files)
            .and_then(|directory| Ok(syncfs(directory)?))
            .and_then(|()| fs::rename(files, path.join("fs")))
            .and_then(|()| durable::sync_directory(&path))
            .map_err(|source| LayerError::Commit { id: id(), source })
    }

    /// Removes what a crash left of layers that were never committed.
    pub(crate) fn sweep(&self) -> Result<(), LayerError> {
        let failed = |source| LayerError::Sweep {
            path: self.root.clone(),
            source,
        };
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let directory = entry.map_err(failed)?.path();
            if !directory.join("fs").is_dir() {
                fs::remove_dir_all(&directory).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn directory(&self, id: &LayerId) -> PathBuf {
        self.root.join(id.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn meta(number: u8) -> LayerMeta {
        LayerMeta {
            id: LayerId::of(&SandboxId::from_random([number; 16])),
            parents: Vec::new(),
        }
    }

    fn upper(root: &Path, text: &str) -> PathBuf {
        let upper = root.join("upper");
        fs::create_dir(&upper).unwrap();
        fs::write(upper.join("file"), text).unwrap();
        upper
    }

    #[test]
    fn a_committed_layer_holds_the_files_of_its_upper() {
        let root = tempfile::tempdir().unwrap();
        let store = LayerStore::new(root.path().join("layers"));
        store
            .commit(&meta(1), &upper(root.path(), "first"))
            .unwrap();
        let files = store.files(&meta(1).id).unwrap();
        assert_eq!(fs::read_to_string(files.join("file")).unwrap(), "first");
    }

    #[test]
    fn committing_again_keeps_the_first_result() {
        let root = tempfile::tempdir().unwrap();
        let store = LayerStore::new(root.path().join("layers"));
        store
            .commit(&meta(1), &upper(root.path(), "first"))
            .unwrap();
        store
            .commit(&meta(1), &upper(root.path(), "second"))
            .unwrap();
        let files = store.files(&meta(1).id).unwrap();
        assert_eq!(fs::read_to_string(files.join("file")).unwrap(), "first");
    }

    #[test]
    fn the_sweep_removes_only_layers_without_files() {
        let root = tempfile::tempdir().unwrap();
        let store = LayerStore::new(root.path().join("layers"));
        store
            .commit(&meta(1), &upper(root.path(), "first"))
            .unwrap();
        let orphan = store.directory(&meta(2).id);
        fs::create_dir(&orphan).unwrap();
        store.sweep().unwrap();
        assert!(!orphan.exists());
        assert!(store.files(&meta(1).id).is_some());
    }
}
