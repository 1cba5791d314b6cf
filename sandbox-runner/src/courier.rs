//! Snapshots and work in progress, brought to the depot and fetched from it.
//!
//! What is recorded is brought there in the background, never while anybody waits for it but a
//! sandbox that goes to sleep, and that one not for long. What is owed to the depot is on record, so
//! it is brought there by a later process too. Without a depot everything stays on this runner.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use protocol::{Epoch, SessionId, SnapshotId};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};

use crate::cause;
use crate::clock;
use crate::layer::depot::{Collected, Depot, DepotError};
use crate::layer::{LayerError, LayerStore, Lease};
use crate::store::snapshot::Snapshot;
use crate::store::{Store, StoreError};

/// Snapshots on their way at once.
const AT_ONCE: usize = 2;
/// After a failure.
const PAUSE: Duration = Duration::from_secs(30);
/// The same while somebody waits.
const SHORT_PAUSE: Duration = Duration::from_secs(1);
/// How long a sandbox's sleep is put off for its snapshot. The Worker waits a minute for it.
const BEFORE_SLEEP: Duration = Duration::from_secs(30);
/// The name of no snapshot.
const NOBODYS: &str = "none";
/// How long manifests and work in progress stay in the depot.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// When a runner looks for what is older, after its start and from then on.
const FIRST_SWEEP: Duration = Duration::from_secs(3600);
const SWEEP: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, thiserror::Error)]
pub enum CourierError {
    #[error(transparent)]
    Depot(#[from] DepotError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("failed to write what is to be known of snapshot {id}")]
    Write {
        id: SnapshotId,
        #[source]
        source: serde_json::Error,
    },
    #[error("what the depot says of snapshot {0} cannot be used")]
    Manifest(SnapshotId),
    #[error("failed to open {path}")]
    Open {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// What became of an attempt to bring a snapshot to the depot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brought {
    There,
    /// It is not there, and no other attempt is of any use.
    Never,
    NotYet,
}

/// A snapshot whose layers are here.
pub struct Found {
    pub snapshot: Snapshot,
    /// Whether it came from the depot just now.
    pub fetched: bool,
    /// Keeps the layers until something is made of them.
    pub lease: Lease,
}

pub struct Courier {
    store: Arc<Store>,
    layers: LayerStore,
    depot: Option<Arc<Depot>>,
    recorded: Notify,
    /// Wakes whoever waits until a snapshot is in the depot.
    brought: Notify,
    places: Semaphore,
    forgone: AtomicUsize,
}

impl Courier {
    pub fn new(store: Arc<Store>, layers: LayerStore, depot: Option<Arc<Depot>>) -> Self {
        Self {
            store,
            layers,
            depot,
            recorded: Notify::new(),
            brought: Notify::new(),
            places: Semaphore::new(AT_ONCE),
            forgone: AtomicUsize::new(0),
        }
    }

    pub fn has_depot(&self) -> bool {
        self.depot.is_some()
    }

    /// To be told after a snapshot was recorded.
    pub fn recorded(&self) {
        self.recorded.notify_one();
    }

    /// Brings to the depot what it lacks, now and whenever something is recorded, and removes what is
    /// old there.
    pub async fn run(self: Arc<Self>) -> Infallible {
        let Some(depot) = &self.depot else {
            return std::future::pending().await;
        };
        tokio::select! {
            never = self.carry(depot) => never,
            never = expire(depot) => never,
        }
    }

    async fn carry(&self, depot: &Depot) -> Infallible {
        loop {
            if self.bring_owed(depot).await {
                self.recorded.notified().await;
            } else {
                sleep(PAUSE).await;
            }
        }
    }

    /// Brings to the depot what it lacks; whether it lacks nothing more.
    pub async fn bring_all(&self) -> bool {
        match &self.depot {
            Some(depot) => self.bring_owed(depot).await,
            None => true,
        }
    }

    /// How many snapshots it owed to the depot and could not bring there any more.
    pub fn forgone(&self) -> usize {
        self.forgone.load(Ordering::Relaxed)
    }

    async fn bring_owed(&self, depot: &Depot) -> bool {
        match self.store.unpublished() {
            Ok(owed) => {
                // The newest are the ones that would be missed.
                let brought = stream::iter(owed.into_iter().rev())
                    .map(async |snapshot| self.bring(depot, &snapshot).await)
                    .buffer_unordered(AT_ONCE);
                let all = brought.fold(true, async |all, one| {
                    let is_forgone = usize::from(one == Brought::Never);
                    self.forgone.fetch_add(is_forgone, Ordering::Relaxed);
                    all && one != Brought::NotYet
                });
                all.await
            }
            Err(error) => {
                let error = cause::chain(&error);
                tracing::warn!(error, "what the depot lacks cannot be listed");
                false
            }
        }
    }

    /// Whether the depot answers.
    pub async fn reach(&self) -> Result<(), DepotError> {
        let Some(depot) = &self.depot else {
            return Ok(());
        };
        depot.manifest(NOBODYS).await.map(drop)
    }

    /// Brings a snapshot to the depot, however long that takes: where its session goes on, the depot is
    /// all that there is of it. Whether it is there then.
    pub async fn bring_for_good(&self, snapshot: &SnapshotId) -> bool {
        let (Some(depot), Ok(Some(snapshot))) = (&self.depot, self.store.snapshot(snapshot)) else {
            return false;
        };
        loop {
            match self.bring(depot, &snapshot).await {
                Brought::There => return true,
                Brought::Never => return false,
                Brought::NotYet => sleep(SHORT_PAUSE).await,
            }
        }
    }

    /// Brings a snapshot to the depot whose sandbox goes to sleep, unless that takes long: then it is
    /// brought there later.
    pub async fn bring_asleep(&self, snapshot: &SnapshotId) {
        let (Some(depot), Ok(Some(snapshot))) = (&self.depot, self.store.snapshot(snapshot)) else {
            return;
        };
        if timeout(BEFORE_SLEEP, self.bring(depot, &snapshot))
            .await
            .is_err()
        {
            tracing::info!(snapshot = %snapshot.id, "a snapshot comes to the depot later");
        }
        self.recorded();
    }

    /// Returns when the depot has a snapshot of this runner's, or is not to have it.
    pub async fn settled(&self, id: &SnapshotId) {
        while self.depot.is_some() {
            let brought = self.brought.notified();
            if matches!(self.store.is_unpublished(id), Ok(false)) {
                return;
            }
            let _ = timeout(PAUSE, brought).await;
        }
    }

    async fn bring(&self, depot: &Depot, snapshot: &Snapshot) -> Brought {
        // Nobody closes it.
        let _place = self.places.acquire().await;
        let brought = self.attempt(depot, snapshot).await;
        self.brought.notify_waiters();
        brought
    }

    async fn attempt(&self, depot: &Depot, snapshot: &Snapshot) -> Brought {
        match self.publish(depot, snapshot).await {
            Ok(()) => Brought::There,
            // It was removed before it could be brought there.
            Err(CourierError::Depot(DepotError::Layer(LayerError::Unknown(layer)))) => {
                tracing::warn!(snapshot = %snapshot.id, %layer, "a snapshot never reached the depot");
                match self.store.published(&snapshot.id, clock::now()) {
                    Ok(()) => Brought::Never,
                    Err(_) => Brought::NotYet,
                }
            }
            Err(error) => {
                let error = cause::chain(&error);
                tracing::warn!(snapshot = %snapshot.id, error, "a snapshot is not in the depot yet");
                Brought::NotYet
            }
        }
    }

    async fn publish(&self, depot: &Depot, snapshot: &Snapshot) -> Result<(), CourierError> {
        let mut manifest = depot.export(&self.layers, &snapshot.layers).await?;
        let about = serde_json::to_value(snapshot);
        manifest.about = about.map_err(|source| CourierError::Write {
            id: snapshot.id.clone(),
            source,
        })?;
        depot.publish(snapshot.id.as_str(), &manifest).await?;
        self.store.published(&snapshot.id, clock::now())?;
        tracing::debug!(snapshot = %snapshot.id, "a snapshot is in the depot");
        Ok(())
    }

    /// A snapshot with its layers, fetched from the depot if they are not here. `None` if nobody has
    /// it.
    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Option<Found>, CourierError> {
        if let Some(snapshot) = self.store.snapshot(id)?
            && let Ok(lease) = self.layers.lease(&snapshot.layers)
        {
            return Ok(Some(Found {
                snapshot,
                fetched: false,
                lease,
            }));
        }
        let Some(depot) = &self.depot else {
            return Ok(None);
        };
        let Some(manifest) = depot.manifest(id.as_str()).await? else {
            return Ok(None);
        };
        let unusable = || CourierError::Manifest(id.clone());
        let snapshot: Snapshot =
            serde_json::from_value(manifest.about.clone()).map_err(|_| unusable())?;
        let layers = manifest.layers.iter().map(|entry| &entry.layer);
        if snapshot.id != *id || !layers.eq(&snapshot.layers) {
            return Err(unusable());
        }
        let lease = depot.import(&self.layers, &manifest).await?;
        self.store.keep_snapshot(&snapshot)?;
        self.store.published(id, clock::now())?;
        Ok(Some(Found {
            snapshot,
            fetched: true,
            lease,
        }))
    }

    /// Brings a session's work in progress to the depot.
    pub async fn put_progress(
        &self,
        session: &SessionId,
        epoch: Epoch,
        path: &Path,
    ) -> Result<(), CourierError> {
        let Some(depot) = &self.depot else {
            return Ok(());
        };
        let content = std::fs::File::open(path).map_err(|source| CourierError::Open {
            path: path.to_owned(),
            source,
        })?;
        let put = depot.put_parcel(session.as_str(), epoch.0, content);
        Ok(put.await?)
    }

    /// Fetches the newest work in progress of a session to `path`, if it is newer than that of the
    /// epoch `known`, and says whether it was.
    pub async fn fetch_progress(
        &self,
        session: &SessionId,
        known: Option<Epoch>,
        path: &Path,
    ) -> Result<bool, CourierError> {
        let Some(depot) = &self.depot else {
            return Ok(false);
        };
        let numbers = depot.parcels(session.as_str()).await?;
        let newer = |number: &u32| known.is_none_or(|known| *number > known.0);
        for number in numbers.into_iter().filter(newer) {
            if depot.fetch_parcel(session.as_str(), number, path).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes the work in progress of a session up to an epoch from the depot.
    pub async fn drop_progress(&self, session: &SessionId, epoch: Epoch) {
        let Some(depot) = &self.depot else { return };
        if let Err(error) = depot.remove_parcels(session.as_str(), epoch.0).await {
            let error = cause::chain(&error);
            tracing::warn!(%session, error, "old work in progress remains in the depot");
        }
    }
}

async fn expire(depot: &Depot) -> Infallible {
    let mut wait = FIRST_SWEEP;
    loop {
        sleep(std::mem::replace(&mut wait, SWEEP)).await;
        match depot.expire(KEPT).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old objects were removed from the depot"),
            Err(error) => {
                let error = cause::chain(&error);
                tracing::warn!(error, "old objects remain in the depot");
            }
        }
        // What manifests that have expired referred to.
        match depot.collect().await {
            Ok(collected) if collected == Default::default() => {}
            Ok(Collected { marked, removed }) => {
                tracing::info!(marked, removed, "archives were collected in the depot");
            }
            Err(error) => {
                let error = cause::chain(&error);
                tracing::warn!(error, "unused archives remain in the depot");
            }
        }
    }
}
