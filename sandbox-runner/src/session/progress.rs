//! Work in progress, kept where the loss of sandbox and machine does not reach it: at most one tool
//! call old.
//!
//! Whenever a tool has written, the work is committed outside of every branch and bundled out of the
//! sandbox, one bundle at a time, and where there is a depot it goes on to there. The plugin holds
//! the next call that writes until then, see [`Writes`](crate::gateway::Writes): what ended while a
//! bundle was made is all in the next one. What fails is tried again. A bundle is the whole work and says
//! upon which snapshot it was done: a sandbox that starts from that one begins with it. Whoever has
//! put the same work in a better place, by a push or a snapshot, drops it; the depot's goes when a
//! snapshot has come there.

mod custody;
mod drawer;

use std::path::Path;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use protocol::command::Start;
use protocol::{SandboxId, SnapshotId};
use tokio::fs;
use tokio::sync::{Mutex, MutexGuard, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Machinery;
use super::machine::Input;
use super::provision::workspace;
use crate::cause;
use crate::courier::CourierError;
use crate::gateway::Gate;
use crate::git::BundleError;
use crate::store::snapshot::Lineage;
use custody::{Custody, Errand};
pub use drawer::{Drawer, Keep, KeepError, Kept, Label};

/// From the beginning of one bundle to that of the next at least: a program that tells of writes
/// without end has no more made.
const PACE: Duration = Duration::from_millis(100);
/// Between two attempts, at first and at most.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Attempts at one bundle that whoever wrote is kept waiting for. Later ones are made beside the agent.
const ATTEMPTS: u32 = 5;
/// Until what was given up is tried again, if nothing is written meanwhile.
const AGAIN: Duration = Duration::from_secs(60);
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

/// Nothing is bundled meanwhile.
pub(super) struct Still<'a>(MutexGuard<'a, Option<String>>);

/// One sandbox's work in progress.
pub(super) struct Progress {
    machinery: Arc<Machinery>,
    start: Start,
    /// The commit in the newest bundle. Held while one is made or dropped, so that none is kept after
    /// it was dropped.
    turn: Mutex<Option<String>>,
    /// Of the sandbox's files.
    lineage: Lock<Lineage>,
    custody: watch::Sender<Custody>,
}

impl Progress {
    pub(super) fn new(machinery: Arc<Machinery>, start: Start) -> Self {
        Self {
            machinery,
            start,
            turn: Mutex::default(),
            lineage: Lock::default(),
            custody: watch::Sender::default(),
        }
    }

    /// The files are these from now on.
    pub(super) fn lies_upon(&self, lineage: Lineage) {
        *self.lineage.lock().unwrap_or_else(PoisonError::into_inner) = lineage;
    }

    /// Keeps the work whenever a tool has written.
    pub(super) async fn follow(&self, site: &Site, gate: &Gate, told: &mpsc::Sender<Input>) {
        // Whether people were told that nothing is kept now.
        let mut is_told = false;
        // Whether the same work may be kept another time.
        let mut is_passing = false;
        let mut seen = 0;
        loop {
            let newer = gate.writes().after(seen);
            let upto = if is_passing {
                timeout(AGAIN, newer).await.unwrap_or(seen)
            } else {
                newer.await
            };
            let began = Instant::now();
            match self.insist(site, gate, upto).await {
                Ok(()) => (is_told, is_passing) = (false, false),
                Err(error) => {
                    gate.writes().give_up(upto);
                    is_passing = !error.is_too_large();
                    if !std::mem::replace(&mut is_told, true) {
                        let error = cause::chain(&error);
                        let message = format!(
                            "Work that is not pushed would not survive a loss of the sandbox: {error}."
                        );
                        let _ = told.send(Input::Notice { message }).await;
                    }
                }
            }
            seen = upto;
            sleep_until(began + PACE).await;
        }
    }

