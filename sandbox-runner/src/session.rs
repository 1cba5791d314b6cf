//! The sessions of this runner: one task for each sandbox, from its start to its end.
//!
//! # Layout
//!
//! - `machine`: what is decided; pure.
//! - `actor`: the task that feeds the machine, records what it says, and does what it wants.
//! - `provision`: from a start command to an agent that answers.
//! - `driver`: calls to the agent that must not pass one another.
//! - `retirement`: the end of all, because the machine goes away.
//! - `resumption`: what an agent is told that goes on with an interrupted prompt.
//! - `publication`: the work of a turn, committed and pushed.
//! - `sharing`: files that the agent shows to its session.
//! - `keeping`: the files, kept as a snapshot.
//! - `line`: a session's sandboxes, one at a time.
//! - `limits`: tells which limits a sandbox meets.
//! - [`progress`]: work that is not pushed yet, kept outside of the sandbox.
//! - `survey`: what a turn has changed, told to its session.
//! - `upkeep`: what is done to a sandbox besides.
//!
//! Invariant: nothing here is the truth. A wake-up says that something was recorded; what it is
//! is read from the [`crate::store`], so a wake-up that is lost with the process is not missed.

mod actor;
mod driver;
pub(crate) mod glance;
mod keeping;
mod limits;
mod line;
mod machine;
pub mod progress;
mod provision;
mod publication;
mod resumption;
pub(crate) mod retirement;
mod sharing;
mod survey;
mod upkeep;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::command::{Command, GitIdentity, Start};
use protocol::{RunnerId, SandboxId};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

use crate::artifact::parcel::Parcels;
use crate::cause;
use crate::courier::Courier;
use crate::gateway::Gateway;
use crate::image::Images;
use crate::image::order::Orders;
use crate::layer::LayerStore;
use crate::pool::Pool;
use crate::sandbox::SandboxBackend;
use crate::store::{Store, StoreError, StoredSandbox};
use crate::terminal::Terminals;
use crate::worker::Worker;
use actor::Actor;
use line::{Line, Lines};
use progress::Keep;
pub(crate) use provision::{Begun, ProvisionError, begin_agent, connect, spec};

/// How long a session waits before it goes on from its recorded state after a failure of its own,
/// such as a full disk.
const RECOVERY: Duration = Duration::from_secs(1);

/// What every session works with.
pub struct Machinery {
    pub runner: RunnerId,
    pub store: Arc<Store>,
    pub worker: Worker,
    pub backend: Arc<dyn SandboxBackend>,
    pub layers: LayerStore,
    pub images: Arc<Images>,
    pub gateway: Arc<Gateway>,
    /// Where work in progress is kept.
    pub progress: Arc<dyn Keep>,
    /// Brings what is kept to the depot, and fetches it.
    pub courier: Arc<Courier>,
    /// Where files are kept that agents share.
    pub parcels: Arc<Parcels>,
    /// People's shells in sandboxes.
    pub terminals: Arc<Terminals>,
    /// The agent's executable inside a sandbox.
    pub agent_binary: String,
    pub committer: GitIdentity,
    /// How long a prompt may run.
    pub turn_limit: Duration,
}

/// A handle that says when something was recorded. Clones tell the same supervisor.
#[derive(Clone)]
pub struct Sessions {
    wakes: mpsc::UnboundedSender<Wake>,
    held: Arc<Mutex<BTreeSet<SandboxId>>>,
}

/// Keeps one task for each sandbox.
pub struct Supervisor {
    wakes: mpsc::UnboundedReceiver<Wake>,
    held: Arc<Mutex<BTreeSet<SandboxId>>>,
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum Wake {
    Start(Box<Start>),
    Sandbox(SandboxId),
    /// Something that concerns no sandbox.
    Runner,
}

/// A handle and its supervisor, which is to be run.
pub fn sessions() -> (Sessions, Supervisor) {
    // Each message is a recorded command, and the server takes those one disk write at a time.
    let (sender, receiver) = mpsc::unbounded_channel();
    let held = Arc::new(Mutex::new(BTreeSet::new()));
    let supervisor = Supervisor {
        wakes: receiver,
        held: Arc::clone(&held),
    };
    (
        Sessions {
            wakes: sender,
            held,
        },
        supervisor,
    )
}

impl Sessions {
    /// To be told after a command was recorded.
    pub fn recorded(&self, command: Command) {
        let wake = match command {
            Command::Start(start) => Wake::Start(Box::new(start)),
            Command::Prompt(prompt) => Wake::Sandbox(prompt.sandbox),
            Command::Stop { sandbox, .. }
            | Command::Sleep { sandbox }
            | Command::End { sandbox } => Wake::Sandbox(sandbox),
            Command::BuildImage(_) => Wake::Runner,
        };
        if self.wakes.send(wake).is_err() {
            tracing::debug!("the supervisor is gone; the command waits for the next start");
        }
    }

    /// The sandboxes that are held now.
    pub fn sandboxes(&self) -> Vec<SandboxId> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().cloned().collect()
    }
}

impl Supervisor {
    /// The next wake-up, for whoever stands in for the supervisor.
    pub fn try_next(&mut self) -> Option<Wake> {
        self.wakes.try_recv().ok()
    }

