//! From the start of a sandbox to its end, over the death of the runner.

use std::fs;
use std::time::Duration;

use protocol::SandboxId;
use rustix::process::{Signal, pidfd_send_signal};
use sandbox_runner::init::wire::{ExecSpec, SpawnSpec};
use sandbox_runner::layer::LayerId;
use sandbox_runner::metrics::{Gauges, METRICS};
use sandbox_runner::sandbox::channel::ChannelError;
use sandbox_runner::sandbox::limits::Limits;
use sandbox_runner::sandbox::record::SandboxState;
use sandbox_runner::sandbox::{Adoption, SandboxBackend, SandboxError, SandboxSpec, Stays};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::{Fixture, LIMIT, open_process, spec, wait_for_end};

mod layers;
mod spares;

/// Processes of the host that run this command line.
fn processes(command: &str) -> usize {
    let wanted = command.replace(' ', "\0") + "\0";
    let directories = fs::read_dir("/proc").unwrap();
    directories
        .filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok())
        .filter(|line| line == wanted.as_bytes())
        .count()
}

#[tokio::test]
async fn what_a_sandbox_writes_is_in_its_upper_directory() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture
        .text(&id, "mkdir -p src && echo text > src/file")
        .await;
    let written = fixture.directory(&id).join("upper/src/file");
    assert_eq!(fs::read_to_string(written).unwrap(), "text\n");
}

#[tokio::test]
async fn a_sandbox_that_is_taken_over_keeps_its_limits() {
    let fixture = Fixture::new();
    let spec = SandboxSpec {
        limits: Limits {
            files: 100,
            ..Limits::default()
        },
        ..spec(&[])
    };
    let id = fixture.backend.create(&spec).await.unwrap().id;
    let fixture = fixture.restart();
    let script = "for file in $(seq 200); do : > $file; done; sleep 15";
    let exec = ExecSpec::new(["/bin/sh", "-c", script], LIMIT);
    let running = fixture.backend.exec(&id, &exec).await.unwrap();
    let ended = running.output().await;
    assert!(matches!(ended, Err(ChannelError::Receive(_))), "{ended:?}");
    let adopted = fixture.backend.adopt(&id).await.unwrap();
    assert!(matches!(adopted, Adoption::Gone), "{adopted:?}");
    let excess = fixture.backend.stats(&id).await.unwrap().disk_excess;
    assert_eq!(excess.unwrap().limits.files, 100);
    fixture.backend.destroy(&id).await.unwrap();
}

/// What this process has counted so far.
fn counted(name: &str) -> u64 {
    let text = METRICS.text(Gauges::default());
    let line = format!("hosted_agents_runner_{name} ");
    let value = text.lines().find_map(|one| one.strip_prefix(&line));
    value.unwrap().parse().unwrap()
}

#[tokio::test]
async fn starts_and_snapshots_are_counted() {
    let fixture = Fixture::new();
    // Other tests of this process are counted as well.
    let started = counted("start_seconds_count");
    let kept = counted("snapshot_seconds_count");
    let id = fixture.create(&[]).await.id;
    assert!(counted("start_seconds_count") > started);
    fixture.backend.snapshot(&id).await.unwrap();
    assert!(counted("snapshot_seconds_count") > kept);
}

#[tokio::test]
async fn stopping_ends_every_process_and_may_be_repeated() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let command = format!("sleep 1000.{}", std::process::id());
    fixture.detach(&id, &command).await;
    assert_eq!(processes(&command), 1);
    for _ in 0..2 {
        fixture
            .backend
            .stop(&id, Duration::from_secs(1))
            .await
            .unwrap();
        assert_eq!(processes(&command), 0);
    }
    assert!(matches!(
        fixture.backend.connect(&id).await,
        Err(SandboxError::Channel(_))
    ));
}

#[tokio::test]
async fn programs_may_finish_their_work_when_the_sandbox_is_stopped() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let script =
        "trap 'echo saved > file; exit' TERM; echo up > ready; while :; do sleep 0.01; done";
    let service = SpawnSpec {
        name: "agent".to_owned(),
        argv: vec!["/bin/bash".to_owned(), "-c".to_owned(), script.to_owned()],
        env: [].into(),
        cwd: None,
        log: None,
    };
    fixture.backend.spawn(&id, &service).await.unwrap();
    fixture
        .text(&id, "until [ -e ready ]; do sleep 0.01; done")
        .await;
    fixture.backend.stop(&id, LIMIT).await.unwrap();
    let saved = fixture.directory(&id).join("upper/file");
    assert_eq!(fs::read_to_string(saved).unwrap(), "saved\n");
}

#[tokio::test]
async fn a_sandbox_outlives_the_runner_and_is_adopted_with_its_ports() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture.text(&id, "echo before > file").await;

    let fixture = fixture.restart();
    let Adoption::Alive(sandbox) = fixture.backend.adopt(&id).await.unwrap() else {
        panic!("the sandbox should be alive");
    };
    assert_eq!(fixture.text(&id, "cat file").await, "before");
    let answer = async {
        let (mut stream, _) = sandbox.ports.gateway.accept().await.unwrap();
        let mut request = [0; 5];
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(b"answer").await.unwrap();
        request
    };
    let script = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/3129; printf hello >&3; head -c 6 <&3'";
    let (request, printed) = tokio::join!(answer, fixture.text(&id, script));
    assert_eq!((&request, printed.as_str()), (b"hello", "answer"));
}

