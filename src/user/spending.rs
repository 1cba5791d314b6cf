//! How much a user did lately, wherever their requests came in.

use protocol::Millis;

use crate::limits::shared::Kind;
use crate::limits::{Bucket, Rate, Wait};
use crate::platform::sql::{Sql, SqlError};

pub(super) const STEP: &str = "
    CREATE TABLE spending (kind TEXT PRIMARY KEY, full_at INTEGER NOT NULL) WITHOUT ROWID
";

/// Takes so many of a kind at once, or says how long to wait until there is one.
pub(super) fn spend(
    sql: &impl Sql,
    kind: Kind,
    count: u32,
    rate: Rate,
    now: Millis,
) -> Result<Option<u64>, SqlError> {
    let found = "SELECT full_at FROM spending WHERE kind = ?";
    let rows = sql.run(found, &[kind.name().into()])?;
    let full_at = rows.first().map_or(Ok(0), |row| row.integer(0))?;
    let mut bucket = Bucket::full_at(full_at);
    let mut wait = None;
    for _ in 0..count {
        if let Err(Wait { seconds }) = bucket.take(rate, now) {
            wait = Some(seconds);
            break;
        }
    }
    sql.run(
        "INSERT INTO spending (kind, full_at) VALUES (?, ?)
         ON CONFLICT (kind) DO UPDATE SET full_at = excluded.full_at",
        &[kind.name().into(), bucket.moment().into()],
    )?;
    Ok(wait)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::platform::migration::migrate;
    use crate::platform::sql::native::NativeSql;

    const RATE: Rate = Rate {
        burst: 30,
        per_minute: 60,
    };

    #[test]
    fn what_is_taken_at_several_places_is_taken_from_one_bucket() {
        let sql = NativeSql::in_memory();
        migrate(&sql, &[STEP]).unwrap();
        let spend = |kind, count, now| spend(&sql, kind, count, RATE, Millis(now)).unwrap();
        assert_eq!(spend(Kind::Look, 20, 0), None);
        assert_eq!(spend(Kind::Change, 1, 0), None);
        assert_eq!(spend(Kind::Look, 20, 0), Some(1));
        assert_eq!(spend(Kind::Look, 1, 999), Some(1));
        assert_eq!(spend(Kind::Look, 1, 1000), None);
    }
}
