//! A runner that a test plays itself: it takes real signed commands and sends real signed reports.
//!
//! With it, a test decides what is reported, in which order and how often, which a real runner
//! never lets anybody do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::post;
use axum::{Json, Router};
use protocol::callback::{
    Acknowledgement, Batch, ImageReport, PoolTarget, REGISTRATION_MS, Register, Registered, Report,
};
use protocol::command::{Accepted, BuildImage, Command, Refresh, SendPrompt, Start};
use protocol::event::Repository;
use protocol::image::ImageOutcome;
use protocol::signature::{Keys, Signature, Signed};
use protocol::{ImageId, Millis, PromptId, RunnerId, SessionId};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const COMMAND_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum PuppetError {
    #[error("the puppet cannot listen")]
    Listen(#[source] std::io::Error),
    #[error("no random bits could be had")]
    Random(#[from] getrandom::Error),
    #[error("the Worker could not be asked")]
    Http(#[from] reqwest::Error),
    #[error("the Worker answered {status}: {body}")]
    Refused { status: u16, body: String },
    #[error("no {wanted} came within {COMMAND_LIMIT:?}")]
    Late { wanted: &'static str },
    #[error("the keys cannot be used")]
    Keys(#[from] protocol::signature::KeyError),
    #[error("a message has an unknown form")]
    Form(#[from] serde_json::Error),
}

/// A registered runner. Dropping it ends it.
pub struct Puppet {
    line: Arc<Line>,
    inbox: Arc<Inbox>,
    /// What it says of itself, again and again.
    register: Arc<tokio::sync::Mutex<Register>>,
    tasks: Vec<JoinHandle<()>>,
}

/// The way to the Worker.
struct Line {
    http: reqwest::Client,
    worker_url: String,
    keys: Keys,
}

/// Commands that no test has asked for yet; several sessions share one puppet.
struct Inbox {
    keys: Keys,
    commands: Mutex<Vec<Command>>,
    /// Repositories of which something has changed.
    refreshed: Mutex<Vec<Repository>>,
    count: watch::Sender<u64>,
}

impl Puppet {
    /// Starts listening and registers with room for everything.
    pub async fn start(worker_url: &str, keys: &str) -> Result<Self, PuppetError> {
        let keys = Keys::parse(keys)?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(PuppetError::Listen)?;
        let address = listener.local_addr().map_err(PuppetError::Listen)?;
        let inbox = Arc::new(Inbox {
            keys: keys.clone(),
            commands: Mutex::new(Vec::new()),
            refreshed: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let router = Router::new()
            .route("/commands", post(take))
            .route("/refresh", post(refresh))
            .with_state(inbox.clone());
        let serve = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the puppet stopped serving");
            }
        });
        let line = Arc::new(Line {
            http: reqwest::Client::new(),
            worker_url: worker_url.to_owned(),
            keys,
        });
        let register = Register {
            runner: RunnerId::from_random(random()?),
            url: format!("http://{address}"),
            capacity: 1000,
            sandboxes: Vec::new(),
            version: protocol::VERSION.to_owned(),
            images: Vec::new(),
            warm: Vec::new(),
            depot: false,
            repositories: Vec::new(),
            pool_room: None,
        };
        line.post("/runner/register", &register).await?;
        let register = Arc::new(tokio::sync::Mutex::new(register));
        let keep = tokio::spawn(keep_registered(line.clone(), register.clone()));
        Ok(Self {
            line,
            inbox,
            register,
            tasks: vec![serve, keep],
        })
    }

    /// Registers with something changed, and goes on saying so; answers what its pool should hold.
    pub async fn offer(
        &self,
        change: impl FnOnce(&mut Register),
    ) -> Result<Vec<PoolTarget>, PuppetError> {
        Ok(self.registered(change).await?.pool)
    }

    /// As [`Self::offer`]; answers all that a runner is told.
    pub async fn registered(
        &self,
        change: impl FnOnce(&mut Register),
    ) -> Result<Registered, PuppetError> {
        let mut register = self.register.lock().await;
        change(&mut register);
        let answer = self.post("/runner/register", &*register).await?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Returns when it was told that something of a repository has changed since this was last
    /// asked.
    pub async fn refreshed(&self, repository: &Repository) -> Result<(), PuppetError> {
        let mut count = self.inbox.count.subscribe();
        let told = async {
            loop {
                {
                    let refreshed = self.inbox.refreshed.lock();
                    let mut refreshed = refreshed.unwrap_or_else(PoisonError::into_inner);
                    let before = refreshed.len();
                    refreshed.retain(|told| told != repository);
                    if refreshed.len() < before {
                        return Some(());
                    }
                }
                count.changed().await.ok()?;
            }
        };
        let told = tokio::time::timeout(COMMAND_LIMIT, told).await.ok();
        let wanted = "refresh";
        told.flatten().ok_or(PuppetError::Late { wanted })
    }

    /// Says that it is there, as a runner does every twenty seconds.
    pub async fn register(&self) -> Result<(), PuppetError> {
        self.offer(|_| ()).await.map(drop)
    }

    /// Takes the first command that `find` wants, now or when it comes.
    async fn command<T>(
        &self,
        wanted: &'static str,
        find: impl Fn(&Command) -> Option<T>,
    ) -> Result<T, PuppetError> {
        let mut count = self.inbox.count.subscribe();
        let search = async {
            loop {
                {
                    let mut commands = self
                        .inbox
                        .commands
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    let found = commands
                        .iter()
                        .enumerate()
                        .find_map(|(place, command)| Some((place, find(command)?)));
                    if let Some((place, found)) = found {
                        commands.remove(place);
                        return Some(found);
                    }
                }
                count.changed().await.ok()?;
            }
        };
        let found = tokio::time::timeout(COMMAND_LIMIT, search)
            .await
            .ok()
            .flatten();
        found.ok_or(PuppetError::Late { wanted })
    }

    pub async fn start_command(&self, session: &SessionId) -> Result<Start, PuppetError> {
        self.command("start", |command| match command {
            Command::Start(start) if start.session == *session => Some(start.clone()),
            _ => None,
        })
        .await
    }

    pub async fn prompt_command(&self, start: &Start) -> Result<SendPrompt, PuppetError> {
        self.command("prompt", |command| match command {
            Command::Prompt(prompt) if prompt.sandbox == start.sandbox => Some(prompt.clone()),
            _ => None,
        })
        .await
    }

    pub async fn stop_command(&self, start: &Start) -> Result<PromptId, PuppetError> {
        self.command("stop", |command| match command {
            Command::Stop { sandbox, prompt } if *sandbox == start.sandbox => Some(prompt.clone()),
            _ => None,
        })
        .await
    }

    pub async fn end_command(&self, start: &Start) -> Result<(), PuppetError> {
        self.command("end", |command| match command {
            Command::End { sandbox } if *sandbox == start.sandbox => Some(()),
            _ => None,
        })
        .await
    }

    /// The command to make an image of a repository.
    pub async fn build_command(&self, repository: &Repository) -> Result<BuildImage, PuppetError> {
        self.command("build", |command| match command {
            Command::BuildImage(build) if build.base.repository == *repository => {
                Some(build.clone())
            }
            _ => None,
        })
        .await
    }

    /// Whether a command to make an image of a repository is there that nobody took.
    pub fn has_build_command(&self, repository: &Repository) -> bool {
        let commands = self.inbox.commands.lock();
        let commands = commands.unwrap_or_else(PoisonError::into_inner);
        commands.iter().any(|command| match command {
            Command::BuildImage(build) => build.base.repository == *repository,
            _ => false,
        })
    }

    /// Reports how a build goes on; answers up to where the log is held.
    pub async fn report_image(
        &self,
        image: &ImageId,
        log_offset: u64,
        log: &str,
        outcome: Option<ImageOutcome>,
    ) -> Result<u64, PuppetError> {
        let report = ImageReport {
            runner: self.register.lock().await.runner.clone(),
            base: None,
            log_offset,
            log: log.to_owned(),
            outcome,
        };
        let answer = self
            .post(&format!("/runner/images/{image}"), &report)
            .await?;
        Ok(serde_json::from_str::<Acknowledgement>(&answer)?.received)
    }

    /// Reports of a started sandbox, `first` being the number of the first one.
    pub async fn report(
        &self,
        start: &Start,
        first: u64,
        reports: Vec<Report>,
    ) -> Result<u64, PuppetError> {
        let batch = Self::batch(start, first, reports);
        let path = format!("/runner/callbacks/{}", start.session);
        let answer = self.post(&path, &batch).await?;
        Ok(serde_json::from_str::<Acknowledgement>(&answer)?.received)
    }

    pub fn batch(start: &Start, first: u64, reports: Vec<Report>) -> Batch {
        Batch {
            sandbox: start.sandbox.clone(),
            epoch: start.epoch,
            first,
            reports,
        }
    }

    /// Posts a signed message as a runner does.
    pub async fn post(
        &self,
        path: &str,
        message: &impl serde::Serialize,
    ) -> Result<String, PuppetError> {
        self.line.post(path, message).await
    }

    /// A signature of now, for tests that spoil it.
    pub fn sign(&self, method: &str, path: &str, body: &[u8]) -> Result<Signature, PuppetError> {
        self.line.sign_at(now(), method, path, body)
    }

    pub fn sign_at(
        &self,
        at: Millis,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Signature, PuppetError> {
        self.line.sign_at(at, method, path, body)
    }

    /// Posts any body with any signature; answers status and text.
    pub async fn post_with(
        &self,
        path: &str,
        body: Vec<u8>,
        signature: &Signature,
    ) -> Result<(u16, String), PuppetError> {
        self.line.post_with(path, body, signature).await
    }
}

impl Line {
    async fn post(
        &self,
        path: &str,
        message: &impl serde::Serialize,
    ) -> Result<String, PuppetError> {
        let body = serde_json::to_vec(message)?;
        let signature = self.sign_at(now(), "POST", path, &body)?;
        let (status, body) = self.post_with(path, body, &signature).await?;
        if (200..300).contains(&status) {
            Ok(body)
        } else {
            Err(PuppetError::Refused { status, body })
        }
    }

    fn sign_at(
        &self,
        at: Millis,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Signature, PuppetError> {
        let id: [u8; 16] = random()?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(self
            .keys
            .sign_request(&format!("msg_{id}"), at, Signed { method, path, body }))
    }

    async fn post_with(
        &self,
        path: &str,
        body: Vec<u8>,
        signature: &Signature,
    ) -> Result<(u16, String), PuppetError> {
        let mut request = self
            .http
            .post(format!("{}{path}", self.worker_url))
            .header("content-type", "application/json")
            .timeout(COMMAND_LIMIT)
            .body(body);
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }
}

/// A runner that is silent for a minute counts as gone.
async fn keep_registered(line: Arc<Line>, register: Arc<tokio::sync::Mutex<Register>>) {
    let interval = Duration::from_millis(REGISTRATION_MS.unsigned_abs()) / 3;
    loop {
        tokio::time::sleep(interval).await;
        let register = register.lock().await;
        if let Err(error) = line.post("/runner/register", &*register).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "not registered");
        }
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn take(
    State(inbox): State<Arc<Inbox>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Accepted>), StatusCode> {
    let command = inbox.verified(&uri, &headers, &body)?;
    let commands = inbox.commands.lock();
    commands
        .unwrap_or_else(PoisonError::into_inner)
        .push(command);
    inbox.count.send_modify(|count| *count += 1);
    Ok((StatusCode::ACCEPTED, Json(Accepted { accepted: true })))
}

async fn refresh(
    State(inbox): State<Arc<Inbox>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, StatusCode> {
    let Refresh { repository } = inbox.verified(&uri, &headers, &body)?;
    let refreshed = inbox.refreshed.lock();
    refreshed
        .unwrap_or_else(PoisonError::into_inner)
        .push(repository);
    inbox.count.send_modify(|count| *count += 1);
    Ok(StatusCode::NO_CONTENT)
}

impl Inbox {
    fn verified<T: serde::de::DeserializeOwned>(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<T, StatusCode> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let signature = Signature::from_headers(header).map_err(|_| StatusCode::UNAUTHORIZED)?;
        let signed = Signed {
            method: "POST",
            path: uri.path(),
            body,
        };
        self.keys
            .verify_request(&signature, now(), signed)
            .map_err(|_| StatusCode::UNAUTHORIZED)?;
        serde_json::from_slice(body).map_err(|_| StatusCode::BAD_REQUEST)
    }
}

pub fn now() -> Millis {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
