//! Who people of Slack workspaces are at GitHub.

use protocol::event::{Person, Repository};
use protocol::{Millis, UserId};
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};

/// The GitHub user that somebody said to be.
pub async fn person(
    database: &Database,
    team: &str,
    user: &str,
) -> Result<Option<Person>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        id: i64,
        login: String,
        name: String,
        avatar: String,
    }
    let row: Option<Row> = database
        .first(
            "SELECT users.id, login, name, avatar FROM slack_users
             JOIN users ON users.id = slack_users.github WHERE team = ? AND user = ?",
            &[Text(team), Text(user)],
        )
        .await?;
    Ok(row.map(|row| Person {
        id: UserId(row.id),
        login: row.login,
        name: row.name,
        avatar: row.avatar,
    }))
}

/// Links somebody by an invitation. False if that was used before.
pub async fn link(
    database: &Database,
    (team, user): (&str, &str),
    github: UserId,
    (nonce, expires_at): (&str, Millis),
    now: Millis,
) -> Result<bool, DatabaseError> {
    let used: Option<serde_json::Value> = database
        .first(
            "INSERT INTO slack_invitations (nonce, expires_at) VALUES (?, ?)
             ON CONFLICT (nonce) DO NOTHING RETURNING nonce",
            &[Text(nonce), Number(expires_at.0)],
        )
        .await?;
    if used.is_none() {
        return Ok(false);
    }
    let expired = database.prepare(
        "DELETE FROM slack_invitations WHERE expires_at < ?",
        &[Number(now.0)],
    )?;
    let link = database.prepare(
        "INSERT INTO slack_users (team, user, github, linked_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (team, user) DO UPDATE SET
            github = excluded.github, linked_at = excluded.linked_at",
        &[Text(team), Text(user), Number(github.0), Number(now.0)],
    )?;
    database.batch(vec![expired, link]).await?;
    Ok(true)
}

pub async fn unlink(database: &Database, team: &str, user: &str) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM slack_users WHERE team = ? AND user = ?",
            &[Text(team), Text(user)],
        )
        .await
}

/// The one user who chose this address for their commits, which GitHub had verified to be theirs.
pub async fn known_by(database: &Database, email: &str) -> Result<Option<String>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        login: String,
    }
    let rows: Vec<Row> = database.all(KNOWN_BY, &[Text(email)]).await?;
    Ok(match <[Row; 1]>::try_from(rows) {
        Ok([only]) => Some(only.login),
        Err(_) => None,
    })
}

const KNOWN_BY: &str =
    "SELECT login FROM users WHERE lower(commit_email) = lower(?) ORDER BY id LIMIT 2";

/// Repositories that GitHub lately said a user reaches, of whose name `part` is a piece.
pub async fn reachable(
    database: &Database,
    user: UserId,
    part: &str,
    since: Millis,
    limit: usize,
) -> Result<Vec<Repository>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        repository: Repository,
    }
    let rows: Vec<Row> = database
        .all(
            "SELECT repository FROM access
             WHERE user = ?1 AND checked_at >= ?2 AND instr(lower(repository), lower(?3)) > 0
             ORDER BY repository LIMIT ?4",
            &[
                Number(user.0),
                Number(since.0),
                Text(part),
                Number(i64::try_from(limit).unwrap_or(100)),
            ],
        )
        .await?;
    Ok(rows.into_iter().map(|row| row.repository).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::KNOWN_BY;
    use crate::database::native;

    #[test]
    fn an_address_is_compared_without_case_and_several_users_are_told_apart() {
        let database = native::migrated();
        for (id, login, email) in [
            (1, "ann", Some("Ann@example.com")),
            (2, "bob", Some("shared@example.com")),
            (3, "cat", Some("shared@example.com")),
            (4, "dan", None),
        ] {
            let statement = "INSERT INTO users (id, login, name, avatar, seen_at, commit_email)
                             VALUES (?, ?, '', '', 0, ?)";
            database.execute(statement, (id, login, email)).unwrap();
        }
        let known = |email: &str| -> Vec<String> {
            let mut statement = database.prepare(KNOWN_BY).unwrap();
            let rows = statement.query_map([email], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        assert_eq!(known("ann@Example.com"), ["ann"]);
        assert_eq!(known("shared@example.com").len(), 2);
        assert!(known("").is_empty());
    }
}
