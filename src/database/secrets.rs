//! What repositories keep secret: sealed, listed without values, opened for the gateway alone.

use protocol::api::{SecretScope, SecretSummary};
use protocol::callback::Secret;
use protocol::event::{Person, Repository};
use protocol::{Millis, UserId};
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::audit::{self, Entry};
use super::{Database, DatabaseError};

/// Most secrets of one repository.
pub const MOST: usize = 50;

/// A secret to be kept.
pub struct NewSecret<'a> {
    pub repository: &'a Repository,
    pub name: &'a str,
    pub value: &'a str,
    pub scope: &'a SecretScope,
}

fn place(repository: &str, name: &str) -> String {
    format!("secrets|{repository}|{name}|value")
}

/// Keeps a secret in place of the one of its name, and that it was set.
pub async fn set(
    database: &Database,
    secret: &NewSecret<'_>,
    entry: Entry<'_>,
    now: Millis,
) -> Result<(), DatabaseError> {
    let repository = secret.repository.to_string();
    let sealed = database
        .keys
        .seal(&place(&repository, secret.name), secret.value)?;
    let write = database.prepare(
        "INSERT INTO secrets (repository, name, scope, value, set_by, set_at)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (repository, name) DO UPDATE SET scope = excluded.scope,
            value = excluded.value, set_by = excluded.set_by, set_at = excluded.set_at",
        &[
            Text(&repository),
            Text(secret.name),
            Text(&serde_json::to_string(secret.scope)?),
            Text(&sealed),
            Number(entry.person.id.0),
            Number(now.0),
        ],
    )?;
    let entry = audit::statement(database, entry, now)?;
    database.batch(vec![write, entry]).await
}

pub async fn remove(
    database: &Database,
    repository: &Repository,
    name: &str,
    entry: Entry<'_>,
    now: Millis,
) -> Result<(), DatabaseError> {
    let delete = database.prepare(
        "DELETE FROM secrets WHERE repository = ? AND name = ?",
        &[Text(&repository.to_string()), Text(name)],
    )?;
    let entry = audit::statement(database, entry, now)?;
    database.batch(vec![delete, entry]).await
}

/// Everything but the values.
pub async fn list(
    database: &Database,
    repository: &Repository,
) -> Result<Vec<SecretSummary>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        scope: String,
        set_at: i64,
        user: i64,
        login: String,
        user_name: String,
        avatar: String,
    }
    let rows: Vec<Row> = database
        .all(
            &format!(
                "SELECT secrets.name, secrets.scope, secrets.set_at, users.id AS user,
                    users.login, users.name AS user_name, users.avatar
                 FROM secrets JOIN users ON users.id = secrets.set_by
                 WHERE repository = ? ORDER BY secrets.name LIMIT {MOST}"
            ),
            &[Text(&repository.to_string())],
        )
        .await?;
    let summary = |row: Row| {
        Ok(SecretSummary {
            name: row.name,
            scope: serde_json::from_str(&row.scope)?,
            set_by: Person {
                id: UserId(row.user),
                login: row.login,
                name: row.user_name,
                avatar: row.avatar,
            },
            set_at: Millis(row.set_at),
        })
    };
    rows.into_iter().map(summary).collect()
}

/// All of a repository's secrets with their values. What an older key sealed is sealed anew.
pub async fn reveal(
    database: &Database,
    repository: &Repository,
) -> Result<Vec<Secret>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        scope: String,
        value: String,
    }
    let repository = repository.to_string();
    let rows: Vec<Row> = database
        .all(
            &format!(
                "SELECT name, scope, value FROM secrets WHERE repository = ? ORDER BY name
                 LIMIT {MOST}"
            ),
            &[Text(&repository)],
        )
        .await?;
    let mut secrets = Vec::new();
    for Row { name, scope, value } in rows {
        let place = place(&repository, &name);
        let opened = database.keys.open(&place, &value)?;
        if opened.stale {
            let again = database.keys.seal(&place, &opened.text)?;
            database
                .run(
                    // Unless it was set meanwhile.
                    "UPDATE secrets SET value = ? WHERE repository = ? AND name = ? AND value = ?",
                    &[Text(&again), Text(&repository), Text(&name), Text(&value)],
                )
                .await?;
        }
        secrets.push(Secret {
            name,
            value: opened.text,
            scope: serde_json::from_str(&scope)?,
        });
    }
    Ok(secrets)
}
