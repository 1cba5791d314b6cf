//! Layers from sandboxes that run on.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::SandboxId;
use protocol::command::{Model, Provider};
use sandbox_runner::agent::launch::{self, Place};
use sandbox_runner::agent::{Agent, BoxIo, Dial};
use sandbox_runner::image::WORKSPACE;
use sandbox_runner::init::wire::{ExecSpec, SpawnSpec};
use sandbox_runner::layer::LayerId;
use sandbox_runner::sandbox::channel::Exec;
use sandbox_runner::sandbox::namespaces::Tool;
use sandbox_runner::sandbox::{Adoption, SandboxBackend};
use serde_json::json;

use crate::fixture::{Fixture, LIMIT};

/// A program that works outside the home, counts, and never ends.
fn counter() -> SpawnSpec {
    let script = "i=0; while :; do i=$((i+1)); echo $i > /var/lib/agent/count; sleep 0.005; done";
    SpawnSpec {
        name: "counter".to_owned(),
        argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()],
        env: [].into(),
        cwd: Some("/var/lib/agent".to_owned()),
        log: None,
    }
}

#[tokio::test]
async fn a_snapshot_holds_what_was_written_and_the_sandbox_runs_on() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture.backend.spawn(&id, &counter()).await.unwrap();
    fixture
        .text(&id, "mkdir src; echo one > src/file; echo kept > kept; until [ -s /var/lib/agent/count ]; do :; done")
        .await;
    let layer = fixture.backend.snapshot(&id).await.unwrap();
    assert_eq!(layer, LayerId::of(&id, 0));
    let later = "before=$(cat /var/lib/agent/count); until [ $(cat /var/lib/agent/count) -gt $((before+1)) ]; do :; done";
    fixture.text(&id, later).await;
    fixture
        .text(&id, "echo two > src/file; rm kept; echo new > new")
        .await;
    assert_eq!(fixture.text(&id, "cat src/file; ls").await, "two\nnew\nsrc");

    let other = fixture.create(std::slice::from_ref(&layer)).await.id;
    assert_eq!(
        fixture.text(&other, "cat src/file kept; ls").await,
        "one\nkept\nkept\nsrc"
    );
    fixture.text(&other, "test -s /var/lib/agent/count").await;
}

#[tokio::test]
async fn snapshots_lie_upon_each_other_and_under_the_last_layer() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let mut layers = Vec::new();
    for number in 0..3 {
        fixture
            .text(&id, &format!("echo {number} > last; touch {number}"))
            .await;
        layers.push(fixture.backend.snapshot(&id).await.unwrap());
    }
    fixture.text(&id, "rm 0; echo end > last").await;
    layers.push(fixture.backend.freeze(&id).await.unwrap());
    let next = fixture.create(&layers).await.id;
    assert_eq!(fixture.text(&next, "cat last; ls").await, "end\n1\n2\nlast");
    let earlier = fixture.create(layers.get(..2).unwrap()).await.id;
    assert_eq!(
        fixture.text(&earlier, "cat last; ls").await,
        "1\n0\n1\nlast"
    );
}

/// Holds the home of a sandbox, as people's shells and servers do, until it is dropped.
async fn hold(fixture: &Fixture, id: &SandboxId, script: &str) -> Exec {
    let script = format!("echo up; {script}");
    let spec = ExecSpec::new(["/bin/bash", "-c", &script], LIMIT * 3).cwd("/tmp");
    let mut running = fixture.backend.exec(id, &spec).await.unwrap();
    running.next().await.unwrap();
    running
}

/// Whether the sandbox's snapshots so far were copies: a swap puts a layer under its home.
async fn were_copied(fixture: &Fixture, id: &SandboxId) -> bool {
    let records = fixture.backend.list().await.unwrap();
    let record = records.into_iter().find(|record| &record.id == id).unwrap();
    record.layers.is_empty() && record.ordinal > 0
}

