//! Starts init's children and collects every process that ends in the sandbox.
//!
//! One thread waits for all children, since a PID 1 inherits orphans that nobody else knows. It
//! must not collect a child that is still being started (the standard library waits for a child
//! whose `exec` failed), so starting and collecting exclude each other. A leader's end ends its
//! process group: what a request started does not outlive it.

use std::collections::HashMap;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process_group, wait, waitid,
};

use super::wire::Exit;

type OnExit = Box<dyn FnOnce(Exit) + Send>;

#[derive(Default)]
pub(super) struct Reaper {
    children: Mutex<Children>,
    /// The children became some, or none.
    changed: Condvar,
}

#[derive(Default)]
struct Children {
    running: HashMap<Pid, OnExit>,
    stopping: bool,
}

impl Reaper {
    /// Starts a program as the leader of its own process group.
    pub(super) fn spawn(
        &self,
        command: &mut Command,
        on_exit: impl FnOnce(Exit) + Send + 'static,
    ) -> io::Result<(Pid, Child)> {
        self.spawn_leader(command.process_group(0), on_exit)
    }

    /// Starts a program that makes itself the leader of a process group.
    pub(super) fn spawn_leader(
        &self,
        command: &mut Command,
        on_exit: impl FnOnce(Exit) + Send + 'static,
    ) -> io::Result<(Pid, Child)> {
        let mut children = self.lock();
        if children.stopping {
            return Err(io::Error::other("the sandbox is being stopped"));
        }
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        children.running.insert(pid, Box::new(on_exit));
        self.changed.notify_all();
        Ok((pid, child))
    }

    /// Signals a child's process group unless the child has already been collected.
    pub(super) fn signal(&self, pid: Pid, signal: Signal) {
        if self.lock().running.contains_key(&pid) {
            // The group can only be gone already, which is what was wanted.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Asks every child to end, and waits for them until the grace has passed.
    pub(super) fn stop(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        let mut children = self.lock();
        children.stopping = true;
        for pid in children.running.keys() {
            let _ = kill_process_group(*pid, Signal::TERM);
        }
        while !children.running.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            children = match self.changed.wait_timeout(children, left) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Collects processes for as long as the sandbox lives.
    pub(super) fn run(&self) {
        loop {
            match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Ok(_) => self.collect(),
                Err(Errno::CHILD) => self.await_children(),
                Err(_) => {}
            }
        }
    }

    fn collect(&self) {
        let mut children = self.lock();
        // Nothing is left when the child was one whose start failed.
        let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) else {
            return;
        };
        let Some(on_exit) = children.running.remove(&pid) else {
            return;
        };
        let _ = kill_process_group(pid, Signal::KILL);
        self.changed.notify_all();
        drop(children);
        on_exit(exit(status));
    }

    fn await_children(&self) {
        let mut children = self.lock();
        while children.running.is_empty() {
            children = self
                .changed
                .wait(children)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn exit(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(-1),
    }
}
