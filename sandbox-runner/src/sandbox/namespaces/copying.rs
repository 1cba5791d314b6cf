//! A layer from a sandbox in whose home somebody stands: a shell of a person's, a server, a program
//! with an open file. Its overlay cannot be replaced, so the upper directory is copied, and goes on to
//! be written in.
//!
//! Most of the copy is made while the sandbox runs; then its processes are stopped, and what changed
//! meanwhile is copied again. So a file is in the layer as it was at that one moment. Both passes have
//! a deadline, since the next prompt waits. The sandbox's layers stay what they were: the copy lies
//! upon them, and the next snapshot does so too.
//!
//! After a crash, [`Snapshot::Copying`] says that the processes may be stopped, and nothing else has
//! happened to them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::SandboxId;
use rustix::fs::syncfs;
use tokio::task::spawn_blocking;

use super::Namespaces;
use crate::layer::replica::{self, Pass, Replica, ReplicaError};
use crate::layer::{LayerId, LayerMeta, Staging};
use crate::sandbox::SandboxError;
use crate::sandbox::record::{SandboxRecord, Snapshot};

/// How long the sandbox is copied while it runs.
const RUNNING: Duration = Duration::from_secs(10);
/// How long it is stopped at most.
const STOPPED: Duration = Duration::from_secs(3);

/// The last copy of each sandbox, so that the next one takes only what changed.
#[derive(Debug, Default)]
pub(super) struct Replicas(Mutex<HashMap<SandboxId, Replica>>);

impl Replicas {
    pub(super) fn forget(&self, id: &SandboxId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SandboxId, Replica>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Namespaces {
    /// The caller has the sandbox's turn, and has found that somebody holds its home.
    pub(super) async fn copy_upper(
        &self,
        id: &SandboxId,
        holder: String,
    ) -> Result<LayerId, SandboxError> {
        let mut record = self.record(id)?;
        self.make_fresh(id).await?;
        let copied = self.copy(&mut record).await;
        match copied {
            Ok(layer) => Ok(layer),
            Err(CopyError::Replica(error @ (ReplicaError::Late | ReplicaError::Full))) => {
                tracing::warn!(sandbox = %id, %error, "files are in use, and were not copied");
                Err(SandboxError::Busy {
                    id: id.clone(),
                    holder,
                })
            }
            Err(CopyError::Replica(error)) => Err(SandboxError::Copy(error)),
            Err(CopyError::Sandbox(error)) => Err(error),
        }
    }

    async fn copy(&self, record: &mut SandboxRecord) -> Result<LayerId, CopyError> {
        let earlier = self.replicas.lock().remove(&record.id).unwrap_or_default();
        let (running, stopped) = (self.layers.stage(), self.layers.stage());
        let running = running.map_err(SandboxError::from)?;
        let stopped = stopped.map_err(SandboxError::from)?;

        let (directory, staged) = (self.state.sandbox(&record.id), running.path().join("fs"));
        let pass = spawn_blocking(move || {
            let upper = directory.upper();
            let synced = replica::now();
            fs::File::open(&upper)
                .and_then(|upper| Ok(syncfs(upper)?))
                .map_err(|source| ReplicaError::Copy {
                    path: upper.clone(),
                    source,
                })?;
            let pass = Pass {
                synced,
                limit: RUNNING,
                live: true,
            };
            Replica::make(&upper, &staged, &earlier, pass).map(|replica| (replica, synced))
        });
        let (replica, synced) = joined(pass.await)?;

        record.snapshot = Some(Snapshot::Copying);
        self.write_record(record)?;
        let copied = match self.pause(&record.id).await {
            Ok(()) => self.copy_stopped(record, &stopped, replica, synced).await,
            Err(error) => Err(error.into()),
        };
        // In every case, and before the layer is on record.
        self.resume(&record.id).await?;
        let admitted = match copied {
            Ok(replica) => self.admit(record, &stopped).map(|layer| (layer, replica)),
            Err(error) => Err(error),
        };
        self.finish_copy(record)?;
        let (layer, replica) = admitted?;
        if let Some(files) = self.layers.files(&layer) {
            let replica = replica.moved(files);
            self.replicas.lock().insert(record.id.clone(), replica);
        }
        Ok(layer)
    }

    /// Nothing runs in the sandbox.
    async fn copy_stopped(
        &self,
        record: &SandboxRecord,
        staging: &Staging,
        before: Replica,
        synced: i64,
    ) -> Result<Replica, CopyError> {
        let directory = self.state.sandbox(&record.id);
        self.copy_agent(&directory).await?;
        let target = staging.path().join("fs");
        let pass = spawn_blocking(move || {
            let pass = Pass {
                synced,
                limit: STOPPED,
                live: false,
            };
            Replica::make(&directory.upper(), &target, &before, pass)
        });
        joined(pass.await)
    }

    fn admit(&self, record: &SandboxRecord, staging: &Staging) -> Result<LayerId, CopyError> {
        let copied = self.state.sandbox(&record.id).copied_agent();
        let agent = staging.path().join("agent");
        fs::rename(&copied, &agent).map_err(|source| SandboxError::Prepare {
            path: agent,
            source,
        })?;
        let meta = LayerMeta {
            id: LayerId::of(&record.id, record.ordinal),
            parents: record.layers.clone(),
        };
        let admitted = self.layers.admit(staging, &meta);
        admitted.map_err(SandboxError::from)?;
        Ok(meta.id)
    }

    /// Whether there is a layer decides whether its number is taken.
    pub(super) fn finish_copy(&self, record: &mut SandboxRecord) -> Result<(), SandboxError> {
        if self.layers.exists(&LayerId::of(&record.id, record.ordinal)) {
            record.ordinal += 1;
        }
        record.snapshot = None;
        self.write_record(record)
    }
}

enum CopyError {
    Replica(ReplicaError),
    Sandbox(SandboxError),
}

impl From<SandboxError> for CopyError {
    fn from(error: SandboxError) -> Self {
        Self::Sandbox(error)
    }
}

fn joined<T>(
    pass: Result<Result<T, ReplicaError>, tokio::task::JoinError>,
) -> Result<T, CopyError> {
    pass.map_err(|error| SandboxError::Interrupted(io::Error::other(error)))?
        .map_err(CopyError::Replica)
}
