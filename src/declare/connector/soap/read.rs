//! From the tree to the checked form: the soap part of a file and of an operation.

use super::read_call::Allowed;
use super::{
    BadCharacters, Call, ElementName, ElementPath, Emptied, Entries, FieldPlace, Form, PathError, Select, Settle, Slot, SoapOperation,
    SoapService, SoapVersion, Step,
};
use crate::declare::connector::read::{OTHER_KIND, Reader};
use crate::declare::connector::{FieldKind, TargetField, TargetKind, WriteMode};
use crate::declare::yaml::{Entry, Node};
use crate::diagnose::{Code, Span};
use crate::enrich::OnDelete;
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A path or a name in it that can't be one.
pub(super) const BAD_PATH: Code = Code("KITH-T020");
/// A call that can't do what it is for.
pub(super) const BAD_CALL: Code = Code("KITH-T021");
/// A value of a call that can't be one.
pub(super) const BAD_VALUE: Code = Code("KITH-T022");
/// A setting of the service that can't be one.
const BAD_SERVICE: Code = Code("KITH-T023");

/// Prefixes that are known everywhere.
const KNOWN: [(&str, &str); 2] = [("xsd", "http://www.w3.org/2001/XMLSchema"), ("xsi", "http://www.w3.org/2001/XMLSchema-instance")];
/// Longer addresses are refused by servers.
const LONGEST_PATH: usize = 2_000;
/// Headers of every request.
const MAX_HEADERS: usize = 50;
/// Queries of one file.
const MAX_QUERIES: usize = 50;

/// What every operation of a file shares.
#[derive(Debug)]
pub(in crate::declare::connector) struct SoapOfFile {
    pub(super) prefixes: BTreeMap<Arc<str>, Arc<str>>,
    pub(super) has_session: bool,
}

impl SoapOfFile {
    fn namespace(&self, prefix: &str) -> Option<Arc<str>> {
        let known = || KNOWN.iter().find(|(name, _)| *name == prefix).map(|(_, uri)| Arc::from(*uri));
        self.prefixes.get(prefix).cloned().or_else(known)
    }

    pub(super) fn path(&self, text: &str) -> Result<ElementPath, PathError> {
        ElementPath::parse(text, &|prefix| self.namespace(prefix))
    }

    pub(super) fn name(&self, text: &str) -> Result<ElementName, PathError> {
        ElementName::parse(text, &|prefix| self.namespace(prefix))
    }
}

