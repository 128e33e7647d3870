//! The retention clocks at work: in batches, between passes, so that nothing waits for them for long.

use super::{Acting, files};
use crate::model::{Network, Timestamp};
use crate::pipeline::RunError;
use crate::policy::Retain;
use crate::store::{ClockEnded, ClockKind, ClockStep, Rights, Store, StoreError, TellOf};
use jiff::SignedDuration;
use std::sync::Arc;

/// The clocks are looked at once in so long: what is due is late by this at most.
const EVERY: SignedDuration = SignedDuration::from_mins(15);
/// Persons or records of one batch: some 10 MB.
const BATCH: usize = 500;
/// Batches of one clock at one look: 100,000 records; what is left waits for the next look, so that a pass is never held up for minutes.
const BATCHES: usize = 200;

/// When the clocks were last looked at.
#[derive(Debug, Default)]
pub struct Clocks {
    looked: Option<Timestamp>,
}

fn days_of(retain: &Retain, clock: ClockKind) -> u32 {
    match clock {
        ClockKind::Strangers => retain.unlinked_days,
        ClockKind::Profiles => retain.profiles_days,
        ClockKind::Activities => retain.activities_days,
        ClockKind::Audit => retain.audit_days,
    }
}

fn ago(now: Timestamp, days: u32) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MIN)
}

impl Clocks {
    /// Whether it is time, and then from now on it was done.
    pub fn due(&mut self, now: Timestamp) -> bool {
        let due = self.looked.is_none_or(|looked| now.duration_since(looked).abs() >= EVERY);
        if due {
            self.looked = Some(now);
        }
        due
    }
}

impl<S: Store + Rights> Acting<'_, S> {
    /// Lets end what is due. Returns what ended, by clock.
    pub async fn run_clocks(&self) -> Result<Vec<ClockEnded>, RunError> {
        let policy = &self.parts.rulebook.policy;
        let except: Vec<Network> = policy.retain_on.iter().map(|(network, _)| *network).collect();
        let mut all = Vec::new();
        let mut keys = 0;
        for clock in ClockKind::ALL {
            let mut asked = vec![(None, days_of(&policy.retain, clock))];
            // A key of entries belongs to no network.
            if clock != ClockKind::Audit {
                asked.extend(policy.retain_on.iter().map(|(network, retain)| (Some(*network), days_of(retain, clock))));
            }
            for (only, days) in asked {
                let except = if only.is_none() && clock != ClockKind::Audit { except.clone() } else { Vec::new() };
                let (ended, gone) = self.run_clock(clock, None, (only, except), days).await?;
                keys += gone;
                all.extend(ended);
            }
        }
        for of in &policy.retain_fields {
            let which = (of.only, of.except.clone());
            let (ended, gone) = self.run_clock(ClockKind::Profiles, Some(of.path.clone()), which, of.days).await?;
            keys += gone;
            all.extend(ended);
        }
        let shortest = std::iter::once(&policy.retain).chain(policy.retain_on.iter().map(|(_, retain)| retain));
        let shortest = shortest.map(|retain| retain.unlinked_days.min(retain.activities_days)).min().unwrap_or(u32::MAX);
        let (specs, before) = (self.parts.config.sources.clone(), ago(self.now, shortest));
        let removed =
            tokio::task::spawn_blocking(move || specs.iter().map(|spec| files::end_done_files(spec, before)).sum::<Result<u64, _>>());
        let removed = removed.await.map_err(RunError::Task)??;
        if removed > 0 {
            let leaf = self.scribe.files_ended(removed, self.now)?;
            self.store.append(vec![leaf]).await?;
        }
        if keys > 0 {
            self.store.fold().await?;
        }
        Ok(all)
    }

    async fn run_clock(
        &self,
        clock: ClockKind,
        field: Option<Arc<str>>,
        (only, except): (Option<Network>, Vec<Network>),
        days: u32,
    ) -> Result<(Option<ClockEnded>, u64), RunError> {
        let mut sum: Option<ClockEnded> = None;
        for _ in 0..BATCHES {
            let (scribe, now, of) = (self.scribe.clone(), self.now, field.clone());
            let tell = TellOf(Arc::new(move |ended: &ClockEnded| {
                scribe.clock_ended(ended, only, of.clone(), now).map_err(|error| StoreError::Refused(error.to_string()))
            }));
            let step =
                ClockStep { clock, field: field.clone(), now, before: ago(now, days), only, except: except.clone(), limit: BATCH, tell };
            let ended = self.store.run_clock(step).await?;
            if ended.records + ended.keys > 0 {
                let so_far = sum.map_or((0, 0), |sum| (sum.records, sum.keys));
                sum = Some(ClockEnded { records: so_far.0 + ended.records, keys: so_far.1 + ended.keys, ..ended });
            }
            if !ended.more {
                break;
            }
        }
        Ok((sum, sum.map_or(0, |sum| sum.records + sum.keys)))
    }
}
