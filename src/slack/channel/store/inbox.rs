//! What was heard: each thing once, in the order of its thread, until it is done.

use protocol::{Millis, PromptId};

use super::Store;
use crate::platform::sql::Sql;
use crate::session::store::StoreError;
use crate::slack::channel::Item;

/// Something heard that is to be acted on.
#[derive(Debug, PartialEq)]
pub struct Taken {
    pub number: i64,
    pub item: Item,
    pub attempts: i64,
}

impl<S: Sql> Store<S> {
    /// Takes something heard, once.
    pub fn take(&self, id: &str, item: &Item, now: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "INSERT INTO inbox (id, root, json, due_at, attempts, user) VALUES (?, ?, ?, ?, 0, ?)
             ON CONFLICT (id) DO NOTHING",
            &[
                id.into(),
                item.root().into(),
                serde_json::to_string(item)?.into(),
                now.0.into(),
                item.user().into(),
            ],
        )?;
        Ok(())
    }

    /// The oldest that is due and has nothing of its thread before it.
    pub fn next_heard(&self, now: Millis) -> Result<Option<Taken>, StoreError> {
        let rows = self.sql.run(
            "SELECT number, json, attempts FROM inbox AS this WHERE due_at <= ?1 AND NOT EXISTS (
                SELECT 1 FROM inbox AS earlier WHERE earlier.root = this.root
                    AND earlier.number < this.number AND earlier.due_at > ?1
             ) ORDER BY number LIMIT 1",
            &[now.0.into()],
        )?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Taken {
            number: row.integer(0)?,
            item: serde_json::from_str(row.text(1)?)?,
            attempts: row.integer(2)?,
        }))
    }

    /// Nothing is left to do; the identifier stays, so that it is never taken again.
    pub fn finish(&self, number: i64) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE inbox SET due_at = NULL, waits_for = NULL, json = '' WHERE number = ?",
            &[number.into()],
        )?;
        Ok(())
    }

    /// Lets it wait until `user` is linked.
    pub fn wait(&self, number: i64, user: &str) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE inbox SET due_at = NULL, waits_for = ? WHERE number = ?",
            &[user.into(), number.into()],
        )?;
        Ok(())
    }

    pub fn retry(&self, number: i64, due_at: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE inbox SET due_at = ?, attempts = attempts + 1 WHERE number = ?",
            &[due_at.0.into(), number.into()],
        )?;
        Ok(())
    }

    /// Lets everything wait that is to be acted on before `until`. It is no try of any of it.
    pub(super) fn hold_heard(&self, until: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE inbox SET due_at = ?1 WHERE due_at < ?1",
            &[until.0.into()],
        )?;
        Ok(())
    }

    pub(super) fn release_heard(&self, until: Millis, now: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE inbox SET due_at = ? WHERE due_at = ?",
            &[now.0.into(), until.0.into()],
        )?;
        Ok(())
    }

    /// Takes up what waited for `user`.
    pub fn wake(&self, user: &str, now: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE inbox SET due_at = ?, waits_for = NULL WHERE waits_for = ?",
            &[now.0.into(), user.into()],
        )?;
        Ok(())
    }

    /// Which prompt a message became by the word of `user`, who said it to us or pointed at it by the
    /// shortcut.
    pub fn note_prompt(&self, ts: &str, user: &str, prompt: &PromptId) -> Result<(), StoreError> {
        // Of what was heard before that was written down, nobody knows whose word it was.
        self.sql.run(
            "UPDATE inbox SET prompt = ?3
             WHERE id IN (?1, 'shortcut:' || ?1) AND COALESCE(user, ?2) = ?2",
            &[ts.into(), user.into(), prompt.as_str().into()],
        )?;
        Ok(())
    }

    pub fn prompt_of(&self, ts: &str) -> Result<Option<PromptId>, StoreError> {
        let found = self.text(
            "SELECT prompt FROM inbox
             WHERE id IN (?1, 'shortcut:' || ?1) AND prompt IS NOT NULL",
            ts,
        )?;
        Ok(found.and_then(|prompt| PromptId::parse(&prompt).ok()))
    }

    /// Which prompt a message became by its author's own word.
    pub fn prompt_said_at(&self, ts: &str) -> Result<Option<PromptId>, StoreError> {
        let statement = "SELECT prompt FROM inbox WHERE id = ? AND prompt IS NOT NULL";
        let found = self.text(statement, ts)?;
        Ok(found.and_then(|prompt| PromptId::parse(&prompt).ok()))
    }

    /// The last message of a thread that became a prompt before this one; empty if none did.
    pub fn given_before(&self, root: &str, ts: &str) -> Result<String, StoreError> {
        let rows = self.sql.run(
            "SELECT REPLACE(id, 'shortcut:', '') AS said_at FROM inbox
             WHERE root = ? AND prompt IS NOT NULL AND said_at < ? ORDER BY said_at DESC LIMIT 1",
            &[root.into(), ts.into()],
        )?;
        let found = rows.first().map(|row| row.text(0).map(str::to_owned));
        Ok(found.transpose()?.unwrap_or_default())
    }

    /// Whether a message is a prompt by itself, or may become one.
    pub fn is_prompt(&self, ts: &str) -> Result<bool, StoreError> {
        let found = self.text(
            "SELECT id FROM inbox WHERE id IN (?1, 'shortcut:' || ?1)
               AND (prompt IS NOT NULL OR due_at IS NOT NULL OR waits_for IS NOT NULL)",
            ts,
        )?;
        Ok(found.is_some())
    }
}
