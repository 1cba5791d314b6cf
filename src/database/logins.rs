//! Signed-in browsers: made, looked up, ended.

use protocol::event::Person;
use protocol::{Millis, UserId};
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::audit::{self, Entry};
use super::{Database, DatabaseError, digest};

/// A browser that was not seen for this long signs in again.
const IDLE_MS: i64 = 24 * 3_600_000;

/// So does every browser after this long.
const ABSOLUTE_MS: i64 = 14 * IDLE_MS;

/// `seen_at` is written at most this often.
const TOUCH_MS: i64 = 5 * 60_000;

pub async fn create(
    database: &Database,
    cookie: &str,
    user: UserId,
    now: Millis,
) -> Result<(), DatabaseError> {
    database
        .run(
            "INSERT INTO logins (hash, user, created_at, seen_at) VALUES (?, ?, ?, ?)",
            &[
                Text(&digest(cookie)),
                Number(user.0),
                Number(now.0),
                Number(now.0),
            ],
        )
        .await
}

/// Who holds a cookie, unless it has expired.
pub async fn find(
    database: &Database,
    cookie: &str,
    now: Millis,
) -> Result<Option<Person>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        id: i64,
        login: String,
        name: String,
        avatar: String,
        seen_at: i64,
    }
    let hash = digest(cookie);
    let row: Option<Row> = database
        .first(
            "SELECT users.id, users.login, users.name, users.avatar, logins.seen_at
             FROM logins JOIN users ON users.id = logins.user
             WHERE logins.hash = ? AND logins.seen_at >= ? AND logins.created_at >= ?",
            &[
                Text(&hash),
                Number(now.plus(-IDLE_MS).0),
                Number(now.plus(-ABSOLUTE_MS).0),
            ],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    if now.since(Millis(row.seen_at)) > TOUCH_MS.unsigned_abs() {
        database
            .run(
                "UPDATE logins SET seen_at = ? WHERE hash = ?",
                &[Number(now.0), Text(&hash)],
            )
            .await?;
    }
    let Row {
        id,
        login,
        name,
        avatar,
        ..
    } = row;
    Ok(Some(Person {
        id: UserId(id),
        login,
        name,
        avatar,
    }))
}

pub async fn end(database: &Database, cookie: &str) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM logins WHERE hash = ?",
            &[Text(&digest(cookie))],
        )
        .await
}

/// Signs a user out of every browser, and notes it.
pub async fn end_all(
    database: &Database,
    entry: Entry<'_>,
    now: Millis,
) -> Result<(), DatabaseError> {
    let delete = database.prepare(
        "DELETE FROM logins WHERE user = ?",
        &[Number(entry.person.id.0)],
    )?;
    let entry = audit::statement(database, entry, now)?;
    database.batch(vec![delete, entry]).await
}

/// Lets go of those that have expired.
pub async fn forget(database: &Database, now: Millis) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM logins WHERE seen_at < ? OR created_at < ?",
            &[
                Number(now.plus(-IDLE_MS).0),
                Number(now.plus(-ABSOLUTE_MS).0),
            ],
        )
        .await
}
