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
            disk_excess: None,
        })
    }

    pub fn control(&self) -> &Control {
        &self.control
    }

    pub fn directories(&self) -> Vec<&Path> {
        vec![self.control.path()]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::sandbox::cgroup::KILL;

    /// A directory with the files that a group has, as far as they are given.
    fn group(files: &[&str]) -> (tempfile::TempDir, Group) {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(directory.path().join(file), "").unwrap();
        }
        let group = Group {
            enforced: Enforced {
                memory: true,
                processes: true,
                cpu: true,
            },
            control: Control::Unified(Directory(directory.path().to_owned())),
        };
        (directory, group)
    }

    #[test]
    fn limits_are_written_as_the_kernel_reads_them() {
        let (directory, group) = group(&["memory.max", "memory.swap.max", "pids.max", "cpu.max"]);
        let limits = Limits {
            memory_bytes: 1 << 30,
            processes: 100,
            cpu_percent: 150,
            ..Limits::default()
        };
        group.limit(directory.path(), &limits).unwrap();
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("memory.max"), "1073741824");
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(read("pids.max"), "100");
        assert_eq!(read("cpu.max"), "150000 100000");
    }

    #[test]
    fn a_kernel_that_does_not_count_swap_is_good_enough() {
        let (directory, group) = group(&["memory.max", "pids.max", "cpu.max"]);
        group.limit(directory.path(), &Limits::default()).unwrap();
    }

    #[test]
    fn a_limit_that_cannot_be_set_is_an_error() {
        let (directory, group) = group(&["memory.max", "cpu.max"]);
        let limited = group.limit(directory.path(), &Limits::default());
        assert!(matches!(
            limited,
            Err(CgroupError::Write { path, .. }) if path.ends_with("pids.max")
        ));
    }

    #[test]
    fn usage_is_read_from_where_the_kernel_says_it() {
        let (directory, group) = group(&[]);
        for (name, text) in [
            ("memory.current", "4096\n"),
            (
                "memory.events",
                "low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 0\n",
            ),
            (
                "cpu.stat",
                "usage_usec 12345\nuser_usec 10000\nsystem_usec 2345\n",
            ),
            ("pids.current", "7\n"),
            ("pids.events", "max 5\n"),
        ] {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let expected = Stats {
            memory_bytes: Some(4096),
            // Since Linux 5.19.
            memory_peak_bytes: None,
            cpu_micros: Some(12_345),
            processes: Some(7),
            out_of_memory_kills: Some(3),
            process_limit_hits: Some(5),
            disk_excess: None,
        };
        assert_eq!(group.stats().unwrap(), expected);
    }

    /// A group of the machine's unified hierarchy, which is removed in the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let mount = Mounts::read().unified.unwrap().mount;
            let path = mount.join(format!("{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            for below in [RUNNER, "hosted-agents/owner", "hosted-agents", ""] {
                let _ = fs::remove_dir(self.0.join(below));
            }
        }
    }

    /// With whichever controller the top of this machine's hierarchy has.
    #[test]
    fn processes_make_way_for_groups_with_controllers() {
        let scratch = Scratch::new("delegate");
        let mount = scratch.0.parent().unwrap();
        let controllers = file::read(&mount.join("cgroup.controllers")).unwrap();
        let controller = controllers.split_whitespace().next().unwrap();

        let mut process = Command::new("sleep").arg("600").spawn().unwrap();
        file::write(&scratch.0.join("cgroup.procs"), process.id()).unwrap();
        enable(mount, controller).unwrap();
        let parent = delegate(&scratch.0, "owner", &[controller]).unwrap();

        let enabled = file::read(&parent.join("cgroup.subtree_control")).unwrap();
        assert_eq!(enabled.trim(), controller);
        let leaf = scratch.0.join(RUNNER);
        let moved = file::processes(&leaf.join("cgroup.procs")).unwrap();
        assert_eq!(moved, [i32::try_from(process.id()).unwrap()]);
        Control::Unified(Directory(leaf)).kill(KILL).unwrap();
        process.wait().unwrap();
        // Unless the machine's other groups use it as well, it was not handed down before.
        let mount = mount.join("cgroup.subtree_control");
        drop(scratch);
        let _ = file::write(&mount, format_args!("-{controller}"));
    }

    #[test]
    fn groups_begin_where_they_were_delegated() {
        let scratch = Scratch::new("base");
        let mount = scratch.0.parent().unwrap().to_owned();
        let base_of = |own: &Path| {
            base(&Unified {
                mount: mount.clone(),
                own: Some(own.to_owned()),
            })
        };
        assert_eq!(base_of(&scratch.0), mount);
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&scratch.0, "trusted.delegate", b"1", flags).unwrap();
        assert_eq!(base_of(&scratch.0), scratch.0);
        assert_eq!(base_of(&scratch.0.join(RUNNER)), scratch.0);
    }
}
