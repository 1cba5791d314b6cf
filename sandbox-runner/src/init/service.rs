//! The long-running programs of a sandbox, each known by its name.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal as HostSignal};

use super::command;
use super::reaper::Reaper;
use super::wire::{Exit, Signal, SpawnSpec};

#[derive(Default)]
pub(super) struct Services {
    states: Mutex<HashMap<String, State>>,
    ended: Condvar,
}

#[derive(Clone, Copy)]
enum State {
    Running(Pid),
    Ended(Exit),
}

impl Services {
    /// A name whose program has ended may be used again.
    pub(super) fn spawn(self: &Arc<Self>, reaper: &Reaper, spec: SpawnSpec) -> io::Result<()> {
        let mut command = command(&spec.argv, &spec.env, spec.cwd.as_deref())?;
        command.stdin(Stdio::null());
        match &spec.log {
            Some(path) => {
                let log = File::options().create(true).append(true).open(path)?;
                command.stdout(log.try_clone()?).stderr(log);
            }
            None => {
                command.stdout(Stdio::null()).stderr(Stdio::null());
            }
        }
        // Held over the start, so that an early end finds the program registered.
        let mut states = self.lock();
        if let Some(State::Running(_)) = states.get(&spec.name) {
            return Err(io::Error::other(format!("{} runs already", spec.name)));
        }
        let (services, name) = (Arc::clone(self), spec.name.clone());
        let (pid, _) = reaper.spawn(&mut command, move |exit| {
            services.lock().insert(name, State::Ended(exit));
            services.ended.notify_all();
        })?;
        states.insert(spec.name, State::Running(pid));
        Ok(())
    }

    pub(super) fn wait(&self, name: &str) -> io::Result<Exit> {
        let mut states = self.lock();
        loop {
            match states.get(name) {
                None => return Err(unknown(name)),
                Some(State::Ended(exit)) => return Ok(*exit),
                Some(State::Running(_)) => {
                    states = self
                        .ended
                        .wait(states)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Nothing happens to a program that has ended.
    pub(super) fn signal(&self, reaper: &Reaper, name: &str, signal: Signal) -> io::Result<()> {
        let state = self.lock().get(name).copied();
        match state {
            None => Err(unknown(name)),
            Some(State::Ended(_)) => Ok(()),
            Some(State::Running(pid)) => {
                reaper.signal(
                    pid,
                    match signal {
                        Signal::Interrupt => HostSignal::INT,
                        Signal::Terminate => HostSignal::TERM,
                        Signal::Kill => HostSignal::KILL,
                    },
                );
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(name: &str) -> io::Error {
    io::Error::other(format!("no program named {name} was started"))
}
