//! What a run says at its end: the state of everything, and what this run did.

use crate::model::Outcome;
use crate::store::Totals;
use serde::Serialize;
use std::collections::BTreeMap;

/// Identities by outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Decisions {
    /// Linked to one customer.
    pub linked: u64,
    /// Nobody we know.
    pub not_linked: u64,
    /// A person decides.
    pub review: u64,
    /// No lawful basis.
    pub not_permitted: u64,
    /// Not decided yet: a fault.
    pub undetermined: u64,
}

/// What this run did, as opposed to what stands.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct ThisRun {
    /// Activity versions and malformed lines received.
    pub received: u64,
    /// Exact repeats.
    pub duplicates: u64,
    /// Decisions taken.
    pub decided: u64,
    /// Records written to targets.
    pub written: u64,
    /// Writes refused by a target.
    pub refused: u64,
    /// Customers added, changed or retired.
    pub customers_changed: u64,
    /// Seconds by step of the flow. Steps overlap: they do not sum to `seconds`.
    pub step_seconds: BTreeMap<&'static str, f64>,
    /// Files that had nothing new.
    pub unchanged_files: u64,
}

impl ThisRun {
    /// Whether there was nothing to do.
    pub const fn did_nothing(&self) -> bool {
        self.received == 0 && self.decided == 0 && self.written == 0 && self.refused == 0 && self.customers_changed == 0
    }
}

/// The end of a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Summary {
    /// Activity versions and malformed lines received, ever.
    pub received: u64,
    /// Exact repeats, outside the sum.
    pub duplicates: u64,
    /// Identities by outcome.
    pub decisions: Decisions,
    /// Activity versions that arrived.
    pub delivered: u64,
    /// Dead letters and malformed lines.
    pub parked: u64,
    /// Activity versions dropped by a named rule.
    pub dropped: u64,
    /// Activity versions erased.
    pub erased: u64,
    /// Activity versions that wait for a decision, a person or a target.
    pub in_flight: u64,
    /// received − (delivered + parked + dropped + erased + in flight): must be 0. With several sources or days, the sum of the absolute gaps.
    pub conservation_gap: u64,
    /// How long the run took.
    pub seconds: f64,
    /// The most memory that the process held; `None` where the system does not say.
    pub peak_rss_bytes: Option<u64>,
    /// What this run did.
    pub this_run: ThisRun,
    /// Everything else that is counted.
    pub totals: Totals,
    /// What went wrong without stopping the run, each with its code.
    pub faults: Vec<Fault>,
    /// Targets that wait with work left, and streams that wait for a budget, and until when.
    pub waits: Vec<Wait>,
    /// Rows of the customers that stand aside, as warnings.
    #[serde(skip)]
    pub aside: Vec<crate::diagnose::Diagnostic>,
    /// Entries in the log, all integrated.
    pub log_entries: u64,
}

/// Something that failed while the rest went on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fault {
    /// A stable code.
    pub code: &'static str,
    /// Where: a source, target or file.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// A target that may be written to again at a later time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Wait {
    /// `[targets.NAME]`; of a source that waits, its name and its stream.
    pub target: String,
    /// When.
    pub until: String,
    /// Its hours, a quota, or what it asked for.
    pub why: String,
}

/// What a run has to tell besides its counts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Told {
    /// What went wrong without stopping the run.
    pub faults: Vec<Fault>,
    /// Targets that wait with work left.
    pub waits: Vec<Wait>,
    /// Rows of the customers that stand aside, as warnings.
    pub aside: Vec<crate::diagnose::Diagnostic>,
}

impl Summary {
    /// From the store's counts.
    pub fn new(totals: Totals, this_run: ThisRun, told: Told, log_entries: u64, seconds: f64) -> Self {
        let (sum, conservation_gap) = totals.sum();
        let outcome = |outcome: Outcome| totals.decisions.get(outcome.name()).copied().unwrap_or_default();
        Self {
            received: sum.received,
            duplicates: sum.duplicates,
            decisions: Decisions {
                linked: outcome(Outcome::Linked),
                not_linked: outcome(Outcome::NotLinked),
                review: outcome(Outcome::Review),
                not_permitted: outcome(Outcome::NotPermitted),
                undetermined: outcome(Outcome::Undetermined),
            },
            delivered: sum.delivered,
            parked: sum.parked,
            dropped: sum.dropped,
            erased: sum.erased,
            in_flight: sum.in_flight,
            conservation_gap,
            seconds,
            peak_rss_bytes: peak_rss_bytes(),
            this_run,
            totals,
            faults: told.faults,
            waits: told.waits,
            aside: told.aside,
            log_entries,
        }
    }
}

/// The process's high-water mark of resident memory, from `/proc/self/status` (`VmHWM`, in kB of 1,024 bytes; proc(5)).
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1_024)
}
