//! The addresses that people chose for their commits.

use std::collections::BTreeMap;

use protocol::UserId;
use serde::Deserialize;

use super::Parameter::{Number, Optional};
use super::{Database, DatabaseError};

/// Without one, GitHub's own for the account.
pub async fn choose(
    database: &Database,
    user: UserId,
    email: Option<&str>,
) -> Result<(), DatabaseError> {
    database
        .run(
            "UPDATE users SET commit_email = ? WHERE id = ?",
            &[Optional(email), Number(user.0)],
        )
        .await
}

/// Of those who chose one.
pub async fn of(
    database: &Database,
    people: &[UserId],
) -> Result<BTreeMap<UserId, String>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        id: UserId,
        commit_email: String,
    }
    // One question, since a prompt waits for it.
    let places = vec!["?"; people.len()].join(", ");
    let numbers: Vec<_> = people.iter().map(|user| Number(user.0)).collect();
    let rows: Vec<Row> = database
        .all(
            &format!(
                "SELECT id, commit_email FROM users
                 WHERE commit_email IS NOT NULL AND id IN ({places})"
            ),
            &numbers,
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.commit_email))
        .collect())
}