#[tokio::test]
async fn files_are_kept_while_programs_stand_in_the_home_and_hold_them_open() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let made = "mkdir -p src/deep; echo one > src/file; ln src/file src/other; ln -s file src/link; \
        chmod 750 src/deep; mkfifo pipe; head -c 3M /dev/urandom > large; truncate -s 1G sparse";
    fixture.text(&id, made).await;
    let sum = fixture.text(&id, "sha256sum < large").await;
    let standing = "cd $HOME/src; exec 5>> $HOME/src/log; while :; do echo line >&5; read -t 0.001 <> $HOME/pipe; done";
    let holding = hold(&fixture, &id, standing).await;
    fixture.text(&id, "until [ -s src/log ]; do :; done").await;

    let first = fixture.backend.snapshot(&id).await.unwrap();
    assert!(were_copied(&fixture, &id).await);
    fixture
        .text(&id, "echo two > src/file; rm large; echo new > src/new")
        .await;
    let lines = fixture.text(&id, "wc -l < src/log").await;
    let second = fixture.backend.snapshot(&id).await.unwrap();
    assert_eq!(
        (&first, &second),
        (&LayerId::of(&id, 0), &LayerId::of(&id, 1))
    );
    // The one who holds it goes on in the same files.
    let more = format!("until [ $(wc -l < src/log) -gt {lines} ]; do :; done");
    fixture.text(&id, &more).await;
    drop(holding);

    let now = fixture.create(std::slice::from_ref(&second)).await.id;
    assert_eq!(
        fixture
            .text(&now, "cat src/file src/other src/link src/new; ls")
            .await,
        "two\ntwo\ntwo\nnew\npipe\nsparse\nsrc"
    );
    let whole = "grep -vcx line src/log; test $(stat -c %s sparse) = 1073741824 && du -k sparse; stat -c %a src/deep";
    let seen = fixture.run(&now, whole).await;
    assert_eq!(
        String::from_utf8(seen.stdout).unwrap(),
        "0\n0\tsparse\n750\n"
    );
    let kept: u64 = fixture.text(&now, "wc -l < src/log").await.parse().unwrap();
    assert!(kept >= lines.parse::<u64>().unwrap(), "{kept} of {lines}");
    let before = fixture.create(std::slice::from_ref(&first)).await.id;
    assert_eq!(
        fixture
            .text(&before, "cat src/file; ls; sha256sum < large")
            .await,
        format!("one\nlarge\npipe\nsparse\nsrc\n{sum}")
    );
}

#[tokio::test]
async fn what_was_removed_below_stays_removed_in_a_copy() {
    let fixture = Fixture::new();
    let below = fixture.create(&[]).await.id;
    fixture
        .text(&below, "mkdir old; echo gone > old/file; echo gone > file")
        .await;
    let below = fixture.backend.freeze(&below).await.unwrap();
    let id = fixture.create(std::slice::from_ref(&below)).await.id;
    fixture
        .text(&id, "rm -r old file; mkdir old; echo new > old/new")
        .await;
    let holding = hold(&fixture, &id, "cd $HOME/old; exec sleep 1000").await;
    fixture
        .text(
            &id,
            "until grep -q sleep /proc/[0-9]*/comm 2> /dev/null; do :; done",
        )
        .await;
    let top = fixture.backend.snapshot(&id).await.unwrap();
    drop(holding);
    let next = fixture.create(&[below, top]).await.id;
    assert_eq!(
        fixture.text(&next, "find old -type f; ls").await,
        "old/new\nold"
    );
}

/// A file that is written over again and again, by a memory map too, is in the copy as it was at one
/// moment: all of its two halves or neither.
#[tokio::test]
async fn a_file_that_is_being_written_is_kept_as_it_was_at_one_moment() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    // The first page is written before the second one, and both hold the same number.
    let writer = "import mmap, os, struct\n\
        file = open(os.environ['HOME'] + '/pages', 'w+b'); file.truncate(8192)\n\
        pages = mmap.mmap(file.fileno(), 8192)\n\
        number = 0\n\
        print('up', flush=True)\n\
        while True:\n number += 1\n pages[0:8] = struct.pack('<q', number)\n pages[4096:4104] = struct.pack('<q', number)\n";
    let spec = ExecSpec::new(["python3", "-c", writer], LIMIT * 3).cwd("/tmp");
    let mut running = fixture.backend.exec(&id, &spec).await.unwrap();
    running.next().await.unwrap();
    let reader = "import struct\npages = open('pages', 'rb').read()\n\
        print(struct.unpack('<q', pages[0:8])[0], struct.unpack('<q', pages[4096:4104])[0])";
    let mut last = 0;
    for _ in 0..3 {
        let layer = fixture.backend.snapshot(&id).await.unwrap();
        assert!(were_copied(&fixture, &id).await);
        let next = fixture.create(std::slice::from_ref(&layer)).await.id;
        let read = fixture
            .text(&next, &format!("python3 -c \"{reader}\""))
            .await;
        let (first, second) = read.split_once(' ').unwrap();
        let (first, second): (u64, u64) = (first.parse().unwrap(), second.parse().unwrap());
        assert!(first == second || first == second + 1, "{read}");
        assert!(first > last, "{first} after {last}");
        last = first;
    }
}

