//! What the database is made of, and the catalogue views of SQL Server that say so.

use super::error::TdsError;
use super::types::{SYSTEM_TYPES, Type};
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
    next_id: i64,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            tables: BTreeMap::new(),
            schemas: ["dbo", "guest", "INFORMATION_SCHEMA", "sys"].map(str::to_owned).to_vec(),
            procedures: Vec::new(),
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
}

type View = (&'static str, &'static [(&'static str, &'static str)]);

/// Views of the catalogue: name and columns.
pub const VIEWS: &[View] = &[
    ("sys.schemas", &[("name", "sysname"), ("schema_id", "int"), ("principal_id", "int")]),
    (
        "sys.objects",
        &[
            ("name", "sysname"),
            ("object_id", "int"),
            ("principal_id", "int"),
            ("schema_id", "int"),
            ("parent_object_id", "int"),
            ("type", "char(2)"),
            ("type_desc", "nvarchar(60)"),
            ("create_date", "datetime"),
            ("modify_date", "datetime"),
            ("is_ms_shipped", "bit"),
        ],
    ),
    (
        "sys.tables",
        &[
            ("name", "sysname"),
            ("object_id", "int"),
            ("schema_id", "int"),
            ("parent_object_id", "int"),
            ("type", "char(2)"),
            ("type_desc", "nvarchar(60)"),
            ("is_ms_shipped", "bit"),
            ("temporal_type", "tinyint"),
            ("is_memory_optimized", "bit"),
        ],
    ),
    (
        "sys.views",
        &[
            ("name", "sysname"),
            ("object_id", "int"),
            ("schema_id", "int"),
            ("type", "char(2)"),
            ("type_desc", "nvarchar(60)"),
            ("is_ms_shipped", "bit"),
        ],
    ),
    (
        "sys.columns",
        &[
            ("object_id", "int"),
            ("name", "sysname"),
            ("column_id", "int"),
            ("system_type_id", "tinyint"),
            ("user_type_id", "int"),
            ("max_length", "smallint"),
            ("precision", "tinyint"),
            ("scale", "tinyint"),
            ("collation_name", "sysname"),
            ("is_nullable", "bit"),
            ("is_ansi_padded", "bit"),
            ("is_rowguidcol", "bit"),
            ("is_identity", "bit"),
            ("is_computed", "bit"),
            ("default_object_id", "int"),
            ("generated_always_type", "tinyint"),
            ("is_hidden", "bit"),
            ("is_masked", "bit"),
            ("is_sparse", "bit"),
            ("is_column_set", "bit"),
            ("encryption_type", "int"),
        ],
    ),
    (
        "sys.types",
        &[
            ("name", "sysname"),
            ("system_type_id", "tinyint"),
            ("user_type_id", "int"),
            ("schema_id", "int"),
            ("max_length", "smallint"),
            ("precision", "tinyint"),
            ("scale", "tinyint"),
            ("is_nullable", "bit"),
            ("is_user_defined", "bit"),
            ("is_assembly_type", "bit"),
            ("is_table_type", "bit"),
        ],
    ),
    (
        "sys.indexes",
        &[
            ("object_id", "int"),
            ("name", "sysname"),
            ("index_id", "int"),
            ("type", "tinyint"),
            ("type_desc", "nvarchar(60)"),
            ("is_unique", "bit"),
            ("is_primary_key", "bit"),
            ("is_unique_constraint", "bit"),
            ("is_disabled", "bit"),
            ("has_filter", "bit"),
            ("filter_definition", "nvarchar(max)"),
            ("ignore_dup_key", "bit"),
            ("is_hypothetical", "bit"),
        ],
    ),
    (
        "sys.index_columns",
        &[
            ("object_id", "int"),
            ("index_id", "int"),
            ("index_column_id", "int"),
            ("column_id", "int"),
            ("key_ordinal", "tinyint"),
            ("partition_ordinal", "tinyint"),
            ("is_descending_key", "bit"),
            ("is_included_column", "bit"),
        ],
    ),
    (
        "sys.key_constraints",
        &[
            ("name", "sysname"),
            ("object_id", "int"),
            ("schema_id", "int"),
            ("parent_object_id", "int"),
            ("type", "char(2)"),
            ("type_desc", "nvarchar(60)"),
            ("unique_index_id", "int"),
        ],
    ),
    (
        "sys.identity_columns",
        &[
            ("object_id", "int"),
            ("name", "sysname"),
            ("column_id", "int"),
            ("seed_value", "bigint"),
            ("increment_value", "bigint"),
            ("is_not_for_replication", "bit"),
        ],
    ),
    (
        "sys.computed_columns",
        &[("object_id", "int"), ("name", "sysname"), ("column_id", "int"), ("definition", "nvarchar(max)"), ("is_persisted", "bit")],
    ),
    (
        "sys.default_constraints",
        &[
            ("name", "sysname"),
            ("object_id", "int"),
            ("schema_id", "int"),
            ("parent_object_id", "int"),
            ("parent_column_id", "int"),
            ("definition", "nvarchar(max)"),
        ],
    ),
    (
        "sys.check_constraints",
        &[
            ("name", "sysname"),
            ("object_id", "int"),
            ("schema_id", "int"),
            ("parent_object_id", "int"),
            ("definition", "nvarchar(max)"),
            ("is_disabled", "bit"),
        ],
    ),
    (
        "sys.foreign_keys",
        &[
            ("name", "sysname"),
            ("object_id", "int"),
            ("schema_id", "int"),
            ("parent_object_id", "int"),
            ("referenced_object_id", "int"),
            ("is_disabled", "bit"),
        ],
    ),
    (
        "sys.foreign_key_columns",
        &[
            ("constraint_object_id", "int"),
            ("constraint_column_id", "int"),
            ("parent_object_id", "int"),
            ("parent_column_id", "int"),
            ("referenced_object_id", "int"),
            ("referenced_column_id", "int"),
        ],
    ),
    (
        "sys.triggers",
        &[
            ("name", "sysname"),
            ("object_id", "int"),
            ("parent_class", "tinyint"),
            ("parent_id", "int"),
            ("is_disabled", "bit"),
            ("is_instead_of_trigger", "bit"),
        ],
    ),
    (
        "sys.procedures",
        &[
            ("name", "sysname"),
            ("object_id", "int"),
            ("schema_id", "int"),
            ("type", "char(2)"),
            ("type_desc", "nvarchar(60)"),
            ("is_ms_shipped", "bit"),
        ],
    ),
    (
        "sys.parameters",
        &[
            ("object_id", "int"),
            ("name", "sysname"),
            ("parameter_id", "int"),
            ("system_type_id", "tinyint"),
            ("user_type_id", "int"),
            ("max_length", "smallint"),
            ("precision", "tinyint"),
            ("scale", "tinyint"),
            ("is_output", "bit"),
            ("has_default_value", "bit"),
            ("is_readonly", "bit"),
            ("is_nullable", "bit"),
        ],
    ),
    (
        "sys.databases",
        &[
            ("name", "sysname"),
            ("database_id", "int"),
            ("compatibility_level", "tinyint"),
            ("collation_name", "sysname"),
            ("is_read_only", "bit"),
            ("state", "tinyint"),
            ("is_read_committed_snapshot_on", "bit"),
            ("snapshot_isolation_state", "tinyint"),
        ],
    ),
    ("sys.database_principals", &[("name", "sysname"), ("principal_id", "int"), ("type", "char(1)"), ("default_schema_name", "sysname")]),
    (
        "sys.partitions",
        &[("partition_id", "bigint"), ("object_id", "int"), ("index_id", "int"), ("partition_number", "int"), ("rows", "bigint")],
    ),
    (
        "INFORMATION_SCHEMA.SCHEMATA",
        &[("CATALOG_NAME", "nvarchar(128)"), ("SCHEMA_NAME", "nvarchar(128)"), ("SCHEMA_OWNER", "nvarchar(128)")],
    ),
    (
        "INFORMATION_SCHEMA.TABLES",
        &[("TABLE_CATALOG", "nvarchar(128)"), ("TABLE_SCHEMA", "nvarchar(128)"), ("TABLE_NAME", "sysname"), ("TABLE_TYPE", "varchar(10)")],
    ),
    (
        "INFORMATION_SCHEMA.COLUMNS",
        &[
            ("TABLE_CATALOG", "nvarchar(128)"),
            ("TABLE_SCHEMA", "nvarchar(128)"),
            ("TABLE_NAME", "sysname"),
            ("COLUMN_NAME", "sysname"),
            ("ORDINAL_POSITION", "int"),
            ("COLUMN_DEFAULT", "nvarchar(4000)"),
            ("IS_NULLABLE", "varchar(3)"),
            ("DATA_TYPE", "nvarchar(128)"),
            ("CHARACTER_MAXIMUM_LENGTH", "int"),
            ("CHARACTER_OCTET_LENGTH", "int"),
            ("NUMERIC_PRECISION", "tinyint"),
            ("NUMERIC_PRECISION_RADIX", "smallint"),
            ("NUMERIC_SCALE", "int"),
            ("DATETIME_PRECISION", "smallint"),
            ("CHARACTER_SET_NAME", "sysname"),
            ("COLLATION_NAME", "sysname"),
        ],
    ),
    (
        "INFORMATION_SCHEMA.ROUTINES",
        &[
            ("SPECIFIC_CATALOG", "nvarchar(128)"),
            ("SPECIFIC_SCHEMA", "nvarchar(128)"),
            ("SPECIFIC_NAME", "nvarchar(128)"),
            ("ROUTINE_CATALOG", "nvarchar(128)"),
            ("ROUTINE_SCHEMA", "nvarchar(128)"),
            ("ROUTINE_NAME", "nvarchar(128)"),
            ("ROUTINE_TYPE", "nvarchar(20)"),
        ],
    ),
    (
        "INFORMATION_SCHEMA.PARAMETERS",
        &[
            ("SPECIFIC_CATALOG", "nvarchar(128)"),
            ("SPECIFIC_SCHEMA", "nvarchar(128)"),
            ("SPECIFIC_NAME", "nvarchar(128)"),
            ("ORDINAL_POSITION", "int"),
            ("PARAMETER_MODE", "nvarchar(10)"),
            ("IS_RESULT", "nvarchar(10)"),
            ("PARAMETER_NAME", "nvarchar(128)"),
            ("DATA_TYPE", "nvarchar(128)"),
            ("CHARACTER_MAXIMUM_LENGTH", "int"),
            ("NUMERIC_PRECISION", "tinyint"),
            ("NUMERIC_SCALE", "int"),
            ("DATETIME_PRECISION", "smallint"),
        ],
    ),
    (
        "INFORMATION_SCHEMA.TABLE_CONSTRAINTS",
        &[
            ("CONSTRAINT_CATALOG", "nvarchar(128)"),
            ("CONSTRAINT_SCHEMA", "nvarchar(128)"),
            ("CONSTRAINT_NAME", "sysname"),
            ("TABLE_CATALOG", "nvarchar(128)"),
            ("TABLE_SCHEMA", "nvarchar(128)"),
            ("TABLE_NAME", "sysname"),
            ("CONSTRAINT_TYPE", "varchar(11)"),
        ],
    ),
    (
        "INFORMATION_SCHEMA.KEY_COLUMN_USAGE",
        &[
            ("CONSTRAINT_CATALOG", "nvarchar(128)"),
            ("CONSTRAINT_SCHEMA", "nvarchar(128)"),
            ("CONSTRAINT_NAME", "nvarchar(128)"),
            ("TABLE_CATALOG", "nvarchar(128)"),
            ("TABLE_SCHEMA", "nvarchar(128)"),
            ("TABLE_NAME", "nvarchar(128)"),
            ("COLUMN_NAME", "nvarchar(128)"),
            ("ORDINAL_POSITION", "int"),
        ],
    ),
];

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
