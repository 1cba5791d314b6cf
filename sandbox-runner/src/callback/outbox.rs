//! The outbox: reports of one sandbox, numbered 1, 2, 3… and kept until the session holds them.
//!
//! Invariant: the numbers on disk have no gap, and end just below the sandbox's `next`.

use std::sync::Arc;

use protocol::SandboxId;
use protocol::callback::{MAX_BATCH, Report};
use rusqlite::{OptionalExtension as _, params};
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::store::{CommandId, Store, StoreError, query};

/// Most bytes of reports in one batch, besides its first. The Worker reads a request whole.
const MAX_BATCH_BYTES: usize = 512 * 1024;

/// One sandbox's end of the outbox that reports are put into.
#[derive(Clone)]
pub struct Outbox {
    store: Arc<Store>,
    sandbox: SandboxId,
    appended: Arc<Notify>,
}

/// What is recorded together.
#[derive(Default)]
pub struct Change<'a> {
    pub reports: &'a [Report],
    /// JSON of the state that the session goes on from.
    pub state: &'a str,
    /// Commands whose effect is in that state.
    pub done: &'a [CommandId],
}

/// The oldest reports that the session is not known to hold.
#[derive(Debug)]
pub struct Held {
    pub first: u64,
    /// JSON of each, as it was recorded.
    pub reports: Vec<Box<RawValue>>,
}

impl Held {
    pub fn last(&self) -> u64 {
        self.first + (self.reports.len() as u64).saturating_sub(1)
    }
}

impl Outbox {
    pub fn new(store: Arc<Store>, sandbox: SandboxId) -> Self {
        Self {
            store,
            sandbox,
            appended: Arc::new(Notify::new()),
        }
    }

    /// Records reports with the state they belong to, and wakes the sender.
    pub fn append(&self, change: &Change<'_>) -> Result<(), StoreError> {
        self.store.record(&self.sandbox, change)?;
        if !change.reports.is_empty() {
            self.appended.notify_one();
        }
        Ok(())
    }

    /// Returns after something was appended that no earlier call returned for.
    pub(crate) async fn appended(&self) {
        self.appended.notified().await;
    }

    pub(crate) fn held(&self) -> Result<Option<Held>, StoreError> {
        self.store.held(&self.sandbox)
    }

    pub(crate) fn acknowledge(&self, received: u64) -> Result<(), StoreError> {
        self.store.acknowledge(&self.sandbox, received)
    }

    pub(crate) fn sandbox(&self) -> &SandboxId {
        &self.sandbox
    }
}

