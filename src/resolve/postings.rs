//! Posting lists: the rows that stand under a key.

use super::block::ByHash;

/// The number of a customer's row: below 2³¹.
pub(super) type Row = u32;

/// Marks an entry that names a list and not a row.
const LIST: u32 = 1 << 31;

/// Rows by key. Most keys have one row, which stands in the table itself: 17 bytes a slot; the others have a list.
#[derive(Default, Debug)]
pub(super) struct Postings {
    table: ByHash<Slot>,
    lists: Vec<Vec<Row>>,
    free: Vec<u32>,
}

/// A row, or with [`LIST`] the number of a list, as a slice of one so that it can be lent.
type Slot = [Row; 1];

impl Postings {
    /// The rows under a key, in the order in which they came.
    pub(super) fn rows(&self, key: u64) -> &[Row] {
        match self.table.get(&key) {
            None => &[],
            Some([slot]) if slot & LIST != 0 => self.list(*slot).map_or(&[], Vec::as_slice),
            Some(row) => row,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn add(&mut self, key: u64, row: Row) {
        let Some([slot]) = self.table.get(&key).copied() else {
            self.table.insert(key, [row]);
            return;
        };
        if slot & LIST != 0 {
            if let Some(list) = self.list_mut(slot) {
                list.push(row);
            }
            return;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.lists.push(Vec::new());
            u32::try_from(self.lists.len() - 1).unwrap_or(0)
        });
        if let Some(list) = self.list_mut(number) {
            list.extend([slot, row]);
        }
        self.table.insert(key, [number | LIST]);
    }

    pub(super) fn take(&mut self, key: u64, row: Row) {
        let Some([slot]) = self.table.get(&key).copied() else { return };
        if slot & LIST == 0 {
            if slot == row {
                self.table.remove(&key);
            }
            return;
        }
        let Some(list) = self.list_mut(slot) else { return };
        list.retain(|other| *other != row);
        if list.is_empty() {
            self.table.remove(&key);
            self.free.push(slot & !LIST);
        }
    }

    fn list(&self, slot: u32) -> Option<&Vec<Row>> {
        self.lists.get(usize::try_from(slot & !LIST).ok()?)
    }

    fn list_mut(&mut self, slot: u32) -> Option<&mut Vec<Row>> {
        self.lists.get_mut(usize::try_from(slot & !LIST).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn rows_come_and_go_as_in_a_plain_map_of_sets(steps in proptest::collection::vec((any::<bool>(), 0_u64..5, 0_u32..6), 0..80)) {
            let (mut postings, mut plain) = (Postings::default(), BTreeMap::<u64, BTreeSet<Row>>::new());
            for (add, key, row) in steps {
                let has = plain.entry(key).or_default();
                if add && has.insert(row) {
                    postings.add(key, row);
                } else if !add && has.remove(&row) {
                    postings.take(key, row);
                }
                for key in 0..5 {
                    let rows: BTreeSet<Row> = postings.rows(key).iter().copied().collect();
                    prop_assert_eq!(&rows, plain.entry(key).or_default());
                }
            }
            prop_assert_eq!(postings.is_empty(), plain.values().all(BTreeSet::is_empty));
        }
    }
}
