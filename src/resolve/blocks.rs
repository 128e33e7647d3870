//! How large the blocks of each blocking rule are: what comparing costs before anybody is compared, and what is cut.

use super::{Index, Matching};

/// The blocks of one blocking rule.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Blocks {
    /// The rule's id.
    pub rule: String,
    /// Customers that have a key.
    pub customers: u64,
    /// Keys.
    pub keys: u64,
    /// Customers under the key that most share.
    pub largest: u64,
    /// A key shared by more is not followed.
    pub cut_above: u64,
    /// Keys that are not followed.
    pub cut_keys: u64,
    /// Customers all of whose keys are not followed: this rule never brings them.
    pub cut_customers: u64,
}

/// The blocks of each rule, in the model's order. Looks at every customer once for each rule.
pub fn blocks(index: &Index, matching: &Matching) -> Vec<Blocks> {
    let rules = matching.model.iter().flat_map(|model| model.blocking.iter().enumerate());
    rules
        .map(|(number, rule)| {
            let cut_above = u64::from(rule.cut_above);
            let mut blocks =
                Blocks { rule: rule.id.to_string(), customers: 0, keys: 0, largest: 0, cut_above, cut_keys: 0, cut_customers: 0 };
            for row in index.every() {
                let keys = index.keys.of_customer_by(number, &|at| index.cell(row, at));
                let mut followed = false;
                for key in &keys {
                    let rows = index.rows(*key);
                    let size = u64::try_from(rows.len()).unwrap_or(u64::MAX);
                    blocks.largest = blocks.largest.max(size);
                    followed |= size <= cut_above;
                    // A key is counted with its first customer.
                    if rows.first() == Some(&row) {
                        blocks.keys += 1;
                        blocks.cut_keys += u64::from(size > cut_above);
                    }
                }
                blocks.customers += u64::from(!keys.is_empty());
                blocks.cut_customers += u64::from(!keys.is_empty() && !followed);
            }
            blocks
        })
        .collect()
}
