//! The process that sandboxes are copied from: `sandbox-runner zygote`.
//!
//! It has one thread, since the copy of a process with several would be missing all but one. It
//! knows no secret and has no environment, since every sandbox begins as a copy of its memory. It
//! has the runner's rights, obeys the orders that come through its standard input, and ends when
//! that does; sandboxes live on then.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Uid, WaitId, WaitIdOptions, getegid, geteuid, waitid};
use rustix::stdio::{dup2_stdin, stdin};
use rustix::thread::{CapabilitiesSecureBits, set_capabilities_secure_bits, set_thread_res_uid};

use super::birth::{Inheritance, be_born};
use super::clone::{Copy, SANDBOX, copy};
use super::message::{self, Ground, Order, Report, Swap};
use super::mount::{map_owners, take_alone};
use super::swap::{Entry, swap};
use crate::sandbox::cgroup::Entrance;
use crate::sandbox::confinement::{AGENT_ID, Profile};

struct Zygote {
    orders: OwnedFd,
    /// What has been copied and not yet collected.
    children: Vec<OwnedFd>,
    /// Compiled once for all.
    profile: Profile,
}

enum Role {
    Zygote,
    Sandbox(Box<Inheritance>),
    Swapper(Box<Entry>),
}

/// Returns when the runner has ended, and once in every copy that could not become a sandbox.
pub fn run() -> ExitCode {
    match Zygote::begin().and_then(Zygote::serve) {
        Ok(Role::Zygote) => ExitCode::SUCCESS,
        // Nothing that is the zygote's is left in the copy by now.
        Ok(Role::Sandbox(inherited)) => guarded(|| be_born(*inherited)),
        Ok(Role::Swapper(entry)) => guarded(|| swap(*entry)),
        Err(error) => {
            eprintln!("zygote: {error}");
            ExitCode::FAILURE
        }
    }
}

fn guarded(role: impl FnOnce() -> ExitCode) -> ExitCode {
    catch_unwind(AssertUnwindSafe(role)).unwrap_or(ExitCode::FAILURE)
}

impl Zygote {
    fn begin() -> io::Result<Self> {
        let orders = stdin().try_clone_to_owned()?;
        dup2_stdin(File::open("/dev/null")?)?;
        close_inherited(&orders)?;
        if geteuid().is_root() {
            // So that this process can make namespaces as another user, with its rights.
            set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
        }
        Ok(Self {
            orders,
            children: Vec::new(),
            profile: Profile::compile().map_err(io::Error::other)?,
        })
    }

    fn serve(mut self) -> io::Result<Role> {
        loop {
            if !self.wait()? {
                continue;
            }
            let Some((order, descriptors)) = message::receive(&self.orders)? else {
                return Ok(Role::Zygote);
            };
            match self.obey(order, descriptors) {
                Role::Zygote => {}
                copied => return Ok(copied),
            }
        }
    }

    /// Collects copies that have ended; tells whether there is an order.
    fn wait(&mut self) -> io::Result<bool> {
        let descriptors = std::iter::once(&self.orders).chain(&self.children);
        let mut polled: Vec<_> = descriptors
            .map(|descriptor| PollFd::new(descriptor, PollFlags::IN))
            .collect();
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = polled.iter().map(|polled| !polled.revents().is_empty());
        let ordered = ready.next().unwrap_or_default();
        let mut ended = ready.collect::<Vec<_>>().into_iter();
        self.children.retain(|child| {
            let ended = ended.next().unwrap_or_default();
            if ended {
                // It can only have been collected already.
                let _ = waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED);
            }
            !ended
        });
        Ok(ordered)
    }

    fn obey(&mut self, order: Order, descriptors: Vec<OwnedFd>) -> Role {
        let mut descriptors = descriptors.into_iter();
        let Some(channel) = descriptors.next() else {
            return Role::Zygote;
        };
        let obeyed = match order {
            Order::Prepare(ground) => self
                .prepare(ground, &channel, descriptors)
                .map(|copied| copied.map(Copied::Newborn)),
            Order::Swap(swap) => self
                .enter(swap, descriptors)
                .map(|copied| copied.map(Copied::Entry)),
        };
        match obeyed {
            Ok(None) => Role::Zygote,
            Ok(Some(Copied::Newborn(newborn))) => {
                Role::Sandbox(Box::new(newborn.with(self.profile.clone(), channel)))
            }
            Ok(Some(Copied::Entry(entry))) => Role::Swapper(Box::new(entry.with(channel))),
            Err(error) => {
                let reason = error.to_string();
                // The runner may have given up; then nobody wants to know.
                let _ = message::send(&channel, &Report::Failed { reason }, &[]);
                Role::Zygote
            }
        }
    }

    /// Returns something in the copy only.
    fn enter(
        &mut self,
        swap: Swap,
        mut namespaces: impl Iterator<Item = OwnedFd>,
    ) -> io::Result<Option<Entrant>> {
        let missing = || io::Error::other("the sandbox's namespaces are missing");
        let users = namespaces.next().ok_or_else(missing)?;
        let mounts = namespaces.next().ok_or_else(missing)?;
        let state = swap.user.map(|_| take_alone(&swap.state)).transpose();
        let state = state.map_err(during("take the state directory"))?;
        if let Some(state) = &state {
            map_owners(state.as_fd(), users.as_fd()).map_err(during("map owners of files"))?;
        }
        match copy(0, None)? {
            Copy::Parent { process, .. } => {
                self.children.push(process);
                Ok(None)
            }
            Copy::Child => Ok(Some(Entrant {
                swap,
                users,
                mounts,
                state,
            })),
        }
    }

    /// Returns something in the copy only.
    fn prepare(
        &mut self,
        ground: Ground,
        channel: &OwnedFd,
        mut groups: impl Iterator<Item = OwnedFd>,
    ) -> io::Result<Option<Newborn>> {
        let entrance = Entrance {
            directory: if ground.unified { groups.next() } else { None },
            tasks: groups.collect(),
        };
        let user = ground.user;
        // Only who is root on the host may show files as another's, and nobody else needs to: the
        // tree of another runner's own files is taken by the sandbox itself.
        let state = user.map(|_| take_alone(&ground.state)).transpose();
        let state = state.map_err(during("take the state directory"))?;
        let (mapped, map) = pipe_with(PipeFlags::CLOEXEC)?;
        let group = entrance.directory.as_ref().map(OwnedFd::as_fd);
        let copied = copy_for(user, group).map_err(during("make namespaces"))?;
        let (pid, process) = match copied {
            Copy::Parent { pid, process } => (pid, process),
            Copy::Child => {
                return Ok(Some(Newborn {
                    ground,
                    entrance,
                    state,
                    mapped,
                }));
            }
        };
        self.children.push(process.try_clone()?);
        map_users(pid, user).map_err(during("map the user"))?;
        if let Some(state) = &state {
            let users = File::open(format!("/proc/{pid}/ns/user"))?;
            map_owners(state.as_fd(), users.as_fd()).map_err(during("map owners of files"))?;
        }
        message::send(channel, &Report::Born { pid }, &[process.as_fd()])?;
        rustix::io::write(&map, &[1])?;
        Ok(None)
    }
}

