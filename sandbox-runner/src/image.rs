//! Images of repositories: a branch at a commit with warm caches, from which sandboxes start.
//!
//! # Layout
//!
//! - `order`: images that the Worker asks for; `announcement`: those that a session needed first;
//!   `delivery`: how the Worker is told of both.
//! - `build`: the making of one, in sandboxes of its own (`site`); `ground`: what it is made of.
//! - `recipe`: what is run in it; `packages`, `runtime`: what else an environment is to hold; `agent`:
//!   what its agent begins with.
//! - `sharing`: images of other runners, from the depot.
//! - `shelf`: which one is the newest; `log`: what was printed.
//!
//! An image is a clone, its set-up, and one run of its build and tests. A failed clone is a failed
//! image, and so is an environment that cannot be had. A failed test is told in the image's log, since
//! a branch whose tests fail is worked on as well, and so is a set-up that has never succeeded.
//! Whatever fails, the last good image stays. Whoever asks for an image that is being made waits for
//! that one.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use protocol::callback::HeldImage;
use protocol::command::BuildImage;
use protocol::egress::EgressPolicy;
use protocol::image::{Base, BuildStep, BuiltImage, EnvironmentName, Specification};
use protocol::{ImageId, Millis};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinError;

use self::build::Build;
use self::ground::RECIPE;
use self::shelf::Shelf;
use crate::cause;
use crate::clock;
use crate::gateway::Gateway;
use crate::layer::depot::Depot;
use crate::layer::{LayerError, LayerId, LayerStore};
use crate::metrics::METRICS;
use crate::sandbox::channel::ChannelError;
use crate::sandbox::{HOME, SandboxBackend, SandboxError};

pub use self::ground::Ground;
pub use self::log::Log;
pub(crate) use self::runtime::{LIST_URL, MIRROR};
pub use self::runtime::{Place, PythonSource};
pub use self::system::{System, tool};

mod agent;
pub(crate) mod announcement;
mod build;
mod delivery;
mod ground;
mod log;
pub(crate) mod order;
mod packages;
mod recipe;
mod runtime;
mod sharing;
mod shelf;
mod site;
mod size;
mod system;

/// Where the repository is inside a sandbox. The same for all, since an agent's memory and a
/// compiler's caches refer to it by its path.
pub const WORKSPACE: &str = "/home/agent/workspace";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    pub id: ImageId,
    pub base: Base,
    pub commit: String,
    pub ground: Ground,
    /// Why it was made.
    pub reason: String,
    /// Lowest first.
    pub layers: Vec<LayerId>,
    pub built_at: Millis,
    /// What was run after the clone, in order.
    pub steps: Vec<BuildStep>,
    /// Versions of the languages that are there.
    pub runtime: BTreeMap<String, String>,
    /// On disk, of the layers that the image before did not have.
    pub bytes: u64,
}

impl Image {
    pub fn built(&self) -> BuiltImage {
        BuiltImage {
            commit: self.commit.clone(),
            fingerprint: self.ground.fingerprint(&self.commit),
            reason: self.reason.clone(),
            runtime: self.runtime.clone(),
            steps: self.steps.clone(),
            bytes: self.bytes,
        }
    }
}

/// An image that a session needs now.
#[derive(Debug, Clone)]
pub struct Need {
    /// What it is called if it is made.
    pub id: ImageId,
    pub base: Base,
    pub specification: Option<Specification>,
    pub egress: EgressPolicy,
}

impl Need {
    /// Nothing is said of it but what it is of.
    pub fn of(base: &Base) -> Self {
        Self {
            id: ImageId::from_random(clock::random()),
            base: base.clone(),
            specification: None,
            egress: EgressPolicy::default(),
        }
    }
}

