//! Which installation of the App reaches which repository. A cache of what GitHub tells: whoever
//! finds it wrong forgets the row and asks.

use protocol::event::Repository;
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};
use crate::github::event::InstallationId;

pub async fn of(
    database: &Database,
    repository: &Repository,
) -> Result<Option<InstallationId>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        installation: InstallationId,
    }
    let row: Option<Row> = database
        .first(
            "SELECT installation FROM installations WHERE repository = ?",
            &[Text(&repository.to_string())],
        )
        .await?;
    Ok(row.map(|row| row.installation))
}

pub async fn remember(
    database: &Database,
    installation: InstallationId,
    repository: &Repository,
) -> Result<(), DatabaseError> {
    remember_all(database, installation, std::slice::from_ref(repository)).await
}

pub async fn remember_all(
    database: &Database,
    installation: InstallationId,
    repositories: &[Repository],
) -> Result<(), DatabaseError> {
    database
        .run(
            "INSERT INTO installations (repository, installation)
             SELECT value, ?2 FROM json_each(?1) WHERE true
             ON CONFLICT (repository) DO UPDATE SET installation = excluded.installation",
            &[Text(&names(repositories)?), Number(installation.0)],
        )
        .await
}

pub async fn forget(database: &Database, repository: &Repository) -> Result<(), DatabaseError> {
    forget_all(database, std::slice::from_ref(repository)).await
}

pub async fn forget_all(
    database: &Database,
    repositories: &[Repository],
) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM installations WHERE repository IN (SELECT value FROM json_each(?))",
            &[Text(&names(repositories)?)],
        )
        .await
}

/// Forgets an installation; answers what it was known to reach.
pub async fn remove(
    database: &Database,
    installation: InstallationId,
) -> Result<Vec<Repository>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        repository: Repository,
    }
    let rows: Vec<Row> = database
        .all(
            "DELETE FROM installations WHERE installation = ? RETURNING repository",
            &[Number(installation.0)],
        )
        .await?;
    Ok(rows.into_iter().map(|row| row.repository).collect())
}

fn names(repositories: &[Repository]) -> Result<String, serde_json::Error> {
    serde_json::to_string(repositories)
}
