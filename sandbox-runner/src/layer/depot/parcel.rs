//! Files that are replaced by newer ones, and where the newest counts: `progress/<name>/<number>`.
//!
//! Whoever has the higher number is the newer, so that one who does not know yet that it was
//! replaced cannot write over its successor's.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::path::Path as Key;
use object_store::{Error, ObjectStoreExt as _};
use tokio::io::AsyncWriteExt as _;

use super::transfer::{bounded, local, replace};
use super::{Depot, DepotError, plain};

pub(super) const PROGRESS: &str = "progress";
const TRANSFER: Duration = Duration::from_secs(5 * 60);
const LIST: Duration = Duration::from_secs(60);
/// The largest that is fetched.
const LIMIT: u64 = 1 << 30;

impl Depot {
    /// Puts a file there under a name, in place of an older one of the same number.
    pub async fn put_parcel(
        &self,
        name: &str,
        number: u32,
        content: File,
    ) -> Result<(), DepotError> {
        let key = parcel_key(name, number)?;
        let size = content.metadata().map_err(|source| DepotError::Write {
            key: key.to_string(),
            source: local(source),
        })?;
        replace(&*self.store, &key, content, size.len(), TRANSFER).await
    }

    /// Numbers of the files that are there, highest first.
    pub async fn parcels(&self, name: &str) -> Result<Vec<u32>, DepotError> {
        let prefix = Key::from_iter([PROGRESS, plain(name)?]);
        let listing = async {
            let listed = self
                .store
                .list(Some(&prefix))
                .try_collect::<Vec<_>>()
                .await?;
            let number = |object: &object_store::ObjectMeta| {
                let file = object.location.filename()?;
                file.parse::<u32>().ok()
            };
            let mut numbers: Vec<u32> = listed.iter().filter_map(number).collect();
            numbers.sort_unstable_by(|a, b| b.cmp(a));
            Ok(numbers)
        };
        bounded(&prefix, LIST, listing, |key, source| DepotError::Read {
            key,
            source,
        })
        .await
    }

    /// Fetches a file to `path`; false if it is not there.
    pub async fn fetch_parcel(
        &self,
        name: &str,
        number: u32,
        path: &Path,
    ) -> Result<bool, DepotError> {
        let key = parcel_key(name, number)?;
        let fetching = async {
            let found = match self.store.get(&key).await {
                Ok(found) => found,
                Err(Error::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(error),
            };
            if found.meta.size > LIMIT {
                return Err(local(std::io::Error::other("it is too large")));
            }
            let mut file = tokio::fs::File::create(path).await.map_err(local)?;
            let mut pieces = found.into_stream();
            while let Some(piece) = pieces.try_next().await? {
                file.write_all(&piece).await.map_err(local)?;
            }
            file.sync_all().await.map_err(local)?;
            Ok(true)
        };
        bounded(&key, TRANSFER, fetching, |key, source| DepotError::Read {
            key,
            source,
        })
        .await
    }

    /// Removes the file of this number and those before it.
    pub async fn remove_parcels(&self, name: &str, newest: u32) -> Result<(), DepotError> {
        let numbers = self.parcels(name).await?;
        for number in numbers.into_iter().filter(|number| *number <= newest) {
            let key = parcel_key(name, number)?;
            let removing = async {
                match self.store.delete(&key).await {
                    Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            };
            bounded(&key, LIST, removing, |key, source| DepotError::Remove {
                key,
                source,
            })
            .await?;
        }
        Ok(())
    }
}

fn parcel_key(name: &str, number: u32) -> Result<Key, DepotError> {
    let number = number.to_string();
    Ok(Key::from_iter([PROGRESS, plain(name)?, &number]))
}
