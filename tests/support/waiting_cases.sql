-- 50,000 accounts that wait for a person, as a year of waiting would leave them: copies of one that waits.
PRAGMA foreign_keys = off;
BEGIN;
WITH RECURSIVE n (i) AS (SELECT 1000000 UNION ALL SELECT i + 1 FROM n WHERE i < 1049999)
INSERT INTO identity (id, hash, network, account, needs_decision, work)
SELECT i, randomblob(16), 'mastodon', 'https://mastodon.example/users/w' || i, 0, 0 FROM n;
INSERT INTO decision (identity, current, outcome, by_kind, customer, probability, match_weight, reference, evidence_digest, mapping, at, candidates)
SELECT i.id, 1, 2, 1, 'A000001', (i.id % 997) / 997.0, 3.5, d.reference, d.evidence_digest, d.mapping, d.at, d.candidates
FROM identity i, (SELECT * FROM decision WHERE outcome = 2 LIMIT 1) d WHERE i.id >= 1000000;
INSERT INTO object (id, hash, identity, newest) SELECT i.id, randomblob(16), i.id, i.id FROM identity i WHERE i.id >= 1000000;
INSERT INTO activity (id, object, version, identity, source_day, state, version_at, version_verb, content_hash, received)
SELECT o.id, o.id, randomblob(16), o.identity, 1, 1, 0, 0, randomblob(32), 0 FROM object o WHERE o.id >= 1000000;
COMMIT;
