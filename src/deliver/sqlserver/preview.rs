//! What a write would answer, on what stands now: the same plan over the same rows, read without locks and laid over by what the batch itself would
//! have written. Writes nothing and makes nothing, not even a temporary table.

use super::batch::{Job, Plan, Standing, plan, receipt};
use super::conflict::Base;
use super::fault::not_written;
use super::pool::Connected;
use super::row::Row;
use super::statements::look_at_one;
use super::{Answer, Inner, all};
use crate::declare::connector::sqlserver::{Compare, SqlWrite};
use crate::deliver::DeliveryError;
use crate::deliver::record::Prepared;
use crate::model::{Delivery, Receipt, WriteEffect, WriteIntent};
use crate::wire::tds::{TdsFault, cell};
use std::collections::{BTreeMap, BTreeSet};

impl Inner {
    pub(super) async fn preview(&self, batch: &[Delivery]) -> Vec<Answer> {
        let mut connected = match self.session().await {
            Ok(connected) => connected,
            Err(error) => return all(batch.len(), &error),
        };
        let mut seen: BTreeMap<String, Option<Standing>> = BTreeMap::new();
        let mut keys = BTreeSet::new();
        let mut answers = Vec::with_capacity(batch.len());
        for delivery in batch {
            let answer = if keys.insert(delivery.idempotency) {
                self.preview_one(&mut connected, delivery, &mut seen).await
            } else {
                Ok(Receipt::bare(delivery.id, WriteEffect::Unchanged))
            };
            answers.push(answer);
        }
        self.give_back(connected);
        answers
    }

    async fn preview_one(&self, connected: &mut Connected, delivery: &Delivery, seen: &mut BTreeMap<String, Option<Standing>>) -> Answer {
        if delivery.intent == WriteIntent::Keep {
            return Ok(Receipt::bare(delivery.id, WriteEffect::Kept));
        }
        let prepared = Prepared::new(&self.file, delivery)?;
        let Some(found) = self.found(&delivery.operation.0) else {
            return Err(DeliveryError::unavailable("KITH-D008", "the operation is no SQL Server's"));
        };
        let arrived = super::ledger::recorded(connected, &self.objects, delivery.idempotency).await;
        match arrived {
            Ok(Some(_)) => return Ok(Receipt::bare(delivery.id, WriteEffect::Unchanged)),
            Ok(None) => {}
            Err(fault) => return Err(not_written(&fault)),
        }
        let SqlWrite::Table(write) = &found.sql.write else {
            // What a procedure finds, only it knows: everything is new.
            let (call, _) = self.ready_call(connected, delivery, prepared).await?;
            tracing::debug!(call = call.described(), "a procedure would be called");
            let effect = match delivery.intent {
                WriteIntent::Write | WriteIntent::Keep => WriteEffect::Updated,
                WriteIntent::Remove => WriteEffect::Removed,
                WriteIntent::Blank => WriteEffect::Blanked,
            };
            return Ok(Receipt::bare(delivery.id, effect));
        };
        let bound = self.bound(connected, &found, write).await?;
        let row = Row::new(0, delivery, prepared, &bound)?;
        let record = format!("{}\0{}", write.table, delivery.record.0);
        let standing = match seen.remove(&record) {
            Some(standing) => standing,
            None => look(connected, &bound, &row).await.map_err(|fault| not_written(&fault))?,
        };
        let base =
            if write.compare == Compare::Off { None } else { base(connected, self, &row).await.map_err(|fault| not_written(&fault))? };
        let job = Job { place: found.place, bound: &bound, write, objects: &self.objects, conflicts: &self.conflicts };
        let (answer, after) = match plan(&job, &row, standing.as_ref(), base.as_ref()) {
            Plan::Refused(error) => (Err(error), standing),
            Plan::Write { planned, kept, .. } => {
                let after = Standing::after(&row, standing, &planned);
                (Ok(receipt(&row, planned, &kept)), after)
            }
        };
        seen.insert(record, after);
        answer
    }
}

/// The row of a record as it stands.
pub(super) async fn look(connected: &mut Connected, bound: &super::Bound, row: &Row<'_>) -> Result<Option<Standing>, TdsFault> {
    let key = bound.key.iter().filter_map(|at| row.cells.get(*at).cloned().flatten()).collect();
    let answered = connected.session.query(&look_at_one(bound), key).await?;
    let read = cell::first_row(&answered);
    Ok(read.and_then(|read| Standing::read(bound, read, 0)).map(|standing| standing.with_values(row, bound)))
}

/// What Kith wrote last about a record.
pub(super) async fn base(connected: &mut Connected, inner: &Inner, row: &Row<'_>) -> Result<Option<Base>, TdsFault> {
    let sql = format!("SELECT r.fields FROM {} AS r WHERE r.record_hash = @P1", inner.objects.records.sql());
    let answered = connected.session.query(&sql, vec![cell::bytes(row.record_hash())]).await?;
    Ok(cell::first_row(&answered).map(|read| Base::read(cell::bytes_at(read, 0).unwrap_or_default())))
}
