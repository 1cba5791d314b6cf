-- Images, and the attempts to make them. The layers are with the runners.
CREATE TABLE images (
    id TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    branch TEXT NOT NULL,
    -- '' for the environment that the repository's own files describe.
    environment TEXT NOT NULL,
    -- requested, building, ready, unchanged, failed
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    forced INTEGER NOT NULL DEFAULT 0,
    -- The branch's head when it was asked for, if known; then the commit that it was made of.
    commit_hash TEXT,
    fingerprint TEXT,
    -- Who makes it.
    runner TEXT,
    requested_by TEXT,
    requested_at INTEGER NOT NULL,
    -- Not handed to a runner earlier than this.
    not_before INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    -- When its runner was last heard of it.
    reported_at INTEGER,
    finished_at INTEGER,
    message TEXT,
    runtime TEXT NOT NULL DEFAULT '{}',
    steps TEXT NOT NULL DEFAULT '[]',
    bytes INTEGER NOT NULL DEFAULT 0,
    log_bytes INTEGER NOT NULL DEFAULT 0
);
-- One build of a base at a time, and at most one that waits behind it.
CREATE UNIQUE INDEX images_under_way ON images (repository, branch, environment, state)
    WHERE state IN ('requested', 'building');
CREATE INDEX images_by_state ON images (state, not_before) WHERE state IN ('requested', 'building');
CREATE INDEX images_by_base ON images (repository, branch, environment, requested_at DESC);
CREATE INDEX images_by_time ON images (finished_at);

-- What the making of an image printed. Offsets count bytes.
CREATE TABLE image_logs (
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    offset INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (image, offset)
) WITHOUT ROWID;

-- Settings of repositories that have any.
CREATE TABLE repositories (
    repository TEXT PRIMARY KEY,
    settings TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

-- What sessions started from, so that images of it are kept new.
CREATE TABLE bases (
    repository TEXT NOT NULL,
    branch TEXT NOT NULL,
    environment TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    -- Of the branch on GitHub, and when that was last asked.
    head TEXT,
    checked_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (repository, branch, environment)
) WITHOUT ROWID;
CREATE INDEX bases_by_check ON bases (checked_at);

CREATE TABLE environments (
    repository TEXT NOT NULL,
    name TEXT NOT NULL,
    -- The branch that its status is about.
    branch TEXT NOT NULL,
    specification TEXT NOT NULL,
    -- [{"id", "login"}], empty for everybody with access to the repository.
    members TEXT NOT NULL,
    created_by INTEGER NOT NULL,
    created_by_login TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- Images that were started earlier are of another specification.
    specified_at INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
) WITHOUT ROWID;

-- Webhook deliveries that were acted on, so that a repetition is not.
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    received_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX deliveries_by_time ON deliveries (received_at);
