//! The event stream of an entry that waits: open already when the entry is claimed.
//!
//! Opening one takes several requests of an agent that has long been idle, which is most of what a
//! claim would cost. Nothing happens in the conversation of an entry, so the stream's first event,
//! the snapshot, is true as long as it waits; what else comes, heartbeats and what the warm-up left,
//! is dropped, for a stream that nobody reads would stand still.

use std::future::Future;

use futures_util::{StreamExt as _, stream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::agent::{AgentError, Events};

pub(super) struct Listening {
    claimed: oneshot::Sender<()>,
    task: JoinHandle<Option<Events>>,
}

impl Listening {
    pub(super) fn begin(
        opening: impl Future<Output = Result<Events, AgentError>> + Send + 'static,
    ) -> Self {
        let (claimed, mut until) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut events = opening.await.ok()?;
            let snapshot = events.next().await?;
            loop {
                tokio::select! {
                    // Also when the entry is dropped: then nobody waits for the stream.
                    _ = &mut until => {
                        return Some(stream::once(async { snapshot }).chain(events).boxed());
                    }
                    event = events.next() => { event?.ok()?; }
                }
            }
        });
        Self { claimed, task }
    }

    /// The stream, from its snapshot on; `None` when it has ended.
    pub(super) async fn events(self) -> Option<Events> {
        // Whether the task still listens is told by what it returns.
        let _ = self.claimed.send(());
        self.task.await.ok().flatten()
    }
}
