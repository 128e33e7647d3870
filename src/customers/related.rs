//! Records that belong to customers, compact in memory: of each customer the last few rows by file order.
//!
//! A quarter of a million orders with six columns take some 15 MB here; as values of their own they would take 120.

use super::read::key;
use super::table::{Cell, Table, Taker};
use super::{CustomersError, ParkedRow, ReadSummary};
use crate::declare::config::TableSpec;
use crate::model::{CustomerId, Personal, RelatedRecord, Value};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Parked rows that are described; more are only counted, since a file in another encoding has nothing else.
const MAX_PARKED: usize = 1_000;

/// Rows that may lie dead before the live ones are copied together.
const DEAD_ROWS: usize = 1 << 16;

/// Related records of all customers.
#[derive(Clone, Default)]
pub struct Related {
    columns: Arc<[Arc<str>]>,
    by_customer: HashMap<Arc<str>, VecDeque<Row>>,
    cells: Vec<u8>,
}

/// Where a row's cells lie.
#[derive(Clone, Copy)]
struct Row {
    start: usize,
    length: u32,
}

impl std::fmt::Debug for Related {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Related({} customers, {} columns)", self.by_customer.len(), self.columns.len())
    }
}

impl Related {
    /// The columns' names, in file order.
    pub fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    /// How many customers have records.
    pub fn customers(&self) -> usize {
        self.by_customer.len()
    }

    /// The last records of a customer, in file order.
    pub fn of(&self, customer: &CustomerId) -> Vec<RelatedRecord> {
        let rows = self.by_customer.get(&*customer.0).into_iter().flatten();
        rows.map(|row| {
            let mut bytes = self.bytes(*row);
            let members = self.columns.iter().map(|name| (name.clone(), unpack(&mut bytes))).collect();
            RelatedRecord { customer: customer.clone(), members: Personal::new(members) }
        })
        .collect()
    }

    /// Where a column stands.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| &**column == name)
    }

    /// What stands in one column of a customer's last records, in file order; missing ones are left out.
    pub fn values(&self, customer: &CustomerId, column: usize) -> Vec<Value> {
        let rows = self.by_customer.get(&*customer.0).into_iter().flatten();
        let value = |row: &Row| {
            let mut bytes = self.bytes(*row);
            for _ in 0..column {
                skip(&mut bytes);
            }
            unpack(&mut bytes)
        };
        rows.map(value).filter(|value| !value.is_missing()).collect()
    }

    /// Whether each customer has in this column what they have in the other set's column.
    pub fn says_the_same(&self, column: usize, other: &Self, its_column: usize) -> bool {
        let same = |id: &Arc<str>| {
            let id = CustomerId(id.clone());
            self.values(&id, column) == other.values(&id, its_column)
        };
        self.by_customer.keys().all(same) && other.by_customer.keys().filter(|id| !self.by_customer.contains_key(*id)).all(same)
    }

    fn bytes(&self, row: Row) -> &[u8] {
        let length = usize::try_from(row.length).unwrap_or(usize::MAX);
        self.cells.get(row.start..row.start.saturating_add(length)).unwrap_or_default()
    }

    /// Copies the live rows together.
    fn compact(&mut self) {
        let mut cells = Vec::new();
        let old = std::mem::take(&mut self.cells);
        for row in self.by_customer.values_mut().flatten() {
            let length = usize::try_from(row.length).unwrap_or(usize::MAX);
            let bytes = old.get(row.start..row.start.saturating_add(length)).unwrap_or_default();
            row.start = cells.len();
            cells.extend_from_slice(bytes);
        }
        self.cells = cells;
    }
}

/// Appends a cell: kind, then eight bytes of a number, or length and text.
fn pack(cells: &mut Vec<u8>, cell: Cell<'_>) {
    match cell {
        Cell::Missing => cells.push(0),
        Cell::Text(text) if text.trim().is_empty() => cells.push(0),
        Cell::Text(text) => {
            cells.push(1);
            // A row has at most 1 MiB in CSV; what SQLite may hold beyond 4 GiB is cut by no one here, since its length fails first.
            let length = u32::try_from(text.len()).unwrap_or(0);
            cells.extend_from_slice(&length.to_le_bytes());
            cells.extend_from_slice(text.as_bytes().get(..usize::try_from(length).unwrap_or(0)).unwrap_or_default());
        }
        Cell::Integer(number) => {
            cells.push(2);
            cells.extend_from_slice(&number.to_le_bytes());
        }
        Cell::Number(number) => {
            cells.push(3);
            cells.extend_from_slice(&number.to_bits().to_le_bytes());
        }
    }
}

fn unpack(bytes: &mut &[u8]) -> Value {
    fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (taken, rest) = bytes.split_first_chunk::<N>()?;
        *bytes = rest;
        Some(*taken)
    }
    let value = match take::<1>(bytes) {
        Some([1]) => take::<4>(bytes).and_then(|length| {
            let (text, rest) = bytes.split_at_checked(usize::try_from(u32::from_le_bytes(length)).ok()?)?;
            *bytes = rest;
            std::str::from_utf8(text).ok().map(Value::text)
        }),
        Some([2]) => take::<8>(bytes).map(|number| Value::Integer(i64::from_le_bytes(number))),
        Some([3]) => take::<8>(bytes).map(|number| Value::Number(f64::from_bits(u64::from_le_bytes(number)))),
        _ => None,
    };
    value.unwrap_or_default()
}

