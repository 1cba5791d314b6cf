//! Replaces the home directory's overlay of a running sandbox, from outside.
//!
//! A copy of the zygote enters the sandbox's namespaces while its processes are stopped. The kernel
//! says whether anybody holds something in the home: only what nobody holds can be unmounted. A
//! second mount of the old overlay, in no place, keeps it from being written out meanwhile, and is
//! put back if the runner does not agree in the end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::stdio::dup2_stdout;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::birth::become_user;
use super::message::{self, Report, Swap, Verdict};
use super::mount::{put, take, take_alone};
use super::view;
use crate::sandbox::HOME;

/// What the zygote gives to the process that swaps.
pub(super) struct Entry {
    pub(super) swap: Swap,
    pub(super) runner: OwnedFd,
    pub(super) users: OwnedFd,
    pub(super) mounts: OwnedFd,
    /// The state directory's tree; none if this process may take it by itself.
    pub(super) state: Option<OwnedFd>,
}

enum Outcome {
    /// The old overlay, which can be put back.
    Swapped(OwnedFd),
    Busy,
}

pub(super) fn swap(entry: Entry) -> ExitCode {
    let runner = &entry.runner;
    let report = match replace(&entry) {
        Ok(Outcome::Swapped(old)) => {
            // Nobody is left to ask if this fails; the next runner finds the sandbox stopped.
            let _ = message::send(runner, &Report::Swapped, &[]);
            match message::receive::<Verdict>(runner) {
                Ok(Some((Verdict::Undo, _))) => match put_back(&old) {
                    Ok(()) => Report::Undone,
                    Err(error) => failed(&error),
                },
                // Letting the old overlay go writes out what is left of it, which may take long.
                _ => return ExitCode::SUCCESS,
            }
        }
        Ok(Outcome::Busy) => Report::Busy,
        Err(error) => failed(&error),
    };
    let _ = message::send(runner, &report, &[]);
    ExitCode::SUCCESS
}

fn failed(error: &io::Error) -> Report {
    Report::Failed {
        reason: error.to_string(),
    }
}

fn replace(entry: &Entry) -> io::Result<Outcome> {
    // The zygote's lock: this process is at no start, and may take long to end.
    dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    let kind = Some(LinkNameSpaceType::User);
    move_into_link_name_space(entry.users.as_fd(), kind)?;
    become_user(entry.swap.user).map_err(io::Error::other)?;
    let own;
    let state = match &entry.state {
        Some(state) => state,
        None => {
            own = take_state(&entry.swap.state)?;
            &own
        }
    };
    move_into_link_name_space(entry.mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;

    let home = Path::new(HOME);
    let old = take_alone(home)?;
    match unmount(home, UnmountFlags::empty()) {
        Ok(()) => {}
        Err(Errno::BUSY) => return Ok(Outcome::Busy),
        Err(error) => return Err(error.into()),
    }
    let mounted = put(state, home).and_then(|()| {
        let new = view::home(home, &entry.swap.home);
        unmount(home, UnmountFlags::DETACH)?;
        put(new?, home)
    });
    match mounted {
        Ok(()) => Ok(Outcome::Swapped(old)),
        Err(error) => {
            put(&old, home)?;
            Err(error)
        }
    }
}

fn put_back(old: &OwnedFd) -> io::Result<()> {
    unmount(HOME, UnmountFlags::DETACH)?;
    put(old, HOME)
}

/// Only who has rights over a namespace of mounts may copy from it, so there has to be one.
fn take_state(state: &Path) -> io::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "unsafe for what it could do to descriptors")]
    // SAFETY: descriptors stay shared; this is the only thread anyway.
    unsafe {
        unshare_unsafe(UnshareFlags::NEWNS)?;
    }
    take(state)
}
