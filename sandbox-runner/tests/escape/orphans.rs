//! Whatever is killed, no process of a sandbox is left when its sandbox has ended.

use std::fs;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};
use sandbox_runner::init::wire::{ExecSpec, Exit};
use sandbox_runner::sandbox::SandboxBackend;
use sandbox_runner::sandbox::channel::ExecFrame;
use sandbox_runner::sandbox::record::SandboxState;
use tokio::time::{Instant, sleep};

use crate::fixture::{Fixture, open_process};
use crate::tests;
use crate::world::{Group, LIMIT, World};

pub(crate) fn group(group: &mut Group<'_>) {
    tests!(
        group;
        nothing_is_left_when_the_first_process_is_killed,
        nothing_is_left_when_a_running_program_is_killed,
        nothing_is_left_when_the_launcher_is_killed,
    );
}

/// Processes of the host that have this word in their command line.
fn processes(word: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let entry = entry.unwrap();
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line
            .split(|byte| *byte == 0)
            .any(|part| part == word.as_bytes())
        {
            found.push(pid);
        }
    }
    found
}

async fn until_none(word: &str) {
    let deadline = Instant::now() + LIMIT;
    while !processes(word).is_empty() {
        assert!(Instant::now() < deadline, "{word} is left");
        sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A number of seconds that no other test sleeps.
fn word(name: u32) -> String {
    format!("{}.{name}", 100_000 + std::process::id())
}

async fn first_process(fixture: &Fixture) -> i32 {
    let records = fixture.backend.list().await.unwrap();
    match &records[0].state {
        SandboxState::Running(process) => process.pid,
        other => panic!("the sandbox should be running: {other:?}"),
    }
}

/// Kills a process of the host and waits until it is gone.
fn kill(pid: i32) {
    let process = open_process(pid).unwrap();
    pidfd_send_signal(&process, Signal::KILL).unwrap();
    let limit = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)).unwrap();
    assert_eq!(ended, 1, "process {pid} does not end");
}

/// Two processes that have left their group and session.
async fn leave_behind(fixture: &Fixture, word: &str) {
    let records = fixture.backend.list().await.unwrap();
    let both = format!("sh -c 'sleep {word} & exec sleep {word}'");
    fixture.detach(&records[0].id, &both).await;
    let deadline = Instant::now() + LIMIT;
    while processes(word).len() < 2 {
        assert!(Instant::now() < deadline);
        sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn nothing_is_left_when_the_first_process_is_killed(world: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let word = word(1);
    leave_behind(&fixture, &word).await;
    kill(first_process(&fixture).await);
    until_none(&word).await;
    fixture.backend.destroy(&id).await.unwrap();
    assert!(!fixture.directory(&id).exists());
    world.pair().await.assert_sound().await;
}

async fn nothing_is_left_when_a_running_program_is_killed(world: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let word = word(2);
    let script = format!("setsid sleep {word} & echo up; exec sh -c 'sleep {word}; true' {word}");
    let spec = ExecSpec::new(["sh", "-c", &script], LIMIT);
    let mut running = fixture.backend.exec(&id, &spec).await.unwrap();
    assert_eq!(
        running.next().await.unwrap(),
        ExecFrame::Stdout(b"up\n".to_vec())
    );
    let deadline = Instant::now() + LIMIT;
    let main = loop {
        let all = processes(&word);
        let shell = all.iter().find(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sh\0"))
        });
        if let Some(shell) = shell {
            break *shell;
        }
        assert!(Instant::now() < deadline);
        sleep(std::time::Duration::from_millis(5)).await;
    };
    kill(main);
    assert_eq!(running.output().await.unwrap().exit, Exit::Signal(9));
    assert_eq!(fixture.text(&id, "echo here").await, "here");
    fixture.backend.destroy(&id).await.unwrap();
    until_none(&word).await;
    world.pair().await.assert_sound().await;
}

/// Whoever started the first process: the sandbox may end with it or live on.
async fn nothing_is_left_when_the_launcher_is_killed(world: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let word = word(3);
    leave_behind(&fixture, &word).await;
    let init = first_process(&fixture).await;
    let status = fs::read_to_string(format!("/proc/{init}/status")).unwrap();
    let parent = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:\t"))
        .unwrap();
    let parent: i32 = parent.parse().unwrap();
    if parent != 1 && Ok(parent) != i32::try_from(std::process::id()) {
        kill(parent);
    }
    fixture.backend.destroy(&id).await.unwrap();
    until_none(&word).await;
    // What was killed is there again for the next one.
    let next = fixture.create(&[]).await.id;
    assert_eq!(fixture.text(&next, "echo here").await, "here");
    world.pair().await.assert_sound().await;
}
