//! Sealed content against the keys.

use super::{CONTENT, StoreDoctor, TellRepair};
use crate::audit::KeyId;
use crate::store::StoreError;
use crate::store::sqlite::error::InDatabase;
use crate::store::sqlite::intake::{ACTIVITY_BINDING, LINE_BINDING, PROFILE_BINDING, hex, line_field};
use crate::store::sqlite::outbox::{DELIVERY_BINDING, settle_activity};
use crate::store::sqlite::work::unseal;

/// Keys that are tried: where none opens, they are not of this state.
const KEYS_TRIED: i64 = 20;
/// Open deliveries looked at in one page; at a few KB each, some MB.
const PAGE: i64 = 1_000;
/// Unreadable deliveries that one run puts aside.
const MOST: usize = 100_000;

/// An open delivery: id, activity, idempotency key and sealed bytes.
type Open = (i64, Option<i64>, Vec<u8>, Vec<u8>);

/// Id, what the seal is bound to (in parts), and the sealed bytes.
type Row = (i64, Vec<u8>, i64, Vec<u8>);

impl StoreDoctor {
    /// Whether the keys in `keys/` are this state's, and whether what is sealed opens: all open deliveries, since one that does not open
    /// would stop its target, and a sample of the rest.
    pub(super) fn contents(&mut self, tell: TellRepair<'_>) -> Result<(), StoreError> {
        let about = |check| (check, CONTENT);
        if !self.keys_fit()? {
            let remedy =
                "put the keys of this state folder back into keys/ (or where [keys] says); without them nothing personal can be read";
            self.told(about("keys"), ("the master key opens none of the keys in this database".to_owned(), 1), remedy);
            return Ok(());
        }
        let unreadable = self.unreadable_deliveries()?;
        let count = unreadable.len() as u64;
        let what = "open deliveries can't be opened: they would stop everything behind them".to_owned();
        self.mend(about("open deliveries"), (what, count), "parked as dead letters, to be dropped".into(), tell, |tx| {
            for (id, activity) in &unreadable {
                tx.conn
                    .prepare_cached(
                        "UPDATE delivery SET state = 3, open = 0, code = ?2, reason = 'what it says can''t be opened' WHERE id = ?1",
                    )
                    .said()?
                    .execute((id, CONTENT))
                    .said()?;
                if let Some(activity) = activity {
                    settle_activity(tx, *activity)?;
                }
            }
            Ok(())
        })?;
        let limit = self.limits.sample;
        let samples: [(&str, &str, String); 4] = [
            (
                "profiles",
                PROFILE_BINDING,
                format!("SELECT id, hash, 0, profile FROM identity WHERE profile IS NOT NULL ORDER BY id DESC LIMIT {limit}"),
            ),
            (
                "activities",
                ACTIVITY_BINDING,
                format!("SELECT id, version, 0, sealed FROM activity WHERE sealed IS NOT NULL ORDER BY id DESC LIMIT {limit}"),
            ),
            (
                "deliveries",
                DELIVERY_BINDING,
                format!(
                    "SELECT id, idempotency, 0, sealed FROM delivery WHERE open = 0 AND code IS NOT '{CONTENT}' ORDER BY id DESC LIMIT {limit}"
                ),
            ),
            (
                "parked lines",
                LINE_BINDING,
                format!(
                    "SELECT id, file_digest, line, sealed FROM parked_line WHERE form = 0 AND sealed IS NOT NULL ORDER BY id DESC LIMIT {limit}"
                ),
            ),
        ];
        for (name, kind, sql) in samples {
            let rows: Vec<Row> = self
                .conn
                .prepare(&sql)
                .said()?
                .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .said()?
                .collect::<Result<_, _>>()
                .said()?;
            let bad = rows.iter().filter(|(_, bound, line, sealed)| {
                let field = if kind == LINE_BINDING { line_field(bound, u64::try_from(*line).unwrap_or_default()) } else { hex(bound) };
                // A key that was destroyed is no damage.
                unseal(&self.ring, kind, &field, sealed).is_err()
            });
            let count = bad.count() as u64;
            let what = format!("of the newest {} {name}, {count} can't be opened although their keys are there", rows.len());
            self.told(about("sealed content"), (what, count), "restore the last backup into another folder and compare");
        }
        Ok(())
    }

    fn keys_fit(&self) -> Result<bool, StoreError> {
        let ids: Vec<[u8; 16]> = self
            .conn
            .prepare("SELECT key_id FROM person_key ORDER BY id LIMIT ?1")
            .said()?
            .query_map([KEYS_TRIED], |row| row.get(0))
            .said()?
            .collect::<Result<_, _>>()
            .said()?;
        Ok(ids.is_empty() || ids.iter().any(|id| matches!(self.ring.find(KeyId(*id)), Ok(Some(_)))))
    }

    fn unreadable_deliveries(&self) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        let mut unreadable = Vec::new();
        let mut after = 0;
        loop {
            let rows: Vec<Open> = self
                .conn
                .prepare_cached("SELECT id, activity, idempotency, sealed FROM delivery WHERE open = 1 AND id > ?1 ORDER BY id LIMIT ?2")
                .said()?
                .query_map((after, PAGE), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .said()?
                .collect::<Result<_, _>>()
                .said()?;
            let Some((last, ..)) = rows.last() else { return Ok(unreadable) };
            after = *last;
            // Here a key that is gone counts too: an open delivery can't do without.
            let bad = |row: &&Open| !matches!(unseal(&self.ring, DELIVERY_BINDING, &hex(&row.2), &row.3), Ok(Some(_)));
            unreadable.extend(rows.iter().filter(bad).map(|(id, activity, ..)| (*id, *activity)));
            if unreadable.len() >= MOST {
                return Ok(unreadable);
            }
        }
    }
}
