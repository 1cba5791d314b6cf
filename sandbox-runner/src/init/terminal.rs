//! A program on a terminal of its own, for the runner.
//!
//! It leads a session, so what it starts in the foreground is what keys interrupt. When the connection
//! ends it is told that its terminal has hung up, and ended if that does not end it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::reaper::Reaper;
use super::wire::{
    Exit, HEADER_LENGTH, Kind, MAX_INPUT, MAX_OUTPUT, TerminalSpec, Window, decode_header, encode,
};
use super::{background, command};

/// How long the last output is waited for: a program in the background may hold the terminal open.
const DRAIN: Duration = Duration::from_millis(500);
/// How long a program gets to end when its terminal has hung up.
const GRACE: Duration = Duration::from_secs(1);

enum Event {
    Ended(Exit),
    Drained,
    Disconnected,
}

/// Answers with the program's number, then with its output and its exit.
pub(super) fn run(reaper: &Reaper, stream: &UnixStream, spec: &TerminalSpec) -> io::Result<()> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    unlockpt(&master)?;
    resize(&master, spec.window)?;
    let inside = ioctl_tiocgptpeer(&master, flags)?;
    let mut command = command(&spec.argv, &spec.env, spec.cwd.as_deref())?;
    command
        .stdin(Stdio::from(inside.try_clone()?))
        .stdout(Stdio::from(inside.try_clone()?))
        .stderr(Stdio::from(inside));
    lead_session(&mut command);
    let (events, received) = mpsc::channel();
    let ended = events.clone();
    let (pid, _) = reaper.spawn_leader(&mut command, move |exit| {
        let _ = ended.send(Event::Ended(exit));
    })?;
    // It holds the terminal's inner side, whose end is to be seen.
    drop(command);

    let master = File::from(master);
    let started = (|| {
        let writer = Arc::new(Mutex::new(stream.try_clone()?));
        let number = pid.as_raw_nonzero().to_string();
        lock(&writer).write_all(&encode(Kind::Done, number.as_bytes()))?;
        pump(master.try_clone()?, &writer, &events)?;
        follow(stream.try_clone()?, master, events)?;
        Ok(writer)
    })();
    let writer = started.inspect_err(|_: &io::Error| reaper.signal(pid, Signal::KILL))?;
    if let Some(exit) = supervise(reaper, pid, &received) {
        let payload = serde_json::to_vec(&exit)?;
        lock(&writer).write_all(&encode(Kind::Exit, &payload))?;
    }
    // Wakes the thread that follows the connection.
    let _ = stream.shutdown(Shutdown::Both);
    Ok(())
}

#[expect(
    unsafe_code,
    reason = "there is no safe way to act between fork and exec"
)]
fn lead_session(command: &mut Command) {
    let lead = || {
        setsid()?;
        ioctl_tiocsctty(rustix::stdio::stdin())?;
        Ok(())
    };
    // SAFETY: both are system calls without memory of their own, which may follow a fork.
    unsafe {
        command.pre_exec(lead);
    }
}

/// Waits for the end; nothing when the runner has gone.
fn supervise(reaper: &Reaper, pid: Pid, events: &Receiver<Event>) -> Option<Exit> {
    let mut exit = None;
    let mut drained = false;
    loop {
        let event = match exit {
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => events.recv_timeout(DRAIN),
        };
        match event {
            Ok(Event::Ended(ended)) => exit = Some(ended),
            Ok(Event::Drained) => drained = true,
            Err(RecvTimeoutError::Timeout) => return exit,
            Ok(Event::Disconnected) | Err(RecvTimeoutError::Disconnected) => {
                if exit.is_none() {
                    hang_up(reaper, pid, events);
                }
                return None;
            }
        }
        if exit.is_some() && drained {
            return exit;
        }
    }
}

fn hang_up(reaper: &Reaper, pid: Pid, events: &Receiver<Event>) {
    for signal in [Signal::HUP, Signal::CONT] {
        reaper.signal(pid, signal);
    }
    loop {
        match events.recv_timeout(GRACE) {
            Ok(Event::Ended(_)) => return,
            Ok(_) => {}
            Err(_) => return reaper.signal(pid, Signal::KILL),
        }
    }
}

/// Tells what is printed.
fn pump(
    mut master: File,
    writer: &Arc<Mutex<UnixStream>>,
    events: &Sender<Event>,
) -> io::Result<()> {
    let (writer, events) = (Arc::clone(writer), events.clone());
    background(move || {
        let mut buffer = vec![0; MAX_OUTPUT];
        loop {
            match master.read(&mut buffer) {
                Ok(length @ 1..) => {
                    let frame = encode(Kind::Stdout, buffer.get(..length).unwrap_or_default());
                    if lock(&writer).write_all(&frame).is_err() {
                        let _ = events.send(Event::Disconnected);
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nobody has the inner side any more.
                _ => break,
            }
        }
        let _ = events.send(Event::Drained);
    })
}

/// Does what the runner says until it says no more.
fn follow(mut stream: UnixStream, mut master: File, events: Sender<Event>) -> io::Result<()> {
    background(move || {
        while let Ok((kind, payload)) = receive(&mut stream) {
            let done = match kind {
                Kind::Input => master.write_all(&payload),
                Kind::Window => match Window::decode(&payload) {
                    Some(window) => resize(&master, window),
                    None => break,
                },
                _ => break,
            };
            if done.is_err() {
                break;
            }
        }
        let _ = events.send(Event::Disconnected);
    })
}

fn receive(stream: &mut UnixStream) -> io::Result<(Kind, Vec<u8>)> {
    let mut header = [0; HEADER_LENGTH];
    stream.read_exact(&mut header)?;
    let (kind, length) = decode_header(header, MAX_INPUT).map_err(io::Error::other)?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok((kind, payload))
}

fn resize(master: impl AsFd, window: Window) -> io::Result<()> {
    let size = Winsize {
        ws_row: window.rows,
        ws_col: window.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(master, size)?)
}

fn lock(writer: &Mutex<UnixStream>) -> std::sync::MutexGuard<'_, UnixStream> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}
