//! A manifest as a tree: scalars typed as YAML 1.1 types them, references followed, parameters handed down, every part with its place.

use crate::declare::yaml::{Kind as Written, Node, Tree};
use crate::diagnose::{Code, Diagnostic, Problems, Span};
use crate::manifest::{Json, Members};
use std::sync::Arc;

const BAD_REFERENCE: Code = Code("KITH-N002");
/// References may be used many times: the largest manifests that were seen hold 60,000 parts when all are followed.
const MOST_PARTS: usize = 1_000_000;
/// References to references.
const DEEPEST: usize = 64;

/// A part.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where it was written; of what came by reference, where that was.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a part is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Nothing.
    Null,
    /// `true`
    Bool(bool),
    /// `5`
    Int(i128),
    /// `5.0`
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A list.
    List(Arc<Vec<Part>>),
    /// Keys and values.
    Map(Arc<Vec<Field>>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Field {
    /// The key.
    pub key: Arc<str>,
    /// Where it stands.
    pub key_span: Span,
    /// The value.
    pub value: Part,
}

impl Part {
    /// The fields; none for anything but a map.
    pub fn fields(&self) -> &[Field] {
        if let Kind::Map(fields) = &self.kind { fields } else { &[] }
    }

    /// The items; none for anything but a list.
    pub fn items(&self) -> &[Self] {
        if let Kind::List(items) = &self.kind { items } else { &[] }
    }

    /// A field's value; a field without a value is none.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.fields().iter().find(|field| &*field.key == key).map(|field| &field.value).filter(|value| !matches!(value.kind, Kind::Null))
    }

    /// The text of a text.
    pub fn text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }

    /// The text of a field.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Self::text)
    }

    /// A field that is true or false.
    pub fn is_set(&self, key: &str) -> bool {
        matches!(self.get(key).map(|value| &value.kind), Some(Kind::Bool(true)))
    }

    /// What kind of component it says it is.
    pub fn component(&self) -> &str {
        self.text_of("type").unwrap_or_default()
    }

    /// A scalar as a template writes it.
    pub fn scalar(&self) -> Option<String> {
        Some(match &self.kind {
            Kind::Text(text) => text.to_string(),
            Kind::Bool(true) => "True".to_owned(),
            Kind::Bool(false) => "False".to_owned(),
            Kind::Int(n) => n.to_string(),
            Kind::Float(_) => self.to_json().shown(),
            Kind::Null | Kind::List(_) | Kind::Map(_) => return None,
        })
    }

    /// As JSON.
    pub fn to_json(&self) -> Json {
        match &self.kind {
            Kind::Null => Json::Null,
            Kind::Bool(b) => Json::Bool(*b),
            Kind::Int(n) => Json::Int(*n),
            Kind::Float(n) => Json::Float(*n),
            Kind::Text(text) => Json::Text(text.clone()),
            Kind::List(items) => Json::List(Arc::new(items.iter().map(Self::to_json).collect())),
            Kind::Map(fields) => Json::Map(Arc::new(fields.iter().map(|f| (f.key.clone(), f.value.to_json())).collect::<Members>())),
        }
    }

    /// Out of JSON; all of it stands at one place.
    pub fn of_json(value: &Json, span: Span) -> Self {
        let kind = match value {
            Json::Null => Kind::Null,
            Json::Bool(b) => Kind::Bool(*b),
            Json::Int(n) => Kind::Int(*n),
            Json::Float(n) => Kind::Float(*n),
            Json::Text(text) => Kind::Text(text.clone()),
            Json::List(items) => Kind::List(Arc::new(items.iter().map(|item| Self::of_json(item, span)).collect())),
            Json::Map(members) => Kind::Map(Arc::new(
                members.iter().map(|(key, value)| Field { key: key.clone(), key_span: span, value: Self::of_json(value, span) }).collect(),
            )),
        };
        Self { span, kind }
    }

    /// Whether Python takes it for true.
    pub fn is_true(&self) -> bool {
        match &self.kind {
            Kind::Null => false,
            Kind::Bool(b) => *b,
            Kind::Int(n) => *n != 0,
            Kind::Float(n) => n.abs() > 0.0,
            Kind::Text(text) => !text.is_empty(),
            Kind::List(items) => !items.is_empty(),
            Kind::Map(fields) => !fields.is_empty(),
        }
    }

    /// Out of a YAML node.
    pub fn of(node: &Node, text: &str) -> Self {
        let kind = match &node.kind {
            Written::Nothing => Kind::Null,
            Written::Text(written) => {
                // What is quoted, or a block of text, is text.
                let first = text.as_bytes().get(node.span.start);
                if matches!(first, Some(b'"' | b'\'' | b'|' | b'>')) { Kind::Text(written.clone()) } else { plain(written) }
            }
            Written::List(items) => Kind::List(Arc::new(items.iter().map(|item| Self::of(item, text)).collect())),
            Written::Map(entries) => Kind::Map(Arc::new(
                entries.iter().map(|e| Field { key: e.key.clone(), key_span: e.key_span, value: Self::of(&e.value, text) }).collect(),
            )),
        };
        Self { span: node.span, kind }
    }
}

