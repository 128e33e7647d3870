//! What the database is made of, and the catalogue views of SQL Server that say so.

use super::error::TdsError;
use super::types::{SYSTEM_TYPES, Type};
use super::view_columns::VIEWS;
use rusqlite::Connection;
use rusqlite::types::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct TableDef {
    pub schema: String,
    pub name: String,
    pub object_id: i64,
    pub columns: Vec<ColumnDef>,
    pub keys: Vec<KeyDef>,
    pub checks: Vec<(String, String)>,
    pub foreign: Vec<ForeignDef>,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Table,
    View,
    /// `#t`: of one connection.
    Temporary,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ColumnDef {
    pub name: String,
    pub ty: Type,
    pub nullable: bool,
    /// Seed, increment.
    pub identity: Option<(i64, i64)>,
    /// Name of the constraint, T-SQL.
    pub default: Option<(String, String)>,
    /// T-SQL.
    pub computed: Option<String>,
    pub collation: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    Primary,
    Unique,
    UniqueIndex,
    Index,
}

#[derive(Clone, Debug)]
pub struct KeyDef {
    pub name: String,
    pub kind: KeyKind,
    /// Positions in the table.
    pub columns: Vec<usize>,
    /// T-SQL of a filtered index.
    pub filter: Option<String>,
}

#[derive(Clone, Debug)]
pub struct ForeignDef {
    pub name: String,
    pub columns: Vec<usize>,
    pub table: String,
    pub referred: Vec<String>,
}

/// A registered procedure's parameters, as the catalogue shows them.
#[derive(Clone, Debug)]
pub struct ProcedureDef {
    pub schema: String,
    pub name: String,
    pub object_id: i64,
    pub parameters: Vec<(String, Type, bool)>,
}

impl TableDef {
    /// Of SQLite.
    pub fn sqlite_name(&self) -> String {
        match self.kind {
            Kind::Temporary => format!("temp.{}", quote(&self.name)),
            _ => quote(&format!("{}.{}", self.schema, self.name)),
        }
    }

    /// `kith.dbo.T`, as error texts name it.
    pub fn full_name(&self) -> String {
        match self.kind {
            Kind::Temporary => format!("tempdb.dbo.{}", self.name),
            _ => format!("kith.{}.{}", self.schema, self.name),
        }
    }

    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name.eq_ignore_ascii_case(column))
    }
}

impl ColumnDef {
    pub fn plain(name: &str, ty: Type, nullable: bool) -> Self {
        Self { name: name.to_owned(), ty, nullable, identity: None, default: None, computed: None, collation: None }
    }

    /// A value of it is given by the server alone.
    pub fn is_given(&self) -> bool {
        self.computed.is_some() || self.ty == Type::RowVersion
    }
}

pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[derive(Clone, Debug)]
pub struct Catalogue {
    tables: BTreeMap<(String, String), Arc<TableDef>>,
    schemas: Vec<String>,
    pub procedures: Vec<ProcedureDef>,
    pub roles: Vec<String>,
    next_id: i64,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            tables: BTreeMap::new(),
            schemas: ["dbo", "guest", "INFORMATION_SCHEMA", "sys"].map(str::to_owned).to_vec(),
            procedures: Vec::new(),
            roles: vec!["public".to_owned()],
            next_id: 245_575_913,
        }
    }
}

fn key(schema: &str, name: &str) -> (String, String) {
    (schema.to_lowercase(), name.to_lowercase())
}

impl Catalogue {
    pub fn new_id(&mut self) -> i64 {
        self.next_id += 16;
        self.next_id
    }

    pub fn table(&self, schema: &str, name: &str) -> Option<Arc<TableDef>> {
        self.tables.get(&key(schema, name)).cloned()
    }

    pub fn put(&mut self, table: TableDef) {
        self.tables.insert(key(&table.schema, &table.name), Arc::new(table));
    }

