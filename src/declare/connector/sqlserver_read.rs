//! The SQL Server part of a target file: its shape, and from the tree to the checked form.

use super::object_name::ObjectName;
use super::read::{BAD_NAME, OTHER_KIND, Reader};
use super::sqlserver::{
    Compare, ProcedureAnswer, ProcedureCall, ProcedureOutcome, SoftDelete, SqlOperation, SqlServerObjects, SqlWrite, TableWrite,
};
use super::{FieldKind, TargetField, TargetKind, WriteMode};
use crate::declare::shape::{Key, Record, Shape};
use crate::declare::yaml::{Entry, Node};
use crate::diagnose::{Code, nearest};
use crate::enrich::{OnConflict, OnDelete};
use std::collections::BTreeMap;
use std::sync::Arc;

const BAD_COMPARE: Code = Code("KITH-T030");
const BAD_PROCEDURE: Code = Code("KITH-T031");

/// Rules of one list: far more than a procedure has outcomes.
const MAX_ANSWERS: usize = 100;

static ANSWER: Shape = Shape::Record(&Record {
    doc: "What an answer of the procedure means; all that is said must hold.",
    keys: &[
        Key::optional("returns", Shape::Whole { min: -2_147_483_648, max: 2_147_483_647 }, "0", "The return code."),
        Key::optional(
            "out",
            Shape::Named { what: "an OUT parameter", identifiers: true, of: &Shape::Text },
            "{ Outcome: duplicate }",
            "OUT parameters, without `@`, and what they hold.",
        ),
        Key::required(
            "is",
            Shape::Word(|| ProcedureOutcome::ALL.map(ProcedureOutcome::name).to_vec()),
            "unchanged",
            "delivered, unchanged, refused, failed, unavailable or throttled.",
        ),
    ],
    others: None,
});

static SOFT_DELETE: Shape = Shape::Record(&Record {
    doc: "A removed record keeps its row: a column says that it is gone.",
    keys: &[
        Key::required("column", Shape::Text, "IsDeleted", "The column; none of the fields."),
        Key::required("gone", Shape::Text, "1", "What it holds when the record is gone."),
        Key::required("live", Shape::Text, "0", "What it holds while the record lives."),
    ],
    others: None,
});

pub(super) const OPERATION_KEYS: [Key; 10] = [
    Key::optional(
        "procedure",
        Shape::Text,
        "crm.AddServiceRequest",
        "Kind sqlserver, in place of `table`: a stored procedure, called for each record.",
    ),
    Key::optional(
        "remove_procedure",
        Shape::Text,
        "crm.RemoveServiceRequest",
        "Kind sqlserver: removes a record; takes the fields of the record key.",
    ),
    Key::optional(
        "blank_procedure",
        Shape::Text,
        "crm.BlankServiceRequest",
        "Kind sqlserver: empties fields; takes the key, and the fields as NULL.",
    ),
    Key::optional(
        "idempotency_parameter",
        Shape::Text,
        "DeliveryKey",
        "Kind sqlserver: the parameter that takes the delivery's idempotency key (64 hex digits).",
    ),
    Key::optional(
        "procedure_answers",
        Shape::List { of: &ANSWER, min: 1, max: MAX_ANSWERS },
        "[{ returns: 2, is: unchanged }]",
        "Kind sqlserver: what the procedure's answers mean. Without: return code 0 is delivered, every other refused.",
    ),
    Key::optional(
        "compare",
        Shape::OneOf(&[Shape::Word(|| vec!["off", "row_version"]), Shape::List { of: &Shape::Text, min: 1, max: 100 }]),
        "row_version",
        "Kind sqlserver: how an edit in the CRM is noticed: `row_version`, or a list of fields; `off` (without the key): it is not.",
    ),
    Key::optional(
        "on_conflict",
        Shape::Word(|| OnConflict::ALL.map(OnConflict::name).to_vec()),
        "theirs",
        "With `compare`: what happens to a field that the CRM changed since Kith wrote it. `theirs` (without the key) keeps it, `ours` overwrites it, \
         `newest` goes by `edited_at`, `park` asks a person.",
    ),
    Key::optional(
        "edited_at",
        Shape::Text,
        "ModifiedOn",
        "With `on_conflict: newest`: the column with the time of the CRM's own last edit, in UTC.",
    ),
    Key::optional(
        "said_at",
        Shape::Text,
        "PostedAt",
        "With `on_conflict: newest`: the field, of type `time`, that says when what is delivered was said.",
    ),
    Key::optional("soft_delete", SOFT_DELETE, "{ column: IsDeleted, gone: 1, live: 0 }", "Kind sqlserver: a removed record keeps its row."),
];

