//! Lets one operation at a time work on a sandbox.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::SandboxId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<SandboxId, Arc<AsyncMutex<()>>>>);

impl Turns {
    /// Waits until nobody else works on it.
    pub(super) async fn take(&self, id: &SandboxId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody has or waits for are only held here.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(id.clone()).or_default())
        };
        turn.lock_owned().await
    }
}
