//! The pool's sandboxes on record: made, ready, claimed by one session's sandbox.
//!
//! Invariant: an entry is claimed at most once. A claimed entry stays on record until the session
//! lets go of it, since it is where that session's sandbox really is.

use protocol::SandboxId;
use protocol::callback::WarmSandbox;
use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError, parse, query};
use crate::agent::ConversationId;

pub(super) const SCHEMA: &str = "
create table warm (
    sandbox text primary key,
    -- JSON of what it is announced as.
    entry text not null,
    -- The commit that its image is of.
    commit_id text not null,
    -- The conversation that is open in it; absent until it is ready.
    conversation text,
    -- The sandbox that a session knows it by.
    claimed_by text unique
) strict;
";

/// An entry of the pool as it was last recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredWarm {
    pub entry: WarmSandbox,
    pub commit: String,
    /// Present once it can be claimed.
    pub conversation: Option<ConversationId>,
    pub claimed_by: Option<SandboxId>,
}

impl Store {
    /// To be called before the sandbox is made: it would be nobody's after a crash otherwise.
    pub fn warm_begun(&self, entry: &WarmSandbox, commit: &str) -> Result<(), StoreError> {
        let json = serde_json::to_string(entry).map_err(|source| StoreError::Content {
            what: "pool entry",
            source,
        })?;
        self.transaction("record a pool entry", |transaction| {
            transaction.execute(
                "insert into warm (sandbox, entry, commit_id) values (?1, ?2, ?3)",
                params![entry.sandbox.as_str(), json, commit],
            )?;
            Ok(())
        })
    }

    pub fn warm_ready(
        &self,
        sandbox: &SandboxId,
        conversation: &ConversationId,
    ) -> Result<(), StoreError> {
        self.transaction("record a ready pool entry", |transaction| {
            transaction.execute(
                "update warm set conversation = ?2 where sandbox = ?1",
                params![sandbox.as_str(), conversation.as_str()],
            )?;
            Ok(())
        })
    }

    /// Gives an entry to a session's sandbox; `None` if it is not there, not ready, or somebody's.
    /// Asking again for the same sandbox gives the same entry.
    pub fn claim_warm(
        &self,
        warm: &SandboxId,
        claimant: &SandboxId,
    ) -> Result<Option<StoredWarm>, StoreError> {
        let claimed = self.transaction("claim a pool entry", |transaction| {
            transaction
                .prepare_cached(
                    "update warm set claimed_by = ?2
                     where sandbox = ?1 and conversation is not null
                       and (claimed_by is null or claimed_by = ?2)
                     returning entry, commit_id, conversation, claimed_by",
                )?
                .query_row(params![warm.as_str(), claimant.as_str()], columns)
                .optional()
        })?;
        claimed.map(read).transpose()
    }

    /// Where a session's sandbox really is: the pool entry that it claimed, or under its own name.
    pub fn place_of(&self, sandbox: &SandboxId) -> Result<SandboxId, StoreError> {
        let connection = self.lock();
        let place = connection
            .prepare_cached("select sandbox from warm where claimed_by = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row([sandbox.as_str()], |row| row.get::<_, String>(0))
                    .optional()
            })
            .map_err(query("find a sandbox"))?;
        // What is here was written by this module, from identifiers.
        Ok(place
            .and_then(|place| SandboxId::parse(&place).ok())
            .unwrap_or_else(|| sandbox.clone()))
    }

    /// Forgets an entry. To be called after its sandbox is gone.
    pub fn warm_ended(&self, sandbox: &SandboxId) -> Result<(), StoreError> {
        self.transaction("forget a pool entry", |transaction| {
            transaction.execute("delete from warm where sandbox = ?1", [sandbox.as_str()])?;
            Ok(())
        })
    }

    pub fn warm(&self) -> Result<Vec<StoredWarm>, StoreError> {
        let connection = self.lock();
        let rows = (|| {
            let mut statement = connection
                .prepare_cached("select entry, commit_id, conversation, claimed_by from warm")?;
            let rows = statement.query_map([], columns)?;
            rows.collect::<Result<Vec<_>, _>>()
        })()
        .map_err(query("read the pool"))?;
        rows.into_iter().map(read).collect()
    }
}

/// An entry whose columns were not read yet.
type Columns = (String, String, Option<String>, Option<String>);

fn columns(row: &rusqlite::Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn read((entry, commit, conversation, claimed_by): Columns) -> Result<StoredWarm, StoreError> {
    Ok(StoredWarm {
        entry: parse("pool entry", &entry)?,
        commit,
        conversation: conversation.and_then(|text| ConversationId::parse(&text).ok()),
        claimed_by: claimed_by.and_then(|text| SandboxId::parse(&text).ok()),
    })
}

/// An entry of an image, as tests need it.
#[cfg(test)]
pub(crate) fn entry(number: u8) -> WarmSandbox {
    let start = crate::fixture::start("http://127.0.0.1:1/");
    WarmSandbox {
        sandbox: SandboxId::from_random([number; 16]),
        base: protocol::image::Base {
            repository: start.repository,
            branch: start.branch,
            environment: None,
        },
        model: start.model,
        image: protocol::ImageId::from_random([1; 16]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn ready(store: &Store, number: u8) -> SandboxId {
        let entry = entry(number);
        let conversation = ConversationId::parse("ses_1").unwrap();
        store.warm_begun(&entry, "c0ffee").unwrap();
        store.warm_ready(&entry.sandbox, &conversation).unwrap();
        entry.sandbox
    }

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("runner.sqlite")).unwrap();
        (directory, store)
    }

    fn session(number: u8) -> SandboxId {
        SandboxId::from_random([100 + number; 16])
    }

    #[test]
    fn an_entry_is_given_to_one_sandbox_and_to_that_one_again() {
        let (_directory, store) = store();
        let warm = ready(&store, 1);
        let first = store.claim_warm(&warm, &session(1)).unwrap().unwrap();
        assert_eq!(store.claim_warm(&warm, &session(2)).unwrap(), None);
        assert_eq!(
            store.claim_warm(&warm, &session(1)).unwrap().unwrap(),
            first
        );
        assert_eq!(store.place_of(&session(1)).unwrap(), warm);
    }

    #[test]
    fn an_entry_that_is_still_being_made_is_given_to_nobody() {
        let (_directory, store) = store();
        let entry = entry(1);
        store.warm_begun(&entry, "c0ffee").unwrap();
        assert_eq!(store.claim_warm(&entry.sandbox, &session(1)).unwrap(), None);
        assert_eq!(store.place_of(&session(1)).unwrap(), session(1));
    }

    #[test]
    fn an_entry_that_has_ended_is_forgotten() {
        let (_directory, store) = store();
        let warm = ready(&store, 1);
        store.warm_ended(&warm).unwrap();
        assert_eq!(store.claim_warm(&warm, &session(1)).unwrap(), None);
        assert!(store.warm().unwrap().is_empty());
    }
}
