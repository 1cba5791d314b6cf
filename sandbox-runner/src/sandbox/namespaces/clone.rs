//! Copies this process, which must have one thread, into new namespaces.
//!
//! The copy goes on with the same memory and does not execute a program: what it needs is there
//! already, and nothing has to exist in its file system.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Everything that a sandbox does not share with the host. Its control groups are left out: it
/// enters a namespace of these once it has been put into its own.
pub(super) const SANDBOX: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// `CLONE_INTO_CGROUP`, which is too large for the type that the others have.
const INTO_CGROUP: u64 = 1 << 33;

pub(super) enum Copy {
    Child,
    Parent { pid: i32, process: OwnedFd },
}

/// The argument of the system call.
#[repr(C)]
#[derive(Default)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The namespaces that are named are new, the others are shared. The copy begins in the control
/// group of the unified hierarchy that is given.
pub(super) fn copy(namespaces: i32, group: Option<BorrowedFd<'_>>) -> io::Result<Copy> {
    let mut descriptor: libc::c_int = -1;
    let mut arguments = Arguments {
        flags: widen(namespaces | libc::CLONE_PIDFD),
        pidfd: (&raw mut descriptor) as u64,
        exit_signal: widen(libc::SIGCHLD),
        ..Arguments::default()
    };
    // The C library keeps the thread's number where the kernel clears it at the end, and starts
    // threads by it; `fork` tells the kernel to set it there as well.
    if let Ok(Some(address)) = rustix::thread::get_clear_child_tid_address() {
        arguments.flags |= widen(libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID);
        arguments.child_tid = address.as_ptr() as u64;
    }
    if let Some(group) = group {
        arguments.flags |= INTO_CGROUP;
        arguments.cgroup = widen(group.as_raw_fd());
    }
    #[expect(
        unsafe_code,
        reason = "no library copies a process into namespaces this way"
    )]
    // SAFETY: the arguments are valid for their size and outlive the call. Memory is copied, not
    // shared, and this is the only thread, so no lock is held by a thread that the copy lacks.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<Arguments>(),
        )
    };
    match pid {
        0 => Ok(Copy::Child),
        1.. => Ok(Copy::Parent {
            pid: i32::try_from(pid).map_err(io::Error::other)?,
            #[expect(unsafe_code, reason = "the kernel hands the descriptor out as a number")]
            // SAFETY: the kernel has just opened this descriptor for us, and nobody else knows it.
            process: unsafe { OwnedFd::from_raw_fd(descriptor) },
        }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn widen(flags: i32) -> u64 {
    u64::from(flags.cast_unsigned())
}
