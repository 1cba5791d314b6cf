//! The network of a sandbox: a loopback, and the ports on it that lead out.
//!
//! The ports are opened inside and their descriptors passed out, so the runner accepts what
//! programs inside connect to, and knows by the port who is calling. No packet ever leaves.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

use crate::init::wire::GATEWAY_PORT;

const NAMES_PORT: u16 = 53;

/// The ports of one sandbox, held by its init.
#[derive(Debug)]
pub(crate) struct OpenPorts {
    gateway: TcpListener,
    names: UdpSocket,
    http: TcpListener,
    https: TcpListener,
}

impl OpenPorts {
    pub(super) fn open() -> io::Result<Self> {
        raise_loopback()?;
        Ok(Self {
            gateway: TcpListener::bind((Ipv4Addr::LOCALHOST, GATEWAY_PORT))?,
            names: UdpSocket::bind((Ipv4Addr::LOCALHOST, NAMES_PORT))?,
            http: TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80))?,
            https: TcpListener::bind((Ipv4Addr::UNSPECIFIED, 443))?,
        })
    }

    /// In the order in which [`super::ports`] takes them.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 4] {
        [
            self.gateway.as_fd(),
            self.names.as_fd(),
            self.http.as_fd(),
            self.https.as_fd(),
        ]
    }
}

/// Asks the kernel to set the flag `IFF_UP` of the first interface, which is the loopback.
fn raise_loopback() -> io::Result<()> {
    const LENGTH: u32 = 32;
    let mut request = Vec::with_capacity(32);
    // struct nlmsghdr: length, type, flags, sequence, port.
    request.extend(LENGTH.to_ne_bytes());
    request.extend(libc::RTM_NEWLINK.to_ne_bytes());
    request.extend(
        u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_ACK)
            .map_err(io::Error::other)?
            .to_ne_bytes(),
    );
    request.extend([0; 8]);
    // struct ifinfomsg: family, type, index, flags, mask of the flags to change.
    request.extend([0; 4]);
    request.extend(1_i32.to_ne_bytes());
    request.extend(libc::IFF_UP.to_ne_bytes());
    request.extend(libc::IFF_UP.to_ne_bytes());

    let socket: OwnedFd = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // Protocol 0, which is that of routes and interfaces.
        None,
    )?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, &request, SendFlags::empty(), &kernel)?;
    let mut answer = [0_u8; 1024];
    let (_, length) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    // struct nlmsgerr follows the header; its first field is an error number, negated.
    let error = answer
        .get(..length)
        .and_then(|answer| answer.get(16..20))
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes);
    match error {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::Error::other("the kernel's answer is too short")),
    }
}
