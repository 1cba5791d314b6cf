//! Sandboxes by namespaces: no capabilities, no new privileges, a user of their own.
//!
//! Nothing is executed to start one. A [`zygote`], which has one thread, copies itself into new
//! namespaces; the copy builds what the sandbox sees ([`view`]), opens the ports that lead out
//! ([`network`]), gives its rights up and is PID 1 ([`birth`]). A runner that is root runs each
//! sandbox as another of the host's users, and shows it its files, which belong to user 1000 on
//! disk, as that user's. Any other runner runs them as itself, by the same path.
//!
//! A sandbox does not end with the runner or the zygote. Its start is on record before it may go
//! on: it waits for the runner, and ends if the runner does.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::SandboxId;
use rustix::io::Errno;
use rustix::process::{Signal, getuid, pidfd_send_signal};
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use self::birth::USER;
use self::launcher::{Channel, Launcher};
use self::message::{Go, Home, Order, Report, Start};
use self::slot::Slots;
use super::channel::{self, ChannelError, REPLY};
use super::identity::{ProcessIdentity, boot_id, wait_for_end};
use super::record::{FILE, SandboxRecord, SandboxState};
use super::socket::connect;
use super::state::{SandboxDirectory, StateDirectory, StateError};
use super::tool::{self, ToolError};
use super::trash::Trash;
use super::{Adoption, HOME, Ports, Sandbox, SandboxBackend, SandboxError, SandboxSpec};
use crate::layer::{LayerError, LayerId, LayerMeta, LayerStore, Parts};

mod birth;
mod clone;
mod etc;
mod launcher;
mod message;
mod mount;
mod network;
mod slot;
mod tree;
mod view;
pub mod zygote;

pub(crate) use self::message::receive_bytes;
pub(crate) use self::network::OpenPorts;

