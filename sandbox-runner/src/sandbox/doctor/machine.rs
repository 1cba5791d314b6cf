//! What this machine can do, for people to read.

use std::fmt;
use std::io;
use std::path::Path;

use rustix::fs::statfs;
use rustix::process::getuid;
use rustix::system::uname;

use crate::sandbox::cgroup::Driver;

/// What `statfs` calls the file systems that a state directory is usually on.
const FILE_SYSTEMS: [(i64, &str); 4] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x0102_1994, "tmpfs"),
];

#[derive(Debug)]
pub struct Machine {
    kernel: String,
    root: bool,
    groups: String,
    /// Version of the interface; none if the kernel has no Landlock or does not use it.
    landlock: Option<i64>,
    file_system: String,
}

impl Machine {
    pub(super) fn look_at(state: &Path, groups: &Driver) -> Self {
        let kind = statfs(state).map(|found| found.f_type);
        let name = |kind: i64| FILE_SYSTEMS.iter().find(|(known, _)| *known == kind);
        Self {
            kernel: uname().release().to_string_lossy().into_owned(),
            root: getuid().is_root(),
            groups: groups.to_string(),
            landlock: landlock().ok(),
            file_system: match kind {
                Ok(kind) => name(kind).map_or(format!("{kind:#x}"), |(_, name)| (*name).to_owned()),
                Err(error) => error.to_string(),
            },
        }
    }
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
        writeln!(formatter, "control groups: {}", self.groups)?;
        match self.landlock {
            Some(version) => writeln!(formatter, "Landlock: version {version}")?,
            None => writeln!(formatter, "Landlock: not available")?,
        }
        writeln!(formatter, "state directory: on {}", self.file_system)
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
