//! Puts the parts together: what `sandbox-runner` does, and its commands `doctor`, `retire` and `sweep`.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::RunnerId;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::launch;
use crate::artifact::parcel::{ParcelError, Parcels};
use crate::cause;
use crate::clock;
use crate::collector::Collector;
use crate::config::Config;
use crate::courier::Courier;
use crate::gateway::egress::Egress;
use crate::gateway::{Gateway, GatewayError};
use crate::image::{self, Images, Supplies, System};
use crate::layer::depot::{Depot, DepotError};
use crate::pool::Pool;
use crate::register::{Registration, credentials, keep_registered, secrets, withdraw};
use crate::sandbox::doctor::{self, DoctorError, Kernel, Machine, Unfit};
use crate::sandbox::namespaces::{Namespaces, NamespacesConfig, SetupError, Tool};
use crate::sandbox::{SandboxBackend as _, SandboxError};
use crate::server::changes::{self, Glances};
use crate::server::files::{self, Shelves};
use crate::server::health;
use crate::server::refresh::{self, Refreshing};
use crate::server::{Commands, Lookout, router, terminal_router};
use crate::session::progress::{Drawer, KeepError};
use crate::session::retirement::{self, Retired};
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
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("failed to end the sandboxes")]
    Sweep(#[source] SandboxError),
    #[error("there is no depot (DEPOT_URL) in which sessions could be kept when this machine goes")]
    NoDepot,
    #[error(
        "the depot cannot be reached, so no sandbox was ended; check DEPOT_URL, then try again"
    )]
    Unreachable(#[source] DepotError),
    #[error(
        "not all that the sandboxes held was in the depot within {} seconds, {owed} snapshots among \
         it; look at the log, then try again",
        PATIENCE.as_secs()
    )]
    Retire { owed: usize },
    #[error(
        "ended {ended} sandboxes; of {unkept} nothing could be kept, and {forgone} snapshots from \
         before never reached the depot: see the log"
    )]
    Unkept {
        ended: usize,
        unkept: usize,
        forgone: usize,
    },
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

/// How long the sandboxes of a machine that goes away may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// Between two attempts to have something taken.
const AGAIN: Duration = Duration::from_secs(1);

/// What a runner is made of, whether it serves or retires.
struct Parts {
    runner: RunnerId,
    worker: Worker,
    depot: Option<Arc<Depot>>,
    machinery: Arc<Machinery>,
    pool: Arc<Pool>,
}

