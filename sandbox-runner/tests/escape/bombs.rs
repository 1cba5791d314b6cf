//! Programs that take all that there is: each has a sandbox of its own, is stopped by a limit or
//! goes on without harm, and the neighbour answers meanwhile and afterwards.
//!
//! Each bomb ends by itself at a size that a machine survives, and then says that nothing stopped
//! it: a limit that is missing fails a test and no machine.

use std::time::Duration;

use protocol::SandboxId;
use sandbox_runner::init::wire::{ExecSpec, Exit, SpawnSpec};
use sandbox_runner::sandbox::channel::{ChannelError, Exec, ExecFrame, ExecOutput};
use sandbox_runner::sandbox::limits::Limits;
use sandbox_runner::sandbox::{SandboxBackend, SandboxSpec};

use crate::fixture::{Fixture, spec};
use crate::tests;
use crate::world::{Group, LIMIT, PYTHON, World, python, stdout};

pub(crate) fn group(group: &mut Group<'_>) {
    tests!(
        group;
        a_fork_bomb_is_stopped,
        a_bomb_of_threads_is_stopped,
        a_shell_that_calls_itself_twice_is_stopped,
        a_memory_bomb_is_stopped,
        memory_taken_through_tmp_is_limited,
        memory_taken_through_dev_shm_is_limited,
        memory_taken_through_run_is_limited,
        memory_taken_through_shared_segments_is_limited,
        memory_taken_through_pipes_is_limited,
        a_home_that_grows_without_end_is_stopped,
        a_home_with_ever_more_files_is_stopped,
        a_home_filled_with_files_without_names_is_stopped,
        a_home_filled_with_mapped_files_without_names_is_stopped,
        descriptors_without_end_are_refused,
        a_hog_of_processors_leaves_some_to_the_neighbour,
        output_without_end_fills_no_memory,
        output_that_nobody_reads_holds_nobody_up,
        zombies_are_collected_or_limited,
        a_program_that_ignores_being_asked_is_ended,
        connections_to_the_first_process_without_end_hurt_only_oneself,
        arguments_without_end_are_refused,
        instances_of_inotify_are_not_taken_from_the_neighbour,
        pending_signals_are_not_taken_from_the_neighbour,
        message_queues_are_not_taken_from_the_neighbour,
        descriptors_in_flight_are_not_taken_from_the_neighbour,
        terminals_are_not_taken_from_the_neighbour,
        asynchronous_requests_are_not_taken_from_the_neighbour,
        open_files_are_not_taken_from_the_neighbour,
        memory_taken_through_connections_is_limited,
        locked_memory_is_limited,
    );
}

/// Less than any bomb takes, and enough for an interpreter.
const LIMITS: Limits = Limits {
    memory_bytes: 192 << 20,
    cpu_percent: 100,
    processes: 128,
    open_files: 65_536,
    file_bytes: 1 << 30,
    disk_bytes: 128 << 20,
    files: 20_000,
};

async fn small() -> (Fixture, SandboxId) {
    let fixture = Fixture::new();
    let spec = SandboxSpec {
        limits: LIMITS,
        ..spec(&[])
    };
    let id = fixture.backend.create(&spec).await.unwrap().id;
    (fixture, id)
}

/// Runs a bomb that prints how far it came, while the neighbour is asked again and again.
async fn explode(world: &World, program: &str) -> (Fixture, SandboxId, ExecOutput) {
    let pair = world.pair().await;
    let (fixture, id) = small().await;
    let output = {
        let bomb = python(&fixture, &id, program, &[]);
        tokio::pin!(bomb);
        loop {
            tokio::select! {
                output = &mut bomb => break output,
                () = pair.assert_sound() => {}
            }
        }
    };
    pair.assert_sound().await;
    (fixture, id, output)
}

