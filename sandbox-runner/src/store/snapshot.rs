//! Snapshots on record: which layers a sandbox's files were, and what its session was about.

mod lineage;

use protocol::image::Base;
use protocol::{Epoch, ImageId, Millis, PromptId, SessionId, SnapshotId};
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

pub use self::lineage::Lineage;
use super::{Store, StoreError, parse, query};
use crate::agent::transcript::Transcript;
use crate::layer::LayerId;

pub(super) const SCHEMA: &str = "
create table snapshots (
    id text primary key,
    session text not null,
    at integer not null,
    snapshot text not null
) strict;
create index snapshots_by_session on snapshots (session, at);
";

/// What later versions know of a snapshot besides.
pub(super) const DETAILS: &str = "
alter table snapshots add column prompt text;
alter table snapshots add column remains integer not null default 0;
-- When the depot had it; null while it is to be brought there.
alter table snapshots add column published_at integer;
create index snapshots_to_publish on snapshots (at) where published_at is null;
";

/// How long the snapshots of a session are kept after its newest one.
const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Prompts of a session whose ends can be gone back to.
const PROMPTS: u32 = 50;
/// Snapshots besides, of sandboxes that went to sleep or were lost. Only the newest is gone on from.
const OTHERS: u32 = 4;

/// All that is needed to go on from where a sandbox was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub id: SnapshotId,
    pub session: SessionId,
    /// Of the sandbox.
    #[serde(default = "unknown_epoch")]
    pub epoch: Epoch,
    pub base: Base,
    pub image: Option<ImageId>,
    /// The image's.
    pub commit: String,
    /// Lowest first.
    pub layers: Vec<LayerId>,
    /// The conversation and what of it was told.
    pub transcript: Transcript,
    /// What the session may know the sandbox's files as from before.
    #[serde(default)]
    pub lineage: Lineage,
    /// The prompt whose end it is.
    #[serde(default)]
    pub prompt: Option<PromptId>,
    /// It is what was left of a sandbox that was lost, in the middle of a turn.
    #[serde(default)]
    pub remains: bool,
    pub at: Millis,
}

fn unknown_epoch() -> Epoch {
    Epoch(0)
}

impl Store {
    /// Records a snapshot and forgets the oldest of its session, and sessions without a new one.
    pub fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let json = serde_json::to_string(snapshot).map_err(|source| StoreError::Content {
            what: "snapshot",
            source,
        })?;
        self.transaction("record a snapshot", |transaction| {
            transaction.execute(
                "delete from snapshots where session in
                 (select session from snapshots group by session having max(at) < ?1)",
                [snapshot.at.0 - KEPT_MS],
            )?;
            transaction.execute(
                "insert into snapshots (id, session, at, snapshot, prompt, remains)
                 values (?1, ?2, ?3, ?4, ?5, ?6) on conflict (id) do nothing",
                params![
                    snapshot.id.as_str(),
                    snapshot.session.as_str(),
                    snapshot.at.0,
                    json,
                    snapshot.prompt.as_ref().map(PromptId::as_str),
                    snapshot.remains,
                ],
            )?;
            for (of_prompts, kept) in [(true, PROMPTS), (false, OTHERS)] {
                transaction.execute(
                    "delete from snapshots
                     where session = ?1 and (prompt is not null) = ?2 and id not in
                     (select id from snapshots where session = ?1 and (prompt is not null) = ?2
                      order by at desc, id desc limit ?3)",
                    params![snapshot.session.as_str(), of_prompts, kept],
                )?;
            }
            Ok(())
        })
    }

    pub fn snapshot(&self, id: &SnapshotId) -> Result<Option<Snapshot>, StoreError> {
        let connection = self.lock();
        let json = connection
            .prepare_cached("select snapshot from snapshots where id = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row([id.as_str()], |row| row.get::<_, String>(0))
                    .optional()
            })
            .map_err(query("find a snapshot"))?;
        json.map(|json| parse("snapshot", &json)).transpose()
    }

    /// Every snapshot that can be gone on from, oldest first.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, StoreError> {
        self.snapshots_where("true", &[])
    }

    /// What is left here of lost sandboxes of a session, newest first.
    pub fn remains(&self, session: &SessionId) -> Result<Vec<Snapshot>, StoreError> {
        let mut remains = self.snapshots_where("remains and session = ?1", &[&session.as_str()])?;
        remains.reverse();
        Ok(remains)
    }

    /// Snapshots that the depot is not known to have, oldest first.
    pub fn unpublished(&self) -> Result<Vec<Snapshot>, StoreError> {
        self.snapshots_where("published_at is null", &[])
    }

    /// Whether this one is to be brought to the depot.
    pub fn is_unpublished(&self, id: &SnapshotId) -> Result<bool, StoreError> {
        let connection = self.lock();
        let found = connection
            .prepare_cached("select 1 from snapshots where id = ?1 and published_at is null")
            .and_then(|mut statement| statement.exists([id.as_str()]));
        found.map_err(query("look for a snapshot that is to be published"))
    }

    /// Notes that the depot has a snapshot.
    pub fn published(&self, id: &SnapshotId, now: Millis) -> Result<(), StoreError> {
        self.transaction("note that a snapshot is in the depot", |transaction| {
            transaction.execute(
                "update snapshots set published_at = ?2 where id = ?1",
                params![id.as_str(), now.0],
            )?;
            Ok(())
        })
    }

    fn snapshots_where(
        &self,
        condition: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<Snapshot>, StoreError> {
        let connection = self.lock();
        let rows = (|| {
            let mut statement = connection.prepare_cached(&format!(
                "select snapshot from snapshots where {condition} order by at, id"
            ))?;
            let rows = statement.query_map(values, |row| row.get::<_, String>(0))?;
            rows.collect::<Result<Vec<_>, _>>()
        })()
        .map_err(query("read the snapshots"))?;
        rows.iter().map(|json| parse("snapshot", json)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
