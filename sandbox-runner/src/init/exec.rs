//! Runs one program for the runner and streams what it prints.
//!
//! The program's process group ends with the program, with its deadline, or with the connection,
//! whichever is first; so nobody has to ask for its end.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::reaper::Reaper;
use super::wire::{ExecSpec, Exit, Kind, MAX_OUTPUT, encode};
use super::{STACK, command};

/// How long output is waited for after the program has ended: a process that left the group may
/// hold the pipe open for ever.
const DRAIN: Duration = Duration::from_secs(1);

enum Event {
    Ended(Exit),
    Drained,
    Disconnected,
}

/// Answers nothing itself when the program cannot be started: the caller reports the error.
pub(super) fn run(reaper: &Reaper, stream: &UnixStream, spec: &ExecSpec) -> io::Result<()> {
    let (events, received) = mpsc::channel();
    let mut command = command(&spec.argv, &spec.env, spec.cwd.as_deref())?;
    feed(&mut command, spec.stdin.is_some());
    let ended = events.clone();
    let (pid, mut child) = reaper.spawn(&mut command, move |exit| {
        let _ = ended.send(Event::Ended(exit));
    })?;

    let started = (|| {
        let writer = Arc::new(Mutex::new(stream.try_clone()?));
        if let (Some(mut stdin), Some(text)) = (child.stdin.take(), spec.stdin.clone()) {
            // A program need not read its input, so this must not hold up the rest.
            background(move || {
                let _ = stdin.write_all(text.as_bytes());
            })?;
        }
        if let Some(stdout) = child.stdout.take() {
            pump(stdout, Kind::Stdout, &writer, &events)?;
        }
        if let Some(stderr) = child.stderr.take() {
            pump(stderr, Kind::Stderr, &writer, &events)?;
        }
        watch(stream.try_clone()?, events)?;
        Ok(writer)
    })();
    let writer = started.inspect_err(|_: &io::Error| reaper.signal(pid, Signal::KILL))?;

    let timeout = Duration::from_millis(spec.timeout_ms);
    if let Some(exit) = supervise(&received, timeout, || reaper.signal(pid, Signal::KILL)) {
        let payload = serde_json::to_vec(&exit)?;
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(&encode(Kind::Exit, &payload))?;
    }
    // Wakes the thread that watches the connection.
    let _ = stream.shutdown(Shutdown::Both);
    Ok(())
}

fn feed(command: &mut Command, has_input: bool) {
    command
        .stdin(if has_input {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
}

/// Waits for the end; nothing when the runner has gone.
fn supervise(events: &Receiver<Event>, timeout: Duration, kill: impl Fn()) -> Option<Exit> {
    let mut deadline = Instant::now() + timeout;
    let mut exit = None;
    let mut timed_out = false;
    let mut open_pipes = 2;
    loop {
        if exit.is_some() && open_pipes == 0 {
            return exit;
        }
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::Ended(ended)) => {
                exit = Some(if timed_out { Exit::TimedOut } else { ended });
                deadline = Instant::now() + DRAIN;
            }
            Ok(Event::Drained) => open_pipes -= 1,
            Err(RecvTimeoutError::Timeout) if exit.is_none() && !timed_out => {
                timed_out = true;
                deadline = Instant::now() + DRAIN;
                kill();
            }
            Err(RecvTimeoutError::Timeout) => return exit.or(Some(Exit::TimedOut)),
            Ok(Event::Disconnected) | Err(RecvTimeoutError::Disconnected) => {
                kill();
                return None;
            }
        }
    }
}

fn pump(
    mut from: impl Read + Send + 'static,
    kind: Kind,
    writer: &Arc<Mutex<UnixStream>>,
    events: &Sender<Event>,
) -> io::Result<()> {
    let (writer, events) = (Arc::clone(writer), events.clone());
    background(move || {
        let mut buffer = vec![0; MAX_OUTPUT];
        while let Ok(length @ 1..) = read(&mut from, &mut buffer) {
            let frame = encode(kind, buffer.get(..length).unwrap_or_default());
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            if writer.write_all(&frame).is_err() {
                let _ = events.send(Event::Disconnected);
                return;
            }
        }
        let _ = events.send(Event::Drained);
    })
}

/// The runner sends nothing after its request, so a read returns when it has gone.
fn watch(mut stream: UnixStream, events: Sender<Event>) -> io::Result<()> {
    background(move || {
        let _ = read(&mut stream, &mut [0]);
        let _ = events.send(Event::Disconnected);
    })
}

/// Reads on after a signal. PID 1 takes none from inside, but whoever sends one while a program is
/// being started, which blocks signals for that moment, still interrupts what a thread waits for.
fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn background(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .stack_size(STACK)
        .spawn(work)
        .map(|_| ())
}
