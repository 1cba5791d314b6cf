//! From a copy of the zygote to PID 1 of a sandbox.
//!
//! The process begins with every right over its own namespaces and none outside. It builds what all
//! sandboxes see, opens the ports, and waits to be told which sandbox it is, at once or much later.
//! Then it adds that sandbox's files, gives its rights up and serves. Inside there is one user, 1000;
//! whatever belongs to another on the host, root included, belongs to nobody here. It writes
//! nothing that could outlive it before the runner has it on record, which it has when it says which
//! sandbox this is; the process ends if the runner does before.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior, setsid, umask};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::system::sethostname;
use rustix::thread::{
    UnshareFlags, set_name, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    unshare_unsafe,
};

use super::message::{self, Ground, Report, Start};
use super::network::OpenPorts;
use super::view::{self, ViewError};
use crate::init::{self, Held, OwnNamespaces};
use crate::sandbox::cgroup::Entrance;
use crate::sandbox::confinement::{AGENT_ID, ConfinementError, ProcessCount, Profile};

const HOST_NAME: &[u8] = b"sandbox";

#[derive(Debug, thiserror::Error)]
pub(super) enum BirthError {
    #[error("the zygote ended")]
    Orphaned,
    #[error("the runner went away before it had said which sandbox this is")]
    Abandoned(#[source] Option<io::Error>),
    #[error("failed to {step}")]
    Step {
        step: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Confinement(#[from] ConfinementError),
}

fn step<T>(step: &'static str, result: Result<T, impl Into<io::Error>>) -> Result<T, BirthError> {
    result.map_err(|source| BirthError::Step {
        step,
        source: source.into(),
    })
}

/// What the zygote gives to the new process.
pub(super) struct Inheritance {
    pub(super) ground: Ground,
    pub(super) profile: Profile,
    pub(super) entrance: Entrance,
    pub(super) runner: OwnedFd,
    /// The state directory's tree; none if this process may take it by itself.
    pub(super) state: Option<OwnedFd>,
    /// Holds a byte once the users are mapped.
    pub(super) mapped: OwnedFd,
}

/// Returns only when the start failed.
pub(super) fn be_born(inherited: Inheritance) -> ExitCode {
    let Inheritance {
        ground,
        profile,
        entrance,
        runner,
        state,
        mapped,
    } = inherited;
    let entered = step("enter the control group", entrance.enter());
    drop(entrance);
    let born = entered.and_then(|()| become_init(&ground, &profile, &runner, state, mapped));
    match born {
        Ok((control, held)) => {
            drop(runner);
            init::serve(&control, held)
        }
        Err(error) => {
            let mut reason = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                reason.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            let _ = message::send(&runner, &Report::Failed { reason }, &[]);
            ExitCode::FAILURE
        }
    }
}

fn become_init(
    ground: &Ground,
    profile: &Profile,
    runner: &OwnedFd,
    state: Option<OwnedFd>,
    mapped: OwnedFd,
) -> Result<(UnixListener, Held), BirthError> {
    let null = step("leave the runner's output", detach())?;
    step("begin a session", setsid())?;
    umask(Mode::WGRP | Mode::WOTH);
    let _ = set_name(c"init");
    match rustix::io::read(&mapped, &mut [0]) {
        Ok(1) => {}
        _ => return Err(BirthError::Orphaned),
    }
    drop(mapped);
    become_user(ground.user)?;

    let state = match state {
        Some(state) => state,
        None => step("take the state directory", view::take_state(&ground.state))?,
    };
    view::lay(ground, &state)?;
    drop(state);
    step("name the host", sethostname(HOST_NAME))?;
    let ports = step("open the ports", OpenPorts::open())?;
    let namespaces = step("open the namespaces", OwnNamespaces::open())?;
    step("hide the control groups of the host", leave_groups())?;

    let (start, control) = name(runner)?;
    // The zygote's lock: until here, the next runner would not know of this process.
    step("let go of the zygote's lock", dup2_stdout(&null))?;
    drop(null);
    view::complete(&start)?;
    set_environment(&start.env);
    confine(&start, profile)?;
    step(
        "report",
        message::send(runner, &Report::Ready, &ports.descriptors()),
    )?;
    Ok((control, Held { ports, namespaces }))
}

/// Which sandbox this is to be, with the socket on which the runner will ask for programs.
fn name(runner: &OwnedFd) -> Result<(Start, UnixListener), BirthError> {
    let named = message::receive::<Start>(runner);
    let (start, descriptors) = named
        .map_err(|error| BirthError::Abandoned(Some(error)))?
        .ok_or(BirthError::Abandoned(None))?;
    let control = descriptors.into_iter().next();
    let control = control.ok_or_else(|| io::Error::other("it did not come along"));
    Ok((start, step("take the socket", control)?.into()))
}

/// The runner's descriptors end in a process that may be restarted. The output is the zygote's lock,
/// and is left for later with what is returned.
fn detach() -> io::Result<fs::File> {
    let null = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stderr(&null)?;
    Ok(null)
}

/// Rights over the namespaces are kept: the user that is left is not the root of any.
pub(super) fn become_user(on_host: Option<u32>) -> Result<(), BirthError> {
    let (user, group) = (Uid::from_raw(AGENT_ID), Gid::from_raw(AGENT_ID));
    if on_host.is_some() {
        step("leave the runner's groups", set_thread_groups(&[]))?;
    }
    step("become the group", set_thread_res_gid(group, group, group))?;
    step("become the user", set_thread_res_uid(user, user, user))
}

fn set_environment(environment: &BTreeMap<String, String>) {
    for (name, value) in environment {
        #[expect(unsafe_code, reason = "programs inherit it the fastest way")]
        // SAFETY: this process has one thread.
        unsafe {
            std::env::set_var(name, value);
        }
    }
}

fn leave_groups() -> Result<(), Errno> {
    #[expect(unsafe_code, reason = "unsafe for what it could do to descriptors")]
    // SAFETY: descriptors stay shared; this is the only thread anyway.
    unsafe {
        unshare_unsafe(UnshareFlags::NEWCGROUP)
    }
}

fn confine(start: &Start, profile: &Profile) -> Result<(), BirthError> {
    // A program of the sandbox could otherwise take PID 1 over with a debugger.
    step(
        "hide from debuggers",
        set_dumpable_behavior(DumpableBehavior::NotDumpable),
    )?;
    let processes = if start.counted {
        ProcessCount::ControlGroup
    } else {
        ProcessCount::ResourceLimit
    };
    Ok(profile.apply(&start.limits, processes)?)
}