pub(super) static SQLSERVER: Shape = Shape::Record(&Record {
    doc: "Kith's own tables in the CRM's database; `ops/sql/` makes them.",
    keys: &[
        Key::optional("ledger", Shape::Text, "kith.DeliveryLedger", "What became of each delivery."),
        Key::optional("records", Shape::Text, "kith.RecordState", "What Kith wrote last, for operations with `compare`."),
    ],
    others: None,
});

impl Reader<'_> {
    pub(super) fn no_sql_keys(&mut self, kind: TargetKind, node: &Node) {
        for key in &OPERATION_KEYS {
            if let Some(entry) = node.entry(key.name) {
                let message = format!("`{}` belongs to kind `sqlserver`, and this is kind `{}`", key.name, kind.name());
                self.error(OTHER_KIND, entry.key_span, message, "remove it");
            }
        }
        for field in node.get("fields").map(Node::entries).unwrap_or_default() {
            if let Some(entry) = field.value.entry("column") {
                let message = format!("`column` belongs to kind `sqlserver`, and this is kind `{}`", kind.name());
                self.error(OTHER_KIND, entry.key_span, message, "remove it: the field has the column's name");
            }
        }
    }

    /// Kith's own tables; `None` for every other kind.
    pub(super) fn sql_objects(&mut self, kind: TargetKind) -> Option<SqlServerObjects> {
        if kind != TargetKind::SqlServer {
            if let Some(entry) = self.tree.root.entry("sqlserver") {
                let message = format!("`sqlserver` belongs to another kind of target than `{}`", kind.name());
                self.error(OTHER_KIND, entry.key_span, message, "remove it");
            }
            return None;
        }
        let mut objects = SqlServerObjects::usual();
        if let Some(node) = self.tree.get("sqlserver") {
            if let Some(ledger) = node.get("ledger") {
                objects.ledger = self.object(ledger)?;
            }
            if let Some(records) = node.get("records") {
                objects.records = self.object(records)?;
            }
        }
        Some(objects)
    }

    fn object(&mut self, node: &Node) -> Option<ObjectName> {
        let text = node.text()?;
        let object = ObjectName::parse(text);
        if object.is_none() {
            let remedy =
                "write `schema.name` or `name` (then `dbo` is meant); a name with blanks or points stands in brackets: `dbo.[Social Post]`";
            self.error(BAD_NAME, node.span, format!("`{text}` can't name an object of a SQL Server"), remedy);
        }
        object
    }

    /// The SQL Server part of an operation, and what it is called.
    pub(super) fn sql_operation(
        &mut self,
        entry: &Entry,
        fields: &[TargetField],
        record_key: &[Arc<str>],
        on_delete: &OnDelete,
        write: WriteMode,
    ) -> Option<(SqlOperation, Arc<str>)> {
        let node = &entry.value;
        if let Some(stray) = node.entry("type") {
            self.error(
                OTHER_KIND,
                stray.key_span,
                "`type` belongs to another kind of target than `sqlserver`",
                "remove it; kind `sqlserver` has `table`",
            );
        }
        let columns = self.columns(node, fields);
        let write = match (node.get("table"), node.get("procedure")) {
            (Some(table), None) => SqlWrite::Table(self.table_write(entry, table, fields, record_key, write)?),
            (None, Some(procedure)) => SqlWrite::Procedure(self.procedure_call(entry, procedure, on_delete)?),
            (Some(_), Some(procedure)) => {
                let message = format!("`{}` has a `table` and a `procedure`", entry.key);
                self.error(OTHER_KIND, procedure.span, message, "keep the one that is meant");
                return None;
            }
            (None, None) => {
                let message = format!("`{}` lacks the key `table` or `procedure`", entry.key);
                self.error(OTHER_KIND, entry.key_span, message, "add `table: dbo.…`: kind `sqlserver` needs it");
                return None;
            }
        };
        let called = match &write {
            SqlWrite::Table(table) => table.table.to_string(),
            SqlWrite::Procedure(procedure) => procedure.write.to_string(),
        };
        Some((SqlOperation { write, columns: columns? }, called.into()))
    }

    /// The column of each field.
    fn columns(&mut self, node: &Node, fields: &[TargetField]) -> Option<Vec<Arc<str>>> {
        let mut columns: Vec<Arc<str>> = Vec::with_capacity(fields.len());
        let declared = node.get("fields").map(Node::entries).unwrap_or_default();
        let mut right = true;
        for field in fields {
            let said = declared.iter().find(|e| e.key == field.name).and_then(|e| e.value.get("column"));
            let column = said.and_then(Node::shared_text).unwrap_or_else(|| field.name.clone());
            let plain =
                !column.is_empty() && column.encode_utf16().count() <= super::object_name::LONGEST && !column.chars().any(char::is_control);
            if let Some(node) = said.filter(|_| !plain) {
                self.error(BAD_NAME, node.span, "that can't name a column", "a name has 1 to 128 characters");
                right = false;
            }
            if let Some(first) = columns.iter().find(|known| known.eq_ignore_ascii_case(&column)) {
                let span = said.map_or(node.span, |n| n.span);
                self.error(BAD_NAME, span, format!("two fields write the column `{first}`"), "give each field a column of its own");
                right = false;
            }
            columns.push(column);
        }
        right.then_some(columns)
    }

    fn table_write(
        &mut self,
        entry: &Entry,
        table: &Node,
        fields: &[TargetField],
        record_key: &[Arc<str>],
        write: WriteMode,
    ) -> Option<TableWrite> {
        let node = &entry.value;
        for key in ["remove_procedure", "blank_procedure", "idempotency_parameter", "procedure_answers"] {
            if let Some(stray) = node.entry(key) {
                self.error(
                    BAD_PROCEDURE,
                    stray.key_span,
                    format!("`{key}` means nothing without `procedure`"),
                    "remove it, or write `procedure` in place of `table`",
                );
            }
        }
        let table = self.object(table);
        let compare = self.compare(node, fields, record_key)?;
        let on_conflict = node.text_of("on_conflict").and_then(|word| OnConflict::ALL.into_iter().find(|c| c.name() == word));
        let is_field = |name: &str| fields.iter().any(|f| f.name.eq_ignore_ascii_case(name));
        let edited_at = node.get("edited_at").and_then(Node::shared_text);
        if let Some(conflict) = node.entry("on_conflict")
            && compare == Compare::Off
        {
            self.error(
                BAD_COMPARE,
                conflict.key_span,
                "`on_conflict` means nothing without `compare`",
                "add `compare: row_version`, or remove it",
            );
        }
        if compare != Compare::Off && write == WriteMode::InsertOnly {
            let span = node.entry("compare").map_or(entry.key_span, |e| e.key_span);
            self.error(BAD_COMPARE, span, "`write: insert_only` never changes a row: there is nothing to compare", "remove `compare`");
        }
        let said_at = node.get("said_at").and_then(Node::shared_text);
        if on_conflict == Some(OnConflict::Newest) && (edited_at.is_none() || said_at.is_none()) {
            let span = node.entry("on_conflict").map_or(entry.key_span, |e| e.key_span);
            let message = "`on_conflict: newest` needs to know when the CRM's row was edited, and when what is delivered was said";
            self.error(
                BAD_COMPARE,
                span,
                message,
                "add `edited_at: ModifiedOn` (a column of the CRM's own) and `said_at: PostedAt` (a field)",
            );
        }
        if let (Some(said), Some(at)) = (&said_at, node.entry("said_at"))
            && !fields.iter().any(|f| f.name == *said && f.kind == FieldKind::Time)
        {
            self.error(
                BAD_COMPARE,
                at.key_span,
                format!("`{said}` is not a field of type `time`"),
                "name the field that holds the time of the post",
            );
        }
        if let (Some(stamp), Some(at)) = (&edited_at, node.entry("edited_at"))
            && is_field(stamp)
        {
            self.error(
                BAD_COMPARE,
                at.key_span,
                format!("`{stamp}` is written by Kith: it can't tell when others edited the row"),
                "name a column that the CRM itself writes",
            );
        }
        let soft_delete = node.get("soft_delete").and_then(|soft| {
            Some(SoftDelete {
                column: soft.get("column")?.shared_text()?,
                gone: soft.get("gone")?.shared_text()?,
                live: soft.get("live")?.shared_text()?,
            })
        });
        if let (Some(soft), Some(at)) = (&soft_delete, node.entry("soft_delete"))
            && is_field(&soft.column)
        {
            self.error(
                BAD_COMPARE,
                at.key_span,
                format!("`{}` is a field: a mapping would write it too", soft.column),
                "remove it from `fields`",
            );
        }
        Some(TableWrite { table: table?, compare, on_conflict: on_conflict.unwrap_or(OnConflict::Theirs), edited_at, said_at, soft_delete })
    }

    fn compare(&mut self, node: &Node, fields: &[TargetField], record_key: &[Arc<str>]) -> Option<Compare> {
        let Some(compare) = node.get("compare") else { return Some(Compare::Off) };
        match compare.text() {
            Some("off") => return Some(Compare::Off),
            Some("row_version") => return Some(Compare::RowVersion),
            Some(_) => return None,
            None => {}
        }
        let mut named = Vec::new();
        for item in compare.list_or_one() {
            let Some(name) = item.text() else { continue };
            let Some(field) = fields.iter().find(|f| *f.name == *name) else {
                let remedy = nearest(name, fields.iter().map(|f| &*f.name))
                    .map_or_else(|| "name fields of the operation".to_owned(), |near| format!("did you mean `{near}`?"));
                self.error(BAD_COMPARE, item.span, format!("`{name}` is not one of the operation's fields"), remedy);
                continue;
            };
            if record_key.contains(&field.name) {
                self.error(BAD_COMPARE, item.span, format!("`{name}` is part of the record key, which never changes"), "remove it");
            } else if !named.contains(&field.name) {
                named.push(field.name.clone());
            }
        }
        Some(Compare::Fields(named))
    }

    fn procedure_call(&mut self, entry: &Entry, procedure: &Node, on_delete: &OnDelete) -> Option<ProcedureCall> {
        let node = &entry.value;
        for key in ["compare", "on_conflict", "edited_at", "said_at", "soft_delete", "write"] {
            if let Some(stray) = node.entry(key) {
                self.error(
                    BAD_PROCEDURE,
                    stray.key_span,
                    format!("`{key}` means nothing with `procedure`: the procedure does as it does"),
                    "remove it",
                );
            }
        }
        let write = self.object(procedure);
        let remove = node.get("remove_procedure").map(|n| self.object(n));
        let blank = node.get("blank_procedure").map(|n| self.object(n));
        let lacks = match on_delete {
            OnDelete::Remove if remove.is_none() => Some(("remove", "remove_procedure")),
            OnDelete::Blank(_) if blank.is_none() => Some(("blank", "blank_procedure")),
            OnDelete::Remove | OnDelete::Blank(_) | OnDelete::Keep => None,
        };
        if let Some((word, key)) = lacks {
            let message = format!("`{}` has `on_delete: {word}` and no `{key}`", entry.key);
            self.error(BAD_PROCEDURE, entry.key_span, message, format!("add `{key}: …`, or write `on_delete: keep`"));
        }
        let idempotency_parameter = node.get("idempotency_parameter").and_then(|n| self.parameter(n));
        let mut out: Vec<Arc<str>> = Vec::new();
        let mut answers = Vec::new();
        let listed = node.get("procedure_answers").map(Node::list_or_one).unwrap_or_default();
        for rule in listed.iter().take(MAX_ANSWERS) {
            let returns = rule.text_of("returns").and_then(|text| text.parse().ok());
            let mut wanted = BTreeMap::new();
            for parameter in rule.get("out").map(Node::entries).unwrap_or_default() {
                let Some(value) = parameter.value.shared_text() else { continue };
                if !out.contains(&parameter.key) {
                    out.push(parameter.key.clone());
                }
                wanted.insert(parameter.key.clone(), value);
            }
            if returns.is_none() && wanted.is_empty() {
                self.error(BAD_PROCEDURE, rule.span, "a rule without `returns` and `out` holds always", "say which answer is meant");
            }
            let is = rule.text_of("is").and_then(|word| ProcedureOutcome::ALL.into_iter().find(|o| o.name() == word));
            answers.extend(is.map(|is| ProcedureAnswer { returns, out: wanted, is }));
        }
        Some(ProcedureCall {
            write: write?,
            remove: match remove {
                Some(remove) => Some(remove?),
                None => None,
            },
            blank: match blank {
                Some(blank) => Some(blank?),
                None => None,
            },
            idempotency_parameter,
            out,
            answers,
        })
    }

    fn parameter(&mut self, node: &Node) -> Option<Arc<str>> {
        let text = node.text()?;
        let bare = text.strip_prefix('@').unwrap_or(text);
        let plain = !bare.is_empty() && bare.len() <= super::object_name::LONGEST && bare.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !plain {
            self.error(BAD_NAME, node.span, format!("`{text}` can't name a parameter"), "letters, digits and `_`");
        }
        plain.then(|| bare.into())
    }
}
