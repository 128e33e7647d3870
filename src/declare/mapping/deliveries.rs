//! `enrich` and `deliver`.

use super::Surroundings;
use super::codes::{
    DUPLICATE_ID, NAME_CLASH, NO_COMPARE, TARGET_FIELD_LACKING, TOO_LONG, UNKNOWN_SECTION, UNKNOWN_TARGET_FIELD, UNREACHABLE,
};
use super::expressions::Expressions;
use super::reading::meant;
use super::scope::is_of_activity;
use crate::declare::connector::sqlserver::{Compare, SqlWrite};
use crate::declare::connector::{FieldKind, Operation, TargetField};
use crate::declare::yaml::{Entry, Kind, Node};
use crate::diagnose::Span;
use crate::enrich::{Choice, DeliverEntry, EnrichField, EnrichValue, OnConflict, OnDelete, Subject};
use crate::expr::{NameKind, Names, ValueExpr, ValueKind};
use crate::model::{OperationId, Priority, TargetId, Value};
use std::sync::Arc;

impl Expressions<'_, '_> {
    /// A field of `enrich`, and the words that it is limited to where it is a choice.
    pub(super) fn enriched(&mut self, entry: &Entry) -> Option<(EnrichField, Option<Vec<String>>)> {
        self.reading.refuse_sensitive(&entry.key, entry.key_span);
        if self.names.kind(&entry.key).is_some() || matches!(&*entry.key, "any" | "not" | "cel") {
            self.reading.error(
                NAME_CLASH,
                entry.key_span,
                format!("`{}` has a meaning already", entry.key),
                "Give the enriched field another name: it must not hide what the name means elsewhere",
            );
        }
        let name = entry.key.clone();
        let Kind::List(choices) = &entry.value.kind else {
            let value = EnrichValue::Expression(self.value(&entry.value)?);
            return Some((EnrichField { name, value }, None));
        };
        let mut out = Vec::new();
        let mut words = Vec::new();
        let mut complete = true;
        for (index, node) in choices.iter().enumerate() {
            let (is, when) = match node.get("otherwise") {
                Some(otherwise) => {
                    if index + 1 < choices.len() {
                        self.reading.error(
                            UNREACHABLE,
                            node.span,
                            "`otherwise` always holds, so the choices below it are never taken",
                            "Put `otherwise` last",
                        );
                    }
                    (otherwise, None)
                }
                None => match (node.get("is"), node.get("when").map(|when| self.condition(when))) {
                    (Some(is), Some(Some(when))) => (is, Some(when)),
                    (Some(is), _) => {
                        complete = false;
                        words.extend(is.text().map(str::to_owned));
                        continue;
                    }
                    (None, _) => {
                        complete = false;
                        continue;
                    }
                },
            };
            self.reading.refuse_sensitive(is.text()?, is.span);
            words.push(is.text()?.to_owned());
            out.push(Choice { is: constant(is.text()?), when });
        }
        let words = (words.len() == choices.len()).then_some(words);
        if !complete {
            // The name exists all the same: what reads it has no fault.
            return words.map(|w| (EnrichField { name, value: EnrichValue::FirstOf(Vec::new()) }, Some(w)));
        }
        Some((EnrichField { name, value: EnrichValue::FirstOf(out) }, words))
    }

    /// An entry of `deliver`.
    pub(super) fn delivery(&mut self, node: &Node, surroundings: Option<&Surroundings>) -> Option<DeliverEntry> {
        let operation = surroundings.and_then(|around| self.operation(node, around));
        let when = node.get("when").map(|when| self.condition(when));
        let fields = node.get("fields").map(|fields| self.fields(fields, operation))?;
        if let Some(operation) = operation {
            self.needed_fields(node, operation);
        }
        let subject = match node.text_of("for")? {
            "link" => Subject::Link,
            "activity" => Subject::Activity,
            _ => return None,
        };
        if let (Subject::Link, Some(backfill)) = (subject, node.entry("backfill")) {
            self.reading.warning(
                UNREACHABLE,
                backfill.key_span,
                "`backfill` does nothing for a link",
                "Remove it: it is for what was said before a link was made",
            );
        }
        let on_delete = self.on_delete(node.get("on_delete"), operation);
        let on_conflict = self.on_conflict(node, operation);
        if let Some(None) = when {
            return None;
        }
        Some(DeliverEntry {
            id: node.get("id")?.shared_text()?,
            subject,
            when: when.flatten(),
            target: TargetId(node.get("to")?.shared_text()?),
            operation: OperationId(node.get("operation")?.shared_text()?),
            fields: fields?,
            record_key: operation.map(|o| o.record_key.clone()).unwrap_or_default(),
            on_delete: on_delete?,
            on_conflict,
            backfill_days: node.get("backfill").and_then(Node::days),
            priority: node.text_of("priority").and_then(|word| Priority::ALL.into_iter().find(|p| p.name() == word)).unwrap_or_default(),
        })
    }

