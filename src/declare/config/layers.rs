//! The file with its places, and the environment laid over it.
//!
//! `figment` merges the layers and keeps which layer each value is from; `toml_edit` knows where in the file it stands.

use super::codes::{NO_TOML, SETS_NOTHING};
use super::keys::{Form, SECRET_KEYS, SECTIONS, Tables};

use crate::diagnose::{Diagnostic, Place, Problems, SourceFile, Span};
use figment::value::{Dict, Map, Num, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use toml_edit::{Document, Item, TableLike};

/// Variables that begin so are overrides.
pub const ENVIRONMENT_PREFIX: &str = "KITH__";

/// After this many broken lines the file is another format.
const MAX_SYNTAX_ERRORS: usize = 20;
/// `section.name.key.file` is four deep; anything deeper is an error of its own and is not followed.
const MAX_DEPTH: usize = 6;

/// A value with the place it was set at.
#[derive(Debug)]
pub(super) struct Node {
    /// Where its key stands.
    pub key: Place,
    /// Where the value stands.
    pub place: Place,
    /// Whether the environment set it.
    pub from_environment: bool,
    pub data: Data,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Data {
    Text(String),
    Integer(i128),
    Switch(bool),
    Table(Vec<(String, Node)>),
    /// A value that no key takes, by the name of its type.
    Other(&'static str),
}

impl Data {
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "a whole number",
            Self::Switch(_) => "true or false",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// The layers merged.
#[derive(Debug)]
pub(super) struct Layered {
    pub root: Vec<(String, Node)>,
    pub file: Arc<SourceFile>,
    /// Whether lines were left out because they are no TOML: then a missing key is no complaint.
    pub broken: bool,
}

#[derive(Clone, Copy, Default, Debug)]
struct Spans {
    key: Span,
    value: Span,
}

/// Reads the file and lays the variables over it. Complaints about syntax and about variables' names go to `problems`.
pub(super) fn read(name: &str, text: &str, environment: &[(String, String)], problems: &mut Problems) -> Layered {
    let (document, errors) = parse(text);
    let mut masks = Vec::new();
    let mut spans = BTreeMap::new();
    let mut dict = Dict::new();
    if let Some(document) = &document {
        find_secrets(document, &mut masks);
        dict = table_of(document.as_table(), &mut Vec::new(), &mut spans);
    }
    if !errors.is_empty() {
        secret_lines(text, &mut masks);
    }
    let file = Arc::new(SourceFile { name: name.to_owned(), text: mask(text, &masks) });
    let in_file = |span: Span| Place::InFile(file.clone(), span);
    for (message, span) in &errors {
        problems.push(Diagnostic::error(
            NO_TOML,
            in_file(*span),
            format!("the file is no valid TOML: {message}"),
            "mend the line; text and paths stand in quotation marks",
        ));
    }

    let mut figment = Figment::new().merge(Layer { metadata: Metadata::from("file", Source::Custom(String::new())), dict });
    let mut variables: Vec<&(String, String)> = environment.iter().filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)).collect();
    variables.sort();
    for (variable, value) in variables {
        let path: Vec<String> =
            variable.strip_prefix(ENVIRONMENT_PREFIX).unwrap_or_default().split("__").map(str::to_ascii_lowercase).collect();
        if path.len() < 2 || path.len() > MAX_DEPTH || path.iter().any(String::is_empty) {
            problems.push(Diagnostic::error(
                SETS_NOTHING,
                variable_place(variable),
                "the variable names no key of the configuration",
                "name it KITH__SECTION__KEY or KITH__SECTION__NAME__KEY, or unset it",
            ));
            continue;
        }
        let leaf = Value::from(value.as_str());
        let nested = path.iter().rev().fold(leaf, |inner, segment| Value::from(Dict::from([(segment.clone(), inner)])));
        if let Some(dict) = nested.into_dict() {
            figment = figment.merge(Layer { metadata: Metadata::from("environment", Source::Custom(variable.clone())), dict });
        }
    }
    let context = Context { figment: &figment, spans: &spans, file: &file };
    let root = match figment.find_value("") {
        Ok(Value::Dict(_, dict)) => context.children(dict, &mut Vec::new()),
        Ok(_) | Err(_) => Vec::new(),
    };
    Layered { root, file, broken: !errors.is_empty() }
}

pub(super) fn variable_place(variable: &str) -> Place {
    Place::Named(format!("environment variable {variable}"))
}

/// The document, and every line that is no TOML. A broken line is blanked and the rest read again, so that one mistake hides no other;
/// a broken table header takes its table with it.
fn parse(text: &str) -> (Option<Document<String>>, Vec<(String, Span)>) {
    let mut left = text.to_owned();
    let mut errors: Vec<(String, Span)> = Vec::new();
    loop {
        let error = match Document::parse(left.clone()) {
            Ok(document) => return (Some(document), errors),
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        let blank = broken_lines(&left, &span);
        let stuck = left.get(blank.clone()).is_none_or(|lines| lines.trim().is_empty());
        errors.push((message, Span { start: span.start, end: span.end }));
        if stuck || errors.len() >= MAX_SYNTAX_ERRORS {
            return (None, errors);
        }
        left = mask_with(&left, &[blank], b' ');
    }
}

/// The lines to leave out: those of the span, and the rest of the table where one of them is a header.
fn broken_lines(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.get(..span.start).and_then(|t| t.rfind('\n')).map_or(0, |at| at + 1);
    let end_from = span.end.max(start);
    let line_end = |from: usize| text.get(from..).and_then(|t| t.find('\n')).map_or(text.len(), |at| from + at);
    let mut end = line_end(end_from);
    let is_header = |from: usize| text.get(from..).is_some_and(|t| t.trim_start_matches([' ', '\t']).starts_with('['));
    if is_header(start) {
        while end < text.len() && !is_header(end + 1) {
            end = line_end(end + 1);
        }
    }
    start..end
}

/// Values under a secret's key that could be the secret itself: they are covered before anything is shown.
fn find_secrets(document: &Document<String>, masks: &mut Vec<Range<usize>>) {
    for section in SECTIONS {
        let secret = |name: &str| section.keys.iter().any(|k| matches!(k.form, Form::Secret) && k.name == name);
        let Some(table) = document.get(section.name).and_then(Item::as_table_like) else { continue };
        let mut tables: Vec<&dyn TableLike> = vec![table];
        if section.tables == Tables::Named {
            tables = table.iter().filter_map(|(_, item)| item.as_table_like()).collect();
        }
        for (name, item) in tables.into_iter().flat_map(TableLike::iter) {
            if secret(name) {
                cover(item, masks);
            }
        }
    }
}

fn cover(item: &Item, masks: &mut Vec<Range<usize>>) {
    let Some(table) = item.as_table_like() else {
        masks.extend(item.span());
        return;
    };
    for (name, inner) in table.iter() {
        if !SECRET_KEYS.contains(&name) || !inner.is_str() {
            masks.extend(inner.span());
        }
    }
}

/// The same by the look of lines, for a file that can't be read whole.
fn secret_lines(text: &str, masks: &mut Vec<Range<usize>>) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let names_secret = |key: &str| {
            let word = key.rsplit(['.', '{', ',', ' ', '\t']).find(|w| !w.is_empty()).unwrap_or_default().trim_matches(['"', '\'']);
            SECTIONS.iter().flat_map(|s| s.keys).any(|k| matches!(k.form, Form::Secret) && k.name.eq_ignore_ascii_case(word))
        };
        if let Some((position, _)) = line.match_indices('=').find(|(position, _)| line.get(..*position).is_some_and(names_secret)) {
            masks.push(at + position + 1..at + line.len());
        }
        at += line.len();
    }
}

fn mask(text: &str, ranges: &[Range<usize>]) -> String {
    mask_with(text, ranges, b'*')
}

/// The text with each range covered byte by byte, line ends kept: every offset and line number stays what it was.
fn mask_with(text: &str, ranges: &[Range<usize>], with: u8) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in ranges {
        for byte in bytes.get_mut(range.start..range.end.min(text.len())).unwrap_or_default() {
            if *byte != b'\n' && *byte != b'\r' {
                *byte = with;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// The table as figment's values, and where each stands.
fn table_of(table: &dyn TableLike, path: &mut Vec<String>, spans: &mut BTreeMap<Vec<String>, Spans>) -> Dict {
    let mut dict = Dict::new();
    for (name, item) in table.iter() {
        path.push(name.to_owned());
        let span = |range: Option<Range<usize>>| range.map(|r| Span { start: r.start, end: r.end });
        let key = span(table.get_key_value(name).and_then(|(key, _)| key.span()));
        let value = span(item.span()).or(key).unwrap_or_default();
        spans.insert(path.clone(), Spans { key: key.unwrap_or(value), value });
        dict.insert(name.to_owned(), value_of(item, path, spans));
        path.pop();
    }
    dict
}

fn value_of(item: &Item, path: &mut Vec<String>, spans: &mut BTreeMap<Vec<String>, Spans>) -> Value {
    if let Some(text) = item.as_str() {
        return Value::from(text);
    }
    if let Some(number) = item.as_integer() {
        return Value::from(number);
    }
    if let Some(number) = item.as_float() {
        return Value::from(number);
    }
    if let Some(truth) = item.as_bool() {
        return Value::from(truth);
    }
    match item.as_table_like() {
        Some(table) if path.len() < MAX_DEPTH => Value::from(table_of(table, path, spans)),
        // Lists, dates and what is too deep: no key takes them.
        Some(_) | None => Value::from(Vec::<Value>::new()),
    }
}

struct Layer {
    metadata: Metadata,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}

struct Context<'a> {
    figment: &'a Figment,
    spans: &'a BTreeMap<Vec<String>, Spans>,
    file: &'a Arc<SourceFile>,
}

impl Context<'_> {
    fn variable(&self, tag: Tag) -> Option<&str> {
        let source = self.figment.get_metadata(tag)?.source.as_ref()?;
        source.custom().filter(|name| !name.is_empty())
    }

    /// The members of a table, in file order; those that only the environment names at the end.
    fn children(&self, dict: Dict, path: &mut Vec<String>) -> Vec<(String, Node)> {
        let mut children: Vec<(usize, String, Node)> = dict
            .into_iter()
            .map(|(name, value)| {
                path.push(name.clone());
                let spans = self.spans.get(path).copied();
                let node = self.node(value, path, spans);
                path.pop();
                (spans.map_or(usize::MAX, |s| s.key.start), name, node)
            })
            .collect();
        children.sort_by_key(|(at, _, _)| *at);
        children.into_iter().map(|(_, name, node)| (name, node)).collect()
    }

    fn node(&self, value: Value, path: &mut Vec<String>, spans: Option<Spans>) -> Node {
        let variable = self.variable(value.tag()).map(str::to_owned);
        let in_file = |span: Span| Place::InFile(self.file.clone(), span);
        let (key, place) = match (&variable, spans, &value) {
            (Some(variable), None, _) => (variable_place(variable), variable_place(variable)),
            (Some(variable), Some(_), v) if v.as_dict().is_none() => (variable_place(variable), variable_place(variable)),
            (_, Some(spans), _) => (in_file(spans.key), in_file(spans.value)),
            (None, None, _) => (Place::Path(self.file.name.clone()), Place::Path(self.file.name.clone())),
        };
        let from_environment = variable.is_some() && !matches!(key, Place::InFile(..));
        let data = match value {
            Value::String(_, text) => Data::Text(text),
            Value::Char(_, one) => Data::Text(one.to_string()),
            Value::Bool(_, on) => Data::Switch(on),
            Value::Num(_, Num::F32(_) | Num::F64(_)) => Data::Other("a fraction"),
            Value::Num(_, number) => number
                .to_i128()
                .or_else(|| number.to_u128().and_then(|n| i128::try_from(n).ok()))
                .map_or(Data::Other("a number"), Data::Integer),
            Value::Dict(_, dict) => Data::Table(self.children(dict, path)),
            Value::Empty(..) => Data::Other("nothing"),
            Value::Array(..) => Data::Other("a list or date"),
        };
        Node { key, place, from_environment, data }
    }
}
