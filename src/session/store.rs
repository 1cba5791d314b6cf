//! The session's SQLite: the state row, the log, growing text, scheduled effects.
//!
//! [`Store::commit`] writes all that a transition leads to in one transaction. Whoever reads after
//! it, in this life of the object or the next, sees all of it or nothing.

mod account;
mod admission;
mod artifacts;
mod contacts;
mod kept;
mod onlookers;
#[cfg(test)]
mod tests;

pub use self::admission::Admission;

use protocol::api::EventPage;
use protocol::event::{Event, Prompt};
use protocol::{Fact, Millis, PartId, PromptId, Seq};
use serde::de::DeserializeOwned;

use crate::platform::sql::{Row, Sql, SqlError};
use crate::session::machine::{Effect, Output, State, Transition};
use crate::session::schema;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("failed to read or write the session's tables")]
    Sql(#[from] SqlError),
    #[error("a stored row is not of the form this version writes")]
    Row(#[from] serde_json::Error),
}

/// Most events that one read returns.
pub const MAX_PAGE: i64 = 500;

/// Most bytes of events that one read returns, so that a frame stays far below the limit of a
/// WebSocket message.
const MAX_PAGE_BYTES: usize = 512 * 1024;

/// An output with its place in the log, as live viewers get it.
#[derive(Debug, Clone, PartialEq)]
pub enum Committed {
    Event(Event),
    Delta {
        part: PartId,
        offset: u64,
        text: String,
    },
}

/// A piece of work that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    pub lease: Lease,
    pub attempts: i64,
    pub effect: Effect,
}

/// Who took a piece of work until when. It says nothing about one that replaced it meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    pub key: String,
    pub until: Millis,
}

pub struct Store<S> {
    pub(super) sql: S,
}

impl<S: Sql> Store<S> {
    pub fn open(sql: S) -> Result<Self, StoreError> {
        schema::migrate(&sql)?;
        Ok(Self { sql })
    }

    /// Deletes the log and panics before the transaction ends.
    #[cfg(feature = "fault-drill")]
    #[expect(clippy::panic, reason = "this is the drill")]
    pub fn drill(&self) -> Result<(), StoreError> {
        Ok(self.sql.transaction(&mut || {
            self.sql.run("DELETE FROM events", &[])?;
            panic!("a drill")
        })?)
    }

    pub fn state(&self) -> Result<Option<State>, StoreError> {
        first_json(&self.sql.run("SELECT json FROM state", &[])?)
    }

    pub fn head(&self) -> Result<Seq, StoreError> {
        let rows = self
            .sql
            .run("SELECT COALESCE(MAX(seq), 0) FROM events", &[])?;
        let head = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        Ok(Seq(u64::try_from(head).unwrap_or(0)))
    }

    /// Writes the new state, the outputs and the effects; returns what viewers are to be told.
    ///
    /// `done` is the key of the effect whose result this transition is; it is taken off the
    /// schedule in the same transaction, so no effect is lost between its result and its end.
    pub fn commit(
        &self,
        state: &State,
        transition: Transition,
        done: Option<&Lease>,
        now: Millis,
    ) -> Result<Vec<Committed>, StoreError> {
        let mut committed = Vec::new();
        let mut broken = None;
        let Transition {
            outputs,
            effects,
            cancelled,
        } = transition;
        let outcome = self.sql.transaction(&mut || {
            committed.clear();
            let written = self.write_all(state, &outputs, &effects, &cancelled, done, now);
            match written {
                Ok(events) => {
                    committed = events;
                    Ok(())
                }
                Err(StoreError::Sql(error)) => Err(error),
                Err(StoreError::Row(error)) => {
                    let message = error.to_string();
                    broken = Some(error);
                    Err(SqlError { message })
                }
            }
        });
        match (outcome, broken) {
            (_, Some(error)) => Err(error.into()),
            (Err(error), None) => Err(error.into()),
            (Ok(()), None) => Ok(committed),
        }
    }

