//! Issues and pull requests on which somebody called us.

use protocol::SessionId;
use protocol::event::Repository;
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};

/// The session that works on it, if there is one that was started for it.
pub async fn session(
    database: &Database,
    repository: &Repository,
    number: u64,
) -> Result<Option<SessionId>, DatabaseError> {
    Ok(find(database, repository, number)
        .await?
        .and_then(|row| row.session))
}

/// Our comment on it.
pub async fn comment(
    database: &Database,
    repository: &Repository,
    number: u64,
) -> Result<Option<i64>, DatabaseError> {
    Ok(find(database, repository, number)
        .await?
        .and_then(|row| row.comment))
}

pub async fn remember_session(
    database: &Database,
    repository: &Repository,
    number: u64,
    session: &SessionId,
) -> Result<(), DatabaseError> {
    database
        .run(
            "INSERT INTO threads (repository, number, session) VALUES (?, ?, ?)
             ON CONFLICT (repository, number) DO UPDATE SET session = excluded.session",
            &[
                Text(&repository.to_string()),
                number_of(number),
                Text(session.as_str()),
            ],
        )
        .await
}

pub async fn remember_comment(
    database: &Database,
    repository: &Repository,
    number: u64,
    comment: i64,
) -> Result<(), DatabaseError> {
    database
        .run(
            "INSERT INTO threads (repository, number, comment) VALUES (?, ?, ?)
             ON CONFLICT (repository, number) DO UPDATE SET comment = excluded.comment",
            &[
                Text(&repository.to_string()),
                number_of(number),
                Number(comment),
            ],
        )
        .await
}

#[derive(Deserialize)]
struct Row {
    session: Option<SessionId>,
    comment: Option<i64>,
}

async fn find(
    database: &Database,
    repository: &Repository,
    number: u64,
) -> Result<Option<Row>, DatabaseError> {
    database
        .first(
            "SELECT session, comment FROM threads WHERE repository = ? AND number = ?",
            &[Text(&repository.to_string()), number_of(number)],
        )
        .await
}

fn number_of(number: u64) -> super::Parameter<'static> {
    Number(i64::try_from(number).unwrap_or(i64::MAX))
}
