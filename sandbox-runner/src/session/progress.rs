//! Work in progress, kept where the loss of a sandbox does not reach it: at most one tool call old.
//!
//! Whenever a tool has written, the work is committed outside of every branch and bundled out of the
//! sandbox, one bundle at a time, with a rest after it that is longer the longer that took; where there
//! is a depot, it goes on to there in the same way. The agent never waits for it. A bundle is the whole work and says upon which
//! snapshot it was done: a sandbox that starts from that one begins with it. Whoever has put the
//! same work in a better place, by a push or a snapshot, drops it.

mod drawer;

use std::path::Path;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use protocol::SandboxId;
use protocol::command::Start;
use tokio::fs;
use tokio::sync::{Mutex, MutexGuard, mpsc, watch};
use tokio::time::{Instant, sleep};

use super::Machinery;
use super::machine::Input;
use super::provision::workspace;
use crate::cause;
use crate::courier::CourierError;
use crate::gateway::Gate;
use crate::git::BundleError;
use crate::store::snapshot::Lineage;
pub use drawer::{Drawer, Keep, KeepError, Kept, Label};

/// How many times as long as a bundle has taken it is rested, so that a busy agent's work is not bundled
/// all the time.
const REST: u32 = 4;
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
/// The largest bundle.
const LIMIT: u64 = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub(super) enum FindError {
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(transparent)]
    Courier(#[from] CourierError),
}

/// The newest work in progress of a session, here or in the depot.
pub(super) async fn newest(
    machinery: &Machinery,
    start: &Start,
) -> Result<Option<Kept>, FindError> {
    let (keep, session) = (&machinery.progress, &start.session);
    let here = keep.kept(session).await?;
    // A session's first sandbox goes on from nothing.
    if start.epoch.0 <= 1 && start.snapshot.is_none() {
        return Ok(here);
    }
    let (known, arrival) = (
        here.as_ref().map(|kept| kept.label.epoch),
        keep.arrival(session),
    );
    let fetched = machinery.courier.fetch_progress(session, known, &arrival);
    match fetched.await {
        Ok(true) => Ok(Kept::read(arrival).await?.or(here)),
        Ok(false) => Ok(here),
        Err(error) if here.is_some() => {
            let error = cause::chain(&error);
            tracing::warn!(%session, error, "work in progress in the depot was not looked for");
            Ok(here)
        }
        Err(error) => Err(error.into()),
    }
}

/// Where the work is.
pub(super) struct Site {
    /// What the backend knows the sandbox by.
    pub(super) place: SandboxId,
    /// A commit that the next sandbox has as well.
    pub(super) base: String,
}

/// One sandbox's work in progress.
pub(super) struct Progress {
    machinery: Arc<Machinery>,
    start: Start,
    /// Held while a bundle is made or dropped, so that none is kept after it was dropped.
    turn: Mutex<()>,
    /// Of the sandbox's files.
    lineage: Lock<Lineage>,
    /// What the depot is to have.
    wanted: watch::Sender<Wanted>,
}

/// What the depot is to have of a sandbox's work in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Kept,
    Nothing,
}

impl Progress {
    pub(super) fn new(machinery: Arc<Machinery>, start: Start) -> Self {
        Self {
            machinery,
            start,
            turn: Mutex::new(()),
            lineage: Lock::default(),
            wanted: watch::Sender::new(Wanted::Nothing),
        }
    }

    /// The files are these from now on.
    pub(super) fn lies_upon(&self, lineage: Lineage) {
        *self.lineage.lock().unwrap_or_else(PoisonError::into_inner) = lineage;
    }

    /// Brings to the depot what is kept from now on.
    pub(super) async fn ship(&self) {
        let mut wanted = self.wanted.subscribe();
        let (courier, session) = (&self.machinery.courier, &self.start.session);
        while wanted.changed().await.is_ok() {
            let began = Instant::now();
            let now = *wanted.borrow_and_update();
            match now {
                Wanted::Kept => self.put().await,
                Wanted::Nothing => courier.drop_progress(session, self.start.epoch).await,
            }
            sleep(rest(began.elapsed())).await;
        }
    }

