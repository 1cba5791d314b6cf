-- Bot tokens of Slack's that do not work any more, by their digests: since when, what Slack said, and
-- when it was asked last. A token that works has no row.
CREATE TABLE slack_lost_tokens (
    token TEXT PRIMARY KEY,
    lost_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    tried_at INTEGER NOT NULL
) WITHOUT ROWID;
