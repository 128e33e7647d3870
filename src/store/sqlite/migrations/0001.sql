-- Schema 1. Times are nanoseconds since 1970 in UTC. A `*_hash`, `record`, `person` or `version` is the first 16 bytes of a keyed hash
-- (HMAC-SHA-256 under the installation's hash key). A sealed blob begins with the id of the key that opens it (audit::Sealed). Numbers that
-- stand for words (state, outcome, …) are in names.rs. SQLite uses a partial index only for a query that repeats its WHERE term by term.

CREATE TABLE setting (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The sequenced truth of the audit log: canonical bytes of each entry, numbered from 0 without a gap, never changed.
CREATE TABLE leaf (
    seq   INTEGER NOT NULL PRIMARY KEY,
    bytes BLOB    NOT NULL
) STRICT;

-- Parts of entries that were too large to stand in them, by SHA-256.
CREATE TABLE leaf_part (
    digest BLOB NOT NULL PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT;

-- A key per person and retention class, wrapped under the master key. Destroying one is deleting its row: ids never come again.
-- The rows are appended; only the two small indexes are written all over.
CREATE TABLE person_key (
    id      INTEGER NOT NULL PRIMARY KEY,
    key_id  BLOB    NOT NULL UNIQUE,
    person  BLOB    NOT NULL,
    class   INTEGER NOT NULL,
    wrapped BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX person_key_person ON person_key (person, class);

-- Where reading a file stopped.
CREATE TABLE source_file (
    source TEXT    NOT NULL,
    file   TEXT    NOT NULL,
    cursor BLOB    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (source, file)
) STRICT, WITHOUT ROWID;

-- The left side of the conservation sum: counted when lines arrive, never from the rows.
CREATE TABLE source_day (
    id         INTEGER NOT NULL PRIMARY KEY,
    source     TEXT    NOT NULL,
    day        TEXT    NOT NULL,
    received   INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    UNIQUE (source, day)
) STRICT;

-- One account. Where nothing may be kept about it, `account` and the profile are null and only the hash stays.
CREATE TABLE identity (
    id               INTEGER NOT NULL PRIMARY KEY,
    hash             BLOB    NOT NULL UNIQUE,
    network          TEXT    NOT NULL,
    account          TEXT,
    needs_decision   INTEGER NOT NULL,
    work             INTEGER NOT NULL,
    profile_seen     INTEGER,            -- the newest time at which the profile was seen as it is
    profile_as_of    INTEGER,            -- since when it shows this: later for each change
    profile_audience INTEGER,
    profile_hash     BLOB,               -- tells whether it changed; null where the account showed nothing
    profile          BLOB                -- sealed
) STRICT;
CREATE INDEX identity_work ON identity (id) WHERE work = 1;

-- One thing that was said.
CREATE TABLE object (
    id       INTEGER NOT NULL PRIMARY KEY,
    hash     BLOB    NOT NULL UNIQUE,
    identity INTEGER NOT NULL REFERENCES identity,
    newest   INTEGER NOT NULL            -- its newest stored version
) STRICT;
CREATE INDEX object_identity ON object (identity);

-- One version of one object. Without content, only hashes, version and state stand here.
CREATE TABLE activity (
    id           INTEGER NOT NULL PRIMARY KEY,
    object       INTEGER NOT NULL REFERENCES object,
    version      BLOB    NOT NULL,
    identity     INTEGER NOT NULL,       -- its object's
    source_day   INTEGER NOT NULL,       -- when and whence it was received
    state        INTEGER NOT NULL,
    version_at   INTEGER NOT NULL,
    version_verb INTEGER NOT NULL,
    version_id   TEXT,
    content_hash BLOB    NOT NULL,
    received     INTEGER NOT NULL,
    sealed       BLOB,
    UNIQUE (object, version)
) STRICT;
CREATE INDEX activity_count ON activity (source_day, state);
CREATE INDEX activity_waiting ON activity (identity, state) WHERE state IN (0, 1);

-- A line that is no activity, or that contradicts one.
CREATE TABLE parked_line (
    id           INTEGER NOT NULL PRIMARY KEY,
    source_day   INTEGER NOT NULL,
    source       TEXT    NOT NULL,
    file         TEXT    NOT NULL,
    file_digest  BLOB    NOT NULL,
    line         INTEGER NOT NULL,
    code         TEXT    NOT NULL,
    message      TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    form         INTEGER NOT NULL,       -- 0: the line as read, 1: an activity
    version      BLOB,                   -- of a contradicting activity, so that its repeat is known
    content_hash BLOB,
    sealed       BLOB,
    UNIQUE (source, file_digest, line)
) STRICT;
CREATE INDEX parked_line_count ON parked_line (source_day);
CREATE UNIQUE INDEX parked_line_version ON parked_line (version, content_hash) WHERE version IS NOT NULL;

-- Every decision that was taken; the one in force is `current`.
CREATE TABLE decision (
    id              INTEGER NOT NULL PRIMARY KEY,
    identity        INTEGER NOT NULL REFERENCES identity,
    current         INTEGER NOT NULL,
    outcome         INTEGER NOT NULL,
    by_kind         INTEGER,             -- 0 rule, 1 model, 2 person
    by_rule         TEXT,
    customer        TEXT,
    basis           TEXT,
    probability     REAL    NOT NULL,
    match_weight    REAL    NOT NULL,
    reference       BLOB    NOT NULL,
    evidence_digest BLOB    NOT NULL,
    mapping         BLOB    NOT NULL,
    at              INTEGER NOT NULL,
    candidates      TEXT                 -- JSON array of customer ids, best first
) STRICT;
CREATE UNIQUE INDEX decision_current ON decision (identity) WHERE current = 1;
CREATE INDEX decision_earlier ON decision (identity) WHERE current = 0;

-- Where a decision's evidence stands: the number of its entry in `leaf`, eight bytes, the highest first.
CREATE TABLE evidence (
    decision INTEGER NOT NULL PRIMARY KEY REFERENCES decision ON DELETE CASCADE,
    sealed   BLOB    NOT NULL
) STRICT;

CREATE TABLE link (
    id       INTEGER NOT NULL PRIMARY KEY,
    identity INTEGER NOT NULL REFERENCES identity,
    customer TEXT    NOT NULL,
    decision INTEGER NOT NULL,
    by       TEXT    NOT NULL,
    basis    TEXT,
    since    INTEGER NOT NULL,
    ended    INTEGER
) STRICT;
CREATE UNIQUE INDEX link_in_force ON link (identity) WHERE ended IS NULL;
CREATE INDEX link_customer ON link (customer) WHERE ended IS NULL;

-- The outbox. `record` hashes target, operation and record key: deliveries about one record leave in the order of their ids.
CREATE TABLE delivery (
    id          INTEGER NOT NULL PRIMARY KEY,
    identity    INTEGER NOT NULL REFERENCES identity,
    activity    INTEGER REFERENCES activity,
    decision    INTEGER,
    state       INTEGER NOT NULL,
    open        INTEGER NOT NULL,        -- 1 while planned, sending or unknown
    target      TEXT    NOT NULL,
    entry       TEXT    NOT NULL,
    operation   TEXT    NOT NULL,
    intent      INTEGER NOT NULL,
    record      BLOB    NOT NULL,
    idempotency BLOB    NOT NULL UNIQUE,
    attempt     INTEGER NOT NULL,
    not_before  INTEGER,
    effect      INTEGER,
    code        TEXT,
    reason      TEXT,
    customer    TEXT,
    sealed      BLOB    NOT NULL
) STRICT;
CREATE INDEX delivery_identity ON delivery (identity);
CREATE INDEX delivery_activity ON delivery (activity) WHERE activity IS NOT NULL;
CREATE INDEX delivery_open ON delivery (record, id) WHERE open = 1;
CREATE INDEX delivery_state ON delivery (state, target);

-- Records that stand in a target, or whose write is planned: the newest delivery that wrote each.
CREATE TABLE written (
    identity INTEGER NOT NULL REFERENCES identity,
    record   BLOB    NOT NULL,
    delivery INTEGER NOT NULL,
    PRIMARY KEY (identity, record)
) STRICT, WITHOUT ROWID;

-- Customers of the last complete read.
CREATE TABLE customer (
    source  TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    digest  BLOB    NOT NULL,
    retired INTEGER NOT NULL,
    PRIMARY KEY (source, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE customer_read (
    source      TEXT NOT NULL PRIMARY KEY,
    read_digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
