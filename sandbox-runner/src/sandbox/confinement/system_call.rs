//! The system call filter: what is on a list is allowed, everything else fails with EPERM.
//!
//! Three answers differ. A program of another architecture (32 bits on a 64-bit machine) is killed,
//! since its numbers mean other calls. [`table::ABSENT`] and all calls newer than the list do not exist
//! (ENOSYS), so that programs fall back on older ones. That includes the numbers of the x32 ABI, which
//! are above.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use linux_raw_sys::general::{
    __NR_clone, __NR_ioctl, __NR_mknodat, __NR_personality, __NR_prlimit64, __NR_sched_setaffinity,
    __NR_setpriority, __NR_socket, __NR_socketpair, CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET,
    CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS,
};
use linux_raw_sys::ioctl::{TIOCLINUX, TIOCSETD, TIOCSTI};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use self::lookup::Numbers;
use super::ConfinementError;

mod lookup;
mod table;

/// One way in which a call is allowed: all of its conditions hold.
type Case = Vec<(u8, SeccompCmpOp, u64)>;

pub(super) fn compile() -> Result<BpfProgram, ConfinementError> {
    let architecture = TargetArch::try_from(ARCH).map_err(|_| ConfinementError::Architecture)?;
    let conditional = filter(architecture).map_err(ConfinementError::Compile)?;
    let numbers = Numbers {
        allowed: table::TABLES.into_iter().flatten().copied().collect(),
        absent: table::ABSENT.into(),
        newest: table::NEWEST,
    };
    Ok(lookup::prepend(&numbers, architecture, conditional))
}

fn filter(architecture: TargetArch) -> Result<BpfProgram, BackendError> {
    let mut rules = BTreeMap::new();
    for (number, cases) in conditional() {
        let cases: Result<_, _> = cases.into_iter().map(rule).collect();
        rules.insert(i64::from(number), cases?);
    }
    // EPERM, as the kernel says where a capability lacks.
    let denied = SeccompAction::Errno(Errno::PERM.raw_os_error().unsigned_abs());
    SeccompFilter::new(rules, denied, SeccompAction::Allow, architecture)?.try_into()
}

/// The kernel reads the low half of each of these arguments, so the filter compares that half.
fn rule(case: Case) -> Result<SeccompRule, BackendError> {
    let conditions: Result<_, _> = case
        .into_iter()
        .map(|(argument, operator, value)| {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
        })
        .collect();
    SeccompRule::new(conditions?)
}

fn conditional() -> Vec<(u32, Vec<Case>)> {
    vec![
        (__NR_clone, vec![vec![(0, MaskedEq(NAMESPACES), 0)]]),
        (__NR_socket, sockets()),
        (__NR_socketpair, vec![vec![(0, Eq, UNIX)]]),
        (__NR_ioctl, vec![terminal()]),
        (__NR_mknodat, nodes(2)),
        (__NR_personality, personalities()),
        (__NR_prlimit64, vec![not_first(0)]),
        (__NR_sched_setaffinity, vec![not_first(0)]),
        (__NR_setpriority, priorities()),
        #[cfg(target_arch = "x86_64")]
        (linux_raw_sys::general::__NR_mknod, nodes(1)),
    ]
}

/// Not PID 1, which is of the same user: without descriptors or time it could not obey the runner.
fn not_first(process: u8) -> Case {
    vec![(process, Ne, 1)]
}

/// Of every process but PID 1, and of groups and users as a whole.
fn priorities() -> Vec<Case> {
    const PROCESS: u64 = 0;
    vec![vec![(0, Ne, PROCESS)], not_first(1)]
}

const NAMESPACES: u64 = (CLONE_NEWNS
    | CLONE_NEWCGROUP
    | CLONE_NEWUTS
    | CLONE_NEWIPC
    | CLONE_NEWUSER
    | CLONE_NEWPID
    | CLONE_NEWNET) as u64;

const UNIX: u64 = AddressFamily::UNIX.as_raw() as u64;

/// Sockets of the machine itself and of the internet's usual protocols, and the one netlink family
/// that programs list their addresses by. Nothing else is in the sandbox's network namespace:
/// AF_VSOCK leads to a virtual machine's host, and each rarer family or protocol is code of the
/// kernel that hardly anybody has looked at, and that may be loaded on demand.
fn sockets() -> Vec<Case> {
    /// The rest of the argument are flags.
    const TYPE: u64 = 0xf;
    const ANY: u64 = 0;
    let tcp = rustix::net::ipproto::TCP.as_raw().get().into();
    let udp = rustix::net::ipproto::UDP.as_raw().get().into();
    let icmp = rustix::net::ipproto::ICMP.as_raw().get().into();
    let icmp6 = rustix::net::ipproto::ICMPV6.as_raw().get().into();
    // Go listens by it and falls back only where it is unknown.
    let multipath = rustix::net::ipproto::MPTCP.as_raw().get().into();

    let mut cases = vec![vec![(0, Eq, UNIX)]];
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let protocols = [
            (SocketType::STREAM, vec![ANY, tcp, multipath]),
            (SocketType::DGRAM, vec![ANY, udp, icmp, icmp6]),
        ];
        for (kind, protocols) in protocols {
            cases.extend(protocols.into_iter().map(|protocol| {
                vec![
                    (0, Eq, u64::from(family.as_raw())),
                    (1, MaskedEq(TYPE), u64::from(kind.as_raw())),
                    (2, Eq, protocol),
                ]
            }));
        }
    }
    let route = 0;
    cases.push(vec![
        (0, Eq, u64::from(AddressFamily::NETLINK.as_raw())),
        (2, Eq, route),
    ]);
    cases
}

/// Nothing types into a terminal on behalf of its user, or changes what a line of it is.
fn terminal() -> Case {
    [TIOCSTI, TIOCLINUX, TIOCSETD]
        .into_iter()
        .map(|request| (1, Ne, u64::from(request)))
        .collect()
}

/// Pipes, sockets and files, but no devices. The kernel reads no type as a file's.
fn nodes(mode: u8) -> Vec<Case> {
    const TYPE: u64 = 0o170_000;
    let kinds = [FileType::Fifo, FileType::Socket, FileType::RegularFile];
    kinds
        .into_iter()
        .map(|kind| u64::from(kind.as_raw_mode()))
        .chain([0])
        .map(|kind| vec![(mode, MaskedEq(TYPE), kind)])
        .collect()
}

/// Ordinary, and what is told about the machine's name. Debuggers and thread sanitizers turn off
/// the randomisation of addresses; to make all readable memory executable is not allowed.
fn personalities() -> Vec<Case> {
    const LINUX: u64 = 0;
    const LINUX32: u64 = 0x8;
    const UNAME26: u64 = 0x2_0000;
    const ADDR_NO_RANDOMIZE: u64 = 0x4_0000;
    const QUERY: u64 = 0xffff_ffff;
    let values = [
        LINUX,
        LINUX32,
        UNAME26,
        UNAME26 | LINUX32,
        ADDR_NO_RANDOMIZE,
        QUERY,
    ];
    values
        .into_iter()
        .map(|value| vec![(0, Eq, value)])
        .collect()
}
