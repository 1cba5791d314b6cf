"""Devices of the host, by making them and by opening them."""

import fcntl
import os
import stat
import struct
import termios
from errno import EACCES, EINVAL, EIO, ENODEV, ENOENT, ENOTTY, ENXIO, EOPNOTSUPP, EPERM

from attempt import attempt, call

NODES = {
    "disk": (stat.S_IFBLK, 254, 0), "loop_device": (stat.S_IFBLK, 7, 0),
    "memory_device": (stat.S_IFCHR, 1, 1), "kernel_log": (stat.S_IFCHR, 1, 11),
    "fuse_device": (stat.S_IFCHR, 10, 229), "tunnel_device": (stat.S_IFCHR, 10, 200),
    "kvm_device": (stat.S_IFCHR, 10, 232), "console": (stat.S_IFCHR, 5, 1),
}


def making(kind, major, minor, place):
    def make():
        path = f"{place}/node.{os.getpid()}.{major}.{minor}".encode()
        call("mknod", path, kind | 0o666, os.makedev(major, minor))
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        finally:
            os.unlink(path)

    return make


for node, (form, first, second) in NODES.items():
    # Outside the node can be made; that no such device is there or that it cannot be opened twice
    # is another matter.
    attempt(name=f"making_a_{node}_is_refused", control=node != "disk", lacking=(ENXIO, ENODEV))(
        making(form, first, second, "/tmp")
    )
attempt(name="making_a_disk_in_the_home_is_refused", control=False)(
    making(stat.S_IFBLK, 254, 0, "/home/agent")
)
attempt(name="making_a_disk_in_shared_memory_is_refused", control=False)(
    making(stat.S_IFBLK, 254, 0, "/dev/shm")
)

for device in (
    "kvm", "mem", "port", "vda", "sda", "fuse", "net/tun", "loop0", "loop-control", "kmsg",
    "vhost-vsock", "vsock", "userfaultfd", "btrfs-control", "hwrng", "tty0", "cpu/0/msr",
    "snapshot", "rtc0", "input/event0",
):
    safe = device.replace("/", "_").replace("-", "_")
    attempt(
        (EACCES, EPERM, ENOENT), name=f"opening_dev_{safe}_is_refused", control=False,
    )(lambda device=device: os.close(os.open(f"/dev/{device}", os.O_RDONLY | os.O_NONBLOCK)))


HARMLESS = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)}


@attempt((ENODEV,))
def every_device_that_is_there_is_harmless():
    others = []
    for place, _, names in os.walk("/dev"):
        for name in names:
            path = os.path.join(place, name)
            status = os.lstat(path)
            if stat.S_ISBLK(status.st_mode):
                others.append(path)
            elif stat.S_ISCHR(status.st_mode):
                number = (os.major(status.st_rdev), os.minor(status.st_rdev))
                # 136 to 143 are the sandbox's own terminals.
                if number not in HARMLESS and not 136 <= number[0] <= 143:
                    others.append(path)
    if not others:
        raise OSError(ENODEV, "no others")
    return others


@attempt((ENXIO, ENOENT, EACCES, EPERM), control=False)
def there_is_no_terminal_of_the_host():
    """As codex and bubblewrap (CVE-2017-5226) check: a shared terminal takes commands for later."""
    os.close(os.open("/dev/tty", os.O_RDWR))


@attempt((EPERM, EACCES, EIO), lacking=(EIO,))
def putting_words_into_a_terminal_is_refused():
    own, other = os.openpty()
    child = os.fork()
    if child == 0:
        os.close(own)
        os.setsid()
        fcntl.ioctl(other, termios.TIOCSCTTY, 0)
        try:
            fcntl.ioctl(other, termios.TIOCSTI, b"x")
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    # A negative one is the signal of a filter that kills.
    if code != 0:
        raise OSError(EPERM if code < 0 else code, "TIOCSTI")


@attempt((EPERM, EACCES, EINVAL, ENOTTY), control=False)
def the_selection_of_a_console_is_out_of_reach():
    _, other = os.openpty()
    fcntl.ioctl(other, termios.TIOCLINUX, struct.pack("b", 2))


@attempt((EPERM, EACCES, ENOTTY, EOPNOTSUPP))
def making_a_file_that_cannot_be_removed_is_refused():
    """The runner has to be able to remove what a sandbox leaves: `chattr +i`."""
    home = "/home/agent" if os.path.isdir("/home/agent") else "/root"
    path = f"{home}/immutable.{os.getpid()}"
    with open(path, "wb") as file:
        try:
            flags = bytearray(struct.pack("l", 0))
            fcntl.ioctl(file, 0x80086601, flags)
            (before,) = struct.unpack("l", flags)
            fcntl.ioctl(file, 0x40086602, struct.pack("l", before | 0x10))
            fcntl.ioctl(file, 0x40086602, struct.pack("l", before))
        finally:
            os.unlink(path)
