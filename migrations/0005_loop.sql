-- Issues and pull requests on which we were called: the session that works on it, and our comment.
CREATE TABLE threads (
    repository TEXT NOT NULL,
    number INTEGER NOT NULL,
    session TEXT,
    comment INTEGER,
    PRIMARY KEY (repository, number)
) WITHOUT ROWID;

-- The address that a person's commits have; without one, GitHub's own for the account.
ALTER TABLE users ADD COLUMN commit_email TEXT;
