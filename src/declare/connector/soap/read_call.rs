//! From the tree to the checked form: calls, look-ups, batches, and rules of answers.

use super::read::{BAD_CALL, BAD_VALUE, SoapOfFile};
use super::shape::{MAX_ANSWERS, USUAL_BATCH};
use super::{
    AnswerRule, Batch, Call, Condition, Expected, LookUp, Placed, ResultOrder, Results, SessionLogin, Slot, Template, TemplateError,
};
use crate::declare::connector::TargetField;
use crate::declare::connector::http::Meaning;
use crate::declare::connector::read::Reader;
use crate::declare::yaml::Node;
use crate::diagnose::{Span, nearest};
use std::sync::Arc;

/// Places of one call: a WSDL's widest types have some hundred elements.
const MAX_PLACES: usize = 500;

/// What a template may name where it stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowed {
    pub fields: Vec<Arc<str>>,
    /// Fields that `fields` may list; `None`: the same.
    pub sends: Option<Vec<Arc<str>>>,
    /// `key` and `idempotency_key`.
    pub keyed: bool,
    pub keys: bool,
    /// `found` and `new`.
    pub found: bool,
    pub session: bool,
    pub login: bool,
    pub paging: bool,
}

impl Allowed {
    fn has(&self, slot: &Slot) -> bool {
        match slot {
            Slot::Field(name) => self.fields.contains(name),
            Slot::Key | Slot::IdempotencyKey => self.keyed,
            Slot::Keys => self.keys,
            Slot::Found | Slot::New => self.found,
            Slot::Session => self.session,
            Slot::User | Slot::Password => self.login,
            Slot::PageSize | Slot::Offset | Slot::After | Slot::PageToken => self.paging,
        }
    }

    fn words(&self) -> Vec<&str> {
        let all = [
            ("key", self.keyed),
            ("idempotency_key", self.keyed),
            ("keys", self.keys),
            ("found", self.found),
            ("new", self.found),
            ("session", self.session),
            ("user", self.login),
            ("password", self.login),
            ("page_size", self.paging),
            ("offset", self.paging),
            ("after", self.paging),
            ("page_token", self.paging),
        ];
        let words = all.into_iter().filter(|(_, there)| *there).map(|(word, _)| word);
        self.fields.iter().map(|f| &**f).chain(words).collect()
    }
}

