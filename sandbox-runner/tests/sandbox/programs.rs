//! Programs that the runner starts in a sandbox, and connections to them.

use std::time::{Duration, Instant};

use sandbox_runner::init::wire::{ExecSpec, Exit, Signal, SpawnSpec};
use sandbox_runner::sandbox::channel::ChannelError;
use sandbox_runner::sandbox::{SandboxBackend, SandboxError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::fixture::{Fixture, LIMIT};

/// Returns when no process sleeps: one that was killed is there for another moment.
const NO_SLEEP: &str = "while grep -q sleep /proc/[0-9]*/comm 2> /dev/null; do :; done";

fn service(name: &str, script: &str) -> SpawnSpec {
    SpawnSpec {
        name: name.to_owned(),
        argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()],
        env: [("OF".to_owned(), "the service".to_owned())].into(),
        cwd: Some("/tmp".to_owned()),
        log: Some("/home/agent/log".to_owned()),
    }
}

#[tokio::test]
async fn a_program_gets_its_input_directory_and_environment_and_its_streams_are_kept_apart() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let script = "cat; pwd; echo $GIVEN $MORE; echo problem >&2; exit 7";
    let exec = ExecSpec::new(["sh", "-c", script], LIMIT)
        .stdin("input\n")
        .cwd("/tmp")
        .env("MORE", "and the program");
    let output = fixture
        .backend
        .exec(&id, &exec)
        .await
        .unwrap()
        .output()
        .await
        .unwrap();
    assert_eq!(
        output.stdout,
        b"input\n/tmp\nto the sandbox and the program\n"
    );
    assert_eq!(output.stderr, b"problem\n");
    assert_eq!(output.exit, Exit::Code(7));
}

#[tokio::test]
async fn output_of_any_length_arrives_whole() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let output = fixture
        .run(
            &id,
            "head -c 5000000 /dev/zero; head -c 300000 /dev/zero >&2",
        )
        .await;
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (5_000_000, 300_000)
    );
    assert!(!output.truncated);
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_refused_with_a_reason() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let exec = fixture
        .backend
        .exec(&id, &ExecSpec::new(["/no/such/program"], LIMIT))
        .await;
    let refused = exec.unwrap().output().await;
    assert!(
        matches!(&refused, Err(ChannelError::Refused(reason)) if reason.contains("No such file")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_program_and_its_children_end_with_its_time() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let started = Instant::now();
    let exec = ExecSpec::new(
        ["sh", "-c", "sleep 1000 & sleep 1000"],
        Duration::from_millis(100),
    );
    let output = fixture
        .backend
        .exec(&id, &exec)
        .await
        .unwrap()
        .output()
        .await
        .unwrap();
    assert_eq!(output.exit, Exit::TimedOut);
    assert!(started.elapsed() < LIMIT);
    fixture.text(&id, NO_SLEEP).await;
}

#[tokio::test]
async fn a_program_and_its_children_end_when_nobody_reads_their_output_any_more() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let exec = ExecSpec::new(["sh", "-c", "sleep 1000 & echo up; sleep 1000"], LIMIT);
    let mut running = fixture.backend.exec(&id, &exec).await.unwrap();
    running.next().await.unwrap();
    drop(running);
    fixture.text(&id, NO_SLEEP).await;
}

#[tokio::test]
async fn a_process_that_left_the_group_does_not_hold_the_answer_back() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let started = Instant::now();
    assert_eq!(
        fixture.text(&id, "setsid sleep 1000 & echo done").await,
        "done"
    );
    assert!(started.elapsed() < LIMIT);
}

#[tokio::test]
async fn orphans_are_collected() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture
        .text(
            &id,
            "for i in 1 2 3 4 5; do setsid sh -c 'exit 1' & done; wait",
        )
        .await;
    let states = "grep -h '^State:' /proc/[0-9]*/status 2> /dev/null";
    let zombies = format!("while {states} | grep -q Z; do :; done");
    fixture.text(&id, &zombies).await;
}

#[tokio::test]
async fn a_service_outlives_the_connection_that_started_it_and_its_end_is_told() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let backend = &fixture.backend;
    backend
        .spawn(&id, &service("agent", "echo $OF; pwd; exec sleep 1000"))
        .await
        .unwrap();
    let again = backend.spawn(&id, &service("agent", "true")).await;
    assert!(
        matches!(&again, Err(SandboxError::Channel(ChannelError::Refused(_)))),
        "{again:?}"
    );

    let waiting = timeout(Duration::from_millis(50), backend.wait(&id, "agent")).await;
    assert!(waiting.is_err(), "{waiting:?}");
    backend
        .signal(&id, "agent", Signal::Terminate)
        .await
        .unwrap();
    let ended = timeout(LIMIT, backend.wait(&id, "agent"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended, Exit::Signal(15));
    assert_eq!(fixture.text(&id, "cat log").await, "the service\n/tmp");
    backend
        .spawn(&id, &service("agent", "exit 3"))
        .await
        .unwrap();
    let ended = timeout(LIMIT, backend.wait(&id, "agent"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended, Exit::Code(3));
}

#[tokio::test]
async fn waiting_for_a_service_ends_with_the_sandbox() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture
        .backend
        .spawn(&id, &service("agent", "exec sleep 1000"))
        .await
        .unwrap();
    let wait = timeout(LIMIT, fixture.backend.wait(&id, "agent"));
    let stop = fixture.backend.stop(&id, Duration::ZERO);
    let (waited, stopped) = tokio::join!(wait, stop);
    stopped.unwrap();
    assert!(waited.unwrap().is_err());
}

#[tokio::test]
async fn a_port_of_the_sandbox_is_reached_from_outside() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let server = "import socket\n\
                  listener = socket.create_server(('127.0.0.1', 4096))\n\
                  print('up', flush=True)\n\
                  stream, _ = listener.accept()\n\
                  stream.sendall(b'greeting')\n\
                  stream.sendall(stream.makefile('rb').read())";
    let exec = ExecSpec::new(["python3", "-c", server], LIMIT);
    let mut running = fixture.backend.exec(&id, &exec).await.unwrap();
    running.next().await.unwrap();

    let mut stream = fixture.backend.dial(&id, 4096).await.unwrap();
    stream.write_all(b" and echo").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut received = String::new();
    timeout(LIMIT, stream.read_to_string(&mut received))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(received, "greeting and echo");
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_refused_with_a_reason() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let refused = fixture.backend.dial(&id, 4096).await;
    assert!(
        matches!(&refused, Err(SandboxError::Channel(ChannelError::Refused(reason)))
            if reason.contains("refused")),
        "{refused:?}"
    );
}
