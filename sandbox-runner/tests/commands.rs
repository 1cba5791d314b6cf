//! `POST /commands` over a real socket: what is right is recorded, what is not changes nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::api::ErrorBody;
use protocol::command::{Accepted, Command, GitIdentity, Model, Provider, SendPrompt, Start};
use protocol::event::{Mode, Repository};
use protocol::signature::{Keys, Signature, Signed};
use protocol::{Epoch, Millis, PartId, PromptId, SandboxId, SessionId};
use reqwest::{Client, Method, StatusCode};
use sandbox_runner::sandbox::doctor::{Machine, Missing, Unfit};
use sandbox_runner::server::{self, Commands, health};
use sandbox_runner::session::{Supervisor, Wake, sessions};
use sandbox_runner::store::{CommandId, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

struct Runner {
    url: String,
    client: Client,
    store: Arc<Store>,
    supervisor: Supervisor,
    _directory: TempDir,
}

/// A request in all its parts, so that a test can spoil one.
struct Attempt {
    method: Method,
    path: &'static str,
    signed_path: &'static str,
    body: Vec<u8>,
    signed_body: Vec<u8>,
    id: String,
    at: Millis,
    key: &'static str,
    without: Option<&'static str>,
}

impl Attempt {
    fn of(command: &Command, id: &str) -> Self {
        Self::raw(serde_json::to_vec(command).unwrap(), id)
    }

    fn raw(body: Vec<u8>, id: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            method: Method::POST,
            path: "/commands",
            signed_path: "/commands",
            signed_body: body.clone(),
            body,
            id: id.into(),
            at: Millis(now.as_millis() as i64),
            key: KEY,
            without: None,
        }
    }
}

fn machine() -> Machine {
    Machine {
        isolation: "namespaces",
        kernel: "6.12.0".to_owned(),
        root: true,
        control_groups: "cgroup v2".to_owned(),
        landlock: None,
        file_system: "ext4".to_owned(),
        missing: vec![Missing {
            what: "Landlock",
            instead: "something else",
        }],
    }
}

impl Runner {
    async fn start(capacity: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("runner.sqlite")).unwrap());
        let (sessions, supervisor) = sessions();
        let keys = Keys::parse(KEY).unwrap();
        let commands = Commands {
            keys,
            store: Arc::clone(&store),
            sessions,
            capacity,
            warm: Arc::new(|| 2),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            axum::serve(
                listener,
                server::router(commands).merge(health::fit(&machine())),
            )
            .await
            .unwrap()
        });
        let client = Client::builder().no_proxy().build().unwrap();
        Self {
            url,
            client,
            store,
            supervisor,
            _directory: directory,
        }
    }

    async fn send(&self, attempt: Attempt) -> (StatusCode, String) {
        let signed = Signed {
            method: "POST",
            path: attempt.signed_path,
            body: &attempt.signed_body,
        };
        let signature: Signature =
            Keys::parse(attempt.key)
                .unwrap()
                .sign_request(&attempt.id, attempt.at, signed);
        let url = format!("{}{}", self.url, attempt.path);
        let mut request = self.client.request(attempt.method, url);
        for (name, value) in signature.headers() {
            if attempt.without != Some(name) {
                request = request.header(name, value);
            }
        }
        let response = request.body(attempt.body).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn refused(&self, attempt: Attempt) -> (u16, String) {
        let (status, body) = self.send(attempt).await;
        let body: ErrorBody = serde_json::from_str(&body).unwrap();
        assert!(!body.error.message.is_empty());
        (status.as_u16(), body.error.code)
    }

    async fn accepted(&self, attempt: Attempt) {
        let (status, body) = self.send(attempt).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        assert_eq!(
            serde_json::from_str::<Accepted>(&body).unwrap(),
            Accepted { accepted: true }
        );
    }

    fn assert_untouched(&mut self) {
        assert_eq!(self.store.sandboxes().unwrap(), []);
        assert_eq!(self.store.pending_for_runner(CommandId(0)).unwrap(), []);
        assert_eq!(self.store.pending(&sandbox(1), CommandId(0)).unwrap(), []);
        assert_eq!(self.supervisor.try_next(), None);
    }
}

fn sandbox(number: u8) -> SandboxId {
    SandboxId::from_random([number; 16])
}

fn start(number: u8) -> Command {
    Command::Start(Start {
        session: SessionId::from_random([1; 16]),
        sandbox: sandbox(number),
        epoch: Epoch(1),
        repository: Repository::parse("octo/hello").unwrap(),
        branch: "main".into(),
        work_branch: "agent/1".into(),
        model: Model {
            provider: Provider::Openai,
            name: "scripted-1".into(),
        },
        first_part: PartId(1),
        callback_url: "http://127.0.0.1:1/".into(),
        environment: None,
        warm: None,
        snapshot: None,
        egress: None,
        specification: None,
        spent_microdollars: 0,
    })
}

