//! Rows on their way into a stage table: in bulk, and what a bulk load can't carry behind it, by parameters.

use super::statements::Stage;
use crate::wire::tds::{Cell, Row, Session, TdsFault, cell};

/// Loads rows; the first cell of each is its number. A value that is too long for a bulk load is NULL in it, and follows alone: one statement a row, so
/// that the wire holds the long values of one row at a time, whatever the group's size.
pub(super) async fn load(session: &mut Session, stage: &Stage<'_>, mut rows: Vec<Row>) -> Result<(), TdsFault> {
    let mut long: Vec<(Vec<usize>, Vec<Cell>)> = Vec::new();
    for row in &mut rows {
        let own = row.len().saturating_sub(stage.fields().len());
        let Some(number) = row.first().cloned() else { continue };
        let (mut fields, mut cells) = (Vec::new(), vec![number]);
        for (slot, at) in row.iter_mut().skip(own).zip(stage.fields()) {
            if cell::is_beyond_bulk(slot)
                && let Some(null) = stage.null(*at)
            {
                fields.push(*at);
                cells.push(std::mem::replace(slot, null));
            }
        }
        if !fields.is_empty() {
            long.push((fields, cells));
        }
    }
    session.bulk(&stage.name, rows).await?;
    for (fields, cells) in long {
        let answered = session.query(&stage.set_long(&fields), cells).await?;
        let set = cell::first_row(&answered).and_then(|row| cell::number_at(row, 0));
        if set != Some(1) {
            return Err(TdsFault::NotUnderstood { message: "a row that was loaded is not in its stage".into() });
        }
    }
    Ok(())
}
