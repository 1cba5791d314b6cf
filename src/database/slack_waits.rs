//! In which channels something waits until somebody has said who they are at GitHub. A row stays until
//! its channel was told twice: by the page that links, and by the cron after it, since what is heard
//! while somebody links may begin to wait after that.

use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Wait {
    pub team: String,
    pub user: String,
    pub channel: String,
}

pub async fn note(database: &Database, wait: &Wait) -> Result<(), DatabaseError> {
    let Wait {
        team,
        user,
        channel,
    } = wait;
    database
        .run(NOTE, &[Text(team), Text(user), Text(channel)])
        .await
}

/// Where something waits for one person.
pub async fn of(database: &Database, team: &str, user: &str) -> Result<Vec<Wait>, DatabaseError> {
    database.all(OF, &[Text(team), Text(user)]).await
}

/// Where something waited for people who are linked by now.
pub async fn over(database: &Database, limit: i64) -> Result<Vec<Wait>, DatabaseError> {
    database.all(OVER, &[Number(limit)]).await
}

pub async fn forget(database: &Database, wait: &Wait) -> Result<(), DatabaseError> {
    let Wait {
        team,
        user,
        channel,
    } = wait;
    database
        .run(FORGET, &[Text(team), Text(user), Text(channel)])
        .await
}

const NOTE: &str = "INSERT INTO slack_waits (team, user, channel) VALUES (?, ?, ?)
    ON CONFLICT (team, user, channel) DO NOTHING";
const OF: &str = "SELECT team, user, channel FROM slack_waits WHERE team = ? AND user = ?";
const OVER: &str = "SELECT slack_waits.team, slack_waits.user, channel FROM slack_waits
    JOIN slack_users ON slack_users.team = slack_waits.team AND slack_users.user = slack_waits.user
    LIMIT ?";
const FORGET: &str = "DELETE FROM slack_waits WHERE team = ? AND user = ? AND channel = ?";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::database::native;

    fn waits(database: &Connection, statement: &str, of: &[&str]) -> Vec<String> {
        let mut statement = database.prepare(statement).unwrap();
        let of = rusqlite::params_from_iter(of);
        let rows = statement.query_map(of, |row| {
            Ok(format!(
                "{} in {}",
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?
            ))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn what_waits_for_somebody_is_known_in_every_channel_until_they_are_linked_and_told() {
        let database = native::migrated();
        for (user, channel) in [("U1", "C1"), ("U1", "C2"), ("U1", "C2"), ("U2", "C1")] {
            database.execute(NOTE, ("T", user, channel)).unwrap();
        }
        assert_eq!(waits(&database, OF, &["T", "U1"]), ["U1 in C1", "U1 in C2"]);
        let over = OVER.replace('?', "10");
        assert!(waits(&database, &over, &[]).is_empty());
        database
            .execute(
                "INSERT INTO users (id, login, name, avatar, seen_at) VALUES (1, 'a', '', '', 0)",
                (),
            )
            .unwrap();
        database
            .execute(
                "INSERT INTO slack_users (team, user, github, linked_at) VALUES ('T', 'U1', 1, 0)",
                (),
            )
            .unwrap();
        assert_eq!(waits(&database, &over, &[]), ["U1 in C1", "U1 in C2"]);
        database.execute(FORGET, ("T", "U1", "C1")).unwrap();
        assert_eq!(waits(&database, &over, &[]), ["U1 in C2"]);
    }
}