fn prompt(number: u8) -> Command {
    Command::Prompt(SendPrompt {
        sandbox: sandbox(number),
        prompt: PromptId::from_random([9; 16]),
        text: "fix it".into(),
        mode: Mode::Queue,
        sent_at: Millis(1),
        author: GitIdentity {
            name: "Ada".into(),
            email: "ada@example.com".into(),
        },
        co_authors: vec![],
        attachments: Vec::new(),
        resumed: false,
    })
}

fn expect(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_signed_command_is_recorded_before_it_is_answered() {
    let mut runner = Runner::start(8).await;
    runner.accepted(Attempt::of(&start(1), "msg_1")).await;
    assert_eq!(runner.store.sandboxes().unwrap().len(), 1);
    assert!(matches!(runner.supervisor.try_next(), Some(Wake::Start(_))));
    runner.accepted(Attempt::of(&prompt(1), "msg_2")).await;
    let pending = runner.store.pending(&sandbox(1), CommandId(0)).unwrap();
    assert_eq!(
        pending.first().map(|pending| &pending.command),
        Some(&prompt(1))
    );
    assert_eq!(
        runner.supervisor.try_next(),
        Some(Wake::Sandbox(sandbox(1)))
    );
}

#[tokio::test]
async fn an_unsigned_command_is_refused() {
    let mut runner = Runner::start(8).await;
    for header in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let attempt = Attempt {
            without: Some(header),
            ..Attempt::of(&start(1), "msg_1")
        };
        assert_eq!(
            runner.refused(attempt).await,
            expect(401, "missing_signature")
        );
    }
    runner.assert_untouched();
}

#[tokio::test]
async fn a_signature_of_something_else_is_refused() {
    let mut runner = Runner::start(8).await;
    let right = || Attempt::of(&start(1), "msg_1");
    let spoiled = [
        Attempt {
            key: OTHER_KEY,
            ..right()
        },
        Attempt {
            signed_body: b"{}".to_vec(),
            ..right()
        },
        Attempt {
            signed_path: "/healthz",
            ..right()
        },
        Attempt {
            path: "/commands?x=1",
            ..right()
        },
        Attempt {
            id: "msg.1".into(),
            ..right()
        },
    ];
    for attempt in spoiled {
        assert_eq!(runner.refused(attempt).await, expect(401, "bad_signature"));
    }
    runner.assert_untouched();
}

#[tokio::test]
async fn an_old_or_future_timestamp_is_refused() {
    let mut runner = Runner::start(8).await;
    for minutes in [-6, 6] {
        let right = Attempt::of(&start(1), "msg_1");
        let attempt = Attempt {
            at: right.at.plus(minutes * 60_000),
            ..right
        };
        assert_eq!(
            runner.refused(attempt).await,
            expect(401, "stale_timestamp")
        );
    }
    runner.assert_untouched();
}

#[tokio::test]
async fn signed_nonsense_is_refused() {
    let mut runner = Runner::start(8).await;
    for body in [
        "",
        "{",
        "[]",
        r#"{"type":"dance"}"#,
        r#"{"type":"end","sandbox":"../etc"}"#,
    ] {
        let attempt = Attempt::raw(body.into(), "msg_1");
        assert_eq!(
            runner.refused(attempt).await,
            expect(400, "malformed"),
            "{body}"
        );
    }
    runner.assert_untouched();
}

#[tokio::test]
async fn nonsense_without_a_signature_is_not_even_parsed() {
    let mut runner = Runner::start(8).await;
    let attempt = Attempt {
        key: OTHER_KEY,
        ..Attempt::raw(b"{".to_vec(), "msg_1")
    };
    assert_eq!(runner.refused(attempt).await, expect(401, "bad_signature"));
    runner.assert_untouched();
}

#[tokio::test]
async fn a_command_of_more_than_a_megabyte_is_refused() {
    let mut runner = Runner::start(8).await;
    let attempt = Attempt::raw(vec![b' '; 1024 * 1024 + 1], "msg_1");
    assert_eq!(runner.refused(attempt).await, expect(413, "too_large"));
    runner.assert_untouched();
}

