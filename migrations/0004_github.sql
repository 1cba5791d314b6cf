-- Webhook deliveries: what was received, done or failed. Those from before are done.
ALTER TABLE deliveries ADD COLUMN event TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN state TEXT NOT NULL DEFAULT 'done';
ALTER TABLE deliveries ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
-- When its state last changed.
ALTER TABLE deliveries ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
-- Somebody sees to it until then.
ALTER TABLE deliveries ADD COLUMN leased_until INTEGER NOT NULL DEFAULT 0;
-- Why it failed the last time.
ALTER TABLE deliveries ADD COLUMN message TEXT;
CREATE INDEX deliveries_to_do ON deliveries (changed_at) WHERE state <> 'done';

-- What was delivered, as it was signed, until it is done: in pieces, since a row has a limit.
CREATE TABLE delivery_bodies (
    delivery TEXT NOT NULL,
    piece INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (delivery, piece)
) WITHOUT ROWID;

-- What GitHub was asked to deliver again, and when last.
CREATE TABLE redeliveries (
    delivery TEXT PRIMARY KEY,
    asked_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Which installation of the App reaches which repository; what is not here is asked for.
CREATE TABLE installations (
    repository TEXT PRIMARY KEY,
    installation INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX installations_by_number ON installations (installation);

-- Pull requests of connected repositories, everybody's: those of a session's are ours.
CREATE TABLE pull_requests (
    repository TEXT NOT NULL,
    number INTEGER NOT NULL,
    branch TEXT NOT NULL,
    -- The commit at its head.
    head TEXT NOT NULL DEFAULT '',
    -- draft, open, merged, closed
    state TEXT NOT NULL,
    -- GitHub's number of its author there.
    author INTEGER,
    session TEXT,
    -- Who prompted for it, where from.
    opened_by INTEGER,
    source TEXT,
    opened_at INTEGER NOT NULL,
    -- GitHub's, so that an older delivery does not undo a newer one.
    updated_at INTEGER NOT NULL,
    merged_at INTEGER,
    closed_at INTEGER,
    -- When somebody who is not its author, nor a bot, first did something about it.
    first_response_at INTEGER,
    approvals INTEGER NOT NULL DEFAULT 0,
    changes_requested INTEGER NOT NULL DEFAULT 0,
    -- Whether the newest verdict is an approval; absent until there is one.
    approved INTEGER,
    -- Pushes after the first review.
    revisions INTEGER NOT NULL DEFAULT 0,
    additions INTEGER NOT NULL DEFAULT 0,
    deletions INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (repository, number)
) WITHOUT ROWID;
CREATE INDEX pull_requests_by_opening ON pull_requests (opened_at);
CREATE INDEX pull_requests_by_merge ON pull_requests (merged_at) WHERE merged_at IS NOT NULL;
CREATE INDEX pull_requests_by_session ON pull_requests (session) WHERE session IS NOT NULL;
CREATE INDEX pull_requests_by_head ON pull_requests (repository, head) WHERE session IS NOT NULL;

CREATE TABLE reviews (
    repository TEXT NOT NULL,
    number INTEGER NOT NULL,
    -- GitHub's number of the review.
    review INTEGER NOT NULL,
    reviewer INTEGER NOT NULL,
    login TEXT NOT NULL,
    -- approved, changes_requested, commented, dismissed
    state TEXT NOT NULL,
    submitted_at INTEGER NOT NULL,
    PRIMARY KEY (repository, number, review)
) WITHOUT ROWID;

-- Commits that were pull requests' heads, and since when.
CREATE TABLE pull_request_heads (
    repository TEXT NOT NULL,
    number INTEGER NOT NULL,
    head TEXT NOT NULL,
    pushed_at INTEGER NOT NULL,
    PRIMARY KEY (repository, number, head)
) WITHOUT ROWID;

-- One row for each prompt, for figures. The texts are with the sessions.
CREATE TABLE prompts (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL,
    repository TEXT NOT NULL,
    author INTEGER NOT NULL,
    source TEXT NOT NULL,
    prompted_at INTEGER NOT NULL,
    first_token_ms INTEGER,
    -- completed, stopped, failed; absent until it ended
    outcome TEXT,
    cost_microdollars INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX prompts_by_time ON prompts (prompted_at);
CREATE INDEX prompts_by_session ON prompts (session);