/// A plain scalar, as YAML 1.1 reads it.
fn plain(text: &Arc<str>) -> Kind {
    match &**text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Kind::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Kind::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" => return Kind::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Kind::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Kind::Float(f64::NAN),
        _ => {}
    }
    let (sign, digits) = text.strip_prefix('-').map_or_else(|| (1, text.strip_prefix('+').unwrap_or(text)), |digits| (-1, digits));
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Kind::Text(text.clone());
    }
    let bare = digits.replace('_', "");
    let radix = |prefix: &str, radix: u32| {
        let rest = bare.strip_prefix(prefix)?;
        i128::from_str_radix(rest, radix).ok()
    };
    let octal = (bare.len() > 1).then(|| radix("0", 8)).flatten();
    let decimal = (bare == "0" || !bare.starts_with('0')).then(|| bare.parse::<i128>().ok()).flatten();
    if let Some(n) = radix("0b", 2).or_else(|| radix("0x", 16)).or(octal).or(decimal) {
        return Kind::Int(sign * n);
    }
    // A float has a point, and its exponent a sign.
    let (mantissa, exponent) = bare.split_once(['e', 'E']).map_or((bare.as_str(), None), |(m, e)| (m, Some(e)));
    let right = mantissa.matches('.').count() == 1
        && mantissa.len() > 1
        && mantissa.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && exponent.is_none_or(|e| e.starts_with(['+', '-']) && e.len() > 1 && e.bytes().skip(1).all(|b| b.is_ascii_digit()));
    match bare.parse::<f64>() {
        Ok(n) if right => Kind::Float(if sign < 0 { -n } else { n }),
        Ok(_) | Err(_) => Kind::Text(text.clone()),
    }
}

/// Follows references.
pub struct Resolver<'a> {
    tree: &'a Tree,
    root: &'a Part,
    visited: Vec<Arc<str>>,
    made: usize,
    problems: &'a mut Problems,
}

impl<'a> Resolver<'a> {
    /// Over a whole manifest.
    pub const fn new(tree: &'a Tree, root: &'a Part, problems: &'a mut Problems) -> Self {
        Self { tree, root, visited: Vec::new(), made: 0, problems }
    }

    fn complain(&mut self, span: Span, what: String, remedy: &str) {
        self.problems.push(Diagnostic::error(BAD_REFERENCE, self.tree.place(span), what, remedy));
    }

    /// A part with everything in it that it refers to.
    pub fn resolve(&mut self, part: &Part) -> Part {
        self.made += 1;
        if self.made > MOST_PARTS {
            if self.made == MOST_PARTS + 1 {
                self.complain(
                    part.span,
                    format!("its references make more than {MOST_PARTS} parts"),
                    "Refer to less, or split the manifest",
                );
            }
            return Part { span: part.span, kind: Kind::Null };
        }
        match &part.kind {
            Kind::Map(fields) => {
                let own: Vec<Field> = fields
                    .iter()
                    .filter(|field| &*field.key != "$ref")
                    .map(|field| {
                        // What stands there is the source's configuration, never a reference.
                        let value = if &*field.key == "config_overrides" { field.value.clone() } else { self.resolve(&field.value) };
                        Field { value, ..field.clone() }
                    })
                    .collect();
                let Some(reference) = fields.iter().find(|field| &*field.key == "$ref") else {
                    return Part { span: part.span, kind: Kind::Map(Arc::new(own)) };
                };
                let target = self.resolve(&reference.value);
                let Kind::Map(inherited) = &target.kind else { return target };
                let mut joined = inherited.to_vec();
                for field in own {
                    match joined.iter_mut().find(|known| known.key == field.key) {
                        Some(known) => *known = field,
                        None => joined.push(field),
                    }
                }
                Part { span: part.span, kind: Kind::Map(Arc::new(joined)) }
            }
            Kind::List(items) => {
                Part { span: part.span, kind: Kind::List(Arc::new(items.iter().map(|item| self.resolve(item)).collect())) }
            }
            Kind::Text(text) if text.starts_with("#/") => self.follow(text, part),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => part.clone(),
        }
    }

