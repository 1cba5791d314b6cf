//! The audit log: rows are added, read by administrators, and leave by age alone.

use protocol::api::{AuditEntry, AuditPage, Deed, Means};
use protocol::event::Person;
use protocol::{Millis, UserId};
use serde::Deserialize;
use worker::D1PreparedStatement;

use super::Parameter::{Number, Optional, Text};
use super::{Database, DatabaseError, word};

/// Entries on one page.
pub const PAGE: usize = 100;

/// The table itself refuses to lose younger ones; an hour of grace for clocks that differ.
const KEPT_MS: i64 = (400 * 24 + 1) * 3_600_000;

/// Refusals of one user that are written down in an hour: guessing must not fill the table.
const MOST_REFUSALS: i64 = 100;

const HOUR_MS: i64 = 3_600_000;

/// Who did what.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub person: &'a Person,
    pub means: Means,
    pub deed: Deed,
    pub subject: &'a str,
    pub detail: Option<&'a str>,
}

/// To be run together with what it tells of, where that is in this database as well.
pub fn statement(
    database: &Database,
    entry: Entry<'_>,
    now: Millis,
) -> Result<D1PreparedStatement, DatabaseError> {
    database.prepare(
        "INSERT INTO audit (at, user, login, means, deed, subject, detail)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        &[
            Number(now.0),
            Number(entry.person.id.0),
            Text(&entry.person.login),
            Text(&word(entry.means)?),
            Text(&word(entry.deed)?),
            Text(entry.subject),
            Optional(entry.detail),
        ],
    )
}

pub async fn write(
    database: &Database,
    entry: Entry<'_>,
    now: Millis,
) -> Result<(), DatabaseError> {
    statement(database, entry, now)?.run().await?;
    Ok(())
}

/// Writes down that somebody was refused, unless they have been very often.
pub async fn write_refusal(
    database: &Database,
    entry: Entry<'_>,
    now: Millis,
) -> Result<(), DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        count: i64,
    }
    let row: Option<Row> = database
        .first(
            "SELECT COUNT(*) AS count FROM audit WHERE user = ? AND deed = ? AND at > ?",
            &[
                Number(entry.person.id.0),
                Text(&word(entry.deed)?),
                Number(now.plus(-HOUR_MS).0),
            ],
        )
        .await?;
    if row.is_some_and(|row| row.count >= MOST_REFUSALS) {
        return Ok(());
    }
    write(database, entry, now).await
}

/// The newest entries, or those before `cursor`.
pub async fn page(database: &Database, cursor: Option<i64>) -> Result<AuditPage, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        id: i64,
        at: i64,
        user: i64,
        login: String,
        means: Means,
        deed: Deed,
        subject: String,
        detail: Option<String>,
    }
    let rows: Vec<Row> = database
        .all(
            &format!(
                "SELECT id, at, user, login, means, deed, subject, detail FROM audit
                 WHERE id < ? ORDER BY id DESC LIMIT {PAGE}"
            ),
            &[Number(cursor.unwrap_or(super::LARGEST))],
        )
        .await?;
    let full = rows.len() == PAGE;
    let cursor = rows.last().filter(|_| full).map(|row| row.id.to_string());
    let entries = rows.into_iter().map(|row| AuditEntry {
        at: Millis(row.at),
        user: UserId(row.user),
        login: row.login,
        means: row.means,
        deed: row.deed,
        subject: row.subject,
        detail: row.detail,
    });
    Ok(AuditPage {
        entries: entries.collect(),
        cursor,
    })
}

/// Lets go of what is old enough.
pub async fn forget(database: &Database, now: Millis) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM audit WHERE at < ?",
            &[Number(now.plus(-KEPT_MS).0)],
        )
        .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rusqlite::Connection;

    /// The tables as the migrations make them.
    fn tables() -> Connection {
        let tables = Connection::open_in_memory().unwrap();
        for migration in [
            include_str!("../../migrations/0001_init.sql"),
            include_str!("../../migrations/0003_tokens.sql"),
        ] {
            tables.execute_batch(migration).unwrap();
        }
        tables
    }

    fn add(tables: &Connection, days_ago: i64) {
        tables
            .execute(
                "INSERT INTO audit (at, user, login, means, deed, subject)
                 VALUES ((unixepoch() - ? * 86400) * 1000, 1, 'alice', 'browser', 'signed_in', '')",
                [days_ago],
            )
            .unwrap();
    }

    #[test]
    fn an_entry_cannot_be_changed_or_removed_before_its_time() {
        let tables = tables();
        add(&tables, 0);
        add(&tables, 399);
        for statement in [
            "UPDATE audit SET login = 'bob'",
            "DELETE FROM audit",
            "DELETE FROM audit WHERE id = 2",
        ] {
            let error = tables.execute(statement, []).unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
    }

    #[test]
    fn an_entry_of_more_than_400_days_can_go() {
        let tables = tables();
        add(&tables, 401);
        assert_eq!(tables.execute("DELETE FROM audit", []), Ok(1));
    }
}
