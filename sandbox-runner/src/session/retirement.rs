//! The end of all sandboxes because their machine goes away. One that rests is put to sleep; of one
//! that is at work what is there is kept, before its loss is told, and its prompt goes on elsewhere.
//!
//! Repeating it goes on with those that have not ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::line::Lines;
use super::{Machinery, Origin, Shop, serve, span, sweep};
use crate::pool::Pool;
use crate::store::StoreError;

/// What the session of a sandbox that was at work is told.
pub(super) const REASON: &str = "the machine of the sandbox is taken out of service";

/// What became of the sandboxes.
pub(crate) struct Retired {
    pub(crate) ended: usize,
    /// Of how many of them nothing could be kept.
    pub(crate) unkept: usize,
}

/// Ends the sandboxes that an earlier process served, of which sessions had so many. Returns when
/// their reports are delivered.
pub(crate) async fn retire(
    machinery: &Arc<Machinery>,
    pool: &Arc<Pool>,
) -> Result<Retired, StoreError> {
    let stored = machinery.store.sandboxes()?;
    sweep(machinery, &stored).await?;
    pool.dissolve().await?;
    let shop = Shop {
        machinery: Arc::clone(machinery),
        pool: Arc::clone(pool),
        unkept: Arc::default(),
    };
    let ended = stored.len();
    let mut lines = Lines::default();
    let mut tasks = JoinSet::new();
    for sandbox in stored {
        let line = lines.enter(&sandbox.start);
        let span = span(&sandbox.start);
        let serving = serve(shop.clone(), sandbox, Origin::Retired, Arc::default(), line);
        tasks.spawn(serving.instrument(span));
    }
    while let Some(served) = tasks.join_next().await {
        if let Err(error) = served {
            tracing::error!(%error, "a session's task failed");
        }
    }
    let unkept = shop.unkept.load(Ordering::Relaxed);
    Ok(Retired { ended, unkept })
}
