//! A starting target file from a table as the live catalogue shows it: an integrator reads it, removes what Kith does not write, and goes on from there.

use super::told;
use crate::declare::config::ServerSpec;
use crate::declare::connector::{FieldKind, ObjectName};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::wire::tds::{self, Column, Default, Length, SqlType, TableShape};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

/// The longest name of a field (`declare::connector`).
const LONGEST_FIELD: usize = 63;

/// A field that a column is offered as.
struct Offered<'a> {
    column: &'a Column,
    field: String,
    kind: FieldKind,
    max_length: Option<u16>,
}

/// Asks a server for a table, and writes the starting file. Reads the catalogue alone.
///
/// # Errors
/// Where the server can't be reached, refuses the login, or shows no such table.
pub async fn starting_file(spec: &ServerSpec, table: &ObjectName, target: &str) -> Result<String, Diagnostic> {
    let place = || Place::Named(format!("{} on {}", spec.database, spec.address));
    let faulty = |fault| {
        let (code, message) = told(&fault);
        let remedy = "check `server`, `database`, the login, `encrypt` and `ca_file` of the target";
        Diagnostic::error(code, place(), message, remedy)
    };
    let mut session = tds::connect(spec).await.map_err(faulty)?;
    let shape = tds::table(&mut session, table).await.map_err(faulty)?.ok_or_else(|| {
        let message = format!("there is no table {table} that this login may see");
        Diagnostic::error(Code("KITH-D003"), place(), message, "correct `--table`, or ask the DBA for it and for the right to see it")
    })?;
    Ok(written(&shape, target))
}

/// The file's text. It is right as it stands where the table has a unique key of columns that can be written; else it says what is to be added.
fn written(shape: &TableShape, target: &str) -> String {
    let offered = offered(shape);
    let key = key(shape, &offered);
    let mut text = String::new();
    let table = quoted(&shape.name.to_string());
    let _infallible = write!(
        text,
        "# Written from the catalogue of {table}. Remove the fields that Kith is not to write; see connectors/README.md, kind sqlserver.\n\
         kith: 1\ntarget: {}\nkind: sqlserver\n\noperations:\n  upsert_{}:\n    table: {table}\n    write: upsert{}# or insert_only, update_only\n",
        quoted(target),
        identifier(&shape.name.name).to_ascii_lowercase(),
        " ".repeat(33),
    );
    match &key {
        Some(names) => {
            let _infallible = writeln!(text, "    record_key: [{}]", names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "));
        }
        None => text.push_str(
            "    # The catalogue shows no unique key of columns that can be written: name the fields that identify a record, and ask the DBA for a\n    \
             # unique index on their columns (kith explain KITH-D056).\n    record_key: []\n",
        ),
    }
    match shape.row_version() {
        Some(column) => {
            let _infallible =
                writeln!(text, "    compare: row_version{}# by `{}`: an edit in the CRM is noticed", " ".repeat(26), comment(&column.name));
            text.push_str("    on_conflict: theirs                           # or ours, newest, park\n");
        }
        None => text.push_str(
            "    # compare: [Field, …]                         # the table has no rowversion; without it, the newest delivery wins\n",
        ),
    }
    text.push_str("    on_delete: keep                               # or remove, or { blank: [Field, …] }\n");
    if !shape.triggers.is_empty() {
        let names: Vec<String> = shape.triggers.iter().map(|name| comment(name)).collect();
        let _infallible = writeln!(text, "    # Triggers run with each batch, and must bear many rows at once: {}", names.join(", "));
    }
    text.push_str("    fields:\n");
    for field in &offered {
        text.push_str(&line(field, key.as_deref().unwrap_or_default()));
    }
    let left_out: Vec<String> = shape
        .columns
        .iter()
        .filter(|column| !is_offered(column))
        .map(|column| format!("{} ({})", comment(&column.name), why_not(column)))
        .collect();
    if !left_out.is_empty() {
        let _infallible = writeln!(text, "    # Left out, for the server fills them or Kith can't write them: {}", left_out.join(", "));
    }
    text
}

fn is_offered(column: &Column) -> bool {
    column.default != Default::Generated && column.sql_type.is_writable()
}

fn why_not(column: &Column) -> String {
    match column.sql_type {
        SqlType::RowVersion => "rowversion".to_owned(),
        SqlType::Other => comment(&column.type_name),
        _ => "identity or computed".to_owned(),
    }
}

fn offered(shape: &TableShape) -> Vec<Offered<'_>> {
    let mut taken = BTreeSet::new();
    let columns = shape.columns.iter().filter(|column| is_offered(column));
    columns
        .map(|column| {
            let plain = identifier(&column.name);
            let mut field = plain.clone();
            let mut n = 2_u32;
            while !taken.insert(field.to_ascii_lowercase()) {
                field = format!("{}_{n}", plain.get(..plain.len().min(LONGEST_FIELD - 11)).unwrap_or(&plain));
                n += 1;
            }
            let (kind, max_length) = kind_of(column);
            Offered { column, field, kind, max_length }
        })
        .collect()
}

