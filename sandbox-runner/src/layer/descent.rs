//! Opening what hostile programs may change meanwhile: a name in a directory that is open already, and
//! no link is followed.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Result;
use rustix::path::Arg;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// Neither a pipe nor a terminal is waited for.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

pub(crate) fn directory(above: impl AsFd, name: impl Arg) -> Result<OwnedFd> {
    openat(above, name, DIRECTORY, Mode::empty())
}

/// Whatever it is that has the name, unless it is a link: what is opened says what it is.
pub(crate) fn file(above: impl AsFd, name: impl Arg) -> Result<OwnedFd> {
    openat(above, name, FILE, Mode::empty())
}