/// The bomb was stopped, and its sandbox either answers again or can be ended without a rest.
async fn is_stopped(world: &World, program: &str) {
    let (fixture, id, output) = explode(world, program).await;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!shown.contains("NOTHING STOPPED IT"), "{shown}");
    let stopped = shown.contains("stopped") || output.exit == Exit::Signal(9);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stopped || stderr.contains("MemoryError"),
        "{:?} {shown} {stderr}",
        output.exit
    );
    fixture.backend.destroy(&id).await.unwrap();
    assert!(fixture.backend.list().await.unwrap().is_empty());
    world.pair().await.assert_sound().await;
}

async fn a_fork_bomb_is_stopped(world: &World) {
    let program = "import os, signal, time\n\
                   count = 0\n\
                   try:\n\
                   \x20 while count < 2000:\n\
                   \x20  if os.fork() == 0: time.sleep(60); os._exit(0)\n\
                   \x20  count += 1\n\
                   \x20 print('NOTHING STOPPED IT', count)\n\
                   except OSError as error: print('stopped', count, error)";
    is_stopped(world, program).await;
}

async fn a_bomb_of_threads_is_stopped(world: &World) {
    let program = "import threading, time\n\
                   threading.stack_size(32768)\n\
                   count = 0\n\
                   try:\n\
                   \x20 while count < 3000:\n\
                   \x20  threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); count += 1\n\
                   \x20 print('NOTHING STOPPED IT', count, flush=True)\n\
                   except RuntimeError as error: print('stopped', count, error, flush=True)\n\
                   import os; os._exit(0)";
    is_stopped(world, program).await;
}

/// The classic, with a number of generations that is far above the limit and not without end.
async fn a_shell_that_calls_itself_twice_is_stopped(world: &World) {
    let program = "import os, subprocess\n\
                   bomb = 'f() { [ $1 -gt 0 ] && { f $(($1 - 1)) & f $(($1 - 1)) & } ; sleep 2; }; f 11'\n\
                   done = subprocess.run(['sh', '-c', bomb], stderr=subprocess.PIPE, text=True)\n\
                   print('stopped' if 'fork' in done.stderr else 'NOTHING STOPPED IT')";
    is_stopped(world, program).await;
}

/// Takes memory in pieces of 16 MiB and touches every page.
fn taking(source: &str, pieces: usize) -> String {
    format!(
        "import ctypes, mmap, os, sys\n\
         held, piece = [], b'x' * (16 << 20)\n\
         {source}\n\
         try:\n\
         \x20 for _ in range({pieces}): take()\n\
         \x20 print('NOTHING STOPPED IT', len(held), flush=True)\n\
         except (OSError, MemoryError) as error: print('stopped', len(held), error, flush=True)\n\
         os._exit(0)"
    )
}

/// More than any limit of this fixture, and less than a machine has.
const PIECES: usize = 40;

async fn a_memory_bomb_is_stopped(world: &World) {
    is_stopped(
        world,
        &taking("def take(): held.append(bytearray(piece))", PIECES),
    )
    .await;
}

fn filling(directory: &str) -> String {
    let source = format!(
        "file = open('{directory}/bomb', 'wb')\n\
         def take(): file.write(piece); file.flush(); held.append(0)"
    );
    taking(&source, 70)
}

async fn memory_taken_through_tmp_is_limited(world: &World) {
    is_stopped(world, &filling("/tmp")).await;
}

async fn memory_taken_through_dev_shm_is_limited(world: &World) {
    is_stopped(world, &filling("/dev/shm")).await;
}

async fn memory_taken_through_run_is_limited(world: &World) {
    is_stopped(world, &filling("/run")).await;
}

/// It stays when the process that made it has ended.
async fn memory_taken_through_shared_segments_is_limited(world: &World) {
    let source = "libc = ctypes.CDLL(None, use_errno=True)\n\
                  libc.shmat.restype = ctypes.c_void_p\n\
                  def take():\n\
                  \x20 one = libc.shmget(0, len(piece), 0o1600)\n\
                  \x20 place = libc.shmat(one, None, 0) if one >= 0 else None\n\
                  \x20 if place is None or place == ctypes.c_void_p(-1).value: raise OSError(ctypes.get_errno(), 'shm')\n\
                  \x20 ctypes.memmove(place, piece, len(piece)); held.append(place)";
    is_stopped(world, &taking(source, PIECES)).await;
}

