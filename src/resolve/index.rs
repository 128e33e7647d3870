//! The customers of the CRM, in memory, found by blocking keys and rule keys.
//!
//! Each cleaned value is a number into one buffer of distinct texts, and a customer is a row of such numbers, so that comparing one costs few
//! looks at memory; keys are 64-bit hashes with a posting list each.

use super::block::Keys;
use super::cell::{cell, first, value};
use super::compare::Plan;
use super::frequency::{Counts, Frequencies};
use super::postings::{Postings, Row};
use super::strings::{Strings, Text};
use super::{CountedPart, KeyForm, Matching, Prior};
use crate::model::stable_hash::mix;
use crate::model::{Customer, CustomerId, Personal, Value};
use crate::normalize::{CustomerFields, IdentityFields, clean_customer};
use hashbrown::HashTable;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest chain of merges followed. A CRM that merges a survivor every week for ten years has 520.
const MOST_MERGES: usize = 1_024;

/// What inserting a customer changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upsert {
    /// It was not there.
    Added,
    /// Its cleaned values or its merge changed.
    Updated,
    /// Nothing that matching can see changed.
    Same,
}

/// A customer with cleaned values and keys, ready to be inserted.
#[derive(Clone, Debug)]
pub struct PreparedCustomer {
    id: CustomerId,
    merged_into: Option<CustomerId>,
    cells: Personal<Vec<Option<String>>>,
    keys: Vec<u64>,
    counted: Vec<Option<u64>>,
}

impl PreparedCustomer {
    /// The CRM's key.
    pub fn id(&self) -> &CustomerId {
        &self.id
    }
}

/// Prepares customers as [`Index::prepare`] of the index that it is from.
#[derive(Clone, Debug)]
pub struct Preparer {
    customers: Arc<CustomerFields>,
    keys: Keys,
    frequencies: Frequencies,
}

impl Preparer {
    /// Cleans a customer and makes its keys.
    pub fn prepare(&self, customer: &Customer) -> PreparedCustomer {
        prepare(&self.customers, &self.keys, &self.frequencies, customer)
    }
}

fn prepare(fields: &CustomerFields, keys: &Keys, frequencies: &Frequencies, customer: &Customer) -> PreparedCustomer {
    let cells: Vec<Option<String>> = clean_customer(fields, customer.raw.reveal()).iter().map(cell).collect();
    let at = |at: usize| cells.get(at).and_then(Option::as_deref);
    PreparedCustomer {
        id: customer.id.clone(),
        merged_into: customer.merged_into.clone().filter(|into| *into != customer.id),
        keys: keys.of_customer(&at),
        counted: frequencies.keys(&at),
        cells: Personal::new(cells),
    }
}

/// Before a row's cells: the text of its id, and of the id that it was merged into; 0 where there is none.
const ID: usize = 0;
const MERGED: usize = 1;
const CELLS: usize = 2;

/// The index of customers: in memory, incremental.
#[derive(Debug)]
pub struct Index {
    customers: Arc<CustomerFields>,
    pub(super) matching: Arc<Matching>,
    pub(super) identity_names: Vec<Arc<str>>,
    pub(super) customer_names: Vec<Arc<str>>,
    pub(super) keys: Keys,
    pub(super) plan: Option<Plan>,
    frequencies: Frequencies,
    counts: Option<Counts>,
    strings: Strings,
    /// Rows by their id's number.
    by_id: HashTable<Row>,
    /// Row after row: [`ID`], [`MERGED`], then from [`CELLS`] on a cell for each field.
    records: Vec<Text>,
    /// Numbers in a row.
    width: usize,
    postings: Postings,
    free: Vec<Row>,
    merged_away: usize,
}

impl Index {
    /// An empty index for a mapping's fields and `match` section. Term frequencies are counted among its own customers.
    pub fn new(customers: Arc<CustomerFields>, identities: Arc<IdentityFields>, matching: Arc<Matching>) -> Self {
        let mut index = Self::with_stored_frequencies(customers, identities, matching);
        index.counts = Some(index.frequencies.counts());
        index
    }

