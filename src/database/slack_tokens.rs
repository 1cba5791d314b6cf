//! Which of Slack's bot tokens work no more.

use protocol::Millis;
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError, digest};

/// Why a token works no more, as Slack puts it, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Lost {
    pub lost_at: Millis,
    pub reason: String,
}

pub async fn lost(database: &Database, token: &str) -> Result<Option<Lost>, DatabaseError> {
    database
        .first(
            "SELECT lost_at, reason FROM slack_lost_tokens WHERE token = ?",
            &[Text(&digest(token))],
        )
        .await
}

/// A token was refused. The first reason stays, unless an event of Slack's tells it better.
pub async fn lose(
    database: &Database,
    token: &str,
    (reason, is_told): (&str, bool),
    now: Millis,
) -> Result<(), DatabaseError> {
    let parameters = [
        Text(&digest(token)),
        Number(now.0),
        Text(reason),
        Number(i64::from(is_told)),
    ];
    database.run(LOSE, &parameters).await
}

const LOSE: &str = "INSERT INTO slack_lost_tokens (token, lost_at, reason, tried_at)
    VALUES (?1, ?2, ?3, ?2)
    ON CONFLICT (token) DO UPDATE SET tried_at = excluded.tried_at,
        reason = CASE WHEN ?4 THEN excluded.reason ELSE reason END";

/// Whether it is time to try a lost token; for one of all who ask.
pub async fn is_to_be_tried(
    database: &Database,
    token: &str,
    before: Millis,
    now: Millis,
) -> Result<bool, DatabaseError> {
    let parameters = [Number(now.0), Text(&digest(token)), Number(before.0)];
    let found: Option<serde_json::Value> = database.first(TRY, &parameters).await?;
    Ok(found.is_some())
}

const TRY: &str = "UPDATE slack_lost_tokens SET tried_at = ?1
    WHERE token = ?2 AND tried_at < ?3 RETURNING token";

/// A token works.
pub async fn find(database: &Database, token: &str) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM slack_lost_tokens WHERE token = ?",
            &[Text(&digest(token))],
        )
        .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{LOSE, TRY};
    use crate::database::native;

    #[test]
    fn a_lost_token_keeps_its_first_reason_until_slack_tells_and_is_tried_by_one() {
        let database = native::migrated();
        let lose = |reason: &str, is_told: bool, now: i64| {
            let count = database.execute(LOSE, ("t", now, reason, is_told)).unwrap();
            assert_eq!(count, 1);
            let statement = "SELECT reason, lost_at FROM slack_lost_tokens";
            database
                .query_row(statement, [], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap()
        };
        let known = |reason: &str, at: i64| (reason.to_owned(), at);
        assert_eq!(
            lose("account_inactive", false, 1),
            known("account_inactive", 1)
        );
        assert_eq!(lose("invalid_auth", false, 2), known("account_inactive", 1));
        assert_eq!(
            lose("app_uninstalled", true, 3),
            known("app_uninstalled", 1)
        );
        let tries = |now: i64, before: i64| {
            let mut statement = database.prepare(TRY).unwrap();
            let rows = statement.query_map((now, "t", before), |row| row.get::<_, String>(0));
            rows.unwrap().count()
        };
        assert_eq!(tries(8, 3), 0);
        assert_eq!(tries(9, 4), 1);
        assert_eq!(tries(9, 4), 0);
    }
}
