//! PID 1 of a sandbox.
//!
//! It collects orphans, holds the ports that lead out for a runner that comes anew, and does what
//! the runner asks through `init.sock`, which is not to be seen from inside. It is synchronous and
//! small, since every sandbox carries one. It holds nothing that the programs beside it may not
//! have: they run as the same user, so what it tells the runner is as trustworthy as they are.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use self::reaper::Reaper;
use self::service::Services;
use self::splice::splice;
use self::wire::{HEADER_LENGTH, Kind, MAX_REQUEST, Request, decode_header, encode};
use crate::sandbox::HOME;
use crate::sandbox::namespaces::OpenPorts;

mod exec;
mod pause;
mod reaper;
mod service;
mod splice;
mod terminal;
pub mod wire;

/// Threads copy bytes and wait; the default of 2 MiB is for deeper work.
const STACK: usize = 128 << 10;
/// How long to leave a listener alone that cannot accept because the sandbox is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What init holds for the runner.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) ports: OpenPorts,
    pub(crate) namespaces: OwnNamespaces,
}

/// By which the runner enters; a runner that is not root could not open them from outside.
#[derive(Debug)]
pub(crate) struct OwnNamespaces {
    users: File,
    mounts: File,
}

impl OwnNamespaces {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            users: File::open("/proc/self/ns/user")?,
            mounts: File::open("/proc/self/ns/mnt")?,
        })
    }
}

/// Serves until it is killed; returns only when there can be no thread.
pub(crate) fn serve(listener: &UnixListener, held: Held) -> ExitCode {
    let held = Arc::new(held);
    let reaper = Arc::new(Reaper::default());
    let services = Arc::new(Services::default());
    let collector = Arc::clone(&reaper);
    if background(move || collector.run()).is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                let (reaper, services) = (Arc::clone(&reaper), Arc::clone(&services));
                let held = Arc::clone(&held);
                // Without a thread the connection is dropped, which the runner sees.
                let _ = background(move || answer(stream, &reaper, &services, &held));
            }
            Err(_) => thread::sleep(ACCEPT_PAUSE),
        }
    }
}

fn answer(mut stream: UnixStream, reaper: &Reaper, services: &Arc<Services>, held: &Held) {
    let outcome = read_request(&mut stream)
        .and_then(|request| perform(request, &mut stream, reaper, services, held));
    if let Err(error) = outcome {
        let _ = stream.write_all(&encode(Kind::Failed, error.to_string().as_bytes()));
    }
}

fn read_request(stream: &mut UnixStream) -> io::Result<Request> {
    let mut header = [0; HEADER_LENGTH];
    stream.read_exact(&mut header)?;
    let (kind, length) = decode_header(header, MAX_REQUEST).map_err(io::Error::other)?;
    if kind != Kind::Request {
        return Err(io::Error::other("a connection begins with a request"));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok(serde_json::from_slice(&payload)?)
}

fn perform(
    request: Request,
    stream: &mut UnixStream,
    reaper: &Reaper,
    services: &Arc<Services>,
    held: &Held,
) -> io::Result<()> {
    match request {
        Request::Ports => give(stream, &held.ports.descriptors()),
        Request::Namespaces => {
            let namespaces = &held.namespaces;
            give(
                stream,
                &[namespaces.users.as_fd(), namespaces.mounts.as_fd()],
            )
        }
        Request::Pause => {
            pause::pause()?;
            stream.write_all(&encode(Kind::Done, b""))
        }
        Request::Resume => {
            pause::resume()?;
            stream.write_all(&encode(Kind::Done, b""))
        }
        Request::Dial { port } => {
            let port = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            port.set_nodelay(true)?;
            stream.write_all(&encode(Kind::Done, b""))?;
            splice(stream.try_clone()?, port)
        }
        Request::Terminal(spec) => terminal::run(reaper, stream, &spec),
        Request::Exec(spec) => exec::run(reaper, stream, &spec),
        Request::Spawn(spec) => {
            services.spawn(reaper, spec)?;
            stream.write_all(&encode(Kind::Done, b""))
        }
        Request::Wait { name } => {
            let exit = serde_json::to_vec(&services.wait(&name)?)?;
            stream.write_all(&encode(Kind::Exit, &exit))
        }
        Request::Signal { name, signal } => {
            services.signal(reaper, &name, signal)?;
            stream.write_all(&encode(Kind::Done, b""))
        }
        Request::Stop { grace_ms } => {
            reaper.stop(Duration::from_millis(grace_ms));
            stream.write_all(&encode(Kind::Done, b""))
        }
    }
}

/// Answers with descriptors.
fn give(stream: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    let answer = encode(Kind::Done, b"");
    // As short as it is, it is sent whole.
    sendmsg(
        stream,
        &[IoSlice::new(&answer)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// A program with init's own environment, overridden by `env`; begins in the home directory.
fn command(
    argv: &[String],
    env: &BTreeMap<String, String>,
    cwd: Option<&str>,
) -> io::Result<Command> {
    let [program, arguments @ ..] = argv else {
        return Err(io::Error::other("no program was named"));
    };
    let mut command = Command::new(OsStr::new(program));
    command.args(arguments).envs(env);
    command.current_dir(cwd.unwrap_or(HOME));
    Ok(command)
}

fn background(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .stack_size(STACK)
        .spawn(work)
        .map(|_| ())
}
