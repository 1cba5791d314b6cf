//! A forge that is a bare repository behind `git http-backend`, an echoing model provider, and
//! gateways that are reached as from inside a sandbox.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use protocol::callback::Credentials;
use protocol::egress::EgressPolicy;
use protocol::event::Repository;
use protocol::{Millis, SessionId};
use sandbox_runner::config::Upstream;
use sandbox_runner::gateway::billing::Billing;
use sandbox_runner::gateway::ledger::Contact;
use sandbox_runner::gateway::{Access, Gateway, GatewayPolicy, Serving};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::ports::ports;

pub(crate) const BRANCH: &str = "agents/ses_1";
const TOKEN: &str = "the-token-that-no-sandbox-has";
/// 25 tokens in, 15 out.
pub(crate) const USAGE: &str = concat!(
    "event: message_start\n",
    r#"data: {"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}"#,
    "\n\nevent: message_delta\n",
    r#"data: {"type":"message_delta","delta":{},"usage":{"output_tokens":15}}"#,
    "\n\n",
);
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Site {
    pub(crate) root: PathBuf,
    pub(crate) bare: PathBuf,
    url: String,
    outside: Arc<Outside>,
    _directory: TempDir,
}

struct Outside {
    repositories: PathBuf,
    credentials_asked: AtomicUsize,
    refuses_tokens: AtomicBool,
    second_token: Notify,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Policy {
    Session,
    SessionWithoutKeys,
    Image,
}

pub(crate) struct Reached {
    pub(crate) serving: Serving,
    url: String,
    client: reqwest::Client,
}

pub(crate) struct Answer(reqwest::Response);

impl Site {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let bare = root.join("forge/acme/widget.git");
        std::fs::create_dir_all(&bare).unwrap();
        git(&bare, &["init", "-q", "--bare", "-b", "main"])
            .await
            .unwrap();
        for (name, value) in [
            ("http.receivepack", "true"),
            ("receive.advertisePushOptions", "true"),
        ] {
            git(&bare, &["config", name, value]).await.unwrap();
        }
        let seed = root.join("seed");
        std::fs::create_dir(&seed).unwrap();
        std::fs::write(seed.join("README"), "hello\n").unwrap();
        git(&seed, &["init", "-q", "-b", "main"]).await.unwrap();
        git(&seed, &["add", "-A"]).await.unwrap();
        git(&seed, &["commit", "-qm", "first"]).await.unwrap();
        git(&seed, &["push", "-q", bare.to_str().unwrap(), "main"])
            .await
            .unwrap();

        let outside = Arc::new(Outside {
            repositories: root.join("forge"),
            credentials_asked: AtomicUsize::new(0),
            refuses_tokens: AtomicBool::new(false),
            second_token: Notify::new(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&outside));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            root,
            bare,
            url,
            outside,
            _directory: directory,
        }
    }

    pub(crate) async fn gateway(&self, policy: Policy) -> Reached {
        self.gateway_with(policy, Billing::default()).await
    }

    pub(crate) async fn gateway_with(&self, policy: Policy, billing: Billing) -> Reached {
        let key = |key: &str| (policy != Policy::SessionWithoutKeys).then(|| key.to_owned());
        let provider = |name: &str| Upstream {
            base_url: format!("{}/provider", self.url),
            key: key(&format!("{name}-key")),
        };
        let outside = Arc::clone(&self.outside);
        let gateway = Gateway::new(
            &self.url,
            &provider("anthropic"),
            &provider("openai"),
            Arc::new(move |_| {
                outside.credentials_asked.fetch_add(1, Ordering::SeqCst);
                Box::pin(async {
                    Ok(Credentials {
                        username: "x-access-token".to_owned(),
                        password: TOKEN.to_owned(),
                        expires_at: Millis(i64::MAX),
                    })
                })
            }),
        )
        .unwrap();
        let access = match policy {
            Policy::Image => Access::Image,
            Policy::Session | Policy::SessionWithoutKeys => Access::Session {
                session: SessionId::from_random([3; 16]),
                branch: BRANCH.to_owned(),
            },
        };
        let policy = GatewayPolicy {
            repository: repository(),
            access,
            egress: EgressPolicy::default(),
            spent_microdollars: 0,
        };
        let ports = ports("127.0.0.1".parse().unwrap()).await;
        let url = format!("http://{}", ports.gateway.local_addr().unwrap());
        let serving = gateway.with_billing(billing).serve(policy, ports);
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(DEADLINE)
            .build()
            .unwrap();
        Reached {
            serving,
            url,
            client,
        }
    }

    /// A clone through the gateway.
    pub(crate) async fn work(&self, gateway: &Reached) -> PathBuf {
        git(&self.root, &["clone", "-q", &gateway.clone_url(), "copy"])
            .await
            .unwrap();
        self.root.join("copy")
    }

