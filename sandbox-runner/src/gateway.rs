//! The only way out of a sandbox, where credentials are added that no sandbox holds.
//!
//! Each sandbox has sockets of its own, so the caller is known by where it calls. On one of them
//! are the model providers and one repository of the forge, by the paths below. Of such a request
//! only named headers go on, so no credential of the sandbox's own does. Bodies are streamed both
//! ways, since packs are large and a token must not wait for the next.
//!
//! The others lead to the hosts that the repository's policy allows, by their own names and ports:
//! `names` answers look-ups, `egress` takes the connections, both within the sandbox's `bounds`, which
//! change with the repository's settings. Whatever goes out or is refused is in the sandbox's `ledger`.
//!
//! | path | goes to |
//! | --- | --- |
//! | `/llm/{anthropic,openai}/v1/…` | the provider, with the runner's key |
//! | `/llm/warmup/v1/chat/completions` | nobody: a fixed answer |
//! | `/git/{owner}/{name}.git/…` | the forge, with a token for that repository |
//! | `/workspace/variables` | nobody: secrets that are meant to be in this sandbox |
//! | `/workspace/…` | nobody: the runner itself, see [`Gate`] |

pub mod billing;
mod bounds;
mod credentials;
pub mod egress;
mod forge;
mod forward;
pub mod ledger;
mod listener;
mod model;
mod names;
mod push;
mod secrets;
mod share;
mod usage;
mod workspace;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use protocol::callback::{Credentials, CredentialsRequest, Purpose};
use protocol::egress::EgressPolicy;
use protocol::event::Repository;
use protocol::{Millis, SessionId};
use reqwest::{Client, Url};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::config::Upstream;
use crate::sandbox::Ports;
use billing::Billing;
use bounds::{Bounds, Registry};
use credentials::Cache;
use egress::{Egress, Way};
use forward::refuse;
use ledger::{ContactKind, Ledger};
use names::Names;
pub use secrets::SecretSource;
use secrets::Vault;
pub use share::{Offer, Offered, Offers};
pub use workspace::{Gate, Wait, WaitCause, Wish, Writes};

/// What one sandbox may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayPolicy {
    pub repository: Repository,
    pub access: Access,
    /// Until [`Gateway::bound`] says otherwise.
    pub egress: EgressPolicy,
    /// What the session spent on models before this sandbox.
    pub spent_microdollars: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// An image is built: nothing may be pushed.
    Image,
    /// A sandbox waits for its session: the same, and its writes wait as well.
    Pool,
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
    egress: Arc<Egress>,
    billing: Arc<Billing>,
    secrets: SecretSource,
    registry: Registry,
}

