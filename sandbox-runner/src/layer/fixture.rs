//! A store in a directory of its own, for the tests of what works on layers.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use protocol::SandboxId;

use super::depot::{Depot, DepotConfig};
use super::{FS, LayerId, LayerMeta, LayerStore, META};
use crate::sandbox::trash::Trash;

pub(super) struct Bench {
    pub(super) root: tempfile::TempDir,
    pub(super) store: LayerStore,
}

pub(super) fn id(number: u8) -> LayerId {
    LayerId::of(&SandboxId::from_random([number; 16]), 0)
}

impl Bench {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = store(&root.path().join("state"));
        Self { root, store }
    }

    /// A layer with one file.
    pub(super) fn layer(&self, number: u8) -> LayerId {
        let staging = self.store.stage().unwrap();
        fs::create_dir(staging.path().join(FS)).unwrap();
        fs::write(staging.path().join(FS).join("file"), [number; 100]).unwrap();
        let id = id(number);
        let parents = Vec::new();
        let meta = LayerMeta { id, parents };
        self.store.admit(&staging, &meta).unwrap();
        meta.id
    }

    pub(super) fn old_layer(&self, number: u8) -> LayerId {
        let id = self.layer(number);
        let meta = File::open(self.store.directory(&id).join(META)).unwrap();
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        meta.set_modified(hour_ago).unwrap();
        id
    }

    pub(super) fn depot(&self) -> Depot {
        let address = format!("file://{}", self.root.path().join("depot").display());
        Depot::open(&DepotConfig::parse(&address, None, None).unwrap()).unwrap()
    }
}

pub(super) fn store(state: &Path) -> LayerStore {
    let (layers, trash) = (state.join("layers"), state.join("trash"));
    fs::create_dir_all(&layers).unwrap();
    fs::create_dir_all(&trash).unwrap();
    LayerStore::new(layers, Trash::new(trash))
}