    fn write_all(
        &self,
        state: &State,
        outputs: &[Output],
        effects: &[(Millis, Effect)],
        cancelled: &[String],
        done: Option<&Lease>,
        now: Millis,
    ) -> Result<Vec<Committed>, StoreError> {
        let mut committed = Vec::with_capacity(outputs.len());
        let mut seq = self.head()?;
        for output in outputs {
            match output {
                Output::Fact(fact) => {
                    seq = seq.next();
                    committed.push(Committed::Event(self.append(seq, now, fact)?));
                }
                Output::Delta { part, offset, text } => {
                    self.sql.run(
                        "INSERT INTO chunks (part, start, text) VALUES (?, ?, ?)",
                        &[integer(part.0), integer(*offset), text.as_str().into()],
                    )?;
                    let (part, offset, text) = (*part, *offset, text.clone());
                    committed.push(Committed::Delta { part, offset, text });
                }
                Output::Contacts { epoch, contacts } => self.write_contacts(*epoch, contacts)?,
                Output::Kept { prompt, kept } => self.write_kept(prompt, kept)?,
            }
        }
        self.sql.run(
            "INSERT INTO state (id, json) VALUES (1, ?)
             ON CONFLICT (id) DO UPDATE SET json = excluded.json",
            &[serde_json::to_string(state)?.into()],
        )?;
        for key in cancelled {
            self.sql
                .run("DELETE FROM schedule WHERE key = ?", &[key.as_str().into()])?;
        }
        if let Some(lease) = done {
            self.finish(lease)?;
        }
        for (due_at, effect) in effects {
            self.sql.run(
                "INSERT INTO schedule (key, due_at, attempts, effect) VALUES (?, ?, 0, ?)
                 ON CONFLICT (key) DO UPDATE SET
                    due_at = excluded.due_at, attempts = 0, effect = excluded.effect",
                &[
                    effect.key().into(),
                    due_at.0.into(),
                    serde_json::to_string(effect)?.into(),
                ],
            )?;
        }
        Ok(committed)
    }

    /// Adds a fact to the log; what it says about prompts and parts goes to their tables.
    fn append(&self, seq: Seq, now: Millis, fact: &Fact) -> Result<Event, StoreError> {
        match fact {
            Fact::PromptQueued { prompt } => self.write_prompt(prompt)?,
            Fact::PromptEdited { prompt, text, .. } => {
                if let Some(mut known) = self.prompt(prompt)? {
                    known.text.clone_from(text);
                    self.write_prompt(&known)?;
                }
            }
            _ => {}
        }
        let live = Event {
            seq,
            at: now,
            fact: fact.clone(),
        };
        let mut stored = live.clone();
        if let Fact::PartFinished { part, text, .. } = &mut stored.fact {
            // Whoever reads the log later has no deltas, so the stored fact holds the text.
            if text.is_none() {
                *text = Some(self.growing_text(*part)?);
            }
            self.sql
                .run("DELETE FROM chunks WHERE part = ?", &[integer(part.0)])?;
        }
        self.sql.run(
            "INSERT INTO events (seq, at, json) VALUES (?, ?, ?)",
            &[
                integer(seq.0),
                now.0.into(),
                serde_json::to_string(&stored)?.into(),
            ],
        )?;
        Ok(live)
    }

    fn write_prompt(&self, prompt: &Prompt) -> Result<(), StoreError> {
        self.sql.run(
            "INSERT INTO prompts (id, json) VALUES (?, ?)
             ON CONFLICT (id) DO UPDATE SET json = excluded.json",
            &[
                prompt.id.as_str().into(),
                serde_json::to_string(prompt)?.into(),
            ],
        )?;
        Ok(())
    }

    pub fn prompt(&self, id: &PromptId) -> Result<Option<Prompt>, StoreError> {
        first_json(&self.sql.run(
            "SELECT json FROM prompts WHERE id = ?",
            &[id.as_str().into()],
        )?)
    }

    /// The text of a part that is not finished.
    pub fn growing_text(&self, part: PartId) -> Result<String, StoreError> {
        let rows = self.sql.run(
            "SELECT text FROM chunks WHERE part = ? ORDER BY start",
            &[integer(part.0)],
        )?;
        rows.iter().map(|row| Ok(row.text(0)?)).collect()
    }

    /// Events after `since`, oldest first, at most `limit` and never more than fits a frame.
    pub fn events(&self, since: Seq, limit: i64) -> Result<EventPage, StoreError> {
        let rows = self.sql.run(
            "SELECT json FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
            &[integer(since.0), limit.clamp(1, MAX_PAGE).into()],
        )?;
        Ok(EventPage {
            events: page(&rows)?,
            head_seq: self.head()?,
        })
    }

    /// The last events before `before`, oldest first, within the same limits.
    pub fn events_before(&self, before: Seq, limit: i64) -> Result<EventPage, StoreError> {
        let rows = self.sql.run(
            "SELECT json FROM events WHERE seq < ? ORDER BY seq DESC LIMIT ?",
            &[integer(before.0), limit.clamp(1, MAX_PAGE).into()],
        )?;
        let mut events = page(&rows)?;
        events.reverse();
        Ok(EventPage {
            events,
            head_seq: self.head()?,
        })
    }

