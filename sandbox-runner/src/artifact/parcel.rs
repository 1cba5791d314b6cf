//! Shared files, and what turns have changed, on their way to their sessions: in a directory of this machine until the session holds
//! them, whatever happens to this process or to the sandbox that they are from.
//!
//! A parcel is two files, `<artifact>.bytes` and `<artifact>.json`. The second is written last and by a
//! rename, so a parcel is whole or not there. Its identifier is the artifact's: a delivery that is
//! repeated is known by it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::api::ErrorBody;
use protocol::{ArtifactId, PromptId, SessionId};
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};
use tokio::fs;
use tokio::sync::Notify;

use crate::callback::sender::backoff;
use crate::cause;
use crate::clock;
use crate::sandbox::durable;
use crate::worker::{Worker, WorkerError};

const NOTE: &str = "json";
const BYTES: &str = "bytes";

/// Between a delivery that failed and the next.
const FIRST_WAIT: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum ParcelError {
    #[error("failed to prepare {path} for shared files")]
    Prepare {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to keep {path}")]
    Keep {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("an address of the Worker cannot be used")]
    Address,
    /// It is not going to be taken.
    #[error("{0}")]
    Refused(String),
    #[error("failed to deliver a shared file")]
    Deliver(#[source] WorkerError),
}

/// What is written on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    pub id: ArtifactId,
    pub session: SessionId,
    /// The prompt that the agent was at.
    pub prompt: Option<PromptId>,
    pub name: String,
    pub caption: Option<String>,
    #[serde(default)]
    pub content: Content,
}

/// What is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A file that the agent shares.
    #[default]
    File,
    /// What a prompt has changed, as the Worker takes it.
    Changes,
}

pub struct Parcels {
    directory: PathBuf,
    worker: Worker,
    /// Something was not delivered at once.
    left: Notify,
}

impl Parcels {
    /// Makes the directory, and removes what an earlier process had not written to its end.
    pub fn open(directory: PathBuf, worker: Worker) -> Result<Self, ParcelError> {
        let prepared = std::fs::create_dir_all(&directory).and_then(|()| {
            for entry in std::fs::read_dir(&directory)? {
                let path = entry?.path();
                if !path.with_extension(NOTE).is_file() {
                    std::fs::remove_file(path)?;
                }
            }
            Ok(())
        });
        match prepared {
            Ok(()) => Ok(Self {
                directory,
                worker,
                left: Notify::new(),
            }),
            Err(source) => Err(ParcelError::Prepare {
                path: directory,
                source,
            }),
        }
    }

    /// Keeps a file for good: once this returns it is going to be delivered.
    pub async fn keep(&self, parcel: &Parcel, bytes: &[u8]) -> Result<(), ParcelError> {
        let path = self.path(&parcel.id, BYTES);
        let keep = async {
            fs::write(&path, bytes).await?;
            fs::File::open(&path).await?.sync_data().await?;
            durable::write_json(&self.path(&parcel.id, NOTE), parcel)
        };
        keep.await
            .map_err(|source| ParcelError::Keep { path, source })
    }

    /// Tries once to deliver it. One that is refused is dropped; one that was not taken is tried again by
    /// [`Parcels::run`].
    pub async fn deliver(&self, parcel: &Parcel) -> Result<(), ParcelError> {
        let path = self.path(&parcel.id, BYTES);
        let bytes = match fs::read(&path).await {
            Ok(bytes) => bytes,
            // It was delivered meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(ParcelError::Read { path, source }),
        };
        let address = address(parcel).ok_or(ParcelError::Address)?;
        let delivered = self.worker.deliver(&address, bytes).await;
        let outcome = match delivered {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => match refusal(answer.status, &answer.body) {
                Some(message) => Err(ParcelError::Refused(message)),
                None => Err(ParcelError::Deliver(answer.refusal())),
            },
            Err(error) => Err(ParcelError::Deliver(error)),
        };
        match &outcome {
            Err(ParcelError::Deliver(_)) => self.left.notify_one(),
            _ => self.drop_parcel(&parcel.id).await,
        }
        outcome
    }

    /// Delivers what is left, and never returns.
    pub async fn run(&self) {
        let mut failures = 0;
        loop {
            if self.deliver_all().await {
                failures = 0;
                self.left.notified().await;
                tokio::time::sleep(FIRST_WAIT).await;
            } else {
                failures = u32::saturating_add(failures, 1);
                tokio::time::sleep(backoff(failures, clock::random())).await;
            }
        }
    }

    /// Tries once to deliver what is left; whether nothing is left any more.
    pub async fn deliver_all(&self) -> bool {
        let mut all = true;
        for parcel in self.waiting().await {
            match self.deliver(&parcel).await {
                Ok(()) => {}
                Err(error @ ParcelError::Refused(_)) => {
                    let error = cause::chain(&error);
                    tracing::error!(session = %parcel.session, error, "a shared file was dropped");
                }
                Err(error) => {
                    let error = cause::chain(&error);
                    tracing::warn!(session = %parcel.session, error, "a shared file is not delivered yet");
                    all = false;
                }
            }
        }
        all
    }

