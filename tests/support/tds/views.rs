//! The rows of the catalogue views.

use super::catalogue::{COLLATION_NAME, Catalogue, ColumnDef, KeyKind, Kind, TableDef, text, type_rows};
use super::types::{SYSTEM_TYPES, Type};
use rusqlite::types::Value;

type Row = Vec<Value>;

fn int(value: impl Into<i64>) -> Value {
    Value::Integer(value.into())
}

fn bit(value: bool) -> Value {
    Value::Integer(i64::from(value))
}

const CREATED: &str = "2026-01-01 00:00:00.000";

/// A number of a constraint that no object has: far above those of tables, the same at each filling.
fn constraint_id(table: &TableDef, at: usize) -> i64 {
    1_000_000_000 + table.object_id % 100_000_000 * 10 + at as i64
}

struct Constraint {
    id: i64,
    name: String,
    kind: &'static str,
    description: &'static str,
}

fn constraints(table: &TableDef) -> Vec<Constraint> {
    let mut all = Vec::new();
    let mut add = |name: &str, kind, description| {
        let id = constraint_id(table, all.len());
        all.push(Constraint { id, name: name.to_owned(), kind, description });
    };
    for key in &table.keys {
        match key.kind {
            KeyKind::Primary => add(&key.name, "PK", "PRIMARY_KEY_CONSTRAINT"),
            KeyKind::Unique => add(&key.name, "UQ", "UNIQUE_CONSTRAINT"),
            KeyKind::Index | KeyKind::UniqueIndex => {}
        }
    }
    for column in &table.columns {
        if let Some((name, _)) = &column.default {
            add(name, "D ", "DEFAULT_CONSTRAINT");
        }
    }
    for (name, _) in &table.checks {
        add(name, "C ", "CHECK_CONSTRAINT");
    }
    for foreign in &table.foreign {
        add(&foreign.name, "F ", "FOREIGN_KEY_CONSTRAINT");
    }
    all
}

fn id_of(table: &TableDef, name: &str) -> Value {
    constraints(table).into_iter().find(|c| c.name == name).map_or(Value::Integer(0), |c| int(c.id))
}

fn column_row(table: &TableDef, at: usize, column: &ColumnDef) -> Row {
    let (length, precision, scale) = column.ty.facets();
    let collation = if column.ty.is_text() && column.ty != Type::Xml {
        text(column.collation.clone().unwrap_or_else(|| COLLATION_NAME.to_owned()))
    } else {
        Value::Null
    };
    let default = column.default.as_ref().map_or(int(0), |(name, _)| id_of(table, name));
    vec![
        int(table.object_id),
        text(&column.name),
        int(at as i64 + 1),
        int(column.ty.system_id()),
        int(column.ty.system_id()),
        int(length),
        int(precision),
        int(scale),
        collation,
        bit(column.nullable),
        bit(true),
        bit(false),
        bit(column.identity.is_some()),
        bit(column.computed.is_some()),
        default,
        int(0),
        bit(false),
        bit(false),
        bit(false),
        bit(false),
        Value::Null,
    ]
}

/// `CHARACTER_MAXIMUM_LENGTH`, octets, `NUMERIC_PRECISION`, radix, `NUMERIC_SCALE`, `DATETIME_PRECISION`.
fn facets(ty: Type) -> [Value; 6] {
    let (length, precision, scale) = ty.facets();
    let null = || Value::Null;
    if ty.is_text() || ty.is_binary() && ty != Type::RowVersion {
        let characters = if ty.is_wide() && length > 0 { length / 2 } else { length };
        return [int(characters), int(length), null(), null(), null(), null()];
    }
    if ty == Type::Date {
        return [null(), null(), null(), null(), null(), int(0)];
    }
    if ty.is_temporal() {
        return [null(), null(), null(), null(), null(), int(scale)];
    }
    if ty == Type::Guid || ty == Type::Bit || ty == Type::RowVersion {
        return [null(), null(), null(), null(), null(), null()];
    }
    let float = matches!(ty, Type::Real | Type::Float);
    [null(), null(), int(precision), int(if float { 2 } else { 10 }), if float { null() } else { int(scale) }, null()]
}