    /// Brings to the depot what is kept, and says what is safe then.
    pub(super) async fn ship(&self, gate: &Gate) {
        let mut custody = self.custody.subscribe();
        let mut pause = PAUSE;
        loop {
            let errand = {
                let custody = custody.borrow_and_update();
                gate.writes().safe(custody.safe());
                custody.next()
            };
            let Some(errand) = errand else {
                pause = PAUSE;
                // It is this one's own.
                let _ = custody.changed().await;
                continue;
            };
            let began = Instant::now();
            let done = tokio::select! {
                done = self.run(&errand) => done,
                // What is newer need not wait until a snapshot is where it was to be.
                _ = custody.changed(), if matches!(errand, Errand::Await(..)) => continue,
            };
            match done {
                Ok(true) => {
                    let took = began.elapsed().as_millis();
                    tracing::debug!(sandbox = %self.start.sandbox, took, ?errand, "work in progress was brought away");
                    self.custody.send_modify(|custody| custody.did(&errand));
                    pause = PAUSE;
                }
                Ok(false) => {
                    // It was dropped meanwhile, which is a change.
                    let _ = custody.changed().await;
                }
                Err(error) => {
                    let error = cause::chain(&error);
                    tracing::warn!(sandbox = %self.start.sandbox, error, "work in progress is not in the depot");
                    gate.writes().troubled(error);
                    sleep(pause).await;
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Whether there was something to be done.
    async fn run(&self, errand: &Errand) -> Result<bool, FindError> {
        let (courier, session) = (&self.machinery.courier, &self.start.session);
        match errand {
            Errand::Put(_) => {
                let Some(kept) = self.machinery.progress.kept(session).await? else {
                    return Ok(false);
                };
                courier
                    .put_progress(session, self.start.epoch, &kept.path)
                    .await?;
            }
            Errand::Await(snapshot, _) => courier.settled(snapshot).await,
            Errand::Remove(_) => courier.drop_progress(session, self.start.epoch).await,
        }
        Ok(true)
    }

    /// Nothing is bundled while the result lives: git would hold files open.
    pub(super) async fn still(&self) -> Still<'_> {
        Still(self.turn.lock().await)
    }

    /// What calls up to this one wrote is at the forge, and not kept here any more.
    pub(super) async fn pushed(&self, upto: u64) {
        let mut still = self.still().await;
        let mut is_all = false;
        self.custody
            .send_modify(|custody| is_all = custody.pushed(upto));
        if is_all {
            self.forget(&mut still).await;
        }
    }

    /// All that was written before nothing was bundled any more is in a snapshot.
    pub(super) async fn preserved(&self, snapshot: &SnapshotId, mut still: Still<'_>) {
        self.forget(&mut still).await;
        self.custody
            .send_modify(|custody| custody.preserved(snapshot.clone()));
    }

    async fn forget(&self, still: &mut Still<'_>) {
        *still.0 = None;
        if let Err(error) = self.machinery.progress.forget(&self.start.session).await {
            let error = cause::chain(&error);
            tracing::warn!(session = %self.start.session, error, "old work in progress remains");
        }
    }

    /// Keeps the work of calls up to this one, in several attempts if need be.
    async fn insist(&self, site: &Site, gate: &Gate, upto: u64) -> Result<(), KeepingError> {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match self.keep(site, upto).await {
                Err(error) if !error.is_too_large() => {
                    self.warn(&error);
                    gate.writes().troubled(cause::chain(&error));
                    sleep(pause).await;
                    pause = pause.saturating_mul(2);
                }
                kept => return kept,
            }
        }
        let kept = self.keep(site, upto).await;
        if let Err(error) = &kept {
            self.warn(error);
        }
        kept
    }

    fn warn(&self, error: &KeepingError) {
        let error = cause::chain(error);
        tracing::warn!(sandbox = %self.start.sandbox, error, "work in progress was not kept");
    }

    async fn keep(&self, site: &Site, upto: u64) -> Result<(), KeepingError> {
        let mut bundled = self.turn.lock().await;
        let began = Instant::now();
        let workspace = workspace(&self.machinery, &self.start, &site.place);
        let recorded = workspace.record_progress().await;
        let commit = recorded.map_err(BundleError::from)?;
        if bundled.as_ref() == Some(&commit) {
            self.custody.send_modify(|custody| custody.unchanged(upto));
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
        let made = workspace.bundle_progress(&site.base, &draft, LIMIT).await;
        if made.is_err() {
            remove(&draft).await;
        }
        made?;
        keep.keep(session).await?;
        *bundled = Some(commit);
        let took = began.elapsed().as_millis();
        tracing::debug!(sandbox = %self.start.sandbox, took, upto, "work in progress was bundled");
        self.custody.send_modify(|custody| custody.bundled(upto));
        Ok(())
    }

    fn lineage(&self) -> Lineage {
        let lineage = self.lineage.lock();
        lineage.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug, thiserror::Error)]
enum KeepingError {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Keep(#[from] KeepError),
}

impl KeepingError {
    fn is_too_large(&self) -> bool {
        matches!(self, Self::Bundle(BundleError::TooLarge { .. }))
    }
}

async fn remove(draft: &Path) {
    if let Err(error) = fs::remove_file(draft).await {
        tracing::debug!(%error, "there is no draft to remove");
    }
}
