//! The agent alone: its own server outside of any sandbox, driven directly, without gateway, runner
//! and Worker. It has the same settings and talks to the same model as the one in the stack. Like the
//! one in an image it finds its database, and nothing else that it has made: so does whoever starts it
//! by hand, but for the first time.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use protocol::command::{GitIdentity, Model, Provider};
use sandbox_runner::agent::launch::{self, Launch, Place};
use sandbox_runner::agent::{Agent, AgentEvent, BoxIo, ConversationId, Dial, Events, Status};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::{BenchError, LIMIT, io};
use crate::process::Process;
use crate::stack::{MODEL_KEY, environment, free_port};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Alone {
    agent: Agent,
    conversation: ConversationId,
    events: Events,
    model: Model,
    began: Instant,
    _process: Process,
}

impl Alone {
    /// Starts it in `directory`, to work on a clone of `repository`.
    pub async fn start(
        directory: &Path,
        repository: &Path,
        model_url: &str,
    ) -> Result<Self, BenchError> {
        let workspace = directory.join("workspace");
        let (home, tools) = (directory.join("home"), directory.join("tools"));
        std::fs::create_dir_all(&home).map_err(io("make the agent's home"))?;
        launch::write_tools(&tools).map_err(io("write the agent's settings"))?;
        let cloned = Command::new("git")
            .args(["clone", "--quiet"])
            .args([repository, &workspace])
            .status()
            .await
            .map_err(io("run git"))?;
        if !cloned.success() {
            return Err(BenchError::Unexpected(
                "the repository cannot be cloned".to_owned(),
            ));
        }
        let model = Model {
            provider: Provider::Openai,
            name: "scripted-1".to_owned(),
        };
        let port = free_port()?;
        let workspace = workspace.to_string_lossy();
        let place = Place {
            binary: &environment("OPENCODE_BIN")?,
            workspace: &workspace,
            home: &home.to_string_lossy(),
            state: &home.to_string_lossy(),
            tools: &tools.to_string_lossy(),
            port,
            gateway: model_url,
        };
        let command = |launch: &Launch| {
            let mut command = Command::new(place.binary);
            command
                .args(launch.argv.iter().skip(1))
                .current_dir(place.workspace)
                .env_clear()
                .env("PATH", "/usr/local/bin:/usr/bin:/bin")
                .envs(
                    launch
                        .env
                        .iter()
                        // Whoever starts it by hand leaves its runtime as it is.
                        .filter(|(name, _)| name != launch::HEAP)
                        .map(|(name, value)| (name, direct(name, value, model_url))),
                );
            command
        };
        let made = command(&launch::database(&place))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await
            .map_err(io("run the agent"))?;
        if !made.success() {
            let message = "the agent's database cannot be made".to_owned();
            return Err(BenchError::Unexpected(message));
        }
        let command = command(&launch::launch(&place, &model));
        let began = Instant::now();
        let process = Process::start("opencode", command, &directory.join("agent.log")).await?;
        let dial: Dial = Arc::new(move || {
            Box::pin(async move {
                let stream = TcpStream::connect(("127.0.0.1", port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream) as BoxIo)
            })
        });
        let agent = Agent::connect(dial, &workspace);
        agent.wait_until_up(Instant::now() + PATIENCE).await?;
        let conversation = agent.conversation("alone").await?;
        let events = agent.events(&conversation).await?;
        Ok(Self {
            agent,
            conversation,
            events,
            model,
            began,
            _process: process,
        })
    }

    /// Since its process was started, in a clone that was there.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// From a prompt in a conversation that is open until it is accepted.
    pub async fn accepts(&self, text: &str) -> Result<Duration, BenchError> {
        let began = Instant::now();
        self.agent
            .prompt(&self.conversation, text, &self.model, &author())
            .await?;
        Ok(began.elapsed())
    }

    /// From the prompt to the first text; returns when the agent is idle again.
    pub async fn first_token(&mut self, text: &str) -> Result<Duration, BenchError> {
        let author = author();
        let began = Instant::now();
        let prompted = self
            .agent
            .prompt(&self.conversation, text, &self.model, &author);
        let heard = async {
            let mut first = None;
            loop {
                let event = timeout(LIMIT, self.events.next()).await.ok().flatten();
                match event {
                    Some(Ok(AgentEvent::Delta { .. })) => {
                        first.get_or_insert_with(|| began.elapsed());
                    }
                    Some(Ok(AgentEvent::Status {
                        status: Status::Idle,
                        ..
                    })) => {
                        if let Some(first) = first {
                            return Ok(first);
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(BenchError::from(error)),
                    None => {
                        let message = "the agent alone does not answer".to_owned();
                        return Err(BenchError::Unexpected(message));
                    }
                }
            }
        };
        let (prompted, first) = tokio::join!(prompted, heard);
        prompted?;
        first
    }
}

/// Who prompts.
pub(super) fn author() -> GitIdentity {
    GitIdentity {
        name: "Alice".to_owned(),
        email: "alice@example.com".to_owned(),
    }
}

/// The agent's configuration with the model itself in the gateway's place.
fn direct(name: &str, value: &str, model_url: &str) -> String {
    let parsed = if name == "OPENCODE_CONFIG_CONTENT" {
        serde_json::from_str(value).ok()
    } else {
        None
    };
    let Some(mut config): Option<Value> = parsed else {
        return value.to_owned();
    };
    if let Some(options) = config.pointer_mut("/provider/openai/options") {
        options["baseURL"] = format!("{model_url}/v1").into();
        options["apiKey"] = MODEL_KEY.into();
    }
    config.to_string()
}
