//! Puts the parts together: what `sandbox-runner` and `sandbox-runner doctor` do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::RunnerId;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::launch;
use crate::artifact::parcel::{ParcelError, Parcels};
use crate::clock;
use crate::collector::Collector;
use crate::config::Config;
use crate::courier::Courier;
use crate::gateway::egress::Egress;
use crate::gateway::{Gateway, GatewayError};
use crate::image::{self, Images, System};
use crate::layer::depot::{Depot, DepotError};
use crate::pool::Pool;
use crate::register::{Registration, credentials, keep_registered, secrets};
use crate::sandbox::doctor::{self, DoctorError, Machine};
use crate::sandbox::namespaces::{Namespaces, NamespacesConfig, SetupError, Tool};
use crate::sandbox::{SandboxBackend as _, SandboxError};
use crate::server::changes::{self, Glances};
use crate::server::files::{self, Shelves};
use crate::server::{Commands, Lookout, router, terminal_router};
use crate::session::progress::{Drawer, KeepError};
use crate::session::{Machinery, sessions};
use crate::store::{Store, StoreError};
use crate::terminal::Terminals;
use crate::worker::{Worker, WorkerError};

#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    #[error("failed to find this program's own file")]
    Program(#[source] io::Error),
    #[error("failed to write the agent's settings to {path}")]
    Tools {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to prepare for sandboxes")]
    Setup(#[source] SetupError),
    #[error("this machine cannot hold sandboxes")]
    Doctor(#[source] DoctorError),
    #[error("failed to open the store")]
    Store(#[source] StoreError),
    #[error("failed to keep this runner's identifier in {path}")]
    Identifier {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to make the Worker's client")]
    Worker(#[source] WorkerError),
    #[error("failed to open the depot")]
    Depot(#[source] DepotError),
    #[error("failed to make the gateway")]
    Gateway(#[source] GatewayError),
    #[error("failed to listen on {address}; set RUNNER_LISTEN to an address that is free")]
    Listen {
        address: std::net::SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("failed to end the sandboxes")]
    Sweep(#[source] SandboxError),
    #[error("failed to place the hooks of {path}; check AGENT_HOOKS_DIR")]
    Hooks {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to prepare for work in progress")]
    Progress(#[source] KeepError),
    #[error("failed to prepare for shared files")]
    Parcels(#[source] ParcelError),
    #[error("failed to wait for signals")]
    Signals(#[source] io::Error),
    #[error("the server ended")]
    Serve(#[source] io::Error),
}

const MOST_FILES: u64 = 65_536;

/// Serves until a signal ends it. Sandboxes live on, and the next start takes them over.
pub async fn serve(config: Config) -> Result<(), RunnerError> {
    allow_connections();
    let backend = Arc::new(backend(&config)?);
    let machine = doctor::check(&backend).await;
    let machine = machine.map_err(RunnerError::Doctor)?;
    tracing::debug!(%machine, "sandboxes can be had");
    // The backend holds the state directory's lock from here on.
    let path = config.state_dir.join("runner.sqlite");
    let store = Arc::new(Store::open(&path).map_err(RunnerError::Store)?);
    let runner = identifier(&config)?;
    let worker =
        Worker::new(&config.worker_url, config.keys.clone()).map_err(RunnerError::Worker)?;
    let gateway = Gateway::new(
        &config.github_url,
        &config.anthropic,
        &config.openai,
        credentials(worker.clone()),
    );
    let gateway = gateway
        .map_err(RunnerError::Gateway)?
        .with_egress(Egress::system(config.internal_hosts.clone()))
        .with_secrets(secrets(worker.clone()))
        .with_billing(config.billing.clone());
    let gateway = Arc::new(gateway);
    let depot = config.depot.as_ref().map(Depot::open);
    let depot = depot.transpose().map_err(RunnerError::Depot)?.map(Arc::new);
    let images = Arc::new(Images::new(
        backend.images(),
        backend.clone(),
        backend.layers().clone(),
        Arc::clone(&gateway),
        System::read(),
        depot.clone(),
        Some(agent_binary(&config.opencode_bin)),
    ));
    let courier = Courier::new(Arc::clone(&store), backend.layers().clone(), depot.clone());
    let courier = Arc::new(courier);
    let collector = Collector {
        backend: backend.clone(),
        images: Arc::clone(&images),
        store: Arc::clone(&store),
        layers: backend.layers().clone(),
        depot,
    };

    let parcels = Parcels::open(config.state_dir.join("artifacts"), worker.clone());
    let parcels = Arc::new(parcels.map_err(RunnerError::Parcels)?);
    let progress = Drawer::open(config.state_dir.join("wip")).map_err(RunnerError::Progress)?;

    let terminals = Terminals::new(Arc::clone(&store), backend.clone(), worker.clone());
    let terminals = Arc::new(terminals);
    let (sessions, supervisor) = sessions();
    let listener = TcpListener::bind(config.listen).await;
    let listening = |source| RunnerError::Listen {
        address: config.listen,
        source,
    };
    let listener = listener.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let url = config
        .url
        .clone()
        .unwrap_or_else(|| format!("http://{address}"));

    let machinery = Arc::new(Machinery {
        runner: runner.clone(),
        store: Arc::clone(&store),
        worker: worker.clone(),
        layers: backend.layers().clone(),
        backend,
        images,
        gateway,
        progress: Arc::new(progress),
        courier: Arc::clone(&courier),
        parcels: Arc::clone(&parcels),
        terminals: Arc::clone(&terminals),
        agent_binary: agent_binary(&config.opencode_bin),
        committer: config.committer.clone(),
        turn_limit: config.turn_limit,
    });
    let pool = Pool::new(Arc::clone(&machinery), config.capacity);
    let supervising = tokio::spawn(supervisor.run(Arc::clone(&machinery), Arc::clone(&pool)));
    let registration = Registration {
        runner: runner.clone(),
        url: url.clone(),
        capacity: config.capacity,
        sessions: sessions.clone(),
        images: Arc::clone(&machinery.images),
        pool: Arc::clone(&pool),
        depot: courier.has_depot(),
    };
    let glances = Glances {
        keys: config.keys.clone(),
        machinery: Arc::clone(&machinery),
    };
    let shelves = Shelves {
        keys: config.keys.clone(),
        store: Arc::clone(&store),
        backend: Arc::clone(&machinery.backend),
        layers: machinery.layers.clone(),
        courier: Arc::clone(&courier),
    };
    let carrying = tokio::spawn(courier.run());
    let collecting = tokio::spawn(collector.run());
    let delivering = tokio::spawn(async move { parcels.run().await });
    let registering = tokio::spawn(keep_registered(worker, registration));
    let terminal_store = Arc::clone(&store);
    let commands = Commands {
        keys: config.keys.clone(),
        store,
        sessions,
        capacity: config.capacity,
        warm: Arc::new(move || pool.listed().len()),
    };

    let lookout = Lookout {
        keys: config.keys.clone(),
        store: terminal_store,
        terminals,
    };
    let routes = router(commands)
        .merge(terminal_router(lookout))
        .merge(files::router(shelves))
        .merge(changes::router(glances));

    let mut terminate = signal(SignalKind::terminate()).map_err(RunnerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunnerError::Signals)?;
    announce(&address, &url, &runner);
    tokio::select! {
        served = axum::serve(listener, routes) => served.map_err(RunnerError::Serve)?,
        supervised = supervising => {
            if let Ok(Err(error)) = supervised {
                return Err(RunnerError::Store(error));
            }
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    carrying.abort();
    collecting.abort();
    delivering.abort();
    registering.abort();
    tracing::info!("stopping; sandboxes live on");
    Ok(())
}

/// Checks that this machine can hold sandboxes, and says what it is like.
pub async fn doctor(config: &Config) -> Result<Machine, RunnerError> {
    let backend = backend(config)?;
    doctor::check(&backend).await.map_err(RunnerError::Doctor)
}

/// Ends every sandbox that a runner of this state directory left, and says how many. For machines
/// that are taken out of service: nothing takes the sandboxes over after this.
pub async fn sweep(config: &Config) -> Result<usize, RunnerError> {
    let backend = backend(config)?;
    let records = backend.list().await.map_err(RunnerError::Sweep)?;
    for record in &records {
        backend
            .destroy(&record.id)
            .await
            .map_err(RunnerError::Sweep)?;
    }
    Ok(records.len())
}

/// The name under which the agent and its settings are mounted in every sandbox, below `/opt`.
const AGENT: &str = "agent";

fn backend(config: &Config) -> Result<Namespaces, RunnerError> {
    let settings = config.state_dir.join("agent");
    launch::write_tools(&settings).map_err(|source| RunnerError::Tools {
        path: settings.clone(),
        source,
    })?;
    let hooks = config.agent_hooks_dir.as_deref();
    launch::write_hooks(&settings, hooks).map_err(|source| RunnerError::Hooks {
        path: hooks.unwrap_or(&settings).to_owned(),
        source,
    })?;
    let agent = Tool {
        name: AGENT.to_owned(),
        sources: vec![settings, config.opencode_bin.clone()],
    };
    Namespaces::open(&NamespacesConfig {
        state: config.state_dir.clone(),
        runner: std::env::current_exe().map_err(RunnerError::Program)?,
        sandbox_uid: config.sandbox_uid,
        tools: std::iter::once(agent).chain(image::tool()).collect(),
    })
    .map_err(RunnerError::Setup)
}

fn agent_binary(program: &Path) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    format!("/opt/{AGENT}/{name}")
}

/// The configured identifier, or the one that an earlier start made.
fn identifier(config: &Config) -> Result<RunnerId, RunnerError> {
    if let Some(id) = &config.id {
        return Ok(id.clone());
    }
    let path = config.state_dir.join("runner-id");
    let failed = |source| RunnerError::Identifier {
        path: path.clone(),
        source,
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => RunnerId::parse(text.trim()).map_err(|error| failed(io::Error::other(error))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = RunnerId::from_random(clock::random());
            std::fs::write(&path, id.as_str()).map_err(failed)?;
            Ok(id)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Connections of sandboxes are descriptors of this process, and the usual limit is what one
/// sandbox alone may have open.
fn allow_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays low");
        }
    }
}

/// One line on standard output, for whoever started this and waits until it serves.
fn announce(address: &std::net::SocketAddr, url: &str, runner: &RunnerId) {
    use std::io::Write as _;
    let line = json!({ "listening": address.to_string(), "url": url, "runner": runner });
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    tracing::info!(%address, url, %runner, "serving");
}
