//! Processes and files of the host, of another sandbox, and the first process of one's own.

use std::fs;
use std::process::{Child, Command};

use sandbox_runner::init::wire::{ExecSpec, SpawnSpec};
use sandbox_runner::sandbox::SandboxBackend;

use crate::fixture::Fixture;
use crate::tests;
use crate::world::{Group, LIMIT, World, find, python, run, stdout};

pub(crate) fn group(group: &mut Group<'_>) {
    tests!(
        group;
        a_process_of_the_host_is_not_seen,
        no_signal_reaches_a_process_of_the_host,
        no_signal_ends_or_stops_the_first_process,
        killing_everything_leaves_a_sandbox_that_answers,
        stopping_everything_leaves_a_sandbox_that_answers,
        another_sandboxs_processes_are_not_seen,
        another_sandboxs_files_are_neither_seen_nor_changed,
        the_runners_program_is_not_replaced_through_a_process_that_runs_it,
        the_runners_own_files_are_not_there,
        a_program_that_belongs_to_root_does_work_outside,
        a_program_cannot_answer_in_the_place_of_the_first_process,
        a_program_is_not_led_out_by_its_working_directory,
    );
}

/// A process of the host, of the sandboxes' own user if there is one: who could be hurt most.
struct Decoy(Child);

impl Decoy {
    fn start(fixture: &Fixture) -> Self {
        let mut command = Command::new("sleep");
        command.arg(format!("600.{}", std::process::id()));
        if rustix::process::getuid().is_root() {
            std::os::unix::process::CommandExt::uid(&mut command, fixture.first_user);
        }
        Self(command.spawn().unwrap())
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Decoy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn a_process_of_the_host_is_not_seen(world: &World) {
    let pair = world.pair().await;
    let decoy = Decoy::start(&pair.fixture);
    let look = format!(
        "grep -l 600.{} /proc/[0-9]*/cmdline 2> /dev/null | wc -l",
        std::process::id()
    );
    let shown = pair
        .fixture
        .text(&pair.attacker.id, &look.replace("600", "60[0]"))
        .await;
    assert_eq!(shown, "0");
    assert!(
        fs::read(format!("/proc/{}/cmdline", decoy.0.id()))
            .unwrap()
            .starts_with(b"sleep")
    );
}

async fn no_signal_reaches_a_process_of_the_host(world: &World) {
    let pair = world.pair().await;
    let mut decoy = Decoy::start(&pair.fixture);
    let program = "import ctypes, os, signal, sys\n\
                   libc, victim, sent = ctypes.CDLL(None), int(sys.argv[1]), 0\n\
                   for number in (9, 15, 19):\n\
                   \x20 for send in (lambda: os.kill(victim, number), lambda: os.killpg(victim, number),\n\
                   \x20              lambda: signal.pidfd_send_signal(os.pidfd_open(victim), number)):\n\
                   \x20  try: send(); sent += 1\n\
                   \x20  except OSError: pass\n\
                   \x20 for call in ((234, victim, victim, number), (200, victim, number)):\n\
                   \x20  sent += libc.syscall(*call) == 0\n\
                   print(sent)";
    let shown = stdout(&pair.attack(program, &[&decoy.0.id().to_string()]).await);
    assert_eq!(shown, "0");
    assert!(decoy.is_alive());
    pair.assert_sound().await;
}

async fn no_signal_ends_or_stops_the_first_process(world: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    // The kernel drops signals to the first process of a namespace unless it handles them.
    let script = "for signal in $(seq 1 64); do kill -$signal 1 2> /dev/null; done; true";
    fixture.text(&id, script).await;
    assert_eq!(fixture.text(&id, "echo here").await, "here");
    world.pair().await.assert_sound().await;
}

async fn killing_everything_leaves_a_sandbox_that_answers(_: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture.detach(&id, "sleep 1000").await;
    run(
        &fixture,
        &id,
        &ExecSpec::new(["sh", "-c", "kill -KILL -1; kill -KILL 0"], LIMIT),
    )
    .await;
    assert_eq!(
        fixture
            .text(&id, "grep -l sleep /proc/[0-9]*/comm | wc -l")
            .await,
        "0"
    );
}

async fn stopping_everything_leaves_a_sandbox_that_answers(_: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture.detach(&id, "sleep 1000").await;
    fixture.text(&id, "kill -STOP -1").await;
    assert_eq!(fixture.text(&id, "echo here").await, "here");
}

async fn another_sandboxs_processes_are_not_seen(world: &World) {
    let pair = world.pair().await;
    let spec = SpawnSpec {
        name: "marked".to_owned(),
        argv: ["sleep", "1000.77"].map(str::to_owned).into(),
        env: [("MARK".to_owned(), "of the neighbour".to_owned())].into(),
        cwd: None,
        log: None,
    };
    pair.fixture
        .backend
        .spawn(&pair.neighbour.id, &spec)
        .await
        .unwrap();
    let look = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2> /dev/null | grep -ac '1000[.]77\\|of the [n]eighbour'; true";
    let seen = pair.fixture.text(&pair.attacker.id, look).await;
    let control = pair.fixture.text(&pair.neighbour.id, look).await;
    assert_eq!(seen, "0");
    assert_ne!(control, "0");
}

async fn another_sandboxs_files_are_neither_seen_nor_changed(world: &World) {
    let pair = world.pair().await;
    pair.fixture
        .text(&pair.neighbour.id, "echo private > neighbours-file")
        .await;
    let outside = find(
        &pair.fixture.directory(&pair.neighbour.id),
        "neighbours-file",
    );
    let script = format!(
        "for root in '' /proc/self/root /proc/1/root /..; do cat $root{0}; echo changed > $root{0}; done; \
         find / -xdev -name neighbours-file 2> /dev/null",
        outside.display()
    );
    let output = pair.fixture.run(&pair.attacker.id, &script).await;
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(fs::read_to_string(outside).unwrap(), "private\n");
}

/// After runc's CVE-2019-5736: a program of the sandbox that is a link to the one that starts it.
async fn the_runners_program_is_not_replaced_through_a_process_that_runs_it(world: &World) {
    let pair = world.pair().await;
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_sandbox-runner"));
    let before = fs::read(program).unwrap();
    let script = "import os, subprocess, sys, time\n\
                  for path in ('/proc/self/exe', '/proc/1/exe', '/run/init'):\n\
                  \x20 try: one = subprocess.Popen([path, 'init'], executable=path, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)\n\
                  \x20 except OSError as error: print(error); continue\n\
                  \x20 for place in (f'/proc/{one.pid}/exe', path):\n\
                  \x20  for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):\n\
                  \x20   try: os.open(place, flags); print('OPENED', place)\n\
                  \x20   except OSError as error: print(error)\n\
                  \x20 one.kill(); one.wait()\n\
                  \x20 try: os.open(path, os.O_WRONLY); print('OPENED', path)\n\
                  \x20 except OSError as error: print(error)";
    let shown = stdout(&pair.attack(script, &[]).await);
    assert!(!shown.contains("OPENED"), "{shown}");
    for path in ["/proc/self/exe", "/proc/1/exe"] {
        // The runner's own start of a program is such a process for a moment.
        let version = ExecSpec::new([path, "--version"], LIMIT);
        let exec = pair.fixture.backend.exec(&pair.attacker.id, &version).await;
        let _ = exec.unwrap().output().await;
    }
    assert!(fs::read(program).unwrap() == before);
    pair.assert_sound().await;
}

async fn the_runners_own_files_are_not_there(world: &World) {
    let pair = world.pair().await;
    let state = pair.fixture.path();
    let names = [
        "record.json",
        "runner.sqlite",
        "meta.json",
        "lock",
        "trash",
        "exit.json",
    ];
    let tests: Vec<String> = names.iter().map(|name| format!("-name {name}")).collect();
    let script = format!(
        "find {} /run /tmp /opt /etc -xdev \\( {} \\) 2> /dev/null; ls -d {}",
        state.display(),
        tests.join(" -o "),
        state.display()
    );
    let output = pair.fixture.run(&pair.attacker.id, &script).await;
    assert!(output.stdout.is_empty(), "{output:?}");
}

/// The control of the attempts with `/opt/decoy`: without a sandbox such a program makes anybody
/// root, so what holds it back inside is the sandbox.
async fn a_program_that_belongs_to_root_does_work_outside(world: &World) {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let pair = world.pair().await;
    let tools = pair.fixture.path().join("tools");
    let user = pair.fixture.first_user.to_string();
    let as_user = |program: &str, argument: &str| {
        let output = Command::new("setpriv")
            .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
            .arg(find(&tools, program))
            .arg(argument)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(as_user("setuid-id", "-u"), "0\n");
    assert!(as_user("capable-cat", "/proc/self/status").contains("CapEff:\t0000000000002000"));
}

/// The runner believes whoever answers on a sandbox's socket, and no further than its frames go.
async fn a_program_cannot_answer_in_the_place_of_the_first_process(world: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let server = "import os, socket, sys\n\
                  path = '/run/agent/init.sock'\n\
                  os.unlink(path)\n\
                  one = socket.socket(socket.AF_UNIX); one.bind(path); one.listen()\n\
                  os.chmod(path, 0o777)\n\
                  print('up', flush=True)\n\
                  for answer in (b'o\\xff\\xff\\xff\\xff', b'\\0' * 64, b'x\\0\\0\\0\\1{', b'q\\0\\0\\0\\0'):\n\
                  \x20 stream, _ = one.accept(); stream.sendall(answer); stream.close()";
    let spec = ExecSpec::new([crate::world::PYTHON, "-c", server], LIMIT);
    let mut running = fixture.backend.exec(&id, &spec).await.unwrap();
    let first = running.next().await.unwrap();
    if first == sandbox_runner::sandbox::channel::ExecFrame::Stdout(b"up\n".to_vec()) {
        for _ in 0..4 {
            let echo = ExecSpec::new(["echo", "here"], LIMIT);
            let answered = match fixture.backend.exec(&id, &echo).await {
                Ok(exec) => exec
                    .output()
                    .await
                    .map(drop)
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            answered.unwrap_err();
        }
    }
    drop(running);
    // Whoever answers there, the sandbox ends when it is to end, and the neighbour goes on.
    fixture.backend.destroy(&id).await.unwrap();
    assert!(fixture.backend.list().await.unwrap().is_empty());
    world.pair().await.assert_sound().await;
}

/// Between two runs the workspace becomes a link, to where the sandbox itself cannot go either.
async fn a_program_is_not_led_out_by_its_working_directory(world: &World) {
    let pair = world.pair().await;
    let (fixture, id) = (&pair.fixture, &pair.attacker.id);
    for target in [
        "/",
        "/proc/1/root",
        "/proc/1/cwd",
        "/../../..",
        "/proc/self/fd/0",
    ] {
        fixture
            .text(id, &format!("rm -rf workspace; ln -s {target} workspace"))
            .await;
        let spec = ExecSpec::new(["sh", "-c", "pwd -P; ls"], LIMIT).cwd("/home/agent/workspace");
        let Ok(output) = fixture
            .backend
            .exec(id, &spec)
            .await
            .unwrap()
            .output()
            .await
        else {
            continue;
        };
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            shown.is_empty() || shown.starts_with("/\n"),
            "{target}: {shown}"
        );
        assert!(
            !shown.contains("root\n") && !shown.contains("boot"),
            "{target}: {shown}"
        );
    }
    fixture.text(id, "rm workspace").await;
    let looked = python(
        fixture,
        id,
        "import os; print(os.path.exists('/root'))",
        &[],
    )
    .await;
    assert_eq!(stdout(&looked), "False");
}
