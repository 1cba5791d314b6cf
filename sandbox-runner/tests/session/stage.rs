//! The runner as a process of its own, a Worker that the test plays, and everything else real:
//! forge, git, sandboxes, agent. Only the model is scripted.

mod commands;
mod database;
mod heard;
mod reading;
mod repository;
mod worker;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::Millis;
use protocol::command::Start;
use support::forge::{Forge, ForgeOptions};
use support::model::{Model, ModelOptions};
use support::process::Process;
use tempfile::TempDir;

pub(crate) use commands::Screen;
pub(crate) use heard::Heard;
pub(crate) use worker::Worker;

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

    /// Ends a machine as its operator does who knows that it goes away. Another one takes its place.
    pub(crate) async fn retire_runner(&mut self) {
        self.kill_runner().await;
        let (success, said) = self.try_to_retire().await;
        assert!(success, "{said}");
        let left = std::fs::read_dir(self.state().join("sandboxes")).unwrap();
        assert_eq!(left.count(), 0, "{said}");
        std::fs::remove_dir_all(self.state()).unwrap();
        self.states.push(format!("state-{}", self.states.len()));
        self.start_runner().await;
    }

    /// Whether the command succeeds while no runner runs, and what it says.
    pub(crate) async fn try_to_retire(&self) -> (bool, String) {
        outcome(self.command().arg("retire")).await
    }

    /// The same with a bucket as the depot that nobody serves.
    pub(crate) async fn try_to_retire_into_nothing(&self) -> (bool, String) {
        let mut command = self.command();
        command
            .arg("retire")
            .env("DEPOT_URL", "s3://bucket?endpoint=http://127.0.0.1:9")
            .env("DEPOT_ACCESS_KEY_ID", "a key")
            .env("DEPOT_SECRET_ACCESS_KEY", "a secret");
        outcome(&mut command).await
    }

    /// The command, while it goes on.
    pub(crate) async fn begin_to_retire(&self) -> Process {
        let mut command = self.command();
        command.arg("retire");
        let log = self.directory.path().join("retire.log");
        Process::start("retire", command, &log).await.unwrap()
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

    /// As if the machine had been started again since the sandbox was.
    pub(crate) fn forget_boot(&self, start: &Start) {
        let mut record = self.record(start).unwrap();
        record["state"]["running"]["boot_id"] = "an earlier one".into();
        let directory = self.state().join("sandboxes").join(start.sandbox.as_str());
        std::fs::write(directory.join("record.json"), record.to_string()).unwrap();
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

    /// What the runner keeps of the making of a branch's image.
    pub(crate) fn image_log(&self, branch: &str) -> String {
        std::fs::read_to_string(self.newest_image(branch).with_extension("log")).unwrap()
    }

    /// Where the runner has on record which image of a branch is the newest.
    pub(crate) fn newest_image(&self, branch: &str) -> std::path::PathBuf {
        let images = self.state().join("images").join(OWNER);
        images.join(REPOSITORY).join(format!("{branch}.json"))
    }
}

/// Whether a command succeeds, and what it says.
async fn outcome(command: &mut tokio::process::Command) -> (bool, String) {
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    let output = output.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// `None` while there is no such file.
fn read_json(path: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn now() -> Millis {
    Millis(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis() as i64,
    )
}
