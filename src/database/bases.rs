//! What sessions started from: a base is looked after while it is in use.

use protocol::Millis;
use protocol::event::Repository;
use protocol::image::{Base, EnvironmentName};
use serde::Deserialize;

use super::Parameter::{Number, Optional, Text};
use super::images::environment_column;
use super::{Database, DatabaseError};

#[derive(Deserialize)]
struct Row {
    repository: Repository,
    branch: String,
    environment: String,
}

impl From<Row> for Base {
    fn from(row: Row) -> Self {
        Self {
            repository: row.repository,
            branch: row.branch,
            environment: EnvironmentName::parse(&row.environment).ok(),
        }
    }
}

/// Notes that something starts from a base.
pub async fn used(database: &Database, base: &Base, now: Millis) -> Result<(), DatabaseError> {
    database
        .run(
            "INSERT INTO bases (repository, branch, environment, used_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (repository, branch, environment)
             DO UPDATE SET used_at = excluded.used_at",
            &[
                Text(&base.repository.to_string()),
                Text(&base.branch),
                Text(environment_column(base)),
                Number(now.0),
            ],
        )
        .await
}

/// Those whose branch was not asked for the longest time.
pub async fn least_recently_checked(
    database: &Database,
    limit: i64,
) -> Result<Vec<Base>, DatabaseError> {
    let rows: Vec<Row> = database
        .all(
            "SELECT repository, branch, environment FROM bases
             ORDER BY checked_at, repository, branch, environment LIMIT ?",
            &[Number(limit)],
        )
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Bases of one branch: the default environment and others.
pub async fn of_branch(
    database: &Database,
    repository: &Repository,
    branch: &str,
) -> Result<Vec<Base>, DatabaseError> {
    let rows: Vec<Row> = database
        .all(
            "SELECT repository, branch, environment FROM bases
             WHERE repository = ? AND branch = ? LIMIT 100",
            &[Text(&repository.to_string()), Text(branch)],
        )
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Notes a branch's head; without one, that it was asked for in vain.
pub async fn checked(
    database: &Database,
    repository: &Repository,
    branch: &str,
    head: Option<&str>,
    now: Millis,
) -> Result<(), DatabaseError> {
    database
        .run(
            "UPDATE bases SET checked_at = ?, head = COALESCE(?, head)
             WHERE repository = ? AND branch = ?",
            &[
                Number(now.0),
                Optional(head),
                Text(&repository.to_string()),
                Text(branch),
            ],
        )
        .await
}

/// Forgets a branch that is no more.
pub async fn forget_branch(
    database: &Database,
    repository: &Repository,
    branch: &str,
) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM bases WHERE repository = ? AND branch = ?",
            &[Text(&repository.to_string()), Text(branch)],
        )
        .await
}

/// Forgets an environment that is no more.
pub async fn forget_environment(
    database: &Database,
    repository: &Repository,
    environment: &EnvironmentName,
) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM bases WHERE repository = ? AND environment = ?",
            &[Text(&repository.to_string()), Text(environment.as_str())],
        )
        .await
}

/// Forgets what nothing started from since `before`.
pub async fn expire(database: &Database, before: Millis) -> Result<(), DatabaseError> {
    database
        .run("DELETE FROM bases WHERE used_at < ?", &[Number(before.0)])
        .await
}