    fn follow(&mut self, reference: &Arc<str>, part: &Part) -> Part {
        let nothing = Part { span: part.span, kind: Kind::Null };
        if self.visited.contains(reference) || self.visited.len() >= DEEPEST {
            self.complain(
                part.span,
                format!("the reference `{reference}` leads back to itself"),
                "Write out what is meant in one of the places",
            );
            return nothing;
        }
        let Some(target) = find(self.root, reference.get(2..).unwrap_or_default()).cloned() else {
            self.complain(
                part.span,
                format!("the reference `{reference}` leads nowhere"),
                "Refer to a part of this file, as `#/definitions/NAME`",
            );
            return nothing;
        };
        self.visited.push(reference.clone());
        let found = self.resolve(&target);
        self.visited.pop();
        found
    }
}

/// `a/b/c`: the whole as a key first, then key by key.
fn find<'p>(root: &'p Part, path: &str) -> Option<&'p Part> {
    let (mut at, mut rest) = (root, path);
    // Each turn takes a segment off.
    while !rest.is_empty() {
        if let Some(whole) = at.fields().iter().find(|field| &*field.key == rest) {
            return Some(&whole.value);
        }
        let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
        at = match &at.kind {
            Kind::List(items) => items.get(head.parse::<usize>().ok()?)?,
            Kind::Map(fields) => &fields.iter().find(|field| &*field.key == head)?.value,
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => return None,
        };
        rest = tail;
    }
    Some(at)
}

/// The type of a component that says none, by where it stands.
const TYPES: &[(&str, &str)] = &[
    ("CompositeErrorHandler.error_handlers", "DefaultErrorHandler"),
    ("ConfigComponentsResolver.components_mapping", "ComponentMappingDefinition"),
    ("ConfigComponentsResolver.stream_config", "StreamConfig"),
    ("CursorPagination.decoder", "JsonDecoder"),
    ("DatetimeBasedCursor.end_datetime", "MinMaxDatetime"),
    ("DatetimeBasedCursor.end_time_option", "RequestOption"),
    ("DatetimeBasedCursor.start_datetime", "MinMaxDatetime"),
    ("DatetimeBasedCursor.start_time_option", "RequestOption"),
    ("DeclarativeSource.check", "CheckStream"),
    ("DeclarativeSource.spec", "Spec"),
    ("DeclarativeSource.streams", "DeclarativeStream"),
    ("DeclarativeStream.retriever", "SimpleRetriever"),
    ("DeclarativeStream.schema_loader", "JsonFileSchemaLoader"),
    ("DefaultErrorHandler.response_filters", "HttpResponseFilter"),
    ("DefaultPaginator.decoder", "JsonDecoder"),
    ("DefaultPaginator.page_size_option", "RequestOption"),
    ("DpathExtractor.decoder", "JsonDecoder"),
    ("DpathExtractor.record_expander", "RecordExpander"),
    ("DynamicDeclarativeStream.stream_template", "DeclarativeStream"),
    ("HttpComponentsResolver.components_mapping", "ComponentMappingDefinition"),
    ("HttpComponentsResolver.retriever", "SimpleRetriever"),
    ("HttpRequester.error_handler", "DefaultErrorHandler"),
    ("ListPartitionRouter.request_option", "RequestOption"),
    ("ParentStreamConfig.request_option", "RequestOption"),
    ("ParentStreamConfig.stream", "DeclarativeStream"),
    ("RecordExpander.parent_fields", "ParentFieldPath"),
    ("RecordSelector.extractor", "DpathExtractor"),
    ("RecordSelector.record_filter", "RecordFilter"),
    ("SimpleRetriever.paginator", "NoPagination"),
    ("SimpleRetriever.record_selector", "RecordSelector"),
    ("SimpleRetriever.requester", "HttpRequester"),
    ("SubstreamPartitionRouter.parent_stream_configs", "ParentStreamConfig"),
    ("AddFields.fields", "AddedFieldDefinition"),
];

