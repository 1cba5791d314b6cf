-- Personal API tokens, by the digest of their secret: a copy of this table opens nothing.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- ["read", "write", "admin"] or some of them.
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    last_used_at INTEGER
);
CREATE INDEX tokens_by_user ON tokens (user, created_at);

-- What repositories keep secret, sealed (AES-256-GCM, bound to table, row, column and key).
CREATE TABLE secrets (
    repository TEXT NOT NULL,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    value TEXT NOT NULL,
    set_by INTEGER NOT NULL,
    set_at INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
) WITHOUT ROWID;

-- Who did what. Rows are only ever added, and leave by age alone.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    user INTEGER NOT NULL,
    login TEXT NOT NULL,
    means TEXT NOT NULL,
    deed TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT
);
CREATE INDEX audit_by_user ON audit (user, deed, at);
CREATE INDEX audit_by_time ON audit (at);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- 400 days: a year, and time to look at it.
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN OLD.at > (unixepoch() - 400 * 86400) * 1000
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- Whether GitHub lets the user push, believed as long as the rest of the row.
ALTER TABLE access ADD COLUMN may_write INTEGER NOT NULL DEFAULT 0;