/// All rows of one view.
pub fn rows(catalogue: &Catalogue, view: &str, database: &str) -> Vec<Row> {
    let schema_id = |name: &str| int(catalogue.schema_id(name).unwrap_or(1));
    let tables = || catalogue.tables().filter(|t| t.kind == Kind::Table);
    let columns = || catalogue.tables().flat_map(|t| t.columns.iter().enumerate().map(move |(at, c)| (t, at, c)));
    let each_table = |make: &dyn Fn(&TableDef) -> Vec<Row>| tables().flat_map(|t| make(t)).collect::<Vec<_>>();
    match view {
        "sys.schemas" => (1..).map_while(|id| catalogue.schema_name(id).map(|name| vec![text(name), int(id), int(1)])).collect(),
        "sys.objects" => objects(catalogue),
        "sys.tables" => tables()
            .map(|t| {
                vec![
                    text(&t.name),
                    int(t.object_id),
                    schema_id(&t.schema),
                    int(0),
                    text("U "),
                    text("USER_TABLE"),
                    bit(false),
                    int(0),
                    bit(false),
                ]
            })
            .collect(),
        "sys.views" => catalogue
            .tables()
            .filter(|t| t.kind == Kind::View)
            .map(|t| vec![text(&t.name), int(t.object_id), schema_id(&t.schema), text("V "), text("VIEW"), bit(false)])
            .collect(),
        "sys.columns" => columns().map(|(t, at, c)| column_row(t, at, c)).collect(),
        "sys.types" => type_rows(),
        "sys.indexes" => each_table(&indexes),
        "sys.index_columns" => each_table(&index_columns),
        "sys.key_constraints" => each_table(&|t| {
            constraints(t)
                .into_iter()
                .filter(|c| c.kind == "PK" || c.kind == "UQ")
                .map(|c| {
                    let index = t.keys.iter().position(|k| k.name == c.name).map_or(0, |at| index_id(t, at));
                    vec![text(&c.name), int(c.id), schema_id(&t.schema), int(t.object_id), text(c.kind), text(c.description), int(index)]
                })
                .collect()
        }),
        "sys.identity_columns" => columns()
            .filter_map(|(t, at, c)| {
                let (seed, step) = c.identity?;
                Some(vec![int(t.object_id), text(&c.name), int(at as i64 + 1), int(seed), int(step), bit(false)])
            })
            .collect(),
        "sys.computed_columns" => columns()
            .filter_map(|(t, at, c)| {
                Some(vec![int(t.object_id), text(&c.name), int(at as i64 + 1), text(format!("({})", c.computed.as_ref()?)), bit(false)])
            })
            .collect(),
        "sys.default_constraints" => columns()
            .filter_map(|(t, at, c)| {
                let (name, definition) = c.default.as_ref()?;
                Some(vec![
                    text(name),
                    id_of(t, name),
                    schema_id(&t.schema),
                    int(t.object_id),
                    int(at as i64 + 1),
                    text(format!("({definition})")),
                ])
            })
            .collect(),
        "sys.check_constraints" => each_table(&|t| {
            t.checks
                .iter()
                .map(|(name, definition)| {
                    vec![text(name), id_of(t, name), schema_id(&t.schema), int(t.object_id), text(format!("({definition})")), bit(false)]
                })
                .collect()
        }),
        "sys.foreign_keys" => each_table(&|t| {
            t.foreign
                .iter()
                .map(|f| {
                    let referred = catalogue.tables().find(|t| t.sqlite_name() == f.table).map_or(0, |t| t.object_id);
                    vec![text(&f.name), id_of(t, &f.name), schema_id(&t.schema), int(t.object_id), int(referred), bit(false)]
                })
                .collect()
        }),
        "sys.foreign_key_columns" => each_table(&|t| foreign_key_columns(catalogue, t)),
        "sys.triggers" => Vec::new(),
        "sys.procedures" => catalogue
            .procedures
            .iter()
            .map(|p| vec![text(&p.name), int(p.object_id), schema_id(&p.schema), text("P "), text("SQL_STORED_PROCEDURE"), bit(false)])
            .collect(),
        "sys.parameters" => parameters(catalogue),
        "sys.databases" => ["master", "tempdb", "model", "msdb", database]
            .iter()
            .enumerate()
            .map(|(at, name)| vec![text(*name), int(at as i64 + 1), int(160), text(COLLATION_NAME), bit(false), int(0), bit(false), int(0)])
            .collect(),
        "sys.database_principals" => {
            let roles = catalogue.roles.iter().enumerate();
            let roles = roles.map(|(at, name)| vec![text(name.as_str()), int(at as i64 + 16_384), text("R"), Value::Null]);
            std::iter::once(vec![text("dbo"), int(1), text("S"), text("dbo")]).chain(roles).collect()
        }
        "sys.partitions" => tables().map(|t| vec![int(t.object_id), int(t.object_id), int(1), int(1), int(0)]).collect(),
        _ => information_schema(catalogue, view, database),
    }
}

