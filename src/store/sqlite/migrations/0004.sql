-- Schema 4: what people decide.

-- What people said about whose an account is. A row is never changed but for `latest` and `in_force`.
CREATE TABLE verdict (
    id       INTEGER NOT NULL PRIMARY KEY,
    identity INTEGER NOT NULL REFERENCES identity,
    said     INTEGER NOT NULL,           -- 0 this customer, 1 none of the candidates, 2 can't tell
    customer TEXT,                       -- whose it is, with 0
    rejected TEXT,                       -- JSON array of the candidates as they were, with 1
    author   TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    entry    INTEGER NOT NULL,           -- the log's entry that tells it, with the reason
    latest   INTEGER NOT NULL,           -- 1 while its author said nothing later about the account
    in_force INTEGER NOT NULL            -- 1 while decisions follow it
) STRICT;
CREATE INDEX verdict_identity ON verdict (identity);
CREATE INDEX verdict_latest ON verdict (identity) WHERE latest = 1;
CREATE UNIQUE INDEX verdict_in_force ON verdict (identity) WHERE in_force = 1;
-- The queue of reviews, with what orders it.
CREATE INDEX decision_review ON decision (identity, probability) WHERE current = 1 AND outcome = 2;

-- Sources and targets that a person stopped.
CREATE TABLE paused (
    part   INTEGER NOT NULL,             -- 0 source, 1 target
    name   TEXT    NOT NULL,
    author TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (part, name)
) STRICT, WITHOUT ROWID;

-- Passes that would change more than a guard allows, and what a person said to each.
CREATE TABLE guarded (
    id         INTEGER NOT NULL PRIMARY KEY,
    matter     INTEGER NOT NULL,         -- 0 retire, 1 relink, 2 delete, 3 first writes
    place      TEXT    NOT NULL,         -- what is read or written
    subject    BLOB    NOT NULL,         -- the digest of what was read; empty where nothing was read
    found      INTEGER NOT NULL,         -- would change
    whole      INTEGER NOT NULL,         -- of so many
    allowed    INTEGER NOT NULL,         -- so many would pass
    examples   TEXT,                     -- JSON array of customer ids
    last       INTEGER NOT NULL,         -- the newest activity that it is about
    state      INTEGER NOT NULL,         -- 0 waits, 1 approved, 2 rejected, 3 done or overtaken
    at         INTEGER NOT NULL,
    author     TEXT,
    settled_at INTEGER
) STRICT;
CREATE INDEX guarded_open ON guarded (matter, place) WHERE state < 3;

-- The log's entry that tells what a delivery that arrived changed; null for what arrived before this schema.
ALTER TABLE delivery ADD COLUMN receipt INTEGER;
-- Deliveries that put something back, and those that they took back: neither is put back again.
CREATE TABLE undone (
    idempotency BLOB    NOT NULL PRIMARY KEY,
    at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
