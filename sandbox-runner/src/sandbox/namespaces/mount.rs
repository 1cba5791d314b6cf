//! Mounts by descriptors: a tree is taken, given its attributes, and only then put in its place.

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, StatVfsMountFlags, fstatvfs};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount,
    open_tree,
};

/// What nothing in a sandbox needs.
const GUARDED: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
const READ_ONLY: u64 = GUARDED | libc::MOUNT_ATTR_RDONLY;

/// A copy of the mount at a path and of all below it, in no place yet.
pub(super) fn take(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, path.as_ref(), flags)?)
}

/// As [`take`], without what is mounted below: only for those who may see what that hides.
pub(super) fn take_alone(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(open_tree(CWD, path, flags)?)
}

pub(super) fn put(tree: impl AsFd, place: impl AsRef<Path>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(move_mount(tree, "", CWD, place.as_ref(), flags)?)
}

/// Shows a directory or file at a second place, where it cannot be changed.
pub(super) fn show(from: impl AsRef<Path>, place: impl AsRef<Path>) -> io::Result<()> {
    let tree = take(from)?;
    set_attributes(tree.as_fd(), libc::AT_RECURSIVE, READ_ONLY, None)?;
    put(tree, place)
}

/// As [`show`], where it can be changed.
pub(super) fn share(from: impl AsRef<Path>, place: impl AsRef<Path>) -> io::Result<()> {
    let tree = take(from)?;
    set_attributes(tree.as_fd(), libc::AT_RECURSIVE, GUARDED, None)?;
    put(tree, place)
}

/// As [`share`], for a device.
pub(super) fn share_device(from: impl AsRef<Path>, place: impl AsRef<Path>) -> io::Result<()> {
    let tree = take(from)?;
    let guarded = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;
    set_attributes(tree.as_fd(), 0, guarded, None)?;
    put(tree, place)
}

/// Makes the mount that has its root at this path read-only, not those below it.
pub(super) fn seal(path: &Path) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, path, flags)?;
    set_attributes(tree.as_fd(), 0, READ_ONLY, None)
}

/// Owners on disk are seen through the user namespace: 1000 is the sandbox's user.
pub(super) fn map_owners(tree: BorrowedFd<'_>, users: BorrowedFd<'_>) -> io::Result<()> {
    set_attributes(tree, 0, libc::MOUNT_ATTR_IDMAP, Some(users))
}

pub(super) fn tmpfs(place: &str, options: &str) -> io::Result<()> {
    file_system(
        "tmpfs",
        place,
        MountFlags::NOSUID | MountFlags::NODEV,
        options,
    )
}

pub(super) fn file_system(
    kind: &str,
    place: &str,
    flags: MountFlags,
    options: &str,
) -> io::Result<()> {
    let options = CString::new(options)?;
    Ok(mount(kind, place, kind, flags, options.as_c_str())?)
}

/// An overlay in no place yet. The paths are of this process, lowest first. Its files are accessed
/// with the rights that this process has now.
pub(super) fn overlay(lower: &[PathBuf], writable: Option<(&Path, &Path)>) -> io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", "overlay")?;
    // One layer at a time: a list would have to fit into a page.
    for layer in lower.iter().rev() {
        fsconfig_set_string(&context, "lowerdir+", layer.as_path())?;
    }
    if let Some((upper, work)) = writable {
        fsconfig_set_string(&context, "upperdir", upper)?;
        fsconfig_set_string(&context, "workdir", work)?;
    }
    // A user namespace may not write the attributes that overlays use otherwise.
    fsconfig_set_flag(&context, "userxattr")?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let tree = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    // An overlay that cannot use its work directory falls back to this without an error.
    let read_only = fstatvfs(&tree)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    if writable.is_some() && read_only {
        return Err(io::Error::other("the overlay can only be read"));
    }
    Ok(tree)
}

fn set_attributes(
    tree: BorrowedFd<'_>,
    flags: libc::c_int,
    set: u64,
    users: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let users = users.map_or(0, |users| u64::from(users.as_raw_fd().cast_unsigned()));
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: users,
    };
    #[expect(unsafe_code, reason = "rustix does not have this system call")]
    // SAFETY: the path is an empty string that ends in a zero, the attributes are valid for their
    // size, and both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