async fn memory_taken_through_pipes_is_limited(world: &World) {
    let source = "import fcntl\n\
                  def take():\n\
                  \x20 for _ in range(16):\n\
                  \x20  reading, writing = os.pipe(); held.append((reading, writing))\n\
                  \x20  fcntl.fcntl(writing, 1031, 1 << 20)\n\
                  \x20  os.set_blocking(writing, False); os.write(writing, piece[:1 << 20])";
    is_stopped(world, &taking(source, PIECES)).await;
}

/// The sandbox is ended, by whoever counts what it writes now and then, and with it the bomb, which
/// waits for that: on a busy machine a walk takes seconds, and ten times as long is between two.
/// The neighbour answers meanwhile.
async fn is_ended(world: &World, take: &str, times: u32) {
    let program = format!(
        "import os, time\n\
         {take}\n\
         for number in range({times}): take(number)\n\
         time.sleep(60); print('NOTHING STOPPED IT')"
    );
    let pair = world.pair().await;
    let (fixture, id) = small().await;
    let spec = ExecSpec::new([PYTHON, "-c", &program], LIMIT * 5);
    let bomb = fixture.backend.exec(&id, &spec).await.unwrap().output();
    tokio::pin!(bomb);
    let ended = loop {
        tokio::select! {
            output = &mut bomb => break output,
            () = pair.assert_sound() => {}
        }
    };
    assert!(matches!(ended, Err(ChannelError::Receive(_))), "{ended:?}");
    let stats = fixture.backend.stats(&id).await.unwrap();
    assert!(stats.disk_excess.is_some(), "{stats:?}");
    fixture.backend.destroy(&id).await.unwrap();
    assert!(fixture.backend.list().await.unwrap().is_empty());
    pair.assert_sound().await;
}

async fn a_home_that_grows_without_end_is_stopped(world: &World) {
    // In files that are each within the limit of one.
    let take = "def take(number):\n\
                \x20 with open(f'/home/agent/bomb{number}', 'wb') as file: file.write(b'x' * (16 << 20)); os.fsync(file)";
    is_ended(world, take, 20).await;
}

async fn a_home_with_ever_more_files_is_stopped(world: &World) {
    let take = "os.mkdir('/home/agent/files')\n\
                def take(number): os.close(os.open(f'/home/agent/files/{number}', os.O_CREAT))";
    is_ended(world, take, 60_000).await;
}

const NAMELESS: &str = "def nameless(number):\n\
                        \x20 path = f'/home/agent/bomb{number}'\n\
                        \x20 file = os.open(path, os.O_RDWR | os.O_CREAT); os.unlink(path)\n\
                        \x20 os.write(file, b'x' * (16 << 20)); os.fsync(file)\n\
                        \x20 return file\n";

async fn a_home_filled_with_files_without_names_is_stopped(world: &World) {
    is_ended(world, &format!("{NAMELESS}take = nameless"), 20).await;
}

async fn a_home_filled_with_mapped_files_without_names_is_stopped(world: &World) {
    let take = format!(
        "import ctypes, mmap\n\
         {NAMELESS}\
         place = ctypes.CDLL(None).mmap\n\
         def take(number):\n\
         \x20 file = nameless(number)\n\
         \x20 place(None, ctypes.c_size_t(16 << 20), mmap.PROT_READ, mmap.MAP_SHARED, file, ctypes.c_long(0))\n\
         \x20 os.close(file)"
    );
    is_ended(world, &take, 20).await;
}

