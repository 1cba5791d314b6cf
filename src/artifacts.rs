//! Files beside sessions, in R2. What a session has is in its own tables; here are the bytes.
//!
//! # Layout
//!
//! - [`upload`]: a body on its way into the bucket: bounded, looked at, counted.
//! - [`media`]: what a file is, and what a browser may do with it.
//! - [`name`]: what a file may be called.
//! - [`link`]: capability URLs.
//! - [`serve`]: a file as an answer.
//!
//! A session's files are under `sessions/<session>/<artifact>` and never change. A file that is given
//! before there is a session waits under `uploads/<user>/<artifact>`, where nobody but that user
//! finds it, and for a day. What a prompt has changed is under `changes/<session>/<prompt>/<scope>`.

pub mod link;
pub mod media;
pub mod name;
pub mod serve;
pub mod upload;

use protocol::api::ChangesScope;
use protocol::{ArtifactId, Millis, PromptId, SessionId, UserId};
use worker::{Bucket, Env, HttpMetadata, Object, Range};

use self::upload::{Upload, Uploaded};
use crate::error::Error;

/// What a file is called, beside it in the bucket.
const NAME: &str = "name";

/// Everything in the bucket that waits for a session, and for how long.
const UPLOADS: &str = "uploads/";
const WAITING_MS: i64 = 24 * 3_600_000;

pub struct Artifacts {
    bucket: Bucket,
}

/// Where a file is in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    pub fn of_session(session: &SessionId, artifact: &ArtifactId) -> Self {
        Self(format!("sessions/{session}/{artifact}"))
    }

    pub fn of_changes(session: &SessionId, prompt: &PromptId, scope: ChangesScope) -> Self {
        let scope = match scope {
            ChangesScope::Session => "session",
            ChangesScope::Prompt => "prompt",
        };
        Self(format!("changes/{session}/{prompt}/{scope}"))
    }

    pub fn of_upload(user: UserId, artifact: &ArtifactId) -> Self {
        Self(format!("{UPLOADS}{user}/{artifact}"))
    }
}

impl Artifacts {
    pub fn new(env: &Env) -> Result<Self, Error> {
        Ok(Self {
            bucket: env.bucket("ARTIFACTS")?,
        })
    }

    /// Takes a body into the bucket. What does not arrive whole is not there.
    pub async fn put(&self, key: &Key, upload: Upload) -> Result<Uploaded, Error> {
        let (name, media_type, length) = (
            upload.name.clone(),
            upload.media_type.clone(),
            upload.length,
        );
        let (stream, witness) = upload.into_stream();
        let stored = self
            .bucket
            .put(&key.0, stream)
            .http_metadata(HttpMetadata {
                content_type: Some(media_type.clone()),
                ..HttpMetadata::default()
            })
            .custom_metadata([(NAME.to_owned(), name.clone())])
            .execute()
            .await;
        if let Err(error) = stored {
            if witness.bytes() == length {
                return Err(error.into());
            }
            let message = "the body is not as long as its content-length says: send it again";
            return Err(Error::invalid("malformed", message));
        }
        Ok(Uploaded {
            name,
            media_type,
            bytes: length,
            sha256: witness.sha256(),
        })
    }

    /// Puts something of ours into the bucket, in place of what was there.
    pub async fn write(&self, key: &Key, bytes: Vec<u8>) -> Result<(), Error> {
        Ok(self.bucket.put(&key.0, bytes).execute().await.map(drop)?)
    }

    pub async fn has(&self, key: &Key) -> Result<bool, Error> {
        Ok(self.bucket.head(&key.0).await?.is_some())
    }

    /// Copies what waits for a session into it.
    pub async fn adopt(&self, waiting: &Key, key: &Key) -> Result<Option<Uploaded>, Error> {
        let Some(object) = self.bucket.get(&waiting.0).execute().await? else {
            return Ok(None);
        };
        let name = object.custom_metadata()?.remove(NAME).unwrap_or_default();
        let declared = object.http_metadata().content_type;
        let length = object.size();
        let Some(body) = object.body() else {
            return Ok(None);
        };
        let upload = Upload::read(body.stream()?, length, name, declared.as_deref()).await?;
        self.put(key, upload).await.map(Some)
    }

    pub async fn get(&self, key: &Key, range: Option<Range>) -> Result<Option<Object>, Error> {
        let mut get = self.bucket.get(&key.0);
        if let Some(range) = range {
            get = get.range(range);
        }
        Ok(get.execute().await?)
    }

    pub async fn head(&self, key: &Key) -> Result<Option<Object>, Error> {
        Ok(self.bucket.head(&key.0).await?)
    }

    pub async fn remove(&self, key: &Key) -> Result<(), Error> {
        Ok(self.bucket.delete(&key.0).await?)
    }

    /// Removes what waited for a session in vain.
    pub async fn sweep(&self, now: Millis) -> Result<(), Error> {
        let mut cursor = None;
        loop {
            let mut list = self.bucket.list().prefix(UPLOADS);
            if let Some(cursor) = cursor {
                list = list.cursor(cursor);
            }
            let listed = list.execute().await?;
            let old: Vec<String> = listed
                .objects()
                .into_iter()
                .filter(|object| {
                    let uploaded = i64::try_from(object.uploaded().as_millis()).unwrap_or(0);
                    now.since(Millis(uploaded)) > WAITING_MS.unsigned_abs()
                })
                .map(|object| object.key())
                .collect();
            if !old.is_empty() {
                self.bucket.delete_multiple(old).await?;
            }
            cursor = listed.cursor();
            if !listed.truncated() || cursor.is_none() {
                return Ok(());
            }
        }
    }
}

/// The name that a stored file goes by.
fn name_of(object: &Object) -> Result<String, Error> {
    Ok(object.custom_metadata()?.remove(NAME).unwrap_or_default())
}

/// Of a stored file.
fn media_type_of(object: &Object) -> String {
    let stored = object.http_metadata().content_type;
    stored.unwrap_or_else(|| media::UNKNOWN.to_owned())
}