#[tokio::test]
async fn a_replayed_id_is_refused_even_with_another_command() {
    let mut runner = Runner::start(8).await;
    runner.accepted(Attempt::of(&start(1), "msg_1")).await;
    runner.supervisor.try_next();
    assert_eq!(
        runner.refused(Attempt::of(&start(1), "msg_1")).await,
        expect(409, "replayed")
    );
    assert_eq!(
        runner.refused(Attempt::of(&prompt(1), "msg_1")).await,
        expect(409, "replayed")
    );
    assert_eq!(runner.store.pending(&sandbox(1), CommandId(0)).unwrap(), []);
    assert_eq!(runner.supervisor.try_next(), None);
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_id() {
    let runner = Runner::start(8).await;
    let attempt = Attempt {
        key: OTHER_KEY,
        ..Attempt::of(&start(1), "msg_1")
    };
    runner.refused(attempt).await;
    assert_eq!(
        runner.refused(Attempt::of(&prompt(1), "msg_1")).await,
        expect(404, "unknown_sandbox")
    );
    runner.accepted(Attempt::of(&start(1), "msg_1")).await;
}

#[tokio::test]
async fn the_same_start_twice_is_one_sandbox() {
    let runner = Runner::start(8).await;
    runner.accepted(Attempt::of(&start(1), "msg_1")).await;
    runner.accepted(Attempt::of(&start(1), "msg_2")).await;
    assert_eq!(runner.store.sandboxes().unwrap().len(), 1);
}

#[tokio::test]
async fn a_start_beyond_the_capacity_is_refused_until_one_ends() {
    let runner = Runner::start(1).await;
    runner.accepted(Attempt::of(&start(1), "msg_1")).await;
    assert_eq!(
        runner.refused(Attempt::of(&start(2), "msg_2")).await,
        expect(503, "full")
    );
    runner.store.end(&sandbox(1), Millis(i64::MAX / 2)).unwrap();
    runner.accepted(Attempt::of(&start(2), "msg_3")).await;
}

#[tokio::test]
async fn a_prompt_for_an_unknown_or_ended_sandbox_is_refused_and_its_end_is_not() {
    let runner = Runner::start(8).await;
    assert_eq!(
        runner.refused(Attempt::of(&prompt(1), "msg_1")).await,
        expect(404, "unknown_sandbox")
    );
    let end = Command::End {
        sandbox: sandbox(1),
    };
    runner.accepted(Attempt::of(&end, "msg_2")).await;
    assert_eq!(runner.store.pending(&sandbox(1), CommandId(0)).unwrap(), []);
}

#[tokio::test]
async fn other_addresses_and_methods_have_errors_of_the_same_form() {
    let runner = Runner::start(8).await;
    let get = Attempt {
        method: Method::GET,
        ..Attempt::of(&start(1), "msg_1")
    };
    assert_eq!(runner.refused(get).await, expect(405, "method_not_allowed"));
    let elsewhere = Attempt {
        path: "/nothing",
        ..Attempt::of(&start(1), "msg_1")
    };
    assert_eq!(runner.refused(elsewhere).await, expect(404, "not_found"));
}

#[tokio::test]
async fn health_needs_no_signature() {
    let runner = Runner::start(8).await;
    let response = runner
        .client
        .get(format!("{}/healthz", runner.url))
        .send()
        .await
        .unwrap();
    let body: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(
        body.get("status").and_then(serde_json::Value::as_str),
        Some("ok")
    );
    let missing = body.pointer("/machine/missing/0/what").unwrap();
    assert_eq!(missing, "Landlock");
}

#[tokio::test]
async fn a_machine_that_can_have_no_sandboxes_says_why_and_takes_nothing() {
    let reason = Unfit::Gvisor {
        release: "4.19.0-gvisor".to_owned(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, health::unfit(&reason)).await });
    let client = Client::builder().no_proxy().build().unwrap();
    let told = client.get(format!("{url}/healthz")).send().await.unwrap();
    assert_eq!(told.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: serde_json::Value = serde_json::from_str(&told.text().await.unwrap()).unwrap();
    let message = body.get("message").and_then(serde_json::Value::as_str);
    assert!(message.unwrap().contains("gVisor (4.19.0-gvisor)"));
    let command = client.post(format!("{url}/commands")).send().await.unwrap();
    assert_eq!(command.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn counts_need_no_signature_and_can_be_read() {
    let runner = Runner::start(8).await;
    let url = format!("{}/metrics", runner.url);
    let response = runner.client.get(url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let kind = response.headers().get("content-type").unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4");
    let text = response.text().await.unwrap();
    let (mut family, mut values) = (String::new(), 0);
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# TYPE ") {
            let (name, kind) = about.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            family = name.to_owned();
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(&family), "{line} is not of {family}");
            value.parse::<f64>().unwrap();
            values += 1;
        }
    }
    assert!(values > 0);
    for line in [
        "hosted_agents_runner_sandboxes{state=\"warm\"} 2",
        "hosted_agents_runner_capacity 8",
        "hosted_agents_runner_reports_waiting 0",
    ] {
        assert!(
            text.lines().any(|one| one == line),
            "{line} is not in {text}"
        );
    }
}
