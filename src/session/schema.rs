//! The tables of a session, by version (see [`migration`]).

use crate::platform::migration;
use crate::platform::sql::{Sql, SqlError};

const STEPS: &[&str] = &[
    "
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
    ",
    "
    CREATE TABLE contacts (
        epoch INTEGER NOT NULL, host TEXT NOT NULL, kind TEXT NOT NULL, verdict TEXT NOT NULL,
        json TEXT NOT NULL, PRIMARY KEY (epoch, host, kind, verdict)
    ) WITHOUT ROWID
",
    "
    CREATE TABLE artifacts (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL,
        name TEXT NOT NULL, bytes INTEGER NOT NULL, json TEXT NOT NULL
    );
    CREATE INDEX artifacts_by_digest ON artifacts (sha256)
    ",
    "
    CREATE TABLE kept (prompt TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID
",
    "
    CREATE TABLE onlookers (
        user INTEGER PRIMARY KEY, person TEXT NOT NULL, until INTEGER NOT NULL
    )
",
];

/// Brings the object's tables to the newest version.
pub fn migrate(sql: &impl Sql) -> Result<(), SqlError> {
    migration::migrate(sql, STEPS)
}