impl Store {
    fn record(&self, sandbox: &SandboxId, change: &Change<'_>) -> Result<(), StoreError> {
        let reports = change
            .reports
            .iter()
            .map(serde_json::to_string)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| StoreError::Content {
                what: "report",
                source,
            })?;
        self.transaction("record reports", |transaction| {
            let mut next: i64 = transaction
                .prepare_cached("select next from sandboxes where sandbox = ?1")?
                .query_row([sandbox.as_str()], |row| row.get(0))?;
            let mut insert = transaction.prepare_cached(
                "insert into reports (sandbox, number, report) values (?1, ?2, ?3)",
            )?;
            for report in &reports {
                insert.execute(params![sandbox.as_str(), next, report])?;
                next += 1;
            }
            transaction
                .prepare_cached("update sandboxes set next = ?2, state = ?3 where sandbox = ?1")?
                .execute(params![sandbox.as_str(), next, change.state])?;
            let mut remove = transaction.prepare_cached("delete from commands where id = ?1")?;
            for command in change.done {
                remove.execute([command.0])?;
            }
            Ok(())
        })
    }

    fn held(&self, sandbox: &SandboxId) -> Result<Option<Held>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "select number, report from reports where sandbox = ?1 order by number limit ?2",
            )
            .map_err(query("read reports"))?;
        let mut rows = statement
            .query(params![sandbox.as_str(), MAX_BATCH as i64])
            .map_err(query("read reports"))?;
        let mut first = None;
        let mut reports = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.next().map_err(query("read reports"))? {
            let number: i64 = row.get(0).map_err(query("read reports"))?;
            let report: String = row.get(1).map_err(query("read reports"))?;
            bytes += report.len();
            if first.is_some() && bytes > MAX_BATCH_BYTES {
                break;
            }
            first.get_or_insert(number as u64);
            let report = RawValue::from_string(report).map_err(|source| StoreError::Content {
                what: "report",
                source,
            })?;
            reports.push(report);
        }
        Ok(first.map(|first| Held { first, reports }))
    }

    /// Drops what the session holds. A session that holds more than was ever numbered here has
    /// outlived a loss of power that our newest reports did not: it took what is left for
    /// duplicates of those, so that is numbered anew behind what it holds.
    fn acknowledge(&self, sandbox: &SandboxId, received: u64) -> Result<(), StoreError> {
        let received = i64::try_from(received).unwrap_or(i64::MAX - 1);
        self.transaction("acknowledge reports", |transaction| {
            let next: Option<i64> = transaction
                .prepare_cached("select next from sandboxes where sandbox = ?1")?
                .query_row([sandbox.as_str()], |row| row.get(0))
                .optional()?;
            match next {
                Some(next) if received >= next => {
                    tracing::error!(%sandbox, received, next, "the session holds reports that were lost here");
                    transaction.execute(
                        "update reports set number = ?2 + number -
                             (select min(number) from reports where sandbox = ?1)
                         where sandbox = ?1",
                        params![sandbox.as_str(), received + 1],
                    )?;
                    transaction.execute(
                        "update sandboxes set next = 1 + coalesce(
                             (select max(number) from reports where sandbox = ?1), ?2)
                         where sandbox = ?1",
                        params![sandbox.as_str(), received],
                    )?;
                }
                _ => {
                    transaction
                        .prepare_cached("delete from reports where sandbox = ?1 and number <= ?2")?
                        .execute(params![sandbox.as_str(), received])?;
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::Millis;
    use protocol::command::Command;
    use tempfile::TempDir;

    use super::*;
    use crate::fixture;
    use crate::store::Acceptance;

    fn notice(text: &str) -> Report {
        Report::Notice {
            message: text.to_owned(),
        }
    }

    fn outbox(directory: &TempDir) -> Outbox {
        let store = Arc::new(Store::open(&directory.path().join("runner.sqlite")).unwrap());
        let start = fixture::start("http://127.0.0.1:1/");
        let sandbox = start.sandbox.clone();
        let accepted = store
            .accept("msg_1", Millis(1), &Command::Start(start), 8)
            .unwrap();
        assert!(matches!(
            accepted,
            Acceptance::Recorded | Acceptance::Replayed
        ));
        Outbox::new(store, sandbox)
    }

    fn append(outbox: &Outbox, texts: &[&str]) {
        let reports: Vec<_> = texts.iter().map(|text| notice(text)).collect();
        outbox
            .append(&Change {
                reports: &reports,
                state: "{}",
                done: &[],
            })
            .unwrap();
    }

    fn held(outbox: &Outbox) -> (u64, Vec<String>) {
        let Some(held) = outbox.held().unwrap() else {
            return (0, Vec::new());
        };
        let texts =
            held.reports
                .iter()
                .map(|report| match serde_json::from_str(report.get()).unwrap() {
                    Report::Notice { message } => message,
                    other => format!("{other:?}"),
                });
        (held.first, texts.collect())
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn numbers_go_on_where_they_were_after_a_restart() {
        let directory = TempDir::new().unwrap();
        let before = outbox(&directory);
        append(&before, &["a", "b"]);
        before.acknowledge(1).unwrap();
        drop(before);
        let after = outbox(&directory);
        append(&after, &["c"]);
        assert_eq!(held(&after), (2, owned(&["b", "c"])));
    }

    #[test]
    fn an_acknowledgement_that_comes_twice_drops_nothing_more() {
        let directory = TempDir::new().unwrap();
        let outbox = outbox(&directory);
        append(&outbox, &["a", "b", "c"]);
        outbox.acknowledge(2).unwrap();
        outbox.acknowledge(1).unwrap();
        assert_eq!(held(&outbox), (3, owned(&["c"])));
    }

    #[test]
    fn a_batch_ends_at_the_most_reports_and_at_the_most_bytes() {
        let directory = TempDir::new().unwrap();
        let outbox = outbox(&directory);
        append(&outbox, &["x"; MAX_BATCH + 5]);
        assert_eq!(outbox.held().unwrap().unwrap().reports.len(), MAX_BATCH);
        outbox.acknowledge(MAX_BATCH as u64 + 5).unwrap();
        let large = "y".repeat(MAX_BATCH_BYTES);
        append(&outbox, &[&large, "z"]);
        assert_eq!(outbox.held().unwrap().unwrap().reports.len(), 1);
    }

    #[test]
    fn reports_lost_with_the_power_do_not_hide_those_that_follow() {
        let directory = TempDir::new().unwrap();
        let outbox = outbox(&directory);
        append(&outbox, &["lost", "sandbox gone"]);
        // The session once was sent seven; of those numbers, this file knows two.
        outbox.acknowledge(7).unwrap();
        assert_eq!(held(&outbox), (8, owned(&["lost", "sandbox gone"])));
        append(&outbox, &["next"]);
        outbox.acknowledge(9).unwrap();
        assert_eq!(held(&outbox), (10, owned(&["next"])));
    }
}
