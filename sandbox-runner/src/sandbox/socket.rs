//! Connects to a sandbox's init.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use tokio::net::UnixStream;

/// The socket is in a directory that only the runner can write. It is reached through the
/// directory's descriptor, since the path of a socket can be too long.
pub(super) async fn connect(directory: &Path) -> io::Result<UnixStream> {
    let directory = File::open(directory)?;
    UnixStream::connect(format!("/proc/self/fd/{}/init.sock", directory.as_raw_fd())).await
}
