//! How much room layers take on the disk.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use tokio::task::spawn_blocking;

use crate::layer::{LayerId, LayerStore};

/// What a block of [`MetadataExt::blocks`] is, whatever the file system's own are.
const BLOCK: u64 = 512;

/// The bytes of these layers. What cannot be read does not count.
pub(super) async fn of_layers(store: &LayerStore, layers: Vec<LayerId>) -> u64 {
    let store = store.clone();
    let counted = spawn_blocking(move || {
        let parts = layers
            .iter()
            .flat_map(|id| [store.files(id), store.agent(id), store.system(id)]);
        of_directories(parts.flatten().collect())
    });
    counted.await.unwrap_or(0)
}

fn of_directories(mut directories: Vec<PathBuf>) -> u64 {
    let mut bytes = 0_u64;
    let mut linked = HashSet::new();
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if metadata.nlink() > 1 && !linked.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(BLOCK));
        }
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_once_whatever_names_it_has() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("below");
        fs::create_dir(&below).unwrap();
        let empty = of_directories(vec![root.path().to_owned()]);
        fs::write(below.join("file"), vec![1; 100_000]).unwrap();
        fs::hard_link(below.join("file"), root.path().join("link")).unwrap();
        let bytes = of_directories(vec![root.path().to_owned()]) - empty;
        assert!((100_000..150_000).contains(&bytes), "{bytes}");
    }
}
