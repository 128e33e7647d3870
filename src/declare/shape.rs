//! Declarative shapes of the files that operators write: one description checks a tree and produces the JSON Schema for editors, so
//! that the two cannot drift apart.
//!
//! A format is a `static` tree of [`Shape`]s. [`check`] tells *every* structural problem of a file; a lowering then walks the same tree
//! with the accessors of [`Node`] and may skip silently what [`check`] has already told. [`schema`] gives JSON Schema 2020-12.

use super::yaml::{Entry, Kind, Node, Tree};
use crate::diagnose::{Code, Diagnostic, Place, Problems, SourceFile, Span, nearest};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use std::time::Duration;

/// A key that the format does not know.
pub const UNKNOWN_KEY: Code = Code("KITH-M005");
/// A key that must be there is not.
pub const MISSING_KEY: Code = Code("KITH-M006");
/// A list where a map is meant, a key without a value, and the like.
pub const WRONG_KIND: Code = Code("KITH-M007");
/// A value that is not a number, a percentage, a duration or a word of the closed list that is meant.
pub const WRONG_VALUE: Code = Code("KITH-M008");

/// What a node must look like.
#[derive(Clone, Copy)]
pub enum Shape {
    /// Any text.
    Text,
    /// A name: letters, digits, `_`, `-` and `.`, at most 64 of them.
    Name,
    /// One word of a closed list.
    Word(fn() -> Vec<&'static str>),
    /// A whole number, both ends included.
    Whole {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A number, both ends included.
    Number {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// `99.5 %`, from 0 to 100.
    Percent,
    /// `200 times`.
    Times,
    /// Whole days: `7d`, `2w`, `1y` (365 days).
    Days,
    /// `500ms`, `30s`, `5min`, `2h`, `7d`.
    Duration,
    /// `true` or `false`.
    TrueFalse,
    /// A list.
    List {
        /// What its items are.
        of: &'static Shape,
        /// How many at least.
        min: usize,
        /// How many at most.
        max: usize,
    },
    /// One value, or a list of at least one.
    OneOrList(&'static Shape),
    /// A map whose keys are known.
    Record(&'static Record),
    /// A map whose keys are names that the writer chooses.
    Named {
        /// What a key names, for messages: `a field`.
        what: &'static str,
        /// Whether keys must be identifiers (letters, digits, `_`, not starting with a digit), because expressions name them.
        identifiers: bool,
        /// What the values are.
        of: &'static Shape,
    },
    /// The first alternative that fits: by kind, and for maps by the keys that are there.
    OneOf(&'static [Shape]),
    /// A shape with a name of its own in the schema; a function, since a shape may contain itself.
    Defined(&'static str, fn() -> &'static Shape),
    /// Anything at all.
    Anything,
}

/// A map whose keys are known.
pub struct Record {
    /// What it is, one sentence for the editor.
    pub doc: &'static str,
    /// Its keys, in the order in which files write them.
    pub keys: &'static [Key],
    /// What other keys hold, where the map also takes keys that the writer chooses.
    pub others: Option<&'static Shape>,
}

/// A key of a [`Record`].
#[derive(Clone, Copy)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What it says, one sentence for the editor and for the remedy.
    pub doc: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What its value is.
    pub shape: Shape,
    /// A value as one would write it.
    pub example: &'static str,
}

impl Key {
    /// A key that must be there.
    pub const fn required(name: &'static str, shape: Shape, example: &'static str, doc: &'static str) -> Self {
        Self { name, doc, required: true, shape, example }
    }

    /// A key that may be left out.
    pub const fn optional(name: &'static str, shape: Shape, example: &'static str, doc: &'static str) -> Self {
        Self { name, doc, required: false, shape, example }
    }
}

// ---------------------------------------------------------------------------------------------------------------- scalars

/// `99.5 %` → 0.995; `None` where the sign is missing or the number is not within 0 and 100.
pub fn percent(text: &str) -> Option<f64> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let value = decimal(number)?;
    (0.0..=100.0).contains(&value).then_some(value / 100.0)
}

/// `200 times` → 200; at least 1.
pub fn times(text: &str) -> Option<f64> {
    let value = decimal(text.trim().strip_suffix("times")?.trim_end())?;
    (value >= 1.0).then_some(value)
}

/// `7d` → 7, `2w` → 14, `1y` → 365; at most 100 years.
pub fn days(text: &str) -> Option<u32> {
    let (number, unit) = split_unit(text)?;
    let factor = match unit {
        "d" | "day" | "days" => 1,
        "w" | "week" | "weeks" => 7,
        "y" | "year" | "years" => 365,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(factor).filter(|d| *d <= 36_500)
}

/// `500ms`, `30s`, `5min`, `2h`, `7d`; at most 100 years.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let factor_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let ms = number.parse::<u64>().ok()?.checked_mul(factor_ms)?;
    (ms <= 36_500 * 86_400_000).then(|| Duration::from_millis(ms))
}

/// A decimal number as a person writes it: digits, one point, a sign; no exponent, `inf` or `nan`.
pub fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let well_formed = digits.chars().all(|c| c.is_ascii_digit() || c == '.') && digits.chars().any(|c| c.is_ascii_digit());
    if well_formed { text.parse().ok().filter(|v: &f64| v.is_finite()) } else { None }
}

fn split_unit(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text.get(..at)?, text.get(at..)?.trim_start()))
}

/// Whether the text is a [`Shape::Name`].
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Whether the text is an identifier, as expressions name fields.
pub fn is_identifier(text: &str) -> bool {
    text.len() <= 64
        && text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Typed readings of a scalar; `None` where it is none (which [`check`] has told).
impl Node {
    /// [`percent`] of the text: 0 to 1.
    pub fn percent(&self) -> Option<f64> {
        self.text().and_then(percent)
    }

    /// [`times`] of the text.
    pub fn times(&self) -> Option<f64> {
        self.text().and_then(times)
    }

    /// [`days`] of the text.
    pub fn days(&self) -> Option<u32> {
        self.text().and_then(days)
    }

    /// [`duration`] of the text.
    pub fn duration(&self) -> Option<Duration> {
        self.text().and_then(duration)
    }

    /// A whole number.
    pub fn whole<T: std::str::FromStr>(&self) -> Option<T> {
        self.text().and_then(|t| t.parse().ok())
    }

    /// [`decimal`] of the text.
    pub fn decimal(&self) -> Option<f64> {
        self.text().and_then(decimal)
    }

    /// `true` or `false`.
    pub fn true_false(&self) -> Option<bool> {
        self.text().and_then(|t| t.parse().ok())
    }
}

// ---------------------------------------------------------------------------------------------------------------- check

/// Tells every structural problem of a tree.
pub fn check(shape: &Shape, tree: &Tree, problems: &mut Problems) {
    check_node(shape, &tree.root, &tree.file, problems);
}

/// Tells every structural problem of a part of a tree.
pub fn check_node(shape: &Shape, node: &Node, file: &Arc<SourceFile>, problems: &mut Problems) {
    Checker { file, problems }.node(shape, node, &Context { name: "the file", span: first_line(node, file) });
}

struct Checker<'a> {
    file: &'a Arc<SourceFile>,
    problems: &'a mut Problems,
}

/// What a node belongs to: the key in front of it.
struct Context<'a> {
    name: &'a str,
    span: Span,
}