    /// The operation that an entry names; `None` where it does not exist (told) or its file could not be read.
    fn operation<'s>(&mut self, node: &Node, around: &'s Surroundings) -> Option<&'s Operation> {
        let (to, operation) = (node.get("to")?, node.get("operation")?);
        let Some((_, operations)) = around.targets.iter().find(|(name, _)| Some(&**name) == to.text()) else {
            let name = to.text()?;
            let remedy = meant(name, around.targets.iter().map(|(n, _)| &**n));
            self.reading.error(UNKNOWN_SECTION, to.span, format!("the configuration has no `[targets.{name}]`"), remedy);
            return None;
        };
        let operations = operations.as_ref()?;
        let name = operation.text()?;
        let found = operations.iter().find(|o| &*o.id.0 == name);
        if found.is_none() {
            let remedy = meant(name, operations.iter().map(|o| &*o.id.0));
            self.reading.error(UNKNOWN_SECTION, operation.span, format!("the target `{}` has no operation `{name}`", to.text()?), remedy);
        }
        found
    }

    fn fields(&mut self, node: &Node, operation: Option<&Operation>) -> Option<Vec<(Arc<str>, ValueExpr)>> {
        let mut out = Vec::new();
        let mut whole = true;
        for entry in node.entries() {
            self.reading.refuse_sensitive(&entry.key, entry.key_span);
            let value = self.value(&entry.value);
            let Some(value) = value else {
                whole = false;
                continue;
            };
            let field = operation.map(|operation| (operation, operation.field(&entry.key)));
            let value = match field {
                Some((_, Some(field))) => {
                    self.length(entry, &value, field);
                    converted(value, self.names, field.kind)
                }
                Some((operation, None)) => {
                    let remedy = meant(&entry.key, operation.fields.iter().map(|f| &*f.name));
                    let message = format!("the operation `{}` has no field `{}`", operation.id.0, entry.key);
                    self.reading.error(UNKNOWN_TARGET_FIELD, entry.key_span, message, remedy);
                    value
                }
                None => value,
            };
            out.push((entry.key.clone(), value));
        }
        whole.then_some(out)
    }

    /// Whether the text can be longer than the target's field.
    fn length(&mut self, entry: &Entry, value: &ValueExpr, field: &TargetField) {
        let Some(max) = field.max_length else { return };
        match value {
            ValueExpr::Truncate { characters, .. } if *characters > max => {
                let span = entry.value.get("truncate").map_or(entry.value.span, |n| n.span);
                self.reading.error(
                    TOO_LONG,
                    span,
                    format!("`{}` takes {max} characters, and this lets {characters} pass", field.name),
                    format!("Write `truncate: {max}` or less: longer texts would be parked"),
                );
            }
            ValueExpr::Constant(Value::Text(text)) if text.chars().count() > max => {
                self.reading.error(
                    TOO_LONG,
                    entry.value.span,
                    format!("`{}` takes {max} characters, and this text is longer", field.name),
                    "Shorten it",
                );
            }
            ValueExpr::Name(name) if matches!(&**name, "content" | "object.content") => {
                self.reading.warning(
                    TOO_LONG,
                    entry.value.span,
                    format!("`{}` takes {max} characters, and what people say can be longer", field.name),
                    format!("Write `{{ from: {name}, truncate: {max} }}`: longer texts would be parked"),
                );
            }
            ValueExpr::Name(_)
            | ValueExpr::Constant(_)
            | ValueExpr::Truncate { .. }
            | ValueExpr::Find { .. }
            | ValueExpr::Cel(_)
            | ValueExpr::As { .. } => {}
        }
    }

    /// Every field that the operation needs is given.
    fn needed_fields(&mut self, node: &Node, operation: &Operation) {
        let Some(fields) = node.entry("fields") else { return };
        for field in &operation.fields {
            let key = operation.record_key.contains(&field.name);
            if (key || field.required) && fields.value.entry(&field.name).is_none() {
                let why = if key { "is part of its record key" } else { "is required" };
                self.reading.error(
                    TARGET_FIELD_LACKING,
                    fields.key_span,
                    format!("the operation `{}` needs `{}`: it {why}", operation.id.0, field.name),
                    format!("Add `{}: …` to `fields`", field.name),
                );
            }
        }
    }

    fn on_conflict(&mut self, node: &Node, operation: Option<&Operation>) -> Option<OnConflict> {
        let entry = node.entry("on_conflict")?;
        let word = entry.value.text().and_then(|word| OnConflict::ALL.into_iter().find(|c| c.name() == word))?;
        let table = operation.and_then(|o| o.sql.as_ref()).map(|sql| &sql.write);
        let complaint = match table {
            Some(SqlWrite::Table(table)) if table.compare == Compare::Off => Some("its operation does not `compare`"),
            Some(SqlWrite::Table(table)) if word == OnConflict::Newest && table.edited_at.is_none() => {
                Some("its operation has no `edited_at`")
            }
            Some(SqlWrite::Table(_)) => None,
            Some(SqlWrite::Procedure(_)) => Some("its operation is a procedure"),
            // An operation that is not there is told elsewhere.
            None => operation.map(|_| "its target does not compare"),
        };
        if let Some(complaint) = complaint {
            let message = format!("`on_conflict: {}` does nothing here: {complaint}", word.name());
            self.reading.error(NO_COMPARE, entry.key_span, message, "Remove it, or add `compare` to the operation in the target file");
            return None;
        }
        Some(word)
    }

    fn on_delete(&mut self, node: Option<&Node>, operation: Option<&Operation>) -> Option<OnDelete> {
        let Some(node) = node else {
            return Some(operation.map_or(OnDelete::Remove, |o| o.on_delete.clone()));
        };
        if let Some(word) = node.text() {
            return match word {
                "remove" => Some(OnDelete::Remove),
                "keep" => Some(OnDelete::Keep),
                _ => None,
            };
        }
        let mut blank = Vec::new();
        for item in node.get("blank")?.list() {
            let name = item.shared_text()?;
            if let Some(operation) = operation {
                self.can_be_blank(operation, &name, item.span);
            }
            blank.push(name);
        }
        Some(OnDelete::Blank(blank))
    }

    fn can_be_blank(&mut self, operation: &Operation, name: &str, span: Span) {
        match operation.field(name) {
            None => {
                let remedy = meant(name, operation.fields.iter().map(|f| &*f.name));
                self.reading.error(UNKNOWN_TARGET_FIELD, span, format!("the operation `{}` has no field `{name}`", operation.id.0), remedy);
            }
            Some(field) if field.required || operation.record_key.iter().any(|k| &**k == name) => {
                self.reading.error(
                    TARGET_FIELD_LACKING,
                    span,
                    format!("`{name}` can't be empty: the operation needs it"),
                    "Leave it out of `blank`, or write `on_delete: remove`",
                );
            }
            Some(_) => {}
        }
    }

    /// Ids of `deliver` are unique.
    pub(super) fn unique_deliveries(&mut self, nodes: &[Node]) {
        self.reading.unique(DUPLICATE_ID, "deliveries", nodes.iter().filter_map(|n| n.get("id")).filter_map(|n| Some((n.text()?, n.span))));
    }
}

