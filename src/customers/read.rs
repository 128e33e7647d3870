//! Customers, row by row, with a digest each.

use super::sqlserver::{Looked, Mark};
use super::table::{Cell, Table, Taker};
use super::{CustomersError, RowFault};
use crate::declare::config::{TableKind, TableSpec};
use crate::model::{Customer, CustomerId, Digest, ParkReason, Personal, Value};
use crate::normalize::{Cleaner, CustomerFields, Extract};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::sync::Arc;

/// The longest key of a customer. CRMs use some tens of bytes.
pub(super) const MAX_KEY_BYTES: usize = 512;

/// A customer with the digest of what the mapping reads of it.
#[derive(Clone, PartialEq, Debug)]
pub struct ReadCustomer {
    /// The customer.
    pub customer: Customer,
    /// The first 16 bytes of SHA-256 over the surviving customer and the declared columns: equal exactly when nothing that is read changed.
    pub digest: [u8; 16],
}

/// A row that stands aside.
#[derive(Clone, PartialEq, Debug)]
pub struct ParkedRow {
    /// Its line in a CSV file, its number in a result of SQLite; from 1.
    pub line: u64,
    /// The key, where the row shows one: this customer is known to be there, and must not be retired for lack of a good row.
    pub customer: Option<CustomerId>,
    /// Why.
    pub reason: ParkReason,
}

/// A read that came to its end: only then the rows are an update.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadSummary {
    /// Rows read, parked ones included.
    pub rows: u64,
    /// Rows that stand aside.
    pub parked: u64,
    /// Of the CSV file as it stands on disk, or of the rows that SQLite gave: equal exactly when there is nothing new.
    pub digest: Digest,
}

/// Whether each column must be there: unless all that reads it is optional.
fn required(fields: &CustomerFields) -> Vec<bool> {
    let reads = |field: &crate::normalize::Field, at: usize, name: &Arc<str>| {
        let region = match &field.extract {
            Extract::Clean(Cleaner::Phone { region_from } | Cleaner::Date { region_from } | Cleaner::E164 { region_from }) => {
                region_from.as_ref()
            }
            Extract::Clean(_) | Extract::Find(_) => None,
        };
        field.from.contains(&at) || region == Some(name)
    };
    let column = |(at, name): (usize, &Arc<str>)| {
        let mut readers = fields.fields.iter().filter(|field| reads(field, at, name)).peekable();
        !fields.is_related(at) && (readers.peek().is_none() || readers.any(|field| !field.optional))
    };
    fields.columns.iter().enumerate().map(column).collect()
}

/// What is read of one row.
#[derive(Clone, PartialEq, Debug)]
pub enum ReadRow {
    /// A customer.
    Customer(ReadCustomer),
    /// It is there, and nothing of it changed since the last read.
    Unchanged(CustomerId),
    /// It stands aside.
    Parked(ParkedRow),
}

/// Reads all customers of a table and hands them to `each` in batches of `batch` rows, in the table's order.
///
/// # Errors
/// Why the table can't be read to its end. What `each` was given must not be applied then.
pub fn read(
    spec: &TableSpec,
    fields: &CustomerFields,
    batch: usize,
    each: &mut dyn FnMut(Vec<Result<ReadCustomer, ParkedRow>>),
) -> Result<ReadSummary, CustomersError> {
    let mut whole = |rows: Vec<ReadRow>| {
        let row = |row| match row {
            ReadRow::Customer(customer) => Some(Ok(customer)),
            ReadRow::Parked(aside) => Some(Err(aside)),
            ReadRow::Unchanged(_) => None,
        };
        each(rows.into_iter().filter_map(row).collect());
    };
    read_since(spec, fields, batch, None, &mut whole).map(|(summary, _)| summary)
}

/// What was known before: how far the last read of this process came, and the digest of each customer that it found.
pub struct Before<'a> {
    /// From the last complete read.
    pub mark: &'a Mark,
    /// Of customers in force.
    pub digest: &'a dyn Fn(&CustomerId) -> Option<[u8; 16]>,
}