fn objects(catalogue: &Catalogue) -> Vec<Row> {
    let schema_id = |name: &str| int(catalogue.schema_id(name).unwrap_or(1));
    let row = |name: &str, id: i64, schema: &str, parent: i64, kind: &str, description: &str| {
        vec![
            text(name),
            int(id),
            Value::Null,
            schema_id(schema),
            int(parent),
            text(kind),
            text(description),
            text(CREATED),
            text(CREATED),
            bit(false),
        ]
    };
    let mut all = Vec::new();
    for table in catalogue.tables() {
        let (kind, description) = if table.kind == Kind::View { ("V ", "VIEW") } else { ("U ", "USER_TABLE") };
        all.push(row(&table.name, table.object_id, &table.schema, 0, kind, description));
        for constraint in constraints(table) {
            all.push(row(&constraint.name, constraint.id, &table.schema, table.object_id, constraint.kind, constraint.description));
        }
    }
    for procedure in &catalogue.procedures {
        all.push(row(&procedure.name, procedure.object_id, &procedure.schema, 0, "P ", "SQL_STORED_PROCEDURE"));
    }
    all
}

/// The primary key is clustered and has 1; without one 0 is the heap.
fn index_id(table: &TableDef, at: usize) -> i64 {
    let clustered = table.keys.iter().position(|k| k.kind == KeyKind::Primary);
    match clustered {
        Some(primary) if primary == at => 1,
        Some(primary) if primary > at => at as i64 + 2,
        Some(_) => at as i64 + 1,
        None => at as i64 + 2,
    }
}

fn indexes(table: &TableDef) -> Vec<Row> {
    let mut all = Vec::new();
    if !table.keys.iter().any(|k| k.kind == KeyKind::Primary) {
        all.push(vec![
            int(table.object_id),
            Value::Null,
            int(0),
            int(0),
            text("HEAP"),
            bit(false),
            bit(false),
            bit(false),
            bit(false),
            bit(false),
            Value::Null,
            bit(false),
            bit(false),
        ]);
    }
    for (at, key) in table.keys.iter().enumerate() {
        let primary = key.kind == KeyKind::Primary;
        all.push(vec![
            int(table.object_id),
            text(&key.name),
            int(index_id(table, at)),
            int(if primary { 1 } else { 2 }),
            text(if primary { "CLUSTERED" } else { "NONCLUSTERED" }),
            bit(key.kind != KeyKind::Index),
            bit(primary),
            bit(key.kind == KeyKind::Unique),
            bit(false),
            bit(key.filter.is_some()),
            key.filter.as_ref().map_or(Value::Null, |f| text(format!("({f})"))),
            bit(false),
            bit(false),
        ]);
    }
    all
}

fn index_columns(table: &TableDef) -> Vec<Row> {
    let mut all = Vec::new();
    for (at, key) in table.keys.iter().enumerate() {
        for (ordinal, column) in key.columns.iter().enumerate() {
            let ordinal = ordinal as i64 + 1;
            all.push(vec![
                int(table.object_id),
                int(index_id(table, at)),
                int(ordinal),
                int(*column as i64 + 1),
                int(ordinal),
                int(0),
                bit(false),
                bit(false),
            ]);
        }
    }
    all
}

fn foreign_key_columns(catalogue: &Catalogue, table: &TableDef) -> Vec<Row> {
    let mut all = Vec::new();
    for foreign in &table.foreign {
        let Some(parent) = catalogue.tables().find(|t| t.sqlite_name() == foreign.table) else { continue };
        for (at, (column, referred)) in foreign.columns.iter().zip(&foreign.referred).enumerate() {
            all.push(vec![
                id_of(table, &foreign.name),
                int(at as i64 + 1),
                int(table.object_id),
                int(*column as i64 + 1),
                int(parent.object_id),
                int(parent.position(referred).map_or(0, |at| at as i64 + 1)),
            ]);
        }
    }
    all
}

fn parameters(catalogue: &Catalogue) -> Vec<Row> {
    let mut all = Vec::new();
    for procedure in &catalogue.procedures {
        for (at, (name, ty, out)) in procedure.parameters.iter().enumerate() {
            let (length, precision, scale) = ty.facets();
            all.push(vec![
                int(procedure.object_id),
                text(name),
                int(at as i64 + 1),
                int(ty.system_id()),
                int(ty.system_id()),
                int(length),
                int(precision),
                int(scale),
                bit(*out),
                bit(false),
                bit(false),
                bit(true),
            ]);
        }
    }
    all
}

