//! What is to be said: each thing under its key, in its newest form, until Slack has it.

use protocol::Millis;
use serde::{Deserialize, Serialize};

use super::Store;
use crate::platform::sql::{Sql, Value};
use crate::session::store::StoreError;
use crate::slack::progress::Progress;
use crate::slack::utterance::Utterance;

/// Something that is to be said now.
#[derive(Debug, PartialEq)]
pub struct Due {
    pub number: i64,
    pub key: String,
    pub root: String,
    pub utterance: Utterance,
    /// The utterance as it is stored, which tells it from a newer one.
    pub json: String,
    /// Of what was said under this key before.
    pub ts: Option<String>,
    pub attempts: i64,
    /// It was sent once, and nobody knows whether it arrived.
    pub is_tried: bool,
    /// How far it is, if it takes several calls.
    pub stage: Option<Stage>,
}

/// How far something is that takes several calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Stage {
    /// A turn's message grows; this is what it was told.
    Streaming { told: Progress },
    /// It grew as long as it could. From here on it is edited, with its cards.
    Streamed,
    /// It is an ordinary message, edited.
    Edited,
    /// Slack has a file's bytes, under this name.
    Uploaded { file: String },
}

impl<S: Sql> Store<S> {
    /// Has something said, instead of what was to be said under the same key before.
    pub fn say(
        &self,
        root: &str,
        name: &str,
        utterance: &Utterance,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.sql.run(
            "INSERT INTO outbox (key, root, json, due_at, attempts, is_tried)
             VALUES (?, ?, ?, ?, 0, 0)
             ON CONFLICT (key) DO UPDATE SET json = excluded.json,
                due_at = COALESCE(outbox.due_at, excluded.due_at)
             WHERE outbox.json <> excluded.json",
            &[
                format!("{root}:{name}").into(),
                root.into(),
                serde_json::to_string(utterance)?.into(),
                now.0.into(),
            ],
        )?;
        Ok(())
    }

    /// What has been due for longest: a message that is edited again and again keeps nothing from being
    /// said.
    pub fn next_said(&self, now: Millis) -> Result<Option<Due>, StoreError> {
        let rows = self.sql.run(
            "SELECT number, key, root, json, COALESCE(ts, ''), attempts, is_tried, COALESCE(stage, '')
             FROM outbox
             WHERE due_at <= ? ORDER BY due_at, number LIMIT 1",
            &[now.0.into()],
        )?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let ts = row.text(4)?;
        Ok(Some(Due {
            number: row.integer(0)?,
            key: row.text(1)?.to_owned(),
            root: row.text(2)?.to_owned(),
            utterance: serde_json::from_str(row.text(3)?)?,
            json: row.text(3)?.to_owned(),
            ts: (!ts.is_empty()).then(|| ts.to_owned()),
            attempts: row.integer(5)?,
            is_tried: row.integer(6)? != 0,
            // What an earlier version wrote begins anew.
            stage: serde_json::from_str(row.text(7)?).ok(),
        }))
    }

    /// Something new is about to be sent: should nobody learn what became of it, it is looked for.
    pub fn try_to_say(&self, number: i64) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE outbox SET is_tried = 1 WHERE number = ?",
            &[number.into()],
        )?;
        Ok(())
    }

    /// Slack has it. If there is something newer under its key, that is still to be said.
    pub fn said(&self, due: &Due, ts: Option<&str>) -> Result<(), StoreError> {
        let ts = ts.map_or(Value::Null, Value::from);
        self.sql.run(
            "UPDATE outbox SET ts = COALESCE(?2, ts), attempts = 0, is_tried = 0,
                due_at = CASE WHEN json = ?3 THEN NULL ELSE due_at END
             WHERE number = ?1",
            &[due.number.into(), ts, due.json.as_str().into()],
        )?;
        Ok(())
    }

    /// How far something is now; `ts` is the message's, if there is one.
    pub fn reach(&self, number: i64, stage: &Stage, ts: Option<&str>) -> Result<(), StoreError> {
        let ts = ts.map_or(Value::Null, Value::from);
        self.sql.run(
            "UPDATE outbox SET stage = ?2, ts = COALESCE(?3, ts), is_tried = 0 WHERE number = ?1",
            &[number.into(), serde_json::to_string(stage)?.into(), ts],
        )?;
        Ok(())
    }

    pub fn say_later(&self, number: i64, due_at: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE outbox SET due_at = ?, attempts = attempts + 1 WHERE number = ?",
            &[due_at.0.into(), number.into()],
        )?;
        Ok(())
    }

    /// Lets everything wait that is to be said before `until`.
    pub fn hold(&self, until: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE outbox SET due_at = ?1 WHERE due_at < ?1",
            &[until.0.into()],
        )?;
        Ok(())
    }

    pub(super) fn release(&self, until: Millis, now: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE outbox SET due_at = ? WHERE due_at = ?",
            &[now.0.into(), until.0.into()],
        )?;
        Ok(())
    }

    /// Slack will not have it.
    pub fn leave_unsaid(&self, number: i64) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE outbox SET due_at = NULL WHERE number = ?",
            &[number.into()],
        )?;
        Ok(())
    }
}