impl Checker<'_> {
    fn error(&mut self, code: Code, span: Span, message: String, remedy: String) {
        self.problems.push(Diagnostic::error(code, Place::InFile(self.file.clone(), span), message, remedy));
    }

    fn node(&mut self, shape: &Shape, node: &Node, context: &Context<'_>) {
        match shape {
            Shape::Anything => {}
            Shape::Defined(_, shape) => self.node(shape(), node, context),
            Shape::OneOf(alternatives) => match choose(alternatives, node) {
                Some(shape) => self.node(shape, node, context),
                None => self.wrong(shape, node, context),
            },
            Shape::OneOrList(of) => match &node.kind {
                Kind::List(items) if items.is_empty() => self.wrong(shape, node, context),
                Kind::List(items) => {
                    for item in items {
                        self.node(of, item, context);
                    }
                }
                Kind::Nothing | Kind::Text(_) | Kind::Map(_) => self.node(of, node, context),
            },
            Shape::List { of, min, max } => match &node.kind {
                Kind::List(items) => {
                    if items.len() < *min || items.len() > *max {
                        let count = items.len();
                        self.error(
                            WRONG_VALUE,
                            node.span,
                            format!("`{}` has {count} items; {min} to {max} are possible", context.name),
                            format!("Give {}", shape.expects()),
                        );
                    }
                    for item in items {
                        self.node(of, item, context);
                    }
                }
                Kind::Nothing | Kind::Text(_) | Kind::Map(_) => self.wrong(shape, node, context),
            },
            Shape::Record(record) => match &node.kind {
                Kind::Map(entries) => self.record(record, node, entries, context),
                Kind::Nothing | Kind::Text(_) | Kind::List(_) => self.wrong(shape, node, context),
            },
            Shape::Named { what, identifiers, of } => match &node.kind {
                Kind::Map(entries) => entries.iter().for_each(|entry| {
                    if *identifiers && !is_identifier(&entry.key) {
                        self.error(
                            WRONG_VALUE,
                            entry.key_span,
                            format!("`{}` cannot name {what}", entry.key),
                            "Use letters, digits and `_`, and start with a letter: expressions name it".to_owned(),
                        );
                    }
                    self.node(of, &entry.value, &Context { name: &entry.key, span: entry.key_span });
                }),
                Kind::Nothing | Kind::Text(_) | Kind::List(_) => self.wrong(shape, node, context),
            },
            Shape::Text
            | Shape::Name
            | Shape::Word(_)
            | Shape::Whole { .. }
            | Shape::Number { .. }
            | Shape::Percent
            | Shape::Times
            | Shape::Days
            | Shape::Duration
            | Shape::TrueFalse => match &node.kind {
                Kind::Text(text) => {
                    if !shape.reads(text) {
                        self.wrong_scalar(shape, text, node, context);
                    }
                }
                Kind::Nothing | Kind::List(_) | Kind::Map(_) => self.wrong(shape, node, context),
            },
        }
    }

    fn record(&mut self, record: &Record, node: &Node, entries: &[Entry], context: &Context<'_>) {
        for entry in entries {
            let inner = Context { name: &entry.key, span: entry.key_span };
            if let Some(key) = record.keys.iter().find(|k| k.name == &*entry.key) {
                self.node(&key.shape, &entry.value, &inner);
            } else if let Some(shape) = record.others {
                self.node(shape, &entry.value, &inner);
            } else {
                let known: Vec<&str> = record.keys.iter().map(|k| k.name).collect();
                let remedy = match nearest(&entry.key, known.iter().copied()) {
                    Some(word) => format!("Did you mean `{word}`?"),
                    None => format!("Known here: {}", known.join(", ")),
                };
                self.error(UNKNOWN_KEY, entry.key_span, format!("`{}` is not a key of {}", entry.key, inside(context)), remedy);
            }
        }
        for key in record.keys.iter().filter(|k| k.required && !entries.iter().any(|e| &*e.key == k.name)) {
            // Inside a list the context's key is far away: the item itself is the place.
            let span = if matches!(self.file.text.as_bytes().get(node.span.start), Some(b'{')) || node.span.start < context.span.start {
                node.span
            } else {
                first_line(node, self.file)
            };
            self.error(
                MISSING_KEY,
                span,
                format!("{} lacks the key `{}`", inside(context), key.name),
                format!("Add `{}: {}`. {}", key.name, key.example, key.doc),
            );
        }
    }

    fn wrong(&mut self, shape: &Shape, node: &Node, context: &Context<'_>) {
        if node.kind == Kind::Nothing {
            self.error(
                WRONG_KIND,
                context.span,
                format!("`{}` has no value", context.name),
                format!("Give {}, or remove the key", shape.expects()),
            );
            return;
        }
        let span = match node.kind {
            Kind::Map(_) | Kind::List(_) => first_line(node, self.file),
            Kind::Nothing | Kind::Text(_) => node.span,
        };
        self.error(
            WRONG_KIND,
            span,
            format!("`{}` must be {}, not {}", context.name, shape.expects(), node.kind_name()),
            format!("Write {}", shape.expects()),
        );
    }

    fn wrong_scalar(&mut self, shape: &Shape, text: &str, node: &Node, context: &Context<'_>) {
        let remedy = match shape {
            Shape::Word(words) => {
                let words = words();
                match nearest(text, words.iter().copied()) {
                    Some(word) => format!("Did you mean `{word}`?"),
                    None => format!("Known: {}", words.join(", ")),
                }
            }
            Shape::Percent => match decimal(text.trim()) {
                Some(number) if number > 0.0 && number < 1.0 => format!("Write it in percent: `{} %`", trim_number(number * 100.0)),
                Some(number) if (0.0..=100.0).contains(&number) => format!("Write the sign: `{text} %`"),
                Some(_) | None => "Write a number from 0 to 100 and the sign: `99.5 %`".to_owned(),
            },
            Shape::Times => match decimal(text.trim()) {
                Some(_) => format!("Write `{text} times`"),
                None => "Write a number of at least 1 and the word: `200 times`".to_owned(),
            },
            Shape::Days => match decimal(text.trim()) {
                Some(_) => format!("Write the unit: `{text}d` for days"),
                None => "Write a whole number and d (days), w (weeks) or y (years of 365 days): `30d`".to_owned(),
            },
            Shape::Text
            | Shape::Name
            | Shape::Whole { .. }
            | Shape::Number { .. }
            | Shape::Duration
            | Shape::TrueFalse
            | Shape::List { .. }
            | Shape::OneOrList(_)
            | Shape::Record(_)
            | Shape::Named { .. }
            | Shape::OneOf(_)
            | Shape::Defined(..)
            | Shape::Anything => format!("Write {}", shape.expects()),
        };
        self.error(WRONG_VALUE, node.span, format!("`{}` must be {}, not `{}`", context.name, shape.expects(), shorten(text)), remedy);
    }
}

