//! Images of repositories: a branch at a commit with warm caches, from which sandboxes start.
//!
//! An image is made in a sandbox of its own: clone, set-up, one run of the tests. A failed clone is
//! a failed image; a failed set-up or test is told in the image's log, since a branch whose tests
//! fail is worked on as well. Whoever asks for an image that is being made waits for that one.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::event::Repository;
use protocol::{ImageId, Millis};
use serde::{Deserialize, Serialize};
use tokio::task::JoinError;

use self::build::Build;
use self::shelf::Shelf;
use crate::gateway::Gateway;
use crate::layer::LayerId;
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
    pub repository: Repository,
    pub branch: String,
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
}

struct Workshop {
    shelf: Shelf,
    backend: Arc<dyn SandboxBackend>,
    gateway: Arc<Gateway>,
    turns: Mutex<HashMap<(Repository, String), Turn>>,
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
        gateway: Arc<Gateway>,
    ) -> Self {
        let shelf = Shelf::new(directory);
        let turns = Mutex::default();
        Self {
            workshop: Arc::new(Workshop {
                shelf,
                backend,
                gateway,
                turns,
            }),
        }
    }

    /// The image that was made last.
    pub fn newest(
        &self,
        repository: &Repository,
        branch: &str,
    ) -> Result<Option<Image>, ImageError> {
        self.workshop.shelf.newest(repository, branch)
    }

    /// Makes an image unless there is one by now.
    pub async fn build(&self, repository: &Repository, branch: &str) -> Result<Image, ImageError> {
        self.make(repository, branch, Demand::Some).await
    }

    /// Makes an image unless there is one of the branch's newest commit.
    pub async fn refresh(
        &self,
        repository: &Repository,
        branch: &str,
    ) -> Result<Image, ImageError> {
        self.make(repository, branch, Demand::Newest).await
    }

    /// The work goes on when nobody waits for it any more: it is bounded, and the next who asks
    /// gets its result.
    async fn make(
        &self,
        repository: &Repository,
        branch: &str,
        demand: Demand,
    ) -> Result<Image, ImageError> {
        let workshop = Arc::clone(&self.workshop);
        let (repository, branch) = (repository.clone(), branch.to_owned());
        let made = tokio::spawn(async move { workshop.make(&repository, &branch, demand).await });
        made.await.map_err(ImageError::Interrupted)?
    }
}

impl Workshop {
    async fn make(
        &self,
        repository: &Repository,
        branch: &str,
        demand: Demand,
    ) -> Result<Image, ImageError> {
        let turn = self.turn(repository, branch);
        let _turn = turn.lock().await;
        let present = self.shelf.newest(repository, branch)?;
        let known = match (demand, present) {
            (Demand::Some, Some(image)) => return Ok(image),
            (Demand::Newest, present) => present,
            (Demand::Some, None) => None,
        };
        let build = Build::start(self.backend.as_ref(), &self.gateway, repository, branch).await?;
        build.run(known, &self.shelf).await
    }

    fn turn(&self, repository: &Repository, branch: &str) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(
            turns
                .entry((repository.clone(), branch.to_owned()))
                .or_default(),
        )
    }
}
