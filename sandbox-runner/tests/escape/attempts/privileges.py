"""More rights than the sandbox was given."""

import ctypes
import os
import struct
import subprocess
from errno import EACCES, EINVAL, ENODATA, ENOENT, EOPNOTSUPP, EPERM

from attempt import REFUSED, attempt, call

PR_SET_NO_NEW_PRIVS, PR_SET_MM, PR_SET_SECUREBITS = 38, 35, 28
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAP_NET_ADMIN = 12


@attempt(REFUSED + (EINVAL,))
def becoming_root_by_setuid_is_refused():
    call("setuid", 0)


@attempt(REFUSED + (EINVAL,))
def becoming_the_group_of_root_is_refused():
    call("setgid", 0)


@attempt(REFUSED + (EINVAL,), control=False)
def becoming_another_user_is_refused():
    call("setresuid", 12345, 12345, 12345)


@attempt(REFUSED + (EINVAL,))
def leaving_groups_is_refused():
    call("setgroups", 0, None)


@attempt(control=False)
def taking_every_capability_is_refused():
    header = struct.pack("Ii", 0x20080522, 0)
    every = struct.pack("6I", 0xFFFFFFFF, 0xFFFFFFFF, 0, 0x1FF, 0x1FF, 0)
    call("capset", ctypes.create_string_buffer(header, 8), ctypes.create_string_buffer(every, 24))


@attempt(control=False)
def keeping_a_capability_over_a_program_is_refused():
    call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0)


@attempt()
def changing_the_secure_bits_is_refused():
    call("prctl", PR_SET_SECUREBITS, 0, 0, 0, 0)


@attempt((EINVAL, EPERM), control=False)
def taking_no_new_privileges_back_is_refused():
    call("prctl", PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0)


@attempt(REFUSED + (EINVAL,), control=False)
def pretending_to_be_another_program_is_refused():
    descriptor = os.open("/usr/bin/env", os.O_RDONLY)
    exe_file = 13
    call("prctl", PR_SET_MM, exe_file, descriptor, 0, 0)


def identity(program, arguments=()):
    """Who a program says that it runs as, and with which capabilities."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


@attempt((EPERM,), control=False)
def a_program_that_belongs_to_root_runs_as_the_user():
    """`decoy/id` is a copy of `id` with the bit that makes it run as root. Its control is beside
    the test: outside the bit works."""
    shown = identity("/opt/decoy/bin/setuid-id", ["-u"])
    if shown == str(os.getuid()) and shown != "0":
        raise PermissionError(EPERM, "as the user")
    return shown


@attempt((EPERM,), control=False)
def a_program_with_capabilities_runs_without_them():
    shown = identity("/opt/decoy/bin/capable-cat", ["/proc/self/status"])
    sets = [line.split()[1] for line in shown.splitlines() if line.startswith("Cap")]
    # Not executed at all is as good: the kernel refuses capabilities that it cannot give.
    if all(int(one, 16) == 0 for one in sets):
        raise PermissionError(EPERM, "without")
    return sets


@attempt((EPERM,), control=False)
def a_program_of_its_own_does_not_get_a_user_by_its_bits():
    path = f"/home/agent/id.{os.getpid()}"
    subprocess.run(["cp", "/usr/bin/id", path], check=True)
    try:
        os.chmod(path, 0o6755)
        if identity(path, ["-u"]) == str(os.getuid()):
            raise PermissionError(EPERM, "as the user")
    finally:
        os.unlink(path)


def gaining(*command):
    """A program that would make somebody root, if it worked."""

    def gain():
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
            )
        except FileNotFoundError as error:
            raise PermissionError(ENOENT, "not there") from error
        if done.returncode != 0:
            raise PermissionError(EPERM, done.stderr)
        return done.stdout

    return gain


for title, command in {
    "su": ("su", "-c", "id -u"),
    "sudo": ("sudo", "-n", "id", "-u"),
    "pkexec": ("pkexec", "id", "-u"),
    "newuidmap": ("newuidmap", str(os.getpid()), "0", "0", "1"),
    "newgrp": ("sg", "root", "-c", "id -g"),
    "passwd": ("passwd", "-d", "root"),
    "mount": ("mount", "-t", "tmpfs", "none", "/tmp"),
    "unshare": ("unshare", "--user", "--map-root-user", "id", "-u"),
    "nsenter": ("nsenter", "--target", "1", "--all", "id", "-u"),
    "bwrap": ("/usr/bin/bwrap", "--unshare-user", "--ro-bind", "/", "/", "id", "-u"),
    "setpriv": ("setpriv", "--reuid", "0", "id", "-u"),
    "capsh": ("capsh", "--caps=cap_sys_admin+ep", "--", "-c", "id -u"),
}.items():
    attempt((EPERM, ENOENT), name=f"{title}_gains_nothing", control=False)(gaining(*command))


@attempt((EPERM, EACCES, EOPNOTSUPP), control=False)
def giving_a_file_capabilities_is_refused():
    path = f"/home/agent/capable.{os.getpid()}"
    open(path, "wb").close()
    try:
        every = struct.pack("<IIIII", 0x02000001, 0xFFFFFFFF, 0, 0x1FF, 0)
        os.setxattr(path, "security.capability", every)
    finally:
        os.unlink(path)


@attempt((EPERM, EACCES, EOPNOTSUPP, ENODATA), control=False)
def setting_an_attribute_that_an_overlay_obeys_is_refused():
    """`trusted.overlay.redirect` on a directory would show another one in its place."""
    path = f"/home/agent/redirected.{os.getpid()}"
    os.mkdir(path)
    try:
        os.setxattr(path, "trusted.overlay.redirect", b"/etc")
    finally:
        os.rmdir(path)


@attempt((EPERM, EINVAL), control=False)
def giving_a_file_to_root_is_refused():
    path = f"/home/agent/given.{os.getpid()}"
    open(path, "wb").close()
    try:
        os.chown(path, 0, 0)
    finally:
        os.unlink(path)
