//! What the runner, its zygote and a starting sandbox say to each other: JSON in packets, which may
//! carry descriptors.
//!
//! An [`Order`] goes to the zygote with one end of a channel of its own. [`Report`]s come back on
//! that channel, first from the zygote, then from the new process, and what the process is to be
//! goes there; so nobody has to tell the answers of several orders apart.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::cmsg_space;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::sandbox::limits::Limits;

/// The longest packet; the environment of a sandbox is most of it.
const MAX_PACKET: usize = 128 << 10;
/// The most descriptors that a packet carries.
const MAX_DESCRIPTORS: usize = 16;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Carries the entrance of the control group after the channel: its directory if it has one,
    /// and the files to write to.
    Prepare(Ground),
    /// Carries the sandbox's namespaces of users and of mounts after the channel.
    Swap(Swap),
}

/// Another home for a sandbox whose processes are stopped.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Swap {
    pub(super) state: PathBuf,
    pub(super) user: Option<u32>,
    pub(super) home: Home,
}

/// What is the same in all sandboxes of a runner but for the user. Paths are relative to the state
/// directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ground {
    pub(super) state: PathBuf,
    /// Each is seen as `/opt/<name>`.
    pub(super) tools: Vec<(String, PathBuf)>,
    /// The user and group on the host, if the runner is root.
    pub(super) user: Option<u32>,
    /// Whether the first descriptor is that of a directory to start the process in.
    pub(super) unified: bool,
}

/// What makes a process that has its ground a certain sandbox; it is on record when this is sent.
/// Carries the socket that the sandbox is asked through. Paths are relative to the state directory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// The sandbox's own directory.
    pub(super) sandbox: PathBuf,
    pub(super) home: Home,
    /// What lies over `/usr`, lowest first.
    pub(super) systems: Vec<PathBuf>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) workshop: bool,
    pub(super) limits: Limits,
    /// Whether a control group counts the processes.
    pub(super) counted: bool,
}

/// The overlay that is the home directory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Home {
    /// Lowest first, at least one.
    pub(super) lower: Vec<PathBuf>,
    pub(super) upper: PathBuf,
    pub(super) work: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The process exists; carries its descriptor.
    Born {
        pid: i32,
    },
    /// The sandbox can be reached; carries the descriptors of its ports.
    Ready,
    /// The home is another one; the old one is kept until the verdict.
    Swapped,
    /// A process holds something in the home, which is as it was.
    Busy,
    Undone,
    Failed {
        reason: String,
    },
}

/// Whether the runner wants the swap after all.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Verdict {
    Keep,
    Undo,
}

/// Both ends close when a program is executed and wait when they are read.
pub(super) fn channel() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

pub(super) fn send(
    socket: impl AsFd,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for one packet"));
    }
    sendmsg(
        socket,
        &[IoSlice::new(&bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Nothing when the other end has been closed.
pub(super) fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_PACKET];
    let (length, descriptors) = receive_bytes(socket, &mut bytes)?;
    if length == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(bytes.get(..length).unwrap_or_default())?;
    Ok(Some((message, descriptors)))
}

/// As `recv`, with the descriptors that came along.
pub(crate) fn receive_bytes(
    socket: impl AsFd,
    bytes: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
    {
        return Err(io::Error::other("a packet was longer than expected"));
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok((received.bytes, descriptors))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_packet_arrives_whole_with_its_descriptors_and_then_the_end() {
        let (left, right) = channel().unwrap();
        send(
            &left,
            &Report::Born { pid: 7 },
            &[left.as_fd(), left.as_fd()],
        )
        .unwrap();
        send(&left, &Report::Ready, &[]).unwrap();
        let (first, descriptors) = receive::<Report>(&right).unwrap().unwrap();
        assert!(matches!(first, Report::Born { pid: 7 }), "{first:?}");
        assert_eq!(descriptors.len(), 2);
        drop(descriptors);
        let (second, descriptors) = receive::<Report>(&right).unwrap().unwrap();
        assert!(matches!(second, Report::Ready) && descriptors.is_empty());
        drop(left);
        assert!(receive::<Report>(&right).unwrap().is_none());
    }
}
