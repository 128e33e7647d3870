//! Connections: how the database is opened, migrated, read beside a writer, and copied.

use super::error::from_sqlite;
use crate::store::StoreError;
use crate::store::lock::OWNER_ONLY;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The database's file in the state folder.
pub const DATABASE_FILE: &str = "kith.db";

/// `KITH` in ASCII: tells a state database from any other SQLite file.
pub(super) const APPLICATION_ID: i64 = 0x4b49_5448;

/// Each migration is one transaction; its number is its place, from 1.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
];

/// The schema that this program writes.
pub(super) const SCHEMA: i64 = 5;

/// Statements kept prepared on each connection; the store has about 60 in all.
const PREPARED: usize = 96;

/// How long a connection waits for another's short exclusive moments (checkpoint, recovery).
const BUSY: Duration = Duration::from_secs(10);

/// Page cache of the writer (negative: in KiB): 16 MiB hold the inner pages of every index of a few million rows.
const WRITER_CACHE_KIB: i64 = -16_384;

/// Page cache of each reader: 4 MiB.
const READER_CACHE_KIB: i64 = -4_096;

/// Pages in the write-ahead log before it is folded into the database: 32,768 × 4 KiB = 128 MiB. In a bulk run each transaction changes the
/// same thousands of index pages: the more transactions between two foldings, the fewer times the database is written.
const CHECKPOINT_PAGES: i64 = 32_768;

/// The write-ahead log is cut back to this after a checkpoint: 128 MiB.
const JOURNAL_LIMIT: i64 = 134_217_728;

/// The path of the database.
pub(super) fn database(state_dir: &Path) -> PathBuf {
    state_dir.join(DATABASE_FILE)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Opens for writing, creating and migrating as needed. The caller holds the folder's lock.
pub(super) fn writer(path: &Path, max_pages: Option<u32>) -> Result<Connection, StoreError> {
    let said = |error: rusqlite::Error| from_sqlite(&error, &shown(path));
    // Made here, since SQLite would make it readable for others; the files beside it take its mode.
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(path)
        .map_err(|error| StoreError::from_io(&error, path))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(said)?;
    // SQLite opens what it may not write for reading only; that would be told at the first step, too late.
    if conn.is_readonly("main").map_err(said)? {
        return Err(StoreError::ReadOnly(shown(path)));
    }
    prepare(&conn, WRITER_CACHE_KIB).map_err(said)?;
    recognise(&conn, path)?;
    conn.pragma_update(None, "journal_mode", "WAL").map_err(said)?;
    conn.pragma_update(None, "synchronous", "FULL").map_err(said)?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(said)?;
    conn.pragma_update(None, "journal_size_limit", JOURNAL_LIMIT).map_err(said)?;
    migrate(&conn, path, MIGRATIONS)?;
    limit(&conn, max_pages).map_err(said)?;
    Ok(conn)
}

/// Opens a database as it stands, nothing migrated. The caller holds the folder's lock.
pub(super) fn as_it_is(path: &Path) -> Result<Connection, StoreError> {
    let said = |error: rusqlite::Error| from_sqlite(&error, &shown(path));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(said)?;
    prepare(&conn, READER_CACHE_KIB).map_err(said)?;
    let found = recognise(&conn, path)?;
    if found < SCHEMA {
        return Err(StoreError::Damaged(format!("{} has schema {found}: the service has yet to bring it to {SCHEMA}", shown(path))));
    }
    Ok(conn)
}

/// Opens for reading, also what a newer or older Kith wrote.
pub(super) fn whatever_schema(path: &Path) -> Result<Connection, StoreError> {
    match open_reader(path, false) {
        // Reading beside a writer needs its shared-memory file. In a folder that may not be written, without a log left to read, nobody
        // writes: then the database is read as one that does not change.
        Err(StoreError::ReadOnly(_)) if !has_log(path) => open_reader(path, true),
        other => other,
    }
}

/// Opens for reading beside a writer.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Absent(shown(path.parent().unwrap_or(path))));
    }
    let conn = whatever_schema(path)?;
    let found = recognise(&conn, path)?;
    if found < SCHEMA {
        return Err(StoreError::Damaged(format!("{} has schema {found}: the service has yet to bring it to {SCHEMA}", shown(path))));
    }
    Ok(conn)
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|m| m.len() > 0)
}