/// [`read`], but of a server the rows that changed since, and the keys of the others. Also tells how far it came; `None` for files.
///
/// # Errors
/// As [`read`].
pub fn read_since(
    spec: &TableSpec,
    fields: &CustomerFields,
    batch: usize,
    before: Option<&Before<'_>>,
    each: &mut dyn FnMut(Vec<ReadRow>),
) -> Result<(ReadSummary, Option<Mark>), CustomersError> {
    let batch = batch.max(1);
    let mut table = Table::open(spec)?;
    let required = required(fields);
    let merged = fields.merged_into.as_deref();
    let wanted = std::iter::once((&*fields.key, false))
        .chain(merged.map(|name| (name, false)))
        .chain(fields.columns.iter().zip(&required).map(|(name, required)| (&**name, !required)));
    let pick = table.positions(wanted)?;
    let now = table.now()?;
    let mut taking = Taking {
        fields,
        before,
        batch,
        each,
        rows: Vec::with_capacity(batch),
        parked: 0,
        seen: HashSet::new(),
        aside: HashSet::new(),
        sum: [0; 4],
    };
    let scanned = table.rows(&pick, (before.map(|before| before.mark), now.as_ref()), &mut taking)?;
    let Taking { rows, parked, aside, sum, each, .. } = taking;
    if !rows.is_empty() {
        each(rows);
    }
    let digest = if now.is_some() { summed(sum, scanned.rows) } else { scanned.digest };
    Ok((ReadSummary { rows: scanned.rows, parked, digest }, now.map(|now| now.with_aside(aside))))
}

/// How far a server's table is: a cheap question. `None` for files.
///
/// # Errors
/// As [`read`].
pub fn mark(spec: &TableSpec) -> Result<Option<Mark>, CustomersError> {
    match spec.kind {
        TableKind::SqlServer(_) => Table::open(spec)?.now(),
        TableKind::Csv { .. } | TableKind::Sqlite { .. } | TableKind::Soap(_) => Ok(None),
    }
}

/// Looks at a server's table as `kith doctor` wants it; `None` for files.
///
/// # Errors
/// As [`read`].
pub fn look(spec: &TableSpec) -> Result<Option<Looked>, CustomersError> {
    Table::open(spec)?.server().map(|mut server| server.look()).transpose()
}

struct Taking<'a, 'e> {
    fields: &'a CustomerFields,
    before: Option<&'a Before<'a>>,
    batch: usize,
    each: &'e mut dyn FnMut(Vec<ReadRow>),
    rows: Vec<ReadRow>,
    parked: u64,
    seen: HashSet<Arc<str>>,
    /// Keys of the rows that stand aside.
    aside: HashSet<Arc<str>>,
    /// Of what was read, in any order: a whole read and a read of the changes meet the rows in different orders.
    sum: [u64; 4],
}

impl Taking<'_, '_> {
    fn push(&mut self, row: ReadRow) {
        self.rows.push(row);
        if self.rows.len() >= self.batch {
            (self.each)(std::mem::replace(&mut self.rows, Vec::with_capacity(self.batch)));
        }
    }

    fn add(&mut self, kind: u8, id: &str, digest: &[u8]) {
        let mut hash = Sha256::new();
        hash.update([kind]);
        hash.update(id.len().to_be_bytes());
        hash.update(id.as_bytes());
        hash.update(digest);
        let full: [u8; 32] = hash.finalize().into();
        for (lane, bytes) in self.sum.iter_mut().zip(full.chunks_exact(8)) {
            *lane = lane.wrapping_add(bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)));
        }
    }
}

fn summed(sum: [u64; 4], rows: u64) -> Digest {
    let mut hash = Sha256::new();
    hash.update(rows.to_be_bytes());
    for lane in sum {
        hash.update(lane.to_be_bytes());
    }
    Digest(hash.finalize().into())
}

