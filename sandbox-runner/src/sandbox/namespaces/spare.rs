//! Processes that have all of a sandbox but what makes it a certain one.
//!
//! Most of a start is the same for every sandbox: namespaces, a control group, a user, the view
//! without the sandbox's own files, the ports. A start makes that and says which sandbox it is, or
//! takes one that was made while nobody waited. There is no difference between the two but the time:
//! both come from [`Spares::make`], and each becomes one sandbox or ends.
//!
//! One is kept, made a little after the last start so that it takes no time from that one. It ends
//! with the runner, as it waits for it; its control group is swept by the next one, since no record
//! names it.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::launcher::{Channel, Launcher};
use super::message::{Ground, Order, Report};
use super::slot::{Slot, Slots};
use super::start::failed;
use crate::cause;
use crate::clock::random;
use crate::sandbox::SandboxError;
use crate::sandbox::cgroup::{Cgroup, Driver};
use crate::sandbox::identity::{ProcessIdentity, wait_for_end};
use crate::sandbox::limits::Limits;

/// How long nothing has to start before a spare one is made.
const QUIET: Duration = Duration::from_millis(50);
/// It takes some milliseconds; a machine that starts many at once may take seconds.
const BIRTH: Duration = Duration::from_secs(30);
/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(10);

/// Keeps one, until it is dropped.
#[derive(Debug)]
pub(super) struct Spares {
    shared: Arc<Shared>,
    used: Arc<Notify>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    launcher: Arc<Launcher>,
    groups: Driver,
    slots: Slots,
    /// Set if sandboxes run as other users than the runner.
    users: Option<u32>,
    ground: Ground,
    kept: Mutex<Option<Spare>>,
    /// What the last start asked for, as the next one most likely does.
    limits: Mutex<Limits>,
}

/// Ends when it is dropped, with its control group, unless it was given away.
#[derive(Debug)]
pub(super) struct Spare {
    channel: Channel,
    process: OwnedFd,
    identity: ProcessIdentity,
    slot: Option<Slot>,
    /// Its name and itself, if there are any.
    group: Option<(String, Cgroup)>,
    limits: Limits,
}

impl Spares {
    /// Needs a tokio runtime.
    pub(super) fn new(
        launcher: Arc<Launcher>,
        groups: Driver,
        slots: Slots,
        users: Option<u32>,
        ground: Ground,
    ) -> Self {
        let shared = Arc::new(Shared {
            launcher,
            groups,
            slots,
            users,
            ground,
            kept: Mutex::default(),
            limits: Mutex::default(),
        });
        let used = Arc::new(Notify::new());
        let task = tokio::spawn(keep(Arc::downgrade(&shared), Arc::clone(&used)));
        Self { shared, used, task }
    }

    /// The one that is kept if it fits, another one otherwise.
    pub(super) async fn take(&self, limits: &Limits) -> Result<Spare, SandboxError> {
        *lock(&self.shared.limits) = *limits;
        let kept = lock(&self.shared.kept).take();
        match kept {
            Some(spare) if spare.limits == *limits && spare.is_alive() => Ok(spare),
            misfit => {
                // Its end takes a moment, which nobody waits for.
                drop(misfit.map(|spare| spawn_blocking(move || drop(spare))));
                self.shared.make(limits).await
            }
        }
    }

    /// A start is over: now it may be time for another spare one.
    pub(super) fn replace(&self) {
        self.used.notify_one();
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.task.abort();
        drop(lock(&self.shared.kept).take());
    }
}

/// Holds nothing while it waits: the zygote ends when nobody has it any more.
async fn keep(shared: Weak<Shared>, used: Arc<Notify>) {
    loop {
        used.notified().await;
        while timeout(QUIET, used.notified()).await.is_ok() {}
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if lock(&shared.kept).is_some() {
            continue;
        }
        let limits = *lock(&shared.limits);
        match shared.make(&limits).await {
            Ok(spare) => *lock(&shared.kept) = Some(spare),
            // Whoever starts a sandbox will be told.
            Err(error) => tracing::debug!(
                error = cause::chain(&error),
                "no spare sandbox could be made"
            ),
        }
    }
}

impl Shared {
    async fn make(&self, limits: &Limits) -> Result<Spare, SandboxError> {
        let slot = self.slots.take();
        let name = format!("spare-{:032x}", u128::from_ne_bytes(random()));
        let group = Group(self.groups.create(&name, limits)?);
        let entrance = group.0.as_ref().map(Cgroup::entrance).transpose()?;
        let (directory, tasks) = entrance.map_or((None, Vec::new()), |entrance| {
            (entrance.directory, entrance.tasks)
        });
        let order = Order::Prepare(Ground {
            user: self.users.map(|first| first + slot.number()),
            unified: directory.is_some(),
            ..self.ground.clone()
        });
        let entrance: Vec<_> = directory.into_iter().chain(tasks).collect();
        let channel = self.launcher.order(&order, &entrance).await;
        let channel = channel.map_err(SandboxError::Zygote)?;
        let report = timeout(BIRTH, channel.receive()).await;
        let report = report.map_err(|_| failed("it was not born in time"))?;
        let (pid, process) = match report.map_err(SandboxError::Zygote)? {
            Some((Report::Born { pid }, descriptors)) => (pid, descriptors.into_iter().next()),
            Some((Report::Failed { reason }, _)) => return Err(failed(&reason)),
            Some((other, _)) => return Err(failed(&format!("it reported {other:?}"))),
            None => return Err(failed("it ended without a reason")),
        };
        let process = process.ok_or_else(|| failed("its process did not come along"))?;
        let identity = ProcessIdentity::of(pid);
        Ok(Spare {
            identity: identity.map_err(|source| SandboxError::Watch { pid, source })?,
            channel,
            process,
            slot: Some(slot),
            group: group.take().map(|group| (name, group)),
            limits: *limits,
        })
    }
}

impl Spare {
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    pub(super) fn slot(&self) -> u32 {
        self.slot.as_ref().map_or(0, Slot::number)
    }

    /// The name of its control group.
    pub(super) fn group(&self) -> Option<&str> {
        self.group.as_ref().map(|(name, _)| name.as_str())
    }

    /// It is a sandbox from now on, and lives for as long as that does.
    pub(super) fn give(mut self) {
        self.group = None;
        if let Some(slot) = self.slot.take() {
            slot.keep();
        }
    }

    fn is_alive(&self) -> bool {
        wait_for_end(&self.process, Duration::ZERO).is_ok_and(|ended| !ended)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if self.slot.is_none() {
            return;
        }
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
        match &self.group {
            Some((_, group)) => remove(group),
            None => drop(wait_for_end(&self.process, KILLED)),
        }
    }
}

/// Removed unless it is taken.
struct Group(Option<Cgroup>);

impl Group {
    fn take(mut self) -> Option<Cgroup> {
        self.0.take()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = &self.0 {
            remove(group);
        }
    }
}

fn remove(group: &Cgroup) {
    if let Err(error) = group.kill().and_then(|()| group.remove()) {
        tracing::debug!(%error, "a control group is left for the next sweep");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
