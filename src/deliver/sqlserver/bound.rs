//! An operation of the target file brought together with the table that the live catalogue shows.

use crate::declare::connector::sqlserver::{Compare, SoftDelete, TableWrite};
use crate::declare::connector::{Operation, WriteMode};
use crate::diagnose::Code;
use crate::enrich::OnDelete;
use crate::model::Value;
use crate::wire::tds::{CannotHold, Column, Default, TableShape};
use std::sync::Arc;

/// The columns of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bound {
    /// The table.
    pub(super) shape: TableShape,
    /// One for each field, in the operation's order.
    pub(super) columns: Vec<Column>,
    /// Places of the key's fields, in key order.
    pub(super) key: Vec<usize>,
    /// The column that the server changes with each write, where it is compared by.
    pub(super) row_version: Option<Column>,
    /// The column with the CRM's own time of edit.
    pub(super) edited_at: Option<Column>,
    /// The column that marks a record as gone, and the cells' values for gone and live.
    pub(super) soft: Option<Soft>,
}

/// How a record is marked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Soft {
    pub(super) column: Column,
    pub(super) gone: Arc<str>,
    pub(super) live: Arc<str>,
}

/// What does not fit: an operator's or a DBA's matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Misfit {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) remedy: String,
    /// Whether writing goes on all the same.
    pub(super) warning: bool,
}

fn misfit(code: &'static str, message: String, remedy: impl Into<String>) -> Misfit {
    Misfit { code: Code(code), message, remedy: remedy.into(), warning: false }
}

fn note(code: &'static str, message: String, remedy: impl Into<String>) -> Misfit {
    Misfit { warning: true, ..misfit(code, message, remedy) }
}

/// Brings an operation and its table together; what is wrong, and what is only worth knowing, is told.
pub(super) fn bind(operation: &Operation, columns: &[Arc<str>], write: &TableWrite, shape: TableShape) -> (Option<Bound>, Vec<Misfit>) {
    let mut told = Vec::new();
    let table = &shape.name;
    let mut found: Vec<Option<Column>> = Vec::with_capacity(columns.len());
    for (field, name) in operation.fields.iter().zip(columns) {
        let column = shape.column(name).cloned();
        match &column {
            None => {
                let near = crate::diagnose::nearest(name, shape.columns.iter().map(|c| &*c.name));
                let remedy = near.map_or_else(
                    || "correct `fields` of the target file".to_owned(),
                    |near| format!("did you mean `{near}`? Write `column: {near}`"),
                );
                told.push(misfit("KITH-D003", format!("the table {table} has no column `{name}` for the field `{}`", field.name), remedy));
            }
            Some(column) if column.default == Default::Generated || !column.sql_type.is_writable() => {
                let message = format!("the column `{name}` of {table} is {}: it can't be written", generated(column));
                told.push(misfit("KITH-D003", message, "remove the field, or name another column"));
            }
            Some(column) => {
                if let Some(complaint) = unfit(field.kind, column) {
                    told.push(misfit(
                        "KITH-D003",
                        format!("the field `{}` is `{}`, and {complaint}", field.name, field.kind.name()),
                        "correct the field's `type`",
                    ));
                }
                if let Some(length) = too_wide(field, column) {
                    let message = format!(
                        "`{}` may have {} characters, and the column `{name}` of {table} takes {length}",
                        field.name,
                        field.max_length.unwrap_or_default()
                    );
                    let remedy = format!("write `max_length: {length}`, and `truncate: {length}` in the mapping where cutting is wanted");
                    told.push(note("KITH-D046", message, remedy));
                }
                if !column.nullable && column.default == Default::None && !field.required {
                    let message =
                        format!("the column `{name}` of {table} must not be NULL, and the field `{}` is not required", field.name);
                    told.push(note("KITH-D045", message, "write `required: true`: records without it park with a clear reason"));
                }
                if column.nullable
                    && !field.required
                    && matches!(&operation.on_delete, OnDelete::Blank(_))
                    && operation.record_key.contains(&field.name)
                {
                    told.push(note("KITH-D045", format!("the key column `{name}` may be NULL"), "make it NOT NULL"));
                }
            }
        }
        found.push(column);
    }
    for column in &shape.columns {
        let filled = columns.iter().any(|name| name.eq_ignore_ascii_case(&column.name))
            || write.soft_delete.as_ref().is_some_and(|soft| soft.column.eq_ignore_ascii_case(&column.name));
        if !filled && !column.nullable && column.default == Default::None && operation.write != WriteMode::UpdateOnly {
            let message = format!("the column `{}` of {table} must not be NULL, has no default, and no field fills it", column.name);
            told.push(misfit("KITH-D045", message, "add a field for it, or ask the DBA for a default"));
        }
    }
    let key: Vec<usize> = operation.record_key.iter().filter_map(|name| operation.fields.iter().position(|f| f.name == *name)).collect();
    let key_columns: Vec<Arc<str>> = key.iter().filter_map(|at| columns.get(*at).cloned()).collect();
    match shape.is_unique(&key_columns) {
        Some(true) => {}
        Some(false) => told.push(misfit(
            "KITH-D056",
            format!("no primary key or unique index of {table} is made of columns of the record key ({})", key_columns.join(", ")),
            format!("ask the DBA: CREATE UNIQUE INDEX … ON {} ({})", table.sql(), key_columns.join(", ")),
        )),
        None => told.push(note(
            "KITH-D056",
            format!("the server does not tell whether {} of {table} is unique", key_columns.join(", ")),
            "make sure that a unique index stands on the record key: it is what two writers can't both pass",
        )),
    }
    lacking_rights(operation, write, &shape, &mut told);
    if !shape.triggers.is_empty() {
        let names: Vec<&str> = shape.triggers.iter().map(|name| &**name).collect();
        let message =
            format!("{table} has triggers ({}): they run with each batch, and what they raise parks the record", names.join(", "));
        told.push(note("KITH-D048", message, "make sure that they handle many rows at once"));
    }
    let row_version = if write.compare == Compare::RowVersion {
        let column = shape.row_version().cloned();
        if column.is_none() {
            told.push(misfit(
                "KITH-D003",
                format!("{table} has no rowversion column to compare by"),
                "write `compare: [Field, …]`, or ask the DBA for a rowversion column",
            ));
        }
        column
    } else {
        None
    };
    let edited_at = write.edited_at.as_ref().and_then(|name| {
        let column = shape.column(name).cloned();
        if column.is_none() {
            told.push(misfit("KITH-D003", format!("{table} has no column `{name}` for `edited_at`"), "correct `edited_at`"));
        }
        column
    });
    let soft = write.soft_delete.as_ref().and_then(|soft| soft_of(soft, &shape, &mut told));
    if told.iter().any(|misfit| !misfit.warning) {
        return (None, told);
    }
    let columns = found.into_iter().flatten().collect();
    (Some(Bound { shape, columns, key, row_version, edited_at, soft }), told)
}

