//! The `emulate` process behind the forge: GitHub's API, users and OAuth pages.
//!
//! It runs on a private port with a seed of ours and ends with this process, even if this one is
//! killed: its standard input is a pipe from here, and it leaves when the pipe closes.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::app::{AppCredentials, CALLBACK_PATH};
use super::hook;
use super::people::{ACCOUNTS_WITH_APP, ORGANIZATION, Person};
use crate::random;

const READY_DEADLINE: Duration = Duration::from_secs(30);
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Read its own end of the pipe, and leave when it closes.
const LEAVE_WITH_PARENT: &str =
    "data:text/javascript,process.stdin.on('end',()=>process.exit(0)).resume()";

#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    #[error("no free port for the GitHub emulator")]
    Port(#[source] std::io::Error),
    #[error("no randomness for the GitHub emulator's tokens")]
    Random(#[source] getrandom::Error),
    #[error("the GitHub emulator's files could not be written in {path}")]
    Files {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the GitHub emulator could not be started ({program}); is it installed?")]
    Start {
        program: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the GitHub emulator did not become ready; its output is in {log}")]
    NotReady { log: PathBuf },
    #[error("the HTTP client could not be built")]
    Client(#[source] reqwest::Error),
    #[error("the GitHub emulator did not answer {method} {path}")]
    Call {
        method: Method,
        path: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the GitHub emulator refused {method} {path}: {status} {body}")]
    Refused {
        method: Method,
        path: String,
        status: StatusCode,
        body: String,
    },
    #[error(
        "the GitHub emulator made {actual} of commit {commit}; signed commits cannot be mirrored"
    )]
    DifferentCommit { commit: String, actual: String },
}

/// An answer of the emulator, whole.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// How to talk to the running emulator.
#[derive(Debug)]
pub(super) struct Emulator {
    client: reqwest::Client,
    base: String,
    /// Tokens that only the forge knows, to act as each user.
    acting: BTreeMap<&'static str, String>,
}

/// What `start` needs to know.
pub(super) struct Launch<'a> {
    pub(super) node: &'a Path,
    pub(super) program: &'a Path,
    pub(super) directory: &'a Path,
    pub(super) public_url: &'a str,
    /// Where the forge itself listens.
    pub(super) hook_base: &'a str,
    pub(super) people: &'static [Person],
    pub(super) app: &'a AppCredentials,
}

/// Starts the process and waits until it serves. Dropping the child ends it.
pub(super) async fn start(launch: &Launch<'_>) -> Result<(Emulator, Child), EmulatorError> {
    let mut acting = BTreeMap::new();
    for person in launch.people {
        let token = random::token(32).map_err(EmulatorError::Random)?;
        acting.insert(person.login, format!("acting-{token}"));
    }
    let files = |source| EmulatorError::Files {
        path: launch.directory.to_owned(),
        source,
    };
    let seed = launch.directory.join("seed.json");
    tokio::fs::write(&seed, seed_of(launch, &acting).to_string())
        .await
        .map_err(files)?;
    let log = launch.directory.join("emulate.log");
    let stderr = std::fs::File::create(&log).map_err(files)?;

    let port = free_port().map_err(EmulatorError::Port)?;
    let mut child = Command::new(launch.node)
        .args(["--import", LEAVE_WITH_PARENT])
        .arg(launch.program)
        .args(["start", "--service", "github", "--host", "127.0.0.1"])
        .args(["--port", &port.to_string(), "--base-url", launch.public_url])
        .arg("--seed")
        .arg(&seed)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| EmulatorError::Start {
            program: launch.node.to_owned(),
            source,
        })?;
    wait_until_ready(&mut child, log).await?;

    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_DEADLINE)
        // The emulator closes connections that were idle for five seconds, which a request on one
        // of them may meet halfway.
        .pool_max_idle_per_host(0)
        .no_proxy()
        .build()
        .map_err(EmulatorError::Client)?;
    let emulator = Emulator {
        client,
        base: format!("http://127.0.0.1:{port}"),
        acting,
    };
    Ok((emulator, child))
}

