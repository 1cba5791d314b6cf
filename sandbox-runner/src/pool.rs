//! Sandboxes that are ready before anybody asks: made from the newest image, the agent running in
//! them and warmed up, a conversation open.
//!
//! The Fleet says what the pool should hold and leases its entries to sessions; here they are made,
//! replaced when their image is, claimed, and ended when memory or room is short. They never take more
//! than the runner's memory budget for them. An entry is on record before it is made, and claimed in
//! one statement, so it is never handed out twice and never left behind. What a session did in an entry
//! is never given to another: entries do not come back, and one whose session did not come for it is
//! ended as well.

mod listening;
mod memory;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::SandboxId;
use protocol::callback::{PoolTarget, WarmSandbox};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::agent::{Agent, ConversationId, Events};
use crate::cause;
use crate::clock;
use crate::gateway::{Access, GatewayPolicy, Serving};
use crate::image::Image;
use crate::sandbox::{Adoption, Sandbox};
use crate::session::{Begun, Machinery, ProvisionError, begin_agent, connect, spec};
use crate::store::StoreError;
use crate::store::warm::StoredWarm;
use listening::Listening;
use plan::{Holding, Plan, plan};

/// How often the pool is looked at when nothing calls for it: memory changes by itself.
const TICK: Duration = Duration::from_secs(15);
/// How long a target is left alone whose last entry could not be made.
const RETREAT: Duration = Duration::from_secs(30);
/// How long after a claim no new entry is begun: an agent's start takes a processor for a second or
/// two, and whoever claimed waits for a first token meanwhile. Claims that follow do not extend it.
const CALM: Duration = Duration::from_secs(3);
/// How long an entry that is to be taken over may take to answer.
const ANSWER: tokio::time::Duration = Duration::from_secs(5);

/// The warm sandboxes of this runner.
pub struct Pool {
    machinery: Arc<Machinery>,
    capacity: usize,
    /// Most entries that its memory budget allows.
    memory_room: Option<u32>,
    shelf: Mutex<Shelf>,
    changed: Notify,
    announced: Arc<Notify>,
}

#[derive(Default)]
struct Shelf {
    /// Unknown until the first registration is answered: what an earlier process made is kept.
    targets: Option<Vec<PoolTarget>>,
    /// Entries, perhaps gone by now, whose leases have lapsed.
    lapsed: BTreeSet<SandboxId>,
    entries: BTreeMap<SandboxId, Entry>,
    /// Sandboxes of sessions, which entries make room for.
    sessions: usize,
    /// Set while the last attempt has failed.
    retreat_until: Option<Instant>,
    /// Set while a claim is served.
    calm_until: Option<Instant>,
}

struct Entry {
    warm: WarmSandbox,
    commit: String,
    agent: Agent,
    conversation: ConversationId,
    listening: Listening,
    // The agent may ask for its repository and nothing else while this lives.
    serving: Serving,
}

/// A pool entry that is a session's now.
pub struct Claimed {
    /// Where the sandbox is.
    pub place: Sandbox,
    pub warm: WarmSandbox,
    /// The commit that its workspace is of.
    pub commit: String,
    pub agent: Agent,
    pub conversation: ConversationId,
    pub events: Events,
}