#[tokio::test]
async fn a_runner_that_dies_while_it_copies_leaves_a_sandbox_that_goes_on() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture.text(&id, "echo one > file").await;
    interrupt(&fixture, &id, "copying");
    let fixture = fixture.restart();
    let adopted = fixture.backend.adopt(&id).await.unwrap();
    assert!(matches!(adopted, Adoption::Alive(_)), "{adopted:?}");
    fixture.text(&id, "echo two >> file").await;
    let layer = fixture.backend.freeze(&id).await.unwrap();
    assert_eq!(layer, LayerId::of(&id, 0));
    let next = fixture.create(&[layer]).await.id;
    assert_eq!(fixture.text(&next, "cat file").await, "one\ntwo");
}

#[tokio::test]
async fn a_sandbox_is_adopted_after_its_snapshot() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture.text(&id, "echo one > file").await;
    fixture.backend.snapshot(&id).await.unwrap();
    let fixture = fixture.restart();
    let adopted = fixture.backend.adopt(&id).await.unwrap();
    assert!(matches!(adopted, Adoption::Alive(_)), "{adopted:?}");
    fixture.text(&id, "echo two >> file").await;
    let top = fixture.backend.freeze(&id).await.unwrap();
    let next = fixture.create(&[LayerId::of(&id, 0), top]).await.id;
    assert_eq!(fixture.text(&next, "cat file").await, "one\ntwo");
}

/// What a runner leaves that is killed at this point of a snapshot.
fn interrupt(fixture: &Fixture, id: &SandboxId, state: &str) {
    let path = fixture.directory(id).join("record.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["snapshot"] = json!(state);
    fs::write(&path, record.to_string()).unwrap();
}

#[tokio::test]
async fn a_runner_that_dies_before_the_swap_leaves_all_that_was_written() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture.text(&id, "echo one > file").await;
    interrupt(&fixture, &id, "begun");
    fs::create_dir(fixture.directory(&id).join("upper.new")).unwrap();
    let fixture = fixture.restart();
    let adopted = fixture.backend.adopt(&id).await.unwrap();
    assert!(matches!(adopted, Adoption::Gone), "{adopted:?}");
    let layer = fixture.backend.freeze(&id).await.unwrap();
    let next = fixture.create(&[layer]).await.id;
    assert_eq!(fixture.text(&next, "cat file").await, "one");
}

#[tokio::test]
async fn a_runner_that_dies_after_the_swap_is_followed_by_one_that_finishes_the_layer() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture.text(&id, "echo one > file").await;
    fixture.backend.snapshot(&id).await.unwrap();
    fixture.text(&id, "echo two > file").await;
    // As it is between the swap and the commit.
    let (directory, layer) = (
        fixture.directory(&id),
        fixture.path().join(format!("layers/{id}.0")),
    );
    for (from, to) in [
        (directory.join("upper"), directory.join("upper.new")),
        (layer.join("fs"), directory.join("upper")),
        (layer.join("agent"), directory.join("agent.copy")),
    ] {
        fs::rename(from, to).unwrap();
    }
    // The store may be writing beside the files.
    fs::rename(layer, fixture.path().join("unmade")).unwrap();
    let path = directory.join("record.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    (record["layers"], record["ordinal"]) = (json!([]), json!(0));
    fs::write(&path, record.to_string()).unwrap();
    interrupt(&fixture, &id, "swapped");

    let fixture = fixture.restart();
    let adopted = fixture.backend.adopt(&id).await.unwrap();
    assert!(matches!(adopted, Adoption::Alive(_)), "{adopted:?}");
    assert_eq!(fixture.text(&id, "cat file").await, "two");
    let first = fixture.create(&[LayerId::of(&id, 0)]).await.id;
    assert_eq!(fixture.text(&first, "cat file").await, "one");
    let top = fixture.backend.freeze(&id).await.unwrap();
    let both = fixture.create(&[LayerId::of(&id, 0), top]).await.id;
    assert_eq!(fixture.text(&both, "cat file").await, "two");
}

