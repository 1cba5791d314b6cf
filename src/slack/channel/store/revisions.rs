//! How messages were edited or deleted, the latest of each.

use super::Store;
use crate::platform::sql::{Sql, Value};
use crate::session::store::StoreError;
use crate::slack::event::Revised;

/// The oldest are forgotten first.
const MAX_REVISIONS: i64 = 500;

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Revision {
    /// Whoever wrote it.
    pub user: String,
    /// What it says; absent if it is deleted.
    pub text: Option<String>,
}

impl<S: Sql> Store<S> {
    /// Keeps a revision. False if a later one of the same message is known; the same again is none.
    pub fn revise(&self, revised: &Revised) -> Result<bool, StoreError> {
        let heard = &revised.heard;
        let text = (!revised.is_deleted).then_some(heard.text.as_str());
        // Time stamps have as many digits as each other, so they are compared as texts.
        let kept = self.sql.run(
            "INSERT INTO revisions (ts, at, user, text) VALUES (?, ?, ?, ?)
             ON CONFLICT (ts) DO UPDATE SET
                at = excluded.at, user = excluded.user, text = excluded.text
             WHERE revisions.at <= excluded.at RETURNING ts",
            &[
                heard.ts.as_str().into(),
                revised.at.as_str().into(),
                heard.user.as_str().into(),
                text.map_or(Value::Null, Value::from),
            ],
        )?;
        self.sql.run(
            "DELETE FROM revisions WHERE number <= (SELECT MAX(number) FROM revisions) - ?",
            &[MAX_REVISIONS.into()],
        )?;
        Ok(!kept.is_empty())
    }

    pub fn revision(&self, ts: &str) -> Result<Option<Revision>, StoreError> {
        let rows = self.sql.run(
            "SELECT user, text IS NULL, COALESCE(text, '') FROM revisions WHERE ts = ?",
            &[ts.into()],
        )?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let is_deleted = row.integer(1)? != 0;
        let text = row.text(2)?.to_owned();
        Ok(Some(Revision {
            user: row.text(0)?.to_owned(),
            text: (!is_deleted).then_some(text),
        }))
    }
}