/// What became of a wish for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    Ready(Image),
    /// The newest one is of the same inputs.
    Unchanged(Image),
}

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("failed to start a sandbox for the image")]
    Create(#[source] SandboxError),
    #[error("failed to run {step}")]
    Run {
        step: String,
        #[source]
        source: SandboxError,
    },
    #[error("failed to follow {step}")]
    Follow {
        step: String,
        #[source]
        source: ChannelError,
    },
    #[error("{step} failed, {ending}: {complaint}")]
    Failed {
        step: String,
        ending: String,
        /// The program's last words.
        complaint: String,
    },
    #[error("the repository has no branch {0}")]
    NoBranch(String),
    #[error("{system} has no package {package}")]
    NoPackage { package: String, system: String },
    #[error("packages cannot be had here: this runner's system is {0:?} and not Debian or Ubuntu")]
    NoPackages(String),
    /// Versions that cannot be had, with those that can.
    #[error("{0}")]
    Runtime(String),
    #[error("the environment {0} has no image on this runner yet: ask for one")]
    NoEnvironment(EnvironmentName),
    #[error("failed to keep what the image holds")]
    Freeze(#[source] SandboxError),
    #[error("failed to keep the layer that has the packages")]
    Keep(#[source] LayerError),
    #[error("failed to read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the making of the image had no end")]
    Unanswered,
    #[error("the making of the image was interrupted")]
    Interrupted(#[source] JoinError),
}

/// The images of this runner.
pub struct Images {
    workshop: Arc<Workshop>,
    made: Notify,
}

/// What this machine and its operator bring to images.
#[derive(Debug, Default)]
pub struct Supplies {
    pub system: System,
    /// The executable of the agent that is to run in them, as a sandbox sees it.
    pub agent: Option<String>,
    pub python: PythonSource,
}

struct Workshop {
    shelf: Shelf,
    backend: Arc<dyn SandboxBackend>,
    layers: LayerStore,
    gateway: Arc<Gateway>,
    depot: Option<Arc<Depot>>,
    supplies: Supplies,
    turns: Mutex<HashMap<Base, Turn>>,
    /// Orders that are carried out at a time. A session that waits for its image does not wait for
    /// these as well.
    places: Semaphore,
}

/// Orders that are carried out at a time.
const PLACES: usize = 2;
/// As long as the Worker looks after a branch that nothing starts from.
const UNUSED: Duration = Duration::from_secs(14 * 24 * 3600);

/// Held by whoever makes the image of a base.
type Turn = Arc<tokio::sync::Mutex<()>>;

impl Images {
    /// `directory` is where the images are listed; their files are the backend's layers.
    pub fn new(
        directory: PathBuf,
        backend: Arc<dyn SandboxBackend>,
        layers: LayerStore,
        gateway: Arc<Gateway>,
        depot: Option<Arc<Depot>>,
        supplies: Supplies,
    ) -> Self {
        Self {
            workshop: Arc::new(Workshop {
                shelf: Shelf::new(directory),
                backend,
                layers,
                gateway,
                depot,
                supplies,
                turns: Mutex::default(),
                places: Semaphore::new(PLACES),
            }),
            made: Notify::new(),
        }
    }

    /// The image that was made last.
    pub fn newest(&self, base: &Base) -> Result<Option<Image>, ImageError> {
        self.workshop.newest(base)
    }

    /// The image that was made last, from which something starts now.
    pub fn start_from(&self, base: &Base) -> Result<Option<Image>, ImageError> {
        let newest = self.workshop.shelf.take(base, SystemTime::now())?;
        Ok(newest.filter(|image| self.workshop.is_whole(image)))
    }

    /// Forgets images that nothing has started from for long: their layers are free to go.
    pub fn expire(&self) -> Result<usize, ImageError> {
        let before = SystemTime::now().checked_sub(UNUSED);
        before.map_or(Ok(0), |before| self.workshop.shelf.expire(before))
    }

    /// The newest image of each base, as the Worker is told of them.
    pub fn held(&self) -> Result<Vec<HeldImage>, ImageError> {
        let images = self.workshop.shelf.all()?.into_iter();
        let images = images.filter(|image| self.workshop.is_whole(image));
        let held = images.map(|image| HeldImage {
            stale: !image.ground.is_current(&self.workshop.supplies.system),
            image: image.id,
            base: image.base,
            commit: image.commit,
            built_at: image.built_at,
        });
        Ok(held.collect())
    }

    /// The layers of all images that have not expired.
    pub fn layers(&self) -> Result<Vec<LayerId>, ImageError> {
        let images = self.workshop.shelf.kept()?.into_iter();
        Ok(images.flat_map(|image| image.layers).collect())
    }

    /// Returns when an image was made since the last call, for one caller.
    pub async fn made(&self) {
        self.made.notified().await;
    }

    /// Makes an image unless there is one by now, here or in the depot. The log stays empty unless it
    /// is made.
    pub async fn need(&self, need: &Need, log: Arc<Log>) -> Result<Image, ImageError> {
        let (workshop, need) = (Arc::clone(&self.workshop), need.clone());
        let made = tokio::spawn(async move { workshop.need(&need, &log).await });
        let image = made.await.map_err(ImageError::Interrupted)??;
        self.made.notify_one();
        Ok(image)
    }

    /// The same where there is nothing to be said of it.
    pub async fn build(&self, base: &Base) -> Result<Image, ImageError> {
        self.need(&Need::of(base), Arc::default()).await
    }

    /// Carries out an order; what is printed goes to the log. An image that the order has led to
    /// already is found by its identifier.
    ///
    /// The work goes on when nobody waits for it any more: it is bounded, and the next who asks
    /// gets its result.
    pub async fn order(&self, order: &BuildImage, log: Arc<Log>) -> Result<Made, ImageError> {
        let (workshop, order) = (Arc::clone(&self.workshop), order.clone());
        let made = tokio::spawn(async move { workshop.order(&order, &log).await });
        let made = made.await.map_err(ImageError::Interrupted)??;
        self.made.notify_one();
        Ok(made)
    }
}

impl Workshop {
    async fn need(&self, need: &Need, log: &Log) -> Result<Image, ImageError> {
        let base = &need.base;
        let turn = self.turn(base);
        let _turn = turn.lock().await;
        if let Some(image) = self.newest(base)? {
            return Ok(image);
        }
        if let Some(image) = self.fetch(base).await? {
            return Ok(image);
        }
        if let (Some(environment), None) = (&base.environment, &need.specification) {
            return Err(ImageError::NoEnvironment(environment.clone()));
        }
        let build = Build {
            workshop: self,
            id: need.id.clone(),
            base,
            egress: &need.egress,
            ground: self.ground(need.specification.clone()),
            force: false,
            log,
        };
        match self.make(&build, None).await? {
            Made::Ready(image) | Made::Unchanged(image) => Ok(image),
        }
    }

    async fn order(&self, order: &BuildImage, log: &Log) -> Result<Made, ImageError> {
        let turn = self.turn(&order.base);
        let _turn = turn.lock().await;
        let known = match self.newest(&order.base)? {
            Some(known) => Some(known),
            None => self.fetch(&order.base).await?,
        };
        if let Some(known) = &known
            && known.id == order.image
        {
            log.restore(self.shelf.log(&order.base));
            return Ok(Made::Ready(known.clone()));
        }
        // Nobody closes it.
        let _place = self.places.acquire().await;
        let egress = order.egress.clone().unwrap_or_default();
        let build = Build {
            workshop: self,
            egress: &egress,
            id: order.image.clone(),
            base: &order.base,
            ground: self.ground(order.specification.clone()),
            force: order.force,
            log,
        };
        self.make(&build, known).await
    }

    async fn make(&self, build: &Build<'_>, known: Option<Image>) -> Result<Made, ImageError> {
        let made = build.run(known).await;
        match &made {
            Ok(Made::Ready(_)) => METRICS.images_built.add(1),
            Ok(Made::Unchanged(_)) => {}
            Err(error) => {
                METRICS.images_failed.add(1);
                build.log.heading(&crate::cause::chain(error));
            }
        }
        let text = build.log.text();
        let kept = match &made {
            // The log first: an image that is found has one.
            Ok(Made::Ready(image)) => {
                self.shelf.put_log(build.base, &text)?;
                self.shelf.put(image)?;
                self.share(image);
                return made;
            }
            Ok(Made::Unchanged(_)) => Ok(()),
            Err(_) => self.shelf.put_failure(build.base, &text),
        };
        if let Err(error) = kept {
            let error = cause::chain(&error);
            tracing::warn!(error, "a failed image has no log");
        }
        made
    }

    fn ground(&self, specification: Option<Specification>) -> Ground {
        Ground {
            specification: specification.unwrap_or_default(),
            system: self.supplies.system.clone(),
            recipe: RECIPE,
        }
    }

    fn newest(&self, base: &Base) -> Result<Option<Image>, ImageError> {
        let newest = self.shelf.newest(base)?;
        Ok(newest.filter(|image| self.is_whole(image)))
    }

    /// A loss of power can take the layers of an image that was just made.
    fn is_whole(&self, image: &Image) -> bool {
        image.layers.iter().all(|layer| self.layers.exists(layer))
    }

    fn turn(&self, base: &Base) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(base.clone()).or_default())
    }
}
