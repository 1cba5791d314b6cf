//! Makes one layer of several that lie upon each other, without copying what is in their files.
//!
//! The new layer shows through an overlay what the old ones showed. Files are hard links, which is
//! the same, since layers never change. Whiteouts and opaque directories stay where they have to
//! hide something below the new layer, and go where nothing is.

use std::io;
use std::path::PathBuf;

use self::merge::Merge;
use super::{AGENT, FS, LayerError, LayerId, LayerMeta, LayerStore, SYSTEM};

mod merge;

/// Each layer makes a lookup slower, and the mount fails at some hundred of them.
pub const MAX_DEPTH: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum SquashError {
    #[error(transparent)]
    Layer(#[from] LayerError),
    #[error("failed to merge {path} into layer {id}")]
    Merge {
        id: LayerId,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Gives a chain back that is no deeper than [`MAX_DEPTH`]. If it has to, it makes one layer called
/// `id` of everything above the lowest `image` layers, which other sandboxes share.
pub fn flatten(
    store: &LayerStore,
    chain: &[LayerId],
    image: usize,
    id: LayerId,
) -> Result<Vec<LayerId>, SquashError> {
    if chain.len() <= MAX_DEPTH {
        return Ok(chain.to_vec());
    }
    let meta = squash(store, chain, chain.len().saturating_sub(image), id)?;
    let mut flat = meta.parents;
    flat.push(meta.id);
    Ok(flat)
}

/// Makes one layer called `id` of the topmost `count` of a chain (lowest first), upon the others.
/// A layer that is called so already is taken for the result.
pub fn squash(
    store: &LayerStore,
    chain: &[LayerId],
    count: usize,
    id: LayerId,
) -> Result<LayerMeta, SquashError> {
    let _lease = store.lease(chain)?;
    let depth = chain.len().saturating_sub(count);
    let (below, above) = chain.split_at_checked(depth).unwrap_or_default();
    let meta = LayerMeta {
        id,
        parents: below.to_vec(),
    };
    if store.exists(&meta.id) {
        return Ok(meta);
    }
    let staging = store.stage()?;
    let parts = |layers: &[LayerId], name| -> Vec<PathBuf> {
        let layers = layers.iter().rev();
        layers.filter_map(|layer| store.part(layer, name)).collect()
    };
    let merge = |merge: Merge, name: &str, above: Vec<PathBuf>, below: Vec<PathBuf>| {
        if above.is_empty() {
            return Ok(());
        }
        let merged = merge.run(staging.path().join(name), above, below);
        merged.map_err(|(path, source)| SquashError::Merge {
            id: meta.id.clone(),
            path,
            source,
        })
    };
    merge(Merge::upon_layers(), FS, parts(above, FS), parts(below, FS))?;
    // The machine's own /usr lies below them all.
    let (packages, beneath) = (parts(above, SYSTEM), parts(below, SYSTEM));
    merge(Merge::upon_unknown(), SYSTEM, packages, beneath)?;
    // It is no overlay: the topmost layer that has one has all of it.
    let agent = parts(above, AGENT).into_iter().take(1).collect();
    merge(Merge::upon_layers(), AGENT, agent, Vec::new())?;
    store.admit(&staging, &meta)?;
    Ok(meta)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
