-- Removes old rows of the ledger, a few thousand at a time so that no lock escalates. For a DBA's job, not for Kith's login (it may not delete here).
--
-- How long rows must stay: longer than any delivery may be sent again. That is the age of the oldest delivery that waits, is parked and may be retried,
-- or would come back with a restored backup of Kith's state. 180 days are ample for most; a row takes some 70 bytes, a million of them 70 MB.
-- A ledger that forgets too early is no disaster for tables (the record is found by its key and stands so already), but a procedure without an idempotency
-- key of its own may do its work twice.
-- kith.RecordState is never cleaned up: without its row, every field of the record counts as the CRM's own.

DECLARE @before datetime2 = DATEADD(day, -180, SYSUTCDATETIME());
DECLARE @removed int = 1;
WHILE @removed > 0
BEGIN
    DELETE TOP (4000) FROM kith.DeliveryLedger WHERE written_at < @before;
    SET @removed = @@ROWCOUNT;
END
GO
