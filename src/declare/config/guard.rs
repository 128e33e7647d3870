//! `[guard]`: what one pass may do without asking a person. How many customers may retire and links move stands in the mapping.

use super::keys::{Form, Key, Need, Section, Tables, key};
use std::num::NonZeroU32;

pub(super) const DELETES_PERCENT: Key = key(
    "deletes_percent",
    Form::Count(1, 100),
    Need::Default("10"),
    "Of the records that stand in the CRM, the percentage that deletions upstream may withdraw in one pass; 20 records always may. Beyond it nobody \
     is decided and nothing is withdrawn until `kith approve` or `kith reject`.",
    "5",
);
pub(super) const FIRST_WRITES: Key = key(
    "first_writes",
    Form::Count(1, 1_000_000_000),
    Need::Optional("The first run writes whatever the mapping says."),
    "As long as nothing was ever sent: more planned writes than this wait for `kith approve`. For the first run of a new installation.",
    "1000",
);
pub(super) const GUARD: Section = Section {
    name: "guard",
    tables: Tables::One,
    required: false,
    doc: "What one pass may do without asking a person. How many customers may retire and links move in one read stands in the mapping \
          (`customers: guard`).",
    keys: &[DELETES_PERCENT, FIRST_WRITES],
};

/// `[guard]`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PassGuard {
    /// The percentage of standing records that deletions may withdraw in one pass, 1 to 100.
    pub deletes_percent: NonZeroU32,
    /// The most writes of a first run; `None`: any number.
    pub first_writes: Option<NonZeroU32>,
}

impl Default for PassGuard {
    fn default() -> Self {
        Self { deletes_percent: NonZeroU32::MIN.saturating_add(9), first_writes: None }
    }
}
