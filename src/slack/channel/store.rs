//! A channel's SQLite: what was heard, which thread is which session, what is to be said.
//!
//! Everything heard is taken once, by its identifier, and stays until it is done; what is to be said
//! stays until Slack has its newest form. An object that is evicted goes on from here.

use protocol::event::Repository;
use protocol::{Millis, PromptId};
use serde::{Deserialize, Serialize};

use super::Item;
use crate::platform::migration::migrate;
use crate::platform::sql::{Row, Sql, SqlError, Value};
use crate::session::store::StoreError;
use crate::slack::progress::Progress;
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
"];

/// Examples of what was for which repository; the oldest are forgotten first.
const MAX_EXAMPLES: i64 = 100;

/// Something heard that is to be acted on.
#[derive(Debug, PartialEq)]
pub struct Taken {
    pub number: i64,
    pub item: Item,
    pub attempts: i64,
}

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

pub struct Store<S> {
    sql: S,
}

impl<S: Sql> Store<S> {
    pub fn open(sql: S) -> Result<Self, StoreError> {
        migrate(&sql, STEPS)?;
        Ok(Self { sql })
    }

    /// Takes something heard, once.
    pub fn take(&self, id: &str, item: &Item, now: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "INSERT INTO inbox (id, root, json, due_at, attempts) VALUES (?, ?, ?, ?, 0)
             ON CONFLICT (id) DO NOTHING",
            &[
                id.into(),
                item.root().into(),
                serde_json::to_string(item)?.into(),
                now.0.into(),
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

    /// Takes up what waited for `user`.
    pub fn wake(&self, user: &str, now: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE inbox SET due_at = ?, waits_for = NULL WHERE waits_for = ?",
            &[now.0.into(), user.into()],
        )?;
        Ok(())
    }

    /// Which prompt a message became.
    pub fn note_prompt(&self, ts: &str, prompt: &PromptId) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE inbox SET prompt = ? WHERE id = ?",
            &[prompt.as_str().into(), ts.into()],
        )?;
        Ok(())
    }

    pub fn prompt_of(&self, ts: &str) -> Result<Option<PromptId>, StoreError> {
        let found = self.text(
            "SELECT prompt FROM inbox WHERE id = ? AND prompt IS NOT NULL",
            ts,
        )?;
        Ok(found.and_then(|prompt| PromptId::parse(&prompt).ok()))
    }

    /// Whether a message is a prompt by itself, or may become one.
    pub fn is_prompt(&self, ts: &str) -> Result<bool, StoreError> {
        let found = self.text(
            "SELECT id FROM inbox WHERE id = ?
               AND (prompt IS NOT NULL OR due_at IS NOT NULL OR waits_for IS NOT NULL)",
            ts,
        )?;
        Ok(found.is_some())
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

    pub fn next_said(&self, now: Millis) -> Result<Option<Due>, StoreError> {
        let rows = self.sql.run(
            "SELECT number, key, root, json, COALESCE(ts, ''), attempts, is_tried, COALESCE(stage, '')
             FROM outbox
             WHERE due_at <= ? ORDER BY number LIMIT 1",
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

    /// Slack will not have it.
    pub fn leave_unsaid(&self, number: i64) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE outbox SET due_at = NULL WHERE number = ?",
            &[number.into()],
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

    /// What was for this repository, oldest first.
    pub fn examples(&self, repository: &Repository) -> Result<Vec<String>, StoreError> {
        let rows = self.sql.run(
            "SELECT text FROM examples WHERE repository = ? ORDER BY number",
            &[repository.to_string().into()],
        )?;
        let texts: Result<Vec<String>, SqlError> =
            rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect();
        Ok(texts?)
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

    fn text(&self, statement: &str, parameter: &str) -> Result<Option<String>, StoreError> {
        let rows: Vec<Row> = self.sql.run(statement, &[parameter.into()])?;
        let text = rows.first().map(|row| row.text(0).map(str::to_owned));
        Ok(text.transpose()?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::platform::sql::native::NativeSql;
    use crate::slack::blocks::Said;
    use crate::slack::event::Heard;

    fn store() -> Store<NativeSql> {
        Store::open(NativeSql::in_memory()).unwrap()
    }

    fn heard(root: &str, ts: &str) -> Item {
        Item::Heard(Heard {
            ts: ts.to_owned(),
            root: root.to_owned(),
            user: "U1".to_owned(),
            text: "x".to_owned(),
            files: Vec::new(),
            is_addressed: true,
        })
    }

    fn message(text: &str) -> Utterance {
        let said = Said::line(text);
        Utterance::Message { said }
    }

    #[test]
    fn what_is_heard_four_times_is_acted_on_once() {
        let store = store();
        for _ in 0..4 {
            store.take("1.1", &heard("1.1", "1.1"), Millis(0)).unwrap();
        }
        let taken = store.next_heard(Millis(0)).unwrap().unwrap();
        store.finish(taken.number).unwrap();
        store.take("1.1", &heard("1.1", "1.1"), Millis(0)).unwrap();
        assert_eq!(store.next_heard(Millis(0)).unwrap(), None);
    }

    #[test]
    fn a_thread_waits_for_what_came_before_and_others_do_not() {
        let store = store();
        for (root, ts) in [("1.1", "1.1"), ("1.1", "1.2"), ("2.1", "2.1")] {
            store.take(ts, &heard(root, ts), Millis(0)).unwrap();
        }
        let first = store.next_heard(Millis(0)).unwrap().unwrap();
        store.retry(first.number, Millis(100)).unwrap();
        let next = store.next_heard(Millis(0)).unwrap().unwrap();
        assert_eq!(next.item.root(), "2.1");
        store.finish(next.number).unwrap();
        assert_eq!(store.next_heard(Millis(0)).unwrap(), None);
        assert_eq!(
            store.next_heard(Millis(100)).unwrap().unwrap().number,
            first.number
        );
    }

    #[test]
    fn what_waits_for_somebody_is_taken_up_when_they_are_linked() {
        let store = store();
        store.take("1.1", &heard("1.1", "1.1"), Millis(0)).unwrap();
        let taken = store.next_heard(Millis(0)).unwrap().unwrap();
        store.wait(taken.number, "U1").unwrap();
        assert_eq!(store.next_heard(Millis(9)).unwrap(), None);
        store.wake("U2", Millis(9)).unwrap();
        assert_eq!(store.next_heard(Millis(9)).unwrap(), None);
        store.wake("U1", Millis(9)).unwrap();
        assert_eq!(store.next_heard(Millis(9)).unwrap().unwrap(), taken);
    }

    #[test]
    fn only_the_newest_form_is_said_and_the_last_one_always_is() {
        let store = store();
        store
            .say("1.1", "status", &message("one"), Millis(0))
            .unwrap();
        store
            .say("1.1", "status", &message("two"), Millis(1))
            .unwrap();
        let due = store.next_said(Millis(1)).unwrap().unwrap();
        assert_eq!((&due.utterance, &due.ts), (&message("two"), &None));
        store.try_to_say(due.number).unwrap();
        // While it is on its way, there is news.
        store
            .say("1.1", "status", &message("three"), Millis(2))
            .unwrap();
        store.said(&due, Some("5.1")).unwrap();
        let due = store.next_said(Millis(2)).unwrap().unwrap();
        assert_eq!(due.utterance, message("three"));
        assert_eq!((due.ts.as_deref(), due.is_tried), (Some("5.1"), false));
        store.said(&due, None).unwrap();
        assert_eq!(store.next_said(Millis(9)).unwrap(), None);
        // The same again is nothing new.
        store
            .say("1.1", "status", &message("three"), Millis(9))
            .unwrap();
        assert_eq!(store.next_said(Millis(9)).unwrap(), None);
        assert_eq!(store.root_of("5.1").unwrap().as_deref(), Some("1.1"));
    }

    #[test]
    fn what_failed_is_said_later_in_its_newest_form() {
        let store = store();
        store
            .say("1.1", "status", &message("one"), Millis(0))
            .unwrap();
        let due = store.next_said(Millis(0)).unwrap().unwrap();
        store.say_later(due.number, Millis(50)).unwrap();
        store
            .say("1.1", "status", &message("two"), Millis(10))
            .unwrap();
        assert_eq!(store.next_said(Millis(49)).unwrap(), None);
        let due = store.next_said(Millis(50)).unwrap().unwrap();
        assert_eq!((due.utterance, due.attempts), (message("two"), 1));
    }

    #[test]
    fn how_far_something_is_outlives_its_newer_forms() {
        let store = store();
        store
            .say("1.1", "status", &message("one"), Millis(0))
            .unwrap();
        let due = store.next_said(Millis(0)).unwrap().unwrap();
        assert_eq!(due.stage, None);
        let told = Progress {
            title: "Working".to_owned(),
            ..Progress::default()
        };
        let stage = Stage::Streaming { told };
        store.reach(due.number, &stage, Some("5.1")).unwrap();
        store.said(&due, Some("5.1")).unwrap();
        store
            .say("1.1", "status", &message("two"), Millis(1))
            .unwrap();
        let due = store.next_said(Millis(1)).unwrap().unwrap();
        assert_eq!((due.stage, due.ts.as_deref()), (Some(stage), Some("5.1")));
        store.reach(due.number, &Stage::Streamed, None).unwrap();
        let due = store.next_said(Millis(1)).unwrap().unwrap();
        assert_eq!(due.ts.as_deref(), Some("5.1"));
    }
}
