//! Webhook deliveries: what came, and whether it is done. GitHub's signature has no time in it, so
//! the delivery's identifier is what tells a repetition.

use protocol::Millis;
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};

/// Longer than any delivery takes to be seen to.
const LEASE_MS: i64 = 5 * 60_000;

/// Bytes of a body in one row; D1 allows two million.
const PIECE: usize = 1_000_000;

/// Longest reason for a failure that is kept.
const MAX_MESSAGE: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    ToDo,
    Done,
}

/// What became of the wish to see to a delivery.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Yours {
        event: String,
        body: String,
        received_at: Millis,
    },
    /// Nothing is left to do, or it was never received.
    Done,
    /// Somebody else is at it.
    Busy,
}

/// Writes down what came, unless it is there.
pub async fn admit(
    database: &Database,
    id: &str,
    event: &str,
    body: &str,
    now: Millis,
) -> Result<Admission, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        state: String,
    }
    let known: Option<Row> = database
        .first("SELECT state FROM deliveries WHERE id = ?", &[Text(id)])
        .await?;
    match known {
        Some(row) if row.state == "done" => return Ok(Admission::Done),
        Some(_) => return Ok(Admission::ToDo),
        None => {}
    }
    // At once: a delivery that is there is there as a whole.
    let mut statements = vec![database.prepare(
        "INSERT INTO deliveries (id, event, state, received_at, changed_at)
         VALUES (?, ?, 'received', ?, ?) ON CONFLICT (id) DO NOTHING",
        &[Text(id), Text(event), Number(now.0), Number(now.0)],
    )?];
    for (piece, text) in (0_i64..).zip(pieces(body)) {
        statements.push(database.prepare(
            "INSERT INTO delivery_bodies (delivery, piece, text) VALUES (?, ?, ?)
             ON CONFLICT (delivery, piece) DO NOTHING",
            &[Text(id), Number(piece), Text(text)],
        )?);
    }
    database.d1.batch(statements).await?;
    Ok(Admission::ToDo)
}

/// Takes a delivery that is not done, to see to it.
pub async fn take(database: &Database, id: &str, now: Millis) -> Result<Taken, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        event: String,
        received_at: i64,
    }
    #[derive(Deserialize)]
    struct Piece {
        text: String,
    }
    let row: Option<Row> = database
        .first(
            "UPDATE deliveries SET attempts = attempts + 1, changed_at = ?, leased_until = ?
             WHERE id = ? AND state <> 'done' AND leased_until < ? RETURNING event, received_at",
            &[
                Number(now.0),
                Number(now.plus(LEASE_MS).0),
                Text(id),
                Number(now.0),
            ],
        )
        .await?;
    let Some(row) = row else {
        let open: Option<serde_json::Value> = database
            .first(
                "SELECT 1 FROM deliveries WHERE id = ? AND state <> 'done'",
                &[Text(id)],
            )
            .await?;
        return Ok(open.map_or(Taken::Done, |_| Taken::Busy));
    };
    let pieces: Vec<Piece> = database
        .all(
            "SELECT text FROM delivery_bodies WHERE delivery = ? ORDER BY piece",
            &[Text(id)],
        )
        .await?;
    Ok(Taken::Yours {
        event: row.event,
        body: pieces.into_iter().map(|piece| piece.text).collect(),
        received_at: Millis(row.received_at),
    })
}

pub async fn done(database: &Database, id: &str, now: Millis) -> Result<(), DatabaseError> {
    let done = database.prepare(
        "UPDATE deliveries SET state = 'done', changed_at = ?, leased_until = 0, message = NULL
         WHERE id = ?",
        &[Number(now.0), Text(id)],
    )?;
    let body = database.prepare(
        "DELETE FROM delivery_bodies WHERE delivery = ?",
        &[Text(id)],
    )?;
    database.d1.batch(vec![done, body]).await?;
    Ok(())
}

/// Lets a delivery be tried again.
pub async fn failed(
    database: &Database,
    id: &str,
    message: &str,
    now: Millis,
) -> Result<(), DatabaseError> {
    end_try(database, id, message, (0, now)).await
}

