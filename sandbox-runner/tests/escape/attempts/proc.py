"""What `/proc` and `/sys` would tell of the host, or let somebody change of it."""

import os
from errno import EACCES, EINVAL, EIO, ENOENT, ENOTDIR, EPERM, EROFS

from attempt import attempt

HIDDEN = (EACCES, EPERM, ENOENT)
UNWRITABLE = (EACCES, EPERM, EROFS, ENOENT)


def refuse_if(nothing, error=EACCES):
    """For what is there and empty: as good as a refusal."""
    if nothing:
        raise OSError(error, "there is nothing in it")


def listing(path):
    def look():
        names = os.listdir(path)
        refuse_if(not names)
        return names

    return look


def reading(path):
    def read():
        with open(path, "rb") as file:
            text = file.read(4096)
        refuse_if(not text.strip())
        return text[:80]

    return read


for what in ("mem", "environ", "maps", "auxv", "stack", "syscall"):
    attempt(HIDDEN, name=f"reading_the_first_process_{what}_is_refused", control=False)(
        reading(f"/proc/1/{what}")
    )
for what in ("fd", "fdinfo", "map_files"):
    attempt(HIDDEN, name=f"listing_the_first_process_{what}_is_refused", control=False)(
        listing(f"/proc/1/{what}")
    )
for what in ("root", "cwd", "exe"):
    attempt(HIDDEN, name=f"following_the_first_process_{what}_is_refused", control=False)(
        lambda what=what: os.stat(f"/proc/1/{what}")
    )


@attempt(HIDDEN, control=False)
def reaching_files_through_the_root_of_the_first_process_is_refused():
    return os.listdir("/proc/1/root/root")


def opening_to_write(path):
    return lambda: os.close(os.open(path, os.O_WRONLY))


# Opening is enough: nothing is written, so the control is harmless.
for path in (
    "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/drop_caches", "/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward", "/proc/sys/fs/file-max",
):
    setting = path.rsplit("/", 1)[1].replace("-", "_")
    attempt(UNWRITABLE, name=f"writing_{setting}_is_refused", lacking=(ENOENT,))(
        opening_to_write(path)
    )


@attempt()
def nothing_under_proc_sys_can_be_written():
    writable = []
    for place, _, names in os.walk("/proc/sys"):
        for name in names:
            try:
                os.close(os.open(os.path.join(place, name), os.O_WRONLY))
                writable.append(os.path.join(place, name))
            except OSError:
                pass
    refuse_if(not writable)
    return writable


@attempt(control=False)
def nothing_in_proc_outside_of_a_process_can_be_written():
    writable = []
    for place, directories, names in os.walk("/proc"):
        directories[:] = [
            name for name in directories
            if place != "/proc" or not name.isdigit() and name not in ("self", "thread-self", "sys")
        ]
        for name in names:
            path = os.path.join(place, name)
            try:
                if not os.path.islink(path):
                    os.close(os.open(path, os.O_WRONLY))
                    # A null device over it takes what is written and does nothing.
                    if not os.path.samefile(path, "/dev/null"):
                        writable.append(path)
            except OSError:
                pass
    refuse_if(not writable)
    return writable


for path in ("/proc/kcore", "/proc/kmsg", "/proc/kpageflags", "/proc/kpagecount"):
    attempt(HIDDEN + (EIO,), name=f"opening_{os.path.basename(path)}_is_refused", lacking=(ENOENT,))(
        lambda path=path: refuse_if(os.path.samefile(path, "/dev/null"))
        or os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    )


for path in (
    "/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats",
    "/proc/scsi/scsi", "/proc/acpi/wakeup", "/proc/asound/cards",
):
    shown = path.removeprefix("/proc/").replace("/", "_").replace("-", "_")
    attempt(HIDDEN + (ENOTDIR,), name=f"proc_{shown}_tells_nothing", control=False)(reading(path))


@attempt()
def kernel_addresses_are_hidden():
    with open("/proc/kallsyms", encoding="utf8") as file:
        refuse_if(all(int(line.split()[0], 16) == 0 for line in file))


@attempt(control=False)
def the_host_is_not_in_the_list_of_its_cgroups():
    """A path with `..` or the state directory in it would tell where the sandbox stands outside."""
    with open("/proc/self/cgroup", encoding="utf8") as file:
        groups = [line.strip().split(":", 2)[2] for line in file]
    refuse_if(all(group == "/" for group in groups))
    return groups


@attempt(HIDDEN, lacking=(ENOENT,))
def sysfs_is_not_there():
    return listing("/sys/kernel")()


@attempt(UNWRITABLE, control=False)
def a_cgroup_cannot_be_made():
    """The way of CVE-2022-0492: a cgroup v1 hierarchy and its release agent."""
    os.mkdir(f"/sys/fs/cgroup/escape.{os.getpid()}")


@attempt(UNWRITABLE, control=False)
def a_limit_of_its_own_cgroup_cannot_be_raised():
    for path in ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"):
        try:
            os.close(os.open(path, os.O_WRONLY))
            return path
        except FileNotFoundError:
            pass
    raise FileNotFoundError(ENOENT, "no such file")


@attempt((EACCES, EPERM), control=False)
def being_spared_when_memory_runs_out_is_refused():
    with open("/proc/self/oom_score_adj", "w", encoding="utf8") as file:
        file.write("-1000")


@attempt(HIDDEN, control=False)
def having_the_first_process_killed_when_memory_runs_out_is_refused():
    with open("/proc/1/oom_score_adj", "w", encoding="utf8") as file:
        file.write("1000")


@attempt((EACCES, EPERM, ENOENT, EINVAL, EROFS), control=False)
def changing_the_security_label_of_the_first_process_is_refused():
    with open("/proc/1/attr/current", "w", encoding="utf8") as file:
        file.write("unconfined")
