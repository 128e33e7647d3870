//! `[review]`: how people's words about cases count.

use super::keys::{Form, Key, Need, Section, Tables, key};
use std::num::NonZeroU32;

pub(super) const REVIEWERS: Key = key(
    "reviewers",
    Form::Count(1, 5),
    Need::Default("1"),
    "How many people must say the same about a case before decisions follow it. With 2, one reviewer's word waits for another's, and where they \
     contradict each other `kith review list` shows the case first.",
    "2",
);
pub(super) const REVIEW: Section =
    Section { name: "review", tables: Tables::One, required: false, doc: "Cases that wait for a person.", keys: &[REVIEWERS] };

/// `[review]`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Review {
    /// How many people must say the same, 1 to 5.
    pub reviewers: NonZeroU32,
}

impl Default for Review {
    fn default() -> Self {
        Self { reviewers: NonZeroU32::MIN }
    }
}
