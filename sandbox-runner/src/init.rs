//! PID 1 of a sandbox: `sandbox-runner init`.
//!
//! It collects orphans, leads the port of the gateway out of the sandbox's network namespace, and
//! does what the runner asks through `init.sock`. It is synchronous and small, since every sandbox
//! carries one. It holds nothing that the programs beside it may not have: they run as the same
//! user, so what it tells the runner is as trustworthy as they are.
//!
//! The runner holds init's standard input while it records the start. Input that ends before one
//! byte came means that the runner died in between, and init ends with it: a sandbox that nobody
//! has on record cannot exist.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use self::reaper::Reaper;
use self::service::Services;
use self::splice::splice;
use self::wire::{
    GATEWAY_PORT, GATEWAY_SOCKET, HEADER_LENGTH, INIT_SOCKET, Kind, MAX_REQUEST, READY, Request,
    decode_header, encode,
};

mod exec;
mod reaper;
mod service;
mod splice;
pub mod wire;

/// Threads copy bytes and wait; the default of 2 MiB is for deeper work.
const STACK: usize = 128 << 10;
/// How long to leave a listener alone that cannot accept because the sandbox is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("failed to list the inherited descriptors")]
    Descriptors(#[source] io::Error),
    #[error("failed to hide from the sandbox's debuggers")]
    Dumpable(#[source] rustix::io::Errno),
    #[error("the workspace {path} cannot be written: its overlay was mounted read-only")]
    Workspace {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("failed to listen on port {GATEWAY_PORT}")]
    Gateway(#[source] io::Error),
    #[error("failed to listen on {INIT_SOCKET}")]
    Socket(#[source] io::Error),
    #[error("the runner went away before it had recorded the start")]
    Abandoned,
    #[error("failed to detach from the runner's pipes")]
    Detach(#[source] io::Error),
    #[error("failed to start a thread")]
    Thread(#[source] io::Error),
}

/// Serves until it is killed; returns only when the start failed.
pub fn run() -> ExitCode {
    match start() {
        Ok(listener) => serve(&listener),
        Err(error) => {
            let mut message = format!("init: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                message.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            let _ = writeln!(io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<UnixListener, InitError> {
    close_inherited().map_err(InitError::Descriptors)?;
    // A program of the sandbox could otherwise take over PID 1 with a debugger.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(InitError::Dumpable)?;
    assert_writable(&std::env::var("HOME").unwrap_or_default())?;
    let gateway =
        TcpListener::bind((Ipv4Addr::LOCALHOST, GATEWAY_PORT)).map_err(InitError::Gateway)?;
    let listener = bind(Path::new(INIT_SOCKET)).map_err(InitError::Socket)?;

    let _ = writeln!(io::stderr(), "{READY}");
    if io::stdin().read_exact(&mut [0]).is_err() {
        return Err(InitError::Abandoned);
    }
    detach().map_err(InitError::Detach)?;
    background(move || forward(&gateway)).map_err(InitError::Thread)?;
    Ok(listener)
}

/// Whatever the runner was started with must not reach the programs of the sandbox.
fn close_inherited() -> io::Result<()> {
    let mut descriptors = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<i32>().ok());
        descriptors.extend(number.filter(|number| *number > 2));
    }
    // The listing itself was one of them and is closed by now.
    descriptors.retain(|number| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok());
    for descriptor in descriptors {
        #[expect(
            unsafe_code,
            reason = "descriptors without an owner can only be closed by number"
        )]
        // SAFETY: this process has opened nothing yet apart from the listing above, so no owner of
        // any of these numbers exists.
        unsafe {
            rustix::io::close(descriptor);
        }
    }
    Ok(())
}

/// An overlay that cannot make its work directory falls back to read-only without an error.
fn assert_writable(home: &str) -> Result<(), InitError> {
    let probe = Path::new(home).join(".init-probe");
    fs::write(&probe, b"")
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|source| InitError::Workspace {
            path: home.to_owned(),
            source,
        })
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(path),
    }
}

/// The pipes end in a runner that may be restarted.
fn detach() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

fn serve(listener: &UnixListener) -> ExitCode {
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
                // Without a thread the connection is dropped, which the runner sees.
                let _ = background(move || answer(stream, &reaper, &services));
            }
            Err(_) => thread::sleep(ACCEPT_PAUSE),
        }
    }
}

/// Leads every connection to the gateway's port to the socket that the runner listens on. The
/// socket is looked up for each of them, so a restarted runner is found again.
fn forward(listener: &TcpListener) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                let _ = background(move || {
                    let _ = stream.set_nodelay(true);
                    if let Ok(gateway) = UnixStream::connect(GATEWAY_SOCKET) {
                        let _ = splice(stream, gateway);
                    }
                });
            }
            Err(_) => thread::sleep(ACCEPT_PAUSE),
        }
    }
}

fn answer(mut stream: UnixStream, reaper: &Reaper, services: &Arc<Services>) {
    let outcome = read_request(&mut stream)
        .and_then(|request| perform(request, &mut stream, reaper, services));
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
) -> io::Result<()> {
    match request {
        Request::Dial { port } => {
            let port = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            port.set_nodelay(true)?;
            stream.write_all(&encode(Kind::Done, b""))?;
            splice(stream.try_clone()?, port)
        }
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

/// A program with init's own environment, overridden by `env`.
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
    if let Some(directory) = cwd {
        command.current_dir(directory);
    }
    Ok(command)
}

fn background(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .stack_size(STACK)
        .spawn(work)
        .map(|_| ())
}
