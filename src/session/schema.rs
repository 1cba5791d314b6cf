//! The tables of a session, by version. A step is never changed once it has shipped: a new one
//! follows it, since objects of every age come back to life under the newest code.

use crate::platform::sql::{Sql, SqlError};

const STEPS: &[&str] = &["
    CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL);
    CREATE TABLE events (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, json TEXT NOT NULL);
    CREATE TABLE prompts (id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE chunks (
        part INTEGER NOT NULL, start INTEGER NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (part, start)
    ) WITHOUT ROWID;
    CREATE TABLE schedule (
        number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,
        due_at INTEGER NOT NULL, attempts INTEGER NOT NULL, effect TEXT NOT NULL
    );
    CREATE INDEX schedule_by_time ON schedule (due_at);
    CREATE TABLE requests (id TEXT PRIMARY KEY, body TEXT NOT NULL, prompt TEXT NOT NULL)
        WITHOUT ROWID;
    CREATE TABLE tickets (
        hash TEXT PRIMARY KEY, person TEXT NOT NULL, origin TEXT NOT NULL,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE seen (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX seen_by_time ON seen (at)
"];

/// Brings the object's tables to the newest version; harmless when they are there.
pub fn migrate(sql: &impl Sql) -> Result<(), SqlError> {
    sql.run(
        "CREATE TABLE IF NOT EXISTS meta (version INTEGER NOT NULL)",
        &[],
    )?;
    let rows = sql.run("SELECT version FROM meta", &[])?;
    let version = rows.first().map_or(Ok(0), |row| row.integer(0))?;
    for (number, step) in (1_i64..)
        .zip(STEPS)
        .skip_while(|(number, _)| *number <= version)
    {
        sql.transaction(&mut || {
            sql.run(step, &[])?;
            sql.run("DELETE FROM meta", &[])?;
            sql.run("INSERT INTO meta (version) VALUES (?)", &[number.into()])?;
            Ok(())
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::sql::native::NativeSql;

    #[test]
    fn migrating_twice_is_migrating_once() -> Result<(), SqlError> {
        let sql = NativeSql::in_memory();
        migrate(&sql)?;
        migrate(&sql)?;
        let rows = sql.run("SELECT version FROM meta", &[])?;
        assert_eq!(rows.len(), 1);
        Ok(())
    }
}
