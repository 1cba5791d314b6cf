"""Runs one attempt to get out of a sandbox and says in one line of JSON what came of it.

    attempt.py list               every attempt: its name and whether it has a control
    attempt.py run AREA.NAME      one attempt, inside a sandbox
    attempt.py controls           all of them that have a control, outside, in namespaces of its own

An attempt is a function that does what must not work. It is refused if the kernel answers with one
of its refusals; any other error is reported as odd, since the attempt may then have been a wrong
one. Where it is harmless, the same function has a control: outside, as root, it is not refused, so
what stops it inside is the sandbox. `lacking` are the errors by which a kernel says that it does
not have the thing at all; then there is nothing to refuse.
"""

import ctypes
import errno
import importlib
import json
import os
import sys

AREAS = ("mounts", "namespaces", "proc", "devices", "processes", "privileges", "kernel", "sockets")
REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)

# x86-64: the launcher's filter is for this machine's own calls as well.
CALLS = {
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fspick": 433, "mount_setattr": 442, "unshare": 272,
    "setns": 308, "clone": 56, "clone3": 435, "ptrace": 101, "process_vm_readv": 310,
    "process_vm_writev": 311, "pidfd_open": 434, "pidfd_getfd": 438, "kcmp": 312,
    "prlimit64": 302, "sched_setaffinity": 203, "sched_setscheduler": 144, "sched_setattr": 314,
    "setpriority": 141, "ioprio_set": 251, "move_pages": 279, "process_madvise": 440,
    "setuid": 105, "setgid": 106, "setresuid": 117, "setgroups": 116, "capset": 126,
    "prctl": 157, "setxattr": 188, "bpf": 321, "perf_event_open": 298, "keyctl": 250,
    "add_key": 248, "request_key": 249, "userfaultfd": 323, "io_uring_setup": 425,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246,
    "kexec_file_load": 320, "open_by_handle_at": 304, "quotactl_fd": 443, "swapon": 167,
    "swapoff": 168, "reboot": 169, "settimeofday": 164, "clock_settime": 227,
    "adjtimex": 159, "sethostname": 170, "setdomainname": 171, "acct": 163, "syslog": 103,
    "iopl": 172, "ioperm": 173, "modify_ldt": 154, "fanotify_init": 300, "vhangup": 153,
    "getpid": 39, "mknod": 133, "set_mempolicy": 238, "personality": 135,
}

AT_FDCWD = -100
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
attempts = {}


def call(name, *arguments):
    """A raw system call: nothing between the attempt and the kernel."""
    number = name if isinstance(name, int) else CALLS[name]
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *words)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def attempt(refusals=REFUSED, control=True, lacking=(), name=None):
    def register(function):
        area = function.__module__
        attempts[f"{area}.{name or function.__name__}"] = (function, refusals, control, lacking)
        return function

    return register


def directory(name):
    path = f"/tmp/{name}.{os.getpid()}"
    os.mkdir(path)
    return path.encode()


def outcome(function):
    """What the attempt came to, as the error that stopped it or what it returned."""
    try:
        found = function()
        return {"came": "through", "with": repr(found)}
    except OSError as error:
        return {"came": "refused", "error": errno.errorcode.get(error.errno, str(error))}


def judged(key):
    function, refusals, _, _ = attempts[key]
    came = outcome(function)
    names = [errno.errorcode[one] for one in refusals]
    if came["came"] == "refused" and came["error"] not in names:
        came["came"] = "oddly"
    return came


def controlled(key):
    """In a process of its own, since an attempt may change the process that makes it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, json.dumps(judged(key)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    came = json.loads(text) if text else {"came": "killed", "by": os.WTERMSIG(status)}
    lacking = [errno.errorcode[one] for one in attempts[key][3]]
    came["lacking"] = came.get("error") in lacking
    return came


def main():
    # The areas import this file by its name, and have to get this very module.
    sys.modules["attempt"] = sys.modules["__main__"]
    for area in AREAS:
        importlib.import_module(area)
    command = sys.argv[1]
    if command == "list":
        print(json.dumps({key: entry[2] for key, entry in attempts.items()}))
    elif command == "run":
        print(json.dumps(judged(sys.argv[2])))
    elif command == "controls":
        wanted = [key for key, entry in attempts.items() if entry[2]]
        print(json.dumps({key: controlled(key) for key in wanted}))


main()