async fn descriptors_without_end_are_refused(world: &World) {
    let program = "import os\n\
                   count = 0\n\
                   try:\n\
                   \x20 while count < 1100000: os.open('/dev/null', os.O_RDONLY); count += 1\n\
                   \x20 print('NOTHING STOPPED IT')\n\
                   except OSError as error: print('stopped', count)";
    is_stopped(world, program).await;
}

async fn a_hog_of_processors_leaves_some_to_the_neighbour(world: &World) {
    let program = "import os, time\n\
                   end = time.monotonic() + 2\n\
                   for _ in range(16):\n\
                   \x20 if os.fork() == 0:\n\
                   \x20  while time.monotonic() < end: pass\n\
                   \x20  os._exit(0)\n\
                   for _ in range(16): os.wait()\n\
                   print('done')";
    // `explode` asks the neighbour all the time.
    let (fixture, id, output) = explode(world, program).await;
    assert_eq!(stdout(&output), "done");
    assert_eq!(fixture.text(&id, "echo here").await, "here");
}

async fn output_without_end_fills_no_memory(world: &World) {
    let (pair, fixture) = (world.pair().await, Fixture::new());
    let id = fixture.create(&[]).await.id;
    let before = resident();
    // Long enough to be truncated on a machine that is busy with other things.
    let spec = ExecSpec::new(["sh", "-c", "yes & yes >&2"], Duration::from_secs(5));
    let output = fixture
        .backend
        .exec(&id, &spec)
        .await
        .unwrap()
        .output()
        .await
        .unwrap();
    assert!(
        output.truncated && output.exit == Exit::TimedOut,
        "{:?}",
        output.exit
    );
    // What is kept of two streams, and some room for how an allocator works.
    let grown = resident().saturating_sub(before);
    assert!(grown < 128 << 20, "{grown}");
    pair.assert_sound().await;
}

/// Memory of this process, which is the runner's part here.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

async fn output_that_nobody_reads_holds_nobody_up(world: &World) {
    let (pair, fixture) = (world.pair().await, Fixture::new());
    let id = fixture.create(&[]).await.id;
    let mut unread = Vec::new();
    for _ in 0..10 {
        let spec = ExecSpec::new(["yes"], LIMIT);
        unread.push(fixture.backend.exec(&id, &spec).await.unwrap());
    }
    for _ in 0..5 {
        assert_eq!(fixture.text(&id, "echo here").await, "here");
        pair.assert_sound().await;
    }
    drop(unread);
    fixture
        .text(
            &id,
            "while grep -q yes /proc/[0-9]*/comm 2> /dev/null; do :; done",
        )
        .await;
}

async fn zombies_are_collected_or_limited(world: &World) {
    // Those whose parent lives are its own matter, up to the limit of processes; the first process
    // gets the others.
    let program = "import os\n\
                   count = 0\n\
                   try:\n\
                   \x20 while count < 2000:\n\
                   \x20  if os.fork() == 0: os._exit(0)\n\
                   \x20  count += 1\n\
                   \x20 print('NOTHING STOPPED IT')\n\
                   except OSError as error: print('stopped', count, flush=True); os._exit(0)";
    let (fixture, id, output) = explode(world, program).await;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("stopped"), "{shown}");
    let none = "while grep -hs '^State:' /proc/[0-9]*/status | grep -q Z; do :; done; echo none";
    assert_eq!(fixture.text(&id, none).await, "none");
}

async fn a_program_that_ignores_being_asked_is_ended(world: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let script = "trap '' TERM INT HUP; echo up > ready; while :; do sleep 0.01; done";
    let stubborn = SpawnSpec {
        name: "stubborn".to_owned(),
        argv: ["/bin/bash", "-c", script].map(str::to_owned).into(),
        env: [].into(),
        cwd: None,
        log: None,
    };
    fixture.backend.spawn(&id, &stubborn).await.unwrap();
    fixture
        .text(&id, "until [ -e ready ]; do sleep 0.01; done")
        .await;
    fixture
        .backend
        .stop(&id, Duration::from_millis(200))
        .await
        .unwrap();
    fixture.backend.destroy(&id).await.unwrap();
    world.pair().await.assert_sound().await;
}

