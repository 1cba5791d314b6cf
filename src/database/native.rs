//! A database as D1 has it, for tests of statements.

#![allow(clippy::unwrap_used, reason = "tests")]

use rusqlite::Connection;

/// All migrations, in order.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_init.sql"),
    include_str!("../../migrations/0002_images.sql"),
    include_str!("../../migrations/0003_tokens.sql"),
    include_str!("../../migrations/0004_github.sql"),
    include_str!("../../migrations/0005_loop.sql"),
    include_str!("../../migrations/0007_session_parents.sql"),
    include_str!("../../migrations/0008_lobby.sql"),
    include_str!("../../migrations/0009_slack.sql"),
    include_str!("../../migrations/0012_preferences.sql"),
    include_str!("../../migrations/0013_slack_tokens.sql"),
    include_str!("../../migrations/0014_slack_waits.sql"),
];

pub fn migrated() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database.pragma_update(None, "foreign_keys", true).unwrap();
    for migration in MIGRATIONS {
        database.execute_batch(migration).unwrap();
    }
    database
}
