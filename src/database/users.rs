//! Users, and what GitHub lets them see. Their links to GitHub are with [`user`](crate::user).

use protocol::api::RepositorySummary;
use protocol::event::{Person, Repository};
use protocol::{Millis, UserId};
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};

/// How long GitHub's word on access is believed.
pub const ACCESS_MS: i64 = 10 * 60_000;

fn place(user: UserId) -> String {
    format!("links|{user}|token")
}

/// Writes down who signed in. What they reach is asked for anew: they may have come for that.
pub async fn seen(database: &Database, person: &Person, now: Millis) -> Result<(), DatabaseError> {
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
    let list = "DELETE FROM repository_lists WHERE user = ?";
    let list = database.prepare(list, &[Number(person.id.0)])?;
    database.batch(vec![user, list]).await
}

/// A token from before links were kept in an object of their user.
pub async fn former_token(
    database: &Database,
    user: UserId,
) -> Result<Option<String>, DatabaseError> {
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

/// Signs a user out everywhere and forgets what they reach.
pub async fn revoked(database: &Database, user: UserId) -> Result<(), DatabaseError> {
    let statements = [
        "DELETE FROM logins WHERE user = ?",
        "DELETE FROM access WHERE user = ?",
        "DELETE FROM links WHERE user = ?",
        "DELETE FROM repository_lists WHERE user = ?",
    ]
    .into_iter()
    .map(|statement| database.prepare(statement, &[Number(user.0)]))
    .collect::<Result<Vec<_>, _>>()?;
    database.d1.batch(statements).await?;
    Ok(())
}

/// Has GitHub asked again who reaches these repositories, or what one user reaches of them. Lists
/// of whoever reached them are void as well.
pub async fn forget_repositories(
    database: &Database,
    repositories: &[Repository],
    user: Option<UserId>,
) -> Result<(), DatabaseError> {
    let names: Vec<String> = repositories.iter().map(ToString::to_string).collect();
    let names = serde_json::to_string(&names)?;
    let these = "repository IN (SELECT value FROM json_each(?1))";
    forget(database, these, &names, user).await
}

/// The same for all repositories of an owner.
pub async fn forget_owner(
    database: &Database,
    owner: &str,
    user: Option<UserId>,
) -> Result<(), DatabaseError> {
    let theirs = "lower(substr(repository, 1, instr(repository, '/') - 1)) = lower(?1)";
    forget(database, theirs, owner, user).await
}

async fn forget(
    database: &Database,
    which: &str,
    name: &str,
    user: Option<UserId>,
) -> Result<(), DatabaseError> {
    let user = user.map_or(0, |user| user.0);
    let statements = [
        format!(
            "DELETE FROM repository_lists WHERE user = ?2
                OR ?2 = 0 AND user IN (SELECT user FROM access WHERE {which})"
        ),
        format!("DELETE FROM access WHERE {which} AND (?2 = 0 OR user = ?2)"),
    ]
    .iter()
    .map(|statement| database.prepare(statement, &[Text(name), Number(user)]))
    .collect::<Result<Vec<_>, _>>()?;
    database.batch(statements).await
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

/// Forgets that a user was found to reach a repository.
pub async fn forget_access(
    database: &Database,
    user: UserId,
    repository: &Repository,
) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM access WHERE user = ? AND repository = ?",
            &[Number(user.0), Text(&repository.to_string())],
        )
        .await
}

/// ?2 is a list of repositories as JSON.
pub(super) const REMEMBER: &str = "
    INSERT INTO access (user, repository, default_branch, may_write, checked_at)
    SELECT ?1, json_extract(value, '$.repository'), json_extract(value, '$.default_branch'),
        json_extract(value, '$.may_write'), ?3
    FROM json_each(?2) WHERE true
    ON CONFLICT (user, repository) DO UPDATE SET
        default_branch = excluded.default_branch, may_write = excluded.may_write,
        checked_at = excluded.checked_at";

/// Writes down what GitHub said of repositories that a user reaches.
pub async fn remember_access(
    database: &Database,
    user: UserId,
    repositories: &[RepositorySummary],
    now: Millis,
) -> Result<(), DatabaseError> {
    let json = serde_json::to_string(repositories)?;
    database
        .run(REMEMBER, &[Number(user.0), Text(&json), Number(now.0)])
        .await
}
