//! Archives that no manifest refers to any more are removed, while others publish.
//!
//! ```text
//! doomed/<sha256>   `doomed`, or `gone` once the archive was removed
//! collected         when it was last looked through
//! ```
//! An archive that nobody refers to, and that is not young, is marked; one that has been marked for
//! [`NOTICE`] and still is not referred to is removed. Whoever wants to refer to an archive looks for
//! a mark first ([`Depot::reserve`]) and takes it away. Between that and its manifest there are
//! minutes, and a mark is acted on a day later, so no clock has to be exact. Near the end of the
//! notice a mark may be acted on at any moment: then the archive is left alone until it is gone, and
//! uploaded anew.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use object_store::path::Path as Key;
use object_store::{Error, ObjectMeta, ObjectStoreExt as _, PutPayload};
use tokio::time::Instant;

use super::transfer::{bounded, read_small};
use super::{Depot, DepotError, Digest, MAX_MANIFEST, Manifest};

/// How long an archive is kept whatever refers to it: its manifest may be on its way.
const GRACE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long before its removal an archive is marked.
const NOTICE: Duration = Duration::from_secs(24 * 3600);
/// Within this of its removal an archive is not relied on.
const MARGIN: Duration = Duration::from_secs(2 * 3600);
/// Marks of what is gone are for those who remember the archive, which is not longer than this.
const MEMORY: Duration = Duration::from_secs(90 * 24 * 3600);
/// One runner looks through the depot for all.
const PAUSE: Duration = Duration::from_secs(20 * 3600);
/// What is marked and removed by one run, and how long that may take.
const MOST: usize = 500;
const RUN: Duration = Duration::from_secs(30 * 60);
/// How long an archive that was looked at is relied on without another look.
const SEEN: Duration = Duration::from_secs(3600);

const LIST: Duration = Duration::from_secs(5 * 60);
const ONE: Duration = Duration::from_secs(60);

const DOOMED: &[u8] = b"doomed";
const GONE: &[u8] = b"gone";

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    pub marked: usize,
    pub removed: usize,
}

/// Ages, so that tests need not wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) grace: Duration,
    pub(super) notice: Duration,
    pub(super) margin: Duration,
    pub(super) pause: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            grace: GRACE,
            notice: NOTICE,
            margin: MARGIN,
            pause: PAUSE,
        }
    }
}

/// Whether an archive may be referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It stays.
    There,
    /// It was removed: to be uploaded, and then its mark to be taken away.
    Gone,
}

impl Depot {
    /// Marks what nobody refers to and removes what was marked before, unless that was done lately.
    /// If one manifest cannot be read, nothing is removed.
    pub async fn collect(&self) -> Result<Collected, DepotError> {
        self.collect_by(Terms::default()).await
    }

    pub(super) async fn collect_by(&self, terms: Terms) -> Result<Collected, DepotError> {
        let deadline = Instant::now() + RUN;
        let last = Key::from("collected");
        if let Some(known) = self.head(&last).await?
            && age(&known) < terms.pause
        {
            return Ok(Collected::default());
        }
        self.write(&last, b"").await?;
        let marks = self.list("doomed").await?;
        let archives = self.list("layers").await?;
        // After the archives: what is referred to meanwhile is not young, and is found here.
        let wanted = self.wanted(deadline).await?;
        let known: HashSet<&str> = marks.iter().filter_map(name).collect();

        let mut collected = Collected::default();
        for mark in &marks {
            let Some(digest) = name(mark) else { continue };
            if age(mark) >= MEMORY {
                self.remove(&mark.location).await?;
            } else if age(mark) >= terms.notice
                && !wanted.contains(digest)
                && collected.removed < MOST
                && Instant::now() < deadline
                && self.is_doomed(&mark.location, terms.notice).await?
            {
                self.remove(&Key::from_iter(["layers", digest])).await?;
                self.write(&mark.location, GONE).await?;
                collected.removed += 1;
            }
        }
        for archive in &archives {
            let Some(digest) = name(archive) else {
                continue;
            };
            let is_old = age(archive) >= terms.grace;
            if is_old
                && !wanted.contains(digest)
                && !known.contains(digest)
                && collected.marked < MOST
                && Instant::now() < deadline
            {
                self.write(&mark_of(digest), DOOMED).await?;
                collected.marked += 1;
            }
        }
        Ok(collected)
    }

    /// Makes sure that an archive which was uploaded once stays for as long as it takes to refer to
    /// it.
    pub(super) async fn reserve(&self, digest: &Digest) -> Result<Standing, DepotError> {
        self.reserve_by(digest, Terms::default()).await
    }

