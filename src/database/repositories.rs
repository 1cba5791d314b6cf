//! Settings of repositories.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Millis;
use protocol::api::Settings;
use protocol::callback::RepositoryEgress;
use protocol::event::Repository;
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};

/// What a repository is set to; the defaults if nobody set anything.
pub async fn settings(
    database: &Database,
    repository: &Repository,
) -> Result<Settings, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        settings: String,
    }
    let row: Option<Row> = database
        .first(
            "SELECT settings FROM repositories WHERE repository = ?",
            &[Text(&repository.to_string())],
        )
        .await?;
    match row {
        Some(row) => Ok(serde_json::from_str(&row.settings)?),
        None => Ok(Settings::default()),
    }
}

/// What sandboxes of these repositories may reach.
pub async fn egress(
    database: &Database,
    repositories: BTreeSet<Repository>,
) -> Result<Vec<RepositoryEgress>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        repository: Repository,
        settings: String,
    }
    let rows: Vec<Row> = database
        .all(
            "SELECT repository, settings FROM repositories
             WHERE repository IN (SELECT value FROM json_each(?))",
            &[Text(&serde_json::to_string(&repositories)?)],
        )
        .await?;
    let mut set = BTreeMap::new();
    for row in rows {
        let settings: Settings = serde_json::from_str(&row.settings)?;
        set.insert(row.repository, settings.egress);
    }
    let told = repositories.into_iter().map(|repository| RepositoryEgress {
        policy: set.remove(&repository).unwrap_or_default(),
        repository,
    });
    Ok(told.collect())
}

/// What people wrote of these repositories, of those of which they did: one query for all.
pub async fn hints(
    database: &Database,
    repositories: &[Repository],
) -> Result<BTreeMap<Repository, String>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        repository: Repository,
        hints: String,
    }
    let names = serde_json::to_string(repositories)?;
    let rows: Vec<Row> = database.all(HINTS, &[Text(&names)]).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.repository, row.hints))
        .collect())
}

const HINTS: &str = "SELECT repository, json_extract(settings, '$.hints') AS hints
    FROM repositories
    WHERE repository IN (SELECT value FROM json_each(?))
      AND json_extract(settings, '$.hints') IS NOT NULL";

pub async fn set(
    database: &Database,
    repository: &Repository,
    settings: &Settings,
    by: &str,
    now: Millis,
) -> Result<(), DatabaseError> {
    database
        .run(
            "INSERT INTO repositories (repository, settings, updated_by, updated_at)
             VALUES (?, ?, ?, ?)
             ON CONFLICT (repository) DO UPDATE SET settings = excluded.settings,
                updated_by = excluded.updated_by, updated_at = excluded.updated_at",
            &[
                Text(&repository.to_string()),
                Text(&serde_json::to_string(settings)?),
                Text(by),
                Number(now.0),
            ],
        )
        .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::HINTS;
    use crate::database::native;

    #[test]
    fn hints_of_many_are_read_at_once_and_others_are_left_out() {
        let database = native::migrated();
        for (name, settings) in [
            ("acme/api", r#"{"hints":"the ledger"}"#),
            ("acme/web", "{}"),
            ("other/api", r#"{"hints":"not asked for"}"#),
        ] {
            let statement = "INSERT INTO repositories
                (repository, settings, updated_by, updated_at) VALUES (?, ?, 'ann', 0)";
            database.execute(statement, (name, settings)).unwrap();
        }
        let mut statement = database.prepare(HINTS).unwrap();
        let names = r#"["acme/api","acme/web","acme/docs"]"#;
        let rows = statement.query_map([names], |row| Ok((row.get(0)?, row.get(1)?)));
        let found: Vec<(String, String)> = rows.unwrap().map(Result::unwrap).collect();
        assert_eq!(found, [("acme/api".to_owned(), "the ledger".to_owned())]);
    }
}
