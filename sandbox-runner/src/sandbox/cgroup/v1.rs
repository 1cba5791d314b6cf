//! Separate hierarchies (v1): a sandbox has one group in each.

use std::path::{Path, PathBuf};

use super::control::{Control, Directory};
use super::freezer::Freezer;
use super::hierarchy::Mounts;
use super::{CgroupError, Enforced, PARENT, Stats, file};
use crate::sandbox::limits::Limits;

/// The time over which processor time is counted: the kernel's default.
const PERIOD_MICROS: u64 = 100_000;
/// Buffers of TCP are no part of a sandbox's memory here, and the machine has one store of them for
/// all. A sandbox may have one part in so many of its memory, and at least what a test suite that
/// talks to its own servers takes.
const TCP_PART: u64 = 32;
const TCP_LEAST: u64 = 16 << 20;
/// The weight of all sandboxes together: that of sixteen processes outside.
const SHARES: u64 = 16 * 1024;

/// The parents of all groups of this runner.
#[derive(Debug, Clone)]
pub(super) struct Hierarchies {
    memory: Option<PathBuf>,
    processes: Option<PathBuf>,
    cpu: Option<PathBuf>,
    accounting: Option<PathBuf>,
    control: Parent,
}

#[derive(Debug, Clone)]
enum Parent {
    Unified(PathBuf),
    Freezer(PathBuf),
}

impl Hierarchies {
    /// Makes the parents; none if no limit can be set, or processes could not be frozen.
    pub fn prepare(mounts: &Mounts, owner: &str) -> Option<Self> {
        let parent = |mount: &PathBuf| {
            let parent = mount.join(PARENT).join(owner);
            std::fs::create_dir_all(&parent).ok().map(|()| parent)
        };
        let separate = |controller| mounts.separate.get(controller).and_then(parent);
        let unified = mounts.unified.as_ref().map(|unified| &unified.mount);
        // Before Linux 5.2 the unified hierarchy could not freeze.
        let unified = unified
            .and_then(parent)
            .filter(|parent| parent.join("cgroup.freeze").exists());
        let control = match unified {
            Some(unified) => Parent::Unified(unified),
            None => Parent::Freezer(separate("freezer")?),
        };
        let cpu = separate("cpu");
        if let Some(parent) = &cpu {
            // To the scheduler a group is one process, and all sandboxes together would get no
            // more than any single one of the machine. A limit that cannot be set is no limit.
            for path in [parent.as_path(), parent.parent().unwrap_or(parent)] {
                let _ = file::write(&path.join("cpu.shares"), SHARES);
            }
        }
        let hierarchies = Self {
            memory: separate("memory"),
            processes: separate("pids"),
            cpu,
            accounting: separate("cpuacct"),
            control,
        };
        (hierarchies.enforced().count() > 0).then_some(hierarchies)
    }

    pub fn enforced(&self) -> Enforced {
        Enforced {
            memory: self.memory.is_some(),
            processes: self.processes.is_some(),
            cpu: self.cpu.is_some(),
        }
    }

    /// Whether the unified hierarchy serves to freeze and to end.
    pub fn unified(&self) -> bool {
        matches!(self.control, Parent::Unified(_))
    }

    pub fn parents(&self) -> Vec<&Path> {
        let control = match &self.control {
            Parent::Unified(path) | Parent::Freezer(path) => path,
        };
        [&self.memory, &self.processes, &self.cpu, &self.accounting]
            .into_iter()
            .flatten()
            .chain([control])
            .map(PathBuf::as_path)
            .collect()
    }

    pub fn group(&self, name: &str) -> Group {
        let child = |parent: &Option<PathBuf>| parent.as_ref().map(|parent| parent.join(name));
        Group {
            memory: child(&self.memory),
            processes: child(&self.processes),
            cpu: child(&self.cpu),
            // The same directory where both are one hierarchy.
            accounting: child(&self.accounting),
            control: match &self.control {
                Parent::Unified(parent) => Control::Unified(Directory(parent.join(name))),
                Parent::Freezer(parent) => Control::Freezer(Freezer::new(parent.join(name))),
            },
        }
    }
}

#[derive(Debug)]
pub(super) struct Group {
    memory: Option<PathBuf>,
    processes: Option<PathBuf>,
    cpu: Option<PathBuf>,
    accounting: Option<PathBuf>,
    control: Control,
}

impl Group {
    pub fn create(&self, limits: &Limits) -> Result<(), CgroupError> {
        for directory in self.directories() {
            file::create(directory)?;
        }
        if let Some(memory) = &self.memory {
            limit_memory(memory, limits.memory_bytes)?;
        }
        if let Some(processes) = &self.processes {
            file::write(&processes.join("pids.max"), limits.processes)?;
        }
        if let Some(cpu) = &self.cpu {
            let quota = u64::from(limits.cpu_percent.max(1)) * PERIOD_MICROS / 100;
            file::write(&cpu.join("cpu.cfs_period_us"), PERIOD_MICROS)?;
            file::write(&cpu.join("cpu.cfs_quota_us"), quota)?;
        }
        Ok(())
    }

    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let number = |directory: &Option<PathBuf>, name: &str| match directory {
            Some(directory) => file::number(&directory.join(name)),
            None => Ok(None),
        };
        let keyed = |directory: &Option<PathBuf>, name: &str, key: &str| match directory {
            Some(directory) => file::keyed(&directory.join(name), key),
            None => Ok(None),
        };
        Ok(Stats {
            memory_bytes: number(&self.memory, "memory.usage_in_bytes")?,
            memory_peak_bytes: number(&self.memory, "memory.max_usage_in_bytes")?,
            cpu_micros: number(&self.accounting, "cpuacct.usage")?.map(|nanos| nanos / 1000),
            processes: number(&self.processes, "pids.current")?,
            out_of_memory_kills: keyed(&self.memory, "memory.oom_control", "oom_kill")?,
            process_limit_hits: keyed(&self.processes, "pids.events", "max")?,
            disk_excess: None,
        })
    }

    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Each once. The one that freezes is the last: while it is there, what is in the group can be
    /// ended.
    pub fn directories(&self) -> Vec<&Path> {
        let mut directories: Vec<&Path> = Vec::new();
        let separate = [&self.memory, &self.processes, &self.cpu, &self.accounting];
        for path in separate.into_iter().flatten() {
            if !directories.contains(&path.as_path()) {
                directories.push(path);
            }
        }
        directories.push(self.control.path());
        directories
    }
}

/// What is swapped out counts as well, so that swapping is no way round the limit. A kernel that
/// does not count it does not swap for this group.
fn limit_memory(directory: &Path, bytes: u64) -> Result<(), CgroupError> {
    file::write(&directory.join("memory.limit_in_bytes"), bytes)?;
    if !file::write_if_present(&directory.join("memory.memsw.limit_in_bytes"), bytes)? {
        file::write(&directory.join("memory.swappiness"), 0)?;
    }
    let buffers = (bytes / TCP_PART).max(TCP_LEAST);
    file::write_if_present(&directory.join("memory.kmem.tcp.limit_in_bytes"), buffers)?;
    Ok(())
}