    /// An empty index for a handful of customers (mapping tests): term frequencies and the number of customers are the model's stored ones,
    /// never counted among the test's own.
    #[expect(clippy::needless_pass_by_value, reason = "the signature of `new`: callers share one rulebook")]
    pub fn with_stored_frequencies(customers: Arc<CustomerFields>, identities: Arc<IdentityFields>, matching: Arc<Matching>) -> Self {
        let identity_names: Vec<Arc<str>> = identities.fields.iter().map(|f| f.name.clone()).collect();
        let customer_names: Vec<Arc<str>> = customers.fields.iter().map(|f| f.name.clone()).collect();
        let model = matching.model.as_deref();
        Self {
            keys: Keys::new(&matching, &identity_names, &customer_names),
            plan: model.map(|model| Plan::new(model, &identity_names, &customer_names)),
            frequencies: Frequencies::new(model, &identity_names, &customer_names),
            counts: None,
            strings: Strings::default(),
            by_id: HashTable::new(),
            records: Vec::new(),
            width: CELLS + customer_names.len(),
            postings: Postings::default(),
            free: Vec::new(),
            merged_away: 0,
            customers,
            matching,
            identity_names,
            customer_names,
        }
    }

    /// Cleans a customer and makes its keys.
    pub fn prepare(&self, customer: &Customer) -> PreparedCustomer {
        prepare(&self.customers, &self.keys, &self.frequencies, customer)
    }

    /// What prepares customers for this index while it is filled on another thread.
    pub fn preparer(&self) -> Preparer {
        Preparer { customers: self.customers.clone(), keys: self.keys.clone(), frequencies: self.frequencies.clone() }
    }

    /// For many customers: their keys are brought in together, which takes a fraction of the time.
    pub fn filling(self) -> Filling {
        Filling { index: self, waiting: Vec::new() }
    }

    /// Adds a customer, or replaces the one with the same id.
    pub fn insert(&mut self, customer: PreparedCustomer) -> Upsert {
        self.insert_by(customer, Postings::add)
    }

    fn insert_by(&mut self, customer: PreparedCustomer, mut add: impl FnMut(&mut Postings, u64, Row)) -> Upsert {
        let PreparedCustomer { id, merged_into, cells, keys, counted } = customer;
        let id = self.strings.intern(id.as_str());
        let merged = merged_into.map_or(0, |into| self.strings.intern(into.as_str()));
        let mut record = Vec::with_capacity(self.width);
        record.extend([id, merged]);
        record.extend(cells.reveal().iter().map(|cell| cell.as_deref().map_or(0, |text| self.strings.intern(text))));
        let before = self.row_of(id);
        if let Some(row) = before {
            if self.record(row) == record {
                return Upsert::Same;
            }
            self.remove(id, row);
        }
        let row = if let Some(row) = self.free.pop() {
            self.set(row, &record);
            row
        } else {
            let row = Row::try_from(self.records.len() / self.width).unwrap_or(Row::MAX);
            self.records.extend(&record);
            row
        };
        let (records, width) = (&self.records, self.width);
        self.by_id.insert_unique(mix(u64::from(id)), row, |row| mix(u64::from(number(records, width, *row, ID))));
        for key in keys {
            add(&mut self.postings, key, row);
        }
        // A record that was merged away tells nothing about how common a name is: its person is counted under the survivor.
        if merged == 0 {
            if let Some(counts) = &mut self.counts {
                counts.add(&counted);
            }
        } else {
            self.merged_away += 1;
        }
        if before.is_some() { Upsert::Updated } else { Upsert::Added }
    }

    /// Takes a customer out; `false` where there was none.
    pub fn retire(&mut self, id: &CustomerId) -> bool {
        let Some(id) = self.strings.find(id.as_str()) else { return false };
        let Some(row) = self.row_of(id) else { return false };
        self.remove(id, row);
        true
    }

    fn remove(&mut self, id: Text, row: Row) {
        let (keys, counted) = {
            let at = |at: usize| self.cell(row, at);
            (self.keys.of_customer(&at), self.frequencies.keys(&at))
        };
        for key in keys {
            self.postings.take(key, row);
        }
        if self.number(row, MERGED) == 0 {
            if let Some(counts) = &mut self.counts {
                counts.take(&counted);
            }
        } else {
            self.merged_away -= 1;
        }
        let (records, width) = (&self.records, self.width);
        if let Ok(entry) = self.by_id.find_entry(mix(u64::from(id)), |row| number(records, width, *row, ID) == id) {
            entry.remove();
        }
        self.set(row, &vec![0; self.width]);
        self.free.push(row);
    }

    /// The customer that survives after following merges; `None` where the id is unknown. A merge into an unknown customer ends at the
    /// last known one; a circle of merges ends at its smallest id.
    pub fn survivor(&self, id: &CustomerId) -> Option<CustomerId> {
        let row = self.row(id)?;
        Some(self.id(self.survivor_row(row)))
    }

