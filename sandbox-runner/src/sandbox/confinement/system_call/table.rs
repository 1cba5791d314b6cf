//! The system calls that a sandbox has, by name.
//!
//! The basis is the profile that containers have by default (the one of Docker's, containerd's and
//! Podman's, as of 2026): what ordinary programs turned out to need, over a decade, from processes
//! without capabilities. Left out of it, since no development work needs them:
//!
//! - `fanotify_mark`, `name_to_handle_at`: each is half of a pair whose other half takes a
//!   capability. `modify_ldt`: 16-bit programs. `remap_file_pages`: replaced by `mmap` in 2014.
//!   `memfd_secret`: memory that the host can neither inspect nor suspend. `vmsplice`: pages of
//!   another process in a pipe, which has been a hole more than once, and nothing builds on it.
//! - `socket` of all families but four, `mknod` of devices: see [`super`], which adds conditions.
//!
//! What is not in that profile is denied, and so is what it gives only with a capability: name
//! spaces and mounts, kernel modules and `kexec`, `bpf` and `perf_event_open`, `io_uring`,
//! `userfaultfd`, keyrings, handles of files, clocks, quotas, swap, accounting, reboot, ports.

#[allow(clippy::wildcard_imports, reason = "three hundred names")]
use linux_raw_sys::general::*;

macro_rules! names {
    ($($name:ident)*) => { &[$($name),*] };
}

/// Tables without conditions; each name is in one of them.
pub(super) const TABLES: [&[u32]; 8] = [
    FILES,
    ATTRIBUTES,
    WAITING,
    MEMORY,
    PROCESSES,
    DEBUGGING,
    COMMUNICATION,
    ARCHITECTURE,
];

/// The newest call that has been judged. What is newer is answered as a kernel without it would,
/// so that programs fall back on what they did before.
pub(super) const NEWEST: u32 = __NR_removexattrat;

/// What does not exist, so that programs fall back on what they do on a kernel without it. The flags
/// of `clone3` are out of a filter's sight, those of `clone` are not. What asynchronous input and
/// output may queue is one number for the whole machine, which one sandbox could take from all.
pub(super) const ABSENT: [u32; 7] = [
    __NR_clone3,
    __NR_io_cancel,
    __NR_io_destroy,
    __NR_io_getevents,
    __NR_io_pgetevents,
    __NR_io_setup,
    __NR_io_submit,
];

const FILES: &[u32] = names! {
    __NR_chdir __NR_close __NR_close_range __NR_copy_file_range __NR_dup __NR_dup3 __NR_faccessat
    __NR_faccessat2 __NR_fadvise64 __NR_fallocate __NR_fchdir __NR_fcntl __NR_fdatasync __NR_flock
    __NR_fstat __NR_fstatfs __NR_fsync __NR_ftruncate __NR_getcwd __NR_getdents64 __NR_linkat
    __NR_lseek __NR_mkdirat __NR_newfstatat __NR_openat __NR_openat2 __NR_pread64 __NR_preadv
    __NR_preadv2 __NR_pwrite64 __NR_pwritev __NR_pwritev2 __NR_read __NR_readahead __NR_readlinkat
    __NR_readv __NR_renameat __NR_renameat2 __NR_sendfile __NR_splice __NR_statfs __NR_statx
    __NR_symlinkat __NR_sync __NR_sync_file_range __NR_syncfs __NR_tee __NR_truncate __NR_umask
    __NR_unlinkat __NR_write __NR_writev
    // Which mounts there are: the view of the sandbox, also in /proc/self/mountinfo.
    __NR_listmount __NR_statmount
};

/// Owners are limited by the kernel to what the user may give.
const ATTRIBUTES: &[u32] = names! {
    __NR_fchmod __NR_fchmodat __NR_fchmodat2 __NR_fchown __NR_fchownat __NR_fgetxattr
    __NR_flistxattr __NR_fremovexattr __NR_fsetxattr __NR_getxattr __NR_getxattrat __NR_lgetxattr
    __NR_listxattr __NR_listxattrat __NR_llistxattr __NR_lremovexattr __NR_lsetxattr
    __NR_removexattr __NR_removexattrat __NR_setxattr __NR_setxattrat __NR_utimensat
};

/// Time, events, and the clocks as far as they are read.
const WAITING: &[u32] = names! {
    __NR_clock_adjtime __NR_adjtimex
    __NR_clock_getres __NR_clock_gettime __NR_clock_nanosleep __NR_epoll_create1 __NR_epoll_ctl
    __NR_epoll_pwait __NR_epoll_pwait2 __NR_eventfd2 __NR_getitimer __NR_gettimeofday
    __NR_inotify_add_watch __NR_inotify_init1 __NR_inotify_rm_watch __NR_nanosleep __NR_ppoll
    __NR_pselect6 __NR_restart_syscall __NR_setitimer __NR_signalfd4 __NR_timer_create
    __NR_timer_delete __NR_timer_getoverrun __NR_timer_gettime __NR_timer_settime
    __NR_timerfd_create __NR_timerfd_gettime __NR_timerfd_settime __NR_times
};

