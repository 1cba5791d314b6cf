//! The unified hierarchy (v2): a sandbox has one group, with every controller that was delegated.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::control::{Control, Directory};
use super::hierarchy::{Mounts, Unified};
use super::{CgroupError, Enforced, PARENT, Stats, file};
use crate::sandbox::limits::Limits;

/// The time over which processor time is counted: the kernel's default.
const PERIOD_MICROS: u64 = 100_000;
/// Where processes go that were where groups with controllers have to begin.
const RUNNER: &str = "hosted-agents-runner";
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The parent of all groups of this runner.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    parent: PathBuf,
    enforced: Enforced,
}

impl Tree {
    /// Makes the parent; none if no limit can be set.
    pub fn prepare(mounts: &Mounts, owner: &str) -> Option<Self> {
        let base = base(mounts.unified.as_ref()?);
        let parent = delegate(&base, owner, &CONTROLLERS).ok()?;
        let enabled = file::read(&parent.join("cgroup.subtree_control")).ok()?;
        let enabled = |name| enabled.split_whitespace().any(|enabled| enabled == name);
        let enforced = Enforced {
            memory: enabled("memory"),
            processes: enabled("pids"),
            cpu: enabled("cpu"),
        };
        (enforced.count() > 0).then_some(Self { parent, enforced })
    }

    pub fn enforced(&self) -> Enforced {
        self.enforced
    }

    pub fn parent(&self) -> &Path {
        &self.parent
    }

    pub fn group(&self, name: &str) -> Group {
        Group {
            enforced: self.enforced,
            control: Control::Unified(Directory(self.parent.join(name))),
        }
    }
}

/// Where groups may be made: in the runner's own group if that was delegated to it, which systemd
/// marks, and at the top otherwise, where only root can. Not beneath any other own group: a runner
/// that is started again from elsewhere would not find its sandboxes.
fn base(unified: &Unified) -> PathBuf {
    let own = unified.own.as_deref().unwrap_or(&unified.mount);
    // An earlier process has moved this one's ancestors.
    let own = match own.file_name() {
        Some(name) if name == RUNNER => own.parent().unwrap_or(own),
        _ => own,
    };
    match delegated(own) {
        true => own.to_owned(),
        false => unified.mount.clone(),
    }
}

fn delegated(group: &Path) -> bool {
    ["trusted.delegate", "user.delegate"]
        .into_iter()
        .any(|name| {
            let mut value = [0; 1];
            rustix::fs::getxattr(group, name, &mut value[..]).is_ok() && value == *b"1"
        })
}

/// Makes the parent beneath the base and hands down those controllers that the base has.
fn delegate(base: &Path, owner: &str, controllers: &[&str]) -> Result<PathBuf, CgroupError> {
    let all = base.join(PARENT);
    let parent = all.join(owner);
    fs::create_dir_all(&parent).map_err(|source| CgroupError::Create {
        path: parent.clone(),
        source,
    })?;
    let available = file::read(&base.join("cgroup.controllers"))?;
    for controller in available.split_whitespace() {
        if !controllers.contains(&controller) {
            continue;
        }
        // One that cannot be had does not cost the others.
        let handed = enable(base, controller)
            .and_then(|()| enable(&all, controller))
            .and_then(|()| enable(&parent, controller));
        if let Err(error) = handed {
            tracing::debug!(controller, %error, "a controller cannot be used");
        }
    }
    Ok(parent)
}

fn enable(group: &Path, controller: &str) -> Result<(), CgroupError> {
    let control = group.join("cgroup.subtree_control");
    match file::write(&control, format_args!("+{controller}")) {
        // Its own processes are in the way. Below the top of the hierarchy a group has either
        // processes or children with controllers.
        Err(CgroupError::Write { source, .. }) if source.kind() == io::ErrorKind::ResourceBusy => {
            move_processes(group)?;
            file::write(&control, format_args!("+{controller}"))
        }
        enabled => enabled,
    }
}

fn move_processes(group: &Path) -> Result<(), CgroupError> {
    let leaf = group.join(RUNNER);
    fs::create_dir_all(&leaf).map_err(|source| CgroupError::Create {
        path: leaf.clone(),
        source,
    })?;
    let leaf = leaf.join("cgroup.procs");
    for pid in file::processes(&group.join("cgroup.procs"))? {
        match file::write(&leaf, pid) {
            // It has ended meanwhile.
            Err(CgroupError::Write { source, .. })
                if source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
            moved => moved?,
        }
    }
    Ok(())
}

#[derive(Debug)]
pub(super) struct Group {
    enforced: Enforced,
    control: Control,
}

impl Group {
    pub fn create(&self, limits: &Limits) -> Result<(), CgroupError> {
        let directory = self.control.path();
        file::create(directory)?;
        self.limit(directory, limits)
    }

    fn limit(&self, directory: &Path, limits: &Limits) -> Result<(), CgroupError> {
        if self.enforced.memory {
            file::write(&directory.join("memory.max"), limits.memory_bytes)?;
            // Swap would be a way round. A kernel without the file does not swap for groups.
            file::write_if_present(&directory.join("memory.swap.max"), 0)?;
        }
        if self.enforced.processes {
            file::write(&directory.join("pids.max"), limits.processes)?;
        }
        if self.enforced.cpu {
            let quota = u64::from(limits.cpu_percent.max(1)) * PERIOD_MICROS / 100;
            let value = format_args!("{quota} {PERIOD_MICROS}");
            file::write(&directory.join("cpu.max"), value)?;
        }
        Ok(())
    }

    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let at = |name: &str| self.control.path().join(name);
        Ok(Stats {
            memory_bytes: file::number(&at("memory.current"))?,
            memory_peak_bytes: file::number(&at("memory.peak"))?,
            cpu_micros: file::keyed(&at("cpu.stat"), "usage_usec")?,
            processes: file::number(&at("pids.current"))?,
            out_of_memory_kills: file::keyed(&at("memory.events"), "oom_kill")?,
            process_limit_hits: file::keyed(&at("pids.events"), "max")?,
        })
    }

    pub fn control(&self) -> &Control {
        &self.control
    }

    pub fn directories(&self) -> Vec<&Path> {
        vec![self.control.path()]
    }
}
