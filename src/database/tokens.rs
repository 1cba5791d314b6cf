//! Personal API tokens: made, looked up, listed, revoked. Only digests of secrets are kept.

use protocol::api::{ApiToken, TokenScope};
use protocol::event::Person;
use protocol::{Millis, TokenId, UserId};
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::audit::{self, Entry};
use super::{Database, DatabaseError, digest};

/// Most tokens of one user that are valid.
pub const MOST: usize = 50;

/// `last_used_at` is written at most this often.
const TOUCH_MS: i64 = 5 * 60_000;

#[derive(Deserialize)]
struct Row {
    id: TokenId,
    name: String,
    scopes: String,
    created_at: i64,
    expires_at: i64,
    last_used_at: Option<i64>,
}

impl TryFrom<Row> for ApiToken {
    type Error = DatabaseError;

    fn try_from(row: Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.id,
            name: row.name,
            scopes: serde_json::from_str(&row.scopes)?,
            created_at: Millis(row.created_at),
            expires_at: Millis(row.expires_at),
            last_used_at: row.last_used_at.map(Millis),
        })
    }
}

/// Keeps a token, and that it was made.
pub async fn create(
    database: &Database,
    token: &ApiToken,
    secret: &str,
    entry: Entry<'_>,
) -> Result<(), DatabaseError> {
    let insert = database.prepare(
        "INSERT INTO tokens (id, hash, user, name, scopes, created_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        &[
            Text(token.id.as_str()),
            Text(&digest(secret)),
            Number(entry.person.id.0),
            Text(&token.name),
            Text(&serde_json::to_string(&token.scopes)?),
            Number(token.created_at.0),
            Number(token.expires_at.0),
        ],
    )?;
    let entry = audit::statement(database, entry, token.created_at)?;
    database.batch(vec![insert, entry]).await
}

/// A user's valid tokens, newest first.
pub async fn list(
    database: &Database,
    user: UserId,
    now: Millis,
) -> Result<Vec<ApiToken>, DatabaseError> {
    let rows: Vec<Row> = database
        .all(
            &format!(
                "SELECT id, name, scopes, created_at, expires_at, last_used_at FROM tokens
                 WHERE user = ? AND expires_at > ? ORDER BY created_at DESC, id LIMIT {MOST}"
            ),
            &[Number(user.0), Number(now.0)],
        )
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Revokes a token of the user's; it is refused from the next request on. False if there is none.
pub async fn revoke(
    database: &Database,
    token: &TokenId,
    entry: Entry<'_>,
    now: Millis,
) -> Result<bool, DatabaseError> {
    let user = entry.person.id;
    let known: Option<serde_json::Value> = database
        .first(
            "SELECT 1 FROM tokens WHERE id = ? AND user = ?",
            &[Text(token.as_str()), Number(user.0)],
        )
        .await?;
    if known.is_none() {
        return Ok(false);
    }
    let delete = database.prepare(
        "DELETE FROM tokens WHERE id = ? AND user = ?",
        &[Text(token.as_str()), Number(user.0)],
    )?;
    let entry = audit::statement(database, entry, now)?;
    database.batch(vec![delete, entry]).await?;
    Ok(true)
}

/// Whose secret it is, and what it is good for, unless it has expired.
pub async fn find(
    database: &Database,
    secret: &str,
    now: Millis,
) -> Result<Option<(Person, Vec<TokenScope>)>, DatabaseError> {
    #[derive(Deserialize)]
    struct Found {
        id: i64,
        login: String,
        name: String,
        avatar: String,
        scopes: String,
        last_used_at: Option<i64>,
    }
    let hash = digest(secret);
    let row: Option<Found> = database
        .first(
            "SELECT users.id, users.login, users.name, users.avatar, tokens.scopes,
                tokens.last_used_at
             FROM tokens JOIN users ON users.id = tokens.user
             WHERE tokens.hash = ? AND tokens.expires_at > ?",
            &[Text(&hash), Number(now.0)],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let used = row.last_used_at.map_or(Millis(0), Millis);
    if now.since(used) > TOUCH_MS.unsigned_abs() {
        database
            .run(
                "UPDATE tokens SET last_used_at = ? WHERE hash = ?",
                &[Number(now.0), Text(&hash)],
            )
            .await?;
    }
    let scopes = serde_json::from_str(&row.scopes)?;
    let person = Person {
        id: UserId(row.id),
        login: row.login,
        name: row.name,
        avatar: row.avatar,
    };
    Ok(Some((person, scopes)))
}

/// Lets go of what expired.
pub async fn forget(database: &Database, now: Millis) -> Result<(), DatabaseError> {
    database
        .run("DELETE FROM tokens WHERE expires_at <= ?", &[Number(now.0)])
        .await
}
