//! Hostile values in what a runner is told. The commands are signed, so nothing but the value is
//! wrong: each is refused with a 4xx, and nothing on the disk has changed.

use std::fs;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::Millis;
use protocol::signature::{Keys, Signature, Signed};
use serde_json::{Value, json};
use support::process::Process;
use tempfile::TempDir;

use crate::world::{Group, LIMIT, World};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const ID: &str = "00000000000000000000000000";

pub(crate) type Values = fn() -> Vec<String>;

/// Fields that become a part of a path, of a reference or an argument, by their places in a command.
const FIELDS: [(&str, &str, &[Values]); 17] = [
    ("start", "/sandbox", &[paths, identifiers]),
    ("start", "/session", &[paths, identifiers]),
    ("start", "/repository", &[paths, repositories]),
    ("start", "/branch", &[branches]),
    ("start", "/work_branch", &[branches]),
    ("start", "/environment", &[paths, environments]),
    ("start", "/warm", &[paths, identifiers]),
    ("start", "/snapshot", &[paths, identifiers]),
    ("prompt", "/sandbox", &[paths, identifiers]),
    ("prompt", "/prompt", &[paths, identifiers]),
    ("stop", "/sandbox", &[paths, identifiers]),
    ("sleep", "/sandbox", &[paths, identifiers]),
    ("end", "/sandbox", &[paths, identifiers]),
    ("build_image", "/image", &[paths, identifiers]),
    ("build_image", "/base/repository", &[paths, repositories]),
    ("build_image", "/base/branch", &[branches]),
    ("build_image", "/base/environment", &[paths, environments]),
];

pub(crate) fn group(group: &mut Group<'_>) {
    for (command, field, values) in FIELDS {
        let part = field.rsplit('/').next().unwrap();
        let name = format!("{command}_with_a_hostile_{part}_is_refused");
        group.test(&name, move |world| {
            Box::pin(is_refused(world, command, field, values))
        });
    }
    crate::tests!(
        group;
        an_address_with_tricks_in_its_path_is_refused,
        a_command_that_is_not_what_was_signed_is_refused,
    );
}

/// A runner as a process of its own, whose Worker and forge do not answer.
pub(crate) struct Runner {
    pub(crate) address: SocketAddr,
    state: PathBuf,
    client: reqwest::Client,
    _process: Process,
    _directory: TempDir,
}

impl Runner {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
        let state = directory.path().join("state");
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sandbox-runner"));
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("RUNNER_KEYS", KEY)
            .env("RUNNER_LISTEN", "127.0.0.1:0")
            .env("RUNNER_STATE_DIR", &state)
            .env("WORKER_URL", "http://127.0.0.1:9")
            .env("GITHUB_URL", "http://127.0.0.1:9")
            // No agent is ever started here.
            .env("OPENCODE_BIN", "/usr/bin/env");
        let log = directory.path().join("runner.log");
        let mut process = Process::start("sandbox-runner", command, &log)
            .await
            .unwrap();
        let listening = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            line.get("listening")?.as_str()?.parse().ok()
        };
        Self {
            address: process
                .wait_for("listening", LIMIT, listening)
                .await
                .unwrap(),
            state,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            _process: process,
            _directory: directory,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> u16 {
        let url = format!("http://{}{path}", self.address);
        self.client.get(url).send().await.unwrap().status().as_u16()
    }

    pub(crate) async fn send(&self, path: &str, signed: &[u8], sent: &[u8]) -> u16 {
        let mut request = self.client.post(format!("http://{}{path}", self.address));
        for (name, value) in sign(path, signed).headers() {
            request = request.header(name, value);
        }
        request
            .body(sent.to_vec())
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    /// What is answered to a target that a client would tidy up.
    pub(crate) async fn send_by_hand(&self, target: &str, body: &[u8]) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for (name, value) in sign(target, body).headers() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Every path below the state directory, but for the store's own files.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![self.state.clone()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if fs::symlink_metadata(&path).unwrap().is_dir() {
                    left.push(path.clone());
                }
                found.push(path);
            }
        }
        found.retain(|path| !path.to_string_lossy().contains("runner.sqlite"));
        found.sort();
        found
    }
}

