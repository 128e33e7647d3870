//! From a target file as written to its checked form: every complaint, each with its place.

use super::{FieldKind, Operation, TargetField, TargetFile, TargetKind, WriteMode};
use crate::declare::shape::{self, Key, Record, Shape};
use crate::declare::yaml::{self, Entry, Kind, Node, Tree};
use crate::diagnose::{Checked, Code, Diagnostic, Problems, SourceFile, Span, nearest};
use crate::enrich::OnDelete;
use crate::model::{Digest, OperationId};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

const FIELD_TWICE: Code = Code("KITH-T001");
const BAD_KEY: Code = Code("KITH-T002");
const CANNOT_BLANK: Code = Code("KITH-T003");
const BAD_LENGTH: Code = Code("KITH-T004");
const TABLE_CONFLICT: Code = Code("KITH-T005");
const BAD_NAME: Code = Code("KITH-T006");
const OTHER_KIND: Code = Code("KITH-T007");

/// A CRM's widest tables have some hundred columns; SQLite's own limit is 2,000.
const MAX_FIELDS: usize = 500;
/// Operations of one target.
const MAX_OPERATIONS: usize = 100;
/// Fields of a record key: SQL Server's limit for an index is 32.
const MAX_KEY_FIELDS: usize = 16;
/// The least limit that CRMs have for a name is PostgreSQL's.
const LONGEST_NAME: usize = 63;
/// No text field of a CRM is longer than this many characters; the posts of every network are far below.
const LONGEST_TEXT: i64 = 1_000_000;

static FIELD: Shape = Shape::Record(&Record {
    doc: "A field: a column of the table, or a member of the JSON object.",
    keys: &[
        Key::required("type", Shape::Word(|| FieldKind::ALL.map(FieldKind::name).to_vec()), "text", "What the field holds."),
        Key::optional("required", Shape::TrueFalse, "true", "Whether a write without it is refused. Fields of the record key always are."),
        Key::optional("max_length", Shape::Whole { min: 1, max: LONGEST_TEXT }, "4000", "At most this many characters; text only."),
        Key::optional("description", Shape::Text, "The text of the post", "For those who write mappings."),
    ],
    others: None,
});

static OPERATION: Shape = Shape::Record(&Record {
    doc: "Something that the target does for a delivery.",
    keys: &[
        Key::optional("description", Shape::Text, "A post of a customer", "For those who write mappings."),
        Key::optional("table", Shape::Text, "SocialInteraction", "Kind sqlite: the table, created where it is not there."),
        Key::optional("type", Shape::Text, "service_request", "Kind ndjson: the `type` written on each line."),
        Key::optional(
            "write",
            Shape::Word(|| WriteMode::ALL.map(WriteMode::name).to_vec()),
            "upsert",
            "What happens to a record that is there already: `upsert` (without the key) brings it to the new values, `insert_only` leaves it.",
        ),
        Key::required(
            "record_key",
            Shape::OneOrList(&Shape::Text),
            "[Network, ActivityID]",
            "The fields that identify the record, stable over its life.",
        ),
        Key::required(
            "on_delete",
            Shape::OneOf(&[
                Shape::Word(|| vec!["remove", "keep"]),
                Shape::Record(&Record {
                    doc: "Empties fields.",
                    keys: &[Key::required("blank", Shape::OneOrList(&Shape::Text), "[Body]", "The fields that become empty.")],
                    others: None,
                }),
            ]),
            "remove",
            "What happens when the post is deleted or the link ends: `remove`, `keep` or `{ blank: [Body] }`.",
        ),
        Key::required(
            "fields",
            Shape::Named { what: "a field", identifiers: true, of: &FIELD },
            "{ Network: { type: text } }",
            "The fields that a mapping may fill.",
        ),
    ],
    others: None,
});

