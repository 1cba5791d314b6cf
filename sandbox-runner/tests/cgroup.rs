#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]
//! Control groups of this machine, whichever kind it has, with real processes in them.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sandbox_runner::sandbox::cgroup::{Cgroup, CgroupError, Driver, Entrance};
use sandbox_runner::sandbox::limits::Limits;

const DEADLINE: Duration = Duration::from_secs(60);

/// A driver for a state directory of its own, whose groups are removed in the end.
struct Machine {
    driver: Driver,
    state: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let driver = Driver::detect(state.path());
        assert!(driver.enforced().all(), "{driver}: the tests need root");
        Self { driver, state }
    }

    fn group(&self, limits: &Limits) -> Cgroup {
        self.driver.create("sandbox", limits).unwrap().unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for name in self.driver.list().unwrap_or_default() {
            if let Ok(Some(group)) = self.driver.open(&name) {
                let _ = group.kill().and_then(|()| group.remove());
            }
        }
        // The parent of the groups; the one of all runners stays, since others may be about to use it.
        let metadata = self.state.path().metadata().unwrap();
        let owner = format!("hosted-agents/{:x}-{:x}", metadata.dev(), metadata.ino());
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap();
        let hierarchies = hierarchies.map(|entry| entry.unwrap().path());
        for hierarchy in hierarchies.chain(["/sys/fs/cgroup".into()]) {
            let _ = std::fs::remove_dir(hierarchy.join(&owner));
        }
    }
}

/// A program that starts only when it is in the group.
struct Program {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
}

impl Program {
    fn start(group: &Cgroup, program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", "read -r line; exec \"$@\"", "sh", program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        group.attach(child.id().try_into().unwrap()).unwrap();
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let output = child.stdout.take().map(BufReader::new);
        Self { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// Everything it still writes, once all who could write have ended.
    fn rest(&mut self) -> String {
        let mut output = self.output.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = output.read_to_string(&mut text);
            sender.send(text)
        });
        receiver.recv_timeout(DEADLINE).unwrap()
    }

    /// The signal that ended it.
    fn signal(&mut self) -> Option<i32> {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let deadline = Timespec::try_from(DEADLINE).unwrap();
        let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&deadline)).unwrap();
        assert_eq!(ended, 1, "it has not ended");
        std::os::unix::process::ExitStatusExt::signal(&self.child.wait().unwrap())
    }
}

#[test]
fn what_takes_too_much_memory_is_killed_and_counted() {
    let machine = Machine::new();
    let group = machine.group(&Limits {
        memory_bytes: 64 << 20,
        ..Limits::default()
    });
    let script = "data = bytearray(); [data.extend(bytes(1 << 20)) for _ in range(4096)]";
    let mut bomb = Program::start(&group, "python3", &["-c", script]);
    assert_eq!(bomb.signal(), Some(9));

    let stats = group.stats().unwrap();
    assert_eq!(stats.out_of_memory_kills, Some(1));
    let peak = stats.memory_peak_bytes.unwrap();
    assert!((32 << 20..=64 << 20).contains(&peak), "{stats:?}");
}

#[test]
fn what_starts_too_many_processes_cannot_and_is_counted() {
    let machine = Machine::new();
    let group = machine.group(&Limits {
        processes: 20,
        ..Limits::default()
    });
    let script = "
import os, time
started = 0
try:
    while started < 1000:
        if os.fork() == 0:
            time.sleep(600)
        started += 1
except BlockingIOError:
    print(started, flush=True)
time.sleep(600)
";
    let mut bomb = Program::start(&group, "python3", &["-c", script]);
    assert_eq!(bomb.line(), "19\n");

    let stats = group.stats().unwrap();
    assert_eq!(stats.processes, Some(20));
    assert_eq!(stats.process_limit_hits, Some(1));
    assert_eq!(group.processes().unwrap().len(), 20);
    group.kill().unwrap();
    bomb.signal();
}

#[test]
fn processor_time_is_rationed_and_counted() {
    let machine = Machine::new();
    let group = machine.group(&Limits {
        cpu_percent: 10,
        ..Limits::default()
    });
    // 0.2 seconds of the processor are two of the clock; half of that is no accident.
    let script = "
import time
start = time.monotonic()
while time.process_time() < 0.2: pass
print(time.monotonic() - start)
";
    let mut program = Program::start(&group, "python3", &["-c", script]);
    let seconds: f64 = program.line().trim().parse().unwrap();
    assert!(seconds > 1.0, "{seconds}");
    assert_eq!(program.signal(), None);
    let micros = group.stats().unwrap().cpu_micros.unwrap();
    assert!(micros >= 200_000, "{micros}");
}

#[test]
fn a_frozen_group_does_nothing_until_it_is_thawed() {
    let machine = Machine::new();
    let group = machine.group(&Limits::default());
    let mut counter = Program::start(&group, "bash", &["-c", "while :; do echo $((i++)); done"]);
    counter.line();
    group.freeze().unwrap();

    // What is in the pipe was written before; then there is nothing more.
    let spent = || group.stats().unwrap().cpu_micros.unwrap();
    let before = spent();
    let mut output = counter.output.take().unwrap();
    let quiet = Timespec::try_from(Duration::from_millis(100)).unwrap();
    loop {
        let ready = output.buffer().is_empty()
            && poll(
                &mut [PollFd::new(output.get_ref(), PollFlags::IN)],
                Some(&quiet),
            )
            .unwrap()
                == 0;
        if ready {
            break;
        }
        let length = output.fill_buf().unwrap().len();
        output.consume(length);
    }
    assert_eq!(spent(), before);

    group.thaw().unwrap();
    counter.output = Some(output);
    assert!(counter.line().ends_with('\n'));
    group.kill().unwrap();
    assert_eq!(counter.signal(), Some(9));
}

