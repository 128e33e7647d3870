//! Whether a target file fits its WSDL: operations, paths, types, lengths, and what must be there and nobody fills. Offline.

use super::declared::{self, Inside, Unknown};
use super::part::{Content, Part};
use super::{convert, fill, uncarried};
use crate::declare::connector::soap::{Call, ElementName, ElementPath, Form, Placed, Slot, SoapOperation, SoapService, Template};
use crate::declare::connector::{FieldKind, Operation, TargetField, TargetFile};
use crate::declare::yaml::{self, Node, Tree};
use crate::diagnose::{Code, Diagnostic, Place, Problems};
use crate::model::Value;
use crate::wire::soap::{self, Reason, Refusal};
use crate::wire::wsdl::schema::{Kind, Schemas, TypeId};
use crate::wire::wsdl::{Contract, OperationRef};
use jiff::civil::Date;
use std::collections::BTreeSet;
use std::sync::Arc;

/// An operation, service or port that the WSDL does not have.
const NOT_THERE: Code = Code("KITH-T024");
/// A call that does not fit the WSDL.
const MISFIT: Code = Code("KITH-T025");
/// A service that ends.
const SUNSET: Code = Code("KITH-T026");
/// Told so long before.
const AHEAD_DAYS: i32 = 180;
/// Texts that are tried where a type asks for something special; the first that fits stands for every value.
const SAMPLES: [&str; 12] = [
    "a",
    "0",
    "1",
    "true",
    "2026-11-27T10:00:00Z",
    "2026-11-27",
    "10:00:00",
    "7b1f6a52-3c1d-4e6e-9b0a-2f6f1d2c3b4a",
    "aaaaaaaaaaaaaaaaaa",
    "en",
    "EUR",
    "",
];

/// Every place where a target file does not fit its WSDL.
pub fn check(file: &TargetFile, contract: &Contract) -> Problems {
    let mut problems = Problems::default();
    let Some(service) = &file.soap else { return problems };
    // It was read already: this is for the places of what it says.
    let Some(tree) = yaml::read(&file.source).value else { return problems };
    let mut checker = Checker { service, contract, tree: &tree, problems: &mut problems, told: BTreeSet::new() };
    checker.service();
    for operation in &file.operations {
        if let Some(soap) = &operation.soap {
            checker.operation(operation, soap);
        }
    }
    problems.sort();
    problems
}

/// The warning about a service that its vendor switches off; `today` is the day of the reader.
pub fn sunset(file: &TargetFile, today: Date) -> Option<Diagnostic> {
    let day = file.soap.as_ref()?.sunset?;
    let left = today.until(day).ok()?.get_days();
    if left > AHEAD_DAYS {
        return None;
    }
    let tree = yaml::read(&file.source).value?;
    let node = tree.get("soap").and_then(|n| n.get("sunset"))?;
    let message = if left < 0 {
        format!("the vendor has switched this service off, or was to, on {day}")
    } else {
        format!("the vendor switches this service off on {day}, in {left} days")
    };
    Some(Diagnostic::warning(
        SUNSET,
        tree.place(node.span),
        message,
        "plan the move to what the vendor offers instead, or correct `sunset`",
    ))
}

struct Checker<'a> {
    service: &'a SoapService,
    contract: &'a Contract,
    tree: &'a Tree,
    problems: &'a mut Problems,
    /// Complaints that several calls share are told once.
    told: BTreeSet<String>,
}

/// The named place, else the node itself.
fn span_of(node: &Node, key: &str) -> crate::diagnose::Span {
    node.get(key).map_or(node.span, |n| n.span)
}

