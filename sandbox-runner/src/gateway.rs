//! The way out of a sandbox, where credentials are added that no sandbox holds.
//!
//! Each sandbox has a listener of its own, so the caller is known by where it calls. What it may
//! reach is the model providers and one repository of the forge, by the paths below; all else is
//! refused. Of a request only named headers go on, so no credential of the sandbox's own does.
//! Bodies are streamed both ways, since packs are large and a token must not wait for the next.
//!
//! | path | goes to |
//! | --- | --- |
//! | `/llm/{anthropic,openai}/v1/…` | the provider, with the runner's key |
//! | `/llm/warmup/v1/chat/completions` | nobody: a fixed answer |
//! | `/git/{owner}/{name}.git/…` | the forge, with a token for that repository |
//! | `/workspace/…` | nobody: the runner itself, see [`Gate`] |

mod contact;
mod credentials;
mod forge;
mod forward;
mod model;
mod push;
mod workspace;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use protocol::callback::{Credentials, CredentialsRequest, Purpose};
use protocol::event::Repository;
use protocol::{Millis, SessionId};
use reqwest::{Client, Url};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use crate::config::Upstream;
pub use contact::{Contact, Contacts, Verdict};
use credentials::Cache;
use forward::{refuse, refuse_contact};
pub use workspace::{Gate, Wait};

/// What one sandbox may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayPolicy {
    pub repository: Repository,
    pub access: Access,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// An image is built: nothing may be pushed.
    Image,
    /// A session works, and pushes to `refs/heads/{branch}` only.
    Session { session: SessionId, branch: String },
}

pub type CredentialsError = Box<dyn std::error::Error + Send + Sync>;

/// Asks for a git token. The gateway asks once for each sandbox and keeps it while it is valid.
pub type CredentialSource = Arc<
    dyn Fn(CredentialsRequest) -> BoxFuture<'static, Result<Credentials, CredentialsError>>
        + Send
        + Sync,
>;

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("failed to make an HTTP client")]
    Client(#[source] reqwest::Error),
    #[error("the gateway's address of {name} cannot be used")]
    Address { name: &'static str },
}

/// The gateway of every sandbox of this runner. They share connections to the outside.
pub struct Gateway {
    outside: Arc<Outside>,
}

/// One sandbox's gateway at work. Dropping it takes no new connections.
pub struct Serving {
    task: JoinHandle<()>,
    contacts: Arc<Contacts>,
    gate: Arc<Gate>,
}

/// A place outside, with connections of its own.
struct Place {
    client: Client,
    base: Url,
    host: String,
}

struct Provider {
    place: Place,
    key: Option<String>,
}

struct Outside {
    anthropic: Provider,
    openai: Provider,
    forge: Place,
    source: CredentialSource,
    now: fn() -> Millis,
}

/// One sandbox as its requests see it.
#[derive(Clone)]
struct Caller {
    outside: Arc<Outside>,
    policy: Arc<GatewayPolicy>,
    credentials: Arc<Cache>,
    contacts: Arc<Contacts>,
    gate: Arc<Gate>,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest silence of an answer: a model thinks for minutes before it says anything.
const READ_TIMEOUT: Duration = Duration::from_secs(600);

/// How long an idle connection is kept: a session's next prompt must not wait for TLS.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

impl Gateway {
    /// `github_url` is the forge, as `https://github.com`.
    pub fn new(
        github_url: &str,
        anthropic: &Upstream,
        openai: &Upstream,
        source: CredentialSource,
    ) -> Result<Self, GatewayError> {
        Ok(Self {
            outside: Arc::new(Outside {
                anthropic: Provider::new("Anthropic", anthropic)?,
                openai: Provider::new("OpenAI", openai)?,
                forge: Place::new("the forge", github_url)?,
                source,
                now: crate::clock::now,
            }),
        })
    }

    /// Serves one sandbox until the result is dropped.
    pub fn serve(&self, policy: GatewayPolicy, listener: UnixListener) -> Serving {
        let contacts = Arc::new(Contacts::default());
        let gate = Arc::new(Gate::default());
        let purpose = match &policy.access {
            Access::Image => Purpose::Image,
            Access::Session { session, .. } => Purpose::Session {
                session: session.clone(),
            },
        };
        let asked = CredentialsRequest {
            repository: policy.repository.clone(),
            purpose,
        };
        let caller = Caller {
            outside: Arc::clone(&self.outside),
            policy: Arc::new(policy),
            credentials: Arc::new(Cache::new(asked)),
            contacts: Arc::clone(&contacts),
            gate: Arc::clone(&gate),
        };
        let router = Router::new().fallback(answer).with_state(caller);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the gateway stopped serving a sandbox");
            }
        });
        Serving {
            task,
            contacts,
            gate,
        }
    }
}

impl Serving {
    /// Whom the sandbox has tried to reach so far.
    pub fn contacts(&self) -> Vec<Contact> {
        self.contacts.list()
    }

    /// Where the sandbox's writes wait for its workspace.
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Place {
    fn new(name: &'static str, url: &str) -> Result<Self, GatewayError> {
        let base = Url::parse(url).map_err(|_| GatewayError::Address { name })?;
        let host = base
            .host_str()
            .ok_or(GatewayError::Address { name })?
            .to_owned();
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            // Credentials are for one place: they are not taken to another.
            .redirect(reqwest::redirect::Policy::none());
        // A proxy for the outside world does not lead back to this machine.
        if matches!(host.as_str(), "127.0.0.1" | "localhost" | "[::1]") {
            builder = builder.no_proxy();
        }
        Ok(Self {
            client: builder.build().map_err(GatewayError::Client)?,
            base,
            host,
        })
    }

    /// `path` follows the base's own path.
    fn url(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!(
            "{}/{path}",
            self.base.path().trim_end_matches('/')
        ));
        url.set_query(query);
        url
    }
}

impl Provider {
    /// The address may name the version or leave it out: both are customary.
    fn new(name: &'static str, upstream: &Upstream) -> Result<Self, GatewayError> {
        let url = upstream.base_url.trim_end_matches('/');
        let url = url.strip_suffix("/v1").unwrap_or(url);
        Ok(Self {
            place: Place::new(name, &format!("{url}/v1"))?,
            key: upstream.key.clone(),
        })
    }
}

async fn answer(State(caller): State<Caller>, request: Request) -> Response {
    // Paths are compared as they are: an escaped one matches nothing.
    let path = request.uri().path().to_owned();
    if let Some(path) = path.strip_prefix("/llm/") {
        return model::answer(&caller, path, request).await;
    }
    if let Some(path) = path.strip_prefix("/git/") {
        return forge::answer(&caller, path, request).await;
    }
    if let (Some(path), Access::Session { .. }) =
        (path.strip_prefix("/workspace/"), &caller.policy.access)
    {
        return workspace::answer(&caller.gate, path, request).await;
    }
    refuse_contact(&caller.contacts, "");
    refuse(
        StatusCode::NOT_FOUND,
        "not_found",
        "The gateway has nothing at this path.",
    )
}