/// Serves until a signal ends it. Sandboxes live on, and the next start takes them over.
pub async fn serve(config: Config) -> Result<(), RunnerError> {
    allow_connections();
    if let Some(reason) = Kernel::read().refusal() {
        return refuse(&config, reason).await;
    }
    let backend = Arc::new(backend(&config)?);
    let machine = doctor::check(&backend).await;
    let machine = machine.map_err(RunnerError::Doctor)?;
    tracing::debug!(%machine, "sandboxes can be had");
    let Parts {
        runner,
        worker,
        depot,
        machinery,
        pool,
    } = assemble(&config, backend)?;
    let store = Arc::clone(&machinery.store);
    let (courier, parcels) = (
        Arc::clone(&machinery.courier),
        Arc::clone(&machinery.parcels),
    );
    let collector = Collector {
        backend: Arc::clone(&machinery.backend),
        images: Arc::clone(&machinery.images),
        store: Arc::clone(&store),
        layers: machinery.layers.clone(),
        depot,
    };

    let (sessions, supervisor) = sessions();
    let (listener, address) = listen(&config).await?;
    let url = url(&config, &address);

    let supervising = tokio::spawn(supervisor.run(Arc::clone(&machinery), Arc::clone(&pool)));
    let registration = Registration {
        runner: runner.clone(),
        url: url.clone(),
        capacity: config.capacity,
        sessions: sessions.clone(),
        images: Arc::clone(&machinery.images),
        pool: Arc::clone(&pool),
        gateway: Arc::clone(&machinery.gateway),
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
    let refreshing = Refreshing {
        keys: config.keys.clone(),
        gateway: Arc::clone(&machinery.gateway),
        registrations: pool.announcements(),
    };
    let registering = tokio::spawn(keep_registered(worker, registration));
    let lookout = Lookout {
        keys: config.keys.clone(),
        store: Arc::clone(&store),
        terminals: Arc::clone(&machinery.terminals),
    };
    let commands = Commands {
        keys: config.keys.clone(),
        store,
        sessions,
        capacity: config.capacity,
        warm: Arc::new(move || pool.listed().len()),
    };
    let routes = router(commands)
        .merge(health::fit(&machine))
        .merge(terminal_router(lookout))
        .merge(files::router(shelves))
        .merge(changes::router(glances))
        .merge(refresh::router(refreshing));

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

/// Says why there are no sandboxes here, to whoever asks, until a signal ends it: on a platform that
/// starts what has ended again and again, nobody would see.
async fn refuse(config: &Config, reason: Unfit) -> Result<(), RunnerError> {
    let (listener, address) = listen(config).await?;
    let health = health::unfit(&reason);
    let reason = RunnerError::Doctor(reason.into());
    let error = cause::chain(&reason);
    tracing::error!(error, %address, "only /healthz is served");
    let mut terminate = signal(SignalKind::terminate()).map_err(RunnerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunnerError::Signals)?;
    tokio::select! {
        served = axum::serve(listener, health) => served.map_err(RunnerError::Serve)?,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Err(reason)
}

async fn listen(config: &Config) -> Result<(TcpListener, std::net::SocketAddr), RunnerError> {
    let failed = |source| RunnerError::Listen {
        address: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Puts the sandboxes of a runner that is not running into the depot, whose machine goes away, and
/// says how many there were: sessions go on at other runners, also those with a prompt that runs.
pub async fn retire(config: Config) -> Result<usize, RunnerError> {
    if config.depot.is_none() {
        return Err(RunnerError::NoDepot);
    }
    allow_connections();
    let backend = Arc::new(backend(&config)?);
    let Parts {
        runner,
        worker,
        machinery,
        pool,
        ..
    } = assemble(&config, backend)?;
    let reached = machinery.courier.reach().await;
    reached.map_err(RunnerError::Unreachable)?;
    let (sessions, _) = sessions();
    let registration = Registration {
        runner,
        url: url(&config, &config.listen),
        capacity: config.capacity,
        sessions,
        images: Arc::clone(&machinery.images),
        pool: Arc::clone(&pool),
        gateway: Arc::clone(&machinery.gateway),
        depot: true,
    };
    let retiring = async {
        withdraw(&worker, &registration).await;
        // What a session is told of its sandbox's end may build on a snapshot of an earlier run.
        while !machinery.courier.bring_all().await {
            tokio::time::sleep(AGAIN).await;
        }
        let retired = retirement::retire(&machinery, &pool).await?;
        while !machinery.courier.bring_all().await || !machinery.parcels.deliver_all().await {
            tokio::time::sleep(AGAIN).await;
        }
        Ok(retired)
    };
    let retired = tokio::time::timeout(PATIENCE, retiring).await;
    let Ok(retired) = retired else {
        let owed = machinery.store.unpublished().map_err(RunnerError::Store)?;
        return Err(RunnerError::Retire { owed: owed.len() });
    };
    let Retired { ended, unkept } = retired.map_err(RunnerError::Store)?;
    let forgone = machinery.courier.forgone();
    if unkept + forgone > 0 {
        return Err(RunnerError::Unkept {
            ended,
            unkept,
            forgone,
        });
    }
    Ok(ended)
}

/// Nothing is started by this.
fn assemble(config: &Config, backend: Arc<Namespaces>) -> Result<Parts, RunnerError> {
    // The backend holds the state directory's lock.
    let path = config.state_dir.join("runner.sqlite");
    let store = Arc::new(Store::open(&path).map_err(RunnerError::Store)?);
    let runner = identifier(config)?;
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
    let layers = backend.layers().clone();
    let images = Images::new(
        backend.images(),
        backend.clone(),
        layers.clone(),
        Arc::clone(&gateway),
        depot.clone(),
        Supplies {
            system: System::read(),
            agent: Some(agent_binary(&config.opencode_bin)),
            python: config.python.clone(),
        },
    );
    let courier = Courier::new(Arc::clone(&store), layers.clone(), depot.clone());
    let parcels = Parcels::open(config.state_dir.join("artifacts"), worker.clone());
    let progress = Drawer::open(config.state_dir.join("wip")).map_err(RunnerError::Progress)?;
    let terminals = Terminals::new(Arc::clone(&store), backend.clone(), worker.clone());
    let machinery = Arc::new(Machinery {
        runner: runner.clone(),
        store,
        worker: worker.clone(),
        layers,
        backend,
        images: Arc::new(images),
        gateway,
        progress: Arc::new(progress),
        courier: Arc::new(courier),
        parcels: Arc::new(parcels.map_err(RunnerError::Parcels)?),
        terminals: Arc::new(terminals),
        agent_binary: agent_binary(&config.opencode_bin),
        committer: config.committer.clone(),
        turn_limit: config.turn_limit,
    });
    let pool = Pool::new(Arc::clone(&machinery), config.capacity, config.pool_memory);
    Ok(Parts {
        runner,
        worker,
        depot,
        machinery,
        pool,
    })
}

/// Checks that this machine can hold sandboxes, and says what it is like.
pub async fn doctor(config: &Config) -> Result<Machine, RunnerError> {
    if let Some(reason) = Kernel::read().refusal() {
        return Err(RunnerError::Doctor(reason.into()));
    }
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

/// Where the Worker reaches the runner that listens there.
fn url(config: &Config, address: &SocketAddr) -> String {
    let configured = config.url.clone();
    configured.unwrap_or_else(|| format!("http://{address}"))
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
fn announce(address: &SocketAddr, url: &str, runner: &RunnerId) {
    use std::io::Write as _;
    let line = json!({ "listening": address.to_string(), "url": url, "runner": runner });
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    tracing::info!(%address, url, %runner, "serving");
}
