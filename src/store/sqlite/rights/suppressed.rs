//! Who is not matched again, by keyed hash.

use crate::store::StoreError;
use crate::store::sqlite::error::InDatabase;
use crate::store::sqlite::writer::Tx;

/// Whether there is anybody at all.
pub(in crate::store::sqlite) fn anyone(tx: &Tx<'_>) -> Result<bool, StoreError> {
    tx.conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM suppressed)").said()?.query_row((), |row| row.get(0)).said()
}

/// Whether it is this person.
pub(in crate::store::sqlite) fn is(tx: &Tx<'_>, person: &[u8; 16]) -> Result<bool, StoreError> {
    tx.conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM suppressed WHERE person = ?1)")
        .said()?
        .query_row([person.as_slice()], |row| row.get(0))
        .said()
}

/// Whether it is the account of this row.
pub(in crate::store::sqlite) fn is_identity(tx: &Tx<'_>, identity: i64) -> Result<bool, StoreError> {
    tx.conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM suppressed WHERE person = (SELECT hash FROM identity WHERE id = ?1))")
        .said()?
        .query_row([identity], |row| row.get(0))
        .said()
}
