//! Stops every other process of the sandbox, where no control group can.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);

/// All have stopped when this returns.
pub(super) fn pause() -> io::Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        // Each time: a process that was just being made may have been missed.
        signal_all(libc::SIGSTOP)?;
        if all_stopped()? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            resume()?;
            return Err(io::Error::other("some processes do not stop"));
        }
        thread::sleep(PAUSE);
    }
}

pub(super) fn resume() -> io::Result<()> {
    signal_all(libc::SIGCONT)
}

fn all_stopped() -> io::Result<bool> {
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok());
        if number.is_none_or(|number| number == 1) {
            continue;
        }
        // One that has ended meanwhile has no file.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let state = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.trim_start().chars().next());
        // One that waits in the kernel, as the parent of a stopped `vfork` does, stops before it
        // goes on by itself.
        if state.is_some_and(|state| !matches!(state, 'T' | 't' | 'D' | 'Z' | 'X')) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Every process that this one can see, which is PID 1 of its namespace, but for itself.
fn signal_all(signal: libc::c_int) -> io::Result<()> {
    #[expect(unsafe_code, reason = "no library signals all processes")]
    // SAFETY: the call takes numbers only.
    let result = unsafe { libc::kill(-1, signal) };
    match result {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            // There is no other.
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            error => Err(error),
        },
    }
}
