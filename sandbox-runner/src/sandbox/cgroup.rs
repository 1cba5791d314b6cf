//! Control groups: what the processes of one sandbox may use together, and the handle by which all
//! of them are frozen, counted and ended.
//!
//! A [`Driver`] is what the machine offers: the unified hierarchy (v2), the separate ones (v1), or
//! nothing. Groups are `hosted-agents/<runner>/<sandbox>`, where the runner stands for its state
//! directory, so a runner that was started again finds those of the one before and no others.
//!
//! Nothing here belongs to a process: dropping a [`Cgroup`] leaves the group as it is. All
//! operations block for as long as the kernel takes, below a millisecond except where a wait is
//! said to have a deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{Access, OFlags, access};

use self::control::Control;
use self::hierarchy::Mounts;
use super::disk::Excess;
use super::limits::Limits;

mod control;
mod file;
mod freezer;
mod hierarchy;
mod v1;
mod v2;

/// Where the groups of all runners of the machine are.
const PARENT: &str = "hosted-agents";
/// A process that waits for a disk cannot be stopped until it has been served.
const FREEZE: Duration = Duration::from_secs(5);
/// To end, a process gives back its memory; with some GiB of it that takes a second.
const KILL: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("{0:?} cannot be the name of a control group")]
    Name(String),
    #[error("failed to create the control group {path}")]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to open {path}")]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} has another form than expected")]
    Form { path: PathBuf },
    #[error("failed to write {value} to {path}")]
    Write {
        path: PathBuf,
        value: String,
        #[source]
        source: io::Error,
    },
    #[error("failed to wait for {path}")]
    Wait {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to end process {pid}")]
    End {
        pid: i32,
        #[source]
        source: io::Error,
    },
    #[error("the processes of {path} were told to stop but some have not")]
    Unfreezable { path: PathBuf },
    #[error("the processes of {path} were killed but some have not ended")]
    Unkillable { path: PathBuf },
    #[error("failed to remove the control group {path}")]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Which limits groups enforce here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Enforced {
    pub memory: bool,
    pub processes: bool,
    pub cpu: bool,
}

impl Enforced {
    pub fn all(self) -> bool {
        self.memory && self.processes && self.cpu
    }

    fn count(self) -> usize {
        [self.memory, self.processes, self.cpu]
            .into_iter()
            .filter(|enforced| *enforced)
            .count()
    }
}

/// What a group has used. What this machine does not count is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    pub memory_bytes: Option<u64>,
    pub memory_peak_bytes: Option<u64>,
    pub cpu_micros: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    pub out_of_memory_kills: Option<u64>,
    /// How often a process could not be started since there were too many.
    pub process_limit_hits: Option<u64>,
    /// Why the sandbox was ended, if it wrote too much. No group counts this.
    pub disk_excess: Option<Excess>,
}

/// How this machine groups processes.
#[derive(Debug, Clone)]
pub struct Driver {
    kind: Kind,
    /// What groups are called that go by another name, by that name.
    renamed: Arc<Mutex<BTreeMap<String, String>>>,
}

#[derive(Debug, Clone)]
enum Kind {
    Unified(v2::Tree),
    Separate(v1::Hierarchies),
    None,
}

impl Driver {
    /// Finds out what can be used for the runner with this state directory, and prepares it. Takes
    /// the kind that enforces more, the unified hierarchy if both are as good.
    ///
    /// A unified hierarchy that begins at the runner's own group, as a container's does, has to
    /// have no processes there: they are moved to a group beside those of the sandboxes.
    pub fn detect(state: &Path) -> Self {
        Self {
            kind: Kind::detect(state),
            renamed: Arc::default(),
        }
    }

    pub fn enforced(&self) -> Enforced {
        match &self.kind {
            Kind::Unified(tree) => tree.enforced(),
            Kind::Separate(hierarchies) => hierarchies.enforced(),
            Kind::None => Enforced::default(),
        }
    }