impl Pool {
    /// `memory` is what its entries may take all together, in bytes.
    pub fn new(machinery: Arc<Machinery>, capacity: u32, memory: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            machinery,
            memory_room: memory.map(plan::entries_in),
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
            shelf: Mutex::default(),
            changed: Notify::new(),
            announced: Arc::default(),
        })
    }

    /// Which entries it can give to nobody any more.
    pub fn give_up(&self, lapsed: Vec<SandboxId>) {
        let lapsed: BTreeSet<_> = lapsed.into_iter().collect();
        let mut shelf = self.shelf();
        if shelf.lapsed != lapsed {
            shelf.lapsed = lapsed;
            drop(shelf);
            self.changed.notify_one();
        }
    }

    /// What the pool is to hold from now on.
    pub fn aim(&self, targets: Vec<PoolTarget>) {
        let mut shelf = self.shelf();
        if shelf.targets.as_ref() != Some(&targets) {
            shelf.targets = Some(targets);
            drop(shelf);
            self.changed.notify_one();
        }
    }

    /// How many sandboxes sessions hold. Entries give way to them.
    pub fn sessions_hold(&self, sessions: usize) {
        let mut shelf = self.shelf();
        if shelf.sessions != sessions {
            shelf.sessions = sessions;
            drop(shelf);
            self.changed.notify_one();
        }
    }

    /// An image is new: entries of the one before are to be replaced.
    pub fn image_built(&self) {
        self.changed.notify_one();
    }

    /// Most entries that its memory budget allows; as many as there is room for without one.
    pub fn memory_room(&self) -> Option<u32> {
        self.memory_room
    }

    /// What can be leased.
    pub fn listed(&self) -> Vec<WarmSandbox> {
        let shelf = self.shelf();
        shelf
            .entries
            .values()
            .map(|entry| entry.warm.clone())
            .collect()
    }

    /// Wakes after what can be leased has changed.
    pub fn announcements(&self) -> Arc<Notify> {
        Arc::clone(&self.announced)
    }

    /// Gives an entry to a session's sandbox. `None` when there is nothing to give: the session
    /// starts from the image then.
    pub async fn claim(
        &self,
        warm: &SandboxId,
        claimant: &SandboxId,
    ) -> Result<Option<Claimed>, StoreError> {
        let Some(stored) = self.machinery.store.claim_warm(warm, claimant)? else {
            return Ok(None);
        };
        let entry = {
            let mut shelf = self.shelf();
            let now = Instant::now();
            if shelf.calm_until.is_none_or(|until| until <= now) {
                shelf.calm_until = Some(now + CALM);
            }
            shelf.entries.remove(warm)
        };
        self.changed.notify_one();
        self.announced.notify_one();
        let Some(entry) = entry else {
            // Claimed by an earlier life of this process, which did not get to use it.
            self.end(&stored.entry.sandbox).await;
            return Ok(None);
        };
        // Its requests were answered as nobody's; from here on they are the session's, and what its
        // plugin asks of the workspace waits for that.
        drop(entry.serving);
        let backend = self.machinery.backend.as_ref();
        let taken = tokio::time::timeout(ANSWER, async {
            let adopted = backend.adopt(warm);
            let events = async {
                match entry.listening.events().await {
                    Some(events) => Ok(events),
                    None => entry.agent.events(&entry.conversation).await,
                }
            };
            tokio::join!(adopted, events)
        })
        .await;
        match taken {
            Ok((Ok(Adoption::Alive(place)), Ok(events))) => Ok(Some(Claimed {
                place,
                warm: entry.warm,
                commit: entry.commit,
                agent: entry.agent,
                conversation: entry.conversation,
                events,
            })),
            failed => {
                let reason = match failed {
                    Ok((Err(error), _)) => crate::cause::chain(&error),
                    Ok((_, Err(error))) => crate::cause::chain(&error),
                    Ok(_) => "it has ended".to_owned(),
                    Err(_) => "it does not answer".to_owned(),
                };
                tracing::warn!(sandbox = %warm, reason, "a pool entry cannot be used");
                self.end(warm).await;
                Ok(None)
            }
        }
    }

    /// Keeps the pool as it should be. Never returns.
    pub async fn run(self: Arc<Self>) {
        if let Err(error) = self.take_over().await {
            tracing::error!(error = cause::chain(&error), "the store fails");
        }
        loop {
            while let Some(plan) = self.plan() {
                self.carry_out(plan).await;
            }
            let now = Instant::now();
            let calm_until = self.shelf().calm_until.filter(|until| *until > now);
            let look = calm_until.unwrap_or(now + TICK);
            // A change that came in between is kept by the notification.
            let _ = tokio::time::timeout_at(look, self.changed.notified()).await;
        }
    }

    /// Ends every entry that is no session's. For a runner that serves no more.
    pub async fn dissolve(&self) -> Result<(), StoreError> {
        for stored in self.machinery.store.warm()? {
            if stored.claimed_by.is_none() {
                self.end(&stored.entry.sandbox).await;
            }
        }
        Ok(())
    }

    fn plan(&self) -> Option<Plan> {
        let shelf = self.shelf();
        let newest = |target: &PoolTarget| {
            self.machinery
                .images
                .newest(&target.base)
                .ok()
                .flatten()
                .map(|image| image.id)
        };
        let wanted: Vec<_> = shelf
            .targets
            .as_ref()?
            .iter()
            .map(|target| (target.clone(), newest(target)))
            .collect();
        let entries: Vec<_> = shelf.entries.values().map(|entry| &entry.warm).collect();
        let budgeted = self.memory_room.map_or(usize::MAX, |room| room as usize);
        let room = self.capacity.saturating_sub(shelf.sessions).min(budgeted);
        let now = Instant::now();
        let may_make = [shelf.retreat_until, shelf.calm_until]
            .into_iter()
            .flatten()
            .all(|until| until <= now);
        let holding = Holding {
            entries: &entries,
            lapsed: &shelf.lapsed,
        };
        plan(&wanted, holding, room, memory::read(), may_make)
    }

    async fn carry_out(&self, plan: Plan) {
        match plan {
            Plan::Make(target) => {
                if let Err(error) = self.make(&target).await {
                    let error = cause::chain(&error);
                    tracing::warn!(error, repository = %target.base.repository, "no pool entry was made");
                    self.shelf().retreat_until = Some(Instant::now() + RETREAT);
                }
            }
            Plan::End(sandbox) => {
                // One that was claimed since the plan was made is a session's.
                let Some(entry) = self.shelf().entries.remove(&sandbox) else {
                    return;
                };
                self.announced.notify_one();
                drop(entry);
                self.end(&sandbox).await;
            }
        }
    }

    async fn make(&self, target: &PoolTarget) -> Result<(), PoolError> {
        let image = self.machinery.images.start_from(&target.base);
        let Some(image) = image.map_err(PoolError::Image)? else {
            return Ok(());
        };
        let warm = WarmSandbox {
            sandbox: SandboxId::from_random(clock::random()),
            base: target.base.clone(),
            model: target.model.clone(),
            image: image.id.clone(),
        };
        self.machinery
            .store
            .warm_begun(&warm, &image.commit)
            .map_err(PoolError::Store)?;
        let made = self.fill(&warm, &image).await;
        match made {
            Ok(entry) => {
                self.machinery
                    .store
                    .warm_ready(&warm.sandbox, &entry.conversation)
                    .map_err(PoolError::Store)?;
                tracing::info!(sandbox = %warm.sandbox, repository = %warm.base.repository, "pool entry is ready");
                self.shelf().entries.insert(warm.sandbox, entry);
                self.announced.notify_one();
                Ok(())
            }
            Err(error) => {
                self.end(&warm.sandbox).await;
                Err(error)
            }
        }
    }

    async fn fill(&self, warm: &WarmSandbox, image: &Image) -> Result<Entry, PoolError> {
        let machinery = self.machinery.as_ref();
        let spec = spec(machinery, &warm.sandbox, &image.layers);
        let sandbox = machinery.backend.create(&spec).await;
        let sandbox =
            sandbox.map_err(|source| PoolError::Provision(ProvisionError::Create(source)))?;
        let serving = self.serve(warm, sandbox);
        let begun = begin_agent(machinery, &warm.sandbox, &image.commit, &warm.model).await;
        let Begun {
            agent,
            conversation,
            events,
        } = begun.map_err(PoolError::Provision)?;
        if let Err(error) = agent.warm_up().await {
            let error = cause::chain(&error);
            tracing::warn!(sandbox = %warm.sandbox, error, "the agent stays cold");
        }
        Ok(Entry {
            warm: warm.clone(),
            commit: image.commit.clone(),
            agent,
            conversation,
            listening: Listening::begin(async { Ok(events) }),
            serving,
        })
    }

    /// Takes up what an earlier process made. What is not ready, or a session's that is gone, ends.
    async fn take_over(&self) -> Result<(), StoreError> {
        for stored in self.machinery.store.warm()? {
            let StoredWarm {
                entry: warm,
                commit,
                conversation,
                claimed_by,
            } = stored;
            if let Some(claimant) = claimed_by {
                // The session's own task takes it over, or has ended without it.
                if self.machinery.store.sandbox(&claimant)?.is_none() {
                    self.end(&warm.sandbox).await;
                }
                continue;
            }
            let adopted = self.machinery.backend.adopt(&warm.sandbox).await;
            let (Some(conversation), Ok(Adoption::Alive(sandbox))) = (conversation, adopted) else {
                self.end(&warm.sandbox).await;
                continue;
            };
            let agent = connect(&self.machinery.backend, &warm.sandbox);
            let listening = Listening::begin({
                let (agent, conversation) = (agent.clone(), conversation.clone());
                async move { agent.events(&conversation).await }
            });
            let entry = Entry {
                agent,
                listening,
                serving: self.serve(&warm, sandbox),
                commit,
                conversation,
                warm: warm.clone(),
            };
            self.shelf().entries.insert(warm.sandbox, entry);
            self.announced.notify_one();
        }
        Ok(())
    }

    fn serve(&self, warm: &WarmSandbox, sandbox: Sandbox) -> Serving {
        let policy = GatewayPolicy {
            repository: warm.base.repository.clone(),
            access: Access::Pool,
            egress: self.machinery.gateway.policy_of(&warm.base.repository),
            spent_microdollars: 0,
        };
        self.machinery.gateway.serve(policy, sandbox.ports)
    }

    /// Ends an entry's sandbox. It stays on record until it is gone.
    async fn end(&self, sandbox: &SandboxId) {
        if let Err(error) = self.machinery.backend.destroy(sandbox).await {
            let error = cause::chain(&error);
            tracing::warn!(%sandbox, error, "a pool entry remains");
            return;
        }
        if let Err(error) = self.machinery.store.warm_ended(sandbox) {
            tracing::error!(%sandbox, error = cause::chain(&error), "the store fails");
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
enum PoolError {
    #[error("failed to look for the image")]
    Image(#[source] crate::image::ImageError),
    #[error("failed to record the entry")]
    Store(#[source] StoreError),
    #[error("failed to start the entry")]
    Provision(#[source] ProvisionError),
}