#[tokio::test]
async fn a_sandbox_that_ended_while_no_runner_watched_is_gone_and_can_be_frozen() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture.text(&id, "echo work > file").await;
    let SandboxState::Running(process) = record(&fixture).await else {
        panic!("the sandbox should be running");
    };
    let process = open_process(process.pid).unwrap();
    pidfd_send_signal(&process, Signal::KILL).unwrap();
    wait_for_end(&process);

    let fixture = fixture.restart();
    assert!(matches!(
        fixture.backend.adopt(&id).await.unwrap(),
        Adoption::Gone
    ));
    let layer = fixture.backend.freeze(&id).await.unwrap();
    let next = fixture.create(&[layer]).await.id;
    assert_eq!(fixture.text(&next, "cat file").await, "work");
}

#[tokio::test]
async fn a_sandbox_of_an_earlier_boot_or_an_incomplete_start_is_stale() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let path = fixture.directory(&id).join("record.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let running = record["state"].clone();
    record["state"]["running"]["boot_id"] = "another".into();
    fs::write(&path, record.to_string()).unwrap();
    assert!(matches!(
        fixture.backend.adopt(&id).await.unwrap(),
        Adoption::Stale
    ));
    record["state"] = "starting".into();
    fs::write(&path, record.to_string()).unwrap();
    assert!(matches!(
        fixture.backend.adopt(&id).await.unwrap(),
        Adoption::Stale
    ));
    record["state"] = running;
    fs::write(&path, record.to_string()).unwrap();
}

#[tokio::test]
async fn a_destroyed_sandbox_leaves_no_process_and_no_file() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let command = format!("sleep 2000.{}", std::process::id());
    fixture.detach(&id, &command).await;
    for _ in 0..2 {
        fixture.backend.destroy(&id).await.unwrap();
        assert_eq!(processes(&command), 0);
        assert!(!fixture.directory(&id).exists());
    }
}

#[tokio::test]
async fn a_sandbox_cannot_be_created_twice_or_on_a_layer_that_is_not_there() {
    let fixture = Fixture::new();
    let spec_once = spec(&[]);
    let sandbox = fixture.backend.create(&spec_once).await.unwrap();
    fixture.text(&sandbox.id, "echo kept > file").await;
    let again = fixture.backend.create(&spec_once).await;
    assert!(matches!(again, Err(SandboxError::Exists(_))), "{again:?}");
    assert_eq!(fixture.text(&sandbox.id, "cat file").await, "kept");

    let unknown = fixture
        .backend
        .create(&spec(&[LayerId::of(&sandbox.id, 0)]))
        .await;
    assert!(
        matches!(unknown, Err(SandboxError::UnknownLayer(_))),
        "{unknown:?}"
    );
    assert_eq!(fixture.backend.list().await.unwrap().len(), 1);
}

/// The process that a sandbox was copied from.
fn parent(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn kill(pid: i32) {
    let process = open_process(pid).unwrap();
    pidfd_send_signal(&process, Signal::KILL).unwrap();
    wait_for_end(&process);
}

#[tokio::test]
async fn sandboxes_outlive_the_zygote_and_the_next_one_has_another() {
    let fixture = Fixture::new();
    let first = fixture.create(&[]).await.id;
    kill(parent(fixture.init(&first).await));
    assert_eq!(fixture.text(&first, "echo alive").await, "alive");
    let second = fixture.create(&[]).await.id;
    assert_eq!(fixture.text(&second, "echo alive").await, "alive");
    fixture.backend.destroy(&first).await.unwrap();
}

#[tokio::test]
async fn every_process_ends_with_the_first_one() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let command = format!("sleep 3000.{}", std::process::id());
    fixture.detach(&id, &command).await;
    kill(fixture.init(&id).await);
    assert_eq!(processes(&command), 0);
}

#[tokio::test]
async fn a_sandbox_is_held_to_its_limits() {
    let fixture = Fixture::new();
    let small = SandboxSpec {
        limits: Limits {
            processes: 40,
            ..Limits::default()
        },
        ..spec(&[])
    };
    let id = fixture.backend.create(&small).await.unwrap().id;
    let script = "for i in $(seq 100); do sleep 1000 & done; wait -n; echo not reached";
    let output = fixture.run(&id, script).await;
    assert!(!output.exit.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("fork"),
        "{output:?}"
    );
    let stats = fixture.backend.stats(&id).await.unwrap();
    assert!(stats.processes.is_none_or(|count| count <= 40), "{stats:?}");
    assert!(
        stats.process_limit_hits.is_none_or(|hits| hits > 0),
        "{stats:?}"
    );
}

async fn record(fixture: &Fixture) -> SandboxState {
    let records = fixture.backend.list().await.unwrap();
    records.into_iter().next().unwrap().state
}

#[tokio::test]
async fn what_stays_is_all_that_is_left_of_a_sandbox_that_is_cleared() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let [server, other] = ["4000", "5000"].map(|time| format!("{time}.{}", std::process::id()));
    let program = SpawnSpec {
        name: "server".to_owned(),
        argv: vec!["/bin/sleep".to_owned(), server.clone()],
        env: std::collections::BTreeMap::new(),
        cwd: None,
        log: None,
    };
    fixture.backend.spawn(&id, &program).await.unwrap();
    // Of the same program, and a child of init as soon as its shell has ended.
    fixture.detach(&id, &format!("/bin/sleep {other}")).await;
    assert_eq!(processes(&format!("/bin/sleep {other}")), 1);
    let stays = Stays {
        server: "/usr/bin/sleep".into(),
        session: None,
    };
    fixture.backend.clear(&id, &stays).await.unwrap();
    assert_eq!(processes(&format!("/bin/sleep {other}")), 0);
    assert_eq!(processes(&format!("/bin/sleep {server}")), 1);
    assert_eq!(fixture.text(&id, "echo alive").await, "alive");
}
