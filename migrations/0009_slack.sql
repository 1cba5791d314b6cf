-- Who somebody in a Slack workspace is at GitHub, as they said by signing in.
CREATE TABLE slack_users (
    team TEXT NOT NULL,
    user TEXT NOT NULL,
    github INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (team, user)
) WITHOUT ROWID;
CREATE INDEX slack_users_by_github ON slack_users (github);

-- Invitations to link that were used: each is good once.
CREATE TABLE slack_invitations (
    nonce TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