static TARGET: Shape = Shape::Record(&Record {
    doc: "What a target offers to mappings.",
    keys: &[
        Key::required("kith", Shape::Whole { min: 1, max: 1 }, "1", "The version of this format."),
        Key::required("target", Shape::Name, "crm", "The name of this file's target."),
        Key::required("kind", Shape::Word(|| TargetKind::ALL.map(TargetKind::name).to_vec()), "sqlite", "What it writes into."),
        Key::optional("description", Shape::Text, "The CRM's social tables", "For those who write mappings."),
        Key::required(
            "operations",
            Shape::Named { what: "an operation", identifiers: true, of: &OPERATION },
            "{ upsert_interaction: … }",
            "What it does. A mapping names one in `operation`.",
        ),
    ],
    others: None,
});

/// Reads and checks a target file. Every problem is told; nothing is opened.
pub fn read(file: &Arc<SourceFile>) -> Checked<TargetFile> {
    let Checked { value, mut problems } = yaml::read(file);
    let Some(tree) = value else { return Checked::new(None, problems) };
    shape::check(&TARGET, &tree, &mut problems);
    let target = Reader { tree: &tree, problems: &mut problems }.target();
    problems.sort();
    Checked::new(target, problems)
}

/// The JSON Schema of target files, for editors.
pub fn schema() -> serde_json::Value {
    shape::schema(
        &TARGET,
        "https://kith.example/schema/target.json",
        "Kith target file",
        "What a target offers to mappings: operations, their record keys and fields.",
    )
}

