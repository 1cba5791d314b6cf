//! The tables of a Durable Object, by version. A step is never changed once it has shipped: a new
//! one follows it, since objects of every age come back to life under the newest code.

use super::sql::{Sql, SqlError};

/// Brings the object's tables to the newest version; harmless when they are there.
pub fn migrate(sql: &impl Sql, steps: &[&str]) -> Result<(), SqlError> {
    sql.run(
        "CREATE TABLE IF NOT EXISTS meta (version INTEGER NOT NULL)",
        &[],
    )?;
    let rows = sql.run("SELECT version FROM meta", &[])?;
    let version = rows.first().map_or(Ok(0), |row| row.integer(0))?;
    for (number, step) in (1_i64..)
        .zip(steps)
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
    fn each_step_is_taken_once() -> Result<(), SqlError> {
        let sql = NativeSql::in_memory();
        let first = "CREATE TABLE a (id INTEGER)";
        migrate(&sql, &[first])?;
        migrate(&sql, &[first, "ALTER TABLE a ADD COLUMN name TEXT"])?;
        migrate(&sql, &[first, "ALTER TABLE a ADD COLUMN name TEXT"])?;
        sql.run("SELECT id, name FROM a", &[])?;
        let rows = sql.run("SELECT version FROM meta", &[])?;
        assert_eq!(rows.len(), 1);
        Ok(())
    }
}
