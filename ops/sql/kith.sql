-- Kith's own objects in a CRM's database: one schema, two tables, one role. Nothing else is touched, and Kith never runs this itself.
-- For a DBA: read it, then run it in the CRM's database (`USE Crm` first). It may be run again at any time: what is there stays.
-- SQL Server 2016 or later, Azure SQL; the batches that need more than other T-SQL engines have stand alone and say so.

-- A schema of their own, so that rights can be seen at a glance. CREATE SCHEMA must be a batch's first statement, hence EXEC.
IF NOT EXISTS (SELECT 1 FROM sys.schemas WHERE name = N'kith')
    EXEC (N'CREATE SCHEMA kith');
GO

-- What became of each delivery, written in the delivery's own transaction: a write whose answer was lost is settled by a look-up, and a delivery
-- that comes again finds its key taken. No personal data: a SHA-256 and a number.
IF NOT EXISTS (SELECT 1 FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id WHERE s.name = N'kith' AND t.name = N'DeliveryLedger')
    CREATE TABLE kith.DeliveryLedger (
        idempotency_key varbinary(32) NOT NULL,     -- SHA-256 of what is delivered: entry, record and version
        outcome         tinyint       NOT NULL,     -- 0 stood so already, 1 inserted, 2 updated, 3 removed, 4 fields emptied
        written_at      datetime2     NOT NULL CONSTRAINT DF_DeliveryLedger_written_at DEFAULT SYSUTCDATETIME(),
        CONSTRAINT PK_DeliveryLedger PRIMARY KEY (idempotency_key)
    );
GO

-- For the clean-up (clean-up.sql) alone: Kith itself looks by key. Found by its column: not every engine keeps an index's name as it was given.
IF NOT EXISTS (SELECT 1 FROM sys.index_columns AS i JOIN sys.columns AS c ON c.object_id = i.object_id AND c.column_id = i.column_id
               WHERE i.object_id = OBJECT_ID(N'kith.DeliveryLedger') AND c.name = N'written_at')
    CREATE INDEX IX_DeliveryLedger_written_at ON kith.DeliveryLedger (written_at);
GO

-- What Kith wrote last about each record of an operation with `compare`: digests by field, 12 bytes each, so that an edit in the CRM is told from
-- a write of Kith's own. No values: they stand in the CRM's row.
IF NOT EXISTS (SELECT 1 FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id WHERE s.name = N'kith' AND t.name = N'RecordState')
    CREATE TABLE kith.RecordState (
        record_hash varbinary(32)   NOT NULL,       -- SHA-256 of table and record key
        fields      varbinary(8000) NOT NULL,       -- 4 bytes of the field's name, 8 bytes of its value, for each field
        written_at  datetime2       NOT NULL CONSTRAINT DF_RecordState_written_at DEFAULT SYSUTCDATETIME(),
        CONSTRAINT PK_RecordState PRIMARY KEY (record_hash)
    );
GO

-- The role of Kith's login. login.sql puts a user into it.
IF NOT EXISTS (SELECT 1 FROM sys.database_principals WHERE name = N'kith_writer')
    CREATE ROLE kith_writer;
GO

-- The ledger only grows: Kith may add and read, never change or remove.
GRANT SELECT, INSERT ON kith.DeliveryLedger TO kith_writer;
GO
-- The state of a record is replaced by removing and adding.
GRANT SELECT, INSERT, DELETE ON kith.RecordState TO kith_writer;
GO

-- Rights on the CRM's own objects: exactly those that the target file's operations need, object by object (social.sql and service-request.sql do it
-- for theirs). `kith doctor` names each one that is lacking.
--
--   every operation with a table    GRANT SELECT ON dbo.X TO kith_writer;
--   write: upsert                   GRANT INSERT, UPDATE ON dbo.X TO kith_writer;
--   write: insert_only              GRANT INSERT ON dbo.X TO kith_writer;
--   write: update_only              GRANT UPDATE ON dbo.X TO kith_writer;
--   on_delete: remove               GRANT DELETE ON dbo.X TO kith_writer;      with soft_delete UPDATE instead
--   on_delete: { blank: […] }       GRANT UPDATE ON dbo.X TO kith_writer;
--   procedure                       GRANT EXECUTE ON crm.P TO kith_writer;     and nothing on the tables behind it
--
-- Columns, keys and types of a table are seen by whoever may read it. VIEW DEFINITION is not needed.
