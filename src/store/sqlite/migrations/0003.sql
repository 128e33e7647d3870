-- Schema 3: people's rights and the retention clocks.

-- Who is not matched again. `person` is the keyed hash of an account or a customer.
CREATE TABLE suppressed (
    person BLOB    NOT NULL PRIMARY KEY,
    kind   INTEGER NOT NULL,             -- 0 an account, 1 a customer
    reason INTEGER NOT NULL,             -- 0 erasure, 1 objection
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whose data stand still. A customer's hold covers the accounts that were linked to it: `placed_for` is whom it was placed for.
CREATE TABLE hold (
    person     BLOB    NOT NULL,
    placed_for BLOB    NOT NULL,
    matter     TEXT,
    author     TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (person, placed_for)
) STRICT, WITHOUT ROWID;

-- A basis that a person took back.
CREATE TABLE withdrawn (
    person BLOB    NOT NULL,
    basis  TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (person, basis)
) STRICT, WITHOUT ROWID;

-- Erasures and objections on their way: stopped, then withdrawn from the CRM, then done.
CREATE TABLE removal (
    id            INTEGER NOT NULL PRIMARY KEY,
    request       BLOB    NOT NULL,      -- what was asked together
    person        BLOB    NOT NULL,
    identity      INTEGER,               -- null for a customer, and for an account that was never seen
    reason        INTEGER NOT NULL,      -- as in `suppressed`
    phase         INTEGER NOT NULL,      -- 0 stopped, 1 being withdrawn, 2 done
    begun         INTEGER NOT NULL,
    ended         INTEGER,
    from_delivery INTEGER NOT NULL,      -- its withdrawals have greater numbers
    records       INTEGER NOT NULL,      -- stored records that were removed
    keys          INTEGER NOT NULL,      -- keys that were destroyed
    lines         INTEGER,               -- lines taken out of files; null until the files were looked through
    certificate   TEXT,                  -- JSON, without personal data
    entry         INTEGER                -- the log's entry that tells it
) STRICT;
CREATE INDEX removal_open ON removal (id) WHERE phase < 2;
CREATE INDEX removal_identity ON removal (identity) WHERE identity IS NOT NULL;
CREATE INDEX removal_person ON removal (person);

-- Values of accounts that Kith itself wrote to a customer: a keyed hash of customer, field and value.
CREATE TABLE wrote (
    hash     BLOB    NOT NULL PRIMARY KEY,
    identity INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX wrote_identity ON wrote (identity);

-- Who was told by a notice (GDPR Art. 14).
CREATE TABLE noticed (
    identity INTEGER NOT NULL PRIMARY KEY,
    at       INTEGER NOT NULL
) STRICT;

-- When something of the account was last received: the clocks count from it.
ALTER TABLE identity ADD COLUMN received INTEGER;
UPDATE identity SET received = (SELECT max(a.received) FROM object o JOIN activity a ON a.object = o.id WHERE o.identity = identity.id);
CREATE INDEX identity_received ON identity (received) WHERE account IS NOT NULL;
CREATE INDEX activity_kept ON activity (received) WHERE sealed IS NOT NULL;
-- Fields that a person corrected, sealed: they stand above what the network shows.
ALTER TABLE identity ADD COLUMN rectified BLOB;

-- Since when the clock knows a key, and 0 while it seals, else the key's own number: then it only opens.
ALTER TABLE person_key ADD COLUMN minted INTEGER;
ALTER TABLE person_key ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
DROP INDEX person_key_person;
CREATE UNIQUE INDEX person_key_person ON person_key (person, class, closed);
CREATE INDEX person_key_minted ON person_key (class, minted);

-- The basis as the mapping said it when the link was made.
ALTER TABLE link ADD COLUMN law TEXT;
ALTER TABLE link ADD COLUMN purpose TEXT;
ALTER TABLE link ADD COLUMN basis_since TEXT;
ALTER TABLE link ADD COLUMN record TEXT;
