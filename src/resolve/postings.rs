//! Posting lists: the rows that stand under a key.
//!
//! Pairs of key and row, sorted, in pages of a hundred or so; the first bits of a key say in which page it stands. Keys are hashes, so pages fill
//! evenly, and where in its page a key stands can be guessed. A pair is 12 bytes and costs a few hundred nanoseconds to add or take, however
//! many rows its key has.

/// The number of a customer's row.
pub(super) type Row = u32;

/// Pairs in a page on average, at most: then every page becomes two. Moving half of them is 768 bytes, twelve lines of cache.
const PAGE: usize = 128;

/// How far from the guess a key may stand: twice the standard deviation of a full page, √128 ÷ 2.
const NEAR: usize = 12;

/// Rows by key.
#[derive(Debug)]
pub(super) struct Postings {
    pages: Vec<Page>,
    /// How many of a key's first bits name its page.
    bits: u32,
    pairs: usize,
}

/// Two columns, sorted by key, then row.
#[derive(Default, Debug)]
struct Page {
    keys: Vec<u64>,
    rows: Vec<Row>,
}

impl Default for Postings {
    fn default() -> Self {
        Self { pages: vec![Page::default()], bits: 0, pairs: 0 }
    }
}

impl Postings {
    /// The rows under a key, ascending.
    pub(super) fn rows(&self, key: u64) -> &[Row] {
        let Some(page) = self.pages.get(self.place(key)) else { return &[] };
        let (start, end) = page.span(key, self.bits);
        page.rows.get(start..end).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pairs == 0
    }

    pub(super) fn add(&mut self, key: u64, row: Row) {
        let (place, bits) = (self.place(key), self.bits);
        let Some(page) = self.pages.get_mut(place) else { return };
        let (start, end) = page.span(key, bits);
        let under = page.rows.get(start..end).unwrap_or_default();
        let Err(before) = under.binary_search(&row) else { return };
        insert(&mut page.keys, start + before, key);
        insert(&mut page.rows, start + before, row);
        self.pairs += 1;
        if self.pairs > self.pages.len() * PAGE {
            self.split();
        }
    }

    /// Adds many pairs, which are taken: every page is passed over once, in order.
    pub(super) fn add_all(&mut self, pairs: &mut Vec<(u64, Row)>) {
        pairs.sort_unstable();
        pairs.dedup();
        let (bits, mut wanted) = (self.bits, self.bits);
        while self.pairs + pairs.len() > PAGE << wanted {
            wanted += 1;
        }
        let mut pages = Vec::with_capacity(1 << wanted);
        let mut rest = pairs.as_slice();
        self.pairs = 0;
        for (place, page) in std::mem::take(&mut self.pages).into_iter().enumerate() {
            let (new, behind) = rest.split_at(rest.partition_point(|(key, _)| first_bits(*key, bits) <= place));
            rest = behind;
            let merged = if new.is_empty() { page } else { page.merged(new) };
            self.pairs += merged.keys.len();
            if wanted == bits {
                pages.push(merged);
                continue;
            }
            // The pages that this one becomes.
            let (mut from, first) = (0, place << (wanted - bits));
            for place in first..first + (1 << (wanted - bits)) {
                let keys = merged.keys.get(from..).unwrap_or_default();
                let to = from + keys.partition_point(|key| first_bits(*key, wanted) <= place);
                let part = |page: &Page| {
                    (page.keys.get(from..to).unwrap_or_default().to_vec(), page.rows.get(from..to).unwrap_or_default().to_vec())
                };
                let (keys, rows) = part(&merged);
                pages.push(Page { keys, rows });
                from = to;
            }
        }
        (self.pages, self.bits) = (pages, wanted);
        pairs.clear();
    }

    pub(super) fn take(&mut self, key: u64, row: Row) {
        let (place, bits) = (self.place(key), self.bits);
        let Some(page) = self.pages.get_mut(place) else { return };
        let (start, end) = page.span(key, bits);
        if let Ok(at) = page.rows.get(start..end).unwrap_or_default().binary_search(&row) {
            page.keys.remove(start + at);
            page.rows.remove(start + at);
            self.pairs -= 1;
        }
    }

    fn place(&self, key: u64) -> usize {
        first_bits(key, self.bits)
    }

    /// Every page becomes two, one after the other, so that little memory is held twice.
    fn split(&mut self) {
        self.bits += 1;
        let bits = self.bits;
        let mut pages = Vec::with_capacity(self.pages.len() * 2);
        for Page { mut keys, mut rows } in std::mem::take(&mut self.pages) {
            let middle = keys.partition_point(|key| first_bits(*key, bits).is_multiple_of(2));
            let upper =
                Page { keys: keys.get(middle..).unwrap_or_default().to_vec(), rows: rows.get(middle..).unwrap_or_default().to_vec() };
            keys.truncate(middle);
            rows.truncate(middle);
            keys.shrink_to_fit();
            rows.shrink_to_fit();
            pages.push(Page { keys, rows });
            pages.push(upper);
        }
        self.pages = pages;
    }
}

/// The first bits of a key as a number.
fn first_bits(key: u64, bits: u32) -> usize {
    usize::try_from(key.checked_shr(64 - bits).unwrap_or(0)).unwrap_or(0)
}

