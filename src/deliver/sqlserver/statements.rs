//! The Transact-SQL that a group of rows needs. It is right on SQL Server 2016 and later, and keeps to what other engines of the protocol have:
//! no MERGE (which races without HOLDLOCK), no table-valued parameters, nothing procedural.
//!
//! Rows that are to be written are loaded into a stage table. The rows that stand are read under UPDLOCK and HOLDLOCK, which nobody passes until the
//! commit; where an engine has no range locks, the unique index and the counted rows tell that a race was lost.

use super::bound::Bound;
use crate::declare::connector::sqlserver::SqlServerObjects;
use crate::declare::connector::{ObjectName, quoted};
use crate::wire::tds::{Cell, Column};
use std::fmt::Write as _;

/// What is done with a staged row: kept in the stage's column `kith_act`, and the ledger's `outcome`.
pub(super) mod act {
    /// Nothing: it stands so already, or it is not to be made.
    pub(in super::super) const UNCHANGED: u8 = 0;
    /// It is made.
    pub(in super::super) const INSERT: u8 = 1;
    /// It is brought to the new values.
    pub(in super::super) const UPDATE: u8 = 2;
    /// It goes.
    pub(in super::super) const REMOVE: u8 = 3;
    /// In the ledger: its fields were emptied.
    pub(in super::super) const BLANKED: u8 = 4;
}

/// A stage table for rows that speak about the same fields.
#[derive(Clone, Debug)]
pub(super) struct Stage<'a> {
    /// `#kith_…`
    pub(super) name: String,
    bound: &'a Bound,
    /// The fields that it holds, by place; the key's among them.
    fields: Vec<usize>,
    /// Whether it holds what the rows were seen as.
    compared: bool,
    /// Whether it holds only keys, for a first look.
    keys_only: bool,
}

impl<'a> Stage<'a> {
    /// The stage of whole rows.
    pub(super) fn of_rows(operation: usize, bound: &'a Bound, spoken: &[usize], compared: bool) -> Self {
        let mut name = format!("#kith_{operation}");
        // One table a set of fields: their places in hexadecimal, as bits.
        let mut bits = vec![0_u8; bound.columns.len() / 8 + 1];
        for at in spoken {
            if let Some(byte) = bits.get_mut(at / 8) {
                *byte |= 1 << (at % 8);
            }
        }
        while bits.last() == Some(&0) {
            bits.pop();
        }
        name.push('_');
        for byte in bits.iter().take(40) {
            let _infallible = write!(name, "{byte:02x}");
        }
        Self { name, bound, fields: spoken.to_vec(), compared, keys_only: false }
    }

    /// The stage of keys alone.
    pub(super) fn of_keys(operation: usize, bound: &'a Bound) -> Self {
        Self { name: format!("#kith_{operation}_key"), bound, fields: bound.key.clone(), compared: true, keys_only: true }
    }

    /// The stage of what rows were seen as, by the fields that are compared.
    pub(super) fn of_seen(operation: usize, bound: &'a Bound, compared: &[usize]) -> Self {
        Self { name: format!("#kith_{operation}_seen"), bound, fields: compared.to_vec(), compared: false, keys_only: true }
    }