/// The kind that loses nothing, and the column's length in characters.
fn kind_of(column: &Column) -> (FieldKind, Option<u16>) {
    let most = |length| match length {
        Length::Most(most) => Some(most),
        Length::Max => None,
    };
    match column.sql_type {
        SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt => (FieldKind::Integer, None),
        SqlType::Bit => (FieldKind::Bool, None),
        SqlType::Real | SqlType::Float => (FieldKind::Number, None),
        SqlType::Decimal { .. } | SqlType::Money | SqlType::SmallMoney => (FieldKind::Decimal, None),
        SqlType::Date => (FieldKind::Date, None),
        SqlType::Time { .. } => (FieldKind::TimeOfDay, None),
        SqlType::SmallDateTime | SqlType::DateTime | SqlType::DateTime2 { .. } | SqlType::DateTimeOffset { .. } => (FieldKind::Time, None),
        SqlType::VarChar { length, .. } | SqlType::NVarChar { length, .. } => (FieldKind::Text, most(length)),
        SqlType::VarBinary { .. } => (FieldKind::Binary, None),
        SqlType::Uuid => (FieldKind::Uuid, None),
        SqlType::Xml | SqlType::RowVersion | SqlType::Other => (FieldKind::Text, None),
    }
}

/// The fields of the first unique key that can be written whole and can identify a record.
fn key(shape: &TableShape, offered: &[Offered<'_>]) -> Option<Vec<String>> {
    let identifies = |kind| !matches!(kind, FieldKind::Number | FieldKind::Binary);
    let field = |name: &Arc<str>| offered.iter().find(|o| o.column.name == *name && identifies(o.kind)).map(|o| o.field.clone());
    let keys = shape.unique.iter().flatten().filter(|columns| !columns.is_empty());
    keys.map(|columns| columns.iter().map(field).collect::<Option<Vec<_>>>()).find_map(|key| key)
}

fn line(offered: &Offered<'_>, key: &[String]) -> String {
    let Offered { column, field, kind, max_length } = offered;
    let mut parts = vec![format!("type: {}", kind.name())];
    parts.extend(max_length.map(|length| format!("max_length: {length}")));
    if **field != *column.name {
        parts.push(format!("column: {}", quoted(&column.name)));
    }
    let needed = !column.nullable && column.default == Default::None;
    if needed && !key.contains(field) {
        parts.push("required: true".to_owned());
    }
    let null = if column.nullable { "NULL" } else { "NOT NULL" };
    let default = if column.default == Default::Declared { ", has a default" } else { "" };
    format!("      {}: {{ {} }}  # {} {null}{default}\n", quoted(field), parts.join(", "), column.sql_type)
}

/// Letters, digits and `_`, beginning with a letter; what `kith_` and `sqlite_` begin is taken.
fn identifier(name: &str) -> String {
    let mut plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(LONGEST_FIELD - 12).collect();
    let lower = plain.to_ascii_lowercase();
    if !plain.starts_with(|c: char| c.is_ascii_alphabetic()) || lower.starts_with("kith_") || lower.starts_with("sqlite_") {
        plain.insert_str(0, "F_");
    }
    plain
}

/// As YAML reads it back: plain where that is safe, else between double quotes.
fn quoted(text: &str) -> String {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// Within a comment: one line.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::connector;
    use crate::diagnose::SourceFile;
    use crate::wire::tds::Rights;
    use proptest::prelude::*;

    fn column(name: &str, sql_type: SqlType, nullable: bool, default: Default) -> Column {
        Column { name: name.into(), sql_type, type_name: sql_type.to_string().into(), nullable, default, collation: None, code_page: None }
    }

    fn text(length: u16) -> SqlType {
        SqlType::NVarChar { length: Length::Most(length), fixed: false }
    }

    fn shape(columns: Vec<Column>, unique: Vec<Vec<&str>>) -> TableShape {
        let unique = unique.into_iter().map(|key| key.into_iter().map(Arc::from).collect()).collect();
        let name = ObjectName { schema: "dbo".into(), name: "Social Post".into() };
        TableShape { name, columns, unique: Some(unique), rights: Rights::default(), triggers: vec!["TR_Post".into()] }
    }

    fn problems(text: &str) -> String {
        let source = Arc::new(SourceFile { name: "new.yaml".into(), text: text.into() });
        let problems = connector::read(&source).problems.0;
        problems.iter().map(|problem| problem.to_string() + "\n").collect()
    }

    #[test]
    fn a_table_of_a_crm_gives_a_file_that_is_right() {
        let table = shape(
            vec![
                column("ID", SqlType::BigInt, false, Default::Generated),
                column("Network", SqlType::VarChar { length: Length::Most(32), fixed: false }, false, Default::None),
                column("Post ID", text(400), false, Default::None),
                column("Customer", text(64), false, Default::None),
                column("Amount", SqlType::Decimal { precision: 19, scale: 4 }, true, Default::None),
                column("PostedAt", SqlType::DateTime2 { scale: 3 }, true, Default::None),
                column("CreatedOn", SqlType::DateTime, false, Default::Declared),
                column("No", SqlType::Bit, true, Default::None),
                column("Place", SqlType::Other, true, Default::None),
                column("RowVer", SqlType::RowVersion, false, Default::Generated),
            ],
            vec![vec!["ID"], vec!["Network", "Post ID"]],
        );
        let file = written(&table, "crm");
        assert_eq!(problems(&file), "", "{file}");
        let source = Arc::new(SourceFile { name: "new.yaml".into(), text: file.as_str().into() });
        let read = connector::read(&source).value.unwrap();
        let operation = read.operation("upsert_social_post").unwrap();
        assert_eq!(operation.record_key.iter().map(|k| &**k).collect::<Vec<_>>(), ["Network", "Post_ID"]);
        assert_eq!(operation.field("Customer").map(|f| (f.required, f.max_length)), Some((true, Some(64))));
        assert!(!operation.field("CreatedOn").unwrap().required, "a default fills it");
        assert!(operation.field("ID").is_none() && operation.field("RowVer").is_none() && operation.field("Place").is_none());
        insta::assert_snapshot!(file);
    }

    #[test]
    fn without_a_key_the_file_says_so_and_the_check_too() {
        let table = shape(
            vec![column("ID", SqlType::Int, false, Default::Generated), column("Body", text(10), true, Default::None)],
            vec![vec!["ID"]],
        );
        let file = written(&table, "crm");
        assert!(file.contains("record_key: []"), "{file}");
        assert!(problems(&file).contains("record_key"), "{}", problems(&file));
    }

    proptest! {
        #[test]
        fn whatever_columns_are_called_the_file_is_right(names in proptest::collection::btree_set("[^\\p{C}\\u{2028}\\u{2029}]{1,60}", 1..8)) {
            let columns: Vec<Column> = names.iter().map(|name| column(name, text(40), false, Default::None)).collect();
            let key: Vec<&str> = vec![names.iter().next().map(String::as_str).unwrap_or_default()];
            // SQL Server's names differ by more than case.
            let lower: BTreeSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
            prop_assume!(lower.len() == names.len());
            let file = written(&shape(columns, vec![key]), "crm");
            prop_assert_eq!(problems(&file), "", "{}", file);
        }
    }
}
