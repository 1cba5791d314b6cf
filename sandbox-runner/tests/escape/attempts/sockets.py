"""Families of sockets and the settings of the network; who can be reached is tried elsewhere."""

import fcntl
import socket
import struct
from errno import (
    EACCES, EADDRNOTAVAIL, EAFNOSUPPORT, ENODEV, ENOPROTOOPT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
)

from attempt import REFUSED, attempt

NO_SOCKET = REFUSED + (EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT)
LACKING = (EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT)
RAW, STREAM, DATAGRAM, SEQUENCED = 3, 1, 2, 5

for title, family, kind, protocol in (
    ("packets", 17, RAW, 0x0300),
    ("raw_icmp", 2, RAW, 1),
    ("raw_tcp", 2, RAW, 6),
    ("raw_icmp_version_6", 10, RAW, 58),
    ("vsock", 40, STREAM, 0),
    ("kernel_cryptography", 38, SEQUENCED, 0),
    ("ipsec_keys", 15, RAW, 2),
    ("xdp", 44, RAW, 0),
    ("bluetooth", 31, RAW, 1),
    ("tipc", 30, SEQUENCED, 0),
    ("can", 29, RAW, 1),
    ("rds", 21, SEQUENCED, 0),
    ("dccp", 2, 6, 33),
    ("sctp", 2, STREAM, 132),
    ("smc", 43, STREAM, 0),
    ("kcm", 41, DATAGRAM, 0),
    ("qipcrtr", 42, DATAGRAM, 0),
    ("netfilter", 16, RAW, 12),
    ("audit", 16, RAW, 9),
    ("kernel_events", 16, RAW, 15),
    ("generic_netlink", 16, RAW, 16),
    ("socket_diagnosis", 16, RAW, 4),
    ("ipsec_policies", 16, RAW, 6),
    ("netlink_connector", 16, RAW, 11),
):
    attempt(NO_SOCKET, name=f"a_socket_for_{title}_is_refused", lacking=LACKING)(
        lambda arguments=(family, kind, protocol): socket.socket(*arguments).close()
    )


@attempt(control=False)
def a_ping_is_refused():
    """One attempt of codex's list."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as ping:
        ping.connect(("127.0.0.1", 0))


@attempt(REFUSED + (EOPNOTSUPP,))
def adding_an_interface_is_refused():
    """`ip link add type dummy`, or at least an address for the loopback."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        # RTM_NEWADDR, NLM_F_REQUEST|ACK|CREATE; family, prefix, flags, scope, index; IFA_LOCAL.
        address = struct.pack("BBBBI", socket.AF_INET, 8, 0, 0, 1)
        address += struct.pack("HH4s", 8, 2, socket.inet_aton("127.9.9.9"))
        head = struct.pack("IHHII", 16 + len(address), 20, 0x405, 1, 0)
        route.sendto(head + address, (0, 0))
        answer = route.recv(4096)
        (error,) = struct.unpack_from("i", answer, 16)
        if error:
            raise OSError(-error, "netlink")


@attempt(control=False)
def taking_the_loopback_down_is_refused():
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0))


@attempt((EPERM, EACCES))
def marking_packets_is_refused():
    with socket.socket() as any_socket:
        any_socket.setsockopt(socket.SOL_SOCKET, 36, 1)


@attempt((EPERM, EACCES))
def answering_for_other_addresses_is_refused():
    with socket.socket() as any_socket:
        transparent = 19
        any_socket.setsockopt(socket.SOL_IP, transparent, 1)


@attempt((EPERM, EACCES, ENOPROTOOPT), lacking=(ENOPROTOOPT,))
def looking_into_the_packet_filter_is_refused():
    with socket.socket() as any_socket:
        info = 64
        any_socket.getsockopt(socket.SOL_IP, info, 84)


@attempt((EPERM, EACCES))
def buffers_above_the_limit_are_refused():
    with socket.socket() as any_socket:
        forced = 32
        any_socket.setsockopt(socket.SOL_SOCKET, forced, 1 << 30)


@attempt((EPERM, EACCES, EADDRNOTAVAIL, ENODEV), control=False)
def an_address_of_somebody_else_cannot_be_taken():
    with socket.socket() as any_socket:
        any_socket.bind(("169.254.169.254", 0))