impl Reader<'_> {
    fn template(&mut self, node: &Node, allowed: &Allowed) -> Option<Template> {
        // A value that is empty is written as nothing in YAML, too.
        let text = node.text().unwrap_or_default();
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(error) => {
                let remedy = match &error {
                    TemplateError::Unescaped(_) => "name a filter behind a colon, or send the field in a place of its own",
                    TemplateError::Braces | TemplateError::Filter(_) | TemplateError::NoKey | TemplateError::Long => {
                        "write text with names in braces: `\"{key}\"`; a brace itself is `{{` or `}}`"
                    }
                };
                self.error(BAD_VALUE, node.span, format!("the value can't be read: {error}"), remedy);
                return None;
            }
        };
        let strays: Vec<Slot> = template.slots().filter(|slot| !allowed.has(slot)).cloned().collect();
        for slot in &strays {
            let name = slot.name();
            let (message, remedy) = match slot {
                Slot::Found | Slot::New => (
                    format!("`{{{name}}}` is about what a look-up finds, and there is none here that says where the id is"),
                    format!("add `look_up: {{ …, id: … }}`, or leave `{{{name}}}` out where nothing was looked up"),
                ),
                Slot::Session => {
                    ("`{session}` is the token of a session, and the file has none".to_owned(), "add `soap: session`".to_owned())
                }
                Slot::Field(_)
                | Slot::Key
                | Slot::Keys
                | Slot::IdempotencyKey
                | Slot::User
                | Slot::Password
                | Slot::PageSize
                | Slot::Offset
                | Slot::After
                | Slot::PageToken => {
                    let known = allowed.words();
                    let remedy = match nearest(name, known.iter().copied()) {
                        Some(near) => format!("did you mean `{{{near}}}`?"),
                        None if known.is_empty() => "write a fixed text".to_owned(),
                        None => format!("known here: {}", known.join(", ")),
                    };
                    (format!("`{{{name}}}` stands for nothing here"), remedy)
                }
            };
            self.error(BAD_VALUE, node.span, message, remedy);
        }
        strays.is_empty().then_some(template)
    }

    /// Paths with what stands there.
    pub(super) fn placed(&mut self, node: &Node, file: &SoapOfFile, allowed: &Allowed) -> Vec<Placed> {
        let mut placed = Vec::new();
        for entry in node.entries().iter().take(MAX_PLACES) {
            let path = self.element_path(&entry.key, entry.key_span, file);
            let values: Vec<Template> = entry.value.list_or_one().iter().filter_map(|item| self.template(item, allowed)).collect();
            if let Some(path) = path
                && !values.is_empty()
            {
                placed.push(Placed { path, values });
            }
        }
        placed
    }

    /// Paths with the texts that are meant.
    pub(super) fn expected(&mut self, node: Option<&Node>, file: &SoapOfFile) -> Vec<Expected> {
        let mut expected = Vec::new();
        for entry in node.map(Node::entries).unwrap_or_default().iter().take(MAX_PLACES) {
            let values: Vec<Arc<str>> = entry.value.list_or_one().iter().filter_map(Node::shared_text).collect();
            if let Some(path) = self.element_path(&entry.key, entry.key_span, file) {
                expected.push(Expected { path, values });
            }
        }
        expected
    }

    /// A call.
    pub(super) fn call(&mut self, node: &Node, file: &SoapOfFile, allowed: &Allowed) -> Option<Call> {
        let operation = node.get("operation")?.shared_text()?;
        let mut placed = |key: &str| node.get(key).map(|n| self.placed(n, file, allowed)).unwrap_or_default();
        let (values, each, headers) = (placed("values"), placed("each"), placed("headers"));
        let record = match node.get("record") {
            Some(_) => self.element_path_of(node, "record", file)?,
            None => super::ElementPath::default(),
        };
        let mut types = Vec::new();
        for entry in node.get("types").map(Node::entries).unwrap_or_default().iter().take(MAX_PLACES) {
            let path = self.element_path(&entry.key, entry.key_span, file);
            let name = self.element_name(node.get("types")?, &entry.key, file);
            types.extend(path.zip(name));
        }
        let fields = node.get("fields").map(|named| self.only_fields(named, allowed.sends.as_ref().unwrap_or(&allowed.fields)));
        let answers = self.soap_answers(node.get("answers"), file);
        let proof = node.get("proof").and_then(|_| self.element_path_of(node, "proof", file));
        let created = self.expected(node.get("created"), file);
        Some(Call { operation, record, values, each, headers, types, proof, created, fields, answers })
    }

    fn only_fields(&mut self, node: &Node, sent: &[Arc<str>]) -> Vec<Arc<str>> {
        let mut fields = Vec::new();
        for item in node.list_or_one() {
            let Some(text) = item.shared_text() else { continue };
            if sent.contains(&text) {
                fields.push(text);
                continue;
            }
            let remedy = nearest(&text, sent.iter().map(|f| &**f))
                .map_or_else(|| "name fields of the operation".to_owned(), |near| format!("did you mean `{near}`?"));
            self.error(BAD_CALL, item.span, format!("`{text}` is none of the fields that this call can send"), remedy);
        }
        fields
    }

    /// Many records in one call.
    pub(super) fn soap_batch(&mut self, node: &Node, file: &SoapOfFile, allowed: &Allowed) -> Option<Batch> {
        let call = self.call(node, file, allowed)?;
        let record = node.get("record").map_or(node.span, |n| n.span);
        if call.record.is_here() {
            self.error(BAD_CALL, record, "`record` must name the element that is repeated", "write for instance `record: sObjects`");
        }
        // What differs from record to record stands in the record.
        let differing = |slot: &Slot| matches!(slot, Slot::Field(_) | Slot::Key | Slot::IdempotencyKey | Slot::Found | Slot::New);
        if call.values.iter().chain(&call.headers).flat_map(|p| &p.values).any(|t| t.slots().any(differing)) {
            let span = node.get("values").map_or(node.span, |n| n.span);
            let message = "a value of the whole batch names what differs from record to record";
            self.error(BAD_VALUE, span, message, "write it in `each`, which stands in every record");
        }
        let at_most = node.get("at_most").and_then(Node::whole).unwrap_or(USUAL_BATCH);
        let results = match node.get("results") {
            None => None,
            Some(results) => {
                let by = match results.get("by") {
                    Some(by) if by.get("path").is_some() => {
                        let path = self.element_path_of(by, "path", file)?;
                        ResultOrder::Element { path, is: self.template(by.get("is")?, allowed)? }
                    }
                    Some(_) | None => ResultOrder::Position,
                };
                Some(Results {
                    at: self.element_path_of(results, "at", file)?,
                    by,
                    ok: self.expected(results.get("ok"), file),
                    created: self.expected(results.get("created"), file),
                    code: results.get("code").and_then(|_| self.element_path_of(results, "code", file)),
                    answers: self.soap_answers(results.get("answers"), file),
                })
            }
        };
        Some(Batch { call, at_most, results })
    }

    /// How a record is found.
    pub(super) fn look_up(&mut self, node: &Node, file: &SoapOfFile, fields: &[TargetField], record_key: &[Arc<str>]) -> Option<LookUp> {
        let in_key = Allowed { fields: record_key.to_vec(), keyed: true, keys: true, session: file.has_session, ..Allowed::default() };
        let mut call = self.call(node, file, &in_key)?;
        // Here `record` is a place of the answer.
        call.record = super::ElementPath::default();
        let all = Allowed { fields: fields.iter().map(|f| f.name.clone()).collect(), keyed: true, ..Allowed::default() };
        let mut compare = Vec::new();
        for entry in node.get("compare").map(Node::entries).unwrap_or_default().iter().take(MAX_PLACES) {
            let path = self.element_path(&entry.key, entry.key_span, file);
            compare.extend(path.zip(self.template(&entry.value, &all)));
        }
        let mut path = |key: &str| node.get(key).and_then(|_| self.element_path_of(node, key, file));
        let (list, key, id, shows) = (path("list"), path("key"), path("id"), path("record"));
        let missing = self.conditions(node.get("missing"), file);
        let look_up = LookUp { call, list, key, id, compare, shows, missing };
        if look_up.asks_about_many() && (look_up.key.is_none() || look_up.list.is_none()) {
            let message = "the look-up asks about many records, and does not say which one it found";
            self.error(BAD_CALL, node.span, message, "add `list`, and `key` with where a record holds its `{key}`");
        }
        Some(look_up)
    }

    /// A login operation.
    pub(super) fn session(&mut self, node: &Node, file: &SoapOfFile) -> Option<SessionLogin> {
        let call = self.call(node, file, &Allowed { login: true, ..Allowed::default() })?;
        let address = node.get("address").and_then(|_| self.element_path_of(node, "address", file));
        let hosts: Vec<Arc<str>> =
            node.get("hosts").map(Node::list_or_one).unwrap_or_default().iter().filter_map(Node::shared_text).collect();
        if address.is_some() && hosts.is_empty() {
            let span = node.get("address").map_or(node.span, |n| n.span);
            let message = "the login may send Kith to any host, with its token";
            self.error(BAD_CALL, span, message, "add `hosts: [\"*.example.com\"]`: only such hosts are followed");
        }
        for item in node.get("hosts").map(Node::list_or_one).unwrap_or_default() {
            let Some(text) = item.text() else { continue };
            let name = text.strip_prefix("*.").unwrap_or(text);
            let right = name.contains('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':'));
            let loopback = text == "localhost" || text.starts_with("localhost:");
            if !right && !loopback {
                self.error(BAD_CALL, item.span, format!("`{text}` is no host"), "write a name, or `*.example.com` for all below it");
            }
        }
        Some(SessionLogin {
            call,
            token: self.element_path_of(node, "token", file)?,
            lasts: node.get("lasts").and_then(Node::duration),
            address,
            hosts,
        })
    }

    fn condition(&mut self, item: &Node, file: &SoapOfFile) -> Option<Condition> {
        let texts = |key: &str| -> Vec<Arc<str>> {
            item.get(key).map(Node::list_or_one).unwrap_or_default().iter().filter_map(Node::shared_text).collect()
        };
        let condition = Condition {
            status: self.statuses(item.get("status")),
            fault: texts("fault"),
            subcode: texts("subcode"),
            detail: self.expected(item.get("detail"), file),
            answer: self.expected(item.get("answer"), file),
            says: texts("says").into_iter().map(|text| text.to_lowercase().into()).collect(),
        };
        let empty = ["status", "fault", "subcode", "detail", "answer", "says"].iter().all(|key| item.get(key).is_none());
        if empty {
            let remedy = "add `fault`, `subcode`, `detail`, `answer`, `status` or `says`";
            self.error(BAD_CALL, item.span, "the rule fits every answer", remedy);
            return None;
        }
        Some(condition)
    }

    pub(super) fn conditions(&mut self, node: Option<&Node>, file: &SoapOfFile) -> Vec<Condition> {
        let items = node.map(Node::list).unwrap_or_default();
        items.iter().take(MAX_ANSWERS).filter_map(|item| self.condition(item, file)).collect()
    }

    /// Rules of `answers`.
    pub(super) fn soap_answers(&mut self, node: Option<&Node>, file: &SoapOfFile) -> Vec<AnswerRule> {
        let mut rules = Vec::new();
        for item in node.map(Node::list).unwrap_or_default().iter().take(MAX_ANSWERS) {
            let when = self.condition(item, file);
            let is = item.text_of("is").and_then(|word| Meaning::ALL.into_iter().find(|m| m.name() == word));
            rules.extend(when.zip(is).map(|(when, is)| AnswerRule { when, is }));
        }
        rules
    }

    /// A complaint about a call.
    pub(super) fn bad_call(&mut self, span: Span, message: impl Into<String>, remedy: impl Into<String>) {
        self.error(BAD_CALL, span, message, remedy);
    }
}
