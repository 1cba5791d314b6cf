//! Ends what a stopped turn left in a sandbox that goes on.
//!
//! All processes are stopped while they are looked at, so none can start another that is missed, and
//! what does not stay is killed where it stands. The server may have been about to start something
//! when it was told to stop, and does so as soon as it goes on; so it is looked again, once all its
//! threads have nothing more to do than wait. That takes some ten milliseconds where there is time
//! to spare, and as long as it has to on a busy machine.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::SandboxId;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::Namespaces;
use crate::sandbox::record::SandboxState;
use crate::sandbox::{SandboxError, Stays};

/// A stop has a second, of which the agent has some.
const LIMIT: Duration = Duration::from_millis(700);
/// How long all go on between two looks.
const PAUSE: Duration = Duration::from_millis(10);

impl Namespaces {
    /// The caller has the sandbox's turn.
    pub(super) async fn end_others(
        &self,
        id: &SandboxId,
        stays: &Stays,
    ) -> Result<(), SandboxError> {
        let SandboxState::Running(init) = self.record(id)?.state else {
            return Err(SandboxError::NotRunning(id.clone()));
        };
        let deadline = Instant::now() + LIMIT;
        let mut waited = false;
        loop {
            let Struck { killed, server } = self.look(id, init.pid, stays).await?;
            if (waited && !killed) || Instant::now() >= deadline {
                return Ok(());
            }
            sleep(PAUSE).await;
            waited = server.is_none_or(is_waiting);
        }
    }

    /// Stops all processes for as long as it takes.
    async fn look(&self, id: &SandboxId, init: i32, stays: &Stays) -> Result<Struck, SandboxError> {
        let stays = stays.clone();
        let Some(group) = self.groups.open(id.as_str())? else {
            self.pause(id).await?;
            let struck = strike(beside(init), init, &stays);
            self.resume(id).await?;
            return struck;
        };
        // To its end whatever becomes of the caller: nothing may stay frozen.
        let looked = spawn_blocking(move || {
            group.freeze()?;
            let struck = group.processes().map_err(SandboxError::from);
            let struck = struck.and_then(|found| strike(found, init, &stays));
            group.thaw()?;
            struck
        });
        let looked = looked.await;
        looked.map_err(|error| SandboxError::Interrupted(error.into()))?
    }
}

/// Kills what does not stay; all processes are stopped.
fn strike(found: Vec<i32>, init: i32, stays: &Stays) -> Result<Struck, SandboxError> {
    let found = found.into_iter().filter(|pid| *pid != init);
    let found: Vec<_> = found.filter_map(Process::read).collect();
    // A turn can start the server's program as well, but not before the server has.
    let server = found
        .iter()
        .filter(|process| process.parent == init && process.runs(&stays.server))
        .min_by_key(|process| process.start_time)
        .map(|process| process.pid);
    let mut killed = false;
    for process in found {
        let is_spared = stays.session.is_some() && process.session == stays.session;
        if is_spared || server == Some(process.pid) {
            continue;
        }
        let pid = process.pid;
        killed |= kill(pid).map_err(|source| SandboxError::Watch { pid, source })?;
    }
    Ok(Struck { killed, server })
}

struct Struck {
    killed: bool,
    server: Option<i32>,
}

/// As the host sees it.
struct Process {
    pid: i32,
    parent: i32,
    /// Its session of processes, by the number inside.
    session: Option<i32>,
    start_time: u64,
}

impl Process {
    /// Nothing of one that has ended.
    fn read(pid: i32) -> Option<Self> {
        let directory = Path::new("/proc").join(pid.to_string());
        let stat = fs::read_to_string(directory.join("stat")).ok()?;
        let (state, parent, start_time) = parse(&stat)?;
        if matches!(state, 'Z' | 'X') {
            return None;
        }
        let status = fs::read_to_string(directory.join("status")).ok()?;
        Some(Self {
            pid,
            parent,
            session: innermost_session(&status),
            start_time,
        })
    }

    fn runs(&self, program: &Path) -> bool {
        fs::read_link(format!("/proc/{}/exe", self.pid)).is_ok_and(|file| file == program)
    }
}

/// State, parent and start, which follow a name that may itself hold parentheses and blanks.
fn parse(stat: &str) -> Option<(char, i32, u64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let start_time = fields.nth(17)?.parse().ok()?;
    Some((state, parent, start_time))
}

/// The last number is that in the namespace of the process itself.
fn innermost_session(status: &str) -> Option<i32> {
    let sessions = status
        .lines()
        .find_map(|line| line.strip_prefix("NSsid:"))?;
    sessions.split_ascii_whitespace().next_back()?.parse().ok()
}

/// Whether none of its threads has anything to do at once; true of one that has ended.
fn is_waiting(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let mut threads = threads.into_iter().flatten().flatten();
    threads.all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        parse(&stat).is_none_or(|(state, _, _)| !matches!(state, 'R' | 'D'))
    })
}

/// Where no control group lists them: what is in the same namespace of processes.
fn beside(init: i32) -> Vec<i32> {
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace(init);
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| own.is_some() && namespace(*pid) == own)
        .collect()
}

/// Whether there was anything to kill.
fn kill(pid: i32) -> io::Result<bool> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    let killed = pidfd_open(pid, PidfdFlags::empty())
        .and_then(|process| pidfd_send_signal(&process, Signal::KILL));
    match killed {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_does_not_move_the_fields() {
        let fields = "S 42 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(
            parse(&format!("7 (a) R 9 (b ) {fields}")),
            Some(('S', 42, 4242))
        );
    }

    #[test]
    fn the_session_is_that_of_the_innermost_namespace() {
        assert_eq!(
            innermost_session("Name:\tsh\nNSsid:\t900\t31\t7\n"),
            Some(7)
        );
        assert_eq!(innermost_session("Name:\tsh\n"), None);
    }
}
