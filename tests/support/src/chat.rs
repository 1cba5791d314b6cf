//! The local chat: Slack on loopback. `emulate` keeps users, channels, messages and reactions behind
//! a door of ours, which fails when it is told to, remembers every call, and delivers events.
//!
//! The emulator has no way to register where events go, so what people do here is told to the Worker
//! by the test itself, signed as Slack signs.

#![allow(
    clippy::indexing_slicing,
    reason = "of JSON alone, where what is not there is null"
)]

mod door;
mod seed;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::header;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

pub use self::door::Call;
use self::door::{Door, Kept, pass};
pub use self::seed::RENEWED_TOKEN;
use self::seed::{BOT_TOKEN, SETUP_TOKEN, person_token, seed_of};

pub const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// Everybody, by the names that they have at the forge as well.
pub const PEOPLE: &[&str] = &["alice", "bob"];

const READY_DEADLINE: Duration = Duration::from_secs(30);
/// Read its own end of the pipe, and leave when it closes.
const LEAVE_WITH_PARENT: &str =
    "data:text/javascript,process.stdin.on('end',()=>process.exit(0)).resume()";

#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    #[error("the chat's files or ports could not be had")]
    Io(#[from] std::io::Error),
    #[error("{0} is not set: run this through make, or `. .ci/env` after `.ci/setup`")]
    Environment(&'static str),
    #[error("the chat did not become ready; its output is in {0}")]
    NotReady(PathBuf),
    #[error("the chat or the Worker did not answer")]
    Http(#[from] reqwest::Error),
    #[error("{method} was refused: {answer}")]
    Refused { method: String, answer: Value },
    #[error("there is nobody and nothing called {0}")]
    Unknown(String),
}

pub struct Chat {
    door: Arc<Door>,
    url: String,
    worker_url: String,
    people: BTreeMap<String, String>,
    channels: BTreeMap<String, String>,
    team: String,
    bot: String,
    _child: Child,
    server: JoinHandle<()>,
}

impl Drop for Chat {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Chat {
    /// Starts a workspace of [`PEOPLE`] with the named channels, whose events go to `worker_url`.
    pub async fn start(
        directory: &Path,
        worker_url: &str,
        channels: &[&str],
        scopes: &[&str],
    ) -> Result<Self, ChatError> {
        std::fs::create_dir_all(directory)?;
        let seed = directory.join("seed.json");
        std::fs::write(&seed, seed_of(channels, scopes).to_string())?;
        let log = directory.join("emulate.log");
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let node = std::env::var("NODE_BIN").map_err(|_| ChatError::Environment("NODE_BIN"))?;
        let program = std::env::var("EMULATE_BIN");
        let program = program.map_err(|_| ChatError::Environment("EMULATE_BIN"))?;
        let mut child = Command::new(node)
            .args(["--import", LEAVE_WITH_PARENT])
            .arg(program)
            .args(["start", "--service", "slack", "--host", "127.0.0.1"])
            .args(["--port", &port.to_string(), "--seed"])
            .arg(&seed)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take();
        let stdout = stdout.ok_or_else(|| ChatError::NotReady(log.clone()))?;
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
            return Err(ChatError::NotReady(log));
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

        let door = Arc::new(Door {
            upstream: format!("http://127.0.0.1:{port}"),
            // See the forge's: what is idle may be closed when it is used again.
            client: reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .no_proxy()
                .build()?,
            record: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(pass).with_state(door.clone());
        let server = tokio::spawn(async move {
            // It ends with the chat.
            let _ = axum::serve(listener, router).await;
        });
        let mut chat = Self {
            door,
            url,
            worker_url: worker_url.to_owned(),
            people: BTreeMap::new(),
            channels: BTreeMap::new(),
            team: String::new(),
            bot: String::new(),
            _child: child,
            server,
        };
        chat.learn().await?;
        Ok(chat)
    }

    async fn learn(&mut self) -> Result<(), ChatError> {
        let token = person_token("alice");
        let found = self.call(&token, "users.list", &json!({})).await?;
        for member in found["members"].as_array().into_iter().flatten() {
            self.people
                .insert(text(&member["name"]), text(&member["id"]));
        }
        let found = self.call(&token, "conversations.list", &json!({})).await?;
        for channel in found["channels"].as_array().into_iter().flatten() {
            self.channels
                .insert(text(&channel["name"]), text(&channel["id"]));
        }
        let bot = self.call(BOT_TOKEN, "auth.test", &json!({})).await?;
        (self.team, self.bot) = (text(&bot["team_id"]), text(&bot["user_id"]));
        for channel in self.channels.values() {
            let body = json!({ "channel": channel });
            self.call(SETUP_TOKEN, "conversations.join", &body).await?;
        }
        for name in PEOPLE {
            let body = json!({ "users": self.person(name)? });
            let opened = self.call(SETUP_TOKEN, "conversations.open", &body).await?;
            self.channels
                .insert(format!("@{name}"), text(&opened["channel"]["id"]));
        }
        Ok(())
    }

    /// Variables by which a Worker reaches this chat.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SLACK_API_URL", format!("{}/api", self.url)),
            ("SLACK_BOT_TOKEN", BOT_TOKEN.to_owned()),
            ("SLACK_SIGNING_SECRET", SIGNING_SECRET.to_owned()),
        ]
    }

    pub fn team(&self) -> &str {
        &self.team
    }

    /// Who the app is here.
    pub fn bot(&self) -> &str {
        &self.bot
    }

    pub fn person(&self, name: &str) -> Result<&str, ChatError> {
        let found = self.people.get(name).map(String::as_str);
        found.ok_or_else(|| ChatError::Unknown(name.to_owned()))
    }

    /// Keeps a file; answers it as messages have it.
    pub fn keep(&self, name: &str, kind: &'static str, bytes: &[u8]) -> Value {
        let kept = Kept::Bytes(kind, bytes.to_vec());
        self.door.record().files.insert(name.to_owned(), kept);
        self.file(&self.url, name, kind, bytes.len())
    }

    /// Has a file lead to one of the same server, under a name that is another host's.
    pub fn lead_away(&self, name: &str, to: &str) -> Value {
        let kept = Kept::Moved(format!("{}/files/{to}", self.elsewhere()));
        self.door.record().files.insert(name.to_owned(), kept);
        self.file(&self.url, name, "text/plain", 1)
    }

    /// A file that is said to be at another host.
    pub fn file_elsewhere(&self, name: &str) -> Value {
        self.file(&self.elsewhere(), name, "text/plain", 1)
    }

    fn file(&self, host: &str, name: &str, kind: &str, size: usize) -> Value {
        let url = format!("{host}/files/{name}");
        json!({
            "id": "F1", "name": name, "mimetype": kind, "size": size,
            "url_private": url, "url_private_download": url,
        })
    }

    fn elsewhere(&self) -> String {
        self.url.replace("127.0.0.1", "localhost")
    }

    /// A channel by its name, or where the app and `@somebody` are alone.
    pub fn channel(&self, name: &str) -> Result<&str, ChatError> {
        let found = self.channels.get(name).map(String::as_str);
        found.ok_or_else(|| ChatError::Unknown(name.to_owned()))
    }

    /// Writes a message as a person; answers its time stamp. Nobody is told of it.
    pub async fn write(
        &self,
        name: &str,
        channel: &str,
        root: Option<&str>,
        words: &str,
    ) -> Result<String, ChatError> {
        let mut body = json!({ "channel": self.channel(channel)?, "text": words });
        if let Some(root) = root {
            body["thread_ts"] = root.into();
        }
        let posted = self
            .call(&person_token(name), "chat.postMessage", &body)
            .await?;
        Ok(text(&posted["ts"]))
    }

    /// Writes a message and tells the Worker; answers its time stamp.
    pub async fn say(
        &self,
        name: &str,
        channel: &str,
        root: Option<&str>,
        words: &str,
    ) -> Result<String, ChatError> {
        let ts = self.write(name, channel, root, words).await?;
        let event = self.message(name, channel, root, words, &ts)?;
        let status = self.deliver(&event, &format!("Ev{ts}")).await?;
        match status {
            200 => Ok(ts),
            status => Err(ChatError::Refused {
                method: "/slack/events".to_owned(),
                answer: status.into(),
            }),
        }
    }

    /// The event that tells of a message.
    pub fn message(
        &self,
        name: &str,
        channel: &str,
        root: Option<&str>,
        words: &str,
        ts: &str,
    ) -> Result<Value, ChatError> {
        let mut event = json!({
            "type": "message",
            "channel": self.channel(channel)?,
            "channel_type": if channel.starts_with('@') { "im" } else { "channel" },
            "user": self.person(name)?,
            "team": self.team,
            "text": words,
            "ts": ts,
            "event_ts": ts,
        });
        if let Some(root) = root {
            event["thread_ts"] = root.into();
        }
        Ok(event)
    }

    /// Tells the Worker of an event; answers the status.
    pub async fn deliver(&self, event: &Value, event_id: &str) -> Result<u16, ChatError> {
        let envelope = json!({
            "token": "unused", "team_id": self.team, "api_app_id": "A1", "event": event,
            "type": "event_callback", "event_id": event_id, "event_time": now(),
            "authorizations": [{ "team_id": self.team, "user_id": self.bot, "is_bot": true }],
            "is_ext_shared_channel": false,
        });
        let body = envelope.to_string();
        let answer = self
            .post("/slack/events", "application/json", &body)
            .await?;
        Ok(answer.status().as_u16())
    }

    /// Presses a button of a message of ours.
    pub async fn press(
        &self,
        name: &str,
        channel: &str,
        root: &str,
        action: &Value,
    ) -> Result<u16, ChatError> {
        let payload = json!({
            "type": "block_actions",
            "user": { "id": self.person(name)? },
            "team": { "id": self.team },
            "channel": { "id": self.channel(channel)? },
            "container": { "type": "message", "message_ts": root, "thread_ts": root },
            "actions": [action],
            "trigger_id": format!("{}", now()),
        });
        let answer = self.interact(&payload).await?;
        Ok(answer.status().as_u16())
    }

    /// Chooses something in the app's home.
    pub async fn choose_at_home(&self, name: &str, action: &Value) -> Result<u16, ChatError> {
        let payload = json!({
            "type": "block_actions",
            "user": { "id": self.person(name)? },
            "team": { "id": self.team },
            "container": { "type": "view", "view_id": "V1" },
            "actions": [action],
        });
        let answer = self.interact(&payload).await?;
        Ok(answer.status().as_u16())
    }

    /// Posts an interaction to the Worker.
    pub async fn interact(&self, payload: &Value) -> Result<reqwest::Response, ChatError> {
        let encoded = percent_encoding::utf8_percent_encode(
            &payload.to_string(),
            percent_encoding::NON_ALPHANUMERIC,
        )
        .to_string();
        let form = "application/x-www-form-urlencoded";
        self.post("/slack/interactions", form, &format!("payload={encoded}"))
            .await
    }

    /// Posts something to the Worker, signed.
    pub async fn post(
        &self,
        path: &str,
        kind: &str,
        body: &str,
    ) -> Result<reqwest::Response, ChatError> {
        let timestamp = now().to_string();
        let request = self
            .door
            .client
            .post(format!("{}{path}", self.worker_url))
            .header(header::CONTENT_TYPE, kind)
            .header("x-slack-request-timestamp", &timestamp)
            .header("x-slack-signature", signature(&timestamp, body.as_bytes()));
        Ok(request.body(body.to_owned()).send().await?)
    }

    /// What was said in a thread, its first message included, oldest first.
    pub async fn thread(&self, channel: &str, root: &str) -> Result<Vec<Value>, ChatError> {
        let body = json!({ "channel": self.channel(channel)?, "ts": root });
        let found = self
            .call(&person_token("alice"), "conversations.replies", &body)
            .await?;
        Ok(found["messages"].as_array().cloned().unwrap_or_default())
    }

    /// What the app said in a thread.
    pub async fn said(&self, channel: &str, root: &str) -> Result<Vec<Value>, ChatError> {
        let mut messages = self.thread(channel, root).await?;
        messages.retain(|message| message["user"] == *self.bot);
        Ok(messages)
    }

    /// Has the next calls of a method fail with these statuses; 429 comes with `Retry-After: 1`.
    pub fn fail(&self, method: &str, statuses: &[u16]) {
        let mut record = self.door.record();
        let failures = record.failures.entry(method.to_owned()).or_default();
        failures.extend(statuses);
    }

    /// Has a method work again.
    pub fn heal(&self, method: &str) {
        self.door.record().failures.remove(method);
    }

    /// Has a method refused with a code from now on.
    pub fn refuse(&self, method: &str, code: &'static str) {
        let mut record = self.door.record();
        record.refused.insert(method.to_owned(), code);
    }

    /// Has the app's token refused with a code from now on, whatever is called. [`RENEWED_TOKEN`] works.
    pub fn disconnect(&self, code: &'static str) {
        self.door.record().dead = Some(code);
    }

    /// Whether the workspace has growing messages and sessions of agents from now on.
    pub fn set_agents(&self, has_agents: bool) {
        self.door.record().has_agents = has_agents;
    }

    /// Every call of the app's since the start.
    pub fn calls(&self) -> Vec<Call> {
        self.door.record().calls.clone()
    }

    async fn call(&self, token: &str, method: &str, body: &Value) -> Result<Value, ChatError> {
        let url = format!("{}/api/{method}", self.door.upstream);
        let request = self.door.client.post(url).bearer_auth(token).json(body);
        let answer: Value = request.send().await?.json().await?;
        match answer["ok"] == true {
            true => Ok(answer),
            false => Err(ChatError::Refused {
                method: method.to_owned(),
                answer,
            }),
        }
    }
}

/// What Slack signs a body with.
pub fn signature(timestamp: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(SIGNING_SECRET.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("v0:{timestamp}:").as_bytes());
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v0={digits}")
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
