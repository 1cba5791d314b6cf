//! Users, their links to GitHub and what GitHub lets them see.

use protocol::api::RepositorySummary;
use protocol::event::{Person, Repository};
use protocol::{Millis, UserId};
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};
use crate::error::Error;

/// How long GitHub's word on access is believed.
pub const ACCESS_MS: i64 = 10 * 60_000;

fn place(user: UserId) -> String {
    format!("links|{user}|token")
}

/// Writes down who signed in, and the token that they are to be acted for with.
pub async fn link(
    database: &Database,
    person: &Person,
    token: &str,
    now: Millis,
) -> Result<(), DatabaseError> {
    let sealed = database.keys.seal(&place(person.id), token)?;
    let user = database.prepare(
        "INSERT INTO users (id, login, name, avatar, seen_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET login = excluded.login, name = excluded.name,
            avatar = excluded.avatar, seen_at = excluded.seen_at",
        &[
            Number(person.id.0),
            Text(&person.login),
            Text(&person.name),
            Text(&person.avatar),
            Number(now.0),
        ],
    )?;
    let link = database.prepare(
        "INSERT INTO links (user, token, linked_at) VALUES (?, ?, ?)
         ON CONFLICT (user) DO UPDATE SET token = excluded.token, linked_at = excluded.linked_at",
        &[Number(person.id.0), Text(&sealed), Number(now.0)],
    )?;
    database.d1.batch(vec![user, link]).await?;
    Ok(())
}

/// The user's own GitHub token, if they are linked.
pub async fn github_token(database: &Database, user: UserId) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Row {
        token: String,
    }
    let row: Option<Row> = database
        .first("SELECT token FROM links WHERE user = ?", &[Number(user.0)])
        .await?;
    match row {
        Some(row) => Ok(Some(open(database, user, &row.token).await?)),
        None => Ok(None),
    }
}

/// What an older key sealed is sealed anew.
async fn open(database: &Database, user: UserId, sealed: &str) -> Result<String, DatabaseError> {
    let place = place(user);
    let opened = database.keys.open(&place, sealed)?;
    if opened.stale {
        let again = database.keys.seal(&place, &opened.text)?;
        database
            .run(
                // Unless it was linked meanwhile.
                "UPDATE links SET token = ? WHERE user = ? AND token = ?",
                &[Text(&again), Number(user.0), Text(sealed)],
            )
            .await?;
    }
    Ok(opened.text)
}

/// What GitHub lets a user do with a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    pub default_branch: String,
    pub may_write: bool,
}

/// A repository that the user was found to reach in the last ten minutes.
pub async fn known_access(
    database: &Database,
    user: UserId,
    repository: &Repository,
    now: Millis,
) -> Result<Option<Reach>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        default_branch: String,
        may_write: i64,
    }
    let row: Option<Row> = database
        .first(
            "SELECT default_branch, may_write FROM access
             WHERE user = ? AND repository = ? AND checked_at >= ?",
            &[
                Number(user.0),
                Text(&repository.to_string()),
                Number(now.plus(-ACCESS_MS).0),
            ],
        )
        .await?;
    Ok(row.map(|row| Reach {
        default_branch: row.default_branch,
        may_write: row.may_write != 0,
    }))
}

/// Whether anything that GitHub said of this user is recent enough to make a list from.
pub async fn has_recent_access(
    database: &Database,
    user: UserId,
    now: Millis,
) -> Result<bool, DatabaseError> {
    let row: Option<serde_json::Value> = database
        .first(
            "SELECT 1 FROM access WHERE user = ? AND checked_at >= ? LIMIT 1",
            &[Number(user.0), Number(now.plus(-ACCESS_MS).0)],
        )
        .await?;
    Ok(row.is_some())
}

/// Writes down what GitHub said a user reaches.
pub async fn remember_access(
    database: &Database,
    user: UserId,
    repositories: &[RepositorySummary],
    now: Millis,
) -> Result<(), DatabaseError> {
    let statements = repositories
        .iter()
        .map(|found| {
            database.prepare(
                "INSERT INTO access (user, repository, default_branch, may_write, checked_at)
                 VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (user, repository) DO UPDATE SET
                    default_branch = excluded.default_branch, may_write = excluded.may_write,
                    checked_at = excluded.checked_at",
                &[
                    Number(user.0),
                    Text(&found.repository.to_string()),
                    Text(&found.default_branch),
                    Number(i64::from(found.may_write)),
                    Number(now.0),
                ],
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    if !statements.is_empty() {
        database.d1.batch(statements).await?;
    }
    Ok(())
}
