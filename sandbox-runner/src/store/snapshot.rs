//! Snapshots on record: which layers a sandbox's files were, and what its session was about.

use protocol::image::Base;
use protocol::{ImageId, Millis, SessionId, SnapshotId};
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

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

/// How long a snapshot is kept that nobody went on from.
const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// All that is needed to go on from where a sandbox was, between two prompts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub id: SnapshotId,
    pub session: SessionId,
    pub base: Base,
    pub image: Option<ImageId>,
    /// The image's.
    pub commit: String,
    /// Lowest first.
    pub layers: Vec<LayerId>,
    /// The conversation and what of it was told.
    pub transcript: Transcript,
    pub at: Millis,
}

impl Store {
    pub fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let json = serde_json::to_string(snapshot).map_err(|source| StoreError::Content {
            what: "snapshot",
            source,
        })?;
        self.transaction("record a snapshot", |transaction| {
            transaction.execute(
                "delete from snapshots where at < ?1",
                [snapshot.at.0 - KEPT_MS],
            )?;
            transaction.execute(
                "insert into snapshots (id, session, at, snapshot) values (?1, ?2, ?3, ?4)
                 on conflict (id) do nothing",
                params![
                    snapshot.id.as_str(),
                    snapshot.session.as_str(),
                    snapshot.at.0,
                    json
                ],
            )?;
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
        let connection = self.lock();
        let rows = (|| {
            let mut statement =
                connection.prepare_cached("select snapshot from snapshots order by at, id")?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<Result<Vec<_>, _>>()
        })()
        .map_err(query("read the snapshots"))?;
        rows.iter().map(|json| parse("snapshot", json)).collect()
    }
}