/// The names that a `for: link` delivery may read: a link has no activity.
pub(super) fn link_names(names: &Names) -> Names {
    let mut out = Names::default();
    for (name, kind) in names.iter().filter(|(name, _)| !is_of_activity(name)) {
        out.insert(name, kind);
    }
    out
}

/// A constant as typed: a whole number where it is written as one would write it, else text. `007` is text.
fn constant(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => Value::Integer(number),
        Ok(_) | Err(_) => Value::text(text),
    }
}

/// The value said in the kind of the target's field, where its own kind is not known to be the same.
fn converted(value: ValueExpr, names: &Names, kind: FieldKind) -> ValueExpr {
    let wanted = match kind {
        FieldKind::Integer => ValueKind::Integer,
        FieldKind::Number => ValueKind::Number,
        FieldKind::Time => ValueKind::Time,
        FieldKind::Bool => ValueKind::Bool,
        FieldKind::Text | FieldKind::Decimal | FieldKind::Date | FieldKind::TimeOfDay | FieldKind::Uuid | FieldKind::Binary => {
            ValueKind::Text
        }
    };
    let same = match &value {
        ValueExpr::Name(name) | ValueExpr::Truncate { from: name, .. } => match names.kind(name) {
            Some(NameKind::Text) => wanted == ValueKind::Text,
            Some(NameKind::Time) => wanted == ValueKind::Time,
            Some(NameKind::Number) => wanted == ValueKind::Number,
            Some(NameKind::Texts | NameKind::Records | NameKind::Any) | None => false,
        },
        ValueExpr::Constant(_) | ValueExpr::Find { .. } => wanted == ValueKind::Text,
        ValueExpr::Cel(_) | ValueExpr::As { .. } => false,
    };
    if same { value } else { ValueExpr::As { kind: wanted, of: Box::new(value) } }
}
