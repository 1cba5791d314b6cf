//! Sandboxes: isolated process trees, each with a workspace of its own on shared layers.
//!
//! [`SandboxBackend`] is what a kind of isolation has to offer; [`namespaces`] is the first one.
//! A sandbox outlives the runner's process: what is on record is adopted again after a restart.
//! Everything that comes out of a sandbox is hostile, so every answer has a size limit, and every
//! wait a deadline.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::SandboxId;
use tokio::net::{TcpListener, UdpSocket, UnixStream};

use self::cgroup::{CgroupError, Stats};
use self::channel::ChannelError;
pub(crate) use self::identity::boot_id;
use self::limits::Limits;
use self::record::SandboxRecord;
use crate::init::wire::{ExecSpec, Exit, Signal, SpawnSpec, TerminalSpec};
use crate::layer::replica::ReplicaError;
use crate::layer::squash::SquashError;
use crate::layer::{LayerError, LayerId};

pub mod cgroup;
pub mod channel;
pub mod confinement;
mod descriptors;
pub(crate) mod directory;
pub mod disk;
pub mod doctor;
pub(crate) mod durable;
mod identity;
pub mod limits;
pub mod namespaces;
pub mod record;
mod socket;
mod state;
mod tool;
pub(crate) mod trash;

/// The home of the user that everything in a sandbox runs as.
pub const HOME: &str = "/home/agent";
/// What is the agent's own and not the workspace's; survives in layers, apart from the home.
pub const AGENT: &str = "/var/lib/agent";

#[derive(Debug, Clone)]
pub struct SandboxSpec {
    pub id: SandboxId,
    /// What the home directory is made of, lowest first.
    pub layers: Vec<LayerId>,
    /// Added to the environment of every program in the sandbox.
    pub env: BTreeMap<String, String>,
    /// System packages can be unpacked at `/opt/system`, which lies over `/usr` in sandboxes that
    /// start from what becomes of this one.
    pub workshop: bool,
    pub limits: Limits,
}

/// What goes on in a sandbox when everything else of it is ended.
#[derive(Debug, Clone)]
pub struct Stays {
    /// The program of the oldest that init itself has started from it.
    pub server: PathBuf,
    /// A session of processes, by its number inside.
    pub session: Option<i32>,
}

/// A running sandbox, as its owner holds it.
#[derive(Debug)]
pub struct Sandbox {
    pub id: SandboxId,
    pub ports: Ports,
}

/// The sandbox's ports that lead out: what connects to them inside arrives here, so who is calling
/// needs no proof. The sandbox holds them as well: what arrives while nobody accepts waits.
#[derive(Debug)]
pub struct Ports {
    /// 127.0.0.1:3129, the gateway.
    pub gateway: TcpListener,
    /// 127.0.0.1:53, where names are looked up.
    pub names: UdpSocket,
    /// Port 80 of every address.
    pub http: TcpListener,
    /// Port 443 of every address.
    pub https: TcpListener,
}

