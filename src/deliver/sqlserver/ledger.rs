//! What became of a delivery, as its own transaction wrote it.

use super::pool::Connected;
use super::statements::act;
use crate::declare::connector::sqlserver::SqlServerObjects;
use crate::model::{IdempotencyKey, WriteEffect};
use crate::wire::tds::{TdsFault, cell};

/// The recorded effect of a delivery that had arrived.
pub(super) async fn recorded(
    connected: &mut Connected,
    objects: &SqlServerObjects,
    key: IdempotencyKey,
) -> Result<Option<WriteEffect>, TdsFault> {
    let sql = format!("SELECT CAST(l.outcome AS int) AS outcome FROM {} AS l WHERE l.idempotency_key = @P1", objects.ledger.sql());
    let answered = connected.session.query(&sql, vec![cell::bytes(key.0.0)]).await?;
    let outcome = cell::first_row(&answered).and_then(|row| cell::number_at(row, 0));
    Ok(outcome.map(|outcome| match u8::try_from(outcome) {
        Ok(act::INSERT) => WriteEffect::Inserted,
        Ok(act::UPDATE) => WriteEffect::Updated,
        Ok(act::REMOVE) => WriteEffect::Removed,
        Ok(act::BLANKED) => WriteEffect::Blanked,
        Ok(_) | Err(_) => WriteEffect::Unchanged,
    }))
}
