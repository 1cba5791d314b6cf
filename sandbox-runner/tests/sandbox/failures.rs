//! What the machine does not give is an error of the sandbox that needed it, which says what it was;
//! the others go on.

use std::error::Error;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::Command;

use sandbox_runner::sandbox::{SandboxBackend, SandboxError};

use crate::fixture::{Fixture, spec};

fn chain(error: &SandboxError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn a_mount_that_fails_is_an_error_of_that_sandbox_alone() {
    let fixture = Fixture::new();
    let neighbour = fixture.create(&[]).await.id;
    let below = fixture.create(&[]).await.id;
    fixture.text(&below, "echo one > file").await;
    let layer = fixture.backend.freeze(&below).await.unwrap();
    // An overlay cannot have a directory twice.
    let failing = spec(&[layer.clone(), layer.clone()]);
    let failed = fixture.backend.create(&failing).await.unwrap_err();
    let said = chain(&failed);
    assert!(
        matches!(failed, SandboxError::Start { .. }) && said.contains("mount the home"),
        "{said}"
    );
    assert!(!fixture.directory(&failing.id).exists());

    // And one whose files are gone must not be taken for one that has none.
    let files = fixture.path().join(format!("layers/{layer}/fs"));
    fs::rename(&files, fixture.path().join("gone")).unwrap();
    let failing = spec(std::slice::from_ref(&layer));
    let failed = fixture.backend.create(&failing).await.unwrap_err();
    assert_eq!(chain(&failed), format!("there is no layer {layer}"));
    assert!(!fixture.directory(&failing.id).exists());
    fs::rename(fixture.path().join("gone"), files).unwrap();

    assert_eq!(fixture.text(&neighbour, "echo here").await, "here");
    let next = fixture.create(&[layer]).await.id;
    assert_eq!(fixture.text(&next, "cat file").await, "one");
}

/// Fills a volume to its last byte.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    for size in [64 << 10, 1] {
        let piece = vec![0; size];
        let full = loop {
            if let Err(error) = file.write_all(&piece) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_of_whoever_needs_room_and_the_others_go_on() {
    let Some(fixture) = Fixture::on_a_small_volume() else {
        // Only root can mount one.
        assert!(!rustix::process::getuid().is_root());
        return;
    };
    let neighbour = fixture.create(&[]).await.id;
    fixture.text(&neighbour, "echo one > file").await;
    let filling = fixture.path().join("filling");
    fill(&filling);

    let wanted = spec(&[]);
    let failed = fixture.backend.create(&wanted).await.unwrap_err();
    let said = chain(&failed);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(!fixture.directory(&wanted.id).exists());
    let written = fixture
        .run(&neighbour, "head -c 100000 /dev/zero > more")
        .await;
    let said = String::from_utf8(written.stderr).unwrap();
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(fixture.text(&neighbour, "cat file").await, "one");
    let kept = fixture.backend.snapshot(&neighbour).await.unwrap_err();
    let said = chain(&kept);
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(fixture.text(&neighbour, "cat file").await, "one");

    fs::remove_file(filling).unwrap();
    let layer = fixture.backend.snapshot(&neighbour).await.unwrap();
    let next = fixture.create(&[layer]).await.id;
    assert_eq!(fixture.text(&next, "cat file").await, "one");
    let again = fixture.backend.create(&wanted).await.unwrap().id;
    assert_eq!(fixture.text(&again, "echo here").await, "here");
}

/// What the doctor says, which is not root, in a namespace whose owner has set something about it.
fn doctor(state: &Path, setting: &str) -> (bool, String) {
    let script = format!("{setting}; exec unshare --user --map-user=1000 \"$0\" doctor");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-ec", &script])
        .arg(env!("CARGO_BIN_EXE_sandbox-runner"))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("RUNNER_KEYS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .env("RUNNER_STATE_DIR", state)
        .env("WORKER_URL", "http://127.0.0.1:9")
        .env("OPENCODE_BIN", "/bin/true")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn a_kernel_that_gives_no_namespaces_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let (success, said) = doctor(
        directory.path(),
        // The one that the doctor itself is in.
        "echo 1 > /proc/sys/user/max_user_namespaces",
    );
    assert!(!success);
    assert!(
        said.contains("user namespaces are not available") && said.contains("with sysctl"),
        "{said}"
    );
}