    fn column(&self, at: usize) -> Option<&'a Column> {
        self.bound.columns.get(at)
    }

    /// Places of the fields that it holds.
    pub(super) fn fields(&self) -> &[usize] {
        &self.fields
    }

    /// Names and declarations of its columns, in the order of the rows that are loaded.
    pub(super) fn columns(&self, collation: Option<&str>) -> Vec<(String, String)> {
        let own = |name: &str, ty: &str| (name.to_owned(), ty.to_owned());
        let mut columns = vec![own("kith_n", "int NOT NULL")];
        if self.compared {
            columns.push(own("kith_record", "varbinary(32) NULL"));
        }
        if !self.keys_only {
            columns.extend([own("kith_key", "varbinary(32) NULL"), own("kith_act", "tinyint NULL")]);
            if self.compared {
                columns.push(own("kith_fields", "varbinary(8000) NULL"));
                columns.extend(
                    self.bound.row_version.iter().map(|version| own("kith_seen", &format!("{} NULL", version.sql_type.staged().sql()))),
                );
            }
        }
        let fields = self.fields.iter().filter_map(|at| self.column(*at));
        columns.extend(fields.map(|column| (column.sql_name(), column.staged_type(collation))));
        columns
    }

    /// Its declaration. Plain on purpose: a key on it makes engines choose slower plans.
    pub(super) fn create(&self, collation: Option<&str>) -> String {
        let columns: Vec<String> = self.columns(collation).into_iter().map(|(name, ty)| format!("{name} {ty}")).collect();
        format!("CREATE TABLE {} ({})", self.name, columns.join(", "))
    }

    /// NULL for a field of its own.
    pub(super) fn null(&self, at: usize) -> Option<Cell> {
        Some(self.column(at)?.null())
    }

    /// Sets long values of one row by parameters: `@P1` is its number, the fields follow.
    pub(super) fn set_long(&self, fields: &[usize]) -> String {
        let names = fields.iter().filter_map(|at| self.column(*at)).enumerate();
        let sets: Vec<String> = names.map(|(n, column)| format!("{} = @P{}", column.sql_name(), n + 2)).collect();
        format!("UPDATE {} SET {} WHERE kith_n = @P1; SELECT CAST(@@ROWCOUNT AS int) AS kith_rows_0", self.name, sets.join(", "))
    }

    /// Empties it for the next group.
    pub(super) fn empty(&self) -> String {
        format!("TRUNCATE TABLE {}", self.name)
    }

    /// `t.[Network] = s.[Network] AND …`
    fn same_record(&self) -> String {
        let pairs = self.bound.key.iter().filter_map(|at| self.column(*at));
        pairs.map(|column| format!("t.{} = {}", column.sql_name(), column.from_stage("s"))).collect::<Vec<_>>().join(" AND ")
    }

    fn table(&self) -> String {
        self.bound.shape.name.sql()
    }

    /// The rows that stand, locked until the end: number, row version, time of edit, mark, every field.
    pub(super) fn look(&self) -> String {
        let mut columns = vec!["s.kith_n".to_owned()];
        columns.extend(self.bound.look_columns());
        format!(
            "SELECT {} FROM {} AS s JOIN {} AS t WITH (UPDLOCK, HOLDLOCK) ON {}",
            columns.join(", "),
            self.name,
            self.table(),
            self.same_record()
        )
    }

    /// What Kith wrote last about the records, locked until the end.
    pub(super) fn look_at_records(&self, objects: &SqlServerObjects) -> String {
        format!(
            "SELECT s.kith_n, r.fields FROM {} AS s JOIN {} AS r WITH (UPDLOCK, HOLDLOCK) ON r.record_hash = s.kith_record",
            self.name,
            objects.records.sql()
        )
    }

    /// Which deliveries had arrived.
    pub(super) fn look_into_ledger(&self, objects: &SqlServerObjects) -> String {
        format!(
            "SELECT s.kith_n, CAST(l.outcome AS int) FROM {} AS s JOIN {} AS l ON l.idempotency_key = s.kith_key",
            self.name,
            objects.ledger.sql()
        )
    }

    /// Changes what is done with some rows. Numbers are written in runs; at most a thousand in a list and fifty alternatives a statement, far below every
    /// engine's limit.
    pub(super) fn set_act(&self, act: u8, numbers: &[usize]) -> Vec<String> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for number in numbers {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == *number => *last = *number,
                _ => runs.push((*number, *number)),
            }
        }
        let (single, long): (Vec<_>, Vec<_>) = runs.into_iter().partition(|(first, last)| first == last);
        let mut terms: Vec<String> = single
            .chunks(1_000)
            .map(|chunk| format!("kith_n IN ({})", chunk.iter().map(|(n, _)| n.to_string()).collect::<Vec<_>>().join(", ")))
            .collect();
        terms.extend(long.chunks(50).map(|chunk| {
            chunk.iter().map(|(first, last)| format!("(kith_n BETWEEN {first} AND {last})")).collect::<Vec<_>>().join(" OR ")
        }));
        terms.into_iter().map(|term| format!("UPDATE {} SET kith_act = {act} WHERE {term}", self.name)).collect()
    }

    /// Inserts the rows that are to be made.
    pub(super) fn insert(&self, live: Option<&str>) -> String {
        let columns: Vec<&Column> = self.fields.iter().filter_map(|at| self.column(*at)).collect();
        let mut names: Vec<String> = columns.iter().map(|column| column.sql_name()).collect();
        let mut values: Vec<String> = columns.iter().map(|column| column.from_stage("s")).collect();
        if let (Some(soft), Some(live)) = (&self.bound.soft, live) {
            names.push(soft.column.sql_name());
            values.push(live.to_owned());
        }
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS s WHERE s.kith_act = {}",
            self.table(),
            names.join(", "),
            values.join(", "),
            self.name,
            act::INSERT
        )
    }

    /// Brings the rows that stand to the new values; with `compare`, only where they still read as they were seen.
    pub(super) fn update(&self, live: Option<&str>, seen: Option<&Stage<'_>>) -> Option<String> {
        let changed = self.fields.iter().filter(|at| !self.bound.key.contains(at)).filter_map(|at| self.column(*at));
        let mut sets: Vec<String> = changed.map(|column| format!("{} = {}", column.sql_name(), column.from_stage("s"))).collect();
        if let (Some(soft), Some(live)) = (&self.bound.soft, live) {
            sets.push(format!("{} = {live}", soft.column.sql_name()));
        }
        if sets.is_empty() {
            return None;
        }
        let mut sql = format!(
            "UPDATE t SET {} FROM {} AS t WITH (UPDLOCK, HOLDLOCK) JOIN {} AS s ON {}",
            sets.join(", "),
            self.table(),
            self.name,
            self.same_record()
        );
        if let Some(seen) = seen {
            let _infallible = write!(sql, " JOIN {} AS q ON q.kith_n = s.kith_n", seen.name);
        }
        let _infallible = write!(sql, " WHERE s.kith_act = {}", act::UPDATE);
        if let Some(version) = self.bound.row_version.as_ref().filter(|_| self.compared && !self.keys_only) {
            let _infallible = write!(sql, " AND t.{} = s.kith_seen", version.sql_name());
        }
        for column in seen.iter().flat_map(|seen| seen.fields.iter()).filter_map(|at| self.column(*at)) {
            let (standing, seen) = (format!("t.{}", column.sql_name()), column.from_stage("q"));
            let exact = |side: &str| column.exactly(side);
            let _infallible = write!(sql, " AND ({} = {} OR ({standing} IS NULL AND {seen} IS NULL))", exact(&standing), exact(&seen));
        }
        Some(sql)
    }

    /// Removes the rows that are to go.
    pub(super) fn remove(&self, gone: Option<&str>) -> String {
        let from = format!("FROM {} AS t WITH (UPDLOCK, HOLDLOCK) JOIN {} AS s ON {}", self.table(), self.name, self.same_record());
        match (&self.bound.soft, gone) {
            (Some(soft), Some(gone)) => {
                format!("UPDATE t SET {} = {gone} {from} WHERE s.kith_act = {}", soft.column.sql_name(), act::REMOVE)
            }
            _ => format!("DELETE t {from} WHERE s.kith_act = {}", act::REMOVE),
        }
    }

    /// What became of each delivery.
    pub(super) fn add_to_ledger(&self, objects: &SqlServerObjects, updated_means: u8) -> String {
        let outcome = if updated_means == act::UPDATE {
            "s.kith_act".to_owned()
        } else {
            format!("CASE WHEN s.kith_act = {} THEN CAST({updated_means} AS tinyint) ELSE s.kith_act END", act::UPDATE)
        };
        format!("INSERT INTO {} (idempotency_key, outcome) SELECT s.kith_key, {outcome} FROM {} AS s", objects.ledger.sql(), self.name)
    }

    /// What Kith wants of each record from now on.
    pub(super) fn keep_records(&self, objects: &SqlServerObjects) -> [String; 2] {
        let records = objects.records.sql();
        let keep = "WHERE s.kith_fields IS NOT NULL";
        [
            format!("DELETE r FROM {records} AS r JOIN {} AS s ON r.record_hash = s.kith_record", self.name),
            format!("INSERT INTO {records} (record_hash, fields) SELECT s.kith_record, s.kith_fields FROM {} AS s {keep}", self.name),
        ]
    }
}