fn inside(context: &Context<'_>) -> String {
    if context.name == "the file" { context.name.to_owned() } else { format!("`{}`", context.name) }
}

/// At most 40 characters of what was typed.
fn shorten(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(39).chain(['…']).collect() }
}

fn trim_number(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The part of a node on its first line: a whole section shown would bury the message.
fn first_line(node: &Node, file: &SourceFile) -> Span {
    let text = file.text.get(node.span.start..node.span.end).unwrap_or_default();
    let length = text.lines().next().unwrap_or_default().trim_end().len();
    Span { start: node.span.start, end: node.span.start + length }
}

/// The alternative that a node was probably meant to be.
fn choose<'s>(alternatives: &'s [Shape], node: &Node) -> Option<&'s Shape> {
    let fitting = || alternatives.iter().filter(|shape| shape.takes(node));
    match &node.kind {
        Kind::Text(text) => fitting().find(|shape| shape.reads(text)).or_else(|| {
            // One scalar alternative can say what is wrong; several say it together.
            let mut scalars = fitting();
            let first = scalars.next();
            if scalars.next().is_some() { None } else { first }
        }),
        Kind::Map(entries) => {
            let mut best = None;
            for shape in fitting() {
                let score = shape.known_keys(entries);
                if best.is_none_or(|(_, most)| score > most) {
                    best = Some((shape, score));
                }
            }
            best.map(|(shape, _)| shape)
        }
        Kind::Nothing | Kind::List(_) => fitting().next(),
    }
}