/// Goes past a cell.
fn skip(bytes: &mut &[u8]) {
    let long = match bytes.first() {
        Some(1) => {
            bytes.get(1..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |length| u32::from_le_bytes(*length).saturating_add(4))
        }
        Some(2 | 3) => 8,
        Some(_) | None => 0,
    };
    *bytes = bytes.get(usize::try_from(long).unwrap_or(usize::MAX).saturating_add(1)..).unwrap_or_default();
}

struct Each<F>(F);

impl<F: FnMut(u64, Result<&[Cell<'_>], (super::RowFault, Option<&str>)>)> Taker for Each<F> {
    fn row(&mut self, line: u64, row: Result<&[Cell<'_>], (super::RowFault, Option<&str>)>) {
        (self.0)(line, row);
    }

    fn unchanged(&mut self, _line: u64, _key: Cell<'_>) -> bool {
        false
    }
}

/// Reads a table of related records; `by` is the column that holds the customer's key. Of each customer the last `last` rows are kept.
/// Rows without a key or with bytes that are no text stand aside, the first thousand of them described.
///
/// # Errors
/// Why the table can't be read to its end; then the records of the last complete read stay in force.
pub fn read_related(spec: &TableSpec, by: &str, last: usize) -> Result<(Related, Vec<ParkedRow>, ReadSummary), CustomersError> {
    let mut table = Table::open(spec)?;
    let now = table.now()?;
    if let Some(now) = &now {
        table.bounded(now)?;
    }
    let mut pick = table.positions([(by, false)])?;
    let columns: Arc<[Arc<str>]> = table.header.iter().cloned().collect();
    pick.extend((0..columns.len()).map(Some));
    let mut related = Related { columns, ..Related::default() };
    let (mut parked, mut parked_count, mut live, mut dead) = (Vec::new(), 0, 0_usize, 0_usize);
    let mut each = Each(|line: u64, row: Result<&[Cell<'_>], (super::RowFault, Option<&str>)>| {
        let kept = match row {
            Ok(cells) => key(cells.first().copied(), by).map(|key| (key, cells)),
            Err((fault, _)) => Err(fault),
        };
        let (key, cells) = match kept {
            Ok(kept) => kept,
            Err(fault) => {
                parked_count += 1;
                if parked.len() < MAX_PARKED {
                    parked.push(ParkedRow { line, customer: None, reason: fault.park_reason() });
                }
                return;
            }
        };
        if last == 0 {
            return;
        }
        let start = related.cells.len();
        for cell in cells.iter().skip(1) {
            pack(&mut related.cells, *cell);
        }
        let length = u32::try_from(related.cells.len() - start).unwrap_or(0);
        let rows = related.by_customer.entry(key).or_default();
        if rows.len() >= last {
            rows.pop_front();
            dead += 1;
        } else {
            live += 1;
        }
        rows.push_back(Row { start, length });
        if dead > live + DEAD_ROWS {
            related.compact();
            dead = 0;
        }
    });
    let scanned = table.rows(&pick, (None, now.as_ref()), &mut each)?;
    related.cells.shrink_to_fit();
    Ok((related, parked, ReadSummary { rows: scanned.rows, parked: parked_count, digest: scanned.digest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_what_the_whole_records_hold_there() {
        let rows: [[Cell<'_>; 3]; 3] = [
            [Cell::Integer(4711), Cell::Text("gràzie"), Cell::Number(0.5)],
            [Cell::Text(" "), Cell::Missing, Cell::Text("x")],
            [Cell::Text("0815"), Cell::Text(""), Cell::Integer(-1)],
        ];
        let mut related = Related { columns: ["a", "b", "c"].map(Arc::from).into(), ..Related::default() };
        for row in rows {
            let start = related.cells.len();
            for cell in row {
                pack(&mut related.cells, cell);
            }
            let length = u32::try_from(related.cells.len() - start).unwrap();
            related.by_customer.entry("C1".into()).or_default().push_back(Row { start, length });
        }
        let customer = CustomerId::from("C1");
        for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(related.column(name), Some(at));
            let of_records = related.of(&customer).into_iter().map(|record| record.members.reveal()[at].1.clone());
            assert_eq!(related.values(&customer, at), of_records.filter(|v| !v.is_missing()).collect::<Vec<_>>(), "{name}");
        }
        assert_eq!(related.values(&customer, 0), [Value::Integer(4711), Value::text("0815")]);
        assert!(related.values(&CustomerId::from("C2"), 0).is_empty());
        assert!(related.says_the_same(0, &related, 0) && !related.says_the_same(0, &related, 1));
        let nobody = Related::default();
        assert!(
            nobody.says_the_same(0, &Related::default(), 0)
                && !nobody.says_the_same(0, &related, 0)
                && !related.says_the_same(0, &nobody, 0)
        );
    }
}
