//! How many files all users of the machine together may have open.
//!
//! The kernel's own number is far below what the processes of one sandbox may open, and whoever is not
//! root is refused beyond it: one sandbox could keep all others from opening any. No limit of one
//! process is low enough to prevent that and high enough to work with. But each open file is memory of
//! the kernel that counts as its sandbox's, so where memory is limited, open files are as well, and the
//! number is not needed: it is raised out of the way, as systemd does.

use std::fs;
use std::io;
use std::path::Path;

const MOST_OPEN: &str = "/proc/sys/fs/file-max";
/// More than any machine has memory for.
const ENOUGH: u64 = i64::MAX.unsigned_abs();

/// Whether the number is out of the way.
pub(super) fn suffice() -> bool {
    most(MOST_OPEN.as_ref()).is_ok_and(|most| most >= ENOUGH)
}

/// Raises the number if it may. [`suffice`] says what came of it.
pub(super) fn raise() {
    if !suffice()
        && let Err(error) = fs::write(MOST_OPEN, ENOUGH.to_string())
    {
        tracing::debug!(%error, "the machine's limit of open files stays low");
    }
}

fn most(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.trim().parse().map_err(io::Error::other)
}
