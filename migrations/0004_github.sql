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