    pub(super) fn survivor_row(&self, start: Row) -> Row {
        let mut row = start;
        let mut seen = Vec::new();
        while let into @ 1.. = self.number(row, MERGED)
            && let Some(next) = self.row_of(into)
        {
            seen.push(row);
            if let Some(at) = seen.iter().position(|earlier| *earlier == next) {
                let circle = seen.get(at..).unwrap_or_default();
                return circle.iter().copied().min_by(|a, b| self.id_text(*a).cmp(self.id_text(*b))).unwrap_or(row);
            }
            if seen.len() >= MOST_MERGES {
                return row;
            }
            row = next;
        }
        row
    }

    /// The customer's own cleaned values by field, in declared order, missing ones left out; `None` where the id is unknown.
    pub fn values(&self, id: &CustomerId) -> Option<Vec<(Arc<str>, Value)>> {
        self.row(id).map(|row| self.row_values(row))
    }

    pub(super) fn row_values(&self, row: Row) -> Vec<(Arc<str>, Value)> {
        let values = self.customer_names.iter().enumerate();
        values.filter_map(|(at, name)| self.cell(row, at).map(|text| (name.clone(), value(text)))).collect()
    }

    /// Whether there is such a customer.
    pub fn contains(&self, id: &CustomerId) -> bool {
        self.row(id).is_some()
    }

    /// How many customers there are, merged ones included.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether an identity shares a blocking key or a rule key with any customer here. On a small index of changed customers this says
    /// which identities must be decided again. `identity` is what [`crate::normalize::clean_identity`] gave.
    pub fn touches(&self, identity: &[Value]) -> bool {
        if self.postings.is_empty() {
            return false;
        }
        let cells: Vec<Option<String>> = identity.iter().map(cell).collect();
        let at = |at: usize| cells.get(at).and_then(Option::as_deref);
        (0..self.keys.len()).any(|rule| self.keys.of_identity(rule, &at).iter().any(|key| !self.postings.rows(*key).is_empty()))
    }

    pub(super) fn row(&self, id: &CustomerId) -> Option<Row> {
        self.row_of(self.strings.find(id.as_str())?)
    }

    fn row_of(&self, id: Text) -> Option<Row> {
        self.by_id.find(mix(u64::from(id)), |row| self.number(*row, ID) == id).copied()
    }

    /// A row's numbers; none where there is no such row.
    fn record(&self, row: Row) -> &[Text] {
        let start = usize::try_from(row).unwrap_or(usize::MAX).saturating_mul(self.width);
        self.records.get(start..start.saturating_add(self.width)).unwrap_or_default()
    }

    fn number(&self, row: Row, at: usize) -> Text {
        number(&self.records, self.width, row, at)
    }

    fn set(&mut self, row: Row, record: &[Text]) {
        let start = usize::try_from(row).unwrap_or(usize::MAX).saturating_mul(self.width);
        if let Some(slots) = self.records.get_mut(start..start.saturating_add(self.width)) {
            slots.copy_from_slice(record);
        }
    }

    pub(super) fn id_text(&self, row: Row) -> &str {
        self.strings.get(self.number(row, ID))
    }

    pub(super) fn id(&self, row: Row) -> CustomerId {
        CustomerId::from(self.id_text(row))
    }

    /// The rows that hold a customer.
    pub(super) fn every(&self) -> impl Iterator<Item = Row> {
        let records = (0..).zip(self.records.chunks_exact(self.width));
        records.filter(|(_, record)| matches!(record, [1..=Text::MAX, ..])).map(|(row, _)| row)
    }

    /// The rows that hold a customer who was not merged away.
    pub(super) fn live(&self) -> Vec<Row> {
        let records = (0..).zip(self.records.chunks_exact(self.width));
        records.filter(|(_, record)| matches!(record, [1..=Text::MAX, 0, ..])).map(|(row, _)| row).collect()
    }

    /// The text of a row's field.
    pub(super) fn cell(&self, row: Row, at: usize) -> Option<&str> {
        let text = *self.record(row).get(CELLS + at)?;
        (text != 0).then(|| self.strings.get(text))
    }

    /// The value of a row's field by name.
    pub(super) fn named(&self, row: Row, field: &str) -> Value {
        let at = super::compare::position(&self.customer_names, field);
        at.and_then(|at| self.cell(row, at)).map_or(Value::Missing, value)
    }