const PARAMETERS: &str = "$parameters";

fn is_json_schema(part: &Part) -> bool {
    match part.get("type").map(|kind| &kind.kind) {
        Some(Kind::Text(text)) => &**text == "object",
        Some(Kind::List(_) | Kind::Map(_)) => true,
        Some(Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_)) | None => false,
    }
}

/// Hands parameters down and names components that say no type.
pub fn hand_down(place: &str, part: &Part, inherited: &[Field]) -> Part {
    handed_down(place, part, inherited, false)
}

/// [`hand_down`]. Of two parameters of one name that of the inner component counts, or that of the
/// outer one where `parents_win`.
pub fn handed_down(place: &str, part: &Part, inherited: &[Field], parents_win: bool) -> Part {
    let Kind::Map(fields) = &part.kind else { return part.clone() };
    let mut fields: Vec<Field> = fields.to_vec();
    if part.get("type").is_none() {
        let custom = part.get("class_name").is_some();
        let found = if custom { Some("Custom") } else { TYPES.iter().find(|(at, _)| *at == place).map(|(_, kind)| *kind) };
        if let Some(kind) = found {
            let value = Part { span: part.span, kind: Kind::Text(kind.into()) };
            fields.push(Field { key: "type".into(), key_span: part.span, value });
        }
    }
    let own = fields.iter().position(|field| &*field.key == PARAMETERS).map(|at| fields.remove(at));
    let mut parameters: Vec<Field> = inherited.to_vec();
    for field in own.as_ref().map(|own| own.value.fields()).unwrap_or_default() {
        match parameters.iter_mut().find(|known| known.key == field.key) {
            Some(_) if parents_win => {}
            Some(known) => *known = field.clone(),
            None => parameters.push(field.clone()),
        }
    }
    let whole = |fields: Vec<Field>| Part { span: part.span, kind: Kind::Map(Arc::new(fields)) };
    let here = whole(fields.clone());
    if is_json_schema(&here) {
        return here;
    }
    let kind = here.component().to_owned();
    if kind.is_empty() {
        if fields.iter().any(|field| !field.value.component().is_empty()) {
            for field in &mut fields {
                if !field.value.component().is_empty() {
                    field.value = handed_down(place, &field.value, &parameters, parents_win);
                }
            }
        }
        return whole(fields);
    }
    for parameter in &parameters {
        match fields.iter_mut().find(|field| field.key == parameter.key) {
            Some(field) if field.value.is_true() => {}
            Some(field) => field.value = parameter.value.clone(),
            None => fields.push(parameter.clone()),
        }
    }
    for field in &mut fields {
        let others: Vec<Field> = parameters.iter().filter(|parameter| parameter.key != field.key).cloned().collect();
        let place = format!("{kind}.{}", field.key);
        match &field.value.kind {
            Kind::Map(_) => field.value = handed_down(&place, &field.value, &others, parents_win),
            Kind::List(items) => {
                let items = items.iter().map(|item| handed_down(&place, item, &others, parents_win)).collect();
                field.value.kind = Kind::List(Arc::new(items));
            }
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => {}
        }
    }
    if !parameters.is_empty() {
        let value = Part { span: part.span, kind: Kind::Map(Arc::new(parameters)) };
        fields.push(Field { key: PARAMETERS.into(), key_span: part.span, value });
    }
    whole(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_typed_as_pyyaml_types_them() {
        let json = |text: &str| Part { span: Span { start: 0, end: 0 }, kind: plain(&text.into()) }.to_json().compact();
        for (text, is) in [
            ("yes", "true"),
            ("Off", "false"),
            ("~", "null"),
            ("010", "8"),
            ("0x1f", "31"),
            ("1_000", "1000"),
            ("1.5", "1.5"),
            ("1e3", r#""1e3""#),
            ("1.0e+3", "1000.0"),
            ("-5", "-5"),
            ("1.2.3", r#""1.2.3""#),
            ("2024-01-01", r#""2024-01-01""#),
            ("09", r#""09""#),
            ("y", r#""y""#),
        ] {
            assert_eq!(json(text), is, "{text}");
        }
    }
}
