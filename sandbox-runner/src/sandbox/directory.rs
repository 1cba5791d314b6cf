//! Directories with an exact mode, whatever the umask is.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The group can pass through but not list, and others cannot even pass: the root of all of them.
pub(crate) const CLOSED: u32 = 0o710;
/// Others can pass through but not list: the runner's own directories.
pub(crate) const PASSABLE: u32 = 0o711;
/// Others can read: what a sandbox sees.
pub(crate) const READABLE: u32 = 0o755;

/// A directory that exists already only gets the mode.
pub(crate) fn create(path: &Path, mode: u32) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}