async fn connections_to_the_first_process_without_end_hurt_only_oneself(world: &World) {
    let program = "import socket\n\
                   held = []\n\
                   try:\n\
                   \x20 for count in range(5000):\n\
                   \x20  one = socket.socket(socket.AF_UNIX); one.settimeout(0.2)\n\
                   \x20  one.connect('/run/agent/init.sock'); held.append(one)\n\
                   except OSError as error: pass\n\
                   print('done')";
    let (fixture, id, output) = explode(world, program).await;
    assert_eq!(stdout(&output), "done");
    fixture.backend.destroy(&id).await.unwrap();
}

async fn arguments_without_end_are_refused(world: &World) {
    let pair = world.pair().await;
    let spec = ExecSpec::new(["echo".to_owned(), "x".repeat(3 << 20)], LIMIT);
    let exec = pair
        .fixture
        .backend
        .exec(&pair.attacker.id, &spec)
        .await
        .unwrap();
    let refused = exec.output().await.unwrap_err();
    assert!(refused.to_string().contains("too long"), "{refused}");
    pair.assert_sound().await;
}

/// Limits that the kernel counts for a user: whoever runs two sandboxes as one user lets one take
/// them from the other.
async fn held(fixture: &Fixture, id: &SandboxId, program: &str) -> Exec {
    let program = format!(
        "{COUNTED}{program}\n\
         count = 0\n\
         try:\n\
         \x20 while count < 200000: take(); count += 1\n\
         except OSError: pass\n\
         print('held', count, flush=True)\n\
         import time; time.sleep(60)"
    );
    let spec = ExecSpec::new([PYTHON, "-c", &program], LIMIT * 4);
    let mut running = fixture.backend.exec(id, &spec).await.unwrap();
    let first = running.next().await.unwrap();
    assert!(
        matches!(&first, ExecFrame::Stdout(text) if text.starts_with(b"held")),
        "{first:?}"
    );
    running
}

const COUNTED: &str = "import array, ctypes, os, resource, signal, socket\n\
                       libc, held = ctypes.CDLL(None, use_errno=True), []\n\
                       def checked(result):\n\
                       \x20 if result < 0: raise OSError(ctypes.get_errno(), 'refused')\n\
                       \x20 held.append(result)\n";

async fn is_left_for_the_neighbour(world: &World, take: &str) {
    let pair = world.pair().await;
    let neighbour_can = format!("{COUNTED}{take}\ntake(); take(); print('taken')");
    let before = python(&pair.fixture, &pair.neighbour.id, &neighbour_can, &[]).await;
    if !before.exit.success() {
        // Refused to everybody: then nobody can take it from anybody.
        let alone = python(&pair.fixture, &pair.attacker.id, &neighbour_can, &[]).await;
        assert!(!alone.exit.success());
        return;
    }
    let holding = held(&pair.fixture, &pair.attacker.id, take).await;
    let taken = python(&pair.fixture, &pair.neighbour.id, &neighbour_can, &[]).await;
    drop(holding);
    // What was held is given back when its holder has ended, and other tests need it as well.
    let returned = async {
        let again = async || python(&pair.fixture, &pair.neighbour.id, &neighbour_can, &[]).await;
        while !again().await.exit.success() {}
    };
    let returned = tokio::time::timeout(LIMIT, returned).await;
    assert!(returned.is_ok(), "what was taken is not given back");
    assert_eq!(stdout(&taken), "taken");
}

async fn instances_of_inotify_are_not_taken_from_the_neighbour(world: &World) {
    is_left_for_the_neighbour(world, "def take(): checked(libc.inotify_init())").await;
}

async fn pending_signals_are_not_taken_from_the_neighbour(world: &World) {
    let take = "signal.pthread_sigmask(signal.SIG_BLOCK, [40])\n\
                def take(): checked(libc.sigqueue(os.getpid(), 40, None))";
    is_left_for_the_neighbour(world, take).await;
}