impl Ports {
    fn new(descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let [gateway, names, http, https] = <[OwnedFd; 4]>::try_from(descriptors)
            .map_err(|_| io::Error::other("the sandbox gave another number of ports"))?;
        let listener = |descriptor: OwnedFd| {
            let listener = std::net::TcpListener::from(descriptor);
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        let names = std::net::UdpSocket::from(names);
        names.set_nonblocking(true)?;
        Ok(Self {
            gateway: listener(gateway)?,
            names: UdpSocket::from_std(names)?,
            http: listener(http)?,
            https: listener(https)?,
        })
    }
}

#[derive(Debug)]
pub enum Adoption {
    Alive(Sandbox),
    /// It ran under this boot of the machine and has ended; what it wrote is there.
    Gone,
    /// It belongs to an earlier boot, or its start was never completed; what it wrote is there.
    Stale,
}

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("sandbox {0} exists already")]
    Exists(SandboxId),
    #[error("there is no sandbox {0}")]
    Unknown(SandboxId),
    #[error("there is no layer {0}")]
    UnknownLayer(LayerId),
    #[error("failed to prepare the directory {path}")]
    Prepare {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to read the record {path}")]
    ReadRecord {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to write the record {path}")]
    WriteRecord {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to take the sandbox's ports")]
    Ports(#[source] io::Error),
    #[error("failed to talk to the zygote")]
    Zygote(#[source] io::Error),
    #[error("the sandbox did not start: {output}")]
    Start { output: String },
    #[error("failed to watch process {pid}")]
    Watch {
        pid: i32,
        #[source]
        source: io::Error,
    },
    #[error("process {pid} was killed but has not ended")]
    Unkillable { pid: i32 },
    #[error(transparent)]
    Group(#[from] CgroupError),
    #[error("sandbox {0} does not run")]
    NotRunning(SandboxId),
    #[error("sandbox {id} is at work: {holder} holds its home directory")]
    Busy { id: SandboxId, holder: String },
    #[error("the home directory could not be copied")]
    Copy(#[source] ReplicaError),
    #[error("the home directory could not be replaced: {0}")]
    Swap(String),
    #[error("work on a sandbox was interrupted")]
    Interrupted(#[source] io::Error),
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error(transparent)]
    Layer(#[from] LayerError),
    #[error("failed to join the sandbox's layers")]
    Join(#[from] SquashError),
    #[error("failed to move {path} to the trash")]
    Discard {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A kind of isolation. Every operation may be repeated: what is done already stays done.
pub trait SandboxBackend: Send + Sync {
    /// Starts a sandbox; it can be reached when this returns.
    fn create<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Sandbox, SandboxError>>;

    /// Takes over a sandbox that an earlier process of the runner started.
    fn adopt<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Adoption, SandboxError>>;

    /// Opens a connection to the sandbox's init.
    fn connect<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<UnixStream, SandboxError>>;

    /// Asks the programs to end, and ends every process when they have or the grace has passed.
    fn stop<'a>(
        &'a self,
        id: &'a SandboxId,
        grace: Duration,
    ) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// Ends every program but those that stay, and what these were about to start.
    fn clear<'a>(
        &'a self,
        id: &'a SandboxId,
        stays: &'a Stays,
    ) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// Stops the sandbox and turns what it wrote into a layer; the sandbox is gone afterwards.
    fn freeze<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<LayerId, SandboxError>>;

    /// Turns what the sandbox wrote so far into a layer while it runs; it is stopped for some
    /// milliseconds, however much that is. While a program holds something in the home directory, what
    /// changed since the last time is copied instead, in bounded time; [`SandboxError::Busy`] says that
    /// there was too much of it.
    fn snapshot<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<LayerId, SandboxError>>;

    /// Opens the directories that its home is made of, topmost first.
    fn files<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Vec<OwnedFd>, SandboxError>>;

    /// Stops the sandbox and removes all it wrote.
    fn destroy<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// What it uses; what this machine does not count is not there.
    fn stats<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Stats, SandboxError>>;

    /// Every sandbox on record, running or not.
    fn list(&self) -> BoxFuture<'_, Result<Vec<SandboxRecord>, SandboxError>>;

    /// Starts a program whose output is streamed; dropping the result ends it.
    fn exec<'a>(
        &'a self,
        id: &'a SandboxId,
        spec: &'a ExecSpec,
    ) -> BoxFuture<'a, Result<channel::Exec, SandboxError>> {
        Box::pin(async move { Ok(channel::exec(self.connect(id).await?, spec).await?) })
    }

    /// Starts a program on a terminal; dropping the result hangs it up.
    fn terminal<'a>(
        &'a self,
        id: &'a SandboxId,
        spec: &'a TerminalSpec,
    ) -> BoxFuture<'a, Result<channel::Terminal, SandboxError>> {
        Box::pin(async move { Ok(channel::terminal(self.connect(id).await?, spec).await?) })
    }

    /// Connects to a port on the sandbox's loopback.
    fn dial<'a>(
        &'a self,
        id: &'a SandboxId,
        port: u16,
    ) -> BoxFuture<'a, Result<UnixStream, SandboxError>> {
        Box::pin(async move { Ok(channel::dial(self.connect(id).await?, port).await?) })
    }

    /// Starts a program that runs until it ends or the sandbox does.
    fn spawn<'a>(
        &'a self,
        id: &'a SandboxId,
        spec: &'a SpawnSpec,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { Ok(channel::spawn(self.connect(id).await?, spec).await?) })
    }

    /// Waits until a spawned program has ended, however long it takes; fails when the sandbox ends.
    fn wait<'a>(
        &'a self,
        id: &'a SandboxId,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Exit, SandboxError>> {
        Box::pin(async move { Ok(channel::wait(self.connect(id).await?, name).await?) })
    }

    /// Signals a spawned program and its process group.
    fn signal<'a>(
        &'a self,
        id: &'a SandboxId,
        name: &'a str,
        signal: Signal,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { Ok(channel::signal(self.connect(id).await?, name, signal).await?) })
    }
}
