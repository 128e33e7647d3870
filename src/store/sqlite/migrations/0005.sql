-- Schema 5: mappings that were released.

-- What a release says: the mapping's file and the files that it names, as they were read.
CREATE TABLE mapping_text (
    hash    BLOB NOT NULL PRIMARY KEY,   -- SHA-256 over the digests of mapping and model
    mapping BLOB NOT NULL,               -- the mapping's digest, as decisions name it
    model   BLOB,                        -- the linkage model's
    name    TEXT NOT NULL,
    path    TEXT NOT NULL,
    text    TEXT NOT NULL,
    named   TEXT NOT NULL                -- JSON array of [path as the mapping writes it, path, text]
) STRICT;
-- What came into force, in order. A row is never changed.
CREATE TABLE release (
    id     INTEGER NOT NULL PRIMARY KEY,
    hash   BLOB    NOT NULL REFERENCES mapping_text,
    how    INTEGER NOT NULL,             -- 0 the first start, 1 released, 2 rolled back, 3 taken over at a start or reload
    author TEXT    NOT NULL,
    note   TEXT,
    at     INTEGER NOT NULL
) STRICT;