    pub(crate) fn credentials_asked(&self) -> usize {
        self.outside.credentials_asked.load(Ordering::SeqCst)
    }

    pub(crate) fn refuse_tokens(&self) {
        self.outside.refuses_tokens.store(true, Ordering::SeqCst);
    }

    pub(crate) fn release_second_token(&self) {
        self.outside.second_token.notify_one();
    }
}

impl Reached {
    pub(crate) fn clone_url(&self) -> String {
        self.url_of(&repository())
    }

    pub(crate) fn url_of(&self, repository: &Repository) -> String {
        format!("{}/git/{repository}.git", self.url)
    }

    /// The path goes out as it is written: a client library would tidy it.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.raw("GET", path, &[], "").await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        self.raw("POST", path, headers, body).await
    }

    /// The first contact in the ledger that is as wanted.
    pub(crate) async fn contact(&self, is_wanted: impl Fn(&Contact) -> bool) -> Contact {
        let ledger = self.serving.ledger();
        let found = async {
            loop {
                ledger.take_changes();
                if let Some(found) = ledger.list().into_iter().find(&is_wanted) {
                    return found;
                }
                ledger.changed().await;
            }
        };
        timeout(DEADLINE, found).await.unwrap()
    }

    pub(crate) async fn open(&self, path: &str) -> Answer {
        let request = self.client.post(format!("{}{path}", self.url)).body("{}");
        Answer(request.send().await.unwrap())
    }

    async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let address = self.url.strip_prefix("http://").unwrap();
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "gateway");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_owned()).unwrap();
        let answer = timeout(DEADLINE, sender.send_request(request))
            .await
            .unwrap()
            .unwrap();
        let status = answer.status().as_u16();
        let body = to_bytes(Body::new(answer.into_body()), usize::MAX)
            .await
            .unwrap();
        (status, String::from_utf8(body.into()).unwrap())
    }
}

impl Answer {
    pub(crate) async fn next(&mut self) -> String {
        let piece = timeout(DEADLINE, self.0.chunk())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        String::from_utf8(piece.into()).unwrap()
    }
}

/// Runs git as a user without any configuration; what it printed is the result either way.
pub(crate) async fn git(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "A")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "a@example.org")))
        .kill_on_drop(true)
        .output();
    let output = timeout(DEADLINE, output).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stdout) + &text(&output.stderr))
    }
}

fn repository() -> Repository {
    Repository::new("acme", "widget").unwrap()
}

async fn serve(State(outside): State<Arc<Outside>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if path.starts_with("/provider/v1/") {
        provide(&outside, request).await
    } else {
        forge(&outside, request).await
    }
}

/// Says what it was sent; with `?slow`, two tokens with a pause between them; with `?usage`, what
/// the call took.
async fn provide(outside: &Arc<Outside>, request: Request) -> Response {
    if request.uri().query() == Some("slow") {
        let outside = Arc::clone(outside);
        let tokens = stream::unfold((0, outside), |(told, outside)| async move {
            if told == 1 {
                outside.second_token.notified().await;
            }
            let token = Bytes::from(format!("data: {}\n\n", told + 1));
            (told < 2).then_some((Ok::<_, std::io::Error>(token), (told + 1, outside)))
        });
        return Body::from_stream(tokens).into_response();
    }
    if request.uri().query() == Some("usage") {
        let events = USAGE.split_inclusive("\n\n").map(Ok::<_, std::io::Error>);
        let body = Body::from_stream(stream::iter(events));
        return ([("content-type", "text/event-stream")], body).into_response();
    }
    let (parts, body) = request.into_parts();
    let headers: BTreeMap<_, _> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    json!({ "headers": headers, "body": String::from_utf8(body.into()).unwrap() })
        .to_string()
        .into_response()
}

/// `git http-backend` as a CGI program, for whoever has the token.
async fn forge(outside: &Outside, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
            .to_owned()
    };
    let expected = format!(
        "Basic {}",
        STANDARD.encode(format!("x-access-token:{TOKEN}"))
    );
    if header("authorization") != expected || outside.refuses_tokens.load(Ordering::SeqCst) {
        return (
            hyper::StatusCode::UNAUTHORIZED,
            [("www-authenticate", "Basic realm=\"forge\"")],
        )
            .into_response();
    }
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &outside.repositories)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "bot")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = backend.stdin.take().unwrap();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let fed = tokio::spawn(async move { stdin.write_all(&body).await });
    let output = backend.wait_with_output().await.unwrap();
    let _ = fed.await.unwrap();
    let end = output
        .stdout
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(output.stdout[..end].to_vec()).unwrap();
    let mut response = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(&value[..3]),
            _ => response.header(name, value),
        };
    }
    response
        .body(Body::from(output.stdout[end + 4..].to_vec()))
        .unwrap()
}
