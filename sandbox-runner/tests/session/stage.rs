//! The runner as a process of its own, a Worker that the test plays, and everything else real:
//! forge, git, sandboxes, agent. Only the model is scripted.

mod heard;

use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use protocol::api::{ErrorBody, ErrorDetail, KeepChanges, TerminalUsed};
use protocol::callback::{
    Acknowledgement, Batch, Credentials, CredentialsRequest, PoolTarget, PromptResult, Register,
    Registered, Report, Secrets, WarmSandbox,
};
use protocol::command::{
    BuildImage, Command, GitIdentity, Model as ModelName, Provider, SendPrompt, Start,
};
use protocol::event::{Mode, Repository, StepName};
use protocol::image::Base;
use protocol::ledger::{Contact, ContactKind};
use protocol::signature::{Keys, Signature, Signed};
use protocol::{Epoch, ImageId, Millis, PartId, PromptId, SandboxId, SessionId};
use support::forge::{Forge, ForgeOptions};
use support::model::{Model, ModelOptions};
use support::process::Process;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) use heard::Heard;

/// A viewer's side of a terminal.
pub(crate) type Screen = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) const LIMIT: Duration = Duration::from_secs(120);
pub(crate) const REPOSITORY: &str = "hello";
const OWNER: &str = support::forge::ORGANIZATION;
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const MODEL_KEY: &str = "sk-scripted";

pub(crate) struct Stage {
    pub(crate) forge: Arc<Forge>,
    pub(crate) model: Model,
    pub(crate) worker: Worker,
    pub(crate) runner: Option<Process>,
    address: String,
    client: reqwest::Client,
    /// The state directories of the runners so far; the last one is in use.
    states: Vec<String>,
    has_depot: bool,
    directory: TempDir,
}

/// What the Worker has been told.
#[derive(Default)]
pub(crate) struct Told {
    reports: HashMap<SandboxId, Vec<Report>>,
    registered: Vec<Register>,
    /// What registrations are answered with.
    pool: Vec<PoolTarget>,
    faults: Vec<String>,
    /// Callbacks are answered with an error while set.
    deaf: bool,
    void: bool,
    images: HashMap<ImageId, Heard>,
    /// What prompts have changed, and those whose changes were not taken.
    kept: Vec<KeepChanges>,
    refused: Vec<PromptId>,
    /// Sandboxes in whose terminals somebody typed.
    used: Vec<SandboxId>,
}

impl Told {
    pub(crate) fn registered(&self) -> &[Register] {
        &self.registered
    }
}

pub(crate) struct Worker {
    told: Arc<Desk>,
    url: String,
    server: JoinHandle<()>,
}

