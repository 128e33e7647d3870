//! What was missed of a live stream, and what waits for a budget, in the log.

use super::{Leaf, Scribe};
use crate::audit::{Entry, EntryOutcome, Event};
use crate::model::Timestamp;
use crate::pipeline::budget::{BudgetStep, Spent};
use crate::pipeline::live::Missed;
use std::sync::Arc;

/// What happened with a gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GapStep {
    /// It was found, and is to be filled.
    Began,
    /// What was missed has been read.
    Filled,
    /// It was found, and nothing fills it.
    Left,
}

impl Scribe {
    /// A gap in a live stream: the read of a source in which nothing came, by the rule that says why.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub(in crate::pipeline) fn gap(&self, source: &Arc<str>, stream: &str, step: GapStep, missed: &Missed, now: Timestamp) -> Leaf {
        let event =
            Event::SourceRead { duplicates: 0, file: None, name: Some(stream.into()), parked: 0, received: 0, source: source.clone() };
        let mut entry = Entry::new(now, event);
        let (rule, outcome) = match step {
            GapStep::Began => ("gap-began", None),
            GapStep::Filled => ("gap-filled", Some(EntryOutcome::Done)),
            GapStep::Left => ("gap-left", Some(EntryOutcome::Failed)),
        };
        entry.why.rule = Some(rule.into());
        entry.why.since = Some(missed.from.map_or_else(|| "the beginning".to_owned(), |from| from.to_string()).into());
        entry.why.record = Some(format!("until {}: {}", missed.to, missed.why.name()).into());
        entry.outcome = outcome;
        self.encode(&entry)
    }
    /// A stream that waits for its source's budget, or goes on: the read of a source in which nothing came, by the rule that says why.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub(in crate::pipeline) fn budget(&self, source: &Arc<str>, stream: &str, step: BudgetStep, spent: &Spent, now: Timestamp) -> Leaf {
        let event =
            Event::SourceRead { duplicates: 0, file: None, name: Some(stream.into()), parked: 0, received: 0, source: source.clone() };
        let mut entry = Entry::new(now, event);
        let rule = match step {
            BudgetStep::Waits => "budget-waits",
            BudgetStep::GoesOn => "budget-goes-on",
        };
        entry.why.rule = Some(rule.into());
        let (sum, budget, currency, month) = (spent.spent(), spent.budget(), spent.currency(), spent.month());
        let budget = budget.map_or_else(|| "no budget".to_owned(), |budget| budget.to_string());
        entry.why.record = Some(format!("{sum} of {budget} {currency} in {month}, which ends {}", spent.ends()).into());
        self.encode(&entry)
    }
}