    /// Every step of the waterfall, oldest first.
    pub fn steps(&self) -> Result<Vec<protocol::event::Step>, StoreError> {
        let rows = self.sql.run(
            "SELECT json_extract(json, '$.step') FROM events
             WHERE json_extract(json, '$.type') = 'step' ORDER BY seq",
            &[],
        )?;
        rows.iter()
            .map(|row| Ok(serde_json::from_str(row.text(0)?)?))
            .collect()
    }

    /// Takes what is due, and keeps it from others until `lease` has passed: should this life of
    /// the object end in the middle, the alarm takes it again then.
    pub fn take_due(&self, now: Millis, lease: Millis) -> Result<Vec<Due>, StoreError> {
        // In the order of their making: a stop after the prompt that it stops.
        let rows = self.sql.run(
            "SELECT key, attempts, effect FROM schedule WHERE due_at <= ? ORDER BY number",
            &[now.0.into()],
        )?;
        self.sql.run(
            "UPDATE schedule SET due_at = ? WHERE due_at <= ?",
            &[lease.0.into(), now.0.into()],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Due {
                    lease: Lease {
                        key: row.text(0)?.to_owned(),
                        until: lease,
                    },
                    attempts: row.integer(1)?,
                    effect: serde_json::from_str(row.text(2)?)?,
                })
            })
            .collect()
    }

    /// Puts a failed piece of work back, to be tried again at `due_at`, unless it was replaced by a
    /// newer one meanwhile.
    pub fn retry(&self, lease: &Lease, due_at: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE schedule SET due_at = ?, attempts = attempts + 1
             WHERE key = ? AND due_at = ?",
            &[
                due_at.0.into(),
                lease.key.as_str().into(),
                lease.until.0.into(),
            ],
        )?;
        Ok(())
    }

    /// Takes a piece of work off the schedule, unless it was replaced by a newer one meanwhile.
    pub fn finish(&self, lease: &Lease) -> Result<(), StoreError> {
        self.sql.run(
            "DELETE FROM schedule WHERE key = ? AND due_at = ?",
            &[lease.key.as_str().into(), lease.until.0.into()],
        )?;
        Ok(())
    }

    /// Whether a piece of work is still what was taken.
    pub fn holds(&self, lease: &Lease) -> Result<bool, StoreError> {
        let rows = self.sql.run(
            "SELECT 1 FROM schedule WHERE key = ? AND due_at = ?",
            &[lease.key.as_str().into(), lease.until.0.into()],
        )?;
        Ok(!rows.is_empty())
    }

    /// Puts work of the shell's own on the schedule; what is there already is at most moved
    /// forward.
    pub fn schedule(&self, due_at: Millis, effect: &Effect) -> Result<(), StoreError> {
        self.sql.run(
            "INSERT INTO schedule (key, due_at, attempts, effect) VALUES (?, ?, 0, ?)
             ON CONFLICT (key) DO UPDATE SET
                due_at = MIN(due_at, excluded.due_at), attempts = 0, effect = excluded.effect",
            &[
                effect.key().into(),
                due_at.0.into(),
                serde_json::to_string(effect)?.into(),
            ],
        )?;
        Ok(())
    }

    /// When the alarm has to ring.
    pub fn next_due(&self) -> Result<Option<Millis>, StoreError> {
        let rows = self
            .sql
            .run("SELECT due_at FROM schedule ORDER BY due_at LIMIT 1", &[])?;
        Ok(rows
            .first()
            .map(|row| row.integer(0))
            .transpose()?
            .map(Millis))
    }
}

/// As many events as fit a page, at least one.
fn page(rows: &[Row]) -> Result<Vec<Event>, StoreError> {
    let mut bytes = 0;
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let json = row.text(0)?;
        bytes += json.len();
        if bytes > MAX_PAGE_BYTES && !events.is_empty() {
            break;
        }
        events.push(serde_json::from_str(json)?);
    }
    Ok(events)
}

pub(super) fn first_json<T: DeserializeOwned>(rows: &[Row]) -> Result<Option<T>, StoreError> {
    match rows.first() {
        Some(row) => Ok(Some(serde_json::from_str(row.text(0)?)?)),
        None => Ok(None),
    }
}

fn integer(number: u64) -> crate::platform::sql::Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}
