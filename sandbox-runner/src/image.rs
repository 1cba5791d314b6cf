//! Images of repositories: a branch at a commit with warm caches, from which sandboxes start.
//!
//! An image is made in a sandbox of its own: clone, set-up, one run of the tests. A failed clone is
//! a failed image; a failed set-up or test is told in the image's log, since a branch whose tests
//! fail is worked on as well. Whoever asks for an image that is being made waits for that one.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::callback::HeldImage;
use protocol::image::Base;
use protocol::{ImageId, Millis};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinError;

use self::build::Build;
use self::shelf::Shelf;
use crate::gateway::Gateway;
use crate::layer::{LayerId, LayerStore};
use crate::metrics::METRICS;
use crate::sandbox::channel::ChannelError;
use crate::sandbox::{HOME, SandboxBackend, SandboxError};

mod build;
mod log;
mod recipe;
mod shelf;

/// Where the repository is inside a sandbox. The same for all, since an agent's memory and a
/// compiler's caches refer to it by its path.
pub const WORKSPACE: &str = "/home/agent/workspace";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    pub id: ImageId,
    pub base: Base,
    pub commit: String,
    /// Lowest first.
    pub layers: Vec<LayerId>,
    pub built_at: Millis,
    /// What was run after the clone, in order.
    pub steps: Vec<StepOutcome>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOutcome {
    pub name: String,
    pub success: bool,
    pub ms: u64,
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
    #[error("{step} failed: {complaint}")]
    Failed { step: String, complaint: String },
    #[error("the repository has no branch {0}")]
    NoBranch(String),
    #[error("failed to keep what the image holds")]
    Freeze(#[source] SandboxError),
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
    #[error("the making of the image was interrupted")]
    Interrupted(#[source] JoinError),
}

/// The images of this runner.
pub struct Images {
    workshop: Arc<Workshop>,
    made: Notify,
}

struct Workshop {
    shelf: Shelf,
    backend: Arc<dyn SandboxBackend>,
    layers: LayerStore,
    gateway: Arc<Gateway>,
    turns: Mutex<HashMap<Base, Turn>>,
}

/// Held by whoever makes the image of a branch.
type Turn = Arc<tokio::sync::Mutex<()>>;

/// What an image that exists already is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// Any image will do.
    Some,
    /// Only one of the branch's newest commit.
    Newest,
}

impl Images {
    /// `directory` is where the images are listed; their files are the backend's layers.
    pub fn new(
        directory: PathBuf,
        backend: Arc<dyn SandboxBackend>,
        layers: LayerStore,
        gateway: Arc<Gateway>,
    ) -> Self {
        let shelf = Shelf::new(directory);
        let turns = Mutex::default();
        Self {
            workshop: Arc::new(Workshop {
                shelf,
                backend,
                layers,
                gateway,
                turns,
            }),
            made: Notify::new(),
        }
    }

    /// The image that was made last.
    pub fn newest(&self, base: &Base) -> Result<Option<Image>, ImageError> {
        self.workshop.newest(base)
    }

    /// The newest image of each base, as the Worker is told of them.
    pub fn held(&self) -> Result<Vec<HeldImage>, ImageError> {
        let images = self.workshop.shelf.all()?.into_iter();
        let images = images.filter(|image| self.workshop.is_whole(image));
        let held = images.map(|image| HeldImage {
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

    /// Makes an image unless there is one by now.
    pub async fn build(&self, base: &Base) -> Result<Image, ImageError> {
        self.make(base, Demand::Some).await
    }

    /// Makes an image unless there is one of the branch's newest commit.
    pub async fn refresh(&self, base: &Base) -> Result<Image, ImageError> {
        self.make(base, Demand::Newest).await
    }

    /// The work goes on when nobody waits for it any more: it is bounded, and the next who asks
    /// gets its result.
    async fn make(&self, base: &Base, demand: Demand) -> Result<Image, ImageError> {
        let (workshop, base) = (Arc::clone(&self.workshop), base.clone());
        let made = tokio::spawn(async move { workshop.make(&base, demand).await });
        let image = made.await.map_err(ImageError::Interrupted)??;
        self.made.notify_one();
        Ok(image)
    }
}

impl Workshop {
    async fn make(&self, base: &Base, demand: Demand) -> Result<Image, ImageError> {
        let turn = self.turn(base);
        let _turn = turn.lock().await;
        let present = self.newest(base)?;
        let known = match (demand, present) {
            (Demand::Some, Some(image)) => return Ok(image),
            (Demand::Newest, present) => present,
            (Demand::Some, None) => None,
        };
        let built = async {
            let build = Build::start(self.backend.as_ref(), &self.gateway, base).await?;
            build.run(known, &self.shelf).await
        };
        let built = built.await;
        match &built {
            Ok(_) => METRICS.images_built.add(1),
            Err(_) => METRICS.images_failed.add(1),
        }
        built
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
