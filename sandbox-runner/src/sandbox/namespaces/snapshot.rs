//! A layer from a sandbox that runs on.
//!
//! While its processes are stopped, the home's overlay is replaced by one that has the upper
//! directory so far as its highest layer and a fresh one above. Nothing is copied but the agent's
//! own state, so the stop is as short for gigabytes as for nothing. After it, at leisure, the old
//! upper directory is written out and becomes a layer.
//!
//! An overlay that somebody stands in, or has a file of open, cannot be replaced: then the upper
//! directory is copied instead ([`super::copying`]).
//!
//! A crash leaves one of two states. Up to [`Snapshot::Begun`], the fresh upper directory is empty,
//! since nothing ran, and is dropped; what is mounted then is not known, so the processes end, and
//! all that they wrote is in the old one. From [`Snapshot::Swapped`] on, the rest is done again,
//! each step of it unless it is done already, by whoever works on the sandbox next.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use protocol::SandboxId;
use rustix::fs::syncfs;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::launcher::Channel;
use super::message::{Home, Order, Report, Swap, Verdict};
use super::{Namespaces, below, tree};
use crate::layer::squash::{MAX_DEPTH, squash};
use crate::layer::{LayerId, LayerMeta, Parts};
use crate::sandbox::cgroup::Cgroup;
use crate::sandbox::channel::{self, REPLY};
use crate::sandbox::record::{SandboxRecord, SandboxState, Snapshot};
use crate::sandbox::state::SandboxDirectory;
use crate::sandbox::{HOME, SandboxBackend as _, SandboxError};

/// How long a program of the agent's, like one of git's, may still hold the home after a turn.
const PASSING: Duration = Duration::from_millis(200);

impl Namespaces {
    /// The caller has the sandbox's turn.
    pub(super) async fn take_snapshot(&self, id: &SandboxId) -> Result<LayerId, SandboxError> {
        match self.exchange(id).await {
            Err(SandboxError::Busy { .. }) => {}
            exchanged => return exchanged,
        }
        // Most of those who hold something are about to let it go.
        sleep(PASSING).await;
        match self.exchange(id).await {
            Err(SandboxError::Busy { holder, .. }) => self.copy_upper(id, holder).await,
            exchanged => exchanged,
        }
    }

    /// Puts a fresh upper directory above the one that becomes a layer.
    async fn exchange(&self, id: &SandboxId) -> Result<LayerId, SandboxError> {
        let mut record = self.record(id)?;
        self.finish_snapshot(&mut record).await?;
        if !matches!(record.state, SandboxState::Running(_)) {
            return Err(SandboxError::NotRunning(id.clone()));
        }
        let layer = LayerId::of(id, record.ordinal);
        let lower = self.shallow(&record).await?;
        // Init is stopped soon.
        let namespaces = channel::namespaces(self.connect(id).await?).await?;
        self.make_fresh(id).await?;

        record.snapshot = Some(Snapshot::Begun);
        self.write_record(&record)?;
        let swapped = match self.pause(id).await {
            Ok(()) => self.swap(&mut record, lower, namespaces).await,
            Err(error) => Err(error),
        };
        if swapped.is_err() {
            record.snapshot = None;
            self.write_record(&record)?;
        }
        // In every case, and last.
        self.resume(id).await?;
        let channel = swapped?;
        // Whoever keeps the old overlay lets go of it, unless it has ended.
        let _ = channel.send(&Verdict::Keep, &[]).await;
        self.finish_snapshot(&mut record).await?;
        Ok(layer)
    }

    /// The layers of a sandbox, so few that they can be mounted for some time to come.
    async fn shallow(&self, record: &SandboxRecord) -> Result<Vec<LayerId>, SandboxError> {
        if record.layers.len() < MAX_DEPTH {
            return Ok(record.layers.clone());
        }
        let (layers, chain) = (self.layers.clone(), record.layers.clone());
        let flat = LayerId::flat(&record.id, record.ordinal);
        let kept = MAX_DEPTH / 2;
        let flattening =
            spawn_blocking(move || squash(&layers, &chain, chain.len().saturating_sub(kept), flat));
        let meta = flattening
            .await
            .map_err(|error| SandboxError::Interrupted(error.into()))??;
        let mut lower = meta.parents;
        lower.push(meta.id);
        Ok(lower)
    }

    /// Replaces the overlay of a stopped sandbox and records that; or changes nothing. `lower` holds
    /// the same files as its layers.
    async fn swap(
        &self,
        record: &mut SandboxRecord,
        lower: Vec<LayerId>,
        namespaces: Vec<std::os::fd::OwnedFd>,
    ) -> Result<Channel, SandboxError> {
        let (root, directory) = (self.state.root(), self.state.sandbox(&record.id));
        self.copy_agent(&directory).await?;
        let sandbox = below(root, directory.path());
        let mut home = self.home(&lower, &sandbox)?;
        home.lower.push(sandbox.join("upper"));
        let order = Order::Swap(Swap {
            state: root.to_owned(),
            user: self.users.map(|first| first + record.slot),
            home: Home {
                upper: below(root, &directory.fresh_upper()),
                work: below(root, &directory.fresh_work()),
                ..home
            },
        });
        let channel = self.launcher.order(&order, &namespaces).await;
        let channel = channel.map_err(SandboxError::Zygote)?;
        match report(&channel).await? {
            Report::Swapped => {}
            Report::Busy => {
                return Err(SandboxError::Busy {
                    id: record.id.clone(),
                    holder: self.holder(&record.id),
                });
            }
            other => return Err(unexpected(other)),
        }
        record.snapshot = Some(Snapshot::Swapped);
        let before = std::mem::replace(&mut record.layers, lower);
        if let Err(error) = self.write_record(record) {
            record.layers = before;
            channel
                .send(&Verdict::Undo, &[])
                .await
                .map_err(SandboxError::Zygote)?;
            return match report(&channel).await? {
                Report::Undone => Err(error),
                other => Err(unexpected(other)),
            };
        }
        Ok(channel)
    }

