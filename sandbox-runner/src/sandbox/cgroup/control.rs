//! The group as one handle on its processes: frozen, counted and ended.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::freezer::Freezer;
use super::{CgroupError, file};
use crate::sandbox::identity::wait_for_end;

/// For how long the kernel may keep a change of state to itself, if there was one just before.
const HELD_BACK: Duration = Duration::from_millis(20);
/// How often it is asked during that time.
const ASK: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) enum Control {
    /// A directory of the unified hierarchy, which need not have any controller for this.
    Unified(Directory),
    Freezer(Freezer),
}

impl Control {
    pub fn path(&self) -> &Path {
        match self {
            Self::Unified(directory) => &directory.0,
            Self::Freezer(freezer) => freezer.path(),
        }
    }

    /// The directory in the unified hierarchy, if this is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Unified(directory) => Some(&directory.0),
            Self::Freezer(_) => None,
        }
    }

    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        file::processes(&self.path().join("cgroup.procs"))
    }

    pub fn freeze(&self, limit: Duration) -> Result<(), CgroupError> {
        let frozen = match self {
            Self::Unified(directory) => {
                file::write(&directory.0.join("cgroup.freeze"), 1)?;
                directory.wait("frozen", "1", limit)?
            }
            Self::Freezer(freezer) => freezer.freeze(limit)?,
        };
        frozen
            .then_some(())
            .ok_or_else(|| CgroupError::Unfreezable {
                path: self.path().to_owned(),
            })
    }

    pub fn thaw(&self) -> Result<(), CgroupError> {
        match self {
            Self::Unified(directory) => file::write(&directory.0.join("cgroup.freeze"), 0),
            Self::Freezer(freezer) => freezer.thaw(),
        }
    }

    /// Whoever else removes the group meanwhile has done the same.
    pub fn kill(&self, limit: Duration) -> Result<(), CgroupError> {
        let killed = self.end(limit);
        if self.path().exists() { killed } else { Ok(()) }
    }

    fn end(&self, limit: Duration) -> Result<(), CgroupError> {
        let path = self.path();
        let ended = match self {
            Self::Unified(directory) if file::write_if_present(&path.join("cgroup.kill"), 1)? => {
                directory.wait("populated", "0", limit)?
            }
            // Before Linux 5.14.
            _ => self.kill_each(limit)?,
        };
        ended.then_some(()).ok_or_else(|| CgroupError::Unkillable {
            path: path.to_owned(),
        })
    }

    /// Ends one process after the other, as often as it takes: frozen, none of them can start one
    /// that is missed, but not all can be frozen in time if some wait for a disk.
    fn kill_each(&self, limit: Duration) -> Result<bool, CgroupError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Err(error) = self.freeze(limit / 10) {
                tracing::debug!(%error, "ending processes that may start others");
            }
            let mut killed = Vec::new();
            for pid in self.processes()? {
                killed.extend(kill(pid).map_err(|source| CgroupError::End { pid, source })?);
            }
            self.thaw()?;
            if killed.is_empty() {
                return Ok(true);
            }
            for process in killed {
                let left = deadline.saturating_duration_since(Instant::now());
                let ended = wait_for_end(&process, left).map_err(|source| CgroupError::Wait {
                    path: self.path().to_owned(),
                    source,
                })?;
                if !ended {
                    return Ok(false);
                }
            }
        }
    }
}

/// A killed process, to wait for; none if it had ended before. The number cannot have been used
/// again: it is in the list because its process, or what is left of that, has it.
fn kill(pid: i32) -> io::Result<Option<OwnedFd>> {
    // Zero stands for a process that this process cannot see.
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match pidfd_send_signal(&process, Signal::KILL) {
        Ok(()) => Ok(Some(process)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug)]
pub(super) struct Directory(pub PathBuf);

impl Directory {
    /// Waits until the kernel reports a state; whether it did in time. It tells of every change to
    /// whoever has read the state before, but of the second in ten milliseconds only after them.
    fn wait(&self, key: &str, value: &str, limit: Duration) -> Result<bool, CgroupError> {
        let path = self.0.join("cgroup.events");
        let deadline = Instant::now() + limit;
        let wait = || -> io::Result<bool> {
            let mut file = File::open(&path)?;
            let mut text = String::new();
            loop {
                text.clear();
                file.rewind()?;
                file.read_to_string(&mut text)?;
                if file::find(&text, key) == Some(value) {
                    return Ok(true);
                }
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(false);
                }
                let patience = if left + HELD_BACK > limit { ASK } else { left };
                let left = Timespec::try_from(patience.min(left)).map_err(io::Error::other)?;
                match poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&left)) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        };
        wait().map_err(|source| CgroupError::Wait {
            path: path.clone(),
            source,
        })
    }
}