#[tokio::test]
#[ignore = "prints figures"]
async fn from_a_running_sandbox_to_a_layer() {
    let fixture = Fixture::new();
    for (megabytes, files) in [(0, 1), (100, 100), (1000, 1000), (1000, 1000)] {
        let id = fixture.create(&[]).await.id;
        let script = format!(
            "i=0; while [ $i -lt {files} ]; do head -c {} /dev/zero > file$i; i=$((i+1)); done",
            megabytes * 1_000_000 / files
        );
        fixture.text(&id, &script).await;
        for state in ["dirty", "clean"] {
            let ticker = "import time, os\nlast, worst = time.monotonic(), 0\nprint('up', flush=True)\n\
                while not os.path.exists('/tmp/stop'):\n now = time.monotonic()\n worst = max(worst, now - last)\n last = now\n time.sleep(0.0005)\nprint(worst)";
            let spec = ExecSpec::new(["python3", "-c", ticker], LIMIT * 10).cwd("/tmp");
            let mut ticking = fixture.backend.exec(&id, &spec).await.unwrap();
            ticking.next().await.unwrap();
            let started = Instant::now();
            fixture.backend.snapshot(&id).await.unwrap();
            let took = started.elapsed();
            tokio::time::sleep(Duration::from_millis(20)).await;
            fixture.text(&id, "touch /tmp/stop").await;
            let worst = ticking.output().await.unwrap().stdout;
            let worst = String::from_utf8(worst).unwrap();
            println!(
                "{megabytes} MB, {files} files, {state}: snapshot {took:?}, stopped for {} s",
                worst.trim()
            );
            fixture.text(&id, "rm /tmp/stop; touch $HOME/more").await;
        }
        fixture.backend.destroy(&id).await.unwrap();
    }
}

#[tokio::test]
async fn the_agent_holds_nothing_of_the_home_while_it_has_nothing_to_do() {
    let binary = std::env::var_os("OPENCODE_BIN").map(PathBuf::from).unwrap();
    let settings = tempfile::tempdir().unwrap();
    launch::write_tools(settings.path()).unwrap();
    let program = format!("/opt/agent/{}", binary.file_name().unwrap().display());
    let fixture = Fixture::with_tools(vec![Tool {
        name: "agent".to_owned(),
        sources: vec![settings.path().to_owned(), binary],
    }]);
    let id = fixture.create(&[]).await.id;
    let prepare = format!("git init -q {WORKSPACE} && touch {WORKSPACE}/file");
    fixture.text(&id, &prepare).await;
    let model = Model {
        provider: Provider::Openai,
        name: "scripted-1".to_owned(),
    };
    let place = Place::sandbox(&program, WORKSPACE);
    let launch = launch::launch(&place, &model);
    let service = SpawnSpec {
        name: "agent".to_owned(),
        argv: launch.argv,
        env: launch.env.into_iter().collect(),
        cwd: Some(place.state.to_owned()),
        log: Some("/tmp/agent.log".to_owned()),
    };
    fixture.backend.spawn(&id, &service).await.unwrap();
    let (backend, sandbox) = (Arc::clone(&fixture.backend), id.clone());
    let dial: Dial = Arc::new(move || {
        let (backend, sandbox) = (Arc::clone(&backend), sandbox.clone());
        Box::pin(async move {
            let dialled = backend.dial(&sandbox, launch::PORT).await;
            Ok(Box::new(dialled.map_err(std::io::Error::other)?) as BoxIo)
        })
    });
    let agent = Agent::connect(dial, WORKSPACE);
    let patience = tokio::time::Instant::now() + 3 * LIMIT;
    agent.wait_until_up(patience).await.unwrap();
    agent.conversation("ses_1").await.unwrap();

    let quiet = async {
        // It still asks git about the workspace.
        loop {
            fixture.backend.snapshot(&id).await.unwrap();
            if !were_copied(&fixture, &id).await {
                break;
            }
        }
    };
    tokio::time::timeout(LIMIT, quiet).await.unwrap();
    agent.conversation("ses_2").await.unwrap();
    fixture
        .text(&id, &format!("test -e {WORKSPACE}/file"))
        .await;
}