/// What only the copy has.
enum Copied {
    Newborn(Newborn),
    Entry(Entrant),
}

struct Entrant {
    swap: Swap,
    users: OwnedFd,
    mounts: OwnedFd,
    state: Option<OwnedFd>,
}

impl Entrant {
    fn with(self, runner: OwnedFd) -> Entry {
        Entry {
            swap: self.swap,
            runner,
            users: self.users,
            mounts: self.mounts,
            state: self.state,
        }
    }
}

/// Copies this process into the namespaces of a sandbox, which belong to its own user.
///
/// The kernel counts some things (instances of inotify, pending signals) for whoever made the
/// namespace as well. Made by one user, all sandboxes would take them from each other.
fn copy_for(user: Option<u32>, group: Option<BorrowedFd<'_>>) -> io::Result<Copy> {
    let Some(user) = user else {
        return copy(SANDBOX, group);
    };
    let own = geteuid();
    set_thread_res_uid(own, Uid::from_raw(user), own)?;
    let copied = copy(SANDBOX, group);
    // The copy becomes user 1000 of its namespace in every respect.
    if !matches!(copied, Ok(Copy::Child)) {
        set_thread_res_uid(own, own, own)?;
    }
    copied
}

struct Newborn {
    ground: Ground,
    entrance: Entrance,
    state: Option<OwnedFd>,
    mapped: OwnedFd,
}

impl Newborn {
    fn with(self, profile: Profile, runner: OwnedFd) -> Inheritance {
        Inheritance {
            ground: self.ground,
            profile,
            entrance: self.entrance,
            runner,
            state: self.state,
            mapped: self.mapped,
        }
    }
}

fn during(step: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("failed to {step}: {error}"))
}

/// One user and one group, which are ours unless we are root.
fn map_users(pid: i32, user: Option<u32>) -> io::Result<()> {
    let process = Path::new("/proc").join(pid.to_string());
    let (user, group) = match user {
        Some(user) => (user, user),
        None => {
            // Without this, a group whose members are denied something could be left.
            fs::write(process.join("setgroups"), "deny")?;
            (geteuid().as_raw(), getegid().as_raw())
        }
    };
    fs::write(process.join("uid_map"), format!("{AGENT_ID} {user} 1"))?;
    fs::write(process.join("gid_map"), format!("{AGENT_ID} {group} 1"))
}

/// Whatever the runner was started with must not reach sandboxes.
fn close_inherited(keep: &OwnedFd) -> io::Result<()> {
    let mut descriptors = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<i32>().ok());
        descriptors.extend(number.filter(|number| *number > 2 && *number != keep.as_raw_fd()));
    }
    // The listing itself was one of them and is closed by now.
    descriptors.retain(|number| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok());
    for descriptor in descriptors {
        #[expect(
            unsafe_code,
            reason = "descriptors without an owner can only be closed by number"
        )]
        // SAFETY: this process has opened nothing yet apart from `keep` and the listing above, so
        // no owner of any of these numbers exists.
        unsafe {
            rustix::io::close(descriptor);
        }
    }
    Ok(())
}
