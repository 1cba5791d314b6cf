//! The runner's side of the conversation with a sandbox's init.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout, timeout_at};

use super::namespaces::receive_bytes;
use crate::init::wire::{
    ExecSpec, Exit, HEADER_LENGTH, Kind, MAX_INPUT, MAX_OUTPUT, Request, Signal, SpawnSpec,
    TerminalSpec, Window, WireError, decode_header, encode,
};

/// How long init may take for what takes it no time.
pub(super) const REPLY: Duration = Duration::from_secs(10);
/// The most that [`Exec::output`] keeps of each stream.
const MAX_COLLECTED: usize = 16 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("failed to reach the sandbox's init")]
    Connect(#[source] io::Error),
    #[error("failed to send the request to the sandbox's init")]
    Send(#[source] io::Error),
    #[error("the sandbox's init hung up")]
    Receive(#[source] io::Error),
    #[error("the sandbox's init answered against the protocol")]
    Protocol(#[source] WireError),
    #[error("the sandbox's init did not answer in time")]
    Deadline,
    #[error("the sandbox refused: {0}")]
    Refused(String),
    #[error("the sandbox's init gave an unexpected answer")]
    Unexpected,
}

/// A running program. Dropping it ends the program and its process group.
#[derive(Debug)]
pub struct Exec {
    stream: UnixStream,
    deadline: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecFrame {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Exit(Exit),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit: Exit,
    /// One of the streams was longer than what is kept.
    pub truncated: bool,
}

/// What a program on a terminal prints. Dropping both sides hangs it up.
#[derive(Debug)]
pub struct TerminalOutput(OwnedReadHalf);

/// What it is told.
#[derive(Debug)]
pub struct TerminalInput(OwnedWriteHalf);

/// The program's number in the sandbox, and both sides.
pub type Terminal = (i32, TerminalOutput, TerminalInput);

impl TerminalOutput {
    /// The next piece of output; the exit is the last frame. Not to be dropped before it returned.
    pub async fn next(&mut self) -> Result<ExecFrame, ChannelError> {
        let (kind, payload) = receive(&mut self.0).await?;
        match kind {
            Kind::Stdout => Ok(ExecFrame::Stdout(payload)),
            Kind::Exit => Ok(ExecFrame::Exit(parse_exit(&payload)?)),
            other => Err(refusal(other, &payload)),
        }
    }
}

impl TerminalInput {
    /// Types; waits while the program does not read.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        for piece in bytes.chunks(MAX_INPUT) {
            let frame = encode(Kind::Input, piece);
            self.0.write_all(&frame).await.map_err(ChannelError::Send)?;
        }
        Ok(())
    }

    pub async fn resize(&mut self, window: Window) -> Result<(), ChannelError> {
        let frame = encode(Kind::Window, &window.encode());
        self.0.write_all(&frame).await.map_err(ChannelError::Send)
    }
}

impl Exec {
    /// The next piece of output; the exit is the last frame. A call that is dropped before it
    /// returned may have read half a frame: use a task instead of a branch of `select!`.
    pub async fn next(&mut self) -> Result<ExecFrame, ChannelError> {
        let (kind, payload) = timeout_at(self.deadline, receive(&mut self.stream))
            .await
            .map_err(|_| ChannelError::Deadline)??;
        match kind {
            Kind::Stdout => Ok(ExecFrame::Stdout(payload)),
            Kind::Stderr => Ok(ExecFrame::Stderr(payload)),
            Kind::Exit => Ok(ExecFrame::Exit(parse_exit(&payload)?)),
            other => Err(refusal(other, &payload)),
        }
    }

    /// Waits for the end and keeps the output.
    pub async fn output(mut self) -> Result<ExecOutput, ChannelError> {
        let (mut stdout, mut stderr, mut truncated) = (Vec::new(), Vec::new(), false);
        loop {
            let (kept, bytes) = match self.next().await? {
                ExecFrame::Stdout(bytes) => (&mut stdout, bytes),
                ExecFrame::Stderr(bytes) => (&mut stderr, bytes),
                ExecFrame::Exit(exit) => {
                    return Ok(ExecOutput {
                        stdout,
                        stderr,
                        exit,
                        truncated,
                    });
                }
            };
            let room = MAX_COLLECTED.saturating_sub(kept.len());
            truncated |= bytes.len() > room;
            kept.extend(bytes.into_iter().take(room));
        }
    }
}

pub(super) async fn exec(mut stream: UnixStream, spec: &ExecSpec) -> Result<Exec, ChannelError> {
    send(&mut stream, &Request::Exec(spec.clone())).await?;
    let timeout = Duration::from_millis(spec.timeout_ms);
    Ok(Exec {
        stream,
        deadline: Instant::now() + timeout + REPLY,
    })
}

pub(super) async fn terminal(
    mut stream: UnixStream,
    spec: &TerminalSpec,
) -> Result<Terminal, ChannelError> {
    send(&mut stream, &Request::Terminal(spec.clone())).await?;
    let answer = timeout(REPLY, receive(&mut stream)).await;
    let number = match answer.map_err(|_| ChannelError::Deadline)?? {
        (Kind::Done, payload) => std::str::from_utf8(&payload)
            .ok()
            .and_then(|number| number.parse().ok())
            .ok_or(ChannelError::Unexpected)?,
        (other, payload) => return Err(refusal(other, &payload)),
    };
    let (output, input) = stream.into_split();
    Ok((number, TerminalOutput(output), TerminalInput(input)))
}

pub(super) async fn dial(mut stream: UnixStream, port: u16) -> Result<UnixStream, ChannelError> {
    send(&mut stream, &Request::Dial { port }).await?;
    done(&mut stream, REPLY).await?;
    Ok(stream)
}

/// The descriptors of the ports that lead out.
pub(super) async fn ports(stream: UnixStream) -> Result<Vec<OwnedFd>, ChannelError> {
    descriptors(stream, &Request::Ports).await
}

/// The descriptors of the namespaces of users and of mounts.
pub(super) async fn namespaces(stream: UnixStream) -> Result<Vec<OwnedFd>, ChannelError> {
    descriptors(stream, &Request::Namespaces).await
}

pub(super) async fn pause(mut stream: UnixStream) -> Result<(), ChannelError> {
    send(&mut stream, &Request::Pause).await?;
    done(&mut stream, REPLY).await
}

pub(super) async fn resume(mut stream: UnixStream) -> Result<(), ChannelError> {
    send(&mut stream, &Request::Resume).await?;
    done(&mut stream, REPLY).await
}

async fn descriptors(
    mut stream: UnixStream,
    request: &Request,
) -> Result<Vec<OwnedFd>, ChannelError> {
    send(&mut stream, request).await?;
    let mut header = [0; HEADER_LENGTH];
    // Descriptors come with the first byte of the answer, and a socket has room for all of it.
    let received = stream.async_io(Interest::READABLE, || receive_bytes(&stream, &mut header));
    let (length, descriptors) = timeout(REPLY, received)
        .await
        .map_err(|_| ChannelError::Deadline)?
        .map_err(ChannelError::Receive)?;
    match decode_header(header, MAX_OUTPUT).map_err(ChannelError::Protocol)? {
        (Kind::Done, 0) if length == HEADER_LENGTH => Ok(descriptors),
        _ => Err(ChannelError::Unexpected),
    }
}

pub(super) async fn spawn(mut stream: UnixStream, spec: &SpawnSpec) -> Result<(), ChannelError> {
    send(&mut stream, &Request::Spawn(spec.clone())).await?;
    done(&mut stream, REPLY).await
}

pub(super) async fn wait(mut stream: UnixStream, name: &str) -> Result<Exit, ChannelError> {
    send(
        &mut stream,
        &Request::Wait {
            name: name.to_owned(),
        },
    )
    .await?;
    match receive(&mut stream).await? {
        (Kind::Exit, payload) => parse_exit(&payload),
        (other, payload) => Err(refusal(other, &payload)),
    }
}

pub(super) async fn signal(
    mut stream: UnixStream,
    name: &str,
    signal: Signal,
) -> Result<(), ChannelError> {
    send(
        &mut stream,
        &Request::Signal {
            name: name.to_owned(),
            signal,
        },
    )
    .await?;
    done(&mut stream, REPLY).await
}

/// Returns when every program has ended, or with an error when the grace has passed.
pub(super) async fn stop(mut stream: UnixStream, grace: Duration) -> Result<(), ChannelError> {
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    send(&mut stream, &Request::Stop { grace_ms }).await?;
    done(&mut stream, grace).await
}

async fn send(stream: &mut UnixStream, request: &Request) -> Result<(), ChannelError> {
    let payload = serde_json::to_vec(request).map_err(|error| ChannelError::Send(error.into()))?;
    timeout(REPLY, stream.write_all(&encode(Kind::Request, &payload)))
        .await
        .map_err(|_| ChannelError::Deadline)?
        .map_err(ChannelError::Send)
}

async fn done(stream: &mut UnixStream, limit: Duration) -> Result<(), ChannelError> {
    match timeout(limit, receive(stream))
        .await
        .map_err(|_| ChannelError::Deadline)??
    {
        (Kind::Done, _) => Ok(()),
        (other, payload) => Err(refusal(other, &payload)),
    }
}

async fn receive(
    stream: &mut (impl AsyncReadExt + Unpin),
) -> Result<(Kind, Vec<u8>), ChannelError> {
    let mut header = [0; HEADER_LENGTH];
    stream
        .read_exact(&mut header)
        .await
        .map_err(ChannelError::Receive)?;
    let (kind, length) = decode_header(header, MAX_OUTPUT).map_err(ChannelError::Protocol)?;
    let mut payload = vec![0; length];
    stream
        .read_exact(&mut payload)
        .await
        .map_err(ChannelError::Receive)?;
    Ok((kind, payload))
}

fn parse_exit(payload: &[u8]) -> Result<Exit, ChannelError> {
    serde_json::from_slice(payload).map_err(|_| ChannelError::Unexpected)
}

fn refusal(kind: Kind, payload: &[u8]) -> ChannelError {
    match kind {
        Kind::Failed => ChannelError::Refused(String::from_utf8_lossy(payload).into_owned()),
        _ => ChannelError::Unexpected,
    }
}