impl Checker<'_> {
    fn place(&self, span: crate::diagnose::Span) -> Place {
        self.tree.place(span)
    }

    fn error(&mut self, place: Place, message: String, remedy: String) {
        if self.told.insert(format!("{place} {message}")) {
            self.problems.push(Diagnostic::error(MISFIT, place, message, remedy));
        }
    }

    fn warning(&mut self, place: Place, message: String, remedy: String) {
        if self.told.insert(format!("{place} {message}")) {
            self.problems.push(Diagnostic::warning(MISFIT, place, message, remedy));
        }
    }

    fn schemas(&self) -> &Schemas {
        &self.contract.schemas
    }

    /// The login, the call of the doctor and the queries.
    fn service(&mut self) {
        let service = self.service;
        let Some(node) = self.tree.get("soap") else { return };
        if let (Some(session), Some(node)) = (&service.session, node.get("session")) {
            self.call(&session.call, node, false);
            self.answer_path(&session.call, Some(&session.token), node, "token");
            self.answer_path(&session.call, session.address.as_ref(), node, "address");
        }
        if let (Some(call), Some(node)) = (&service.health, node.get("health")) {
            self.call(call, node, true);
        }
        for (query, entry) in service.queries.iter().zip(node.get("queries").map(Node::entries).unwrap_or_default()) {
            self.call(&query.call, &entry.value, true);
            self.answer_path(&query.call, Some(&query.rows), &entry.value, "rows");
        }
    }

    fn operation(&mut self, operation: &Operation, soap: &SoapOperation) {
        let tree = self.tree;
        let Some(node) = tree.get("operations").and_then(|n| n.get(&operation.id.0)) else { return };
        let Some(of_soap) = node.get("soap") else { return };
        for (what, call) in soap.calls() {
            let Some(at) = of_soap.get(what) else { continue };
            if !self.call(call, at, true) {
                continue;
            }
            self.answer_path(call, call.proof.as_ref(), at, "proof");
            let carries = |field: &TargetField| call.fields.as_ref().is_none_or(|only| only.contains(&field.name));
            if matches!(what, "call" | "create" | "update" | "batch" | "blank") {
                for ((field, place), declared) in
                    operation.fields.iter().zip(&soap.places).zip(node.get("fields").map(Node::entries).unwrap_or_default())
                {
                    if carries(field) && !(what == "blank" && call.fields.is_none() && !operation.record_key.contains(&field.name)) {
                        self.field(call, field, place, declared);
                    }
                }
            }
            if what == "batch" && soap.places.iter().any(|place| place.from_top) {
                let message = "a field stands among the operation's own parameters, and the call carries many records".to_owned();
                self.error(self.place(at.span), message, "write `at` without `/` at the beginning, below `record`".to_owned());
            }
            self.trial(operation, soap, what, call, at);
        }
        if let (Some(look_up), Some(at)) = (&soap.look_up, of_soap.get("look_up")) {
            self.answer_path(&look_up.call, look_up.list.as_ref(), at, "list");
        }
    }

    fn found(&self, call: &Call) -> Option<OperationRef<'_>> {
        super::operation(self.contract, self.service, &call.operation).ok()
    }

    /// Operation, fixed places, types and headers of a call. `false` where the operation is not there.
    fn call(&mut self, call: &Call, node: &Node, every: bool) -> bool {
        let operation = match super::operation(self.contract, self.service, &call.operation) {
            Ok(operation) => operation,
            Err(error) => {
                let place = self.place(span_of(node, "operation"));
                let remedy = "correct the name, or `service`, `port` and `version` of `soap`".to_owned();
                if self.told.insert(format!("{place} {error}")) {
                    self.problems.push(Diagnostic::error(NOT_THERE, place, error.to_string(), remedy));
                }
                return false;
            }
        };
        let start = convert::start(&operation);
        let types = |path: &ElementPath| call.types.iter().find(|(at, _)| at == path).map(|(_, name)| name.clone());
        let Some(start) = start else { return true };
        let mut complaints: Vec<(Place, Complaint)> = Vec::new();
        let mut look = |placed: &[Placed], key: &str, from: &ElementPath| {
            let entries = node.get(key).map(Node::entries).unwrap_or_default();
            for (at, entry) in placed.iter().zip(entries) {
                let path = from.then(&at.path);
                match declared::at(&self.contract.schemas, start, &path, &types) {
                    Err(unknown) => complaints.push((self.tree.place(entry.key_span), Complaint::Unknown(unknown))),
                    Ok(inside) => {
                        for template in &at.values {
                            if let Some(text) = template.constant()
                                && let Err(why) = fixed_fits(&self.contract.schemas, inside, text)
                            {
                                complaints.push((self.tree.place(entry.value.span), Complaint::Fixed(why)));
                            }
                        }
                    }
                }
            }
        };
        look(&call.values, "values", &ElementPath::default());
        look(&call.each, "each", &call.record);
        if let Err(unknown) = declared::at(&self.contract.schemas, start, &call.record, &types) {
            complaints.push((self.tree.place(span_of(node, "record")), Complaint::Unknown(unknown)));
        }
        for ((path, name), entry) in call.types.iter().zip(node.get("types").map(Node::entries).unwrap_or_default()) {
            match declared::at(&self.contract.schemas, start, path, &types) {
                Err(unknown) => complaints.push((self.tree.place(entry.key_span), Complaint::Unknown(unknown))),
                Ok(_) if self.contract.schemas.types_named(&declared::written(name)).is_empty() => {
                    complaints.push((self.tree.place(entry.value.span), Complaint::NoType(name.local.to_string())));
                }
                Ok(_) => {}
            }
        }
        if every && !self.service.every_header.is_empty() || !call.headers.is_empty() {
            self.headers(call, node, &operation, every, &mut complaints);
        }
        for (place, complaint) in complaints {
            let (message, remedy) = complaint.told();
            self.error(place, message, remedy);
        }
        true
    }

    fn headers(&self, call: &Call, node: &Node, operation: &OperationRef<'_>, every: bool, complaints: &mut Vec<(Place, Complaint)>) {
        let mut blocks = Part::root();
        let sample = |slot: &Slot| Some(slot_sample(slot));
        let common: &[Placed] = if every { &self.service.every_header } else { &[] };
        let filled = fill::placed(&mut blocks, common, &sample).and_then(|()| fill::placed(&mut blocks, &call.headers, &sample));
        if filled.is_err() {
            return;
        }
        for block in &blocks.children {
            let node_of = convert::header(operation, block);
            if let Err(refusal) = soap::header(operation, &node_of, uncarried(self.service.characters)) {
                let place = if call.headers.is_empty() {
                    self.tree.get("soap").and_then(|n| n.get("every_call")).map_or(node.span, |n| n.span)
                } else {
                    span_of(node, "headers")
                };
                complaints.push((self.tree.place(place), Complaint::Header(refusal)));
            }
        }
    }

    /// Whether there can be anything at a path of the answer.
    fn answer_path(&mut self, call: &Call, path: Option<&ElementPath>, node: &Node, key: &str) {
        let Some(path) = path else { return };
        let Some(operation) = self.found(call) else { return };
        let Some(Ok(output)) = &operation.operation.output else { return };
        let [root] = output.roots.as_slice() else { return };
        let Some(kind) = self.schemas().element(*root).map(|element| element.kind) else { return };
        if let Err(unknown) = declared::at(self.schemas(), kind, path, &|_| None) {
            let (message, remedy) = Complaint::Answer(unknown).told();
            self.warning(self.place(span_of(node, key)), message, remedy);
        }
    }

    /// Whether a field fits the element that it stands in.
    fn field(&mut self, call: &Call, field: &TargetField, place: &crate::declare::connector::soap::FieldPlace, declared: &yaml::Entry) {
        let Some(operation) = self.found(call) else { return };
        let Some(start) = convert::start(&operation) else { return };
        let whole = if place.from_top { place.path.clone() } else { call.record.then(&place.path) };
        let types = |path: &ElementPath| {
            let of_field = (*path == whole).then(|| place.type_name.clone()).flatten();
            of_field.or_else(|| call.types.iter().find(|(at, _)| at == path).map(|(_, name)| name.clone()))
        };
        let at = declared.value.get("at").map_or(declared.key_span, |n| n.span);
        let place_of = self.place(at);
        if let Some(name) = &place.type_name
            && self.schemas().types_named(&declared::written(name)).is_empty()
        {
            let (message, remedy) = Complaint::NoType(name.local.to_string()).told();
            self.error(place_of, message, remedy);
            return;
        }
        let inside = match declared::at(self.schemas(), start, &whole.then(&place.inner), &types) {
            Ok(inside) => inside,
            Err(unknown) => {
                let (message, remedy) = Complaint::Unknown(unknown).told();
                self.error(place_of, message, remedy);
                return;
            }
        };
        for (path, fixed) in &place.beside {
            let complaint = match declared::at(self.schemas(), start, &whole.then(path), &types) {
                Err(unknown) => Some(Complaint::Unknown(unknown)),
                Ok(inside) => fixed_fits(self.schemas(), inside, fixed).err().map(Complaint::Fixed),
            };
            if let Some(complaint) = complaint {
                let (message, remedy) = complaint.told();
                self.error(place_of.clone(), message, remedy);
            }
        }
        let kind = match inside {
            Inside::Open => return,
            Inside::Attribute(kind) => kind,
            Inside::Element(found) => {
                let named = if place.inner.is_here() { place.type_name.as_ref() } else { None };
                named.and_then(|name| declared::named_type(self.schemas(), name, found.kind)).unwrap_or(found.kind)
            }
        };
        self.value_fits(field, place.form.as_ref(), kind, place_of);
    }

    fn value_fits(&mut self, field: &TargetField, form: Option<&Form>, kind: TypeId, place: Place) {
        let schemas = self.schemas();
        let described = schemas.describe(kind);
        let simple = match &schemas.kind(kind).kind {
            Kind::Simple(simple) => simple,
            Kind::Complex(complex) if matches!(complex.content, crate::wire::wsdl::schema::Content::Simple(_)) => return,
            // What may be anything holds text, too.
            Kind::Complex(_) if kind == crate::wire::wsdl::schema::Builtin::AnyType.id() => return,
            Kind::Complex(_) => {
                let known = declared::names(schemas, kind);
                let known = known.iter().take(10).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
                let message = format!("`{}` is a value, and the element holds elements: {known}", field.name);
                self.error(place, message, "add the element in it to the path: `at: Address/City`".to_owned());
                return;
            }
            Kind::NotUnderstood(_) => return,
        };
        if let Some(words) = &simple.facets.enumeration
            && field.kind == FieldKind::Text
        {
            let shown = words.iter().take(10).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let more = if words.len() > 10 { format!(" and {} more", words.len() - 10) } else { String::new() };
            let message = format!("`{}` takes only {shown}{more}", field.name);
            self.warning(place, message, "let the mapping give one of them; other values are refused before they are sent".to_owned());
            return;
        }
        let longest = simple.facets.max_length.or(simple.facets.length);
        if let (FieldKind::Text, Some(longest)) = (field.kind, longest)
            && field.max_length.is_none_or(|declared| declared > longest)
        {
            let message = format!("`{}` may have {longest} characters by the WSDL", field.name);
            self.warning(place, message, format!("write `max_length: {longest}`, so that a mapping can be checked against it"));
            return;
        }
        let sample = match (field.kind, form) {
            // Any text may be of the form; whether one is, is seen when it is there.
            (FieldKind::Text, _) => return,
            (FieldKind::Bool, Some(Form::Words(yes, _))) => yes.to_string(),
            (FieldKind::Time, Some(Form::Time(form))) => {
                jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC).strftime(form.as_bytes()).to_string()
            }
            (FieldKind::Integer | FieldKind::Decimal, _) => "1".into(),
            (FieldKind::Number, _) => "1.5".into(),
            (FieldKind::Bool, _) => "true".into(),
            (FieldKind::Date, _) => "2026-11-27".into(),
            (FieldKind::TimeOfDay, _) => "10:00:00".into(),
            (FieldKind::Uuid, _) => "7b1f6a52-3c1d-4e6e-9b0a-2f6f1d2c3b4a".into(),
            (FieldKind::Binary, _) => "AAAA".into(),
            // A moment is written as the type wants it: date, time or both.
            (FieldKind::Time, _) => match schemas.builtin(kind) {
                Some(builtin) if builtin.ordered("2026-11-27T10:00:00Z").is_none() && builtin.name() != "string" => match builtin.name() {
                    "date" => "2026-11-27Z".into(),
                    "time" => "10:00:00Z".into(),
                    _ => "2026-11-27T10:00:00Z".into(),
                },
                _ => "2026-11-27T10:00:00Z".into(),
            },
        };
        if let Err(why) = schemas.check(kind, &sample) {
            let form = if form.is_some() { ", in its form," } else { "" };
            let message =
                format!("`{}` is `{}`{form} and does not fit the element's type `{described}`: {why}", field.name, field.kind.name());
            self.error(place, message, "write the `type` that fits, or a `form`".to_owned());
        }
    }

    /// Renders the call with values that fit, to see what must be there and nobody fills: once with every field, once with those alone that
    /// are always there.
    fn trial(&mut self, operation: &Operation, soap: &SoapOperation, what: &str, call: &Call, node: &Node) {
        let writes = matches!(what, "call" | "create" | "update" | "batch");
        if !writes {
            return;
        }
        let all = |_: &TargetField| true;
        let Some(found) = self.found(call) else { return };
        match self.rendered(&found, operation, soap, call, &all) {
            Err(refusal) if is_lack(&refusal.reason) => {
                let message = format!("`{}` in the request of `{}`: {}", refusal.path, call.operation, refusal.reason);
                let remedy = "fill it from a field, or with a fixed value in `values` or `each`".to_owned();
                self.error(self.place(span_of(node, "operation")), message, remedy);
                return;
            }
            // What else is refused was told with its own place, or is a sample that nobody could guess.
            Err(_) | Ok(()) => {}
        }
        let always = |field: &TargetField| field.required;
        if let Err(refusal) = self.rendered(&found, operation, soap, call, &always)
            && is_lack(&refusal.reason)
        {
            let message = format!(
                "`{}` in the request of `{}` must be there, and the field that fills it may be empty",
                refusal.path, call.operation
            );
            let remedy = "write `required: true` at that field: a delivery without it is then parked by its name".to_owned();
            self.warning(self.place(span_of(node, "operation")), message, remedy);
        }
    }

    fn rendered(
        &self,
        found: &OperationRef<'_>,
        operation: &Operation,
        soap: &SoapOperation,
        call: &Call,
        with: &dyn Fn(&TargetField) -> bool,
    ) -> Result<(), Refusal> {
        let mut root = Part::root();
        let start = convert::start(found);
        let types = |path: &ElementPath| call.types.iter().find(|(at, _)| at == path).map(|(_, name)| name.clone());
        let schemas = self.schemas();
        let kind_at = |path: &ElementPath, own: Option<&ElementName>| match declared::at(schemas, start?, path, &types).ok()? {
            Inside::Element(element) => own.and_then(|name| declared::named_type(schemas, name, element.kind)).or(Some(element.kind)),
            Inside::Attribute(kind) => Some(kind),
            Inside::Open => None,
        };
        // Samples of a slot must fit the place: a template of one name is given what the type takes.
        let sampled = |placed: &Placed, from: &ElementPath| {
            let kind = kind_at(&from.then(&placed.path), None);
            let one = |template: &Template| match template.single() {
                Some(_) => Template::fixed(kind.and_then(|kind| sample(schemas, kind)).unwrap_or_else(|| "a".into())),
                None => template.clone(),
            };
            Placed { path: placed.path.clone(), values: placed.values.iter().map(one).collect() }
        };
        let values = |slot: &Slot| Some(slot_sample(slot));
        let top = ElementPath::default();
        let takes =
            |placed: &&Placed| start.zip(placed.path.first()).is_some_and(|(start, name)| declared::child(schemas, start, name).is_some());
        let fixed: Vec<Placed> = self.service.every_value.iter().filter(takes).chain(&call.values).map(|p| sampled(p, &top)).collect();
        let each: Vec<Placed> = call.each.iter().map(|p| sampled(p, &call.record)).collect();
        drop(fill::placed(&mut root, &fixed, &values));
        for (field, place) in operation.fields.iter().zip(&soap.places) {
            let carried = call.fields.as_ref().is_none_or(|only| only.contains(&field.name));
            if !carried || !with(field) {
                continue;
            }
            let whole = if place.from_top { place.path.clone() } else { call.record.then(&place.path) };
            let own = if place.inner.is_here() { place.type_name.as_ref() } else { None };
            let kind = if place.inner.is_here() { kind_at(&whole, own) } else { None };
            let usual = || Arc::from(if field.kind == FieldKind::Integer { "1" } else { "a" });
            let text = kind.and_then(|kind| sample(schemas, kind)).unwrap_or_else(usual);
            let content = Content::Value(Value::Text(text), None);
            let into = if place.from_top { Some(&mut root) } else { root.at(&call.record) };
            // The form is left out: the sample is of the schema's own.
            let plain = crate::declare::connector::soap::FieldPlace { form: None, ..place.clone() };
            if let Some(into) = into {
                drop(fill::field(into, &plain, content));
            }
        }
        if let Some(record) = root.at(&call.record) {
            drop(fill::placed(record, &each, &values));
        }
        fill::types(&mut root, call);
        let body = convert::body(found, &root);
        let headers = Vec::new();
        soap::Request { operation: *found, headers, body, uncarried: uncarried(self.service.characters) }.render().map(drop)
    }
}

