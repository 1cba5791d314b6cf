-- Until when each person has looked at a session, or prompted in it.
CREATE TABLE seen (
    user INTEGER NOT NULL,
    session TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (user, session)
) WITHOUT ROWID;

-- Where words are looked for: title, repository and login, in lower case.
ALTER TABLE sessions ADD COLUMN search TEXT NOT NULL DEFAULT '';
UPDATE sessions SET search = lower(json_extract(summary, '$.title') || char(10) || repository
    || char(10) || json_extract(summary, '$.created_by.login'));

-- All that GitHub said a user reaches, when it was last asked for all of it.
CREATE TABLE repository_lists (
    user INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    repositories TEXT NOT NULL,
    listed_at INTEGER NOT NULL
);
