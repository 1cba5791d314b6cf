//! Sandboxes by namespaces: no capabilities, no new privileges, a user of their own.
//!
//! Nothing is executed to start one. A [`zygote`], which has one thread, copies itself into new
//! namespaces; the copy builds what the sandbox sees ([`view`]), opens the ports that lead out
//! ([`network`]), is told which sandbox it is, gives its rights up and is PID 1 ([`birth`]). One that
//! has not been told yet waits for the next start ([`spare`]). A runner that is root runs each
//! sandbox as another of the host's users, and shows it its files, which belong to user 1000 on
//! disk, as that user's. Any other runner runs them as itself, by the same path.
//!
//! A sandbox does not end with the runner or the zygote. It is on record before it is told which one
//! it is: it waits for the runner, and ends if the runner does.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use protocol::SandboxId;
use rustix::process::getuid;
use tokio::net::UnixStream;
use tokio::time::timeout;

use self::copying::Replicas;
use self::launcher::Launcher;
use self::message::Ground;
use self::slot::Slots;
use self::spare::Spares;
use self::turn::Turns;
use super::cgroup::{CgroupError, Driver, Stats};
use super::channel::{self, ChannelError, REPLY};
use super::confinement::AGENT_ID;
use super::descriptors;
use super::disk::DiskWatch;
use super::record::{FILE, SandboxRecord, SandboxState, Snapshot};
use super::socket::connect;
use super::state::{SandboxDirectory, StateDirectory, StateError};
use super::tool::{self, ToolError};
use super::trash::Trash;
use super::{Adoption, Ports, Sandbox, SandboxBackend, SandboxError, SandboxSpec, Stays};
use crate::layer::{LayerError, LayerId, LayerStore};
use crate::metrics::METRICS;

mod adoption;
mod birth;
mod clearing;
mod clone;
mod copying;
mod end;
mod etc;
mod freezing;
mod launcher;
mod message;
mod mount;
mod network;
mod slot;
mod snapshot;
mod spare;
mod start;
mod swap;
mod tree;
mod turn;
mod view;
pub mod zygote;

pub(crate) use self::message::receive_bytes;
pub(crate) use self::network::OpenPorts;

#[derive(Debug, Clone)]
pub struct NamespacesConfig {
    /// Where sandboxes, layers and tools are kept.
    pub state: PathBuf,
    /// The runner's own program, which is also the zygote.
    pub runner: PathBuf,
    /// The first of the host's users and groups that sandboxes run as, if the runner is root.
    pub sandbox_uid: u32,
    pub tools: Vec<Tool>,
}

