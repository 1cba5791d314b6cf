//! What users were found to reach, all together: for lists, and for whoever tells of sessions.

use std::collections::BTreeSet;

use protocol::api::RepositorySummary;
use protocol::event::Repository;
use protocol::{Millis, UserId};
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::users::{ACCESS_MS, REMEMBER};
use super::{Database, DatabaseError};

const KEEP_LIST: &str = "
    INSERT INTO repository_lists (user, repositories, listed_at) VALUES (?1, ?2, ?3)
    ON CONFLICT (user) DO UPDATE SET repositories = excluded.repositories,
        listed_at = excluded.listed_at";

/// Writes down all that GitHub said a user reaches.
pub async fn remember(
    database: &Database,
    user: UserId,
    repositories: &[RepositorySummary],
    now: Millis,
) -> Result<(), DatabaseError> {
    let json = serde_json::to_string(repositories)?;
    let statements = [REMEMBER, KEEP_LIST]
        .into_iter()
        .map(|statement| database.prepare(statement, &[Number(user.0), Text(&json), Number(now.0)]))
        .collect::<Result<Vec<_>, _>>()?;
    database.batch(statements).await
}

/// What GitHub said last, if that was after `since`.
pub async fn list(
    database: &Database,
    user: UserId,
    since: Millis,
) -> Result<Option<Vec<RepositorySummary>>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        repositories: String,
    }
    let row: Option<Row> = database
        .first(
            "SELECT repositories FROM repository_lists WHERE user = ? AND listed_at >= ?",
            &[Number(user.0), Number(since.0)],
        )
        .await?;
    Ok(row
        .map(|row| serde_json::from_str(&row.repositories))
        .transpose()?)
}

/// When GitHub last listed what a user reaches.
pub async fn listed_at(database: &Database, user: UserId) -> Result<Option<Millis>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        listed_at: Millis,
    }
    let row: Option<Row> = database
        .first(
            "SELECT listed_at FROM repository_lists WHERE user = ?",
            &[Number(user.0)],
        )
        .await?;
    Ok(row.map(|row| row.listed_at))
}

const OF_THESE: &str = "
    SELECT user, repository FROM access
    WHERE user IN (SELECT value FROM json_each(?1))
      AND repository IN (SELECT value FROM json_each(?2)) AND checked_at >= ?3";

/// Who of these people was found to reach which of these repositories in the last ten minutes.
pub async fn of_these(
    database: &Database,
    people: &BTreeSet<UserId>,
    repositories: &BTreeSet<&Repository>,
    now: Millis,
) -> Result<BTreeSet<(UserId, Repository)>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        user: UserId,
        repository: Repository,
    }
    let rows: Vec<Row> = database
        .all(
            OF_THESE,
            &[
                Text(&serde_json::to_string(people)?),
                Text(&serde_json::to_string(repositories)?),
                Number(now.plus(-ACCESS_MS).0),
            ],
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.user, row.repository))
        .collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rusqlite::params;

    use super::*;
    use crate::database::native::migrated;

    const LISTED: &str = r#"[
        {"repository": "acme/tool", "default_branch": "main", "private": true, "may_write": true},
        {"repository": "acme/other", "default_branch": "trunk", "private": false, "may_write": false}
    ]"#;

    fn reach(database: &rusqlite::Connection, people: &str, since: i64) -> Vec<(i64, String)> {
        let repositories = r#"["acme/tool", "acme/secret"]"#;
        let mut statement = database.prepare(OF_THESE).unwrap();
        let rows = statement.query_map(params![people, repositories, since], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn who_reaches_what_is_known_as_long_as_it_is_believed() {
        let database = migrated();
        for user in [1, 2] {
            database
                .execute(
                    "INSERT INTO users (id, login, name, avatar, seen_at) VALUES (?, '', '', '', 0)",
                    [user],
                )
                .unwrap();
        }
        database.execute(REMEMBER, params![1, LISTED, 100]).unwrap();
        let tool = (1, "acme/tool".to_owned());
        assert_eq!(reach(&database, "[1, 2]", 100), std::slice::from_ref(&tool));
        assert_eq!(reach(&database, "[2]", 100), []);
        assert_eq!(reach(&database, "[1]", 101), []);
        database.execute(REMEMBER, params![1, LISTED, 200]).unwrap();
        assert_eq!(reach(&database, "[1]", 101), [tool]);
        let row = database.query_row(
            "SELECT default_branch, may_write FROM access WHERE repository = 'acme/other'",
            [],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
        );
        assert_eq!(row.unwrap(), ("trunk".to_owned(), 0));
        for at in [100, 200] {
            database.execute(KEEP_LIST, params![1, LISTED, at]).unwrap();
        }
        let at = database.query_row("SELECT listed_at FROM repository_lists", [], |row| {
            row.get(0)
        });
        assert_eq!(at, Ok(200));
    }
}