impl Taker for Taking<'_, '_> {
    fn row(&mut self, line: u64, row: Result<&[Cell<'_>], (RowFault, Option<&str>)>) {
        let row = match row {
            Ok(cells) => customer(cells, self.fields, &mut self.seen),
            Err((fault, key)) => {
                Err((fault, key.map(str::trim).filter(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES).map(CustomerId::from)))
            }
        };
        match row {
            Ok(read) => {
                self.add(1, read.customer.id.as_str(), &read.digest);
                self.push(ReadRow::Customer(read));
            }
            Err((fault, customer)) => {
                self.parked += 1;
                let id = customer.as_ref().map_or("", |id| id.as_str()).to_owned();
                self.add(2, &id, fault.code().0.as_bytes());
                if let Some(id) = &customer {
                    self.aside.insert(id.0.clone());
                }
                self.push(ReadRow::Parked(ParkedRow { line, customer, reason: fault.park_reason() }));
            }
        }
    }

    fn unchanged(&mut self, line: u64, cell: Cell<'_>) -> bool {
        let Some(before) = self.before else { return false };
        let Ok(id) = key(Some(cell), &self.fields.key) else { return false };
        let id = CustomerId(id);
        let Some(digest) = (before.digest)(&id) else { return false };
        if !self.seen.insert(id.0.clone()) {
            self.row(line, Err((RowFault::DuplicateKey, Some(id.as_str()))));
            return true;
        }
        self.add(1, id.as_str(), &digest);
        self.push(ReadRow::Unchanged(id));
        true
    }
}

/// The key as text.
pub(super) fn key(cell: Option<Cell<'_>>, column: &str) -> Result<Arc<str>, RowFault> {
    let key: Arc<str> = match cell {
        Some(Cell::Text(text)) => text.trim().into(),
        Some(Cell::Integer(number)) => number.to_string().into(),
        Some(Cell::Number(_)) => return Err(RowFault::WrongKind { column: column.to_owned(), kind: "a broken number" }),
        Some(Cell::Missing) | None => "".into(),
    };
    match key.len() {
        0 => Err(RowFault::NoKey { column: column.to_owned() }),
        bytes if bytes > MAX_KEY_BYTES => Err(RowFault::KeyTooLong { bytes }),
        _ => Ok(key),
    }
}

fn customer(
    cells: &[Cell<'_>],
    fields: &CustomerFields,
    seen: &mut HashSet<Arc<str>>,
) -> Result<ReadCustomer, (RowFault, Option<CustomerId>)> {
    let mut cells = cells.iter().copied();
    let id = key(cells.next(), &fields.key).map_err(|fault| (fault, None))?;
    if !seen.insert(id.clone()) {
        return Err((RowFault::DuplicateKey, Some(CustomerId(id))));
    }
    let merged_into = match &fields.merged_into {
        None => None,
        Some(column) => match key(cells.next(), column) {
            Ok(survivor) if survivor != id => Some(CustomerId(survivor)),
            Ok(_) | Err(RowFault::NoKey { .. }) => None,
            Err(fault) => return Err((fault, Some(CustomerId(id)))),
        },
    };
    let raw: Vec<Value> = cells.map(Cell::value).collect();
    let digest = digest(merged_into.as_ref(), &raw);
    Ok(ReadCustomer { customer: Customer { id: CustomerId(id), merged_into, raw: Personal::new(raw) }, digest })
}

/// Kind, length and content of each value, so that no two customers that differ give the same bytes.
fn digest(merged_into: Option<&CustomerId>, raw: &[Value]) -> [u8; 16] {
    let mut bytes = Vec::with_capacity(256);
    let mut text = |tag: u8, text: &str| {
        bytes.push(tag);
        bytes.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    };
    match merged_into {
        Some(survivor) => text(1, survivor.as_str()),
        None => text(0, ""),
    }
    for value in raw {
        match value {
            Value::Missing => text(0, ""),
            Value::Text(content) => text(1, content),
            Value::Integer(number) => text(2, &number.to_string()),
            Value::Number(number) => text(3, &format!("{:x}", number.to_bits())),
            Value::Bool(truth) => text(4, if *truth { "1" } else { "0" }),
            Value::Time(time) => text(5, &time.to_string()),
            // No table has these.
            Value::List(_) | Value::Record(_) => text(6, &value.to_json().to_string()),
        }
    }
    let full: [u8; 32] = Sha256::digest(&bytes).into();
    full.first_chunk().copied().unwrap_or_default()
}