    async fn put(&self) {
        let (courier, session) = (&self.machinery.courier, &self.start.session);
        let put = async {
            if let Some(kept) = self.machinery.progress.kept(session).await? {
                courier
                    .put_progress(session, self.start.epoch, &kept.path)
                    .await?;
            }
            Ok::<_, FindError>(())
        };
        if let Err(error) = put.await {
            let error = cause::chain(&error);
            tracing::warn!(sandbox = %self.start.sandbox, error, "work in progress is not in the depot");
        }
    }

    /// Keeps the work whenever a tool has written.
    pub(super) async fn follow(&self, site: &Site, gate: &Gate, told: &mpsc::Sender<Input>) {
        let mut too_large = false;
        loop {
            gate.wrote().await;
            let began = Instant::now();
            match self.keep(site).await {
                Ok(()) => too_large = false,
                Err(KeepingError::Bundle(BundleError::TooLarge { .. })) if too_large => {}
                Err(KeepingError::Bundle(error @ BundleError::TooLarge { .. })) => {
                    too_large = true;
                    let message = format!(
                        "Work that is not pushed would not survive a loss of the sandbox: {error}."
                    );
                    let _ = told.send(Input::Notice { message }).await;
                }
                Err(error) => self.warn(&error),
            }
            sleep(rest(began.elapsed())).await;
        }
    }

    /// Nothing is bundled while the result lives: git would hold files open.
    pub(super) async fn still(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Drops what was kept, since it is kept better elsewhere. The depot does so later.
    pub(super) async fn forget(&self) {
        let _turn = self.turn.lock().await;
        if let Err(error) = self.machinery.progress.forget(&self.start.session).await {
            let error = cause::chain(&error);
            tracing::warn!(session = %self.start.session, error, "old work in progress remains");
        }
        self.wanted.send_replace(Wanted::Nothing);
    }

    fn warn(&self, error: &KeepingError) {
        let error = cause::chain(error);
        tracing::warn!(sandbox = %self.start.sandbox, error, "work in progress was not kept");
    }

    async fn keep(&self, site: &Site) -> Result<(), KeepingError> {
        let _turn = self.turn.lock().await;
        let workspace = workspace(&self.machinery, &self.start, &site.place);
        if workspace
            .record_progress()
            .await
            .map_err(BundleError::from)?
            .is_none()
        {
            return Ok(());
        }
        let (keep, session) = (&self.machinery.progress, &self.start.session);
        let draft = keep.draft(session);
        let write = |source| KeepError::Keep {
            path: draft.clone(),
            source,
        };
        let label = Label {
            epoch: self.start.epoch,
            lineage: self.lineage(),
        };
        let line = label.line().map_err(write)?;
        fs::write(&draft, line).await.map_err(write)?;
        let bundled = workspace.bundle_progress(&site.base, &draft, LIMIT).await;
        if bundled.is_err() {
            remove(&draft).await;
        }
        bundled?;
        keep.keep(session).await?;
        self.wanted.send_replace(Wanted::Kept);
        Ok(())
    }

    fn lineage(&self) -> Lineage {
        let lineage = self.lineage.lock();
        lineage.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn rest(took: Duration) -> Duration {
    took.saturating_mul(REST).clamp(SHORTEST, LONGEST)
}

#[derive(Debug, thiserror::Error)]
enum KeepingError {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Keep(#[from] KeepError),
}

async fn remove(draft: &Path) {
    if let Err(error) = fs::remove_file(draft).await {
        tracing::debug!(%error, "there is no draft to remove");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_fast_is_kept_often_and_nothing_waits_for_long() {
        let cases = [(1, 100), (50, 200), (300, 1200), (60_000, 2000)];
        for (took, rested) in cases {
            let rested = Duration::from_millis(rested);
            assert_eq!(rest(Duration::from_millis(took)), rested);
        }
    }
}
