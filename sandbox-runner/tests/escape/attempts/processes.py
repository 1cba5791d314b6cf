"""Other processes: the first one of the sandbox and those of the host."""

import ctypes
import os
import struct
from errno import EACCES, EINVAL, EPERM, ESRCH

from attempt import REFUSED, attempt, call

UNREACHABLE = REFUSED + (ESRCH,)
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
SCHED_FIFO, PRIO_PROCESS, IOPRIO_WHO_PROCESS = 1, 0, 1


@attempt(control=False)
def attaching_to_the_first_process_is_refused():
    call("ptrace", PTRACE_ATTACH, 1, 0, 0)


@attempt(control=False)
def seizing_the_first_process_is_refused():
    call("ptrace", PTRACE_SEIZE, 1, 0, 0)


def vector(buffer):
    return ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(buffer), len(buffer)), 16)


@attempt(control=False)
def reading_the_memory_of_the_first_process_is_refused():
    buffer = ctypes.create_string_buffer(8)
    call("process_vm_readv", 1, vector(buffer), 1, vector(buffer), 1, 0)


@attempt(control=False)
def writing_the_memory_of_the_first_process_is_refused():
    buffer = ctypes.create_string_buffer(8)
    call("process_vm_writev", 1, vector(buffer), 1, vector(buffer), 1, 0)


@attempt(control=False)
def taking_a_descriptor_of_the_first_process_is_refused():
    call("pidfd_getfd", call("pidfd_open", 1, 0), 0, 0)


@attempt(control=False)
def comparing_with_the_first_process_is_refused():
    call("kcmp", os.getpid(), 1, 2, 0, 0)


@attempt(control=False)
def limiting_the_first_process_is_refused():
    """No descriptors for init would be no runner for the sandbox."""
    call("prlimit64", 1, 7, struct.pack("QQ", 1024, 1024), None)


@attempt(control=False)
def slowing_the_first_process_down_is_refused():
    call("setpriority", PRIO_PROCESS, 1, 19)


@attempt(control=False)
def choosing_the_processors_of_the_first_process_is_refused():
    call("sched_setaffinity", 1, 8, struct.pack("Q", 1))


@attempt(control=False)
def moving_the_memory_of_the_first_process_is_refused():
    page, node, status = (ctypes.c_uint64(0), ctypes.c_int(0), ctypes.c_int(0))
    call("move_pages", 1, 1, ctypes.byref(page), ctypes.byref(node), ctypes.byref(status), 0)


@attempt(control=False)
def dropping_the_memory_of_the_first_process_is_refused():
    buffer = ctypes.create_string_buffer(4096)
    cold = 20
    call("process_madvise", call("pidfd_open", 1, 0), vector(buffer), 1, cold, 0)


@attempt(UNREACHABLE + (EINVAL,), control=False)
def there_is_no_process_before_the_first():
    """Number 0 is where a process outside of the namespace is shown."""
    call("pidfd_open", 0, 0)


@attempt()
def running_before_everybody_else_is_refused():
    call("sched_setscheduler", 0, SCHED_FIFO, struct.pack("i", 50))


@attempt()
def running_with_a_deadline_is_refused():
    ms = 1_000_000
    attributes = struct.pack("IIQiIQQQ", 48, 6, 0, 0, 0, 5 * ms, 10 * ms, 10 * ms)
    call("sched_setattr", 0, ctypes.create_string_buffer(attributes, 48), 0)


@attempt((EACCES, EPERM))
def a_better_priority_is_refused():
    call("setpriority", PRIO_PROCESS, 0, -20)


@attempt()
def reading_from_disks_before_everybody_else_is_refused():
    real_time = 1 << 13
    call("ioprio_set", IOPRIO_WHO_PROCESS, 0, real_time)


@attempt((EPERM,), control=False)
def a_limit_cannot_be_raised_again():
    """Open files: every limit of the kind is taken back the same way."""
    soft = ctypes.create_string_buffer(16)
    call("prlimit64", 0, 7, None, soft)
    _, hard = struct.unpack("QQ", soft.raw)
    call("prlimit64", 0, 7, struct.pack("QQ", hard, hard + 1), None)
