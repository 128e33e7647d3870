-- Tables for what Kith delivers, where the CRM has none of its own: they fit connectors/targets/sqlserver.yaml as it is. Idempotent.
-- A CRM with tables of its own needs none of this: `kith connector init sqlserver --table dbo.X` writes a target file for those.
--
-- Ids of posts and profiles are told apart to the letter (a YouTube id differs from another by case alone), so their columns have a binary collation.
-- They are ASCII by the networks' rules: varchar, which keeps the keys below the 1,700 bytes of an index.

IF NOT EXISTS (SELECT 1 FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id WHERE s.name = N'dbo' AND t.name = N'SocialProfile')
    CREATE TABLE dbo.SocialProfile (
        SocialProfileID bigint        NOT NULL IDENTITY(1, 1),
        CustomerID      nvarchar(64)  NOT NULL,
        Network         varchar(32)   NOT NULL,
        Handle          nvarchar(255) NOT NULL,
        Basis           nvarchar(64)  NOT NULL,
        LinkedBy        nvarchar(64)  NULL,
        MatchWeight     float         NULL,
        RowVer          rowversion    NOT NULL,
        CONSTRAINT PK_SocialProfile PRIMARY KEY (SocialProfileID),
        CONSTRAINT UQ_SocialProfile UNIQUE (CustomerID, Network, Handle)
    );
GO

IF NOT EXISTS (SELECT 1 FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id WHERE s.name = N'dbo' AND t.name = N'SocialInteraction')
    CREATE TABLE dbo.SocialInteraction (
        SocialInteractionID bigint         NOT NULL IDENTITY(1, 1),
        CustomerID          nvarchar(64)   NOT NULL,
        Network             varchar(32)    NOT NULL,
        ActivityID          varchar(1024)  COLLATE Latin1_General_BIN2 NOT NULL,
        ConversationID      nvarchar(1024) NULL,
        InReplyTo           nvarchar(1024) NULL,
        Audience            varchar(16)    NULL,
        PostedAt            datetime2(3)   NULL,       -- UTC
        PostURL             nvarchar(2048) NULL,
        Body                nvarchar(4000) NULL,
        Topic               nvarchar(64)   NULL,
        Priority            int            NULL,
        OrderNumber         nvarchar(64)   NULL,
        MappingHash         varchar(64)    NULL,
        RowVer              rowversion     NOT NULL,   -- what `compare: row_version` goes by
        CONSTRAINT PK_SocialInteraction PRIMARY KEY (SocialInteractionID),
        CONSTRAINT UQ_SocialInteraction UNIQUE (Network, ActivityID)
    );
GO

-- How the CRM finds a customer's interactions, newest first. Where an index begins with the customer already, it is enough.
IF NOT EXISTS (SELECT 1 FROM sys.index_columns AS i JOIN sys.columns AS c ON c.object_id = i.object_id AND c.column_id = i.column_id
               WHERE i.object_id = OBJECT_ID(N'dbo.SocialInteraction') AND c.name = N'CustomerID' AND i.index_column_id = 1)
    CREATE INDEX IX_SocialInteraction_Customer ON dbo.SocialInteraction (CustomerID, PostedAt);
GO

IF NOT EXISTS (SELECT 1 FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id WHERE s.name = N'dbo' AND t.name = N'SocialLead')
    CREATE TABLE dbo.SocialLead (
        SocialLeadID bigint        NOT NULL IDENTITY(1, 1),
        Network      varchar(32)   NOT NULL,
        PostURL      varchar(1600) COLLATE Latin1_General_BIN2 NOT NULL,
        PostedAt     datetime2(3)  NULL,               -- UTC
        Topic        nvarchar(64)  NULL,
        AssignedTo   nvarchar(128) NULL,               -- the CRM's own: Kith never writes it
        CONSTRAINT PK_SocialLead PRIMARY KEY (SocialLeadID),
        CONSTRAINT UQ_SocialLead UNIQUE (Network, PostURL)
    );
GO

GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.SocialProfile TO kith_writer;
GO
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.SocialInteraction TO kith_writer;
GO
GRANT SELECT, INSERT, DELETE ON dbo.SocialLead TO kith_writer;
GO