impl Shape {
    /// Whether the outer form fits: a scalar, a list or a map.
    fn takes(&self, node: &Node) -> bool {
        match self {
            Self::Anything => true,
            Self::Defined(_, shape) => shape().takes(node),
            Self::OneOf(alternatives) => alternatives.iter().any(|a| a.takes(node)),
            Self::OneOrList(of) => matches!(node.kind, Kind::List(_)) || of.takes(node),
            Self::List { .. } => matches!(node.kind, Kind::List(_)),
            Self::Record(_) | Self::Named { .. } => matches!(node.kind, Kind::Map(_)),
            Self::Text
            | Self::Name
            | Self::Word(_)
            | Self::Whole { .. }
            | Self::Number { .. }
            | Self::Percent
            | Self::Times
            | Self::Days
            | Self::Duration
            | Self::TrueFalse => matches!(node.kind, Kind::Text(_)),
        }
    }

    /// Whether a scalar of this text is right.
    fn reads(&self, text: &str) -> bool {
        match self {
            Self::Text | Self::Anything => true,
            Self::Name => is_name(text),
            Self::Word(words) => words().contains(&text),
            Self::Whole { min, max } => text.parse::<i64>().is_ok_and(|n| (*min..=*max).contains(&n)),
            Self::Number { min, max } => decimal(text).is_some_and(|n| (*min..=*max).contains(&n)),
            Self::Percent => percent(text).is_some(),
            Self::Times => times(text).is_some(),
            Self::Days => days(text).is_some(),
            Self::Duration => duration(text).is_some(),
            Self::TrueFalse => matches!(text, "true" | "false"),
            Self::OneOrList(of) => of.reads(text),
            Self::Defined(_, shape) => shape().reads(text),
            Self::OneOf(alternatives) => alternatives.iter().any(|a| a.reads(text)),
            Self::List { .. } | Self::Record(_) | Self::Named { .. } => false,
        }
    }