impl Reader<'_> {
    /// Complains about `soap` in a file of another kind.
    pub(in crate::declare::connector) fn no_soap_keys(&mut self, kind: TargetKind, node: &Node) {
        let fields = node.get("fields").map(Node::entries).unwrap_or_default();
        let of_fields = fields.iter().flat_map(|field| ["at", "form"].map(|key| field.value.entry(key)));
        let strays: Vec<&Entry> = std::iter::once(node.entry("soap")).chain(of_fields).flatten().collect();
        for stray in strays {
            let message = format!("`{}` belongs to kind `soap`, and this is kind `{}`", stray.key, kind.name());
            self.error(OTHER_KIND, stray.key_span, message, "remove it");
        }
    }

    /// What is known of the file before its operations are read.
    pub(in crate::declare::connector) fn soap_of_file(&mut self) -> SoapOfFile {
        let node = self.tree.get("soap");
        let prefixes = node.and_then(|n| n.get("namespaces")).map(Node::entries).unwrap_or_default();
        let prefixes = prefixes.iter().filter_map(|entry| Some((entry.key.clone(), entry.value.shared_text()?))).collect();
        SoapOfFile { prefixes, has_session: node.is_some_and(|n| n.get("session").is_some()) }
    }

    /// The `soap` of a file.
    pub(in crate::declare::connector) fn soap_service(&mut self, kind: TargetKind, file: &SoapOfFile) -> Option<SoapService> {
        if kind != TargetKind::Soap {
            if let Some(entry) = self.tree.root.entry("soap") {
                let message = format!("`soap` belongs to another kind of target than `{}`", kind.name());
                self.error(OTHER_KIND, entry.key_span, message, "remove it");
            }
            return None;
        }
        for key in ["http", "answers"] {
            if let Some(entry) = self.tree.root.entry(key) {
                let message = format!("`{key}` at the top belongs to another kind of target than `soap`");
                self.error(OTHER_KIND, entry.key_span, message, "remove it; answers of kind `soap` stand in `soap: answers`");
            }
        }
        let Some(node) = self.tree.get("soap") else {
            let span = self.tree.root.entry("kind").map_or(self.tree.root.span, |entry| entry.key_span);
            self.error(OTHER_KIND, span, "kind `soap` lacks the key `soap`", "add `soap: { wsdl: wsdl/crm.wsdl }`");
            return None;
        };
        let wsdl = self.wsdl(node);
        let every = node.get("every_call");
        let allowed = Allowed { session: file.has_session, ..Allowed::default() };
        let every_value = every.and_then(|n| n.get("values")).map(|n| self.placed(n, file, &allowed)).unwrap_or_default();
        let every_header = every.and_then(|n| n.get("headers")).map(|n| self.placed(n, file, &allowed)).unwrap_or_default();
        let session = node.get("session").and_then(|n| self.session(n, file));
        let health = node.get("health").and_then(|n| self.call(n, file, &allowed));
        let answers = self.soap_answers(node.get("answers"), file);
        let mut queries = Vec::new();
        for entry in node.get("queries").map(Node::entries).unwrap_or_default().iter().take(MAX_QUERIES) {
            queries.extend(self.query(entry, file));
        }
        let characters = node.text_of("characters").and_then(|w| BadCharacters::ALL.into_iter().find(|c| c.name() == w));
        Some(SoapService {
            wsdl: wsdl?,
            service: node.get("service").and_then(Node::shared_text),
            port: node.get("port").and_then(Node::shared_text),
            version: node.text_of("version").and_then(|w| SoapVersion::ALL.into_iter().find(|v| v.name() == w)),
            path: self.behind_url(node),
            characters: characters.unwrap_or_default(),
            escaped: node.get("escaped").is_some(),
            sunset: self.sunset(node),
            http_headers: self.http_headers(node),
            every_value,
            every_header,
            session,
            health,
            answers,
            queries,
        })
    }

    fn wsdl(&mut self, node: &Node) -> Option<Arc<str>> {
        let named = node.get("wsdl")?;
        let text = named.shared_text()?;
        if text.contains("://") {
            let remedy =
                "bring it once: `kith connector vendor-wsdl URL --out DIR`, and name the folder; nothing is fetched while Kith runs";
            self.error(BAD_SERVICE, named.span, "`wsdl` is an address, not a file or folder", remedy);
            return None;
        }
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            self.error(BAD_SERVICE, named.span, "`wsdl` names no file", "write for instance `wsdl: wsdl/crm.wsdl`");
            return None;
        }
        Some(text)
    }

    fn behind_url(&mut self, node: &Node) -> Option<Arc<str>> {
        let named = node.get("path")?;
        let text = named.shared_text()?;
        let starts = (text.starts_with('/') && !text.starts_with("//")) || text.starts_with('?');
        let plain = text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '#' | '\\' | '"' | '<' | '>' | '{' | '}'));
        let dots = text.split('?').next().unwrap_or_default().split('/').any(|s| matches!(s, "." | ".."));
        if starts && plain && !dots && text.len() <= LONGEST_PATH {
            return Some(text);
        }
        let remedy = "begin with `/` or `?`, in printable ASCII: `/service/v4_1/soap.php`; the host stands in the configuration";
        self.error(BAD_SERVICE, named.span, format!("`{text}` can't come behind the target's `url`"), remedy);
        None
    }

    fn sunset(&mut self, node: &Node) -> Option<Date> {
        let named = node.get("sunset")?;
        let text = named.text()?;
        let date = text.parse().ok();
        if date.is_none() {
            self.error(BAD_SERVICE, named.span, format!("`{text}` is no day"), "write it as `sunset: 2028-06-30`");
        }
        date
    }

    fn http_headers(&mut self, node: &Node) -> Vec<(Arc<str>, Arc<str>)> {
        let mut headers = Vec::new();
        for entry in node.get("http_headers").map(Node::entries).unwrap_or_default().iter().take(MAX_HEADERS) {
            let Some(value) = entry.value.shared_text() else { continue };
            if self.header_name(&entry.key, &entry.value) && self.header_value(&entry.key, &value, entry.value.span) {
                headers.push((entry.key.clone(), value));
            }
        }
        headers
    }

    /// A path, or its complaint.
    pub(super) fn element_path(&mut self, text: &str, span: Span, file: &SoapOfFile) -> Option<ElementPath> {
        match file.path(text) {
            Ok(path) => Some(path),
            Err(error) => {
                let remedy = match &error {
                    PathError::Prefix(prefix) => format!("add `namespaces: {{ {prefix}: \"…\" }}` to `soap`, or leave the prefix out"),
                    PathError::EmptyStep | PathError::Name(_) | PathError::Brackets | PathError::Attribute | PathError::Long => {
                        "write element names with `/` between: `Contact/Email`, `item[name=id]/value`, `Contact/@kind`".to_owned()
                    }
                };
                self.error(BAD_PATH, span, format!("`{text}` is no element path: {error}"), remedy);
                None
            }
        }
    }

    pub(super) fn element_path_of(&mut self, node: &Node, key: &str, file: &SoapOfFile) -> Option<ElementPath> {
        let named = node.get(key)?;
        self.element_path(named.text()?, named.span, file)
    }

    pub(super) fn element_name(&mut self, node: &Node, key: &str, file: &SoapOfFile) -> Option<ElementName> {
        let named = node.get(key)?;
        let text = named.text()?;
        match file.name(text) {
            Ok(name) => Some(name),
            Err(error) => {
                let remedy = "write a name, with a prefix of `soap: namespaces` where it needs one";
                self.error(BAD_PATH, named.span, format!("`{text}` can't be used: {error}"), remedy);
                None
            }
        }
    }

    pub(super) fn entries(&mut self, node: &Node, file: &SoapOfFile) -> Option<Entries> {
        let item = self.element_path_of(node, "item", file);
        let name = self.element_name(node, "name", file);
        let value = self.element_name(node, "value", file);
        let (item, name, value) = (item?, name?, value?);
        if item.is_here() || !matches!(item.0.last(), Some(Step::Element(_, Select::First))) {
            let span = node.get("item").map_or(node.span, |n| n.span);
            self.error(BAD_PATH, span, "`item` must name the element that is repeated", "write for instance `item: item`");
            return None;
        }
        Some(Entries { item, name, value })
    }

    /// The soap part of an operation.
    pub(in crate::declare::connector) fn soap_operation(
        &mut self,
        entry: &Entry,
        file: &SoapOfFile,
        fields: &[TargetField],
        record_key: &[Arc<str>],
        on_delete: &OnDelete,
        write: WriteMode,
    ) -> Option<SoapOperation> {
        for key in ["table", "type", "request", "remove", "blank", "batch", "settle", "answers"] {
            if let Some(stray) = entry.value.entry(key) {
                let message = format!("`{key}` here belongs to another kind of target than `soap`");
                self.error(OTHER_KIND, stray.key_span, message, "remove it; kind `soap` has everything in `soap`");
            }
        }
        let Some(node) = entry.value.get("soap") else {
            let remedy = "add `soap: { call: { operation: … } }`: kind `soap` needs it";
            self.error(OTHER_KIND, entry.key_span, format!("`{}` lacks the key `soap`", entry.key), remedy);
            return None;
        };
        let named = node.get("entries");
        let entries = named.and_then(|n| self.entries(n, file));
        let empty = match node.get("empty") {
            None => Emptied::AsSchema,
            Some(n) if n.text() == Some("nil") => Emptied::Nil,
            Some(n) if n.text() == Some("empty") => Emptied::Empty,
            Some(n) => Emptied::NamesIn(self.element_path_of(n, "names_in", file)?),
        };
        let look_up = node.get("look_up").and_then(|n| self.look_up(n, file, fields, record_key));
        let found = look_up.as_ref().is_some_and(|look_up| look_up.id.is_some());
        let all: Vec<Arc<str>> = fields.iter().map(|field| field.name.clone()).collect();
        let writing = Allowed { fields: all, keyed: true, found, session: file.has_session, ..Allowed::default() };
        let keyed = Allowed { fields: record_key.to_vec(), ..writing.clone() };
        let call = node.get("call").and_then(|n| self.call(n, file, &writing));
        let create = node.get("create").and_then(|n| self.call(n, file, &Allowed { found: false, ..writing.clone() }));
        let update = node.get("update").and_then(|n| self.call(n, file, &writing));
        let remove = node.get("remove").and_then(|n| self.call(n, file, &keyed));
        // Its templates know the key alone, but what it empties may be listed.
        let emptying = Allowed { sends: Some(writing.fields.clone()), ..keyed };
        let blank = node.get("blank").and_then(|n| self.call(n, file, &emptying));
        let batch = node.get("batch").and_then(|n| self.soap_batch(n, file, &writing));
        let answers = self.soap_answers(node.get("answers"), file);
        let settle = node.text_of("settle").and_then(|w| Settle::ALL.into_iter().find(|s| s.name() == w));
        let mut places = Vec::new();
        let mut whole = named.is_none() || entries.is_some();
        let declared = entry.value.get("fields").map(Node::entries).unwrap_or_default();
        for field in fields {
            let node = declared.iter().find(|d| d.key == field.name);
            match node.and_then(|declared| self.field_place(declared, field, entries.as_ref(), file)) {
                Some(place) => places.push(place),
                None => whole = false,
            }
        }
        let settle = settle.unwrap_or(match &look_up {
            Some(look_up) if !look_up.compare.is_empty() || write == WriteMode::InsertOnly => Settle::LookUp,
            Some(_) | None => Settle::Person,
        });
        let operation = SoapOperation { call, create, update, remove, blank, batch, look_up, settle, empty, answers, places };
        self.soap_does_its_work(entry, node, &operation, on_delete, write);
        whole.then_some(operation)
    }

    /// Whether the calls that are there can write, remove and settle.
    fn soap_does_its_work(&mut self, entry: &Entry, node: &Node, soap: &SoapOperation, on_delete: &OnDelete, write: WriteMode) {
        let has = |key: &str| node.get(key).is_some();
        let name = &entry.key;
        let ways = usize::from(has("call")) + usize::from(has("create") || has("update"));
        if ways == 0 && !has("batch") {
            let remedy = "add `call: { operation: … }`, or `create` and `update` with a `look_up`, or a `batch`";
            self.error(BAD_CALL, entry.key_span, format!("`{name}` does not say how a record is written"), remedy);
        }
        if ways > 1 {
            let remedy = "keep `call` where one operation does both, else `create` and `update`";
            self.error(BAD_CALL, entry.key_span, format!("`{name}` has a `call`, and `create` or `update` too"), remedy);
        }
        if has("update") != has("create") && !(has("create") && write == WriteMode::InsertOnly) {
            let lacking = if has("update") { "create" } else { "update" };
            let remedy = format!("add `{lacking}: {{ operation: … }}`, or write `call` where one operation does both");
            self.error(BAD_CALL, entry.key_span, format!("`{name}` has only one of `create` and `update`"), remedy);
        }
        if (has("create") || has("update")) && !has("look_up") {
            let message = format!("`{name}` does not say how to find out whether a record is there");
            self.error(BAD_CALL, entry.key_span, message, "add a `look_up`, which tells between `create` and `update`");
        }
        if *on_delete == OnDelete::Remove && !has("remove") {
            let remedy = "add `remove: { operation: … }`, or choose another `on_delete`";
            self.error(BAD_CALL, entry.key_span, format!("`{name}` does not say how a record is removed"), remedy);
        }
        let looks_up = matches!(soap.settle, Settle::LookUp);
        if looks_up && !has("look_up") {
            self.error(BAD_CALL, entry.key_span, format!("`{name}` is settled by a `look_up` that is not there"), "add the `look_up`");
        }
        if looks_up
            && write == WriteMode::Upsert
            && let Some(look_up) = &soap.look_up
            && look_up.compare.is_empty()
        {
            let span = node.get("look_up").map_or(entry.key_span, |n| n.span);
            let remedy = "add `compare: { Version: \"{idempotency_key}\" }` or fields to compare, or write `settle: repeat`";
            self.error(BAD_CALL, span, "that a record is there does not tell whether its newest version arrived", remedy);
        }
    }

    fn field_place(&mut self, declared: &Entry, field: &TargetField, entries: Option<&Entries>, file: &SoapOfFile) -> Option<FieldPlace> {
        let node = &declared.value;
        let at = node.get("at");
        let detailed = at.filter(|n| n.text().is_none());
        let (text, span) = match (at, detailed) {
            (None, _) => (field.name.clone(), declared.key_span),
            (Some(at), None) => (at.shared_text()?, at.span),
            (Some(_), Some(detailed)) => {
                let path = detailed.get("path")?;
                (path.shared_text()?, path.span)
            }
        };
        let form = match node.get("form") {
            Some(form) => Some(self.form(form, field)?),
            None => None,
        };
        let type_name = match detailed.and_then(|n| n.get("type")) {
            Some(_) => Some(self.element_name(detailed?, "type", file)?),
            None => None,
        };
        let inner = match detailed.and_then(|n| n.get("inner")) {
            Some(_) => self.element_path_of(detailed?, "inner", file)?,
            None => ElementPath::default(),
        };
        let mut beside = Vec::new();
        for entry in detailed.and_then(|n| n.get("beside")).map(Node::entries).unwrap_or_default() {
            beside.push((self.element_path(&entry.key, entry.key_span, file)?, entry.value.shared_text()?));
        }
        if let Some(rest) = text.strip_prefix('/') {
            let path = self.element_path(rest, span, file)?;
            return Some(FieldPlace { path, from_top: true, type_name, inner, beside, form, listed_as: field.name.clone() });
        }
        let (path, listed_as) = if let Some(entries) = entries {
            (entries.entry(&text), text.clone())
        } else {
            let path = self.element_path(&text, span, file)?;
            let last = path.0.last().map(|step| match step {
                Step::Element(name, _) | Step::Attribute(name) => name.local.clone(),
            });
            (path, last.unwrap_or_else(|| field.name.clone()))
        };
        Some(FieldPlace { path, from_top: false, type_name, inner, beside, form, listed_as })
    }

    fn form(&mut self, node: &Node, field: &TargetField) -> Option<Form> {
        let text = node.shared_text()?;
        let form = match field.kind {
            FieldKind::Bool => text.split_once('|').filter(|(yes, no)| yes != no).map(|(yes, no)| Form::Words(yes.into(), no.into())),
            FieldKind::Time => time_form(&text).then(|| Form::Time(text.clone())),
            FieldKind::Text
            | FieldKind::Integer
            | FieldKind::Number
            | FieldKind::Decimal
            | FieldKind::Date
            | FieldKind::TimeOfDay
            | FieldKind::Uuid
            | FieldKind::Binary => None,
        };
        if form.is_none() {
            let message = format!("`{text}` can't be the form of `{}`, which is `{}`", field.name, field.kind.name());
            let remedy = "`form` is strftime for a time (`\"%Y-%m-%d %H:%M:%S\"`), or two words for a bool (`\"1|0\"`)";
            self.error(BAD_VALUE, node.span, message, remedy);
        }
        form
    }
}

impl Entries {
    /// Where the value of an entry stands, from the record.
    pub fn entry(&self, name: &str) -> ElementPath {
        let mut path = self.item.clone();
        if let Some(Step::Element(_, select)) = path.0.last_mut() {
            *select = Select::Child(self.name.clone(), name.into());
        }
        path.0.push(Step::Element(self.value.clone(), Select::First));
        path
    }
}

/// Whether a moment can be written so.
fn time_form(text: &str) -> bool {
    let moment = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    text.contains('%') && text.len() <= 100 && jiff::fmt::strtime::format(text, &moment).is_ok()
}

impl Call {
    /// Whether it can't be made before a record was found.
    pub fn needs_look_up(&self) -> bool {
        self.names(&Slot::Found) || self.names(&Slot::New)
    }
}
