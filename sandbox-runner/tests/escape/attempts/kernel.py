"""Parts of the kernel that no agent needs: each is a way in that was used before."""

import ctypes
import mmap
import os
import struct
import time
from errno import ENOENT, ENOSYS

from attempt import attempt, call

KEY_SPEC_SESSION_KEYRING, KEY_SPEC_USER_KEYRING = -3, -4


def zeros(size):
    return ctypes.create_string_buffer(size)


@attempt()
def making_a_bpf_map_is_refused():
    array = struct.pack("IIII", 2, 4, 4, 1)
    call("bpf", 0, ctypes.create_string_buffer(array, 128), 128)


@attempt()
def loading_a_bpf_program_is_refused():
    instructions = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)
    code, license_text = ctypes.create_string_buffer(instructions, 16), ctypes.create_string_buffer(b"GPL")
    program = struct.pack("IIQQ", 1, 2, ctypes.addressof(code), ctypes.addressof(license_text))
    call("bpf", 5, ctypes.create_string_buffer(program, 128), 128)


@attempt(lacking=(ENOENT,))
def counting_events_of_the_machine_is_refused():
    software, clock = 1, 0
    counter = struct.pack("IIQ", software, 112, clock)
    call("perf_event_open", ctypes.create_string_buffer(counter, 112), -1, 0, -1, 0)


@attempt()
def asking_for_a_keyring_is_refused():
    call("keyctl", 0, KEY_SPEC_SESSION_KEYRING, 1)


@attempt()
def joining_a_session_keyring_is_refused():
    call("keyctl", 1, b"escape")


@attempt()
def adding_a_key_is_refused():
    call("add_key", b"user", b"escape", b"secret", 6, KEY_SPEC_USER_KEYRING)


@attempt()
def having_a_key_requested_is_refused():
    """The kernel starts a program of the host for it."""
    call("request_key", b"user", b"no-such-key", b"info", KEY_SPEC_SESSION_KEYRING)


@attempt()
def handling_page_faults_is_refused():
    call("userfaultfd", 0)


@attempt()
def handling_page_faults_of_its_own_is_refused():
    user_mode_only = 1
    call("userfaultfd", user_mode_only)


@attempt()
def a_ring_of_system_calls_is_refused():
    """What io_uring does, no filter of system calls sees."""
    call("io_uring_setup", 4, zeros(120))


@attempt(lacking=(ENOSYS,))
def loading_a_module_is_refused():
    call("init_module", zeros(64), 64, b"")


@attempt(lacking=(ENOSYS,))
def loading_a_module_from_a_file_is_refused():
    call("finit_module", os.open("/usr/bin/env", os.O_RDONLY), b"", 0)


@attempt(lacking=(ENOSYS,))
def removing_a_module_is_refused():
    call("delete_module", b"no_such_module", 0)


@attempt(lacking=(ENOSYS,), control=False)
def loading_another_kernel_is_refused():
    call("kexec_load", 0, 0, None, 0)


@attempt(lacking=(ENOSYS,), control=False)
def loading_another_kernel_from_a_file_is_refused():
    call("kexec_file_load", -1, -1, 0, None, 0)


@attempt()
def opening_a_file_by_its_number_is_refused():
    """How `shocker.c` left Docker: file 2 is the root of the host's file system."""
    handle = ctypes.create_string_buffer(struct.pack("<IiQ", 8, 1, 2), 16)
    call("open_by_handle_at", os.open("/", os.O_RDONLY), handle, os.O_RDONLY)


@attempt(lacking=(ENOSYS,))
def changing_quotas_is_refused():
    turn_on = 0x800002 << 8
    call("quotactl_fd", os.open("/tmp", os.O_RDONLY), turn_on, 0, None)


@attempt()
def adding_swap_is_refused():
    call("swapon", b"/no/such/file", 0)


@attempt()
def removing_swap_is_refused():
    call("swapoff", b"/no/such/file")


@attempt(control=False)
def restarting_the_machine_is_refused():
    # Takes the keys that restart it out of use, and no more.
    call("reboot", 0xFEE1DEAD, 672274793, 0, None)


def now():
    seconds = time.time()
    return struct.pack("qq", int(seconds), int(seconds % 1 * 1_000_000))


@attempt(control=False)
def setting_the_time_is_refused():
    call("settimeofday", now(), None)


@attempt(control=False)
def setting_the_clock_is_refused():
    seconds = time.time()
    call("clock_settime", 0, struct.pack("qq", int(seconds), int(seconds % 1 * 1_000_000_000)))


@attempt(control=False)
def changing_the_speed_of_the_clock_is_refused():
    # ADJ_TICK with the tick that every machine has.
    change = struct.pack("I4xqqqi4xqqq3q", 0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10000)
    call("adjtimex", ctypes.create_string_buffer(change, 256))


@attempt()
def renaming_the_machine_is_refused():
    call("sethostname", b"escaped", 7)


@attempt()
def renaming_the_domain_is_refused():
    call("setdomainname", b"escaped", 7)


@attempt()
def having_processes_accounted_is_refused():
    call("acct", b"/no/such/file")


@attempt()
def reading_the_kernel_log_is_refused():
    call("syslog", 3, zeros(64), 64)


@attempt(control=False)
def emptying_the_kernel_log_is_refused():
    call("syslog", 5, None, 0)


@attempt(lacking=(ENOSYS,))
def access_to_every_port_of_the_machine_is_refused():
    call("iopl", 3)


@attempt(lacking=(ENOSYS,))
def access_to_a_port_of_the_machine_is_refused():
    call("ioperm", 0x80, 1, 1)


@attempt(lacking=(ENOSYS,))
def changing_the_table_of_segments_is_refused():
    call("modify_ldt", 0, zeros(16), 16)


@attempt()
def watching_the_files_of_everybody_is_refused():
    content = 4
    call("fanotify_init", content, 0)


@attempt(control=False)
def hanging_up_the_terminal_is_refused():
    call("vhangup")


@attempt(lacking=(ENOSYS,))
def system_calls_of_the_x32_kind_are_refused():
    call(0x40000000 | 39)


@attempt(lacking=(ENOSYS,))
def system_calls_of_the_i386_kind_are_refused():
    """A filter that looks at the number alone takes `int 0x80` for another call. In a child, since
    without the kind it is an invalid instruction."""
    # mov eax, 20 (getpid of i386); int 0x80; ret
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
        os.write(writing, b"y" if result == os.getpid() else b"n")
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 1)
    os.waitpid(child, 0)
    if said != b"y":
        raise OSError(ENOSYS, "not there")

