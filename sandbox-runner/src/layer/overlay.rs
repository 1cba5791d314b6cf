//! What overlayfs means by special files, in a mount with `userxattr`.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, makedev, mknodat, utimensat};

/// Set to `y` on a directory that hides the one below instead of being merged with it.
pub(super) const OPAQUE: &str = "user.overlay.opaque";

/// A whiteout hides what lies below under its name.
pub(super) fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// Needs no privilege since Linux 5.8.
pub(super) fn make_whiteout(path: &Path) -> io::Result<()> {
    let mode = Mode::empty();
    Ok(mknodat(
        CWD,
        path,
        FileType::CharacterDevice,
        mode,
        makedev(0, 0),
    )?)
}

/// Sets when something was last changed, not following links.
pub(super) fn set_time(path: &Path, seconds: i64, nanoseconds: i64) -> io::Result<()> {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
