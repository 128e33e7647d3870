//! The oldest delivery of each target that has not arrived: how far a target lags.

use super::error::InDatabase;
use super::names::{Numbered, timestamp};
use crate::model::{DeliveryState, TargetId, Timestamp};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};

/// The states of a delivery that has not arrived, and the numbers of urgency: each pair is one look at the index.
const OPEN: [DeliveryState; 3] = [DeliveryState::Planned, DeliveryState::Sending, DeliveryState::Unknown];
const PRIORITIES: [i64; 3] = [0, 1, 2];

/// Since when the oldest open delivery of each of these targets waits: from its decision or the receipt of its activity, whichever is later.
pub(super) fn oldest(conn: &Connection, targets: &[TargetId]) -> Result<Vec<(TargetId, Timestamp)>, StoreError> {
    let mut found = Vec::new();
    let mut statement = conn
        .prepare_cached(
            "SELECT max(coalesce(a.received, 0), coalesce(c.at, 0), coalesce(CASE WHEN a.id IS NULL AND c.id IS NULL THEN d.changed_at END, 0))
             FROM delivery d LEFT JOIN activity a ON a.id = d.activity LEFT JOIN decision c ON c.id = d.decision
             WHERE d.id = (SELECT id FROM delivery WHERE target = ?1 AND state = ?2 AND priority = ?3 ORDER BY id LIMIT 1)",
        )
        .said()?;
    for target in targets {
        let mut since: Option<i64> = None;
        for state in OPEN {
            for priority in PRIORITIES {
                let at: Option<i64> =
                    statement.query_row((&*target.0, state.number(), priority), |row| row.get(0)).optional().said()?.filter(|at| *at > 0);
                since = since.into_iter().chain(at).min();
            }
        }
        found.extend(since.map(|since| (target.clone(), timestamp(since))));
    }
    Ok(found)
}