fn open_reader(path: &Path, immutable: bool) -> Result<Connection, StoreError> {
    let said = |error: rusqlite::Error| from_sqlite(&error, &shown(path));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = if immutable {
        Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI).map_err(said)?
    } else {
        Connection::open_with_flags(path, flags).map_err(said)?
    };
    prepare(&conn, READER_CACHE_KIB).map_err(said)?;
    conn.pragma_update(None, "query_only", true).map_err(said)?;
    // The first read of the file: what is wrong with it shows here.
    conn.query_row("SELECT count(*) FROM sqlite_schema", (), |_row| Ok(())).map_err(said)?;
    Ok(conn)
}

/// `file:` with everything but letters, digits and `/._-` escaped.
fn immutable_uri(path: &Path) -> String {
    use std::fmt::Write as _;
    let absolute = std::path::absolute(path).unwrap_or_else(|_error| path.to_path_buf());
    let mut uri = "file:".to_owned();
    for byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => uri.push(char::from(*byte)),
            _ => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
}

/// A private copy in memory of a state, or an empty one where there is none. The folder is only read.
pub(super) fn memory_copy(path: &Path) -> Result<Connection, StoreError> {
    let said = |error: rusqlite::Error| from_sqlite(&error, &shown(path));
    let mut conn = Connection::open_in_memory().map_err(said)?;
    if path.exists() {
        let from = match open_reader(path, false) {
            Err(StoreError::ReadOnly(_)) if !has_log(path) => open_reader(path, true)?,
            other => other?,
        };
        recognise(&from, path)?;
        let copied = Backup::new(&from, &mut conn).and_then(|backup| backup.step(-1)).map_err(said)?;
        if !matches!(copied, StepResult::Done) {
            return Err(StoreError::Locked(shown(path)));
        }
    }
    prepare(&conn, WRITER_CACHE_KIB).map_err(said)?;
    migrate(&conn, path, MIGRATIONS)?;
    Ok(conn)
}

fn prepare(conn: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY)?;
    // A plan never depends on the values bound: without this SQLite plans a statement again each time one of them changes.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(PREPARED);
    conn.pragma_update(None, "cache_size", cache_kib)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "secure_delete", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "trusted_schema", false)
}

/// The schema of a state database, 0 for an empty one. Anything else than a state of ours, or a newer one, is refused.
fn recognise(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    let said = |error: rusqlite::Error| from_sqlite(&error, &shown(path));
    let number = |sql: &str| conn.query_row(sql, (), |row| row.get::<_, i64>(0)).map_err(said);
    let application = number("PRAGMA application_id")?;
    let found = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    match (application, tables) {
        (APPLICATION_ID, _) if found > SCHEMA => Err(StoreError::Newer { found, known: SCHEMA }),
        (APPLICATION_ID, _) => Ok(found),
        (0, 0) => Ok(0),
        _ => Err(StoreError::Damaged(format!("{} is no database of Kith's", shown(path)))),
    }
}

fn migrate(conn: &Connection, path: &Path, migrations: &[&str]) -> Result<(), StoreError> {
    let said = |error: rusqlite::Error| from_sqlite(&error, &shown(path));
    let found = recognise(conn, path)?;
    let done = usize::try_from(found).unwrap_or_default();
    for (number, sql) in (1_i64..).zip(migrations).skip(done) {
        let migration =
            format!("BEGIN IMMEDIATE;\n{sql}\n;\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number};\nCOMMIT;");
        if let Err(error) = conn.execute_batch(&migration) {
            if !conn.is_autocommit() {
                conn.execute_batch("ROLLBACK").map_err(said)?;
            }
            return Err(said(error));
        }
    }
    Ok(())
}