    /// Takes up what an earlier process left, then serves until every [`Sessions`] is gone.
    pub async fn run(
        mut self,
        machinery: Arc<Machinery>,
        pool: Arc<Pool>,
    ) -> Result<(), StoreError> {
        let mut tasks = JoinSet::new();
        let mut wakers: HashMap<SandboxId, Arc<Notify>> = HashMap::new();
        let mut lines = Lines::default();
        let images = Arc::new(Notify::new());
        let stored = machinery.store.sandboxes()?;
        sweep(&machinery, &stored).await?;
        let shop = Shop {
            machinery,
            pool,
            unkept: Arc::default(),
        };
        let orders = Orders {
            machinery: Arc::clone(&shop.machinery),
            pool: Arc::clone(&shop.pool),
            recorded: Arc::clone(&images),
        };
        let builder = tokio::spawn(orders.run());
        let keeper = tokio::spawn(Arc::clone(&shop.pool).run());
        for sandbox in stored {
            let line = lines.enter(&sandbox.start);
            let begun = (sandbox, Origin::Recorded, line);
            self.begin(&shop, begun, &mut tasks, &mut wakers);
        }
        loop {
            tokio::select! {
                wake = self.wakes.recv() => match wake {
                    Some(Wake::Start(start)) => {
                        // A start that comes again, or one that was read at the start-up.
                        if wakers.contains_key(&start.sandbox) {
                            continue;
                        }
                        let line = lines.enter(&start);
                        let stored = StoredSandbox { start: *start, state: None };
                        self.begin(&shop, (stored, Origin::New, line), &mut tasks, &mut wakers);
                    }
                    Some(Wake::Sandbox(sandbox)) => {
                        if let Some(waker) = wakers.get(&sandbox) {
                            waker.notify_one();
                        }
                    }
                    Some(Wake::Runner) => images.notify_one(),
                    None => break,
                },
                Some(ended) = tasks.join_next() => match ended {
                    Ok(sandbox) => {
                        wakers.remove(&sandbox);
                        lines.remove(&sandbox);
                        self.held().remove(&sandbox);
                        shop.pool.sessions_hold(wakers.len());
                    }
                    Err(error) => tracing::error!(%error, "a session's task failed"),
                },
            }
        }
        builder.abort();
        keeper.abort();
        Ok(())
    }

    fn begin(
        &self,
        shop: &Shop,
        (stored, origin, line): (StoredSandbox, Origin, Line),
        tasks: &mut JoinSet<SandboxId>,
        wakers: &mut HashMap<SandboxId, Arc<Notify>>,
    ) {
        let sandbox = stored.start.sandbox.clone();
        self.held().insert(sandbox.clone());
        let waker = Arc::new(Notify::new());
        wakers.insert(sandbox, Arc::clone(&waker));
        shop.pool.sessions_hold(wakers.len());
        let span = span(&stored.start);
        tasks.spawn(serve(shop.clone(), stored, origin, waker, line).instrument(span));
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeSet<SandboxId>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a session is served with.
#[derive(Clone)]
struct Shop {
    machinery: Arc<Machinery>,
    pool: Arc<Pool>,
    /// How many sandboxes were retired of which nothing could be kept.
    unkept: Arc<AtomicUsize>,
}

/// Whether a sandbox can have anything left from an earlier process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    New,
    Recorded,
    /// As recorded, and it is to end, since its machine does.
    Retired,
}

/// Whatever is logged in it is of this session and sandbox, also where only errors are logged.
fn span(start: &Start) -> Span {
    tracing::error_span!("session", session = %start.session, sandbox = %start.sandbox)
}

/// Runs a session to its end, from its recorded state again where its task fails.
async fn serve(
    shop: Shop,
    mut stored: StoredSandbox,
    mut origin: Origin,
    waker: Arc<Notify>,
    line: Line,
) -> SandboxId {
    let sandbox = stored.start.sandbox.clone();
    loop {
        let actor = Actor::new(
            &shop.machinery,
            &shop.pool,
            &stored,
            Arc::clone(&waker),
            line.clone(),
        );
        let outcome = match actor {
            Ok(actor) => actor.run(origin, &shop.unkept).await,
            Err(error) => Err(error),
        };
        let Err(error) = outcome else { return sandbox };
        tracing::error!(
            %sandbox,
            error = cause::chain(&error),
            "a session goes on from its recorded state"
        );
        tokio::time::sleep(RECOVERY).await;
        if origin == Origin::New {
            origin = Origin::Recorded;
        }
        match shop.machinery.store.sandbox(&sandbox) {
            Ok(Some(recorded)) => stored = recorded,
            // It has ended, or the recorded state is older than what is here: no matter which.
            Ok(None) => return sandbox,
            Err(error) => {
                tracing::error!(%sandbox, error = cause::chain(&error), "the store fails");
            }
        }
    }
}

/// Destroys what no session knows: a sandbox whose end was recorded, an image that was not
/// finished.
async fn sweep(machinery: &Machinery, stored: &[StoredSandbox]) -> Result<(), StoreError> {
    let mut known: BTreeSet<_> = stored
        .iter()
        .map(|sandbox| sandbox.start.sandbox.clone())
        .collect();
    // The pool sees to its own.
    known.extend(
        machinery
            .store
            .warm()?
            .into_iter()
            .map(|warm| warm.entry.sandbox),
    );
    let present = match machinery.backend.list().await {
        Ok(present) => present,
        Err(error) => {
            tracing::warn!(error = cause::chain(&error), "sandboxes cannot be listed");
            return Ok(());
        }
    };
    for record in present.iter().filter(|record| !known.contains(&record.id)) {
        if let Err(error) = machinery.backend.destroy(&record.id).await {
            let error = cause::chain(&error);
            tracing::warn!(sandbox = %record.id, error, "a left-over sandbox remains");
        }
    }
    Ok(())
}
