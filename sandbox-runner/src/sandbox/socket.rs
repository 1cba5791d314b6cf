//! The two sockets between the runner and a sandbox.
//!
//! The directory of `init.sock` belongs to the sandbox, which can put anything in its place. It is
//! opened below the runner's own directory without following any link, and connected to through the
//! descriptor, so the name is not looked up a second time. Both ways also do without the limit on
//! the length of a socket's path.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use tokio::net::{UnixListener, UnixStream};

/// Connects to a socket at a relative path below a directory that is trusted, unlike the path.
pub(super) async fn connect_beneath(directory: &Path, path: &str) -> io::Result<UnixStream> {
    let directory = openat2(
        CWD,
        directory,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::empty(),
    )?;
    let socket: OwnedFd = openat2(
        &directory,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
    )?;
    if FileType::from_raw_mode(fstat(&socket)?.st_mode) != FileType::Socket {
        return Err(io::Error::other(
            "something else is in the place of the socket",
        ));
    }
    UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await
}

/// Listens at a name in a directory that only the runner can write. The socket replaces one of an
/// earlier process at once, so a connection finds the old one or the new one.
pub(super) fn listen(directory: &Path, name: &str) -> io::Result<UnixListener> {
    let handle = File::open(directory)?;
    let beside = format!("/proc/self/fd/{}/new.sock", handle.as_raw_fd());
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = StdUnixListener::bind(&beside)?;
    fs::set_permissions(&beside, Permissions::from_mode(0o666))?;
    fs::rename(&beside, directory.join(name))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}
