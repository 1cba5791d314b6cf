//! Hostile names and paths in the runner's other ways: what people look at, what is told to it, and what
//! an agent shows. Whoever asks is signed for, so nothing but the value is wrong.

use std::fs;

use protocol::api::{MAX_SHOWN_FILE, names_of};
use sandbox_runner::artifact::share;
use sandbox_runner::image::WORKSPACE;
use sandbox_runner::layer::lookup;
use sandbox_runner::sandbox::SandboxBackend;
use serde_json::{Value, json};

use crate::api::{ID, Values, identifiers, paths, repositories};
use crate::world::{Group, Pair, World};

const CANARY: &str = "a canary outside of every sandbox";

/// The fields by their places in what is sent there.
const FIELDS: [(&str, &str, &[Values]); 5] = [
    ("/files", "/place/sandbox", &[paths, identifiers]),
    ("/files", "/place/snapshot", &[paths, identifiers]),
    ("/changes", "/sandbox", &[paths, identifiers]),
    ("/changes", "/scope", &[paths]),
    ("/refresh", "/repository", &[paths, repositories]),
];

pub(crate) fn group(group: &mut Group<'_>) {
    for (way, field, values) in FIELDS {
        let part = field.rsplit('/').next().unwrap();
        let name = format!("{}_with_a_hostile_{part}_is_refused", &way[1..]);
        group.test(&name, move |world| {
            Box::pin(is_refused(world, way, field, values))
        });
    }
    crate::tests!(
        group;
        a_terminal_of_a_hostile_name_is_not_there,
        a_file_outside_of_the_workspace_is_not_shown_to_people,
        a_file_outside_of_the_sandbox_is_not_shared_from_inside,
    );
}

fn message(way: &str, field: &str) -> Value {
    let sandbox = format!("sbx_{ID}");
    match way {
        "/files" if field.ends_with("snapshot") => json!({
            "place": { "type": "snapshot", "snapshot": format!("snp_{ID}") }, "path": "a",
        }),
        "/files" => json!({ "place": { "type": "sandbox", "sandbox": sandbox }, "path": "a" }),
        "/changes" => json!({ "sandbox": sandbox, "scope": "session" }),
        _ => json!({ "repository": "octo/hello" }),
    }
}

async fn is_refused(
    world: &World,
    way: &'static str,
    field: &'static str,
    values: &'static [Values],
) {
    let runner = world.runner().await;
    // As it is meant it is understood.
    let meant = serde_json::to_vec(&message(way, field)).unwrap();
    let status = runner.send(way, &meant, &meant).await;
    assert!(matches!(status, 204 | 404), "{way}: {status}");
    let before = runner.files();
    let mut taken = Vec::new();
    for value in values.iter().flat_map(|values| values()) {
        let mut message = message(way, field);
        *message.pointer_mut(field).unwrap() = value.clone().into();
        let body = serde_json::to_vec(&message).unwrap();
        let status = runner.send(way, &body, &body).await;
        if status != 400 {
            taken.push((value.chars().take(40).collect::<String>(), status));
        }
    }
    assert_eq!(taken, []);
    assert_eq!(runner.files(), before);
}

async fn a_terminal_of_a_hostile_name_is_not_there(world: &World) {
    let runner = world.runner().await;
    let before = runner.files();
    let body = br#"{"user":1}"#;
    for value in paths().into_iter().chain(identifiers()) {
        // Neither the client nor the server may tidy it up.
        let name: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for name in [name, value] {
            let target = format!("/terminal/{name}/expel");
            if target.bytes().any(|byte| !byte.is_ascii_graphic()) {
                continue;
            }
            let answer = runner.send_by_hand(&target, body).await;
            let refused = answer.starts_with("HTTP/1.1 4") && !answer.starts_with("HTTP/1.1 401");
            let start: String = target.chars().take(60).collect();
            assert!(refused, "{start}: {answer}");
        }
    }
    assert_eq!(runner.files(), before);
}

/// Links in the attacker's workspace to what is not in there, and the words by which it is asked for.
async fn lures(pair: &Pair) -> (tempfile::TempDir, Vec<String>) {
    let outside = tempfile::tempdir().unwrap();
    let canary = outside.path().join("canary");
    fs::write(&canary, CANARY).unwrap();
    let canary = canary.to_str().unwrap();
    let up = "../".repeat(20);
    let script = format!(
        "mkdir -p {WORKSPACE} && cd {WORKSPACE} && ln -sfn {canary} link && ln -sfn / root && \
         ln -sfn /proc/self/root proc && ln -sfn {up} up && ln -sfn /etc/passwd passwd"
    );
    pair.fixture.text(&pair.attacker.id, &script).await;
    let mut wanted = paths();
    wanted.push(format!("{up}{canary}"));
    wanted.push(canary.to_owned());
    for way in [
        "root",
        "proc",
        "up",
        "/proc/1/root",
        "/proc/self/root",
        "/proc/self/cwd",
    ] {
        wanted.push(format!("{way}{canary}"));
    }
    wanted.extend(["link", "passwd", "root/etc/passwd", "up/etc/passwd"].map(str::to_owned));
    (outside, wanted)
}

async fn a_file_outside_of_the_workspace_is_not_shown_to_people(world: &World) {
    let pair = world.pair().await;
    let (outside, wanted) = lures(pair).await;
    let script = format!("echo inside > {WORKSPACE}/control");
    pair.fixture.text(&pair.attacker.id, &script).await;
    let read = async |path: &str| {
        let names = names_of(path)?;
        let roots = pair.fixture.backend.files(&pair.attacker.id).await.unwrap();
        let names: Vec<&str> = ["workspace"].into_iter().chain(names).collect();
        lookup::read(roots, &names, MAX_SHOWN_FILE).ok()
    };
    assert_eq!(read("control").await.as_deref(), Some(&b"inside\n"[..]));
    for path in wanted {
        assert_eq!(read(&path).await, None, "{path}");
    }
    let canary = fs::read_to_string(outside.path().join("canary")).unwrap();
    assert_eq!(canary, CANARY);
}

async fn a_file_outside_of_the_sandbox_is_not_shared_from_inside(world: &World) {
    let pair = world.pair().await;
    let (outside, wanted) = lures(pair).await;
    let script = format!("echo inside > {WORKSPACE}/control");
    pair.fixture.text(&pair.attacker.id, &script).await;
    let backend = &*pair.fixture.backend;
    let read = async |path: &str| share::read(backend, &pair.attacker.id, path).await;
    assert_eq!(read("control").await.unwrap(), b"inside\n");
    for path in wanted {
        assert!(read(&path).await.is_err(), "{path}");
    }
    let canary = fs::read_to_string(outside.path().join("canary")).unwrap();
    assert_eq!(canary, CANARY);
}
