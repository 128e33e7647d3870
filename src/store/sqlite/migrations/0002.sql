-- Schema 2: delivery under limits. What an endpoint asks for, what was spent of its quotas, why attempts failed, what became of dead letters.

-- 0 urgent, 1 normal, 2 low.
ALTER TABLE delivery ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
-- Failures that count towards giving up; an endpoint that was away counts for none.
ALTER TABLE delivery ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
-- It travels with at most so many others: halved each time a batch with it was refused as a whole.
ALTER TABLE delivery ADD COLUMN part INTEGER;
-- When its state last changed.
ALTER TABLE delivery ADD COLUMN changed_at INTEGER;
-- The rule that dropped it, as an activity's state has it.
ALTER TABLE delivery ADD COLUMN dropped_by INTEGER;
DROP INDEX delivery_state;
CREATE INDEX delivery_state ON delivery (target, state, priority);

-- Attempts that failed, with what travelled (sealed).
CREATE TABLE attempt (
    delivery INTEGER NOT NULL REFERENCES delivery,
    number   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    class    TEXT    NOT NULL,
    code     TEXT    NOT NULL,
    message  TEXT    NOT NULL,
    sealed   BLOB,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- What an endpoint asked for, and whether it is left alone. One without a row is well.
CREATE TABLE endpoint (
    name         TEXT    NOT NULL PRIMARY KEY,
    waits_until  INTEGER,
    wait_code    TEXT,
    wait_reason  TEXT,
    failures     INTEGER NOT NULL,       -- sends that failed in a row
    rests_until  INTEGER,                -- the breaker is open until then; then one record may try
    rests        INTEGER NOT NULL,       -- how often in a row it was opened
    rest_code    TEXT,
    rest_reason  TEXT,
    changed_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was spent of each quota: the theoretical arrival time of the generic cell rate algorithm. `operation` is '' for the whole endpoint.
CREATE TABLE spent (
    endpoint       TEXT    NOT NULL,
    operation      TEXT    NOT NULL,
    window_seconds INTEGER NOT NULL,
    until          INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    PRIMARY KEY (endpoint, operation, window_seconds)
) STRICT, WITHOUT ROWID;

-- 0 parked, 1 replayed, 2 dropped by a person.
ALTER TABLE parked_line ADD COLUMN state INTEGER NOT NULL DEFAULT 0;
ALTER TABLE parked_line ADD COLUMN changed_at INTEGER;
