//! Work in progress, kept where the loss of a sandbox does not reach it: at most one tool call old.
//!
//! Whenever a tool has written, the work is committed outside of every branch and bundled out of the
//! sandbox, one bundle at a time and not more often than every two seconds. The agent never waits for
//! it. A session's next sandbox begins with it. What is kept is newer than anything else that is known
//! of the session: whoever has put the same work in a better place, by a push or a snapshot, drops it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::command::Start;
use protocol::{SandboxId, SessionId};
use tokio::fs;
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio::time::{Instant, sleep_until};

use super::Machinery;
use super::machine::Input;
use super::provision::workspace;
use crate::gateway::Gate;
use crate::git::BundleError;

/// Between two bundles, so that a busy agent's work is not bundled all the time.
const INTERVAL: Duration = Duration::from_secs(2);
/// The largest bundle.
const LIMIT: u64 = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("failed to prepare {path} for work in progress")]
    Prepare {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to keep {path}")]
    Keep {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to drop {path}")]
    Drop {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Where the newest work in progress of each session is.
pub trait Keep: Send + Sync {
    /// Where a session's bundle can be written before it is kept. Nobody else writes there.
    fn draft(&self, session: &SessionId) -> PathBuf;

    /// Takes the draft over, in place of what was kept.
    fn keep<'a>(&'a self, session: &'a SessionId) -> BoxFuture<'a, Result<(), KeepError>>;

    /// The bundle that is kept, as a file of this machine.
    fn kept<'a>(
        &'a self,
        session: &'a SessionId,
    ) -> BoxFuture<'a, Result<Option<PathBuf>, KeepError>>;

    /// Drops what is kept, if anything is.
    fn forget<'a>(&'a self, session: &'a SessionId) -> BoxFuture<'a, Result<(), KeepError>>;
}

/// Work in progress in a directory of this machine.
#[derive(Debug)]
pub struct Drawer {
    directory: PathBuf,
}

impl Drawer {
    /// Makes the directory, and removes drafts that an earlier process left in it.
    pub fn open(directory: PathBuf) -> Result<Self, KeepError> {
        let prepared = std::fs::create_dir_all(&directory).and_then(|()| {
            for entry in std::fs::read_dir(&directory)? {
                let path = entry?.path();
                if path
                    .extension()
                    .is_some_and(|extension| extension == "draft")
                {
                    std::fs::remove_file(path)?;
                }
            }
            Ok(())
        });
        match prepared {
            Ok(()) => Ok(Self { directory }),
            Err(source) => Err(KeepError::Prepare {
                path: directory,
                source,
            }),
        }
    }

    fn bundle(&self, session: &SessionId) -> PathBuf {
        self.directory.join(format!("{session}.bundle"))
    }
}

impl Keep for Drawer {
    fn draft(&self, session: &SessionId) -> PathBuf {
        self.directory.join(format!("{session}.draft"))
    }

    fn keep<'a>(&'a self, session: &'a SessionId) -> BoxFuture<'a, Result<(), KeepError>> {
        Box::pin(async move {
            let path = self.bundle(session);
            fs::rename(self.draft(session), &path)
                .await
                .map_err(|source| KeepError::Keep { path, source })
        })
    }

    fn kept<'a>(
        &'a self,
        session: &'a SessionId,
    ) -> BoxFuture<'a, Result<Option<PathBuf>, KeepError>> {
        Box::pin(async move {
            let path = self.bundle(session);
            Ok(path.is_file().then_some(path))
        })
    }

    fn forget<'a>(&'a self, session: &'a SessionId) -> BoxFuture<'a, Result<(), KeepError>> {
        Box::pin(async move {
            let path = self.bundle(session);
            match fs::remove_file(&path).await {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    Err(KeepError::Drop { path, source })
                }
                _ => Ok(()),
            }
        })
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
}

impl Progress {
    pub(super) fn new(machinery: Arc<Machinery>, start: Start) -> Self {
        Self {
            machinery,
            start,
            turn: Mutex::new(()),
        }
    }

    /// Keeps the work whenever a tool has written.
    pub(super) async fn follow(&self, site: &Site, gate: &Gate, told: &mpsc::Sender<Input>) {
        let mut too_large = false;
        loop {
            gate.wrote().await;
            let next = Instant::now() + INTERVAL;
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
            sleep_until(next).await;
        }
    }

    /// Keeps the work of a sandbox that is about to be removed.
    pub(super) async fn keep_last(&self, site: &Site) {
        if let Err(error) = self.keep(site).await {
            self.warn(&error);
        }
    }

    /// Nothing is bundled while the result lives: git would hold files open.
    pub(super) async fn still(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Drops what was kept, since it is kept better elsewhere.
    pub(super) async fn forget(&self) {
        let _turn = self.turn.lock().await;
        if let Err(error) = self.machinery.progress.forget(&self.start.session).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(session = %self.start.session, error, "old work in progress remains");
        }
    }

    fn warn(&self, error: &KeepingError) {
        let error = error as &dyn std::error::Error;
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
        let bundled = workspace.bundle_progress(&site.base, &draft, LIMIT).await;
        if bundled.is_err() {
            remove(&draft).await;
        }
        bundled?;
        Ok(keep.keep(session).await?)
    }
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
