//! Single system calls: what they answer a process that is confined.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use libc::c_long;
use libtest_mimic::Trial;

use super::{apply, trial};

const EPERM: i32 = libc::EPERM;
const ENOSYS: i32 = libc::ENOSYS;
const ALLOWED: i32 = 0;

/// A test, the call that it makes, and the error that it expects.
struct Probe {
    name: &'static str,
    call: fn() -> c_long,
    error: i32,
}

macro_rules! probe {
    ($name:literal, $error:expr, $number:expr $(, $argument:expr)*) => {
        Probe { name: $name, call: || call($number, &[$($argument as c_long),*]), error: $error }
    };
}

const PATH: &std::ffi::CStr = c"/tmp";
/// A number that the kernel does not assign.
const FUTURE: c_long = 900;
const X32: c_long = 0x4000_0000;
const NOWHERE: c_long = -1;
/// SIGCHLD as what the end of a child sends.
const CHILD: i32 = libc::SIGCHLD;

#[rustfmt::skip]
const PROBES: &[Probe] = &[
    probe!("a_user_namespace_cannot_be_unshared", EPERM, libc::SYS_unshare, libc::CLONE_NEWUSER),
    probe!("a_network_namespace_cannot_be_unshared", EPERM, libc::SYS_unshare, libc::CLONE_NEWNET),
    probe!("a_namespace_cannot_be_joined", EPERM, libc::SYS_setns, NOWHERE, 0),
    probe!("a_clone_cannot_have_a_user_namespace", EPERM, libc::SYS_clone, libc::CLONE_NEWUSER | CHILD, 0, 0, 0, 0),
    probe!("a_clone_cannot_have_a_mount_namespace", EPERM, libc::SYS_clone, libc::CLONE_NEWNS | CHILD, 0, 0, 0, 0),
    probe!("a_clone_cannot_have_a_pid_namespace", EPERM, libc::SYS_clone, libc::CLONE_NEWPID | CHILD, 0, 0, 0, 0),
    probe!("clone3_does_not_exist", ENOSYS, libc::SYS_clone3, 0, 0),
    probe!("asynchronous_input_and_output_do_not_exist", ENOSYS, libc::SYS_io_setup, 1, PATH.as_ptr()),
    probe!("a_call_that_is_newer_than_the_list_does_not_exist", ENOSYS, FUTURE),
    probe!("a_call_of_the_x32_abi_does_not_exist", ENOSYS, X32 | libc::SYS_getpid),
    probe!("nothing_can_be_mounted", EPERM, libc::SYS_mount, PATH.as_ptr(), PATH.as_ptr(), PATH.as_ptr(), 0, 0),
    probe!("nothing_can_be_unmounted", EPERM, libc::SYS_umount2, PATH.as_ptr(), 0),
    probe!("no_mount_can_be_opened", EPERM, libc::SYS_open_tree, libc::AT_FDCWD, PATH.as_ptr(), 1),
    probe!("no_file_system_can_be_opened", EPERM, libc::SYS_fsopen, PATH.as_ptr(), 0),
    probe!("the_root_cannot_be_changed", EPERM, libc::SYS_chroot, PATH.as_ptr()),
    probe!("the_root_cannot_be_pivoted", EPERM, libc::SYS_pivot_root, PATH.as_ptr(), PATH.as_ptr()),
    probe!("bpf_is_denied", EPERM, libc::SYS_bpf, 0, 0, 0),
    probe!("perf_events_are_denied", EPERM, libc::SYS_perf_event_open, 0, 0, 0, 0, 0),
    probe!("userfaultfd_is_denied", EPERM, libc::SYS_userfaultfd, 1),
    probe!("io_uring_is_denied", EPERM, libc::SYS_io_uring_setup, 1, 0),
    probe!("keys_cannot_be_added", EPERM, libc::SYS_add_key, 0, 0, 0, 0, 0),
    probe!("keys_cannot_be_requested", EPERM, libc::SYS_request_key, 0, 0, 0, 0),
    probe!("keyrings_cannot_be_managed", EPERM, libc::SYS_keyctl, 0, 0, 0, 0, 0),
    probe!("no_kernel_can_be_loaded", EPERM, libc::SYS_kexec_load, 0, 0, 0, 0),
    probe!("no_module_can_be_loaded", EPERM, libc::SYS_finit_module, NOWHERE, 0, 0),
    probe!("files_cannot_be_named_by_handles", EPERM, libc::SYS_name_to_handle_at, NOWHERE, 0, 0, 0, 0),
    probe!("files_cannot_be_opened_by_handles", EPERM, libc::SYS_open_by_handle_at, NOWHERE, 0, 0),
    probe!("accounting_is_denied", EPERM, libc::SYS_acct, 0),
    probe!("quotas_are_denied", EPERM, libc::SYS_quotactl, 0, 0, 0, 0),
    probe!("swap_is_denied", EPERM, libc::SYS_swapon, 0, 0),
    probe!("the_machine_cannot_be_restarted", EPERM, libc::SYS_reboot, 0, 0, 0, 0),
    probe!("the_clock_cannot_be_set", EPERM, libc::SYS_settimeofday, 0, 0),
    probe!("the_host_name_cannot_be_set", EPERM, libc::SYS_sethostname, 0, 0),
    probe!("the_log_of_the_kernel_is_denied", EPERM, libc::SYS_syslog, 10, 0, 0),
    probe!("pages_cannot_be_moved_into_a_pipe", EPERM, libc::SYS_vmsplice, NOWHERE, 0, 0, 0),
    probe!("all_memory_cannot_be_made_executable", EPERM, libc::SYS_personality, 0x40_0000),
    probe!("addresses_can_be_made_predictable_for_a_debugger", ALLOWED, libc::SYS_personality, 0x4_0000),
    probe!("nothing_can_be_typed_into_a_terminal", EPERM, libc::SYS_ioctl, 0, libc::TIOCSTI, PATH.as_ptr()),
    probe!("the_high_half_of_a_request_hides_nothing", EPERM, libc::SYS_ioctl, 0, (1_i64 << 32) | 0x5412, PATH.as_ptr()),
    probe!("the_console_cannot_be_asked_to_paste", EPERM, libc::SYS_ioctl, 0, libc::TIOCLINUX, PATH.as_ptr()),
    probe!("the_discipline_of_a_line_cannot_be_set", EPERM, libc::SYS_ioctl, 0, libc::TIOCSETD, PATH.as_ptr()),
    probe!("other_requests_reach_the_device", libc::ENOTTY, libc::SYS_ioctl, 0, libc::TCGETS, PATH.as_ptr()),
    probe!("a_device_cannot_be_made", EPERM, libc::SYS_mknodat, libc::AT_FDCWD, PATH.as_ptr(), libc::S_IFCHR | 0o666, 0),
    probe!("a_fifo_can_be_made", libc::EEXIST, libc::SYS_mknodat, libc::AT_FDCWD, PATH.as_ptr(), libc::S_IFIFO | 0o666, 0),
    probe!("vsock_is_denied", EPERM, libc::SYS_socket, libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    probe!("packet_sockets_are_denied", EPERM, libc::SYS_socket, libc::AF_PACKET, libc::SOCK_RAW, 0),
    probe!("cipher_sockets_are_denied", EPERM, libc::SYS_socket, libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    probe!("raw_sockets_are_denied", EPERM, libc::SYS_socket, libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_TCP),
    probe!("tunnel_protocols_are_denied", EPERM, libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 115),
    probe!("netfilter_is_denied", EPERM, libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER),
    probe!("routes_can_be_listed", ALLOWED, libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE),
    probe!("streams_are_allowed", ALLOWED, libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0),
    probe!("datagrams_are_allowed", ALLOWED, libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, libc::IPPROTO_UDP),
    probe!("sockets_of_the_machine_are_allowed", ALLOWED, libc::SYS_socket, libc::AF_UNIX, libc::SOCK_SEQPACKET, 0),
    probe!("privileges_cannot_come_back", EPERM, libc::SYS_setuid, 0),
    probe!("groups_cannot_come_back", EPERM, libc::SYS_setgroups, 1, [0_u32].as_ptr()),
    probe!("the_securebits_are_locked", EPERM, libc::SYS_prctl, libc::PR_SET_SECUREBITS, 0, 0, 0, 0),
];

/// Prints the error number of one call.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let name = arguments.first().unwrap();
    let probe = PROBES.iter().find(|probe| name == probe.name).unwrap();
    apply();
    let error = match (probe.call)() {
        -1 => std::io::Error::last_os_error().raw_os_error().unwrap(),
        _ => 0,
    };
    println!("{error}");
    ExitCode::SUCCESS
}

pub fn trials() -> Vec<Trial> {
    PROBES
        .iter()
        .map(|probe| {
            trial(probe.name, || {
                let output = Command::new(std::env::current_exe()?)
                    .args(["probe", probe.name])
                    .stdin(std::process::Stdio::null())
                    .output()?;
                let error = String::from_utf8_lossy(&output.stdout)
                    .trim()
                    .parse::<i32>();
                match error {
                    Ok(error) if error == probe.error => Ok(()),
                    _ => Err(format!("expected error {}: {output:?}", probe.error).into()),
                }
            })
        })
        .collect()
}

fn call(number: c_long, arguments: &[c_long]) -> c_long {
    let at = |index: usize| arguments.get(index).copied().unwrap_or(0);
    #[expect(unsafe_code, reason = "calls that no library makes")]
    // SAFETY: each probe is denied, or fails on its arguments, or only makes a descriptor; pointers
    // are to constants that outlive the call, or null.
    unsafe {
        libc::syscall(number, at(0), at(1), at(2), at(3), at(4), at(5))
    }
}