    /// A new, empty group with its limits set; none if this machine has no groups.
    pub fn create(&self, name: &str, limits: &Limits) -> Result<Option<Cgroup>, CgroupError> {
        let Some(group) = self.group(name)? else {
            return Ok(None);
        };
        let created = group.create(limits);
        if let Err(error) = created {
            // What was there before belongs to somebody.
            if !matches!(&error, CgroupError::Create { source, .. }
                if source.kind() == io::ErrorKind::AlreadyExists)
            {
                let _ = group.remove();
            }
            return Err(error);
        }
        Ok(Some(group))
    }

    /// A group that is there, perhaps made by an earlier process; none if it is not.
    pub fn open(&self, name: &str) -> Result<Option<Cgroup>, CgroupError> {
        let renamed = self.names().get(name).cloned();
        let group = self.group(renamed.as_deref().unwrap_or(name))?;
        Ok(group.filter(Cgroup::exists))
    }

    /// From now on, [`Driver::open`] finds the group by another name. The kernel has no part in
    /// it, as it cannot in the unified hierarchy; whoever comes after this process has to be told.
    pub fn rename(&self, group: &str, name: &str) {
        self.names().insert(name.to_owned(), group.to_owned());
    }

    /// Undoes [`Driver::rename`].
    pub fn forget(&self, name: &str) {
        self.names().remove(name);
    }

    pub fn is_renamed(&self, group: &str) -> bool {
        self.names().values().any(|renamed| renamed == group)
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.renamed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of all groups of this runner, also of those half made or half removed.
    pub fn list(&self) -> Result<Vec<String>, CgroupError> {
        let parents = match &self.kind {
            Kind::Unified(tree) => vec![tree.parent()],
            Kind::Separate(hierarchies) => hierarchies.parents(),
            Kind::None => Vec::new(),
        };
        let mut names = BTreeSet::new();
        for parent in parents {
            names.extend(file::directories(parent)?);
        }
        Ok(names.into_iter().collect())
    }

    fn group(&self, name: &str) -> Result<Option<Cgroup>, CgroupError> {
        let usable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        // Without a dot it can be neither a way up nor a file of the kernel.
        if name.is_empty() || name.len() > 128 || !name.bytes().all(usable) {
            return Err(CgroupError::Name(name.to_owned()));
        }
        Ok(match &self.kind {
            Kind::Unified(tree) => Some(Cgroup(Group::Unified(tree.group(name)))),
            Kind::Separate(hierarchies) => Some(Cgroup(Group::Separate(hierarchies.group(name)))),
            Kind::None => None,
        })
    }
}

impl Kind {
    fn detect(state: &Path) -> Self {
        let Ok(owner) = owner(state) else {
            return Self::None;
        };
        let mounts = Mounts::read();
        // There may be a directory of another user's runner, whose state directory has been removed
        // and had the same number.
        let separate = v1::Hierarchies::prepare(&mounts, &owner)
            .filter(|found| found.parents().into_iter().all(writable));
        let enforced = separate.as_ref().map(v1::Hierarchies::enforced);
        // Not looked at if it cannot be better: to look means to prepare.
        if enforced.is_none_or(|enforced| !enforced.all())
            && let Some(tree) = v2::Tree::prepare(&mounts, &owner)
            && writable(tree.parent())
            && tree.enforced().count() >= enforced.unwrap_or_default().count()
        {
            return Self::Unified(tree);
        }
        separate.map_or(Self::None, Self::Separate)
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.kind {
            Kind::Unified(_) => "cgroup v2",
            Kind::Separate(hierarchies) if hierarchies.unified() => "cgroup v1 with a v2 tree",
            Kind::Separate(_) => "cgroup v1",
            Kind::None => return formatter.write_str("no control groups"),
        };
        let Enforced {
            memory,
            processes,
            cpu,
        } = self.enforced();
        let limits: Vec<_> = [
            (memory, "memory"),
            (processes, "processes"),
            (cpu, "processor time"),
        ]
        .into_iter()
        .filter_map(|(enforced, name)| enforced.then_some(name))
        .collect();
        write!(formatter, "{name}, limits {}", limits.join(", "))
    }
}

/// The group of one sandbox.
#[derive(Debug)]
pub struct Cgroup(Group);

#[derive(Debug)]
enum Group {
    Unified(v2::Group),
    Separate(v1::Group),
}

impl Cgroup {
    /// Moves a process into the group; its later children are in it from their start. The kernel
    /// takes up to 20 ms for it, see [`Cgroup::entrance`].
    pub fn attach(&self, pid: i32) -> Result<(), CgroupError> {
        for directory in self.directories() {
            file::write(&directory.join("cgroup.procs"), pid)?;
        }
        Ok(())
    }

