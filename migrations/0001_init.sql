-- Users by GitHub's numeric id, since logins can be reassigned.
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    login TEXT NOT NULL,
    name TEXT NOT NULL,
    avatar TEXT NOT NULL,
    seen_at INTEGER NOT NULL
);

-- A user's GitHub token, sealed (AES-256-GCM, bound to table, row and column).
CREATE TABLE links (
    user INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    token TEXT NOT NULL,
    linked_at INTEGER NOT NULL
);

-- Signed-in browsers, by the digest of their cookie: a copy of this table signs nobody in.
CREATE TABLE logins (
    hash TEXT PRIMARY KEY,
    user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
);
CREATE INDEX logins_by_user ON logins (user);

-- What GitHub said of a user's access to a repository, believed for ten minutes.
CREATE TABLE access (
    user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    repository TEXT NOT NULL,
    default_branch TEXT NOT NULL,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (user, repository)
) WITHOUT ROWID;

-- The index that lists are made from. The truth of a session is in its own object.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    created_by INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0,
    summary TEXT NOT NULL
);
CREATE INDEX sessions_by_time ON sessions (archived, updated_at DESC, id);
CREATE INDEX sessions_by_repository ON sessions (repository, archived, updated_at DESC);

-- POST /api/sessions is idempotent by the client's own identifier, per user.
CREATE TABLE session_requests (
    user INTEGER NOT NULL,
    client_request_id TEXT NOT NULL,
    body TEXT NOT NULL,
    session TEXT NOT NULL,
    PRIMARY KEY (user, client_request_id)
) WITHOUT ROWID;
