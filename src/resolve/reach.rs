//! Which customers each blocking rule brings: what the rules cost in pairs, and whether they reach a given customer.

use super::cell::cell;
use super::postings::Row;
use super::{Index, Matching};
use crate::model::{CustomerId, Value};

/// What one blocking rule brings for one identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reach {
    /// Customers that share a key with the identity and were brought by no rule before it: what the rule costs in pairs.
    pub pairs: u64,
    /// Whether the asked customer, or a record merged into it, is among those that share a key, brought before or not.
    pub finds: bool,
    /// Whether a key was set aside since too many customers share it.
    pub cut: bool,
}

/// What each blocking rule brings for an identity, in the model's order. `identity` is what [`crate::normalize::clean_identity`] gave;
/// `asked` is a surviving customer.
pub fn reach(index: &Index, identity: &[Value], matching: &Matching, asked: Option<&CustomerId>) -> Vec<Reach> {
    let cells: Vec<Option<String>> = identity.iter().map(cell).collect();
    let at = |at: usize| cells.get(at).and_then(Option::as_deref);
    let asked = asked.and_then(|id| index.row(id)).map(|row| index.survivor_row(row));
    let mut seen: Vec<Row> = Vec::new();
    let mut out = Vec::new();
    for (number, rule) in matching.model.iter().flat_map(|model| model.blocking.iter().enumerate()) {
        let mut reach = Reach::default();
        let mut rows: Vec<Row> = Vec::new();
        for key in index.keys.of_identity(number, &at) {
            let block = index.rows(key);
            if block.len() > usize::try_from(rule.cut_above).unwrap_or(usize::MAX) {
                reach.cut = true;
            } else {
                rows.extend(block);
            }
        }
        rows.sort_unstable();
        rows.dedup();
        reach.finds = asked.is_some_and(|asked| rows.iter().any(|row| index.survivor_row(*row) == asked));
        let new: Vec<Row> = rows.into_iter().filter(|row| seen.binary_search(row).is_err()).collect();
        reach.pairs = u64::try_from(new.len()).unwrap_or(u64::MAX);
        seen.extend(new);
        seen.sort_unstable();
        out.push(reach);
    }
    out
}