/// Whether something must be there and is not.
const fn is_lack(reason: &Reason) -> bool {
    matches!(reason, Reason::Missing | Reason::MissingChoice(_) | Reason::TooFew { .. })
}

/// A text that the type takes.
fn sample(schemas: &Schemas, kind: TypeId) -> Option<Arc<str>> {
    let listed = match &schemas.kind(kind).kind {
        Kind::Simple(simple) => simple.facets.enumeration.as_ref().and_then(|words| words.first().cloned()),
        Kind::Complex(_) | Kind::NotUnderstood(_) => None,
    };
    listed.or_else(|| SAMPLES.into_iter().find(|text| schemas.check(kind, text).is_ok()).map(Arc::from))
}

fn slot_sample(slot: &Slot) -> Value {
    match slot {
        Slot::PageSize | Slot::Offset => Value::Integer(1),
        // As long as they are: SHA-256 in hex.
        Slot::Key | Slot::IdempotencyKey => Value::Text("0".repeat(64).into()),
        Slot::Keys => Value::Text(format!("'{}'", "0".repeat(64)).into()),
        Slot::Field(_) | Slot::Found | Slot::New | Slot::Session | Slot::User | Slot::Password | Slot::After | Slot::PageToken => {
            Value::Text("a".into())
        }
    }
}

