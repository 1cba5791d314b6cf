//! The runner's side of the zygote.
//!
//! A zygote can outlive its runner by a moment, at work on an order that nobody waits for any more.
//! It and what it copies hold a lock until they are on record or have ended, and the next runner
//! waits for that: whoever finds a start that was not completed knows that nobody is at it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::message::{self, Order};

/// How long an earlier zygote may take to end. It has at most one start to give up.
const EARLIER: Duration = Duration::from_secs(10);
/// How often the lock is tried: a wait for one in the kernel has no end of its own.
const LOOK: Duration = Duration::from_millis(5);

/// Starts the zygote, and another one when it has ended.
#[derive(Debug)]
pub(super) struct Launcher {
    program: PathBuf,
    /// Locked, and handed on to each zygote.
    lock: File,
    zygote: Mutex<Zygote>,
}

#[derive(Debug)]
struct Zygote {
    orders: UnixStream,
    /// Collected by the runtime, whenever it ends.
    _process: Child,
}

/// Our end of what an order's answers come through.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

impl Launcher {
    /// Returns when what an earlier process started by this lock is on record or has ended. Needs a
    /// tokio runtime.
    pub(super) fn start(program: PathBuf, lock: &Path) -> io::Result<Self> {
        let lock = File::create(lock)?;
        let deadline = Instant::now() + EARLIER;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => {
                    std::thread::sleep(LOOK);
                }
                Err(Errno::WOULDBLOCK) => {
                    tracing::warn!("the zygote of an earlier runner does not end");
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let zygote = Mutex::new(Zygote::start(&program, &lock)?);
        Ok(Self {
            program,
            lock,
            zygote,
        })
    }

    /// Sends an order with the descriptors that go with it.
    pub(super) async fn order(
        &self,
        order: &Order,
        descriptors: &[OwnedFd],
    ) -> io::Result<Channel> {
        let (ours, theirs) = message::channel()?;
        let ours = Channel::new(ours)?;
        let all: Vec<_> = std::iter::once(&theirs)
            .chain(descriptors)
            .map(AsFd::as_fd)
            .collect();
        let mut zygote = self.zygote.lock().await;
        if zygote.send(order, &all).await.is_err() {
            tracing::warn!("the zygote has ended; starting another one");
            *zygote = Zygote::start(&self.program, &self.lock)?;
            zygote.send(order, &all).await?;
        }
        Ok(ours)
    }
}

impl Zygote {
    fn start(program: &Path, lock: &File) -> io::Result<Self> {
        let (ours, theirs) = message::channel()?;
        let process = Command::new(program)
            .arg0("sandbox-runner")
            .arg("zygote")
            .env_clear()
            .current_dir("/")
            // A terminal's signals are for the runner.
            .process_group(0)
            .stdin(theirs)
            // It says nothing there, and neither does what it copies.
            .stdout(lock.try_clone()?)
            .spawn()?;
        Ok(Self {
            orders: register(ours)?,
            _process: process,
        })
    }

    async fn send(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let send = || message::send(&self.orders, order, descriptors);
        self.orders.async_io(Interest::WRITABLE, send).await
    }
}

impl Channel {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self(register(socket)?))
    }

    pub(super) async fn send(
        &self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let send = || message::send(&self.0, message, descriptors);
        self.0.async_io(Interest::WRITABLE, send).await
    }

    /// Nothing when everybody at the other end has ended.
    pub(super) async fn receive<T: DeserializeOwned>(
        &self,
    ) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let receive = || message::receive(&self.0);
        match self.0.async_io(Interest::READABLE, receive).await {
            // The other end did not read all before it ended; what it said last comes after this.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => receive(),
            received => received,
        }
    }
}

/// The type is that of another kind of socket, but only its readiness is used.
fn register(socket: OwnedFd) -> io::Result<UnixStream> {
    let socket = StdUnixStream::from(socket);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}
