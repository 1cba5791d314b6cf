//! What this machine can do, for people and for whoever watches over runners.

use std::fmt;
use std::io;
use std::path::Path;

use rustix::fs::statfs;
use rustix::process::getuid;
use serde::Serialize;

use super::kernel::Kernel;
use crate::sandbox::cgroup::{Driver, Enforced};
use crate::sandbox::descriptors;

/// What `statfs` calls the file systems that a state directory is usually on.
const FILE_SYSTEMS: [(i64, &str); 4] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x0102_1994, "tmpfs"),
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    pub isolation: &'static str,
    pub kernel: String,
    pub root: bool,
    pub control_groups: String,
    /// Version of the interface; none if the kernel has no Landlock or does not use it.
    pub landlock: Option<i64>,
    pub file_system: String,
    pub missing: Vec<Missing>,
}

/// What a sandbox does without here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub what: &'static str,
    /// What takes its place.
    pub instead: &'static str,
}

impl Machine {
    pub(super) fn look_at(kernel: &Kernel, state: &Path, groups: &Driver) -> Self {
        let kind = statfs(state).map(|found| found.f_type);
        let name = |kind: i64| FILE_SYSTEMS.iter().find(|(known, _)| *known == kind);
        let (root, landlock) = (getuid().is_root(), landlock().ok());
        Self {
            isolation: "namespaces",
            kernel: kernel.release.clone(),
            root,
            control_groups: groups.to_string(),
            landlock,
            file_system: match kind {
                Ok(kind) => name(kind).map_or(format!("{kind:#x}"), |(_, name)| (*name).to_owned()),
                Err(error) => error.to_string(),
            },
            missing: missing(
                root,
                landlock.is_some(),
                descriptors::suffice(),
                groups.enforced(),
            ),
        }
    }
}

/// What is less than on a machine that has everything, and what stands in for it.
fn missing(root: bool, landlock: bool, open_files: bool, enforced: Enforced) -> Vec<Missing> {
    let all = [
        (
            root,
            "a user of its own for each sandbox",
            "sandboxes run as the runner's user, apart by their namespaces; what the kernel counts for a user they share",
        ),
        (
            landlock,
            "Landlock",
            "the mount namespace and the filter of system calls keep files apart without it",
        ),
        (
            open_files,
            "as many open files as all sandboxes' memory has room for",
            "nothing: one sandbox can open all that the machine has; raise fs.file-max to 9223372036854775807 with sysctl",
        ),
        (
            enforced.memory,
            "a limit of a sandbox's memory",
            "nothing: the machine's own memory is the limit, of which the pool leaves a tenth free",
        ),
        (
            enforced.processes,
            "a limit of a sandbox's processes",
            "a limit for the user that it runs as (RLIMIT_NPROC)",
        ),
        (
            enforced.cpu,
            "a limit of a sandbox's processor time",
            "nothing: the scheduler divides processors between processes",
        ),
    ];
    let lacking = all.into_iter().filter(|(is_there, _, _)| !is_there);
    lacking
        .map(|(_, what, instead)| Missing { what, instead })
        .collect()
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "kernel: {}", self.kernel)?;
        let users = if self.root {
            "root: each sandbox runs as a user of its own, and owners of files are mapped"
        } else {
            "not root: sandboxes run as the runner's own user"
        };
        writeln!(formatter, "user: {users}")?;
        writeln!(formatter, "control groups: {}", self.control_groups)?;
        match self.landlock {
            Some(version) => writeln!(formatter, "Landlock: version {version}")?,
            None => writeln!(formatter, "Landlock: not available")?,
        }
        writeln!(formatter, "state directory: on {}", self.file_system)?;
        for Missing { what, instead } in &self.missing {
            writeln!(formatter, "missing: {what}; instead: {instead}")?;
        }
        Ok(())
    }
}

fn landlock() -> io::Result<i64> {
    const VERSION: u32 = 1;
    #[expect(unsafe_code, reason = "the library keeps its answer to itself")]
    // SAFETY: with this flag the kernel takes no ruleset and only returns a number.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            VERSION,
        )
    };
    if version < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Enforced = Enforced {
        memory: true,
        processes: true,
        cpu: true,
    };

    #[test]
    fn a_machine_with_everything_lacks_nothing_and_others_say_what_stands_in() {
        assert_eq!(missing(true, true, true, ALL), []);
        let bare = missing(false, false, false, Enforced::default());
        assert_eq!(bare.len(), 6);
        assert!(bare.iter().all(|missing| !missing.instead.is_empty()));
        let hybrid = Enforced { cpu: false, ..ALL };
        let missing = missing(true, true, true, hybrid);
        assert_eq!(missing.len(), 1);
        assert!(missing.iter().all(|one| one.what.contains("processor")));
    }
}
