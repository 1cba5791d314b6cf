-- The session that one was forked from.
ALTER TABLE sessions ADD COLUMN parent TEXT;
CREATE INDEX sessions_by_parent ON sessions (parent, updated_at DESC) WHERE parent IS NOT NULL;