/// Rights that the operation needs and the login lacks.
fn lacking_rights(operation: &Operation, write: &TableWrite, shape: &TableShape, told: &mut Vec<Misfit>) {
    let table = &shape.name;
    let rights = [
        ("SELECT", shape.rights.select, true),
        ("INSERT", shape.rights.insert, operation.write != WriteMode::UpdateOnly),
        ("UPDATE", shape.rights.update, operation.write != WriteMode::InsertOnly || write.soft_delete.is_some()),
        ("DELETE", shape.rights.delete, operation.on_delete == OnDelete::Remove && write.soft_delete.is_none()),
    ];
    for (right, has, needed) in rights {
        if needed && has == Some(false) {
            told.push(misfit(
                "KITH-D042",
                format!("the login lacks the right {right} on {table}"),
                format!("ask the DBA: GRANT {right} ON {} TO …", table.sql()),
            ));
        }
    }
}

fn soft_of(soft: &SoftDelete, shape: &TableShape, told: &mut Vec<Misfit>) -> Option<Soft> {
    let Some(column) = shape.column(&soft.column).cloned() else {
        told.push(misfit(
            "KITH-D003",
            format!("{} has no column `{}` for `soft_delete`", shape.name, soft.column),
            "correct `soft_delete`",
        ));
        return None;
    };
    for value in [&soft.gone, &soft.live] {
        if let Err(error) = mark(&column, value) {
            told.push(misfit(
                "KITH-D003",
                format!("`soft_delete`: `{value}` {error} (column `{}`)", soft.column),
                "correct `gone` and `live`",
            ));
        }
    }
    Some(Soft { column, gone: soft.gone.clone(), live: soft.live.clone() })
}

/// A marker as the column holds it.
pub(super) fn mark(column: &Column, text: &str) -> Result<crate::wire::tds::Held, CannotHold> {
    let value = match text.parse::<i64>() {
        Ok(number) => Value::Integer(number),
        Err(_no_number) => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::text(text),
        },
    };
    column.hold(&value)
}

fn generated(column: &Column) -> &'static str {
    use crate::wire::tds::SqlType;
    match column.sql_type {
        SqlType::RowVersion => "a rowversion",
        SqlType::Other => "of a type that can't be written",
        _ => "an identity or computed column",
    }
}

/// Why values of a field's kind can't stand in a column of this type at all.
fn unfit(kind: crate::declare::connector::FieldKind, column: &Column) -> Option<String> {
    use crate::declare::connector::FieldKind as Kind;
    use crate::wire::tds::SqlType as Type;
    let fits = match column.sql_type {
        Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt => matches!(kind, Kind::Integer | Kind::Bool | Kind::Decimal),
        Type::Bit => matches!(kind, Kind::Bool | Kind::Integer),
        Type::Real | Type::Float => matches!(kind, Kind::Number | Kind::Integer | Kind::Decimal),
        Type::Decimal { .. } | Type::Money | Type::SmallMoney => matches!(kind, Kind::Decimal | Kind::Number | Kind::Integer),
        Type::Date => matches!(kind, Kind::Date | Kind::Time),
        Type::Time { .. } => kind == Kind::TimeOfDay,
        Type::SmallDateTime | Type::DateTime | Type::DateTime2 { .. } | Type::DateTimeOffset { .. } => {
            matches!(kind, Kind::Time | Kind::Date)
        }
        Type::VarChar { .. } | Type::NVarChar { .. } => kind != Kind::Binary,
        Type::VarBinary { .. } => kind == Kind::Binary,
        Type::Uuid => kind == Kind::Uuid,
        Type::Xml => kind == Kind::Text,
        Type::RowVersion | Type::Other => true,
    };
    (!fits).then(|| format!("the column `{}` is `{}`", column.name, column.sql_type))
}

/// The column's length, where the field may be longer.
fn too_wide(field: &crate::declare::connector::TargetField, column: &Column) -> Option<u16> {
    use crate::wire::tds::{Length, SqlType};
    let (SqlType::VarChar { length: Length::Most(length), .. } | SqlType::NVarChar { length: Length::Most(length), .. }) = column.sql_type
    else {
        return None;
    };
    field.max_length.is_some_and(|allowed| allowed > usize::from(length)).then_some(length)
}
