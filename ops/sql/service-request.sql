-- A sample of procedures that Kith calls in place of writing a table: the CRM's own rules stay in the CRM. It fits the operation
-- create_service_request of connectors/targets/sqlserver.yaml. Idempotent but for the procedures, which are made anew.
--
-- What Kith asks of a procedure: it leaves the transaction as it found it (no COMMIT, no ROLLBACK: raise an error instead), it takes the idempotency key
-- where it can, and it says by its return code what became of the record.

IF NOT EXISTS (SELECT 1 FROM sys.schemas WHERE name = N'crm')
    EXEC (N'CREATE SCHEMA crm');
GO

IF NOT EXISTS (SELECT 1 FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id WHERE s.name = N'crm' AND t.name = N'ServiceRequest')
    CREATE TABLE crm.ServiceRequest (
        ServiceRequestID bigint        NOT NULL IDENTITY(1, 1),
        ContactId        nvarchar(64)  NOT NULL,
        Abstract         nvarchar(250) NULL,
        PostURL          varchar(1600) COLLATE Latin1_General_BIN2 NOT NULL,
        Priority         int           NULL,
        OrderNumber      nvarchar(64)  NULL,
        DeliveryKey      char(64)      NULL,
        Closed           bit           NOT NULL CONSTRAINT DF_ServiceRequest_Closed DEFAULT 0,
        CONSTRAINT PK_ServiceRequest PRIMARY KEY (ServiceRequestID),
        CONSTRAINT UQ_ServiceRequest_PostURL UNIQUE (PostURL)
    );
GO

IF EXISTS (SELECT 1 FROM sys.procedures AS p JOIN sys.schemas AS s ON s.schema_id = p.schema_id WHERE s.name = N'crm' AND p.name = N'AddSocialServiceRequest')
    DROP PROCEDURE crm.AddSocialServiceRequest;
GO

-- Returns 0: made or changed; 1: this very delivery was there already; 2: the request is closed and stays as it is.
CREATE PROCEDURE crm.AddSocialServiceRequest
    @ContactId   nvarchar(64),
    @Abstract    nvarchar(250) = NULL,
    @PostURL     varchar(1600),
    @Priority    int = NULL,
    @OrderNumber nvarchar(64) = NULL,
    @DeliveryKey char(64) = NULL
AS
BEGIN
    SET NOCOUNT ON;
    IF EXISTS (SELECT 1 FROM crm.ServiceRequest WHERE PostURL = @PostURL AND DeliveryKey = @DeliveryKey)
        RETURN 1;
    IF EXISTS (SELECT 1 FROM crm.ServiceRequest WHERE PostURL = @PostURL AND Closed = 1)
        RETURN 2;
    UPDATE crm.ServiceRequest
    SET ContactId = @ContactId, Abstract = @Abstract, Priority = @Priority, OrderNumber = @OrderNumber, DeliveryKey = @DeliveryKey
    WHERE PostURL = @PostURL;
    -- Two callers may both come here: the unique key refuses the second one, and Kith calls again.
    IF @@ROWCOUNT = 0
        INSERT INTO crm.ServiceRequest (ContactId, Abstract, PostURL, Priority, OrderNumber, DeliveryKey)
        VALUES (@ContactId, @Abstract, @PostURL, @Priority, @OrderNumber, @DeliveryKey);
    RETURN 0;
END
GO

IF EXISTS (SELECT 1 FROM sys.procedures AS p JOIN sys.schemas AS s ON s.schema_id = p.schema_id WHERE s.name = N'crm' AND p.name = N'BlankSocialServiceRequest')
    DROP PROCEDURE crm.BlankSocialServiceRequest;
GO

-- Empties the person's words when they withdraw them; the request stays. Returns 0: done; 1: there is none.
CREATE PROCEDURE crm.BlankSocialServiceRequest
    @PostURL     varchar(1600),
    @Abstract    nvarchar(250) = NULL,
    @DeliveryKey char(64) = NULL
AS
BEGIN
    SET NOCOUNT ON;
    UPDATE crm.ServiceRequest SET Abstract = @Abstract WHERE PostURL = @PostURL;
    IF @@ROWCOUNT = 0
        RETURN 1;
    RETURN 0;
END
GO

GRANT EXECUTE ON crm.AddSocialServiceRequest TO kith_writer;
GO
GRANT EXECUTE ON crm.BlankSocialServiceRequest TO kith_writer;
GO