#[test]
fn killing_ends_also_what_left_its_parents() {
    let machine = Machine::new();
    let group = machine.group(&Limits::default());
    let script = "for i in 1 2 3; do setsid sh -c 'sleep 600 & sleep 600' & done; echo up; wait";
    let mut program = Program::start(&group, "bash", &["-c", script]);
    assert_eq!(program.line(), "up\n");
    group.kill().unwrap();
    assert_eq!(group.processes().unwrap(), Vec::<i32>::new());
    // All of them held its output.
    assert_eq!(program.rest(), "");
    assert_eq!(program.signal(), Some(9));
}

#[test]
fn a_process_can_be_in_the_group_from_its_start() {
    let machine = Machine::new();
    let group = machine.group(&Limits::default());
    let pid = start_inside(&group.entrance().unwrap());
    assert_eq!(group.processes().unwrap(), [pid]);
    // It says so when it has entered the hierarchies that it has to enter by itself.
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let count = groups.lines().filter(|line| line.ends_with("/sandbox"));
    assert_eq!(count.count(), group.entrance().unwrap().tasks.len() + 1);
    assert_eq!(group.stats().unwrap().processes, Some(1));
    group.kill().unwrap();
    let pid = Pid::from_raw(pid).unwrap();
    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
}

/// A child that has entered and then only waits for its end.
fn start_inside(entrance: &Entrance) -> i32 {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let directory = entrance.directory.as_ref().unwrap().as_raw_fd();
    #[expect(
        unsafe_code,
        reason = "the standard library starts no process in a group"
    )]
    // SAFETY: all fields may be zero. The child is a copy with one thread that makes system calls
    // only, until it is killed.
    let pid = unsafe {
        let mut arguments: libc::clone_args = std::mem::zeroed();
        arguments.flags = 0x2_0000_0000; // CLONE_INTO_CGROUP
        arguments.exit_signal = libc::SIGCHLD.unsigned_abs().into();
        arguments.cgroup = directory.unsigned_abs().into();
        let size = size_of::<libc::clone_args>();
        let pid = libc::syscall(libc::SYS_clone3, &raw const arguments, size);
        if pid == 0 {
            let entered = u8::from(entrance.enter().is_ok());
            let _ = rustix::io::write(&writer, &[entered]);
            loop {
                libc::pause();
            }
        }
        i32::try_from(pid).unwrap()
    };
    drop(writer);
    let mut entered = [0];
    reader.read_exact(&mut entered).unwrap();
    assert_eq!(entered, [1]);
    pid
}

#[test]
fn a_frozen_group_can_be_killed() {
    let machine = Machine::new();
    let group = machine.group(&Limits::default());
    let mut program = Program::start(&group, "sleep", &["600"]);
    group.freeze().unwrap();
    group.kill().unwrap();
    assert_eq!(program.signal(), Some(9));
}

#[test]
fn an_empty_group_can_be_frozen_and_killed() {
    let machine = Machine::new();
    let group = machine.group(&Limits::default());
    group.freeze().unwrap();
    group.thaw().unwrap();
    group.kill().unwrap();
}

#[test]
fn a_group_is_removed_only_when_it_is_empty() {
    let machine = Machine::new();
    let group = machine.group(&Limits::default());
    let mut program = Program::start(&group, "sleep", &["600"]);
    assert!(matches!(group.remove(), Err(CgroupError::Remove { .. })));
    group.kill().unwrap();
    group.remove().unwrap();
    assert!(machine.driver.open("sandbox").unwrap().is_none());
    assert_eq!(machine.driver.list().unwrap(), Vec::<String>::new());
    group.remove().unwrap();
    program.signal();
}

#[test]
fn a_later_runner_finds_the_groups_of_its_state_directory() {
    let machine = Machine::new();
    let group = machine.group(&Limits::default());
    let mut program = Program::start(&group, "sleep", &["600"]);
    drop(group);

    let later = Driver::detect(machine.state.path());
    assert_eq!(later.list().unwrap(), ["sandbox"]);
    let found = later.open("sandbox").unwrap().unwrap();
    let pid = i32::try_from(program.child.id()).unwrap();
    assert_eq!(found.processes().unwrap(), [pid]);
    found.kill().unwrap();
    assert_eq!(program.signal(), Some(9));

    let other = Machine::new();
    assert_eq!(other.driver.list().unwrap(), Vec::<String>::new());
    assert!(other.driver.open("sandbox").unwrap().is_none());
}

#[test]
fn a_group_is_made_once() {
    let machine = Machine::new();
    let _group = machine.group(&Limits::default());
    let again = machine.driver.create("sandbox", &Limits::default());
    assert!(matches!(again, Err(CgroupError::Create { .. })));
    assert!(machine.driver.open("sandbox").unwrap().is_some());
}

#[test]
fn a_name_is_never_a_path() {
    let machine = Machine::new();
    for name in ["", ".", "..", "a/b", "../a", "cgroup.procs", "a\0"] {
        let made = machine.driver.create(name, &Limits::default());
        assert!(matches!(made, Err(CgroupError::Name(_))), "{name:?}");
    }
}
