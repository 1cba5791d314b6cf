//! A channel's SQLite: what was heard, which thread is which session, what is to be said.
//!
//! Everything heard is taken once, by its identifier, and stays until it is done; what is to be said
//! stays until Slack has its newest form. An object that is evicted goes on from here.

mod inbox;
mod outbox;
mod revisions;

use std::collections::BTreeMap;

use protocol::Millis;
use protocol::event::Repository;

pub use self::inbox::Taken;
pub use self::outbox::{Due, Stage};
use crate::platform::migration::migrate;
use crate::platform::sql::{Row, Sql};
use crate::session::store::StoreError;
use crate::slack::thread::Thread;
pub use crate::slack::utterance::Utterance;

const STEPS: &[&str] = &["
    -- `due_at` is absent of what is done, and of what waits for somebody to sign in.
    CREATE TABLE inbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, root TEXT NOT NULL,
        json TEXT NOT NULL, due_at INTEGER, attempts INTEGER NOT NULL, waits_for TEXT, prompt TEXT
    );
    CREATE INDEX inbox_by_time ON inbox (due_at) WHERE due_at IS NOT NULL;
    -- `behind_at` is when to look at the session's log again.
    CREATE TABLE threads (root TEXT PRIMARY KEY, json TEXT NOT NULL, behind_at INTEGER) WITHOUT ROWID;
    -- `due_at` is absent of what Slack has.
    CREATE TABLE outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, root TEXT NOT NULL,
        json TEXT NOT NULL, ts TEXT, due_at INTEGER, attempts INTEGER NOT NULL,
        is_tried INTEGER NOT NULL
    );
    CREATE INDEX outbox_by_time ON outbox (due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX outbox_by_ts ON outbox (ts) WHERE ts IS NOT NULL;
    CREATE TABLE examples (
        number INTEGER PRIMARY KEY AUTOINCREMENT, repository TEXT NOT NULL, text TEXT NOT NULL
    );
    CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
", "
    -- How far something is that takes several calls.
    ALTER TABLE outbox ADD COLUMN stage TEXT
", "
    -- The latest revision of each message. `text` is absent of what was deleted.
    CREATE TABLE revisions (
        number INTEGER PRIMARY KEY AUTOINCREMENT, ts TEXT NOT NULL UNIQUE, at TEXT NOT NULL,
        user TEXT NOT NULL, text TEXT
    )
", "
    -- Whose word it was.
    ALTER TABLE inbox ADD COLUMN user TEXT
"];

/// Examples of what was for which repository; the oldest are forgotten first.
const MAX_EXAMPLES: i64 = 100;

pub struct Store<S> {
    sql: S,
}

impl<S: Sql> Store<S> {
    pub fn open(sql: S) -> Result<Self, StoreError> {
        migrate(&sql, STEPS)?;
        Ok(Self { sql })
    }

    /// The thread that a message is in, whoever wrote it.
    pub fn root_of(&self, ts: &str) -> Result<Option<String>, StoreError> {
        for statement in [
            "SELECT root FROM threads WHERE root = ?",
            "SELECT root FROM inbox WHERE id = ?",
            "SELECT root FROM outbox WHERE ts = ?",
        ] {
            if let Some(root) = self.text(statement, ts)? {
                return Ok(Some(root));
            }
        }
        Ok(None)
    }

    pub fn thread(&self, root: &str) -> Result<Option<Thread>, StoreError> {
        let json = self.text("SELECT json FROM threads WHERE root = ?", root)?;
        Ok(json.map(|json| serde_json::from_str(&json)).transpose()?)
    }

    /// Changes a thread as it is now; it begins if there is none.
    pub fn change<T>(
        &self,
        root: &str,
        change: impl FnOnce(&mut Thread) -> T,
    ) -> Result<T, StoreError> {
        let mut thread = self.thread(root)?.unwrap_or_default();
        let outcome = change(&mut thread);
        self.sql.run(
            "INSERT INTO threads (root, json) VALUES (?, ?)
             ON CONFLICT (root) DO UPDATE SET json = excluded.json",
            &[root.into(), serde_json::to_string(&thread)?.into()],
        )?;
        Ok(outcome)
    }

    /// There is more in the log of a thread's session.
    pub fn fall_behind(&self, root: &str, due_at: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE threads SET behind_at = ? WHERE root = ?",
            &[due_at.0.into(), root.into()],
        )?;
        Ok(())
    }

    /// A thread whose session's log is to be read; until there is more again, it is read.
    pub fn next_behind(&self, now: Millis) -> Result<Option<String>, StoreError> {
        let rows = self.sql.run(
            "SELECT root FROM threads WHERE behind_at <= ? ORDER BY behind_at LIMIT 1",
            &[now.0.into()],
        )?;
        let root = rows.first().map(|row| row.text(0).map(str::to_owned));
        Ok(root.transpose()?)
    }

    pub fn catch_up(&self, root: &str) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE threads SET behind_at = NULL WHERE root = ?",
            &[root.into()],
        )?;
        Ok(())
    }

    /// When there is something to do next.
    pub fn next_due(&self) -> Result<Option<Millis>, StoreError> {
        let rows = self.sql.run(
            "SELECT MIN(due_at) FROM (
                SELECT due_at FROM inbox WHERE due_at IS NOT NULL
                UNION ALL SELECT due_at FROM outbox WHERE due_at IS NOT NULL
                UNION ALL SELECT behind_at FROM threads WHERE behind_at IS NOT NULL
             )",
            &[],
        )?;
        Ok(rows.first().and_then(|row| row.integer(0).ok()).map(Millis))
    }

    /// Lets everything wait that is due before `until`, heard or to be said.
    pub fn hold_all(&self, until: Millis) -> Result<(), StoreError> {
        self.hold_heard(until)?;
        self.hold(until)
    }

    /// What was held until `until` is due now.
    pub fn release_all(&self, until: Millis, now: Millis) -> Result<(), StoreError> {
        self.release_heard(until, now)?;
        self.release(until, now)
    }

    pub fn learn(&self, repository: &Repository, text: &str) -> Result<(), StoreError> {
        self.sql.run(
            "INSERT INTO examples (repository, text) VALUES (?, ?)",
            &[repository.to_string().into(), text.into()],
        )?;
        self.sql.run(
            "DELETE FROM examples WHERE number <= (SELECT MAX(number) FROM examples) - ?",
            &[MAX_EXAMPLES.into()],
        )?;
        Ok(())
    }

    /// What was for which repository, the oldest first.
    pub fn examples(&self) -> Result<BTreeMap<Repository, Vec<String>>, StoreError> {
        let rows = self
            .sql
            .run("SELECT repository, text FROM examples ORDER BY number", &[])?;
        let mut examples: BTreeMap<Repository, Vec<String>> = BTreeMap::new();
        for row in &rows {
            if let Ok(repository) = Repository::parse(row.text(0)?) {
                let texts = examples.entry(repository).or_default();
                texts.push(row.text(1)?.to_owned());
            }
        }
        Ok(examples)
    }

    pub fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.text("SELECT value FROM notes WHERE name = ?", name)
    }

    pub fn set_note(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.sql.run(
            "INSERT INTO notes (name, value) VALUES (?, ?)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            &[name.into(), value.into()],
        )?;
        Ok(())
    }

    pub fn forget_note(&self, name: &str) -> Result<(), StoreError> {
        self.sql
            .run("DELETE FROM notes WHERE name = ?", &[name.into()])?;
        Ok(())
    }

    fn text(&self, statement: &str, parameter: &str) -> Result<Option<String>, StoreError> {
        let rows: Vec<Row> = self.sql.run(statement, &[parameter.into()])?;
        let text = rows.first().map(|row| row.text(0).map(str::to_owned));
        Ok(text.transpose()?)
    }
}

#[cfg(test)]
mod tests;
