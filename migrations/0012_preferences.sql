-- What somebody's sessions begin with where nothing else is said, by their user at GitHub.
CREATE TABLE preferences (
    user INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    model TEXT,
    branch TEXT
);