    /// In no order: each stands for itself.
    async fn waiting(&self) -> Vec<Parcel> {
        let mut waiting = Vec::new();
        let Ok(mut entries) = fs::read_dir(&self.directory).await else {
            return waiting;
        };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == NOTE)
                && let Some(parcel) = read_note(&path).await
            {
                waiting.push(parcel);
            }
        }
        waiting
    }

    async fn drop_parcel(&self, id: &ArtifactId) {
        for part in [NOTE, BYTES] {
            if let Err(error) = fs::remove_file(self.path(id, part)).await {
                tracing::debug!(%error, artifact = %id, "a parcel was gone already");
            }
        }
    }

    fn path(&self, id: &ArtifactId, part: &str) -> PathBuf {
        self.directory.join(format!("{id}.{part}"))
    }
}

async fn read_note(path: &Path) -> Option<Parcel> {
    let note = fs::read(path).await.ok()?;
    let parcel = serde_json::from_slice(&note);
    if parcel.is_err() {
        tracing::error!(path = %path.display(), "a parcel cannot be read");
    }
    parcel.ok()
}

/// Path and query at the Worker.
fn address(parcel: &Parcel) -> Option<String> {
    if parcel.content == Content::Changes {
        return Some(format!("/runner/changes/{}", parcel.session));
    }
    let mut url = Url::parse("http://worker").ok()?;
    url.set_path(&format!("/runner/artifacts/{}", parcel.session));
    let mut query = url.query_pairs_mut();
    query
        .append_pair("id", parcel.id.as_str())
        .append_pair("name", &parcel.name);
    if let Some(prompt) = &parcel.prompt {
        query.append_pair("prompt", prompt.as_str());
    }
    if let Some(caption) = &parcel.caption {
        query.append_pair("caption", caption);
    }
    drop(query);
    Some(format!("{}?{}", url.path(), url.query()?))
}

/// Why a file is never going to be taken. Only the Worker itself knows; anything else may pass.
fn refusal(status: StatusCode, body: &[u8]) -> Option<String> {
    let is_final = matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::GONE
            | StatusCode::PAYLOAD_TOO_LARGE
    );
    let body: ErrorBody = serde_json::from_slice(body).ok()?;
    is_final.then_some(body.error.message)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::signature::Keys;

    use super::*;

    fn parcel() -> Parcel {
        Parcel {
            id: ArtifactId::parse("art_1").unwrap(),
            session: SessionId::parse("ses_1").unwrap(),
            prompt: Some(PromptId::parse("pmt_1").unwrap()),
            name: "a b&c.png".to_owned(),
            caption: None,
            content: Content::File,
        }
    }

    fn open(directory: &Path) -> Parcels {
        let keys = Keys::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let worker = Worker::new("http://127.0.0.1:9", keys).unwrap();
        Parcels::open(directory.to_owned(), worker).unwrap()
    }

    #[tokio::test]
    async fn what_was_kept_is_there_after_a_restart_and_what_was_not_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path()).keep(&parcel(), b"x").await.unwrap();
        std::fs::write(directory.path().join("art_2.bytes"), "half").unwrap();
        let after = open(directory.path());
        assert_eq!(after.waiting().await, [parcel()]);
        assert!(!directory.path().join("art_2.bytes").exists());
    }

    #[tokio::test]
    async fn what_cannot_be_delivered_now_stays() {
        let directory = tempfile::tempdir().unwrap();
        let parcels = open(directory.path());
        parcels.keep(&parcel(), b"x").await.unwrap();
        let outcome = parcels.deliver(&parcel()).await;
        assert!(
            matches!(outcome, Err(ParcelError::Deliver(_))),
            "{outcome:?}"
        );
        assert_eq!(parcels.waiting().await, [parcel()]);
    }

    #[test]
    fn only_the_workers_own_words_are_a_refusal() {
        let body = br#"{"error":{"code":"artifacts_full","message":"full"}}"#;
        let full = refusal(StatusCode::PAYLOAD_TOO_LARGE, body);
        assert_eq!(full.as_deref(), Some("full"));
        assert_eq!(refusal(StatusCode::NOT_FOUND, b"<html>"), None);
        assert_eq!(refusal(StatusCode::UNAUTHORIZED, body), None);
    }

    #[test]
    fn an_address_says_what_the_file_is() {
        assert_eq!(
            address(&parcel()).unwrap(),
            "/runner/artifacts/ses_1?id=art_1&name=a+b%26c.png&prompt=pmt_1"
        );
        let changes = Parcel {
            content: Content::Changes,
            ..parcel()
        };
        assert_eq!(address(&changes).unwrap(), "/runner/changes/ses_1");
    }
}
