//! What is removed from the depot by its age.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use object_store::path::Path as Key;
use object_store::{Error, ObjectStoreExt as _};

use super::transfer::bounded;
use super::{Depot, DepotError};

const LIST: Duration = Duration::from_secs(5 * 60);
const REMOVE: Duration = Duration::from_secs(60);

impl Depot {
    /// Removes manifests and parcels that were written longer ago than this, and says how many.
    pub async fn expire(&self, age: Duration) -> Result<usize, DepotError> {
        let limit = SystemTime::now().checked_sub(age);
        let limit = limit.and_then(|limit| limit.duration_since(UNIX_EPOCH).ok());
        let limit = limit.map_or(0, |limit| limit.as_secs());
        let mut removed = 0;
        for prefix in ["snapshots", super::parcel::PROGRESS] {
            let prefix = Key::from_iter([prefix]);
            let listing = self.store.list(Some(&prefix)).try_collect::<Vec<_>>();
            let listed = bounded(&prefix, LIST, listing, |key, source| DepotError::Read {
                key,
                source,
            });
            for object in listed.await? {
                let written = u64::try_from(object.last_modified.timestamp()).unwrap_or(0);
                if written >= limit {
                    continue;
                }
                let key = object.location;
                let removing = async {
                    match self.store.delete(&key).await {
                        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                        Err(error) => Err(error),
                    }
                };
                bounded(&key, REMOVE, removing, |key, source| DepotError::Remove {
                    key,
                    source,
                })
                .await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
