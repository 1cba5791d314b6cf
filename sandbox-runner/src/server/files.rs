//! `POST /files`: a file of a sandbox that runs, or of a snapshot. The Worker has checked who asks.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::routing::post;
use protocol::api::{FilePlace, MAX_SHOWN_FILE, ReadFile, names_of};
use protocol::signature::Keys;

use super::Refusal;
use super::message::FromWorker;
use crate::courier::Courier;
use crate::image::WORKSPACE;
use crate::layer::lookup::{self, LookupError};
use crate::layer::{LayerStore, Lease};
use crate::sandbox::{HOME, SandboxBackend, SandboxError};
use crate::store::Store;

/// What the way to files needs.
#[derive(Clone)]
pub struct Shelves {
    pub keys: Keys,
    pub store: Arc<Store>,
    pub backend: Arc<dyn SandboxBackend>,
    pub layers: LayerStore,
    pub courier: Arc<Courier>,
}

impl FromRef<Shelves> for Keys {
    fn from_ref(shelves: &Shelves) -> Self {
        shelves.keys.clone()
    }
}

/// To be merged with the other routes.
pub fn router(shelves: Shelves) -> Router {
    Router::new()
        .route("/files", post(read))
        .with_state(shelves)
}

async fn read(
    State(shelves): State<Shelves>,
    sent: FromWorker<ReadFile>,
) -> Result<Vec<u8>, Refusal> {
    let wanted = sent.message;
    let (roots, lease) = shelves.open(&wanted.place).await?;
    let reading = tokio::task::spawn_blocking(move || {
        // Until it is read.
        let _lease = lease;
        let below_home = WORKSPACE.strip_prefix(HOME).unwrap_or(WORKSPACE);
        let below_home = below_home.trim_start_matches('/');
        let names = names_of(&wanted.path).ok_or(LookupError::Missing)?;
        let names: Vec<&str> = below_home.split('/').chain(names).collect();
        lookup::read(roots, &names, MAX_SHOWN_FILE)
    });
    let read = reading.await.map_err(|_| Refusal::Cancelled)?;
    read.map_err(Refusal::File)
}

impl Shelves {
    /// The directories that the files are in, topmost first.
    async fn open(&self, place: &FilePlace) -> Result<(Vec<OwnedFd>, Option<Lease>), Refusal> {
        match place {
            FilePlace::Sandbox { sandbox } => {
                let place = self.store.place_of(sandbox).map_err(Refusal::Store)?;
                match self.backend.files(&place).await {
                    Ok(roots) => Ok((roots, None)),
                    Err(SandboxError::Unknown(_)) => Err(Refusal::UnknownSandbox),
                    Err(error) => Err(Refusal::Files(error.into())),
                }
            }
            FilePlace::Snapshot { snapshot } => {
                let found = self.courier.snapshot(snapshot).await;
                let found = found.map_err(|error| Refusal::Files(error.into()))?;
                let found = found.ok_or(Refusal::UnknownSnapshot)?;
                let roots = self.layers.open(&found.snapshot.layers);
                let roots = roots.map_err(|error| Refusal::Files(error.into()))?;
                Ok((roots, Some(found.lease)))
            }
        }
    }
}

/// The status and code of a file that cannot be read.
pub(super) fn parts(error: &LookupError) -> (StatusCode, &'static str) {
    match error {
        LookupError::Missing => (StatusCode::NOT_FOUND, "not_found"),
        LookupError::NoFile => (StatusCode::CONFLICT, "not_a_file"),
        LookupError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "file_too_large"),
        LookupError::Read(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}
