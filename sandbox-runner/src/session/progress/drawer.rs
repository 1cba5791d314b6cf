//! Where work in progress is kept: one file for each session, a line of JSON that says what it is
//! and then git's bundle. The same file is what the depot has.

use std::io;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use protocol::{Epoch, SessionId};
use serde::{Deserialize, Serialize};
use tokio::fs;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::store::snapshot::Lineage;

/// Longest label.
const LABEL: u64 = 16 << 10;

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
    #[error("failed to read {path}")]
    Read {
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

/// Which sandbox's work it is, and upon what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub epoch: Epoch,
    /// The work is upon the newest of these.
    pub lineage: Lineage,
}

/// Work in progress as a file of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub path: PathBuf,
    pub label: Label,
    /// Where the bundle begins.
    pub offset: u64,
}

impl Label {
    /// What a file begins with.
    pub fn line(&self) -> Result<String, io::Error> {
        Ok(format!("{}\n", serde_json::to_string(self)?))
    }
}

impl Kept {
    /// `None` if there is no file, or one that is no work in progress.
    pub async fn read(path: PathBuf) -> Result<Option<Self>, KeepError> {
        match look(&path).await {
            Ok(found) => Ok(found.map(|(label, offset)| Self {
                path,
                label,
                offset,
            })),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeepError::Read { path, source }),
        }
    }
}

async fn look(path: &Path) -> io::Result<Option<(Label, u64)>> {
    let mut line = Vec::new();
    let file = fs::File::open(path).await?;
    let mut start = BufReader::new(file).take(LABEL);
    let offset = start.read_until(b'\n', &mut line).await?;
    let label = serde_json::from_slice(&line);
    Ok(label.ok().map(|label| (label, offset as u64)))
}

/// Where the newest work in progress of each session is.
pub trait Keep: Send + Sync {
    /// Where a session's work can be written before it is kept. Nobody else writes there.
    fn draft(&self, session: &SessionId) -> PathBuf;

    /// Where a session's work can be put that comes from somewhere else.
    fn arrival(&self, session: &SessionId) -> PathBuf;

    /// Takes the draft over, in place of what was kept.
    fn keep<'a>(&'a self, session: &'a SessionId) -> BoxFuture<'a, Result<PathBuf, KeepError>>;

    /// What is kept.
    fn kept<'a>(&'a self, session: &'a SessionId)
    -> BoxFuture<'a, Result<Option<Kept>, KeepError>>;

    /// Drops what is kept, if anything is.
    fn forget<'a>(&'a self, session: &'a SessionId) -> BoxFuture<'a, Result<(), KeepError>>;
}

/// Work in progress in a directory of this machine.
#[derive(Debug)]
pub struct Drawer {
    directory: PathBuf,
}

impl Drawer {
    /// Makes the directory, and removes what an earlier process did not finish in it.
    pub fn open(directory: PathBuf) -> Result<Self, KeepError> {
        let prepared = std::fs::create_dir_all(&directory).and_then(|()| {
            for entry in std::fs::read_dir(&directory)? {
                let path = entry?.path();
                if path
                    .extension()
                    .is_some_and(|extension| extension == "draft" || extension == "arrival")
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

    fn path(&self, session: &SessionId, kind: &str) -> PathBuf {
        self.directory.join(format!("{session}.{kind}"))
    }
}

impl Keep for Drawer {
    fn draft(&self, session: &SessionId) -> PathBuf {
        self.path(session, "draft")
    }

    fn arrival(&self, session: &SessionId) -> PathBuf {
        self.path(session, "arrival")
    }

    fn keep<'a>(&'a self, session: &'a SessionId) -> BoxFuture<'a, Result<PathBuf, KeepError>> {
        Box::pin(async move {
            let path = self.path(session, "bundle");
            match fs::rename(self.draft(session), &path).await {
                Ok(()) => Ok(path),
                Err(source) => Err(KeepError::Keep { path, source }),
            }
        })
    }

    fn kept<'a>(
        &'a self,
        session: &'a SessionId,
    ) -> BoxFuture<'a, Result<Option<Kept>, KeepError>> {
        Box::pin(Kept::read(self.path(session, "bundle")))
    }

    fn forget<'a>(&'a self, session: &'a SessionId) -> BoxFuture<'a, Result<(), KeepError>> {
        Box::pin(async move {
            for kind in ["bundle", "arrival"] {
                let path = self.path(session, kind);
                match fs::remove_file(&path).await {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(KeepError::Drop { path, source });
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::SnapshotId;

    use super::*;

    #[tokio::test]
    async fn what_is_kept_says_what_it_is_and_replaces_what_was_before() {
        let directory = tempfile::tempdir().unwrap();
        let drawer = Drawer::open(directory.path().join("wip")).unwrap();
        let session = SessionId::from_random([1; 16]);
        assert_eq!(drawer.kept(&session).await.unwrap(), None);
        let snapshot = SnapshotId::from_random([1; 16]);
        for epoch in [1, 2] {
            let label = Label {
                epoch: Epoch(epoch),
                lineage: Lineage::new(None, Some(&snapshot)),
            };
            let line = label.line().unwrap();
            std::fs::write(drawer.draft(&session), format!("{line}bundle")).unwrap();
            drawer.keep(&session).await.unwrap();
            let kept = drawer.kept(&session).await.unwrap().unwrap();
            assert_eq!((kept.label, kept.offset), (label, line.len() as u64));
        }
        drawer.forget(&session).await.unwrap();
        assert_eq!(drawer.kept(&session).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_file_without_a_label_is_no_work_in_progress() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for content in [&b"# v2 git bundle\n"[..], b"", &[b'x'; 20_000]] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(Kept::read(path.clone()).await.unwrap(), None);
        }
    }
}