    /// What a process needs to be in the group from its start.
    pub fn entrance(&self) -> Result<Entrance, CgroupError> {
        let unified = self.control().directory();
        let tasks = self
            .directories()
            .into_iter()
            .filter(|directory| Some(*directory) != unified)
            .map(|directory| file::open(&directory.join("tasks"), OFlags::WRONLY))
            .collect::<Result<_, _>>()?;
        let directory = unified
            .map(|directory| file::open(directory, OFlags::PATH | OFlags::DIRECTORY))
            .transpose()?;
        Ok(Entrance { directory, tasks })
    }

    /// Stops all processes where they are; all of them have stopped when this returns. If some do
    /// not within five seconds, all go on.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        let frozen = self.control().freeze(FREEZE);
        if frozen.is_err() {
            let _ = self.thaw();
        }
        frozen
    }

    /// Lets all processes go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.control().thaw()
    }

    /// Ends all processes, frozen ones as well; the group is empty when this returns. Fails if it
    /// is not within ten seconds.
    pub fn kill(&self) -> Result<(), CgroupError> {
        self.control().kill(KILL)
    }

    /// The processes in it, by their numbers here.
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        self.control().processes()
    }

    pub fn stats(&self) -> Result<Stats, CgroupError> {
        match &self.0 {
            Group::Unified(group) => group.stats(),
            Group::Separate(group) => group.stats(),
        }
    }

    /// Removes the group, which has to be empty. One that is gone is not missed.
    pub fn remove(&self) -> Result<(), CgroupError> {
        for directory in self.directories() {
            file::remove(directory)?;
        }
        Ok(())
    }

    fn create(&self, limits: &Limits) -> Result<(), CgroupError> {
        match &self.0 {
            Group::Unified(group) => group.create(limits),
            Group::Separate(group) => group.create(limits),
        }
    }

    fn exists(&self) -> bool {
        self.directories()
            .iter()
            .any(|directory| directory.exists())
    }

    fn control(&self) -> &Control {
        match &self.0 {
            Group::Unified(group) => group.control(),
            Group::Separate(group) => group.control(),
        }
    }

    fn directories(&self) -> Vec<&Path> {
        match &self.0 {
            Group::Unified(group) => group.directories(),
            Group::Separate(group) => group.directories(),
        }
    }
}

/// The fast way into a group. To move another process, the kernel holds up every start and end of
/// a process on the machine, and waits until all processors have noticed; a process that is started
/// there, or has a single thread and moves itself, needs none of that.
#[derive(Debug)]
pub struct Entrance {
    /// For `CLONE_INTO_CGROUP`; none where there is no unified hierarchy.
    pub directory: Option<OwnedFd>,
    /// What the process writes to, see [`Entrance::enter`]; nothing but in separate hierarchies.
    pub tasks: Vec<OwnedFd>,
}

impl Entrance {
    /// Moves the calling process, which has a single thread and was started into the directory.
    /// Needs no right of its own and allocates nothing, so it can be the first thing that a child
    /// does.
    pub fn enter(&self) -> io::Result<()> {
        for tasks in &self.tasks {
            // Zero is the caller, also in another namespace of processes.
            rustix::io::write(tasks, b"0")?;
        }
        Ok(())
    }
}

fn writable(directory: &Path) -> bool {
    access(directory, Access::WRITE_OK).is_ok()
}

/// What the state directory is called among control groups. Its path is not enough: runners in
/// different mount namespaces may have the same.
fn owner(state: &Path) -> io::Result<String> {
    let metadata = state.metadata()?;
    Ok(format!("{:x}-{:x}", metadata.dev(), metadata.ino()))
}