    pub(super) async fn reserve_by(
        &self,
        digest: &Digest,
        terms: Terms,
    ) -> Result<Standing, DepotError> {
        if self.was_seen(digest) {
            return Ok(Standing::There);
        }
        let mark = mark_of(digest.as_str());
        let Some(known) = self.head(&mark).await? else {
            self.see(digest);
            return Ok(Standing::There);
        };
        if self.read(&mark).await? == GONE {
            return Ok(Standing::Gone);
        }
        if age(&known).saturating_add(terms.margin) >= terms.notice {
            return Err(DepotError::Leaving(digest.as_str().to_owned()));
        }
        self.remove(&mark).await?;
        self.see(digest);
        Ok(Standing::There)
    }

    /// An archive that was gone was uploaded again.
    pub(super) async fn restored(&self, digest: &Digest) -> Result<(), DepotError> {
        self.remove(&mark_of(digest.as_str())).await?;
        self.see(digest);
        Ok(())
    }

    fn was_seen(&self, digest: &Digest) -> bool {
        let mut seen = self.seen();
        seen.retain(|_, at| at.elapsed() < SEEN);
        seen.contains_key(digest.as_str())
    }

    fn see(&self, digest: &Digest) {
        self.seen()
            .insert(digest.as_str().to_owned(), std::time::Instant::now());
    }

    /// The digests that manifests refer to.
    async fn wanted(&self, deadline: Instant) -> Result<HashSet<String>, DepotError> {
        let mut wanted = HashSet::new();
        for object in self.list("snapshots").await? {
            if Instant::now() >= deadline {
                return Err(DepotError::Deadline("snapshots".to_owned()));
            }
            let key = &object.location;
            let text = match bounded(
                key,
                ONE,
                read_small(&*self.store, key, MAX_MANIFEST),
                |key, source| DepotError::Read { key, source },
            )
            .await
            {
                Ok(text) => text,
                // It has expired meanwhile.
                Err(DepotError::Read {
                    source: Error::NotFound { .. },
                    ..
                }) => continue,
                Err(error) => return Err(error),
            };
            let manifest: Manifest =
                serde_json::from_slice(&text).map_err(|source| DepotError::Manifest {
                    key: key.to_string(),
                    source,
                })?;
            let digests = manifest.layers.iter().map(|entry| entry.digest.as_str());
            wanted.extend(digests.map(str::to_owned));
        }
        Ok(wanted)
    }

    /// Whether nobody has taken the mark away.
    async fn is_doomed(&self, mark: &Key, notice: Duration) -> Result<bool, DepotError> {
        let Some(known) = self.head(mark).await? else {
            return Ok(false);
        };
        Ok(age(&known) >= notice && self.read(mark).await? == DOOMED)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, DepotError> {
        let prefix = Key::from_iter([prefix]);
        let listing = self.store.list(Some(&prefix)).try_collect::<Vec<_>>();
        bounded(&prefix, LIST, listing, |key, source| DepotError::Read {
            key,
            source,
        })
        .await
    }

    async fn head(&self, key: &Key) -> Result<Option<ObjectMeta>, DepotError> {
        let asking = async {
            match self.store.head(key).await {
                Ok(known) => Ok(Some(known)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        bounded(key, ONE, asking, |key, source| DepotError::Read {
            key,
            source,
        })
        .await
    }

    async fn read(&self, key: &Key) -> Result<Vec<u8>, DepotError> {
        let reading = async {
            match read_small(&*self.store, key, 16).await {
                Ok(text) => Ok(text.to_vec()),
                Err(Error::NotFound { .. }) => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        };
        bounded(key, ONE, reading, |key, source| DepotError::Read {
            key,
            source,
        })
        .await
    }

    async fn write(&self, key: &Key, text: &'static [u8]) -> Result<(), DepotError> {
        let writing = async { self.store.put(key, PutPayload::from(text)).await.map(drop) };
        bounded(key, ONE, writing, |key, source| DepotError::Write {
            key,
            source,
        })
        .await
    }

    async fn remove(&self, key: &Key) -> Result<(), DepotError> {
        let removing = async {
            match self.store.delete(key).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        };
        bounded(key, ONE, removing, |key, source| DepotError::Remove {
            key,
            source,
        })
        .await
    }
}

fn mark_of(digest: &str) -> Key {
    Key::from_iter(["doomed", digest])
}

fn name(object: &ObjectMeta) -> Option<&str> {
    object.location.as_ref().rsplit('/').next()
}

/// One from the future is young.
fn age(object: &ObjectMeta) -> Duration {
    let written = SystemTime::from(object.last_modified);
    SystemTime::now()
        .duration_since(written)
        .unwrap_or_default()
}
