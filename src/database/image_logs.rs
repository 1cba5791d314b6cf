//! What the making of an image printed, in the pieces that its runner sent.
//!
//! Offsets count bytes. `images.log_bytes` is where the next piece begins; it is compared and moved
//! in the same transaction that keeps the piece, so that two reports at once leave one copy.

use protocol::{ImageId, Millis};
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};

/// Pieces that are read at once.
const PIECES: i64 = 8;

const APPEND: &str = "
    INSERT INTO image_logs (image, offset, text)
    SELECT ?1, ?2, ?3 FROM images WHERE id = ?1 AND state = 'building' AND log_bytes = ?2";

const ADVANCE: &str = "
    UPDATE images SET log_bytes = ?3, reported_at = ?4
    WHERE id = ?1 AND state = 'building' AND log_bytes = ?2";

const CLEAR: &str = "
    DELETE FROM image_logs WHERE image = ?1
        AND EXISTS (SELECT 1 FROM images WHERE id = ?1 AND state = 'building')";

const REWIND: &str = "UPDATE images SET log_bytes = 0 WHERE id = ?1 AND state = 'building'";

/// Keeps a piece that begins where the log ends. One that does not is kept out; whoever asks again
/// then sees where the log ends.
pub async fn append(
    database: &Database,
    image: &ImageId,
    offset: u64,
    text: &str,
    now: Millis,
) -> Result<(), DatabaseError> {
    let statements = append_statements(database, image, offset, text, now)?;
    database.d1.batch(statements).await?;
    Ok(())
}

/// Replaces the whole log.
pub async fn begin_anew(
    database: &Database,
    image: &ImageId,
    text: &str,
    now: Millis,
) -> Result<(), DatabaseError> {
    let mut statements = vec![
        database.prepare(CLEAR, &[Text(image.as_str())])?,
        database.prepare(REWIND, &[Text(image.as_str())])?,
    ];
    statements.extend(append_statements(database, image, 0, text, now)?);
    database.d1.batch(statements).await?;
    Ok(())
}

fn append_statements(
    database: &Database,
    image: &ImageId,
    offset: u64,
    text: &str,
    now: Millis,
) -> Result<Vec<worker::D1PreparedStatement>, DatabaseError> {
    let number = |bytes: u64| Number(i64::try_from(bytes).unwrap_or(i64::MAX));
    let end = offset.saturating_add(text.len() as u64);
    let id = image.as_str();
    let mut statements = Vec::new();
    if !text.is_empty() {
        statements.push(database.prepare(APPEND, &[Text(id), number(offset), Text(text)])?);
    }
    let parameters = [Text(id), number(offset), number(end), Number(now.0)];
    statements.push(database.prepare(ADVANCE, &parameters)?);
    Ok(statements)
}

/// A piece of a log.
#[derive(Debug, Deserialize)]
pub struct Piece {
    pub offset: u64,
    pub text: String,
}

const READ: &str = "
    SELECT offset, text FROM image_logs WHERE image = ?1 AND offset >= COALESCE(
        (SELECT MAX(offset) FROM image_logs WHERE image = ?1 AND offset <= ?2), 0)
    ORDER BY offset LIMIT ?3";

/// Some pieces from the one that holds the byte at `offset`.
pub async fn read(
    database: &Database,
    image: &ImageId,
    offset: u64,
) -> Result<Vec<Piece>, DatabaseError> {
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let parameters = [Text(image.as_str()), Number(offset), Number(PIECES)];
    database.all(READ, &parameters).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rusqlite::{Connection, params};

    use super::*;
    use crate::database::images::tests::migrated;

    fn building() -> Connection {
        let database = migrated();
        database
            .execute(
                "INSERT INTO images (id, repository, branch, environment, state, reason,
                    requested_at, not_before) VALUES ('img_a', 'a/b', 'main', '', 'building', '',
                    0, 0)",
                [],
            )
            .unwrap();
        database
    }

    fn appended(database: &Connection, offset: i64, text: &str) {
        let end = offset + text.len() as i64;
        database
            .execute(APPEND, params!["img_a", offset, text])
            .unwrap();
        database
            .execute(ADVANCE, params!["img_a", offset, end, 1])
            .unwrap();
    }

    fn read_from(database: &Connection, offset: i64) -> Vec<(i64, String)> {
        database
            .prepare(READ)
            .unwrap()
            .query_map(params!["img_a", offset, PIECES], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn a_piece_that_comes_twice_is_kept_once() {
        let database = building();
        appended(&database, 0, "one");
        appended(&database, 3, "two");
        appended(&database, 3, "two");
        appended(&database, 9, "gap");
        let pieces = [(0, "one".to_owned()), (3, "two".to_owned())];
        assert_eq!(read_from(&database, 0), pieces);
        let length: i64 = database
            .query_row("SELECT log_bytes FROM images", [], |row| row.get(0))
            .unwrap();
        assert_eq!(length, 6);
    }

    #[test]
    fn reading_begins_with_the_piece_that_holds_the_offset() {
        let database = building();
        appended(&database, 0, "one");
        appended(&database, 3, "two");
        for (offset, first) in [(0, 0), (2, 0), (3, 3), (5, 3)] {
            assert_eq!(read_from(&database, offset).first().unwrap().0, first);
        }
    }

    #[test]
    fn a_log_that_begins_anew_holds_nothing_of_before() {
        let database = building();
        appended(&database, 0, "one");
        appended(&database, 3, "two");
        database.execute(CLEAR, ["img_a"]).unwrap();
        database.execute(REWIND, ["img_a"]).unwrap();
        appended(&database, 0, "new");
        assert_eq!(read_from(&database, 0), [(0, "new".to_owned())]);
    }

    #[test]
    fn the_log_of_an_ended_build_stays_as_it_is() {
        let database = building();
        appended(&database, 0, "one");
        database
            .execute("UPDATE images SET state = 'failed'", [])
            .unwrap();
        appended(&database, 3, "two");
        database.execute(CLEAR, ["img_a"]).unwrap();
        assert_eq!(read_from(&database, 0), [(0, "one".to_owned())]);
    }
}