    /// Fills `cells` with the texts of a row.
    pub(super) fn cells_of<'a>(&'a self, row: Row, cells: &mut Vec<Option<&'a str>>) {
        cells.clear();
        let numbers = self.record(row).get(CELLS..).unwrap_or_default();
        cells.extend(numbers.iter().map(|text| (*text != 0).then(|| self.strings.get(*text))));
    }

    /// Fills `cells` with a row's texts at these positions, the others stay empty.
    pub(super) fn some_cells_of<'a>(&'a self, row: Row, reads: &[usize], cells: &mut Vec<Option<&'a str>>) {
        cells.clear();
        cells.resize(self.customer_names.len(), None);
        let record = self.record(row);
        for at in reads {
            let text = record.get(CELLS + at).copied().filter(|text| *text != 0);
            if let (Some(cell), Some(text)) = (cells.get_mut(*at), text) {
                *cell = Some(self.strings.get(text));
            }
        }
    }

    /// Looks once at what comparing these rows will read. The looks do not wait for each other, as those of comparing do: memory answers ten of
    /// them in the time of one.
    pub(super) fn fetch<'a>(&self, rows: impl Iterator<Item = &'a Row>, reads: &[usize]) {
        let mut seen = 0;
        for row in rows {
            let record = self.record(*row);
            for text in reads.iter().filter_map(|at| record.get(CELLS + at)) {
                seen ^= self.strings.look(*text);
            }
        }
        std::hint::black_box(seen);
    }

    /// The rows under a key.
    pub(super) fn rows(&self, key: u64) -> &[Row] {
        self.postings.rows(key)
    }

    /// log2 of the prior odds of one customer against "none of them".
    pub(super) fn prior_bits(&self) -> f64 {
        match self.matching.model.as_deref().map(|model| model.prior) {
            None => 0.0,
            Some(Prior::Pair(lambda)) => libm::log2(lambda / (1.0 - lambda)),
            Some(Prior::Share { share, customers }) => {
                let own = u64::try_from(self.len() - self.merged_away).unwrap_or(u64::MAX);
                let customers = if self.counts.is_some() { own.max(1) } else { customers.max(1) };
                libm::log2(share / (1.0 - share)) - libm::log2(super::frequency::count(customers))
            }
        }
    }

    /// Each value of a term frequency of one whole field, by its number in the model, and how common it is among the customers who have any; by
    /// value. Empty where it counts something else.
    pub fn value_frequencies(&self, number: usize) -> Vec<(Arc<str>, f64)> {
        let of = self.matching.model.as_deref().and_then(|model| model.term_frequencies.get(number)).map(|frequency| &*frequency.of);
        let Some([CountedPart { field, form: KeyForm::Whole }]) = of else { return Vec::new() };
        let Some(at) = super::compare::position(&self.customer_names, field) else { return Vec::new() };
        let (mut counts, mut total) = (BTreeMap::<&str, u64>::new(), 0);
        for text in self.live().into_iter().filter_map(|row| self.cell(row, at)) {
            *counts.entry(first(text)).or_insert(0) += 1;
            total += 1;
        }
        let share = |count: u64| super::frequency::count(count) / super::frequency::count(total);
        counts.into_iter().map(|(text, count)| (text.into(), share(count))).collect()
    }

    /// The term frequency with this number of an identity's value.
    pub(super) fn identity_frequency(&self, number: usize, identity: &[Option<String>]) -> Option<f64> {
        self.frequencies.of_identity(number, self.counts.as_ref(), identity)
    }

    /// The term frequency with this number for a pair: the more common of both sides' values. `theirs` is [`Index::identity_frequency`].
    pub(super) fn term_frequency(&self, number: usize, theirs: Option<f64>, customer: &[Option<&str>]) -> Option<f64> {
        self.frequencies.of_pair(number, self.counts.as_ref(), theirs, customer)
    }
}

/// Keys that wait to be brought in: 2²¹ of 16 bytes are 32 MiB, and a hundred thousand customers or more.
const MOST_WAITING: usize = 1 << 21;

/// An index that is being filled. Nothing is looked for in it until it is done.
#[derive(Debug)]
pub struct Filling {
    index: Index,
    waiting: Vec<(u64, Row)>,
}

impl Filling {
    /// As [`Index::insert`].
    pub fn insert(&mut self, customer: PreparedCustomer) -> Upsert {
        // One that is there already has keys to be taken back.
        if !self.waiting.is_empty() && self.index.contains(&customer.id) {
            self.bring_in();
        }
        let Self { index, waiting } = self;
        let done = index.insert_by(customer, |_, key, row| waiting.push((key, row)));
        if self.waiting.len() >= MOST_WAITING {
            self.bring_in();
        }
        done
    }

    fn bring_in(&mut self) {
        self.index.postings.add_all(&mut self.waiting);
    }

    /// The index.
    pub fn done(mut self) -> Index {
        self.bring_in();
        self.index
    }
}

fn number(records: &[Text], width: usize, row: Row, at: usize) -> Text {
    let place = usize::try_from(row).ok().and_then(|row| row.checked_mul(width)?.checked_add(at));
    place.and_then(|place| records.get(place)).copied().unwrap_or(0)
}
