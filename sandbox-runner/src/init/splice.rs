//! Joins two stream sockets until both directions have ended.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use super::STACK;

pub(super) trait Socket: Read + Write + Send + Sized + 'static {
    fn duplicate(&self) -> io::Result<Self>;
    fn close(&self, how: Shutdown);
}

impl Socket for TcpStream {
    fn duplicate(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn close(&self, how: Shutdown) {
        // Fails only on a socket that the peer has closed already.
        let _ = self.shutdown(how);
    }
}

impl Socket for UnixStream {
    fn duplicate(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn close(&self, how: Shutdown) {
        let _ = self.shutdown(how);
    }
}

/// Returns when both directions have ended. The end of one direction is passed on as such, so that
/// a peer which has finished sending still gets its answer; an error ends both.
pub(super) fn splice(left: impl Socket, right: impl Socket) -> io::Result<()> {
    let (left_reader, right_writer) = (left.duplicate()?, right.duplicate()?);
    let forward = thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || copy(left_reader, right_writer))?;
    copy(right, left);
    let _ = forward.join();
    Ok(())
}

fn copy(mut from: impl Socket, mut to: impl Socket) {
    match io::copy(&mut from, &mut to) {
        Ok(_) => to.close(Shutdown::Write),
        Err(_) => {
            from.close(Shutdown::Both);
            to.close(Shutdown::Both);
        }
    }
}
