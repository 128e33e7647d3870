-- A login with the least rights: it may connect to this database and is a member of kith_writer. Run kith.sql first.
-- For sqlcmd, in the CRM's database:
--
--   sqlcmd -S crm.example -d Crm -v login="kith_writer_login" password="…" -i ops/sql/login.sql
--
-- Neither name nor password may hold an apostrophe or a closing bracket: sqlcmd puts them in as they are.
-- The password stands in a file or credential of the machine that runs Kith (`password = { credential = "crm-password" }`), nowhere else.
-- With Kerberos (`windows_login = "kerberos"`) there is no password: CREATE LOGIN [EXAMPLE\svc-kith] FROM WINDOWS in place of the first batch.

IF NOT EXISTS (SELECT 1 FROM sys.server_principals WHERE name = N'$(login)')
    CREATE LOGIN [$(login)] WITH PASSWORD = N'$(password)';
GO

IF NOT EXISTS (SELECT 1 FROM sys.database_principals WHERE name = N'$(login)')
    CREATE USER [$(login)] FOR LOGIN [$(login)];
GO

ALTER ROLE kith_writer ADD MEMBER [$(login)];
GO