    /// How many of the keys it knows: the measure of what a map was meant to be.
    fn known_keys(&self, entries: &[Entry]) -> usize {
        match self {
            Self::Record(record) => entries.iter().filter(|e| record.keys.iter().any(|k| k.name == &*e.key)).count(),
            Self::Defined(_, shape) => shape().known_keys(entries),
            Self::OneOrList(shape) => shape.known_keys(entries),
            Self::OneOf(alternatives) => alternatives.iter().map(|a| a.known_keys(entries)).max().unwrap_or(0),
            Self::Text
            | Self::Name
            | Self::Word(_)
            | Self::Whole { .. }
            | Self::Number { .. }
            | Self::Percent
            | Self::Times
            | Self::Days
            | Self::Duration
            | Self::TrueFalse
            | Self::List { .. }
            | Self::Named { .. }
            | Self::Anything => 0,
        }
    }

    /// What a right value is, for `must be …` and `Write …`.
    pub fn expects(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Name => "a name of letters, digits, `_`, `-` and `.`".to_owned(),
            Self::Word(words) => match words().as_slice() {
                [only] => format!("`{only}`"),
                words => format!("one of {}", words.join(", ")),
            },
            Self::Whole { min, max } if min == max => format!("`{min}`"),
            Self::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::Percent => "a percentage such as `99.5 %`".to_owned(),
            Self::Times => "a factor such as `200 times`".to_owned(),
            Self::Days => "a number of days such as `30d`".to_owned(),
            Self::Duration => "a duration such as `30s`, `5min` or `2h`".to_owned(),
            Self::TrueFalse => "`true` or `false`".to_owned(),
            Self::List { of, .. } => format!("a list, each item {}", of.expects()),
            Self::OneOrList(of) => format!("{}, or a list of at least one such", of.expects()),
            Self::Record(record) => {
                let names: Vec<String> = record.keys.iter().take(8).map(|k| format!("`{}`", k.name)).collect();
                format!("a map with {}{}", names.join(", "), if record.keys.len() > 8 { ", …" } else { "" })
            }
            Self::Named { what, .. } => format!("a map in which each key names {what}"),
            Self::OneOf(alternatives) => alternatives.iter().map(Self::expects).collect::<Vec<_>>().join(", or "),
            // By its name: a shape that contains itself would never end.
            Self::Defined(name, _) => format!("a {name}"),
            Self::Anything => "a value".to_owned(),
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------- schema

/// The JSON Schema (2020-12) of a shape. Scalars are text as typed, so that an editor, which reads `3` as a number, accepts both.
pub fn schema(shape: &Shape, id: &str, title: &str, description: &str) -> Json {
    let mut definitions = Map::new();
    let Json::Object(body) = node_schema(shape, &mut definitions) else { return Json::Null };
    let mut out = Map::new();
    out.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    out.insert("$id".into(), json!(id));
    out.insert("title".into(), json!(title));
    out.insert("description".into(), json!(description));
    out.extend(body.into_iter().filter(|(key, _)| key != "description"));
    if !definitions.is_empty() {
        out.insert("$defs".into(), Json::Object(definitions));
    }
    Json::Object(out)
}

fn node_schema(shape: &Shape, definitions: &mut Map<String, Json>) -> Json {
    const SCALAR: [&str; 3] = ["string", "number", "boolean"];
    match shape {
        Shape::Text => json!({ "type": SCALAR }),
        Shape::Name => json!({ "type": SCALAR, "pattern": "^[A-Za-z0-9_.-]{1,64}$" }),
        Shape::Word(words) => {
            // An editor reads `1` and `true` as a number and a truth value.
            let typed = |word: &str| word.parse::<i64>().map(Json::from).or_else(|_not_a_number| word.parse::<bool>().map(Json::from)).ok();
            let all: Vec<Json> = words().into_iter().flat_map(|word| std::iter::once(Json::from(word)).chain(typed(word))).collect();
            json!({ "enum": all })
        }
        Shape::Whole { min, max } => {
            json!({ "anyOf": [{ "type": "integer", "minimum": min, "maximum": max }, { "type": "string", "pattern": "^[+-]?[0-9]+$" }] })
        }
        Shape::Number { min, max } => {
            json!({ "anyOf": [{ "type": "number", "minimum": min, "maximum": max }, { "type": "string", "pattern": "^-?[0-9]*[.]?[0-9]*$" }] })
        }
        Shape::Percent => json!({ "type": "string", "pattern": "^[0-9.]+ ?%$" }),
        Shape::Times => json!({ "type": "string", "pattern": "^[0-9.]+ ?times$" }),
        Shape::Days => json!({ "type": "string", "pattern": "^[0-9]+ ?(d|days?|w|weeks?|y|years?)$" }),
        Shape::Duration => json!({ "type": "string", "pattern": "^[0-9]+ ?(ms|s|min|h|d)$" }),
        Shape::TrueFalse => json!({ "enum": [true, false, "true", "false"] }),
        Shape::List { of, min, max } => {
            let mut out = json!({ "type": "array", "items": node_schema(of, definitions) });
            if let Json::Object(members) = &mut out {
                if *min > 0 {
                    members.insert("minItems".into(), json!(min));
                }
                if *max < usize::MAX {
                    members.insert("maxItems".into(), json!(max));
                }
            }
            out
        }
        Shape::OneOrList(of) => {
            let item = node_schema(of, definitions);
            json!({ "anyOf": [item.clone(), { "type": "array", "items": item, "minItems": 1 }] })
        }
        Shape::Record(record) => record_schema(record, definitions),
        Shape::Named { identifiers, of, .. } => {
            let mut out = json!({ "type": "object", "additionalProperties": node_schema(of, definitions) });
            if let (true, Json::Object(members)) = (identifiers, &mut out) {
                members.insert("propertyNames".into(), json!({ "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$" }));
            }
            out
        }
        Shape::OneOf(alternatives) => {
            json!({ "anyOf": alternatives.iter().map(|a| node_schema(a, definitions)).collect::<Vec<_>>() })
        }
        Shape::Defined(name, shape) => {
            if !definitions.contains_key(*name) {
                // Reserves the name first: the shape may contain itself.
                definitions.insert((*name).to_owned(), Json::Null);
                let body = node_schema(shape(), definitions);
                definitions.insert((*name).to_owned(), body);
            }
            json!({ "$ref": format!("#/$defs/{name}") })
        }
        Shape::Anything => json!({}),
    }
}

fn record_schema(record: &Record, definitions: &mut Map<String, Json>) -> Json {
    let mut properties = Map::new();
    for key in record.keys {
        let mut body = node_schema(&key.shape, definitions);
        if let Json::Object(members) = &mut body {
            members.insert("description".into(), json!(format!("{} Example: {}", key.doc, key.example)));
        }
        properties.insert(key.name.to_owned(), body);
    }
    let required: Vec<&str> = record.keys.iter().filter(|k| k.required).map(|k| k.name).collect();
    let others = record.others.map_or(json!(false), |shape| node_schema(shape, definitions));
    let mut out = json!({ "type": "object", "description": record.doc, "properties": properties, "additionalProperties": others });
    if let (false, Json::Object(members)) = (required.is_empty(), &mut out) {
        members.insert("required".into(), json!(required));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::yaml;

    static CONDITION_KEYS: Record = Record {
        doc: "All must hold.",
        keys: &[Key::optional("not", CONDITION_REF, "{ a: 1 }", "The reverse.")],
        others: Some(&Shape::Text),
    };
    static CONDITION: Shape = Shape::Record(&CONDITION_KEYS);
    const CONDITION_REF: Shape = Shape::Defined("condition", || &CONDITION);
    static FORMAT: Shape = Shape::Record(&Record {
        doc: "A test.",
        keys: &[
            Key::required("name", Shape::Name, "retail", "What it is called."),
            Key::required("share", Shape::Percent, "99.5 %", "How much."),
            Key::optional("ahead", Shape::Times, "200 times", "How far."),
            Key::optional("keep", Shape::Days, "30d", "How long."),
            Key::optional("verb", Shape::Word(|| vec!["link", "review"]), "link", "What to do."),
            Key::optional("on", Shape::TrueFalse, "true", "Whether."),
            Key::optional("count", Shape::Whole { min: 1, max: 9 }, "3", "How many."),
            Key::optional("fields", Shape::Named { what: "a field", identifiers: true, of: &Shape::OneOf(FIELD) }, "{ a: b }", "Fields."),
            Key::optional("items", Shape::List { of: &Shape::Name, min: 1, max: 3 }, "[a]", "Items."),
            Key::optional("when", CONDITION_REF, "{ a: b }", "When."),
        ],
        others: None,
    });
    const FIELD: &[Shape] = &[
        Shape::Name,
        Shape::Record(&Record { doc: "A.", keys: &[Key::required("from", Shape::Name, "x", "Source.")], others: None }),
        Shape::Record(&Record { doc: "B.", keys: &[Key::required("find", Shape::Text, "x {digits}", "Pattern.")], others: None }),
    ];

    fn complaints(text: &str) -> String {
        let tree = yaml::read(&Arc::new(SourceFile { name: "t.yaml".into(), text: text.into() })).into_result().unwrap().0;
        let mut problems = Problems::default();
        check(&FORMAT, &tree, &mut problems);
        problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_problem_is_told_with_its_place_and_remedy() {
        insta::assert_snapshot!(complaints("nam: x\nshare: 0.995\nahead: 200\nkeep: 30\nverb: lnk\non: yes\ncount: 12\nfields:\n  9a: { form: x }\n  b: [x]\n  c:\nitems: []\nwhen: { not: [a], b: { c: d } }\n"), @r#"
        KITH-M005 t.yaml:1:1: `nam` is not a key of the file; Did you mean `name`?
        KITH-M008 t.yaml:2:8: `share` must be a percentage such as `99.5 %`, not `0.995`; Write it in percent: `99.5 %`
        KITH-M008 t.yaml:3:8: `ahead` must be a factor such as `200 times`, not `200`; Write `200 times`
        KITH-M008 t.yaml:4:7: `keep` must be a number of days such as `30d`, not `30`; Write the unit: `30d` for days
        KITH-M008 t.yaml:5:7: `verb` must be one of link, review, not `lnk`; Did you mean `link`?
        KITH-M008 t.yaml:6:5: `on` must be `true` or `false`, not `yes`; Write `true` or `false`
        KITH-M008 t.yaml:7:8: `count` must be a whole number from 1 to 9, not `12`; Write a whole number from 1 to 9
        KITH-M008 t.yaml:9:3: `9a` cannot name a field; Use letters, digits and `_`, and start with a letter: expressions name it
        KITH-M005 t.yaml:9:9: `form` is not a key of `9a`; Did you mean `from`?
        KITH-M006 t.yaml:9:7: `9a` lacks the key `from`; Add `from: x`. Source.
        KITH-M007 t.yaml:10:6: `b` must be a name of letters, digits, `_`, `-` and `.`, or a map with `from`, or a map with `find`, not a list; Write a name of letters, digits, `_`, `-` and `.`, or a map with `from`, or a map with `find`
        KITH-M007 t.yaml:11:3: `c` has no value; Give a name of letters, digits, `_`, `-` and `.`, or a map with `from`, or a map with `find`, or remove the key
        KITH-M008 t.yaml:12:8: `items` has 0 items; 1 to 3 are possible; Give a list, each item a name of letters, digits, `_`, `-` and `.`
        KITH-M007 t.yaml:13:14: `not` must be a map with `not`, not a list; Write a map with `not`
        KITH-M007 t.yaml:13:22: `b` must be text, not a map of keys; Write text
        KITH-M006 t.yaml:1:1: the file lacks the key `name`; Add `name: retail`. What it is called.
        "#);
        insta::assert_snapshot!(complaints("- a\n"), @r#"KITH-M007 t.yaml:1:1: `the file` must be a map with `name`, `share`, `ahead`, `keep`, `verb`, `on`, `count`, `fields`, …, not a list; Write a map with `name`, `share`, `ahead`, `keep`, `verb`, `on`, `count`, `fields`, …"#);
    }

    #[test]
    fn a_right_file_has_no_complaint() {
        assert_eq!(
            complaints("name: x\nshare: 99.5 %\nahead: 200 times\nkeep: 7y\nfields: { a: { from: b }, c: d }\nwhen: { not: { a: b } }\n"),
            ""
        );
    }

    #[test]
    fn scalars_read_what_people_write_and_nothing_else() {
        assert_eq!(percent("99.5 %").map(|p| (p * 1e6).round() / 1e6), Some(0.995));
        assert_eq!([percent("101 %"), percent("99.5"), percent("-1 %"), percent("%"), percent("1e1 %"), percent("nan %")], [None; 6]);
        assert_eq!(
            [days("7d"), days("7y"), days("2 weeks"), days("7"), days("1m"), days("99999y"), days("")],
            [Some(7), Some(2555), Some(14), None, None, None, None]
        );
        assert_eq!(
            [duration("500ms"), duration("2h"), duration("x")],
            [Some(Duration::from_millis(500)), Some(Duration::from_hours(2)), None]
        );
        assert_eq!([times("200 times"), times("0 times"), times("200")], [Some(200.0), None, None]);
    }

    #[test]
    fn the_schema_says_what_the_checker_says() {
        let schema = schema(&FORMAT, "urn:test", "Test", "A test.");
        let validator = jsonschema::validator_for(&schema).unwrap();
        let json = |text: &str| yaml::read(&Arc::new(SourceFile { name: String::new(), text: text.into() })).value.unwrap().root.to_json();
        assert!(validator.is_valid(&json("name: x\nshare: 99.5 %\nkeep: 7y\nwhen: { not: { a: b } }\nfields: { a: { from: b } }")));
        for wrong in [
            "name: x",
            "name: x\nshare: 99.5",
            "name: x\nshare: 1 %\nnope: 1",
            "name: x\nshare: 1 %\nwhen: { not: a }",
            "name: x\nshare: 1 %\nfields: { a: { form: b } }",
        ] {
            assert!(!validator.is_valid(&json(wrong)), "{wrong}");
            assert_ne!(complaints(wrong), "", "{wrong}");
        }
    }
}