/// Adds room by an eighth, not by doubling: most of an index's memory is here.
fn insert<T>(column: &mut Vec<T>, at: usize, item: T) {
    if column.len() == column.capacity() {
        column.reserve_exact((column.len() / 8).max(4));
    }
    column.insert(at, item);
}

impl Page {
    /// With other pairs, sorted, among its own.
    fn merged(self, new: &[(u64, Row)]) -> Self {
        let count = self.keys.len() + new.len();
        let mut merged = Self { keys: Vec::with_capacity(count), rows: Vec::with_capacity(count) };
        let mut own = self.keys.into_iter().zip(self.rows).peekable();
        for pair in new {
            while let Some((key, row)) = own.next_if(|own| own < pair) {
                merged.keys.push(key);
                merged.rows.push(row);
            }
            if own.peek() != Some(pair) {
                merged.keys.push(pair.0);
                merged.rows.push(pair.1);
            }
        }
        for (key, row) in own {
            merged.keys.push(key);
            merged.rows.push(row);
        }
        merged
    }

    /// Where a key's rows stand: from, to.
    fn span(&self, key: u64, bits: u32) -> (usize, usize) {
        let start = self.start(key, bits);
        let rest = self.keys.get(start..).unwrap_or_default();
        // Most keys have one row or a few.
        let few = rest.iter().take(8).take_while(|other| **other == key).count();
        let count = if few < 8 { few } else { rest.partition_point(|other| *other == key) };
        (start, start + count)
    }

    /// The first place whose key is not smaller.
    fn start(&self, key: u64, bits: u32) -> usize {
        let keys = self.keys.as_slice();
        let within = u128::from(key.checked_shl(bits).unwrap_or(0)) * keys.len() as u128;
        let guess = usize::try_from(within >> 64).unwrap_or(0);
        let (low, high) = (guess.saturating_sub(NEAR), (guess + NEAR).min(keys.len()));
        let smaller_before = low.checked_sub(1).and_then(|at| keys.get(at)).is_none_or(|other| *other < key);
        let none_behind = keys.get(high).is_none_or(|other| *other >= key);
        match keys.get(low..high) {
            Some(near) if smaller_before && none_behind => low + near.partition_point(|other| *other < key),
            _ => keys.partition_point(|other| *other < key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stable_hash::mix;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn rows_come_and_go_as_in_a_plain_map_of_sets(steps in proptest::collection::vec((0_u8..5, 0_u64..40, 0_u32..30), 0..600)) {
            let (mut postings, mut plain) = (Postings::default(), BTreeMap::<u64, BTreeSet<Row>>::new());
            let mut waiting = Vec::new();
            for (kind, key, row) in steps {
                // Hashes, the ends of their range, and one key that many share.
                let key = match key { 0 => 0, 1 => u64::MAX, 2..10 => 7, key => mix(key) };
                let has = plain.entry(key).or_default();
                if kind > 1 {
                    has.insert(row);
                    waiting.push((key, row));
                } else if kind > 0 {
                    has.insert(row);
                    postings.add(key, row);
                } else {
                    postings.add_all(&mut waiting);
                    has.remove(&row);
                    postings.take(key, row);
                }
            }
            postings.add_all(&mut waiting);
            for (key, has) in &plain {
                prop_assert_eq!(postings.rows(*key), has.iter().copied().collect::<Vec<_>>());
            }
            prop_assert_eq!(postings.is_empty(), plain.values().all(BTreeSet::is_empty));
            prop_assert_eq!(postings.rows(mix(1_000_000)), &[] as &[Row]);
        }
    }

    #[test]
    fn pairs_that_come_together_stand_as_those_that_come_alone() {
        let (mut alone, mut together) = (Postings::default(), Postings::default());
        for batch in 0..5_u32 {
            let mut pairs: Vec<(u64, Row)> =
                (0..6_000).map(|n| (mix(u64::from(n % 4_000)), batch * 6_000 + n)).chain([(7, batch), (u64::MAX, batch)]).collect();
            for (key, row) in &pairs {
                alone.add(*key, *row);
            }
            together.add_all(&mut pairs);
            assert!(pairs.is_empty());
        }
        assert_eq!((alone.pairs, alone.bits), (together.pairs, together.bits));
        assert!(together.bits > 7);
        for key in (0..4_100).map(mix).chain([7, u64::MAX]) {
            assert_eq!(alone.rows(key), together.rows(key));
        }
        assert!(together.pages.iter().zip(&alone.pages).all(|(page, other)| page.keys == other.keys && page.rows == other.rows));
    }

    #[test]
    fn many_keys_and_one_that_everybody_has_are_all_found() {
        let mut postings = Postings::default();
        for row in 0..20_000 {
            postings.add(mix(u64::from(row)), row);
            postings.add(42, row);
        }
        assert!(postings.bits >= 8, "pages split");
        assert!((0..20_000).all(|row| postings.rows(mix(u64::from(row))) == [row]));
        assert_eq!(postings.rows(42).len(), 20_000);
        assert!(postings.rows(43).is_empty());
    }
}