/// A start takes some milliseconds; a machine that starts many at once may take seconds.
const START: Duration = Duration::from_secs(30);
/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(10);
/// What programs get to save their state before their files become a layer.
const FREEZE_GRACE: Duration = Duration::from_secs(5);
const PATH: &str = "/home/agent/.local/bin:/home/agent/.cargo/bin:\
    /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
    launcher: Launcher,
    /// Set if sandboxes run as other users than the runner.
    users: Option<u32>,
    slots: Slots,
    /// Names and where they are, from the state directory.
    tools: Vec<(String, PathBuf)>,
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
        path.push_str(PATH);

        let layers = LayerStore::new(state.layers());
        layers.sweep()?;
        let launcher = Launcher::start(config.runner.clone());
        let launcher = launcher.map_err(|source| SetupError::Zygote {
            path: config.runner.clone(),
            source,
        })?;
        let backend = Self {
            trash: Trash::new(state.trash()),
            layers,
            launcher,
            users: getuid().is_root().then_some(config.sandbox_uid),
            slots: Slots::default(),
            tools,
            path,
            state,
        };
        let sandboxes = backend.state.sandboxes();
        backend.sweep().map_err(|source| SetupError::Sweep {
            path: sandboxes,
            source,
        })?;
        Ok(backend)
    }

    /// Where images are kept.
    pub fn images(&self) -> PathBuf {
        self.state.images()
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
                Some(SandboxRecord {
                    state: SandboxState::Stopped,
                    ..
                }) => {}
                Some(record) => self.slots.occupy(record.slot),
            }
        }
        self.trash.sweep()
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
        self.users.map(|_| USER)
    }

    async fn start(&self, spec: &SandboxSpec) -> Result<Sandbox, SandboxError> {
        for layer in &spec.layers {
            if self.layers.files(layer).is_none() {
                return Err(SandboxError::UnknownLayer(layer.clone()));
            }
        }
        let slot = self.slots.take();
        let directory = self.state.sandbox(&spec.id);
        let mut record = SandboxRecord {
            id: spec.id.clone(),
            layers: spec.layers.clone(),
            slot: slot.number(),
            ordinal: 0,
            workshop: spec.workshop,
            state: SandboxState::Starting,
        };
        self.prepare(&directory, &record).await?;
        match self.launch(spec, &mut record).await {
            Ok(sandbox) => {
                slot.keep();
                Ok(sandbox)
            }
            Err(error) => {
                self.discard(&directory)?;
                Err(error)
            }
        }
    }

    async fn prepare(
        &self,
        directory: &SandboxDirectory,
        record: &SandboxRecord,
    ) -> Result<(), SandboxError> {
        let agent = record
            .layers
            .iter()
            .rev()
            .find_map(|layer| self.layers.agent(layer));
        let (directory, record, owner) = (directory.clone(), record.clone(), self.owner());
        let (path, id) = (directory.path().to_owned(), record.id.clone());
        let prepared = spawn_blocking(move || {
            directory.create(owner)?;
            if record.workshop {
                SandboxDirectory::create_part(&directory.system(), owner)?;
            }
            if let Some(agent) = agent {
                tree::copy(&agent, &directory.agent(), owner)?;
            }
            record.write(directory.path())
        });
        match prepared.await.map_err(io::Error::other).flatten() {
            Ok(()) => Ok(()),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                Err(SandboxError::Exists(id))
            }
            Err(source) => Err(SandboxError::Prepare { path, source }),
        }
    }

    async fn launch(
        &self,
        spec: &SandboxSpec,
        record: &mut SandboxRecord,
    ) -> Result<Sandbox, SandboxError> {
        let order = Order::Start(self.plan(spec, record));
        let channel = self
            .launcher
            .order(&order)
            .await
            .map_err(SandboxError::Zygote)?;
        let mut born = None;
        let launched = timeout(START, self.follow(&channel, record, &mut born)).await;
        let launched = launched.unwrap_or_else(|_| Err(failed("it was not ready in time")));
        match launched {
            Ok(ports) => Ok(Sandbox {
                id: spec.id.clone(),
                ports,
            }),
            Err(error) => {
                if let Some(process) = born {
                    let _ = pidfd_send_signal(&process, Signal::KILL);
                    let _ = ended(process).await;
                }
                Err(error)
            }
        }
    }

    fn plan(&self, spec: &SandboxSpec, record: &SandboxRecord) -> Start {
        let root = self.state.root();
        let sandbox = below(root, self.state.sandbox(&spec.id).path());
        let mut env = spec.env.clone();
        for (name, value) in [
            ("PATH", self.path.as_str()),
            ("HOME", HOME),
            ("USER", "agent"),
            ("LOGNAME", "agent"),
            ("SHELL", "/bin/bash"),
            ("LANG", "C.UTF-8"),
        ] {
            env.entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        let systems = spec
            .layers
            .iter()
            .filter_map(|layer| self.layers.system(layer));
        let systems = systems
            .map(|path| path.join("usr"))
            .filter(|path| path.is_dir());
        Start {
            id: spec.id.clone(),
            state: root.to_owned(),
            home: self.home(&record.layers, &sandbox),
            sandbox,
            systems: systems.map(|path| below(root, &path)).collect(),
            tools: self.tools.clone(),
            env,
            user: self.users.map(|first| first + record.slot),
            workshop: spec.workshop,
        }
    }

    fn home(&self, layers: &[LayerId], sandbox: &Path) -> Home {
        let root = self.state.root();
        let files = layers.iter().filter_map(|layer| self.layers.files(layer));
        let mut lower: Vec<_> = files.map(|path| below(root, &path)).collect();
        if lower.is_empty() {
            lower.push(below(root, &self.state.empty()));
        }
        Home {
            lower,
            upper: sandbox.join("upper"),
            work: sandbox.join("work"),
        }
    }

    /// Records the new process while it is still preparing itself, and lets it go on.
    async fn follow(
        &self,
        channel: &Channel,
        record: &mut SandboxRecord,
        born: &mut Option<OwnedFd>,
    ) -> Result<Ports, SandboxError> {
        loop {
            let report = channel.receive().await.map_err(SandboxError::Zygote)?;
            match report {
                Some((Report::Born { pid }, descriptors)) => {
                    *born = descriptors.into_iter().next();
                    let watch = |source| SandboxError::Watch { pid, source };
                    let identity = ProcessIdentity::of(pid).map_err(watch)?;
                    record.state = SandboxState::Running(identity);
                    self.write_record(record)?;
                    channel.send(&Go).await.map_err(SandboxError::Zygote)?;
                }
                Some((Report::Ready, descriptors)) => {
                    return Ports::new(descriptors).map_err(SandboxError::Ports);
                }
                Some((Report::Failed { reason }, _)) => return Err(failed(&reason)),
                None => return Err(failed("it ended without a reason")),
            }
        }
    }

    async fn end(&self, id: &SandboxId, grace: Duration) -> Result<SandboxRecord, SandboxError> {
        let mut record = self.record(id)?;
        let SandboxState::Running(identity) = &record.state else {
            return Ok(record);
        };
        let pid = identity.pid;
        let watch = |source| SandboxError::Watch { pid, source };
        if let Some(process) = identity.open().map_err(watch)? {
            if !grace.is_zero()
                && let Err(error) = self.ask_to_stop(id, grace).await
            {
                tracing::debug!(sandbox = %id, %error, "sandbox did not end by itself");
            }
            match pidfd_send_signal(&process, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(watch(error.into())),
            }
            if !ended(process).await.map_err(watch)? {
                return Err(SandboxError::Unkillable { pid });
            }
        }
        record.state = SandboxState::Stopped;
        self.write_record(&record)?;
        self.slots.free(record.slot);
        Ok(record)
    }

    async fn ask_to_stop(&self, id: &SandboxId, grace: Duration) -> Result<(), SandboxError> {
        Ok(channel::stop(self.connect(id).await?, grace).await?)
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
        Box::pin(self.start(spec))
    }

    fn adopt<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Adoption, SandboxError>> {
        Box::pin(async move {
            let identity = match self.record(id)?.state {
                SandboxState::Starting => return Ok(Adoption::Stale),
                SandboxState::Stopped => return Ok(Adoption::Gone),
                SandboxState::Running(identity) => identity,
            };
            let watch = |source| SandboxError::Watch {
                pid: identity.pid,
                source,
            };
            if boot_id().map_err(watch)? != identity.boot_id {
                return Ok(Adoption::Stale);
            }
            match identity.open().map_err(watch)? {
                Some(_) => Ok(Adoption::Alive(self.hold(id).await?)),
                None => Ok(Adoption::Gone),
            }
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
        Box::pin(async move { self.end(id, grace).await.map(drop) })
    }

    fn freeze<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<LayerId, SandboxError>> {
        Box::pin(async move {
            let record = match self.end(id, FREEZE_GRACE).await {
                Err(SandboxError::Unknown(id)) => {
                    return self.last_layer(&id).ok_or(SandboxError::Unknown(id));
                }
                ended => ended?,
            };
            let layer = LayerId::of(id, record.ordinal);
            let directory = self.state.sandbox(id);
            let meta = LayerMeta {
                id: layer.clone(),
                parents: record.layers,
            };
            let (layers, parts) = (self.layers.clone(), directory.clone());
            spawn_blocking(move || {
                let (upper, agent, system) = (parts.upper(), parts.agent(), parts.system());
                let parts = Parts {
                    fs: &upper,
                    agent: Some(&agent),
                    system: record.workshop.then_some(&system),
                };
                layers.commit(&meta, parts)
            })
            .await
            .map_err(|error| SandboxError::Prepare {
                path: directory.upper(),
                source: io::Error::other(error),
            })??;
            self.discard(&directory)?;
            Ok(layer)
        })
    }

    fn destroy<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            match self.end(id, Duration::ZERO).await {
                Ok(_) | Err(SandboxError::Unknown(_)) => self.discard(&self.state.sandbox(id)),
                Err(error) => Err(error),
            }
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

impl Namespaces {
    /// The newest layer that a sandbox became.
    fn last_layer(&self, id: &SandboxId) -> Option<LayerId> {
        (0..)
            .map(|ordinal| LayerId::of(id, ordinal))
            .take_while(|layer| self.layers.files(layer).is_some())
            .last()
    }
}

/// Waits until a killed process has ended, and with PID 1 all others of its namespace.
async fn ended(process: OwnedFd) -> io::Result<bool> {
    spawn_blocking(move || wait_for_end(&process, KILLED))
        .await
        .map_err(io::Error::other)?
}

fn failed(output: &str) -> SandboxError {
    SandboxError::Start {
        output: output.to_owned(),
    }
}

fn below(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}