fn limit(conn: &Connection, max_pages: Option<u32>) -> rusqlite::Result<()> {
    match max_pages {
        Some(pages) => conn.pragma_update_and_check(None, "max_page_count", pages, |_row| Ok(())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(conn: &Connection) -> i64 {
        conn.query_row("PRAGMA user_version", (), |row| row.get(0)).unwrap()
    }

    #[test]
    fn each_migration_runs_once_and_one_that_fails_changes_nothing() {
        assert_eq!(usize::try_from(SCHEMA).unwrap(), MIGRATIONS.len());
        let conn = Connection::open_in_memory().unwrap();
        let path = Path::new("kith.db");
        migrate(&conn, path, &["CREATE TABLE a (x)"]).unwrap();
        migrate(&conn, path, &["CREATE TABLE a (x)"]).unwrap();
        assert_eq!(version(&conn), 1);
        let broken = ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"];
        assert!(migrate(&conn, path, &broken).is_err());
        assert!(conn.is_autocommit());
        assert_eq!(version(&conn), 1);
        assert_eq!(conn.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0)).unwrap(), 1);
    }

    #[test]
    fn any_path_can_be_read_as_one_that_does_not_change() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a ?#%2f folder é");
        std::fs::create_dir(&folder).unwrap();
        let path = database(&folder);
        drop(writer(&path, None).unwrap());
        let before: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().file_name()).collect();
        let conn = open_reader(&path, true).unwrap();
        assert_eq!(version(&conn), SCHEMA);
        let refused = conn.execute("INSERT INTO setting VALUES ('a', 'b')", ()).unwrap_err();
        assert!(matches!(from_sqlite(&refused, "kith.db"), StoreError::ReadOnly(_)));
        let after: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(after, before, "reading so makes no file");
    }

    /// What the first schema could hold, a row of every table that later ones change.
    const ROWS: &str = "
        INSERT INTO setting VALUES ('mapping', 'ab');
        INSERT INTO leaf VALUES (0, x'7b7d'), (1, x'7b7d');
        INSERT INTO person_key (id, key_id, person, class, wrapped) VALUES (1, x'01', x'02', 0, x'03');
        INSERT INTO source_file VALUES ('s', 'f', x'00', 1);
        INSERT INTO source_day VALUES (1, 's', '2026-01-01', 2, 0);
        INSERT INTO identity (id, hash, network, account, needs_decision, work) VALUES (1, x'0a', 'mastodon', 'a', 0, 0);
        INSERT INTO object VALUES (1, x'0b', 1, 1);
        INSERT INTO activity (id, object, version, identity, source_day, state, version_at, version_verb, version_id, content_hash, received, sealed)
            VALUES (1, 1, x'0c', 1, 1, 3, 5, 0, 'v', x'0d', 77, x'0e');
        INSERT INTO parked_line (id, source_day, source, file, file_digest, line, code, message, at, form)
            VALUES (1, 1, 's', 'f', x'0f', 3, 'KITH-I001', 'm', 9, 0);
        INSERT INTO decision (id, identity, current, outcome, probability, match_weight, reference, evidence_digest, mapping, at)
            VALUES (1, 1, 1, 0, 0.5, 1.5, x'10', x'11', x'12', 9);
        INSERT INTO link (id, identity, customer, decision, by, since) VALUES (1, 1, 'C1', 1, 'rule', 9);
        INSERT INTO delivery (id, identity, activity, decision, state, open, target, entry, operation, intent, record, idempotency, attempt, sealed)
            VALUES (1, 1, 1, 1, 2, 0, 't', 'e', 'o', 0, x'13', x'14', 1, x'15');
        INSERT INTO written VALUES (1, x'13', 1);
        INSERT INTO customer VALUES ('crm', 'C1', x'16', 0);
        INSERT INTO customer_read VALUES ('crm', x'17');";

    #[test]
    fn a_state_of_every_schema_that_was_released_is_brought_to_this_one_with_all_that_is_in_it() {
        for from in 1..MIGRATIONS.len() {
            let dir = tempfile::tempdir().unwrap();
            let path = database(dir.path());
            let old = Connection::open(&path).unwrap();
            migrate(&old, &path, MIGRATIONS.get(..from).unwrap()).unwrap();
            old.execute_batch(ROWS).unwrap();
            old.close().unwrap();
            // As a backup of then, it is looked at as it is; beside a service, it is refused until the service brought it here.
            let mut entries = 0;
            let schema = crate::store::sqlite::examine_copy(&path, |_entry| entries += 1).unwrap();
            assert_eq!((schema, entries), (i64::try_from(from).unwrap(), 2));
            assert!(matches!(reader(&path), Err(StoreError::Damaged(_))));
            let conn = writer(&path, None).unwrap();
            assert_eq!(version(&conn), SCHEMA);
            let one = |sql: &str| conn.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
            for table in [
                "setting",
                "person_key",
                "source_file",
                "source_day",
                "identity",
                "object",
                "activity",
                "parked_line",
                "decision",
                "link",
                "delivery",
                "written",
                "customer",
                "customer_read",
            ] {
                assert_eq!(one(&format!("SELECT count(*) FROM {table}")), 1, "{table} from schema {from}");
            }
            assert_eq!(one("SELECT count(*) FROM pragma_foreign_key_check"), 0);
            let sound: String = conn.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
            assert_eq!(sound, "ok");
            // What later schemas say of what was there before them.
            assert_eq!(one("SELECT priority * 100 + failures FROM delivery"), 100, "normal, never failed");
            if from < 3 {
                assert_eq!(one("SELECT received FROM identity"), 77, "the clocks count from the last thing received");
            }
            assert_eq!(one("SELECT closed FROM person_key"), 0, "the key still seals");
        }
    }
}