/// One sandbox's gateway at work. Dropping it takes no new connections, and ends those to hosts.
pub struct Serving {
    // Aborted when dropped.
    _tasks: JoinSet<()>,
    /// Connections of the agent end with this.
    _open: oneshot::Sender<()>,
    ledger: Arc<Ledger>,
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
    billing: Arc<Billing>,
    model_room: Arc<Semaphore>,
    model_memory: Arc<Semaphore>,
    ledger: Arc<Ledger>,
    gate: Arc<Gate>,
    vault: Arc<Vault>,
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
            egress: Arc::new(Egress::system(BTreeSet::new())),
            billing: Arc::default(),
            secrets: secrets::none(),
            registry: Registry::default(),
        })
    }

    pub fn with_egress(self, egress: Egress) -> Self {
        Self {
            egress: Arc::new(egress),
            ..self
        }
    }

    pub fn with_billing(self, billing: Billing) -> Self {
        Self {
            billing: Arc::new(billing),
            ..self
        }
    }

    /// Without a source, no repository has secrets.
    pub fn with_secrets(self, secrets: SecretSource) -> Self {
        Self { secrets, ..self }
    }

    /// Whose sandboxes are served.
    pub fn repositories(&self) -> BTreeSet<Repository> {
        self.registry.repositories()
    }

    /// What sandboxes of these repositories may reach from now on, those that are served too:
    /// connections to hosts that are not allowed any more end.
    pub fn bound(&self, policies: BTreeMap<Repository, EgressPolicy>) {
        self.registry.set(policies);
    }

    /// What sandboxes of a repository may reach, as far as anything was told of it.
    pub fn policy_of(&self, repository: &Repository) -> EgressPolicy {
        self.registry.told(repository).unwrap_or_default()
    }

    /// A repository's secrets have changed.
    pub fn forget_secrets(&self, repository: &Repository) {
        self.registry.forget_secrets(repository);
    }

    /// Serves one sandbox until the result is dropped.
    pub fn serve(&self, policy: GatewayPolicy, ports: Ports) -> Serving {
        let Ports {
            gateway,
            names: questions,
            http,
            https,
        } = ports;
        let (ledger, gate) = (Arc::new(Ledger::default()), Arc::new(Gate::default()));
        let bounds = Arc::new(Bounds::new(policy.egress.clone()));
        let names = Arc::new(Names::new(Arc::clone(&bounds), Arc::clone(&ledger)));
        let session = match &policy.access {
            Access::Image | Access::Pool => None,
            Access::Session { session, .. } => Some(session.clone()),
        };
        let vault = Arc::new(Vault::new(Arc::clone(&self.secrets), session));
        self.registry
            .enter(policy.repository.clone(), &bounds, &vault);
        let way = Arc::new(Way::new(
            Arc::clone(&self.egress),
            bounds,
            Arc::clone(&names),
            Arc::clone(&ledger),
            Arc::clone(&vault),
        ));
        let (ahead, told) = (Arc::clone(&vault), Arc::clone(&gate));
        let router = self.router(policy, Arc::clone(&ledger), told, vault);
        let (open, closed) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { ahead.prefetch().await });
        tasks.spawn(answer_all(listener::Bounded::new(gateway), router, closed));
        tasks.spawn(async move { names.serve(questions).await });
        tasks.spawn(Arc::clone(&way).serve_http(http));
        tasks.spawn(way.serve_https(https));
        Serving {
            _tasks: tasks,
            _open: open,
            ledger,
            gate,
        }
    }

    fn router(
        &self,
        policy: GatewayPolicy,
        ledger: Arc<Ledger>,
        gate: Arc<Gate>,
        vault: Arc<Vault>,
    ) -> Router {
        let purpose = match &policy.access {
            Access::Image | Access::Pool => Purpose::Image,
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
            billing: Arc::clone(&self.billing),
            model_room: Arc::new(Semaphore::new(model::MOST_REQUESTS)),
            model_memory: Arc::new(Semaphore::new(model::MEMORY as usize)),
            ledger,
            gate,
            vault,
        };
        Router::new().fallback(answer).with_state(caller)
    }
}

impl Serving {
    /// Whom the sandbox has tried to reach so far.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Where the sandbox's writes wait for its workspace.
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.gate.close();
    }
}

/// Answers until `closed`. Then connections end after the request that they are at: whoever serves
/// the sandbox next answers by another policy.
async fn answer_all<L>(listener: L, router: Router, closed: oneshot::Receiver<()>)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let closed = async move {
        let _ = closed.await;
    };
    let served = axum::serve(listener, router).with_graceful_shutdown(closed);
    if let Err(error) = served.await {
        tracing::error!(%error, "the gateway stopped serving a sandbox");
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
    if path == "/workspace/variables" {
        return workspace::variables(&caller.vault).await;
    }
    if let Some(path) = path.strip_prefix("/workspace/")
        && caller.policy.access != Access::Image
    {
        return workspace::answer(&caller.gate, path, request).await;
    }
    let reason = "the gateway has nothing at this path";
    caller.ledger.denied(ContactKind::Http, "", reason);
    refuse(
        StatusCode::NOT_FOUND,
        "not_found",
        "The gateway has nothing at this path.",
    )
}