/// Whether a fixed text can stand at a place.
fn fixed_fits(schemas: &Schemas, inside: Inside, text: &str) -> Result<(), String> {
    let kind = match inside {
        Inside::Open => return Ok(()),
        Inside::Attribute(kind) => kind,
        Inside::Element(declared) => declared.kind,
    };
    match &schemas.kind(kind).kind {
        Kind::Simple(simple) => schemas.check(kind, text).map(drop).map_err(|why| match &simple.facets.enumeration {
            Some(words) => {
                let near = crate::diagnose::nearest(text, words.iter().map(|w| &**w))
                    .map_or_else(String::new, |w| format!("; did you mean `{w}`?"));
                format!("`{text}` can't stand there: {why}{near}")
            }
            None => format!("`{text}` can't stand there: {why}"),
        }),
        Kind::Complex(_) | Kind::NotUnderstood(_) => Ok(()),
    }
}

enum Complaint {
    Unknown(Unknown),
    Answer(Unknown),
    Fixed(String),
    NoType(String),
    Header(Refusal),
}

impl Complaint {
    fn told(self) -> (String, String) {
        let remedy = |unknown: &Unknown| match (&unknown.nearest, unknown.known.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, false) => format!("there are {}", unknown.known.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
            (None, true) => "the element before it holds a value, not elements".to_owned(),
        };
        match self {
            Self::Unknown(unknown) => (format!("the WSDL has no `{}` in this request", unknown.at), remedy(&unknown)),
            Self::Answer(unknown) => (format!("the WSDL has no `{}` in this answer", unknown.at), remedy(&unknown)),
            Self::Fixed(why) => (why, "write a value that the WSDL takes".to_owned()),
            Self::NoType(name) => (format!("the WSDL has no type `{name}`"), "correct the name, or its prefix".to_owned()),
            Self::Header(refusal) => (
                format!("the header `{}`: {}", refusal.path, refusal.reason),
                "name a header that the WSDL declares for this operation, and its elements".to_owned(),
            ),
        }
    }
}