/// The same, where nothing is wrong with the delivery: the try does not count.
pub async fn postponed(
    database: &Database,
    id: &str,
    message: &str,
    now: Millis,
) -> Result<(), DatabaseError> {
    end_try(database, id, message, (1, now)).await
}

async fn end_try(
    database: &Database,
    id: &str,
    message: &str,
    (given_back, now): (i64, Millis),
) -> Result<(), DatabaseError> {
    let end = message.floor_char_boundary(MAX_MESSAGE);
    let parameters = [
        Number(now.0),
        Text(message.get(..end).unwrap_or_default()),
        Number(given_back),
        Text(id),
    ];
    database.run(END_TRY, &parameters).await
}

const END_TRY: &str = "UPDATE deliveries SET state = 'failed', changed_at = ?1, leased_until = 0,
        message = ?2, attempts = MAX(attempts - ?3, 0)
    WHERE id = ?4 AND state <> 'done'";

/// Deliveries that are not done and of which nothing was heard since `before`, the oldest first.
/// Those that were tried `most` times are given up.
pub async fn overdue(
    database: &Database,
    before: Millis,
    most: i64,
    limit: i64,
) -> Result<Vec<String>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
    }
    let rows: Vec<Row> = database
        .all(
            "SELECT id FROM deliveries WHERE state <> 'done' AND changed_at < ? AND attempts < ?
             ORDER BY changed_at LIMIT ?",
            &[Number(before.0), Number(most), Number(limit)],
        )
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Notes that GitHub is asked to deliver something again. False if it is here, or if GitHub was
/// asked after `since`.
pub async fn ask(
    database: &Database,
    id: &str,
    since: Millis,
    now: Millis,
) -> Result<bool, DatabaseError> {
    let row: Option<serde_json::Value> = database
        .first(
            "INSERT INTO redeliveries (delivery, asked_at)
             SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE id = ?1)
             ON CONFLICT (delivery) DO UPDATE SET asked_at = excluded.asked_at
             WHERE redeliveries.asked_at < ?3 RETURNING delivery",
            &[Text(id), Number(now.0), Number(since.0)],
        )
        .await?;
    Ok(row.is_some())
}

pub async fn expire(database: &Database, before: Millis) -> Result<(), DatabaseError> {
    let bodies = database.prepare(
        "DELETE FROM delivery_bodies WHERE delivery IN
            (SELECT id FROM deliveries WHERE received_at < ?)",
        &[Number(before.0)],
    )?;
    let rows = database.prepare(
        "DELETE FROM deliveries WHERE received_at < ?",
        &[Number(before.0)],
    )?;
    let asked = database.prepare(
        "DELETE FROM redeliveries WHERE asked_at < ?",
        &[Number(before.0)],
    )?;
    database.d1.batch(vec![bodies, rows, asked]).await?;
    Ok(())
}

/// Cuts a text so that each piece fits into a row.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.floor_char_boundary(PIECE);
        let (piece, tail) = rest.split_at_checked(end)?;
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::database::native;

    #[test]
    fn a_try_that_is_postponed_does_not_count() {
        let database = native::migrated();
        let insert = "INSERT INTO deliveries (id, event, state, received_at, changed_at, attempts)
            VALUES ('d', 'slack.event', 'received', 1, 1, 5)";
        database.execute(insert, ()).unwrap();
        let attempts = |given_back: i64| {
            let count = database
                .execute(END_TRY, (2, "away", given_back, "d"))
                .unwrap();
            assert_eq!(count, 1);
            let found = "SELECT attempts FROM deliveries WHERE state = 'failed'";
            database
                .query_row(found, [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(attempts(0), 5);
        assert_eq!(attempts(1), 4);
        for _ in 0..9 {
            attempts(1);
        }
        assert_eq!(attempts(1), 0);
    }

    #[test]
    fn a_long_body_is_cut_between_characters_and_nothing_is_lost() {
        let text = format!("a{}", "é".repeat(PIECE));
        let cut: Vec<&str> = pieces(&text).collect();
        assert_eq!(cut.len(), 3);
        assert_eq!(cut.concat(), text);
        assert!(cut.iter().all(|piece| piece.len() <= PIECE));
        assert_eq!(pieces("").count(), 0);
    }
}
