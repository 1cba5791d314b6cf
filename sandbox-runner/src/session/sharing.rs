//! Files that the agent shows to its session: read out of the sandbox, kept, delivered.

use std::sync::Arc;

use protocol::command::Start;
use protocol::{ArtifactId, PromptId, SandboxId};
use tokio::sync::watch;

use super::Machinery;
use crate::artifact::parcel::{Content, Parcel, ParcelError};
use crate::artifact::share;
use crate::cause;
use crate::clock;
use crate::gateway::{Offer, Offered, Offers};

/// Most characters of a caption.
const LONGEST_CAPTION: usize = 300;

/// One sandbox's offers are taken here, one after the other.
pub(super) struct Desk {
    pub(super) machinery: Arc<Machinery>,
    pub(super) start: Start,
    /// What the backend knows the sandbox by.
    pub(super) place: SandboxId,
    /// What the agent is at.
    pub(super) prompt: watch::Receiver<Option<PromptId>>,
}

impl Desk {
    pub(super) async fn serve(self, offers: &Offers) {
        while let Some(Offered { offer, answer }) = offers.next().await {
            let outcome = self.take(&offer).await;
            if answer.send(outcome).is_err() {
                tracing::debug!(sandbox = %self.start.sandbox, "whoever shared a file has gone");
            }
        }
    }

    async fn take(&self, offer: &Offer) -> Result<String, String> {
        let Machinery {
            backend, parcels, ..
        } = self.machinery.as_ref();
        let bytes = share::read(backend.as_ref(), &self.place, &offer.path).await?;
        let caption = offer.caption.trim();
        let parcel = Parcel {
            id: ArtifactId::from_random(clock::random()),
            session: self.start.session.clone(),
            prompt: self.prompt.borrow().clone(),
            name: last_part(&offer.path),
            caption: (!caption.is_empty()).then(|| caption.chars().take(LONGEST_CAPTION).collect()),
            content: Content::File,
        };
        parcels.keep(&parcel, &bytes).await.map_err(|error| {
            let error = cause::chain(&error);
            tracing::error!(sandbox = %self.start.sandbox, error, "a shared file was not kept");
            "The file could not be kept. Try again later.".to_owned()
        })?;
        let name = &parcel.name;
        match parcels.deliver(&parcel).await {
            Ok(()) => Ok(format!("{name} is shown to everybody in the session.")),
            Err(ParcelError::Refused(reason)) => Err(format!("{name} was not taken: {reason}")),
            Err(error) => {
                let error = cause::chain(&error);
                tracing::warn!(sandbox = %self.start.sandbox, error, "a shared file is delivered later");
                Ok(format!("{name} will be shown to everybody in the session."))
            }
        }
    }
}

fn last_part(path: &str) -> String {
    let last = path.rsplit('/').find(|part| !part.is_empty());
    let shown = last.unwrap_or("file").chars();
    shown
        .filter(|letter| !letter.is_control())
        .take(200)
        .collect()
}