/// What every sandbox sees, read-only, as `/opt/<name>`: files of the host by their names, and the
/// content of directories. Its `bin` is on the path.
#[derive(Debug, Clone)]
pub struct Tool {
    pub name: String,
    pub sources: Vec<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("failed to write what sandboxes see as /etc to {path}")]
    Etc {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Layers(#[from] LayerError),
    #[error("failed to sweep {path}")]
    Sweep {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to sweep control groups")]
    Groups(#[from] CgroupError),
    #[error("failed to start {path}, which sandboxes are copied from")]
    Zygote {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

#[derive(Debug)]
pub struct Namespaces {
    state: StateDirectory,
    layers: LayerStore,
    trash: Trash,
    launcher: Arc<Launcher>,
    spares: Spares,
    /// Set if sandboxes run as other users than the runner.
    users: Option<u32>,
    slots: Slots,
    groups: Driver,
    disk: DiskWatch,
    turns: Turns,
    replicas: Replicas,
    path: String,
}

impl Namespaces {
    /// Prepares the state directory and removes what a crash left behind; sandboxes on record are
    /// left for [`SandboxBackend::adopt`]. Needs a tokio runtime.
    pub fn open(config: &NamespacesConfig) -> Result<Self, SetupError> {
        let state = StateDirectory::open(&config.state)?;
        let etc = state.etc();
        etc::write(&etc).map_err(|source| SetupError::Etc { path: etc, source })?;

        let (mut tools, mut path) = (Vec::new(), String::new());
        for tool in &config.tools {
            let placed = tool::install(&state.tools(), &tool.name, &tool.sources)?;
            if placed.join("bin").is_dir() {
                path.push_str(&format!("/opt/{}/bin:", tool.name));
            }
            tools.push((tool.name.clone(), below(state.root(), &placed)));
        }
        path.push_str(start::PATH);

        let trash = Trash::new(state.trash());
        let layers = LayerStore::new(state.layers(), trash.clone());
        layers.sweep()?;
        let launcher = Launcher::start(config.runner.clone(), &state.zygote_lock());
        let launcher = launcher.map_err(|source| SetupError::Zygote {
            path: config.runner.clone(),
            source,
        })?;
        let launcher = Arc::new(launcher);
        let groups = Driver::detect(state.root());
        // Without a limit of memory, the number is the only limit that there is.
        if groups.enforced().memory {
            descriptors::raise();
        }
        let users = getuid().is_root().then_some(config.sandbox_uid);
        let slots = Slots::default();
        let ground = Ground {
            state: state.root().to_owned(),
            tools,
            user: None,
            unified: false,
        };
        let backend = Self {
            spares: Spares::new(
                Arc::clone(&launcher),
                groups.clone(),
                slots.clone(),
                users,
                ground,
            ),
            disk: DiskWatch::start(state.root(), groups.clone(), layers.clone()),
            trash,
            layers,
            launcher,
            users,
            slots,
            groups,
            turns: Turns::default(),
            replicas: Replicas::default(),
            path,
            state,
        };
        let sandboxes = backend.state.sandboxes();
        backend.sweep().map_err(|source| SetupError::Sweep {
            path: sandboxes,
            source,
        })?;
        backend.sweep_groups()?;
        Ok(backend)
    }

    /// Where images are kept.
    pub fn images(&self) -> PathBuf {
        self.state.images()
    }

    pub(super) fn root(&self) -> &Path {
        self.state.root()
    }

    pub(super) fn groups(&self) -> &Driver {
        &self.groups
    }

    pub fn layers(&self) -> &LayerStore {
        &self.layers
    }

    /// A directory without a record is that of a sandbox which was never on its way.
    fn sweep(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(self.state.sandboxes())? {
            let path = entry?.path();
            match SandboxRecord::read(&path)? {
                None => self.trash.discard(&path)?,
                // A start that nobody is at any more has no process.
                Some(SandboxRecord {
                    state: SandboxState::Starting | SandboxState::Stopped,
                    ..
                }) => {}
                Some(record) => {
                    self.slots.occupy(record.slot);
                    if let Some(group) = &record.group {
                        self.groups.rename(group, record.id.as_str());
                    }
                    self.disk.enter(&record.id, &path, &record.limits);
                }
            }
        }
        self.trash.sweep()
    }

    /// A group without a sandbox is what a crash left of a start, or of an end.
    fn sweep_groups(&self) -> Result<(), CgroupError> {
        for name in self.groups.list()? {
            let id = SandboxId::parse(&name);
            let known = id.is_ok_and(|id| self.state.sandbox(&id).path().join(FILE).exists());
            if !known
                && !self.groups.is_renamed(&name)
                && let Some(group) = self.groups.open(&name)?
            {
                group.kill()?;
                group.remove()?;
            }
        }
        Ok(())
    }

    fn record(&self, id: &SandboxId) -> Result<SandboxRecord, SandboxError> {
        let directory = self.state.sandbox(id);
        SandboxRecord::read(directory.path())
            .map_err(|source| SandboxError::ReadRecord {
                path: directory.path().join(FILE),
                source,
            })?
            .ok_or_else(|| SandboxError::Unknown(id.clone()))
    }

    fn write_record(&self, record: &SandboxRecord) -> Result<(), SandboxError> {
        let directory = self.state.sandbox(&record.id);
        record
            .write(directory.path())
            .map_err(|source| SandboxError::WriteRecord {
                path: directory.path().join(FILE),
                source,
            })
    }

    fn discard(&self, directory: &SandboxDirectory) -> Result<(), SandboxError> {
        self.trash
            .discard(directory.path())
            .map_err(|source| SandboxError::Discard {
                path: directory.path().to_owned(),
                source,
            })
    }

    /// The user that files belong to which sandboxes write.
    fn owner(&self) -> Option<u32> {
        self.users.map(|_| AGENT_ID)
    }

    async fn hold(&self, id: &SandboxId) -> Result<Sandbox, SandboxError> {
        let descriptors = channel::ports(self.connect(id).await?).await?;
        Ok(Sandbox {
            id: id.clone(),
            ports: Ports::new(descriptors).map_err(SandboxError::Ports)?,
        })
    }
}

impl SandboxBackend for Namespaces {
    fn create<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Sandbox, SandboxError>> {
        Box::pin(async move {
            let began = Instant::now();
            let started = self.start(spec).await?;
            METRICS.starts.observe(began.elapsed());
            Ok(started)
        })
    }

    fn adopt<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Adoption, SandboxError>> {
        Box::pin(async move {
            let _turn = self.turns.take(id).await;
            self.take_over(id).await
        })
    }

    fn connect<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<UnixStream, SandboxError>> {
        Box::pin(async move {
            let directory = self.state.sandbox(id);
            let connected = timeout(REPLY, connect(directory.path()));
            let stream = connected.await.map_err(|_| ChannelError::Deadline)?;
            Ok(stream.map_err(ChannelError::Connect)?)
        })
    }

    fn stop<'a>(
        &'a self,
        id: &'a SandboxId,
        grace: Duration,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            let _turn = self.turns.take(id).await;
            self.end(id, grace).await.map(drop)
        })
    }

    fn clear<'a>(
        &'a self,
        id: &'a SandboxId,
        stays: &'a Stays,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            let _turn = self.turns.take(id).await;
            self.end_others(id, stays).await
        })
    }

    fn freeze<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<LayerId, SandboxError>> {
        Box::pin(async move {
            let _turn = self.turns.take(id).await;
            self.become_layer(id).await
        })
    }

    fn destroy<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            let _turn = self.turns.take(id).await;
            match self.end(id, Duration::ZERO).await {
                Ok(_) | Err(SandboxError::Unknown(_)) => self.discard(&self.state.sandbox(id)),
                Err(error) => Err(error),
            }
        })
    }

    fn snapshot<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<LayerId, SandboxError>> {
        Box::pin(async move {
            let _turn = self.turns.take(id).await;
            let began = Instant::now();
            let layer = self.take_snapshot(id).await?;
            METRICS.snapshots.observe(began.elapsed());
            Ok(layer)
        })
    }

    fn files<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Vec<OwnedFd>, SandboxError>> {
        Box::pin(async move {
            // No snapshot moves them meanwhile; they stay what they are once they are open.
            let _turn = self.turns.take(id).await;
            let record = self.record(id)?;
            let directory = self.state.sandbox(id);
            let mut uppers = Vec::new();
            if record.snapshot == Some(Snapshot::Swapped) {
                uppers.push(directory.fresh_upper());
            }
            uppers.push(directory.upper());
            let mut roots = Vec::new();
            for path in uppers {
                let opened = std::fs::File::open(&path);
                let opened = opened.map_err(|source| SandboxError::Prepare { path, source })?;
                roots.push(opened.into());
            }
            roots.extend(self.layers.open(&record.layers)?);
            Ok(roots)
        })
    }

    fn stats<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Stats, SandboxError>> {
        Box::pin(async move {
            self.record(id)?;
            let group = self.groups.open(id.as_str())?;
            let stats = group.map(|group| group.stats()).transpose()?;
            Ok(Stats {
                disk_excess: self.disk.excess(id),
                ..stats.unwrap_or_default()
            })
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<SandboxRecord>, SandboxError>> {
        Box::pin(async move {
            let path = self.state.sandboxes();
            let read = |source| SandboxError::ReadRecord {
                path: path.clone(),
                source,
            };
            let mut records = Vec::new();
            for entry in std::fs::read_dir(&path).map_err(read)? {
                records.extend(SandboxRecord::read(&entry.map_err(read)?.path()).map_err(read)?);
            }
            Ok(records)
        })
    }
}

fn below(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}