fn information_schema(catalogue: &Catalogue, view: &str, database: &str) -> Vec<Row> {
    let everything = || catalogue.tables();
    match view {
        "INFORMATION_SCHEMA.SCHEMATA" => {
            (1..).map_while(|id| catalogue.schema_name(id).map(|name| vec![text(database), text(name), text("dbo")])).collect()
        }
        "INFORMATION_SCHEMA.TABLES" => everything()
            .map(|t| vec![text(database), text(&t.schema), text(&t.name), text(if t.kind == Kind::View { "VIEW" } else { "BASE TABLE" })])
            .collect(),
        "INFORMATION_SCHEMA.COLUMNS" => everything()
            .flat_map(|t| t.columns.iter().enumerate().map(move |(at, c)| (t, at, c)))
            .map(|(t, at, c)| {
                let [characters, octets, precision, radix, scale, datetime] = facets(c.ty);
                let is_text = c.ty.is_text() && c.ty != Type::Xml;
                vec![
                    text(database),
                    text(&t.schema),
                    text(&t.name),
                    text(&c.name),
                    int(at as i64 + 1),
                    c.default.as_ref().map_or(Value::Null, |(_, d)| text(format!("({d})"))),
                    text(if c.nullable { "YES" } else { "NO" }),
                    text(c.ty.name()),
                    characters,
                    octets,
                    precision,
                    radix,
                    scale,
                    datetime,
                    if is_text { text(if c.ty.is_wide() { "UNICODE" } else { "iso_1" }) } else { Value::Null },
                    if is_text { text(c.collation.clone().unwrap_or_else(|| COLLATION_NAME.to_owned())) } else { Value::Null },
                ]
            })
            .collect(),
        "INFORMATION_SCHEMA.ROUTINES" => catalogue
            .procedures
            .iter()
            .map(|p| {
                let (schema, name) = (text(&p.schema), text(&p.name));
                vec![text(database), schema.clone(), name.clone(), text(database), schema, name, text("PROCEDURE")]
            })
            .collect(),
        "INFORMATION_SCHEMA.PARAMETERS" => catalogue
            .procedures
            .iter()
            .flat_map(|p| p.parameters.iter().enumerate().map(move |(at, q)| (p, at, q)))
            .map(|(p, at, (name, ty, out))| {
                let [characters, _, precision, _, scale, datetime] = facets(*ty);
                vec![
                    text(database),
                    text(&p.schema),
                    text(&p.name),
                    int(at as i64 + 1),
                    text(if *out { "INOUT" } else { "IN" }),
                    text("NO"),
                    text(name),
                    text(ty.name()),
                    characters,
                    precision,
                    scale,
                    datetime,
                ]
            })
            .collect(),
        "INFORMATION_SCHEMA.TABLE_CONSTRAINTS" => everything()
            .flat_map(|t| constraints(t).into_iter().map(move |c| (t, c)))
            .filter(|(_, c)| c.kind != "D ")
            .map(|(t, c)| {
                let kind = match c.kind {
                    "PK" => "PRIMARY KEY",
                    "UQ" => "UNIQUE",
                    "C " => "CHECK",
                    _ => "FOREIGN KEY",
                };
                vec![text(database), text(&t.schema), text(&c.name), text(database), text(&t.schema), text(&t.name), text(kind)]
            })
            .collect(),
        "INFORMATION_SCHEMA.KEY_COLUMN_USAGE" => everything()
            .flat_map(|t| t.keys.iter().map(move |k| (t, k)))
            .filter(|(_, k)| matches!(k.kind, KeyKind::Primary | KeyKind::Unique))
            .flat_map(|(t, k)| k.columns.iter().enumerate().map(move |(at, c)| (t, k, at, *c)))
            .map(|(t, k, at, c)| {
                vec![
                    text(database),
                    text(&t.schema),
                    text(&k.name),
                    text(database),
                    text(&t.schema),
                    text(&t.name),
                    text(&t.columns[c].name),
                    int(at as i64 + 1),
                ]
            })
            .collect(),
        _ => {
            debug_assert!(SYSTEM_TYPES.len() > 1 && view.is_empty(), "no rows are written for {view}");
            Vec::new()
        }
    }
}
