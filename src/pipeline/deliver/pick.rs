//! What leaves next: by urgency without starving anybody, within quotas, the retry budget and what a split batch demands.

use super::Lane;
use super::endpoint::Door;
use super::report::Allowance;
use crate::declare::connector::Counted;
use crate::deliver::{NotYet, Scope, Target};
use crate::model::{OperationId, Priority, Timestamp};
use crate::pipeline::RunError;
use crate::store::{Due, DueWhich, OutboxRow, Store};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Every so many batches the less urgent choose first: an eighth of the target's capacity is never taken by urgent work alone.
const NORMAL_FIRST: u64 = 8;
/// And every so many the low ones.
const LOW_FIRST: u64 = 32;

/// Intents are made durable this long before they may leave, so that a disk's flush costs nothing of the rate.
pub(super) const LEAD: SignedDuration = SignedDuration::from_millis(100);

/// What a look at the outbox brought.
pub(super) enum Picked {
    /// These may leave, not before this time; their quotas are spent.
    Batch(Vec<OutboxRow>, Timestamp),
    /// Something is due, but not before this time.
    NotBefore(Timestamp, Arc<str>),
    /// Something is due, and the run may write no more.
    AllowanceUsedUp,
    /// Nothing is due.
    Nothing,
}

impl Picked {
    fn operation_spent(operation: &OperationId, until: Timestamp) -> Self {
        Self::NotBefore(until, format!("the quota of `{}` is spent", operation.0).into())
    }

    /// One retry comes back each second.
    fn retries_spent(now: Timestamp) -> Self {
        Self::NotBefore(now.checked_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX), "the retry budget is spent".into())
    }
}

/// The state of picking for one target.
#[derive(Debug, Default)]
pub(super) struct Picker {
    picks: u64,
    /// Operations whose own quota is spent, until when.
    spent: BTreeMap<OperationId, Timestamp>,
}

impl Picker {
    /// Urgency in the order in which this pick looks.
    fn order(&self) -> [Priority; 3] {
        use Priority::{Low, Normal, Urgent};
        if self.picks % LOW_FIRST == LOW_FIRST - 1 {
            [Low, Normal, Urgent]
        } else if self.picks % NORMAL_FIRST == NORMAL_FIRST - 1 {
            [Normal, Low, Urgent]
        } else {
            [Urgent, Normal, Low]
        }
    }

    /// Picks at most `limit` deliveries, `urgent_alone` none but those. `door` is open or a probe.
    pub(super) async fn pick<S: Store, T: Target>(
        &mut self,
        lane: &Lane<S, T>,
        door: &Door,
        limit: usize,
        urgent_alone: bool,
        allowance: &Allowance,
        now: Timestamp,
    ) -> Result<Picked, RunError> {
        let probe = *door == Door::Probe;
        let limit = if probe { 1 } else { limit.min(lane.target.most_at_once()).max(1) };
        self.spent.retain(|_, until| *until > now);
        let retries = lane.endpoint.allows_retry(now);
        let mut rows = Vec::new();
        for priority in self.order().into_iter().filter(|priority| !urgent_alone || *priority == Priority::Urgent) {
            let which = match (probe, retries) {
                (true, _) => DueWhich::LeastFailed,
                (false, true) => DueWhich::All,
                (false, false) => DueWhich::Fresh,
            };
            let except = self.spent.keys().cloned().collect();
            let due = Due { target: lane.id.clone(), now, limit: limit - rows.len(), priority, except, which };
            rows.extend(lane.store.due(&due).await?);
            if rows.len() >= limit {
                break;
            }
        }
        if rows.is_empty() {
            return Ok(match self.spent.iter().min_by_key(|(_, until)| **until) {
                Some((operation, until)) => Picked::operation_spent(operation, *until),
                None if !retries => Picked::retries_spent(now),
                None => Picked::Nothing,
            });
        }
        self.picks += 1;
        part(&mut rows);
        let taken = allowance.take(rows.len());
        if taken == 0 {
            return Ok(Picked::AllowanceUsedUp);
        }
        rows.truncate(taken);
        let picked = self.admit(lane, rows, now);
        let used = if let Picked::Batch(rows, _) = &picked { rows.len() } else { 0 };
        allowance.give_back(taken - used);
        Ok(picked)
    }

    /// Whether a quota comes back within the time that making ready takes.
    fn near(not_yet: &NotYet, now: Timestamp) -> bool {
        not_yet.until.duration_since(now) <= LEAD
    }

    /// Those for which the quotas and the budget have room, in order; the quotas are spent.
    fn admit<S: Store, T: Target>(&mut self, lane: &Lane<S, T>, rows: Vec<OutboxRow>, now: Timestamp) -> Picked {
        let counted = lane.rules.counts;
        let mut admitted = Vec::with_capacity(rows.len());
        let mut requests: BTreeSet<OperationId> = BTreeSet::new();
        let mut wait: Option<NotYet> = None;
        let mut over_budget = false;
        for row in rows {
            let operation = &row.delivery.operation;
            if self.spent.contains_key(operation) {
                continue;
            }
            let retry = row.failures > 0;
            if retry && !lane.endpoint.allows_retry(now) {
                over_budget = true;
                continue;
            }
            let alone = lane.target.travels_alone(&row.delivery);
            let costs = match counted {
                Counted::Records => true,
                Counted::Requests => alone || !requests.contains(operation),
            };
            if costs && let Err(not_yet) = lane.endpoint.take(Some(operation), now) {
                // The first of a batch may be made ready before its time; others would crowd behind it.
                if admitted.is_empty() && Self::near(&not_yet, now) && lane.endpoint.reserve(operation, now, not_yet.until).is_ok() {
                    lane.endpoint.leaves(retry, now);
                    return Picked::Batch(vec![row], not_yet.until);
                }
                if let Scope::Operation(operation) = &not_yet.scope {
                    self.spent.insert(operation.clone(), earlier(not_yet.until));
                    wait.get_or_insert(not_yet);
                    continue;
                }
                wait = Some(not_yet);
                break;
            }
            if !alone {
                requests.insert(operation.clone());
            }
            lane.endpoint.leaves(retry, now);
            admitted.push(row);
        }
        if !admitted.is_empty() {
            return Picked::Batch(admitted, now);
        }
        match wait {
            Some(NotYet { scope: Scope::Endpoint, until }) => Picked::NotBefore(earlier(until), "the quota is spent".into()),
            Some(NotYet { scope: Scope::Operation(operation), until }) => Picked::operation_spent(&operation, earlier(until)),
            None if over_budget => Picked::retries_spent(now),
            None => Picked::Nothing,
        }
    }
}

/// When making ready may begin.
fn earlier(until: Timestamp) -> Timestamp {
    until.checked_sub(LEAD).unwrap_or(until)
}

/// A delivery of a batch that was refused as a whole travels only with others of its part, and no more than so many.
fn part(rows: &mut Vec<OutboxRow>) {
    let Some(first) = rows.first().map(|row| row.part) else { return };
    let most = first.map_or(usize::MAX, |part| usize::try_from(part.max(1)).unwrap_or(usize::MAX));
    let alike = rows.iter().take_while(|row| row.part == first).count();
    rows.truncate(alike.min(most));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_work_goes_first_and_starves_nobody() {
        let mut first = BTreeMap::new();
        for picks in 0..320 {
            let [most, ..] = Picker { picks, spent: BTreeMap::new() }.order();
            *first.entry(most).or_insert(0) += 1;
        }
        assert_eq!(first, BTreeMap::from([(Priority::Urgent, 280), (Priority::Normal, 30), (Priority::Low, 10)]));
    }
}