impl Emulator {
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The token with which the forge acts as a user.
    pub(super) fn acting(&self, login: &str) -> &str {
        self.acting.get(login).map_or("", String::as_str)
    }

    /// Passes a request on as it is, apart from `headers`.
    pub(super) async fn forward(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, EmulatorError> {
        let failed = |source| EmulatorError::Call {
            method: method.clone(),
            path: path.to_owned(),
            source,
        };
        let response = self
            .client
            .request(method.clone(), format!("{}{path}", self.base))
            .headers(headers)
            .body(body)
            .send()
            .await
            .map_err(failed)?;
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.map_err(failed)?,
        })
    }

    /// A call of the forge's own, as JSON.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<Answer, EmulatorError> {
        let mut headers = HeaderMap::new();
        if let Ok(value) = format!("Bearer {token}").parse() {
            headers.insert(header::AUTHORIZATION, value);
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        self.forward(method, path, headers, body).await
    }

    /// The same, where anything but success is an error.
    pub(super) async fn demand(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<Value, EmulatorError> {
        let answer = self.call(method.clone(), path, token, body).await?;
        if answer.status.is_success() {
            return Ok(answer.json());
        }
        Err(EmulatorError::Refused {
            method,
            path: path.to_owned(),
            status: answer.status,
            body: String::from_utf8_lossy(&answer.body).into_owned(),
        })
    }
}

async fn wait_until_ready(child: &mut Child, log: PathBuf) -> Result<(), EmulatorError> {
    let Some(stdout) = child.stdout.take() else {
        return Err(EmulatorError::NotReady { log });
    };
    let mut lines = BufReader::new(stdout).lines();
    let ready = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.trim() == "Ready." {
                return true;
            }
        }
        false
    };
    if !matches!(tokio::time::timeout(READY_DEADLINE, ready).await, Ok(true)) {
        return Err(EmulatorError::NotReady { log });
    }
    // Nobody reads on, but a full pipe would stop the process.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(())
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn seed_of(launch: &Launch<'_>, acting: &BTreeMap<&'static str, String>) -> Value {
    let tokens: BTreeMap<_, _> = acting
        .iter()
        .map(|(login, token)| (token, json!({"login": login, "scopes": ["repo", "user"]})))
        .collect();
    let users: Vec<_> = launch
        .people
        .iter()
        .map(|person| json!({"login": person.login, "name": person.name, "email": person.email}))
        .collect();
    let members: Vec<_> = launch
        .people
        .iter()
        .filter(|person| person.member)
        .map(|person| json!({"login": person.login, "role": "admin"}))
        .collect();
    let installations: Vec<_> = ACCOUNTS_WITH_APP
        .iter()
        .map(|(account, id)| json!({"installation_id": id, "account": account}))
        .collect();
    json!({
        "tokens": tokens,
        "github": {
            "users": users,
            "orgs": [{"login": ORGANIZATION, "name": "Acme", "members": members}],
            "oauth_apps": [{
                "client_id": launch.app.client_id,
                "client_secret": launch.app.client_secret,
                "name": launch.app.name,
                "redirect_uris": [format!("http://127.0.0.1{CALLBACK_PATH}")],
            }],
            "apps": [{
                "app_id": launch.app.app_id,
                "slug": launch.app.slug,
                "name": launch.app.name,
                "private_key": launch.app.private_key_pem,
                "webhook_url": format!("{}{}", launch.hook_base, hook::PATH),
                "permissions": {
                    "actions": "read",
                    "checks": "write",
                    "contents": "write",
                    "issues": "write",
                    "metadata": "read",
                    "pull_requests": "write",
                },
                "events": ["*"],
                "installations": installations,
            }],
        },
    })
}
