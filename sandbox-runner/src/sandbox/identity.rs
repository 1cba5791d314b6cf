//! Which process a number means: numbers are used again, a number with its start is not.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: i32,
    /// Clock ticks between the machine's boot and the start of the process.
    pub start_time: u64,
    pub boot_id: String,
}

impl ProcessIdentity {
    pub(super) fn of(pid: i32) -> io::Result<Self> {
        Ok(Self {
            pid,
            start_time: start_time(pid)?,
            boot_id: boot_id()?,
        })
    }

    /// A descriptor of this very process; none if it has ended.
    pub(super) fn open(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid.max(0)) else {
            return Ok(None);
        };
        let descriptor = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Read after the descriptor was opened: what it refers to cannot change any more.
        let same = start_time(self.pid).is_ok_and(|start_time| start_time == self.start_time);
        Ok(
            (same && boot_id()? == self.boot_id && !wait_for_end(&descriptor, Duration::ZERO)?)
                .then_some(descriptor),
        )
    }
}

/// Whether the process ends within the time; its descriptor becomes readable when it has.
pub(super) fn wait_for_end(process: &OwnedFd, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left)) {
            // The runner is told of the end of its own children by a signal.
            Err(Errno::INTR) => {}
            polled => return Ok(polled? > 0),
        }
    }
}

pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_time(&stat).ok_or_else(|| io::Error::other("/proc/<pid>/stat has another form"))
}

/// The name in parentheses may itself hold parentheses and blanks; the 20th field after it is meant.
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_hostile_process_name_does_not_move_the_start_time() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        let stat = format!("7 (a) R 9 (b ) {fields}");
        assert_eq!(parse_start_time(&stat), Some(4242));
    }

    #[test]
    fn a_process_that_took_over_the_number_is_not_the_one_meant() {
        let mut identity = ProcessIdentity::of(std::process::id().cast_signed()).unwrap();
        assert!(identity.open().unwrap().is_some());
        identity.start_time += 1;
        assert!(identity.open().unwrap().is_none());
    }

    #[test]
    fn a_process_that_has_ended_but_was_not_collected_counts_as_ended() {
        let mut child = Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let identity = ProcessIdentity::of(child.id().cast_signed()).unwrap();
        let descriptor = identity.open().unwrap().unwrap();
        drop(child.stdin.take());
        assert!(wait_for_end(&descriptor, Duration::from_secs(10)).unwrap());
        assert!(identity.open().unwrap().is_none());
        child.wait().unwrap();
    }
}
