"""New namespaces, and those of others."""

import ctypes
import os
import signal
import struct
from errno import EACCES, EINVAL, ENOENT, ENOSPC, EPERM, EUSERS

from attempt import REFUSED, attempt, call

KINDS = {
    "mount": (0x00020000, "mnt"), "cgroup": (0x02000000, "cgroup"), "uts": (0x04000000, "uts"),
    "ipc": (0x08000000, "ipc"), "user": (0x10000000, "user"), "pid": (0x20000000, "pid"),
    "network": (0x40000000, "net"), "time": (0x00000080, "time"),
}
# `bwrap --disable-userns` sets the number of user namespaces to what it is: then it is ENOSPC.
NEW = REFUSED + (EUSERS, ENOSPC)


def end(child):
    """In the child there is nothing more to do."""
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def unsharing(flag):
    return lambda: call("unshare", flag)


def cloning(flag):
    return lambda: end(call("clone", flag | signal.SIGCHLD, 0, 0, 0, 0))


def cloning3(flag):
    def clone():
        arguments = struct.pack("<11Q", flag, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
        end(call("clone3", ctypes.create_string_buffer(arguments, 88), 88))

    return clone


def entering(path):
    def enter():
        descriptor = os.open(path, os.O_RDONLY)
        call("setns", descriptor, 0)

    return enter


for kind, (value, file) in KINDS.items():
    attempt(NEW, name=f"unsharing_the_{kind}_namespace_is_refused")(unsharing(value))
    # Of the time namespace there is no clone.
    if kind != "time":
        attempt(NEW, name=f"cloning_into_a_new_{kind}_namespace_is_refused")(cloning(value))
    # It may not even be seen.
    hidden = REFUSED + (ENOENT,)
    attempt(hidden, name=f"entering_the_first_process_{kind}_namespace_is_refused", control=False)(
        entering(f"/proc/1/ns/{file}")
    )


attempt(NEW, name="cloning_by_clone3_into_a_new_user_namespace_is_refused")(cloning3(0x10000000))
attempt(NEW, name="cloning_by_clone3_into_a_new_network_namespace_is_refused")(cloning3(0x40000000))


@attempt(control=False)
def entering_a_namespace_of_its_own_again_is_refused():
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
    call("setns", descriptor, 0x40000000)


@attempt(REFUSED + (EINVAL,), control=False)
def entering_all_namespaces_of_the_first_process_by_its_descriptor_is_refused():
    descriptor = call("pidfd_open", 1, 0)
    call("setns", descriptor, 0x7E020000)


@attempt((EPERM, EACCES), control=False)
def mapping_users_anew_is_refused():
    with open("/proc/self/uid_map", "w", encoding="utf8") as file:
        file.write("0 0 1")


@attempt((EPERM, EACCES), control=False)
def allowing_groups_again_is_refused():
    with open("/proc/self/setgroups", "w", encoding="utf8") as file:
        file.write("allow")


@attempt(NEW, control=False)
def becoming_root_in_a_user_namespace_is_refused():
    call("unshare", 0x10000000 | 0x00020000)
    with open("/proc/self/uid_map", "w", encoding="utf8") as file:
        file.write(f"0 {os.getuid()} 1")
    call("mount", b"none", b"/tmp", b"tmpfs", 0, None)


