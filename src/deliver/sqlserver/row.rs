//! Deliveries as rows: their values brought to the live columns, and grouped so that one set of statements writes many.

use super::bound::Bound;
use crate::deliver::DeliveryError;
use crate::deliver::record::Prepared;
use crate::diagnose::Code;
use crate::model::{Delivery, WriteIntent};
use crate::wire::tds::{Cell, cell};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// A delivery, ready to stand in its table.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// Its place in the batch.
    pub(super) at: usize,
    pub(super) delivery: &'a Delivery,
    /// Its values as the columns will hold them.
    pub(super) prepared: Prepared<'a>,
    /// Their cells, aligned with the operation's fields; `None` where the delivery says nothing about the field.
    pub(super) cells: Vec<Option<Cell>>,
}

/// Rows that are written by the same statements: one intent, the same fields, no record twice.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) intent: WriteIntent,
    /// Which fields the rows speak about, by place.
    pub(super) spoken: Vec<usize>,
    pub(super) rows: Vec<Row<'a>>,
}

impl<'a> Row<'a> {
    /// Brings a delivery to the columns.
    pub(super) fn new(at: usize, delivery: &'a Delivery, mut prepared: Prepared<'a>, bound: &Bound) -> Result<Self, DeliveryError> {
        let mut cells = Vec::with_capacity(prepared.values.len());
        let fields = prepared.operation.fields.iter();
        for ((field, value), column) in fields.zip(&mut prepared.values).zip(&bound.columns) {
            let Some(value) = value else {
                cells.push(None);
                continue;
            };
            let held = column
                .hold(value)
                .map_err(|error| DeliveryError::Refused { code: Code("KITH-D046"), message: format!("`{}` {error}", field.name).into() })?;
            *value = held.value;
            cells.push(Some(held.cell));
        }
        Ok(Self { at, delivery, prepared, cells })
    }

    /// Which fields it speaks about.
    pub(super) fn spoken(&self) -> Vec<usize> {
        self.cells.iter().enumerate().filter_map(|(at, cell)| cell.as_ref().map(|_| at)).collect()
    }

    /// The bytes of its values.
    fn bytes(&self) -> usize {
        self.cells.iter().flatten().map(cell::length).sum()
    }

    /// SHA-256 of (operation, record key): the record in Kith's own tables.
    pub(super) fn record_hash(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(self.prepared.operation.table.as_bytes());
        hash.update([0]);
        hash.update(self.delivery.record.0.as_bytes());
        hash.finalize().to_vec()
    }

    /// The idempotency key as a cell.
    pub(super) fn ledger_key(&self) -> Cell {
        cell::bytes(self.delivery.idempotency.0.0)
    }
}

/// Bytes of the values of one transaction, unless one record alone has more. What stands of the rows is read too, and is about as long: 16 MiB are
/// 4,000 posts of 4,000 characters, or 16 of a million.
const MOST_BYTES: usize = 16 << 20;

/// Groups rows, in the batch's order: a record that comes twice is in a later group the second time.
pub(super) fn grouped<'a>(rows: impl IntoIterator<Item = Row<'a>>, most: usize) -> Vec<Group<'a>> {
    struct Open<'a> {
        group: Group<'a>,
        records: BTreeSet<&'a str>,
        bytes: usize,
    }
    let mut done: Vec<Open<'a>> = Vec::new();
    let mut last_of: BTreeMap<&'a str, usize> = BTreeMap::new();
    for row in rows {
        let spoken = row.spoken();
        let record: &'a str = &row.delivery.record.0;
        let bytes = row.bytes();
        // Never before a group that holds an earlier delivery about the same record.
        let from = last_of.get(record).map_or(0, |group| group + 1);
        let fits = |open: &Open<'a>| {
            open.group.intent == row.delivery.intent
                && open.group.spoken == spoken
                && open.group.rows.len() < most
                && open.bytes.saturating_add(bytes) <= MOST_BYTES
                && !open.records.contains(record)
        };
        let place = (from..done.len()).find(|at| done.get(*at).is_some_and(fits));
        let at = place.unwrap_or_else(|| {
            done.push(Open { group: Group { intent: row.delivery.intent, spoken, rows: Vec::new() }, records: BTreeSet::new(), bytes: 0 });
            done.len() - 1
        });
        if let Some(open) = done.get_mut(at) {
            open.records.insert(record);
            open.bytes = open.bytes.saturating_add(bytes);
            open.group.rows.push(row);
        }
        last_of.insert(record, at);
    }
    done.into_iter().map(|open| open.group).collect()
}