struct Reader<'a> {
    tree: &'a Tree,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn error(&mut self, code: Code, span: Span, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Diagnostic::error(code, self.tree.place(span), message, remedy));
    }

    /// `None` where `shape::check` has told why.
    fn target(&mut self) -> Option<TargetFile> {
        let kind = self.tree.root.text_of("kind").and_then(|word| TargetKind::ALL.into_iter().find(|k| k.name() == word));
        let entries = self.tree.get("operations").map(Node::entries).unwrap_or_default();
        if let Some(node) = self.tree.get("operations")
            && (entries.is_empty() || entries.len() > MAX_OPERATIONS)
            && matches!(node.kind, Kind::Map(_))
        {
            let message = format!("the target has {} operations; 1 to {MAX_OPERATIONS} are possible", entries.len());
            self.error(BAD_LENGTH, node.span, message, "declare what mappings deliver, and nothing else");
        }
        let mut operations = Vec::new();
        for entry in entries.iter().take(MAX_OPERATIONS) {
            operations.extend(self.operation(kind, entry).map(|operation| (operation, entry)));
        }
        if kind == Some(TargetKind::Sqlite) {
            self.one_table_one_shape(&operations);
        }
        let name = self.tree.get("target")?.shared_text()?;
        let source = self.tree.file.clone();
        let digest = Digest(Sha256::digest(source.text.as_bytes()).into());
        Some(TargetFile { name, kind: kind?, operations: operations.into_iter().map(|(o, _)| o).collect(), digest, source })
    }

    fn operation(&mut self, kind: Option<TargetKind>, entry: &Entry) -> Option<Operation> {
        let node = &entry.value;
        let table = kind.and_then(|kind| self.table(kind, entry));
        let declared = node.get("fields").map(Node::entries).unwrap_or_default();
        self.field_names(node, declared);
        let record_key = self.record_key(node, declared);
        let on_delete = self.on_delete(node, declared, &record_key);
        let fields = declared.iter().take(MAX_FIELDS).filter_map(|field| self.field(field, &record_key)).collect();
        let write = match node.text_of("write") {
            Some(word) => WriteMode::ALL.into_iter().find(|w| w.name() == word)?,
            None => WriteMode::Upsert,
        };
        Some(Operation { id: OperationId(entry.key.clone()), record_key, on_delete: on_delete?, table: table?, write, fields })
    }

    /// The table of a sqlite target, the type of an ndjson one.
    fn table(&mut self, kind: TargetKind, entry: &Entry) -> Option<Arc<str>> {
        let (wanted, other) = match kind {
            TargetKind::Sqlite => ("table", "type"),
            TargetKind::Ndjson => ("type", "table"),
        };
        if let Some(stray) = entry.value.entry(other) {
            let message = format!("`{other}` belongs to another kind of target than `{}`", kind.name());
            self.error(OTHER_KIND, stray.key_span, message, format!("remove it; kind `{}` has `{wanted}`", kind.name()));
        }
        let Some(node) = entry.value.get(wanted) else {
            if matches!(entry.value.kind, Kind::Map(_)) {
                let message = format!("`{}` lacks the key `{wanted}`", entry.key);
                self.error(OTHER_KIND, entry.key_span, message, format!("add `{wanted}: …`: kind `{}` needs it", kind.name()));
            }
            return None;
        };
        let text = node.text()?;
        let identifier = is_identifier(text);
        let own = kind == TargetKind::Sqlite && text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"));
        if !identifier || own || text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("kith_")) {
            let message = format!("`{text}` can't name a {wanted}");
            let remedy = format!(
                "begin with a letter and use letters, digits and `_`, at most {LONGEST_NAME}; `sqlite_` and `kith_` at the beginning are taken"
            );
            self.error(BAD_NAME, node.span, message, remedy);
            return None;
        }
        node.shared_text()
    }

    fn field_names(&mut self, node: &Node, declared: &[Entry]) {
        if let Some(fields) = node.get("fields")
            && matches!(fields.kind, Kind::Map(_))
            && (declared.is_empty() || declared.len() > MAX_FIELDS)
        {
            let message = format!("the operation has {} fields; 1 to {MAX_FIELDS} are possible", declared.len());
            self.error(BAD_LENGTH, fields.span, message, "declare the fields that mappings fill");
        }
        let mut seen: BTreeMap<String, &Entry> = BTreeMap::new();
        for entry in declared.iter().take(MAX_FIELDS) {
            if !is_identifier(&entry.key) {
                let remedy = format!("begin with a letter and use letters, digits and `_`, at most {LONGEST_NAME}");
                self.error(BAD_NAME, entry.key_span, format!("`{}` can't name a field", entry.key), remedy);
            }
            if let Some(first) = seen.insert(entry.key.to_ascii_lowercase(), entry) {
                self.problems.push(
                    Diagnostic::error(
                        FIELD_TWICE,
                        self.tree.place(entry.key_span),
                        format!("`{}` and `{}` are one field: upper and lower case make no difference", entry.key, first.key),
                        "remove one of them, or rename it",
                    )
                    .related(self.tree.place(first.key_span), "declared here first"),
                );
            }
        }
    }

    /// A field that is named somewhere: the declared one.
    fn named<'n>(&mut self, code: Code, node: &Node, declared: &'n [Entry]) -> Option<&'n Entry> {
        let text = node.text()?;
        let found = declared.iter().find(|e| &*e.key == text);
        if found.is_none() {
            let remedy = nearest(text, declared.iter().map(|e| &*e.key)).map_or_else(
                || format!("declare `{text}` in `fields`, or name a declared field"),
                |near| format!("did you mean `{near}`? Otherwise declare `{text}` in `fields`"),
            );
            self.error(code, node.span, format!("`{text}` is not one of the operation's fields"), remedy);
        }
        found
    }

    fn record_key(&mut self, node: &Node, declared: &[Entry]) -> Vec<Arc<str>> {
        let Some(key) = node.get("record_key") else { return Vec::new() };
        let names = key.list_or_one();
        let mut fields: Vec<Arc<str>> = Vec::new();
        if names.len() > MAX_KEY_FIELDS {
            let message = format!("`record_key` names {} fields; at most {MAX_KEY_FIELDS} are possible", names.len());
            self.error(BAD_KEY, key.span, message, "name the fields that identify the record: `[Network, ActivityID]`");
        }
        for name in names.iter().take(MAX_KEY_FIELDS) {
            let Some(field) = self.named(BAD_KEY, name, declared) else { continue };
            if fields.contains(&field.key) {
                self.error(BAD_KEY, name.span, format!("`{}` is in the record key twice", field.key), "remove one of them");
                continue;
            }
            if field.value.text_of("type") == Some(FieldKind::Number.name()) {
                let message = format!("`{}` is a number: two ways to compute it can differ in the last digit", field.key);
                self.error(BAD_KEY, name.span, message, "identify records by text, a whole number or a time");
            }
            fields.push(field.key.clone());
        }
        fields
    }

    fn on_delete(&mut self, node: &Node, declared: &[Entry], record_key: &[Arc<str>]) -> Option<OnDelete> {
        let on_delete = node.get("on_delete")?;
        match on_delete.text() {
            Some("remove") => return Some(OnDelete::Remove),
            Some("keep") => return Some(OnDelete::Keep),
            Some(_) => return None,
            None => {}
        }
        let blank = on_delete.get("blank")?;
        let mut fields: Vec<Arc<str>> = Vec::new();
        for name in blank.list_or_one().iter().take(MAX_FIELDS) {
            let Some(field) = self.named(CANNOT_BLANK, name, declared) else { continue };
            let why = if record_key.contains(&field.key) {
                Some("is part of the record key")
            } else if field.value.text_of("required") == Some("true") {
                Some("is required")
            } else {
                None
            };
            if let Some(why) = why {
                let message = format!("`{}` can't be emptied: it {why}", field.key);
                self.error(CANNOT_BLANK, name.span, message, "blank what the person wrote, or write `on_delete: remove`");
            } else if !fields.contains(&field.key) {
                fields.push(field.key.clone());
            }
        }
        Some(OnDelete::Blank(fields))
    }

    fn field(&mut self, entry: &Entry, record_key: &[Arc<str>]) -> Option<TargetField> {
        let node = &entry.value;
        let word = node.text_of("type")?;
        let kind = FieldKind::ALL.into_iter().find(|k| k.name() == word)?;
        if let Some(length) = node.entry("max_length")
            && kind != FieldKind::Text
        {
            let message = format!("`max_length` counts characters of text, and `{}` is `{}`", entry.key, kind.name());
            self.error(BAD_LENGTH, length.key_span, message, "remove it, or write `type: text`");
        }
        let max_length = match node.text_of("max_length") {
            Some(text) => Some(text.parse::<usize>().ok()?),
            None => None,
        };
        let required = node.text_of("required") == Some("true") || record_key.contains(&entry.key);
        Some(TargetField { name: entry.key.clone(), kind, required, max_length })
    }

    /// Operations that write one table agree on its key and on the kinds of its fields.
    fn one_table_one_shape(&mut self, operations: &[(Operation, &Entry)]) {
        for (index, (operation, entry)) in operations.iter().enumerate() {
            let Some((first, first_entry)) =
                operations.iter().take(index).find(|(other, _)| other.table.eq_ignore_ascii_case(&operation.table))
            else {
                continue;
            };
            let differs = operation.fields.iter().find_map(|field| {
                let other = first.fields.iter().find(|f| f.name.eq_ignore_ascii_case(&field.name))?;
                (other.kind != field.kind || other.name != field.name).then(|| {
                    format!("`{}` is `{}` there and `{}` is `{}` here", other.name, other.kind.name(), field.name, field.kind.name())
                })
            });
            let what = if operation.record_key == first.record_key { differs } else { Some("their record keys differ".to_owned()) };
            if let Some(what) = what {
                self.problems.push(
                    Diagnostic::error(
                        TABLE_CONFLICT,
                        self.tree.place(entry.key_span),
                        format!("`{}` and `{}` write table `{}` differently: {what}", first.id.0, operation.id.0, operation.table),
                        "give both the same key and types, or different tables",
                    )
                    .related(self.tree.place(first_entry.key_span), "the other operation"),
                );
            }
        }
    }
}

fn is_identifier(text: &str) -> bool {
    text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
