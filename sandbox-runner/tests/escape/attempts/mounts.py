"""The file system as it was mounted."""

import ctypes
import os
from errno import EACCES, ENOENT, EPERM, EROFS

from attempt import AT_FDCWD, REFUSED, attempt, call, directory

MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC, MS_SHARED = 32, 4096, 8192, 16384, 1 << 20
MNT_DETACH, OPEN_TREE_CLONE, AT_RECURSIVE, MOVE_MOUNT_F_EMPTY_PATH = 2, 1, 0x8000, 4


@attempt()
def mounting_a_file_system_is_refused():
    call("mount", b"none", directory("tmpfs"), b"tmpfs", 0, None)


@attempt()
def mounting_a_new_proc_is_refused():
    call("mount", b"none", directory("proc"), b"proc", 0, None)


@attempt()
def mounting_sysfs_is_refused():
    call("mount", b"none", directory("sys"), b"sysfs", 0, None)


@attempt(control=False)
def mounting_a_cgroup_hierarchy_is_refused():
    call("mount", b"none", directory("cgroup"), b"cgroup2", 0, None)


@attempt()
def mounting_an_overlay_is_refused():
    place = directory("overlay")
    call("mount", b"none", place, b"overlay", 0, b"lowerdir=/usr:/etc")


@attempt(control=False)
def unmounting_proc_is_refused():
    call("umount2", b"/proc", MNT_DETACH)


@attempt(control=False)
def unmounting_the_home_is_refused():
    call("umount2", b"/home/agent", MNT_DETACH)


@attempt(control=False)
def remounting_the_root_to_write_is_refused():
    call("mount", None, b"/", None, MS_REMOUNT | MS_BIND, None)


@attempt(control=False)
def remounting_the_system_to_write_is_refused():
    call("mount", None, b"/usr", None, MS_REMOUNT | MS_BIND, None)


@attempt()
def binding_a_directory_elsewhere_is_refused():
    call("mount", b"/usr", directory("bind"), None, MS_BIND, None)


@attempt(control=False)
def moving_a_mount_is_refused():
    call("mount", b"/proc", directory("move"), None, MS_MOVE, None)


@attempt()
def sharing_mounts_with_others_is_refused():
    call("mount", None, b"/", None, MS_SHARED | MS_REC, None)


@attempt(control=False)
def changing_the_root_by_pivot_root_is_refused():
    call("pivot_root", b"/", b"/")


@attempt()
def changing_the_root_by_chroot_is_refused():
    call("chroot", directory("root"))


@attempt(control=False)
def leaving_the_root_by_a_second_chroot_is_refused():
    """The classic: a directory kept open outside of the new root, then `..` for as long as it goes."""
    outside = os.open("/", os.O_RDONLY)
    call("chroot", directory("jail"))
    os.fchdir(outside)
    for _ in range(64):
        os.chdir("..")
    call("chroot", b".")


@attempt()
def opening_a_new_file_system_is_refused():
    call("fsopen", b"tmpfs", 0)


@attempt()
def picking_a_mounted_file_system_is_refused():
    call("fspick", AT_FDCWD, b"/", 0)


@attempt()
def cloning_a_tree_of_mounts_is_refused():
    call("open_tree", AT_FDCWD, b"/", OPEN_TREE_CLONE | AT_RECURSIVE)


@attempt(control=False)
def moving_a_mount_by_its_descriptor_is_refused():
    tree = call("open_tree", AT_FDCWD, b"/proc", 0)
    call("move_mount", tree, b"", AT_FDCWD, directory("target"), MOVE_MOUNT_F_EMPTY_PATH)


@attempt(control=False)
def changing_the_attributes_of_mounts_is_refused():
    # attr_set, attr_clr: MOUNT_ATTR_RDONLY is 1.
    attributes = (ctypes.c_uint64 * 4)(0, 1, 0, 0)
    call("mount_setattr", AT_FDCWD, b"/usr", AT_RECURSIVE, attributes, ctypes.sizeof(attributes))


def writes(place):
    def writing():
        path = f"{place}/escaped"
        with open(path, "w", encoding="utf8") as file:
            file.write("x")
        os.unlink(path)

    return writing


for where in ("/", "/usr", "/etc", "/bin", "/opt", "/opt/attempts", "/run/gateway", "/home"):
    attempt(
        refusals=(EROFS, EACCES, EPERM, ENOENT),
        control=False,
        name=f"writing_in_{where.strip('/').replace('/', '_') or 'the_root'}_is_refused",
    )(writes(where))


@attempt(refusals=(EROFS, EACCES, EPERM), control=False)
def changing_a_program_of_the_system_is_refused():
    os.chmod("/usr/bin/env", 0o777)


@attempt(refusals=(EROFS, EACCES, EPERM, ENOENT), control=False)
def replacing_the_first_process_program_is_refused():
    """As runc's CVE-2019-5736 did: through the link to a running program."""
    os.close(os.open("/proc/1/exe", os.O_WRONLY))


@attempt(refusals=REFUSED, control=False)
def hard_linking_a_program_of_the_system_into_the_home_is_refused():
    try:
        os.link("/usr/bin/su", f"/home/agent/su.{os.getpid()}")
    except OSError as error:
        # Another file system: the same refusal by other words.
        raise PermissionError(EPERM if error.errno == 18 else error.errno, "link") from error


