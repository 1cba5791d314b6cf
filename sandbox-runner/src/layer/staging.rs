//! A layer in the making: a directory beside the layers that becomes one by a single rename.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{LayerError, LayerMeta, LayerStore, META, Record, settle_later};
use crate::sandbox::trash::Trash;
use crate::sandbox::{boot_id, directory, durable};

/// Goes to the trash when it is dropped, unless it was admitted. The next sweep finds what a crash
/// leaves, since a directory without metadata is no layer.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    trash: Trash,
}

impl Staging {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl LayerStore {
    pub(crate) fn stage(&self) -> Result<Staging, LayerError> {
        let mut bytes = [0; 8];
        let path = getrandom::fill(&mut bytes)
            .map_err(io::Error::other)
            .and_then(|()| {
                let name = format!("new-{:016x}", u64::from_be_bytes(bytes));
                let path = self.root.join(name);
                directory::create(&path, directory::PASSABLE)?;
                Ok(path)
            });
        let path = path.map_err(|source| LayerError::Stage {
            path: self.root.clone(),
            source,
        })?;
        Ok(Staging {
            path,
            trash: self.trash.clone(),
        })
    }

    /// Makes what was staged a layer. A layer that exists already is left as it is.
    pub(crate) fn admit(&self, staging: &Staging, meta: &LayerMeta) -> Result<(), LayerError> {
        if self.exists(&meta.id) {
            return Ok(());
        }
        let admitted = boot_id().and_then(|boot| {
            let record = Record {
                meta: meta.clone(),
                boot,
                origins: Vec::new(),
            };
            durable::write_json(&staging.path.join(META), &record)?;
            fs::rename(&staging.path, self.directory(&meta.id))
        });
        admitted.map_err(|source| LayerError::Commit {
            id: meta.id.clone(),
            source,
        })?;
        settle_later(self.directory(&meta.id));
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = self.trash.discard(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished layer remains");
        }
    }
}