struct Desk {
    told: Mutex<Told>,
    changes: watch::Sender<u64>,
    forge: Arc<Forge>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Sandboxes outlive the runner, and must not outlive the test.
        self.runner.take();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("runner.log"));
            eprintln!("{}", log.unwrap_or_default());
        }
        while !self.states.is_empty() {
            if self.state().exists() {
                self.sweep();
            }
            self.states.pop();
        }
    }
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::begin(false).await
    }

    /// With a folder as the depot.
    pub(crate) async fn start_with_depot() -> Self {
        Self::begin(true).await
    }

    async fn begin(has_depot: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Temporary directories are closed to others; sandboxes run as somebody else.
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
        let source = directory.path().join("source");
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("README.md"), "# hello\n").unwrap();
        let forge_directory = directory.path().join("forge");
        std::fs::create_dir(&forge_directory).unwrap();
        let options = ForgeOptions::from_environment(forge_directory).unwrap();
        let forge = Arc::new(Forge::start(options).await.unwrap());
        forge
            .create_repository(OWNER, REPOSITORY, &source)
            .await
            .unwrap();
        let options = ModelOptions {
            port: 0,
            api_key: MODEL_KEY.into(),
        };
        let model = Model::start(options).await.unwrap();
        let worker = Worker::start(Arc::clone(&forge)).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut stage = Self {
            forge,
            model,
            worker,
            runner: None,
            address: String::new(),
            client,
            states: vec!["state".to_owned()],
            has_depot,
            directory,
        };
        stage.start_runner().await;
        stage
    }

    pub(crate) async fn start_runner(&mut self) {
        let log = self.directory.path().join("runner.log");
        let mut runner = Process::start("sandbox-runner", self.command(), &log)
            .await
            .unwrap();
        let address = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(line.get("listening")?.as_str()?.to_owned())
        };
        self.address = runner.wait_for("listening", LIMIT, address).await.unwrap();
        self.runner = Some(runner);
    }

    /// Ends the runner as a crash would.
    pub(crate) async fn kill_runner(&mut self) {
        self.runner.take().unwrap().kill().await;
    }

    /// Ends a machine for good: the runner, its sandboxes and all that was on its disk. Another one
    /// takes its place.
    pub(crate) async fn replace_runner(&mut self) {
        self.kill_runner().await;
        self.sweep();
        std::fs::remove_dir_all(self.state()).unwrap();
        self.states.push(format!("state-{}", self.states.len()));
        self.start_runner().await;
    }

    /// Ends the sandboxes' processes as a crash would, and leaves what they wrote.
    pub(crate) fn kill_sandboxes(&self) {
        for entry in std::fs::read_dir(self.state().join("sandboxes")).unwrap() {
            let record = read_json(&entry.unwrap().path().join("record.json"));
            let pid = record.and_then(|record| record["state"]["running"]["pid"].as_i64());
            let Some(pid) = pid else { continue };
            let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// What is on record of a sandbox on its runner's disk.
    pub(crate) fn record(&self, start: &Start) -> Option<serde_json::Value> {
        let sandboxes = self.state().join("sandboxes");
        read_json(&sandboxes.join(start.sandbox.as_str()).join("record.json"))
    }

    pub(crate) fn state(&self) -> std::path::PathBuf {
        self.directory.path().join(self.states.last().unwrap())
    }

    pub(crate) fn depot(&self) -> std::path::PathBuf {
        self.directory.path().join("depot")
    }

    /// Whether the model has had all of these in one request.
    pub(crate) fn model_was_given(&self, texts: &[&str]) -> bool {
        self.model.requests().iter().any(|request| {
            let body = request.body.to_string();
            texts.iter().all(|text| body.contains(text))
        })
    }

    /// Ends every sandbox, while no runner runs.
    pub(crate) fn sweep(&self) {
        let swept = self
            .command()
            .as_std_mut()
            .arg("sweep")
            .stdout(std::process::Stdio::null())
            .status();
        assert!(
            swept.is_ok_and(|status| status.success()),
            "sandboxes were left behind"
        );
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn command(&self) -> tokio::process::Command {
        let tool = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; source .ci/env"))
        };
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sandbox-runner"));
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("RUST_LOG", "info,sandbox_runner=debug")
            .env("RUNNER_KEYS", KEY)
            .env("RUNNER_LISTEN", "127.0.0.1:0")
            .env("RUNNER_STATE_DIR", self.state())
            .env("WORKER_URL", &self.worker.url)
            .env("GITHUB_URL", self.forge.url())
            .env("OPENCODE_BIN", tool("OPENCODE_BIN"))
            .env("OPENAI_API_KEY", MODEL_KEY)
            .env("OPENAI_BASE_URL", format!("{}/v1", self.model.url()))
            .env("GIT_COMMITTER_NAME", "the-bot")
            .env("GIT_COMMITTER_EMAIL", "bot@example.com");
        if self.has_depot {
            command.env("DEPOT_URL", format!("file://{}", self.depot().display()));
        }
        command
    }

    pub(crate) async fn send(&self, command: &Command) -> StatusCode {
        let body = serde_json::to_vec(command).unwrap();
        let signed = Signed {
            method: "POST",
            path: "/commands",
            body: &body,
        };
        let id = format!(
            "msg_{:?}",
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_nanos()
        );
        let signature = Keys::parse(KEY).unwrap().sign_request(&id, now(), signed);
        let mut request = self
            .client
            .post(format!("http://{}/commands", self.address));
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        let response = request.body(body).send().await.unwrap();
        StatusCode::from_u16(response.status().as_u16()).unwrap()
    }

    /// Looks at a sandbox's terminal as somebody.
    pub(crate) async fn terminal(&self, start: &Start) -> Screen {
        let person = r#"{"id":1,"login":"ada","name":"Ada","avatar":""}"#;
        let viewer = BASE64_URL_SAFE_NO_PAD.encode(person);
        let path = format!("/terminal/{}?viewer={viewer}", start.sandbox);
        let signed = Signed {
            method: "GET",
            path: &path,
            body: b"",
        };
        let signature = Keys::parse(KEY).unwrap();
        let signature = signature.sign_request("msg_terminal", now(), signed);
        let url = format!("ws://{}{path}", self.address);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in signature.headers() {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let protocol = "v1.terminal".parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        connect_async(request).await.unwrap().0
    }

    pub(crate) async fn accept(&self, command: &Command) {
        assert_eq!(self.send(command).await, StatusCode::ACCEPTED);
    }

    /// A sandbox of the one session, told to start.
    pub(crate) async fn open(&self, epoch: u32) -> Start {
        self.open_as(self.start_command(epoch)).await
    }

    /// A sandbox of a session, which pushes to a branch of its own.
    pub(crate) async fn open_for(&self, epoch: u32, seed: u8) -> Start {
        let session = SessionId::from_random([seed; 16]);
        let start = Start {
            callback_url: format!("{}/runner/callbacks/{session}", self.worker.url),
            work_branch: format!("agent/work-{seed}"),
            session,
            ..self.start_command(epoch)
        };
        self.open_as(start).await
    }

    pub(crate) async fn open_as(&self, start: Start) -> Start {
        self.accept(&Command::Start(start.clone())).await;
        start
    }

    pub(crate) fn start_command(&self, epoch: u32) -> Start {
        let session = SessionId::from_random([7; 16]);
        Start {
            sandbox: SandboxId::from_random([epoch as u8; 16]),
            epoch: Epoch(epoch),
            repository: Repository::new(OWNER, REPOSITORY).unwrap(),
            branch: "main".into(),
            work_branch: "agent/work".to_owned(),
            model: ModelName {
                provider: Provider::Openai,
                name: "scripted-1".into(),
            },
            first_part: PartId(u64::from(epoch) * 1000),
            callback_url: format!("{}/runner/callbacks/{session}", self.worker.url),
            environment: None,
            warm: None,
            snapshot: None,
            egress: None,
            spent_microdollars: 0,
            session,
        }
    }

    /// An order for the image of a branch.
    pub(crate) fn order(&self, branch: &str, seed: u8) -> BuildImage {
        let image = ImageId::from_random([seed; 16]);
        BuildImage {
            callback_url: format!("{}/runner/images/{image}", self.worker.url),
            image,
            base: Base {
                repository: Repository::new(OWNER, REPOSITORY).unwrap(),
                branch: branch.to_owned(),
                environment: None,
            },
            specification: None,
            force: false,
        }
    }

    /// Commits a file to a branch at the forge, which grows out of `main`.
    pub(crate) fn commit(&self, branch: &str, path: &str, content: &str) {
        let work = tempfile::tempdir().unwrap();
        let work = work.path();
        let bare = self.forge.bare_repository(OWNER, REPOSITORY);
        git(work, &["clone", "-q", bare.to_str().unwrap(), "."]);
        git(work, &["checkout", "-q", "-B", branch]);
        let file = work.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
        git(work, &["add", "--all"]);
        let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
        let commit = ["commit", "-q", "-m", "change"];
        git(work, &[&identity[..], &commit[..]].concat());
        git(work, &["push", "-q", "origin", branch]);
    }

    /// What the runner keeps of the making of a branch's image.
    pub(crate) fn image_log(&self, branch: &str) -> String {
        let images = self.path().join("state/images").join(OWNER);
        let path = images.join(REPOSITORY).join(format!("{branch}.log"));
        std::fs::read_to_string(path).unwrap()
    }

    /// Makes the branch's image and waits until the pool holds an entry of it that `fits`.
    pub(crate) async fn warm(&self, fits: impl Fn(&WarmSandbox) -> bool) -> WarmSandbox {
        let Start { model, .. } = self.start_command(1);
        let order = self.order("main", 9);
        let base = order.base.clone();
        self.accept(&Command::BuildImage(order)).await;
        let size = 1;
        self.worker
            .with(|told| told.pool = vec![PoolTarget { base, model, size }]);
        let find = |register: &Register| register.warm.iter().find(|warm| fits(warm)).cloned();
        self.worker
            .until_registered(|register| find(register).is_some())
            .await;
        self.worker
            .with(|told| told.registered.last().and_then(find))
            .unwrap()
    }

    pub(crate) async fn prompt(&self, start: &Start, seed: u8, text: &str) -> PromptId {
        self.prompt_as(start, seed, text, Mode::Queue).await
    }

    pub(crate) async fn prompt_as(
        &self,
        start: &Start,
        seed: u8,
        text: &str,
        mode: Mode,
    ) -> PromptId {
        self.send_prompt(Self::prompt_command(start, seed, text, mode))
            .await
    }

    /// A prompt that was running in a sandbox that is lost.
    pub(crate) async fn prompt_again(&self, start: &Start, seed: u8, text: &str) -> PromptId {
        let prompt = Self::prompt_command(start, seed, text, Mode::Queue);
        let resumed = true;
        self.send_prompt(SendPrompt { resumed, ..prompt }).await
    }

    /// Whether the sandbox is there to take it.
    pub(crate) async fn try_prompt(
        &self,
        start: &Start,
        seed: u8,
        text: &str,
        resumed: bool,
    ) -> bool {
        let prompt = Self::prompt_command(start, seed, text, Mode::Queue);
        let command = Command::Prompt(SendPrompt { resumed, ..prompt });
        match self.send(&command).await {
            StatusCode::ACCEPTED => true,
            StatusCode::NOT_FOUND => false,
            other => panic!("{other}"),
        }
    }

    async fn send_prompt(&self, prompt: SendPrompt) -> PromptId {
        let id = prompt.prompt.clone();
        self.accept(&Command::Prompt(prompt)).await;
        id
    }

    fn prompt_command(start: &Start, seed: u8, text: &str, mode: Mode) -> SendPrompt {
        SendPrompt {
            sandbox: start.sandbox.clone(),
            prompt: PromptId::from_random([seed; 16]),
            text: text.into(),
            mode,
            sent_at: now(),
            author: GitIdentity {
                name: "Ada Prompter".into(),
                email: "ada@example.com".into(),
            },
            co_authors: vec![GitIdentity {
                name: "Bob".into(),
                email: "bob@example.com".into(),
            }],
            attachments: Vec::new(),
            resumed: false,
        }
    }

    /// Waits for reports of a sandbox in which `find` finds something.
    pub(crate) async fn until<T>(
        &self,
        start: &Start,
        wanted: &str,
        find: impl Fn(&[Report]) -> Option<T>,
    ) -> T {
        let mut changes = self.worker.told.changes.subscribe();
        let waited = async {
            loop {
                let found = self.worker.with(|told| {
                    let reports = told
                        .reports
                        .get(&start.sandbox)
                        .map_or(&[][..], Vec::as_slice);
                    find(reports)
                });
                if let Some(found) = found {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(LIMIT, waited).await {
            Ok(found) => found,
            Err(_) => panic!(
                "no {wanted}; told {:#?}\n{}",
                self.reports(start),
                self.runner
                    .as_ref()
                    .map(Process::last_lines)
                    .unwrap_or_default()
            ),
        }
    }

    pub(crate) async fn finished(&self, start: &Start, prompt: &PromptId) -> PromptResult {
        self.until(start, "end of the prompt", |reports| {
            reports.iter().find_map(|report| match report {
                Report::PromptFinished {
                    prompt: one,
                    result,
                } if one == prompt => Some(result.clone()),
                _ => None,
            })
        })
        .await
    }

    pub(crate) async fn ready(&self, start: &Start) {
        self.until(start, "ready sandbox", |reports| {
            reports
                .iter()
                .any(|report| matches!(report, Report::Ready { .. }))
                .then_some(())
        })
        .await;
    }

    pub(crate) fn reports(&self, start: &Start) -> Vec<Report> {
        self.worker.with(|told| {
            told.reports
                .get(&start.sandbox)
                .cloned()
                .unwrap_or_default()
        })
    }

    pub(crate) fn steps(&self, start: &Start) -> Vec<StepName> {
        let reports = self.reports(start);
        let step = |report: &Report| match report {
            Report::Step { step } => Some(step.name),
            _ => None,
        };
        reports.iter().filter_map(step).collect()
    }

    /// The texts of the parts of a prompt, as a client puts them together; checks on the way that
    /// offsets meet and lengths fit.
    pub(crate) fn texts(&self, start: &Start) -> Vec<String> {
        let mut open: HashMap<PartId, String> = HashMap::new();
        let mut finished = Vec::new();
        for report in self.reports(start) {
            match report {
                Report::PartStarted { part, .. } => {
                    assert!(
                        open.insert(part, String::new()).is_none(),
                        "{part} began twice"
                    );
                }
                Report::Delta { part, offset, text } => {
                    let before = open
                        .get_mut(&part)
                        .unwrap_or_else(|| panic!("{part} is not open"));
                    assert_eq!(before.encode_utf16().count() as u64, offset, "{part}");
                    before.push_str(&text);
                }
                Report::PartFinished {
                    part, length, text, ..
                } => {
                    let grown = open
                        .remove(&part)
                        .unwrap_or_else(|| panic!("{part} is not open"));
                    let text = text.unwrap_or(grown);
                    assert_eq!(text.encode_utf16().count() as u64, length, "{part}");
                    finished.push(text);
                }
                _ => {}
            }
        }
        finished
    }

    /// Somebody else pushes a file to `main`; returns the commit.
    pub(crate) fn move_main(&self, path: &str, content: &str) -> String {
        let copy = self.directory.path().join("copy");
        let bare = self.forge.bare_repository(OWNER, REPOSITORY);
        let git = |directory: &Path, arguments: &[&str]| {
            let people = ["-c", "user.name=Eve", "-c", "user.email=eve@example.com"];
            let status = std::process::Command::new("git")
                .current_dir(directory)
                .args(people)
                .args(arguments)
                .status();
            assert!(status.unwrap().success(), "{arguments:?}");
        };
        let (from, to) = (bare.to_str().unwrap(), copy.to_str().unwrap());
        git(
            self.directory.path(),
            &["clone", "--quiet", "--branch=main", from, to],
        );
        std::fs::write(copy.join(path), content).unwrap();
        git(&copy, &["add", "--all"]);
        git(&copy, &["commit", "--quiet", "-m", "newer"]);
        git(&copy, &["push", "--quiet", "origin", "main"]);
        self.git(&["rev-parse", "main"])
    }

    /// What was told of the model before the prompt's end.
    pub(crate) fn model_contact(&self, start: &Start, ended: &PromptId) -> Contact {
        let reports = self.reports(start);
        let before = reports.iter().take_while(
            |report| !matches!(report, Report::PromptFinished { prompt, .. } if prompt == ended),
        );
        let contacts = before.filter_map(|report| match report {
            Report::Contacts { contacts } => Some(contacts),
            _ => None,
        });
        contacts
            .flatten()
            .filter(|contact| contact.kind == ContactKind::Model)
            .last()
            .unwrap()
            .clone()
    }

    /// What git says of the bare repository at the forge.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.forge.bare_repository(OWNER, REPOSITORY), arguments)
    }
}

/// `None` while there is no such file.
fn read_json(path: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Worker {
    async fn start(forge: Arc<Forge>) -> Self {
        let desk = Arc::new(Desk {
            told: Mutex::default(),
            changes: watch::Sender::new(0),
            forge,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&desk));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            told: desk,
            url,
            server,
        }
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.told.told.lock().unwrap())
    }

    pub(crate) fn set_deaf(&self, deaf: bool) {
        self.with(|told| told.deaf = deaf);
    }

    /// While set, sessions are gone, and nobody wants an image.
    pub(crate) fn set_void(&self, void: bool) {
        self.with(|told| told.void = void);
    }

    /// What was told of an image, as soon as it `fits`.
    pub(crate) async fn heard(&self, image: &ImageId, fits: impl Fn(&Heard) -> bool) -> Heard {
        let mut changes = self.told.changes.subscribe();
        let look = |told: &mut Told| told.images.get(image).cloned().unwrap_or_default();
        let waited = async {
            loop {
                let heard = self.with(look);
                if fits(&heard) {
                    return heard;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(LIMIT, waited).await {
            Ok(heard) => heard,
            Err(_) => panic!("heard {:?}", self.with(look).log),
        }
    }

    /// What a prompt has changed, once it was told.
    pub(crate) async fn kept(&self, prompt: &PromptId) -> KeepChanges {
        let of = |kept: &&KeepChanges| kept.prompt == *prompt;
        self.once("changes", |told| told.kept.iter().find(of).cloned())
            .await
    }

    /// Returns when changes of a prompt were not taken.
    pub(crate) async fn refused(&self, prompt: &PromptId) {
        self.once("refusal", |told| {
            told.refused.contains(prompt).then_some(())
        })
        .await;
    }

    pub(crate) async fn terminal_used(&self, sandbox: &SandboxId) {
        self.once("keystroke", |told| {
            told.used.contains(sandbox).then_some(())
        })
        .await;
    }

    async fn once<T>(&self, wanted: &str, look: impl Fn(&Told) -> Option<T>) -> T {
        let mut changes = self.told.changes.subscribe();
        let waited = async {
            loop {
                if let Some(found) = self.with(|told| look(told)) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(LIMIT, waited).await;
        waited.unwrap_or_else(|_| panic!("no {wanted}"))
    }

    pub(crate) fn assert_faultless(&self) {
        self.with(|told| assert_eq!(told.faults, Vec::<String>::new()));
    }

    pub(crate) async fn until_registered(&self, fits: impl Fn(&Register) -> bool) {
        let mut changes = self.told.changes.subscribe();
        let waited = async {
            while !self.with(|told| told.registered.last().is_some_and(&fits)) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(LIMIT, waited).await.unwrap();
    }
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signature = Signature::from_headers(|name| headers.get(name)?.to_str().ok()).unwrap();
    let signed = Signed {
        method: "POST",
        path: uri.path(),
        body: &body,
    };
    if Keys::parse(KEY)
        .unwrap()
        .verify_request(&signature, now(), signed)
        .is_err()
    {
        desk.told
            .lock()
            .unwrap()
            .faults
            .push(format!("{uri} is not signed"));
    }
    let response = match uri.path() {
        "/runner/register" => {
            let register = serde_json::from_slice(&body).unwrap();
            let mut told = desk.told.lock().unwrap();
            told.registered.push(register);
            Json(Registered {
                registered: true,
                pool: told.pool.clone(),
            })
            .into_response()
        }
        "/runner/credentials" => {
            let request: CredentialsRequest = serde_json::from_slice(&body).unwrap();
            let name = request.repository.name();
            let allowed = [("contents", "write"), ("metadata", "read")];
            let token = desk
                .forge
                .installation_token(OWNER, &[name], &allowed)
                .await
                .unwrap();
            let credentials = Credentials {
                username: "x-access-token".into(),
                password: token,
                expires_at: now().plus(3_600_000),
            };
            Json(credentials).into_response()
        }
        "/runner/secrets" => Json(Secrets {
            secrets: Vec::new(),
        })
        .into_response(),
        path if path.starts_with("/runner/terminals/") => {
            let used: TerminalUsed = serde_json::from_slice(&body).unwrap();
            desk.told.lock().unwrap().used.push(used.sandbox);
            StatusCode::NO_CONTENT.into_response()
        }
        path if path.starts_with("/runner/changes/") => {
            let told = &mut desk.told.lock().unwrap();
            let kept: KeepChanges = serde_json::from_slice(&body).unwrap();
            match refusal(told) {
                Some(refusal) => {
                    told.refused.push(kept.prompt);
                    refusal
                }
                None => {
                    told.kept.push(kept);
                    StatusCode::NO_CONTENT.into_response()
                }
            }
        }
        path if path.starts_with("/runner/images/") => {
            let image = path.rsplit('/').next().unwrap();
            let image = ImageId::parse(image).unwrap();
            image_report(&mut desk.told.lock().unwrap(), image, &body)
        }
        _ => callback(&mut desk.told.lock().unwrap(), &body),
    };
    desk.changes.send_modify(|count| *count += 1);
    response
}

fn image_report(told: &mut Told, image: ImageId, body: &[u8]) -> Response {
    let refusal = refusal(told);
    let heard = told.images.entry(image).or_default();
    if let Some(refusal) = refusal {
        heard.refusals += 1;
        return refusal;
    }
    let report = serde_json::from_slice(body).unwrap();
    match heard.take(report) {
        Ok(received) => Json(Acknowledgement { received }).into_response(),
        Err(received) => {
            told.faults.push(format!("a gap after {received}"));
            (StatusCode::CONFLICT, Json(Acknowledgement { received })).into_response()
        }
    }
}

fn refusal(told: &Told) -> Option<Response> {
    if told.void {
        let error = ErrorDetail {
            code: "gone".into(),
            message: "the session is gone".into(),
        };
        return Some((StatusCode::GONE, Json(ErrorBody { error })).into_response());
    }
    let deaf = StatusCode::SERVICE_UNAVAILABLE;
    told.deaf.then(|| deaf.into_response())
}

fn callback(told: &mut Told, body: &[u8]) -> Response {
    if let Some(refusal) = refusal(told) {
        return refusal;
    }
    let batch: Batch = serde_json::from_slice(body).unwrap();
    let held = told.reports.entry(batch.sandbox).or_default();
    let received = held.len() as u64;
    if batch.first > received + 1 {
        told.faults
            .push(format!("a gap from {received} to {}", batch.first));
        return (StatusCode::CONFLICT, Json(Acknowledgement { received })).into_response();
    }
    held.extend(
        batch
            .reports
            .into_iter()
            .skip((received + 1 - batch.first) as usize),
    );
    Json(Acknowledgement {
        received: held.len() as u64,
    })
    .into_response()
}

fn now() -> Millis {
    Millis(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis() as i64,
    )
}