    pub fn remove(&mut self, schema: &str, name: &str) {
        self.tables.remove(&key(schema, name));
    }

    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableDef>> {
        self.tables.values()
    }

    pub fn schema_id(&self, name: &str) -> Option<i64> {
        let at = self.schemas.iter().position(|s| s.eq_ignore_ascii_case(name))?;
        Some([1, 2, 3, 4].get(at).copied().unwrap_or(at as i64 + 1))
    }

    pub fn schema_name(&self, id: i64) -> Option<&str> {
        self.schemas.get(usize::try_from(id).ok()?.checked_sub(1)?).map(String::as_str)
    }

    /// # Errors
    /// 2714 where it is there.
    pub fn add_schema(&mut self, name: &str) -> Result<(), TdsError> {
        if self.schema_id(name).is_some() {
            return Err(TdsError::new(2714, 16, 6, format!("There is already an object named '{name}' in the database.")));
        }
        self.schemas.push(name.to_owned());
        Ok(())
    }

    /// # Errors
    /// 15023 where it is there.
    pub fn add_role(&mut self, name: &str) -> Result<(), TdsError> {
        if self.roles.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(TdsError::new(15_023, 16, 1, format!("User, group, or role '{name}' already exists in the current database.")));
        }
        self.roles.push(name.to_owned());
        Ok(())
    }
}

/// The definition of a catalogue view, as of a table.
pub fn view(schema: &str, name: &str) -> Option<TableDef> {
    let wanted = format!("{schema}.{name}");
    let (full, columns) = VIEWS.iter().find(|(view, _)| view.eq_ignore_ascii_case(&wanted))?;
    let (schema, name) = full.split_once('.')?;
    Some(TableDef {
        schema: schema.to_owned(),
        name: name.to_owned(),
        object_id: -1,
        columns: columns.iter().filter_map(|(name, ty)| Some(ColumnDef::plain(name, Type::parse(ty)?, true))).collect(),
        keys: Vec::new(),
        checks: Vec::new(),
        foreign: Vec::new(),
        kind: Kind::View,
    })
}

/// Makes the empty tables behind the views.
pub fn create_views(db: &Connection) -> rusqlite::Result<()> {
    for (name, columns) in VIEWS {
        let columns: Vec<String> =
            columns.iter().map(|(name, ty)| format!("{} {}", quote(name), Type::parse(ty).map_or("TEXT", Type::storage))).collect();
        db.execute_batch(&format!("CREATE TABLE IF NOT EXISTS {} ({});", quote(name), columns.join(", ")))?;
    }
    Ok(())
}

pub const COLLATION_NAME: &str = "SQL_Latin1_General_CP1_CI_AS";

/// Fills the catalogue views anew.
pub fn refresh(db: &Connection, catalogue: &Catalogue, database: &str) -> rusqlite::Result<()> {
    for (view, columns) in VIEWS {
        db.execute(&format!("DELETE FROM {}", quote(view)), [])?;
        let marks = vec!["?"; columns.len()].join(",");
        let mut insert = db.prepare_cached(&format!("INSERT INTO {} VALUES ({marks})", quote(view)))?;
        for row in super::views::rows(catalogue, view, database) {
            debug_assert_eq!(row.len(), columns.len(), "{view}");
            insert.execute(rusqlite::params_from_iter(row))?;
        }
    }
    Ok(())
}

pub fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

pub fn type_rows() -> Vec<Vec<Value>> {
    SYSTEM_TYPES
        .iter()
        .map(|(name, system, user, length, precision, scale)| {
            vec![
                text(*name),
                Value::Integer(*system),
                Value::Integer(*user),
                Value::Integer(4),
                Value::Integer(*length),
                Value::Integer(*precision),
                Value::Integer(*scale),
                Value::Integer(1),
                Value::Integer(0),
                Value::Integer(0),
                Value::Integer(0),
            ]
        })
        .collect()
}