impl Bound {
    /// What a look at a row reads, after its number: row version, time of edit, mark, every field.
    pub(super) fn look_columns(&self) -> Vec<String> {
        let own = [self.row_version.as_ref(), self.edited_at.as_ref(), self.soft.as_ref().map(|soft| &soft.column)];
        let own = own.into_iter().map(|column| column.map_or_else(|| "CAST(NULL AS int)".to_owned(), |column| column.selected("t")));
        own.chain(self.columns.iter().map(|column| column.selected("t"))).collect()
    }
}

/// Whether an object is there at all, so that a missing ledger has a clear name.
pub(super) fn is_there(object: &ObjectName) -> String {
    format!("SELECT CAST(OBJECT_ID({}) AS int)", crate::declare::connector::text_literal(&object.sql()))
}

/// A look at one record of a table, by parameters `@P1`, `@P2`, …
pub(super) fn look_at_one(bound: &Bound) -> String {
    let key = bound.key.iter().filter_map(|at| bound.columns.get(*at)).enumerate();
    let wheres: Vec<String> = key
        .map(|(n, column)| {
            let parameter = format!("@P{}", n + 1);
            format!("t.{} = CAST({parameter} AS {})", quoted(&column.name), column.sql_type.sql())
        })
        .collect();
    format!("SELECT {} FROM {} AS t WHERE {}", bound.look_columns().join(", "), bound.shape.name.sql(), wheres.join(" AND "))
}
