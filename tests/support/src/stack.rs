//! The whole stack on loopback: forge, model, Worker under workerd, runner.
//!
//! A stack has a directory of its own and free ports, so several run side by side. Everything it
//! started ends with it, sandboxes included.

mod database;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;

use crate::forge::{Forge, ForgeError, ForgeOptions, WebhookTarget};
use crate::model::{Model, ModelError, ModelOptions};
use crate::process::{Process, ProcessError};

/// The scripted model answers under any name.
const SCRIPTED_MODELS: &str = "openai/scripted-1=Scripted, openai/warm=Scripted and warm";

/// What the scripted model wants to see; the tests look for it where it must not be.
pub const MODEL_KEY: &str = "sk-scripted-3f9c1e7a5b2d4860";

/// What the forge's webhooks are signed with.
pub const WEBHOOK_SECRET: &str = "It's a Secret to Everybody";

/// Who administers every stack.
pub const ADMINISTRATOR: &str = "alice";

/// One person does in tests what many do elsewhere.
const CHANGES_PER_MINUTE: u32 = 100_000;

#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error("the forge failed")]
    Forge(#[from] ForgeError),
    #[error("the scripted model failed")]
    Model(#[from] ModelError),
    #[error("a process of the stack failed")]
    Process(#[from] ProcessError),
    #[error("failed to prepare {path}")]
    Directory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{variable} is not set: run this through make, or `. .ci/env` after `.ci/setup`")]
    Environment { variable: &'static str },
    #[error("the D1 migrations failed:\n{output}")]
    Migrations { output: String },
    #[error("no free port could be had")]
    Port(#[source] std::io::Error),
    #[error("no random bits could be had")]
    Random(#[from] getrandom::Error),
}

/// Which model answers.
#[derive(Debug, Clone)]
pub enum ModelChoice {
    Scripted,
    /// `provider/name`, reached with the keys and base URLs of the environment.
    Real {
        name: String,
    },
}

impl ModelChoice {
    /// The real one when there is a key for it.
    pub fn from_environment() -> Self {
        let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        let named = std::env::var("MODEL").ok().filter(|name| !name.is_empty());
        if set("ANTHROPIC_API_KEY") {
            Self::Real {
                name: named.unwrap_or_else(|| "anthropic/claude-sonnet-4-5".to_owned()),
            }
        } else if set("OPENAI_API_KEY") {
            Self::Real {
                name: named.unwrap_or_else(|| "openai/gpt-5".to_owned()),
            }
        } else {
            Self::Scripted
        }
    }
}

pub struct Stack {
    pub forge: Forge,
    pub model: Option<Model>,
    directory: PathBuf,
    state_dir: PathBuf,
    worker: Option<Process>,
    runner: Option<Process>,
    worker_port: u16,
    runner_port: u16,
    runner_keys: String,
    model_choice: ModelChoice,
    /// Another Worker than the one that wrangler.toml names.
    entry: Option<&'static str>,
    encryption_key: String,
    /// Variables of the Worker besides those that every stack has; the later one counts.
    variables: Vec<(&'static str, String)>,
}

impl Stack {
    /// Starts everything, in a fresh directory called `name`.
    pub async fn start(name: &str, model_choice: ModelChoice) -> Result<Self, StackError> {
        let mut stack = Self::start_without_runner(name, model_choice).await?;
        stack.start_runner().await?;
        Ok(stack)
    }

    /// Starts all but the runner, for tests that play it.
    pub async fn start_without_runner(
        name: &str,
        model_choice: ModelChoice,
    ) -> Result<Self, StackError> {
        Self::prepare(name, model_choice, None).await
    }

    /// The same with a Worker that panics when it is asked to (`.ci/build-worker --drill`).
    pub async fn start_drill(name: &str, model_choice: ModelChoice) -> Result<Self, StackError> {
        Self::prepare(name, model_choice, Some("target/drill/index.js")).await
    }

    /// The same with other variables for the Worker.
    pub async fn start_with_variables(
        name: &str,
        variables: &[(&'static str, &str)],
    ) -> Result<Self, StackError> {
        let mut stack = Self::prepare(name, ModelChoice::Scripted, None).await?;
        stack.restart_with_variables(variables).await?;
        Ok(stack)
    }

    /// Restarts the Worker with more variables.
    pub async fn restart_with_variables(
        &mut self,
        variables: &[(&'static str, &str)],
    ) -> Result<(), StackError> {
        let added = variables
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        self.variables.extend(added);
        self.write_worker_variables()?;
        self.kill_worker().await;
        self.start_worker().await
    }

    async fn prepare(
        name: &str,
        model_choice: ModelChoice,
        entry: Option<&'static str>,
    ) -> Result<Self, StackError> {
        let root = repository_root();
        let directory = root.join("target/stack").join(name);
        let state_dir = state_directory(name);
        for path in [&directory, &state_dir] {
            let failed = |source| StackError::Directory {
                path: path.clone(),
                source,
            };
            if path.exists() {
                std::fs::remove_dir_all(path).map_err(failed)?;
            }
            std::fs::create_dir_all(path).map_err(failed)?;
        }
        let model = match &model_choice {
            ModelChoice::Scripted => {
                let api_key = MODEL_KEY.to_owned();
                Some(Model::start(ModelOptions { port: 0, api_key }).await?)
            }
            ModelChoice::Real { .. } => None,
        };
        let worker_state = directory.join("worker");
        let worker_port = free_port()?;
        let (forge, ()) = tokio::try_join!(
            async {
                let mut options = ForgeOptions::from_environment(directory.join("forge"))?;
                options.webhook = Some(WebhookTarget {
                    url: format!("http://127.0.0.1:{worker_port}/github/webhooks"),
                    secret: WEBHOOK_SECRET.to_owned(),
                });
                std::fs::create_dir_all(&options.state_dir).map_err(|source| {
                    StackError::Directory {
                        path: options.state_dir.clone(),
                        source,
                    }
                })?;
                Ok(Forge::start(options).await?)
            },
            database::prepare(&root, &worker_state),
        )?;
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let mut stack = Self {
            forge,
            model,
            directory,
            state_dir,
            worker: None,
            runner: None,
            worker_port,
            runner_port: free_port()?,
            runner_keys: format!("whsec_{}", STANDARD.encode(key)),
            model_choice,
            entry,
            encryption_key: String::new(),
            variables: Vec::new(),
        };
        getrandom::fill(&mut key)?;
        stack.encryption_key = STANDARD.encode(key);
        stack.write_worker_variables()?;
        stack.start_worker().await?;
        Ok(stack)
    }

    /// Where the Worker is reached, and what its `PUBLIC_URL` says.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.worker_port)
    }

    pub fn runner_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.runner_port)
    }

    pub fn runner_keys(&self) -> &str {
        &self.runner_keys
    }

    /// Where the runner keeps images, sandboxes and its outbox.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Logs of the processes.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The scripted model. Panics in a stack that has a real one: only tests ask.
    pub fn model(&self) -> &Model {
        #[expect(clippy::expect_used, reason = "a mistake in the test itself")]
        self.model
            .as_ref()
            .expect("this stack has a scripted model")
    }

    pub fn runner_process_id(&self) -> Option<i32> {
        self.runner.as_ref().map(Process::id)
    }

    pub fn worker_process_id(&self) -> Option<i32> {
        self.worker.as_ref().map(Process::id)
    }

    pub async fn start_worker(&mut self) -> Result<(), StackError> {
        let root = repository_root();
        let mut command = Command::new(environment("WRANGLER_BIN")?);
        command
            .current_dir(&root)
            .arg("dev")
            .args(self.entry)
            .args(["--ip", "127.0.0.1", "--inspector-port", "0"])
            .args(["--show-interactive-dev-session=false", "--port"])
            .arg(self.worker_port.to_string())
            .arg("--persist-to")
            .arg(self.directory.join("worker"))
            .arg("--env-file")
            .arg(self.directory.join("worker.env"))
            .env("CI", "1")
            .env("WRANGLER_SEND_METRICS", "false");
        let log = self.directory.join("worker.log");
        let mut worker = Process::start("wrangler dev", command, &log).await?;
        worker
            .wait_for("Ready on", Duration::from_secs(300), |line| {
                line.contains("Ready on http").then_some(())
            })
            .await?;
        self.worker = Some(worker);
        Ok(())
    }

    pub async fn start_runner(&mut self) -> Result<(), StackError> {
        let log = self.directory.join("runner.log");
        let command = Command::from(self.runner_command()?);
        let mut runner = Process::start("sandbox-runner", command, &log).await?;
        runner
            .wait_for("registered", Duration::from_secs(60), |line| {
                line.contains("registered").then_some(())
            })
            .await?;
        self.runner = Some(runner);
        Ok(())
    }

    fn runner_command(&self) -> Result<std::process::Command, StackError> {
        let app = self.forge.app();
        let mut command = std::process::Command::new(runner_binary());
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env(
                "RUST_LOG",
                std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()),
            )
            .env("RUNNER_KEYS", &self.runner_keys)
            .env("RUNNER_LISTEN", format!("127.0.0.1:{}", self.runner_port))
            .env("RUNNER_STATE_DIR", &self.state_dir)
            .env("RUNNER_CAPACITY", "24")
            // A mirror of the registry may be on this machine's own network.
            .env("EGRESS_INTERNAL_HOSTS", "pypi.org files.pythonhosted.org")
            .env("WORKER_URL", self.url())
            .env("GITHUB_URL", self.forge.url())
            .env("OPENCODE_BIN", environment("OPENCODE_BIN")?)
            .env("GIT_COMMITTER_NAME", &app.bot_login)
            .env(
                "GIT_COMMITTER_EMAIL",
                format!(
                    "{}+{}@users.noreply.github.com",
                    app.bot_user_id, app.bot_login
                ),
            );
        if let Some(model) = &self.model {
            command
                .env("OPENAI_API_KEY", MODEL_KEY)
                .env("OPENAI_BASE_URL", format!("{}/v1", model.url()))
                .env("ANTHROPIC_API_KEY", MODEL_KEY)
                .env("ANTHROPIC_BASE_URL", model.url());
        } else {
            for name in [
                "ANTHROPIC_API_KEY",
                "ANTHROPIC_BASE_URL",
                "OPENAI_API_KEY",
                "OPENAI_BASE_URL",
            ] {
                if let Some(value) = std::env::var_os(name) {
                    command.env(name, value);
                }
            }
        }
        Ok(command)
    }

    /// Ends workerd as a crash would.
    pub async fn kill_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.kill().await;
        }
    }

    /// Ends the runner with SIGKILL; its sandboxes live on.
    pub async fn kill_runner(&mut self) {
        if let Some(runner) = self.runner.take() {
            runner.kill().await;
        }
    }

    /// Ends all processes of all sandboxes as a crash would; what they wrote stays.
    pub fn kill_sandboxes(&self) -> Result<(), StackError> {
        let path = self.state_dir.join("sandboxes");
        let failed = |source| StackError::Directory {
            path: path.clone(),
            source,
        };
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let record = entry.map_err(failed)?.path().join("record.json");
            let record = std::fs::read(record).unwrap_or_default();
            let record: serde_json::Value = serde_json::from_slice(&record).unwrap_or_default();
            let pid = record.pointer("/state/running/pid");
            if let Some(pid) = pid.and_then(serde_json::Value::as_i64) {
                // The first process of its namespace takes all others with it.
                let mut kill = std::process::Command::new("kill");
                kill.args(["-9", &pid.to_string()])
                    .status()
                    .map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Ends everything in order.
    pub async fn stop(mut self) {
        if let Some(worker) = self.worker.take() {
            worker.stop().await;
        }
        if let Some(runner) = self.runner.take() {
            runner.stop().await;
        }
    }

    fn write_worker_variables(&self) -> Result<(), StackError> {
        let app = self.forge.app();
        let (model, others) = match &self.model_choice {
            ModelChoice::Scripted => ("openai/scripted-1", SCRIPTED_MODELS),
            ModelChoice::Real { name } => (name.as_str(), ""),
        };
        let mut text = format!(
            "PUBLIC_URL={}\nRUNNER_KEYS={}\nENCRYPTION_KEY={encryption_key}\nMODEL={model}\n\
             MODELS=\"{others}\"\n\
             ADMINISTRATORS={ADMINISTRATOR}\nCHANGES_PER_MINUTE={CHANGES_PER_MINUTE}\n\
             GITHUB_URL={url}\nGITHUB_API_URL={url}\nGITHUB_CLIENT_ID={}\n\
             GITHUB_CLIENT_SECRET={}\nGITHUB_APP_ID={}\nGITHUB_APP_PRIVATE_KEY=\"{}\"\n\
             GITHUB_WEBHOOK_SECRET=\"{WEBHOOK_SECRET}\"\n",
            self.url(),
            self.runner_keys,
            app.client_id,
            app.client_secret,
            app.app_id,
            app.private_key_pem.trim().replace('\n', "\\n"),
            url = self.forge.url(),
            encryption_key = self.encryption_key,
        );
        for (name, value) in &self.variables {
            text.push_str(&format!("{name}=\"{value}\"\n"));
        }
        let path = self.directory.join("worker.env");
        std::fs::write(&path, text).map_err(|source| StackError::Directory { path, source })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // The runner must not start anything more while its sandboxes are ended.
        self.runner.take();
        self.worker.take();
        let swept = self.runner_command().map(|mut command| {
            command
                .arg("sweep")
                .stdout(std::process::Stdio::null())
                .status()
        });
        if !matches!(swept, Ok(Ok(status)) if status.success()) {
            eprintln!(
                "sandboxes under {} could not be ended",
                self.state_dir.display()
            );
        }
        // Images of a test are of no use to the next one, and there are many tests.
        let _ = std::fs::remove_dir_all(&self.state_dir);
    }
}

/// The checkout that this was built from.
pub fn repository_root() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    path.ancestors().nth(2).unwrap_or(path).to_owned()
}

/// `SANDBOX_RUNNER_BIN`, or what `cargo build` makes.
pub(crate) fn runner_binary() -> PathBuf {
    std::env::var_os("SANDBOX_RUNNER_BIN").map_or_else(
        || repository_root().join("target/debug/sandbox-runner"),
        PathBuf::from,
    )
}

/// Sandboxes run as a user of their own, who cannot pass through a private home directory.
pub(crate) fn state_directory(name: &str) -> PathBuf {
    if rustix::process::geteuid().is_root() {
        let checkout = repository_root();
        let tag: String = checkout
            .to_string_lossy()
            .chars()
            .map(|character| {
                if character.is_ascii_alphanumeric() {
                    character
                } else {
                    '-'
                }
            })
            .collect();
        Path::new("/var/lib/hosted-agents")
            .join(tag.trim_matches('-'))
            .join(name)
    } else {
        repository_root()
            .join("target/stack")
            .join(format!("{name}-state"))
    }
}

pub(crate) fn environment(variable: &'static str) -> Result<String, StackError> {
    std::env::var(variable).map_err(|_| StackError::Environment { variable })
}

/// A port that was free a moment ago; the Worker has to know its own address before it starts.
pub(crate) fn free_port() -> Result<u16, StackError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(StackError::Port)?;
    Ok(listener.local_addr().map_err(StackError::Port)?.port())
}