async fn message_queues_are_not_taken_from_the_neighbour(world: &World) {
    let take = "def take(): checked(libc.mq_open(f'/escape{len(held)}.{os.getpid()}'.encode(), 0o102, 0o600, None))";
    is_left_for_the_neighbour(world, take).await;
}

async fn descriptors_in_flight_are_not_taken_from_the_neighbour(world: &World) {
    let take = "resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)\n\
                def take():\n\
                \x20 if not held or not len(held) % 4: pair = socket.socketpair(); held.append(pair)\n\
                \x20 pair = [one for one in held if isinstance(one, tuple)][-1]\n\
                \x20 pair[0].setblocking(False)\n\
                \x20 pair[0].sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [pair[1].fileno()] * 250))])\n\
                \x20 held.append(0)";
    is_left_for_the_neighbour(world, take).await;
}

async fn terminals_are_not_taken_from_the_neighbour(world: &World) {
    let take = "def take(): checked(os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY))";
    is_left_for_the_neighbour(world, take).await;
}

async fn asynchronous_requests_are_not_taken_from_the_neighbour(world: &World) {
    let io_setup = if cfg!(target_arch = "x86_64") { 206 } else { 0 };
    let take = format!(
        "def take(): checked(libc.syscall({io_setup}, 1000, ctypes.byref(ctypes.c_void_p())))"
    );
    is_left_for_the_neighbour(world, &take).await;
}

/// In processes, each of which opens as many files as it may: more than a machine of this size has
/// for all users by itself.
const OPENING: &str = "import os, resource\n\
                       most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 50\n\
                       def opening():\n\
                       \x20 ready, done = os.pipe()\n\
                       \x20 if os.fork() == 0:\n\
                       \x20  count = 0\n\
                       \x20  try:\n\
                       \x20   while count < most: os.open('/dev/null', os.O_RDONLY); count += 1\n\
                       \x20  except OSError: pass\n\
                       \x20  os.write(done, b'%d' % count); time.sleep(60); os._exit(0)\n\
                       \x20 os.close(done); count = int(os.read(ready, 20) or 0); os.close(ready)\n\
                       \x20 return count\n";

async fn open_files_are_not_taken_from_the_neighbour(world: &World) {
    let take = format!(
        "import time\n\
         {OPENING}\
         total = 0\n\
         def take():\n\
         \x20 global total\n\
         \x20 if total >= 2600000: raise OSError('enough')\n\
         \x20 count = opening(); total += count\n\
         \x20 if count < most: raise OSError('refused')"
    );
    is_left_for_the_neighbour(world, &take).await;
}

/// Sent and never read: as much as the buffers of both ends take.
async fn memory_taken_through_connections_is_limited(world: &World) {
    let program = "import resource, socket\n\
                   listening = socket.create_server(('127.0.0.1', 0), backlog=100)\n\
                   held, total, piece = [], 0, b'x' * (1 << 20)\n\
                   for _ in range(300):\n\
                   \x20 one = socket.create_connection(listening.getsockname())\n\
                   \x20 held.append((one, listening.accept()[0])); one.setblocking(False)\n\
                   \x20 try:\n\
                   \x20  while True: total += one.send(piece)\n\
                   \x20 except BlockingIOError: pass\n\
                   print('stopped' if total < 200 << 20 else 'NOTHING STOPPED IT', total >> 20)";
    is_stopped(world, program).await;
}

async fn locked_memory_is_limited(world: &World) {
    let source = "libc = ctypes.CDLL(None, use_errno=True)\n\
                  def take():\n\
                  \x20 one = mmap.mmap(-1, len(piece)); held.append(one)\n\
                  \x20 if libc.mlock(ctypes.addressof(ctypes.c_char.from_buffer(one)), ctypes.c_size_t(len(piece))): raise OSError(ctypes.get_errno(), 'mlock')";
    is_stopped(world, &taking(source, PIECES)).await;
}