const MEMORY: &[u32] = names! {
    __NR_brk __NR_cachestat __NR_madvise __NR_map_shadow_stack __NR_membarrier __NR_memfd_create
    __NR_mincore __NR_mlock __NR_mlock2 __NR_mlockall __NR_mmap __NR_mprotect __NR_mremap
    __NR_mseal __NR_msync __NR_munlock __NR_munlockall __NR_munmap __NR_pkey_alloc __NR_pkey_free
    __NR_pkey_mprotect
};

/// Programs, threads, signals, identity and priority. Identities can be set, to what they are.
const PROCESSES: &[u32] = names! {
    __NR_capget __NR_capset __NR_execve __NR_execveat __NR_exit __NR_exit_group __NR_futex
    __NR_futex_requeue __NR_futex_wait __NR_futex_waitv __NR_futex_wake __NR_get_robust_list
    __NR_getcpu __NR_getegid __NR_geteuid __NR_getgid __NR_getgroups __NR_getpgid __NR_getpid
    __NR_getppid __NR_getpriority __NR_getrandom __NR_getresgid __NR_getresuid __NR_getrlimit
    __NR_getrusage __NR_getsid __NR_gettid __NR_getuid __NR_ioprio_get __NR_ioprio_set __NR_kill
    __NR_pidfd_open __NR_pidfd_send_signal __NR_prctl __NR_process_mrelease
    __NR_rseq __NR_rt_sigaction __NR_rt_sigpending __NR_rt_sigprocmask __NR_rt_sigqueueinfo
    __NR_rt_sigreturn __NR_rt_sigsuspend __NR_rt_sigtimedwait __NR_rt_tgsigqueueinfo
    __NR_sched_get_priority_max __NR_sched_get_priority_min __NR_sched_getaffinity
    __NR_sched_getattr __NR_sched_getparam __NR_sched_getscheduler __NR_sched_rr_get_interval
    __NR_sched_setattr __NR_sched_setparam __NR_sched_setscheduler
    __NR_sched_yield __NR_set_robust_list __NR_set_tid_address __NR_setfsgid __NR_setfsuid
    __NR_setgid __NR_setgroups __NR_setpgid __NR_setregid __NR_setresgid
    __NR_setresuid __NR_setreuid __NR_setrlimit __NR_setsid __NR_setuid __NR_sigaltstack
    __NR_sysinfo __NR_tgkill __NR_tkill __NR_uname __NR_wait4 __NR_waitid
    // To confine oneself further.
    __NR_landlock_add_rule __NR_landlock_create_ruleset __NR_landlock_restrict_self __NR_seccomp
};

/// All processes of a sandbox are one user and trust each other, so one may debug another; the
/// kernel asks for more than that only across users, and the first process hides from it.
const DEBUGGING: &[u32] = names! {
    __NR_process_vm_readv __NR_process_vm_writev __NR_ptrace
};

/// Over sockets that exist already, and in the name space of the sandbox.
const COMMUNICATION: &[u32] = names! {
    __NR_accept __NR_accept4 __NR_bind __NR_connect __NR_getpeername __NR_getsockname
    __NR_getsockopt __NR_listen __NR_pipe2 __NR_recvfrom __NR_recvmmsg __NR_recvmsg __NR_sendmmsg
    __NR_sendmsg __NR_sendto __NR_setsockopt __NR_shutdown
    __NR_mq_getsetattr __NR_mq_notify __NR_mq_open __NR_mq_timedreceive __NR_mq_timedsend
    __NR_mq_unlink __NR_msgctl __NR_msgget __NR_msgrcv __NR_msgsnd __NR_semctl __NR_semget
    __NR_semop __NR_semtimedop __NR_shmat __NR_shmctl __NR_shmdt __NR_shmget
};

/// What later architectures were made without, and what is this one's own.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: &[u32] = names! {
    __NR_access __NR_alarm __NR_arch_prctl __NR_chmod __NR_chown __NR_creat __NR_dup2
    __NR_epoll_create __NR_epoll_wait __NR_eventfd __NR_fork __NR_futimesat __NR_getdents
    __NR_getpgrp __NR_inotify_init __NR_lchown __NR_link __NR_lstat __NR_mkdir __NR_open
    __NR_pause __NR_pipe __NR_poll __NR_readlink __NR_rename __NR_rmdir __NR_select
    __NR_signalfd __NR_stat __NR_symlink __NR_time __NR_unlink __NR_utime __NR_utimes __NR_vfork
    // Made by the kernel in a process that the host traces; without it the process would end.
    __NR_uretprobe
};

#[cfg(not(target_arch = "x86_64"))]
const ARCHITECTURE: &[u32] = &[];