    /// Does what is left to do of a snapshot after the swap.
    pub(super) async fn finish_snapshot(
        &self,
        record: &mut SandboxRecord,
    ) -> Result<(), SandboxError> {
        match record.snapshot {
            Some(Snapshot::Swapped) => {}
            Some(Snapshot::Copying) => return self.finish_copy(record),
            Some(Snapshot::Begun) | None => return Ok(()),
        }
        let meta = LayerMeta {
            id: LayerId::of(&record.id, record.ordinal),
            parents: record.layers.clone(),
        };
        let directory = self.state.sandbox(&record.id);
        let (layers, layer, parts) = (self.layers.clone(), meta.id.clone(), directory.clone());
        let committed = spawn_blocking(move || {
            let (upper, agent) = (parts.upper(), parts.copied_agent());
            let parts = Parts {
                agent: Some(&agent),
                ..Parts::fs(&upper)
            };
            layers.commit(&meta, parts)
        });
        committed
            .await
            .map_err(|error| SandboxError::Interrupted(error.into()))??;
        let path = directory.path().to_owned();
        self.replace(&directory)
            .map_err(|source| SandboxError::Prepare { path, source })?;
        record.layers.push(layer);
        record.ordinal += 1;
        record.snapshot = None;
        self.write_record(record)
    }

    /// The fresh directories take the places of the old ones, of which the upper has moved away.
    fn replace(&self, directory: &SandboxDirectory) -> io::Result<()> {
        if directory.fresh_upper().exists() {
            fs::rename(directory.fresh_upper(), directory.upper())?;
        }
        if directory.fresh_work().exists() {
            self.trash.discard(&directory.work())?;
            fs::rename(directory.fresh_work(), directory.work())?;
        }
        Ok(())
    }

    /// What a snapshot needs, in place of what an earlier attempt left. Writes out what can be now,
    /// so that less is left for the layer's sake.
    pub(super) async fn make_fresh(&self, id: &SandboxId) -> Result<(), SandboxError> {
        let (directory, owner) = (self.state.sandbox(id), self.owner());
        let (trash, path) = (self.trash.clone(), directory.path().to_owned());
        let runtime = tokio::runtime::Handle::current();
        let made = spawn_blocking(move || {
            let _runtime = runtime.enter();
            let fresh = [directory.fresh_upper(), directory.fresh_work()];
            for path in fresh.iter().chain([&directory.copied_agent()]) {
                trash.discard(path)?;
                SandboxDirectory::create_part(path, owner)?;
            }
            Ok(syncfs(fs::File::open(directory.path())?)?)
        });
        let made = made.await.map_err(io::Error::other).flatten();
        made.map_err(|source| SandboxError::Prepare { path, source })
    }

    pub(super) async fn copy_agent(
        &self,
        directory: &SandboxDirectory,
    ) -> Result<(), SandboxError> {
        let (from, to, owner) = (directory.agent(), directory.copied_agent(), self.owner());
        let path = to.clone();
        let copied = spawn_blocking(move || tree::copy(&from, &to, owner));
        let copied = copied.await.map_err(io::Error::other).flatten();
        copied.map_err(|source| SandboxError::Prepare { path, source })
    }

    pub(super) async fn pause(&self, id: &SandboxId) -> Result<(), SandboxError> {
        if self.groups.open(id.as_str())?.is_some() {
            return self.with_group(id, Cgroup::freeze).await;
        }
        Ok(channel::pause(self.connect(id).await?).await?)
    }

    pub(super) async fn resume(&self, id: &SandboxId) -> Result<(), SandboxError> {
        if self.groups.open(id.as_str())?.is_some() {
            return self.with_group(id, Cgroup::thaw).await;
        }
        Ok(channel::resume(self.connect(id).await?).await?)
    }

    /// Who holds something in the home, for people to read.
    fn holder(&self, id: &SandboxId) -> String {
        let group = self.groups.open(id.as_str()).ok().flatten();
        let processes = group.and_then(|group| group.processes().ok());
        for pid in processes.unwrap_or_default() {
            let process = Path::new("/proc").join(pid.to_string());
            let descriptors = fs::read_dir(process.join("fd"));
            let descriptors = descriptors.into_iter().flatten().flatten();
            let links = ["cwd", "exe"].map(|name| process.join(name));
            let links = links
                .into_iter()
                .chain(descriptors.map(|entry| entry.path()));
            let mut held = links.filter_map(|link| fs::read_link(link).ok());
            if let Some(path) = held.find(|path| path.starts_with(HOME)) {
                let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
                return format!("{} ({})", name.trim(), path.display());
            }
        }
        "a program".to_owned()
    }
}

async fn report(channel: &Channel) -> Result<Report, SandboxError> {
    let received = timeout(REPLY, channel.receive()).await;
    let received = received.map_err(|error| SandboxError::Zygote(error.into()))?;
    match received.map_err(SandboxError::Zygote)? {
        Some((report, _)) => Ok(report),
        None => Err(SandboxError::Swap("it ended without a reason".to_owned())),
    }
}

fn unexpected(report: Report) -> SandboxError {
    match report {
        Report::Failed { reason } => SandboxError::Swap(reason),
        other => SandboxError::Swap(format!("unexpectedly it reported {other:?}")),
    }
}