fn sign(path: &str, body: &[u8]) -> Signature {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let request = Signed {
        method: "POST",
        path,
        body,
    };
    let id = format!("msg_{}", now.as_nanos());
    let now = Millis(i64::try_from(now.as_millis()).unwrap());
    Keys::parse(KEY).unwrap().sign_request(&id, now, request)
}

fn command(kind: &str) -> Value {
    let sandbox = format!("sbx_{ID}");
    match kind {
        "start" => json!({
            "type": "start", "session": format!("ses_{ID}"), "sandbox": sandbox, "epoch": 1,
            "repository": "octo/hello", "branch": "main", "work_branch": "agent/work",
            "model": { "provider": "openai", "name": "scripted-1" }, "first_part": 1,
            "callback_url": format!("http://127.0.0.1:9/runner/callbacks/ses_{ID}"),
            "environment": "default", "warm": format!("sbx_{ID}"),
            "snapshot": format!("snp_{ID}"),
        }),
        "prompt" => json!({
            "type": "prompt", "sandbox": sandbox, "prompt": format!("pmt_{ID}"), "text": "x",
            "mode": "queue", "sent_at": 1, "author": { "name": "a", "email": "a@b" },
            "co_authors": [],
        }),
        "stop" => json!({ "type": "stop", "sandbox": sandbox, "prompt": format!("pmt_{ID}") }),
        "end" => json!({ "type": "end", "sandbox": sandbox }),
        "sleep" => json!({ "type": "sleep", "sandbox": sandbox }),
        "build_image" => json!({
            "type": "build_image", "image": format!("img_{ID}"),
            "base": { "repository": "octo/hello", "branch": "main", "environment": "default" },
            "callback_url": "http://127.0.0.1:9/runner/images",
        }),
        other => panic!("no command {other}"),
    }
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// What leaves a directory, or ends a name before its end.
pub(crate) fn paths() -> Vec<String> {
    let mut values = owned(&[
        "",
        ".",
        "..",
        "../..",
        "/",
        "/etc/passwd",
        "../../etc/passwd",
        "a/../../../etc",
        "~",
        "~root",
        "%2e%2e",
        "%2e%2e%2f%2e%2e%2fetc",
        "..%2f..",
        "%252e%252e%252f",
        "..\\..\\etc",
        "%00",
        "a\0b",
        "a\nb",
        "a\rb",
        "\u{1b}[2J",
        "\u{ff0e}\u{ff0e}\u{ff0f}etc",
        "\u{2025}/etc",
        "..;/",
        "file:///etc/passwd",
        "$(touch owned)",
        "`id`",
        "-rf",
        "--help",
        "a b",
        "*",
        "\u{202e}",
        "\u{feff}",
    ]);
    values.push("x".repeat(300));
    values.push("../".repeat(2000));
    values
}

pub(crate) fn identifiers() -> Vec<String> {
    let mut values = Vec::new();
    for prefix in ["sbx", "ses", "pmt", "img", "run", "snp"] {
        for rest in [
            "",
            "..",
            "../x",
            "/",
            "a/b",
            "a/../b",
            "%2e%2e",
            "a%2fb",
            "a\\b",
            "a\0",
            "a\n",
            "A",
            "\u{e9}",
            "a.b",
            "a-b",
            "a b",
            "a_b",
            "\u{ff0e}\u{ff0e}",
        ] {
            values.push(format!("{prefix}_{rest}"));
        }
        values.push(format!("{prefix}_{}", "a".repeat(65)));
        values.push(format!("{prefix}_{}", "a/../".repeat(1000)));
        values.push(format!(" {prefix}_{ID}"));
        values.push(format!("{prefix}_{ID} "));
        values.push(format!("{prefix}{ID}"));
    }
    values
}

pub(crate) fn repositories() -> Vec<String> {
    let mut values = owned(&[
        "octo",
        "octo/",
        "/hello",
        "octo//hello",
        "octo/hello/",
        "octo/hello/x",
        "../hello",
        "octo/..",
        "octo/.",
        "octo/.git",
        ".octo/hello",
        "-octo/hello",
        "octo/-hello",
        "octo/--upload-pack=x",
        "octo/hel lo",
        "octo/hello\n",
        "octo/hello\0",
        "octo/%2e%2e",
        "octo%2fhello",
        "octo/hello?x=y",
        "octo/hello#x",
        "octo@host/hello",
        "host:octo/hello",
        "octo/he:llo",
        "octo\\hello",
        "octo/h\u{e9}",
        "ext::sh -c id/x",
        "http://host/octo/hello",
        "\u{ff0e}\u{ff0e}/hello",
    ]);
    values.push(format!("{}/hello", "o".repeat(40)));
    values.push(format!("octo/{}", "h".repeat(101)));
    values
}

fn environments() -> Vec<String> {
    let mut values = owned(&["Default", "1st", "-x", "a_b", "a.b", "a b", "a/b", "\u{e9}"]);
    values.push("e".repeat(41));
    values
}

/// What is no name of a branch by git's own rules, or would be an option or another reference.
fn branches() -> Vec<String> {
    let mut values = owned(&[
        "",
        ".",
        "..",
        "../../x",
        "/x",
        "x/",
        "a//b",
        "a..b",
        "a/../b",
        ".a",
        "a/.b",
        "a.",
        "a.lock",
        "a.lock/b",
        "-x",
        "--upload-pack=touch owned",
        "a b",
        "a\tb",
        "a\nb",
        "a\rb",
        "a\0b",
        "a\u{7f}b",
        "\u{1b}[2J",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "[a",
        "a\\b",
        "a@{1}",
        "@",
        "@{upstream}",
    ]);
    values.push("x".repeat(300));
    values.push("a/".repeat(2000) + "x");
    values
}

async fn is_refused(
    world: &World,
    kind: &'static str,
    field: &'static str,
    values: &'static [Values],
) {
    let runner = world.runner().await;
    let before = runner.files();
    let mut taken = Vec::new();
    for value in values.iter().flat_map(|values| values()) {
        let mut command = command(kind);
        *command.pointer_mut(field).unwrap() = value.clone().into();
        let body = serde_json::to_vec(&command).unwrap();
        let status = runner.send("/commands", &body, &body).await;
        if !matches!(status, 400 | 413 | 422) {
            taken.push((value.chars().take(40).collect::<String>(), status));
        }
    }
    assert_eq!(taken, []);
    assert_eq!(runner.files(), before);
    assert_eq!(runner.get("/healthz").await, 200);
    assert!(!Path::new("owned").exists());
}

async fn an_address_with_tricks_in_its_path_is_refused(world: &World) {
    let runner = world.runner().await;
    let before = runner.files();
    for target in [
        "/commands/..",
        "/commands/../healthz/../../etc/passwd",
        "//commands",
        "/commands/",
        "/./commands",
        "/%63ommands",
        "/commands%2f",
        "/commands%00",
        "/commands;x",
        "/healthz/../commands",
        "/..%2f..%2fetc%2fpasswd",
        "/images/..%2f..",
        "/sandboxes/sbx_x",
        "*",
        "http://other/commands/x",
        "/metrics/../commands",
    ] {
        let answer = runner.send_by_hand(target, b"{}").await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{target}: {answer}");
    }
    assert_eq!(runner.files(), before);
    assert_eq!(runner.get("/healthz").await, 200);
}

async fn a_command_that_is_not_what_was_signed_is_refused(world: &World) {
    let runner = world.runner().await;
    let before = runner.files();
    let signed = serde_json::to_vec(&command("prompt")).unwrap();
    let mut other = command("prompt");
    other["sandbox"] = format!("sbx_{}", ID.replace('0', "1")).into();
    let sent = serde_json::to_vec(&other).unwrap();
    assert_eq!(runner.send("/commands", &signed, &sent).await, 401);
    // As it was signed it is understood: such a sandbox is only not there.
    assert_eq!(runner.send("/commands", &signed, &signed).await, 404);
    assert_eq!(runner.files(), before);
}
