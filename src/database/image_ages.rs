//! How ready repositories are, all of a list at once.

use protocol::Millis;
use protocol::api::{ImageAge, ImageState, RepositorySummary};
use serde::Deserialize;

use super::Parameter::Text;
use super::{Database, DatabaseError};

/// ?1 is a list of repositories as JSON.
const AGES: &str = "
    SELECT number, state, built_at FROM (
        SELECT wanted.key AS number,
            (SELECT state FROM images
             WHERE repository = json_extract(wanted.value, '$.repository')
               AND branch = json_extract(wanted.value, '$.default_branch') AND environment = ''
             ORDER BY requested_at DESC LIMIT 1) AS state,
            (SELECT finished_at FROM images
             WHERE repository = json_extract(wanted.value, '$.repository')
               AND branch = json_extract(wanted.value, '$.default_branch') AND environment = ''
               AND state = 'ready'
             ORDER BY requested_at DESC LIMIT 1) AS built_at
        FROM json_each(?1) AS wanted
    ) WHERE state IS NOT NULL";

#[derive(Debug, PartialEq, Deserialize)]
struct Row {
    number: usize,
    state: ImageState,
    built_at: Option<Millis>,
}

/// For each of the repositories, what its default branch has.
pub async fn of(
    database: &Database,
    repositories: &[RepositorySummary],
) -> Result<Vec<Option<ImageAge>>, DatabaseError> {
    let json = serde_json::to_string(repositories)?;
    let rows: Vec<Row> = database.all(AGES, &[Text(&json)]).await?;
    let mut ages = vec![None; repositories.len()];
    for row in rows {
        if let Some(age) = ages.get_mut(row.number) {
            *age = Some(ImageAge {
                state: row.state,
                built_at: row.built_at,
            });
        }
    }
    Ok(ages)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rusqlite::params;

    use super::*;
    use crate::database::native::migrated;

    #[test]
    fn the_state_is_of_the_newest_build_and_the_age_of_what_is_used() {
        let database = migrated();
        for (id, repository, branch, environment, state, at, finished) in [
            ("1", "a/built", "main", "", "ready", 10, Some(15)),
            ("2", "a/built", "main", "", "ready", 20, Some(25)),
            ("3", "a/built", "main", "", "building", 30, None),
            ("4", "a/built", "other", "", "failed", 40, Some(45)),
            ("5", "a/built", "main", "python", "failed", 50, Some(55)),
            ("6", "a/first", "trunk", "", "requested", 10, None),
        ] {
            database
                .execute(
                    "INSERT INTO images (id, repository, branch, environment, state, reason,
                        requested_at, not_before, finished_at) VALUES (?, ?, ?, ?, ?, '', ?, 0, ?)",
                    params![id, repository, branch, environment, state, at, finished],
                )
                .unwrap();
        }
        let wanted = r#"[{"repository": "a/none", "default_branch": "main"},
            {"repository": "a/first", "default_branch": "trunk"},
            {"repository": "a/built", "default_branch": "main"}]"#;
        let mut statement = database.prepare(AGES).unwrap();
        let rows = statement.query_map([wanted], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<i64>>(2)?,
            ))
        });
        let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
        let (first, built) = ("requested".to_owned(), "building".to_owned());
        assert_eq!(rows, [(1, first, None), (2, built, Some(25))]);
    }
}
