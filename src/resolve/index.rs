//! The customers of the CRM, in memory, found by blocking keys and rule keys.
//!
//! Columnar: each cleaned value is a number into one buffer of distinct texts; keys are 64-bit hashes with a posting list each.

use super::block::Keys;
use super::cell::{cell, value};
use super::compare::Plan;
use super::frequency::{Counts, Frequencies};
use super::postings::{Postings, Row};
use super::strings::{Strings, Text};
use super::{Matching, Prior};
use crate::model::{Customer, CustomerId, Personal, Value};
use crate::normalize::{CustomerFields, IdentityFields, clean_customer};
use std::collections::HashMap;
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

/// The index of customers: columnar, in memory, incremental.
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
    by_id: HashMap<Text, Row>,
    ids: Vec<Text>,
    merged: Vec<Text>,
    columns: Vec<Vec<Text>>,
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
            by_id: HashMap::new(),
            ids: Vec::new(),
            merged: Vec::new(),
            columns: vec![Vec::new(); customer_names.len()],
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

    /// Adds a customer, or replaces the one with the same id.
    pub fn insert(&mut self, customer: PreparedCustomer) -> Upsert {
        let PreparedCustomer { id, merged_into, cells, keys, counted } = customer;
        let id = self.strings.intern(id.as_str());
        let merged = merged_into.map_or(0, |into| self.strings.intern(into.as_str()));
        let cells: Vec<Text> = cells.reveal().iter().map(|cell| cell.as_deref().map_or(0, |text| self.strings.intern(text))).collect();
        let before = self.by_id.get(&id).copied();
        if let Some(row) = before {
            let same =
                text_at(&self.merged, row) == merged && self.columns.iter().zip(&cells).all(|(column, text)| text_at(column, row) == *text);
            if same {
                return Upsert::Same;
            }
            self.remove(id, row);
        }
        let row = self.free.pop().unwrap_or_else(|| {
            let row = Row::try_from(self.ids.len()).unwrap_or(Row::MAX);
            self.ids.push(0);
            self.merged.push(0);
            self.columns.iter_mut().for_each(|column| column.push(0));
            row
        });
        set(&mut self.ids, row, id);
        set(&mut self.merged, row, merged);
        for (column, text) in self.columns.iter_mut().zip(cells) {
            set(column, row, text);
        }
        self.by_id.insert(id, row);
        for key in keys {
            self.postings.add(key, row);
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
        let Some(row) = self.by_id.get(&id).copied() else { return false };
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
        if text_at(&self.merged, row) == 0 {
            if let Some(counts) = &mut self.counts {
                counts.take(&counted);
            }
        } else {
            self.merged_away -= 1;
        }
        self.by_id.remove(&id);
        set(&mut self.ids, row, 0);
        set(&mut self.merged, row, 0);
        for column in &mut self.columns {
            set(column, row, 0);
        }
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
        while let into @ 1.. = text_at(&self.merged, row)
            && let Some(next) = self.by_id.get(&into).copied()
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
        self.by_id.get(&self.strings.find(id.as_str())?).copied()
    }

    pub(super) fn id_text(&self, row: Row) -> &str {
        self.strings.get(text_at(&self.ids, row))
    }

    pub(super) fn id(&self, row: Row) -> CustomerId {
        CustomerId::from(self.id_text(row))
    }

    /// The rows that hold a customer who was not merged away.
    pub(super) fn live(&self) -> Vec<Row> {
        let rows = (0..).zip(self.ids.iter().zip(&self.merged));
        rows.filter(|(_, (id, merged))| **id != 0 && **merged == 0).map(|(row, _)| row).collect()
    }

    /// The text of a row's field.
    pub(super) fn cell(&self, row: Row, at: usize) -> Option<&str> {
        let text = text_at(self.columns.get(at)?, row);
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
        cells.extend((0..self.columns.len()).map(|at| self.cell(row, at)));
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

    /// The term frequency with this number of an identity's value.
    pub(super) fn identity_frequency(&self, number: usize, identity: &[Option<String>]) -> Option<f64> {
        self.frequencies.of_identity(number, self.counts.as_ref(), identity)
    }

    /// The term frequency with this number for a pair: the more common of both sides' values. `theirs` is [`Index::identity_frequency`].
    pub(super) fn term_frequency(&self, number: usize, theirs: Option<f64>, customer: &[Option<&str>]) -> Option<f64> {
        self.frequencies.of_pair(number, self.counts.as_ref(), theirs, customer)
    }
}

fn text_at(column: &[Text], row: Row) -> Text {
    usize::try_from(row).ok().and_then(|row| column.get(row)).copied().unwrap_or(0)
}

fn set(column: &mut [Text], row: Row, text: Text) {
    if let Some(slot) = usize::try_from(row).ok().and_then(|row| column.get_mut(row)) {
        *slot = text;
    }
}
