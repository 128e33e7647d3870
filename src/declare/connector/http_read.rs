//! The http part of a target file: its shape, and from the tree to the checked form.

use super::http::{
    AnswerRule, BatchRequest, BatchResults, HttpOperation, HttpRequest, HttpService, LookUp, Meaning, Method, Named, PathTemplate, Piece,
    ResultOrder, Settle, StatusSet,
};
use super::read::{BAD_NAME, OTHER_KIND, Reader};
use super::{TargetField, TargetKind, WriteMode};
use crate::declare::shape::{Key, Record, Shape};
use crate::declare::yaml::{Entry, Node};
use crate::diagnose::{Code, Span, nearest};
use crate::enrich::OnDelete;
use std::sync::Arc;

const BAD_REQUEST: Code = Code("KITH-T010");
const BAD_LOOK_UP: Code = Code("KITH-T011");
const BAD_ANSWER: Code = Code("KITH-T012");

/// Rules of one list: far more than a service has kinds of answers.
const MAX_ANSWERS: usize = 100;
/// Headers of every request.
const MAX_HEADERS: usize = 50;
/// Servers take some 8 KiB of request line.
const LONGEST_PATH: usize = 2_000;
/// Records in one request where the file does not say: at 4 KiB each that is 400 KiB, below the usual limit of 1 MiB (nginx).
const USUAL_BATCH: usize = 100;

static PATH_AND_METHOD: Shape = Shape::Record(&Record {
    doc: "A request: its method, and its path with `{Field}`, `{key}` (SHA-256 of the record key) or `{idempotency_key}` in it.",
    keys: &[METHOD, PATH],
    others: None,
});

const METHOD: Key = Key::optional(
    "method",
    Shape::Word(|| Method::ALL.map(Method::name).to_vec()),
    "PUT",
    "PUT, POST, PATCH or DELETE. Without it: POST to write, DELETE to remove.",
);
const PATH: Key = Key::required(
    "path",
    Shape::Text,
    "/interactions/{Network}/{key}",
    "Relative to the target's `url`. A value in braces becomes one segment, percent-encoded.",
);

static REQUEST: Shape = Shape::Record(&Record {
    doc: "What writes a record: the fields by their names, as a JSON object.",
    keys: &[
        METHOD,
        PATH,
        Key::optional(
            "wrap",
            Shape::Text,
            "interaction",
            "The member that holds the fields. Without it, the content is the fields themselves.",
        ),
        Key::optional(
            "key_member",
            Shape::Text,
            "externalKey",
            "A member beside the fields that holds the idempotency key, so that a look-up can tell whether this very write arrived.",
        ),
    ],
    others: None,
});

static STATUS: Shape = Shape::OneOrList(&Shape::Text);

static ANSWER: Shape = Shape::Record(&Record {
    doc: "What an answer means. The first rule that fits decides.",
    keys: &[
        Key::optional("status", STATUS, "409", "The status, or several: `409`, `4xx`, `[409, 412]`. Without it: any."),
        Key::optional(
            "json",
            Shape::Named { what: "a JSON pointer", identifiers: false, of: &Shape::OneOrList(&Shape::Text) },
            "{ /error/code: duplicate }",
            "JSON pointers with the value, or the values, that are meant; all must fit.",
        ),
        Key::required(
            "is",
            Shape::Word(|| Meaning::ALL.map(Meaning::name).to_vec()),
            "unchanged",
            "delivered, unchanged, refused, batch_refused, failed, unavailable, throttled, login_expired or unknown.",
        ),
    ],
    others: None,
});

pub(super) static ANSWERS: Shape = Shape::List { of: &ANSWER, min: 1, max: MAX_ANSWERS };

static BY: Shape = Shape::OneOf(&[
    Shape::Word(|| vec!["position"]),
    Shape::Record(&Record {
        doc: "The result names its record.",
        keys: &[
            Key::required("member", Shape::Text, "/externalKey", "JSON pointer inside the result."),
            Key::required("is", Shape::Text, "key", "What it holds: `key`, `idempotency_key` or a field."),
        ],
        others: None,
    }),
]);

static BATCH: Shape = Shape::Record(&Record {
    doc: "Many records in one request, where the service takes them.",
    keys: &[
        Key::optional("method", Shape::Word(|| Method::ALL.map(Method::name).to_vec()), "POST", "Without it: POST."),
        Key::required("path", Shape::Text, "/interactions/batch", "Relative to the target's `url`, without values."),
        Key::optional("records", Shape::Text, "items", "The member that holds the records. Without it, the content is the list itself."),
        Key::optional(
            "results",
            Shape::Text,
            "/results",
            "JSON pointer of the list that tells about each. Without it, all are written or none.",
        ),
        Key::optional("by", BY, "position", "Which record a result is about: `position`, or `{ member: /externalKey, is: key }`."),
        Key::optional("status", Shape::Text, "/status", "JSON pointer, inside a result, of its HTTP status."),
        Key::optional("at_most", Shape::Whole { min: 1, max: 5_000 }, "100", "Records in one request."),
    ],
    others: None,
});

static LOOK_UP: Shape = Shape::Record(&Record {
    doc: "How to ask what became of a write.",
    keys: &[
        Key::required("path", Shape::Text, "/interactions/{key}", "What is read, by GET: key fields, `{key}` or `{idempotency_key}` only."),
        Key::optional("found", STATUS, "200", "The record is there."),
        Key::optional("missing", STATUS, "404", "It is not; `[404, 410]` where nothing is said."),
        Key::optional("list", Shape::Text, "/items", "JSON pointer of a list of records. Without it, the answer is the record."),
        Key::optional(
            "json",
            Shape::Named { what: "a JSON pointer", identifiers: false, of: &Shape::Text },
            "{ /externalKey: idempotency_key }",
            "JSON pointers inside the record, and what they hold where the write has arrived: a field, `key` or `idempotency_key`.",
        ),
    ],
    others: None,
});

static SETTLE: Shape = Shape::OneOf(&[
    Shape::Word(|| vec!["repeat", "person"]),
    Shape::Record(&Record {
        doc: "By reading.",
        keys: &[Key::required("look_up", LOOK_UP, "{ path: /interactions/{key} }", "What is read, and what it says.")],
        others: None,
    }),
]);

/// Keys of an operation that belong to kind http.
pub(super) const OPERATION_KEYS: [Key; 6] = [
    Key::optional("request", REQUEST, "{ method: PUT, path: /interactions/{key} }", "Kind http: what writes a record."),
    Key::optional("remove", PATH_AND_METHOD, "{ path: /interactions/{key} }", "Kind http: what removes one."),
    Key::optional("blank", PATH_AND_METHOD, "{ method: PATCH, path: /interactions/{key} }", "Kind http: what empties fields."),
    Key::optional("batch", BATCH, "{ path: /interactions/batch }", "Kind http: many records in one request."),
    Key::optional("settle", SETTLE, "repeat", "Kind http: what is done when the answer was lost: `repeat`, `person` or a `look_up`."),
    Key::optional(
        "answers",
        ANSWERS,
        "[{ status: 409, is: unchanged }]",
        "Kind http: what answers mean, before those of the whole target.",
    ),
];

pub(super) static SERVICE: Shape = Shape::Record(&Record {
    doc: "Kind http: what holds for every request.",
    keys: &[
        Key::optional("idempotency_header", Shape::Text, "Idempotency-Key", "The header that carries the idempotency key, or `off`."),
        Key::optional(
            "headers",
            Shape::Named { what: "a header", identifiers: false, of: &Shape::Text },
            "{ X-Source: kith }",
            "Headers of every request. No secrets: logins stand in the configuration.",
        ),
        Key::optional("health", Shape::Text, "/health", "What is read to see whether the service is there, relative to `url`."),
    ],
    others: None,
});

impl Reader<'_> {
    /// The `http` and `answers` of a file.
    pub(super) fn http_service(&mut self, kind: TargetKind) -> Option<HttpService> {
        if kind == TargetKind::Soap {
            // `soap_service` says so.
            return None;
        }
        if kind != TargetKind::Http {
            for key in ["http", "answers"] {
                if let Some(entry) = self.tree.root.entry(key) {
                    let message = format!("`{key}` belongs to another kind of target than `{}`", kind.name());
                    self.error(OTHER_KIND, entry.key_span, message, "remove it");
                }
            }
            return None;
        }
        let mut service = HttpService { answers: self.answers(self.tree.get("answers")), ..HttpService::default() };
        let Some(node) = self.tree.get("http") else { return Some(service) };
        if let Some(named) = node.get("idempotency_header").filter(|n| n.text().is_some()) {
            service.idempotency_header = match named.text() {
                Some("off") => None,
                _ => self.header_name(named.text().unwrap_or_default(), named).then(|| named.shared_text()).flatten(),
            };
        }
        for entry in node.get("headers").map(Node::entries).unwrap_or_default().iter().take(MAX_HEADERS) {
            let Some(value) = entry.value.shared_text() else { continue };
            if !self.header_name(&entry.key, &entry.value) {
                continue;
            }
            if !self.header_value(&entry.key, &value, entry.value.span) {
                continue;
            }
            service.headers.push((entry.key.clone(), value));
        }
        service.health = node.get("health").and_then(|n| self.plain_path(n));
        Some(service)
    }

    /// Whether it can be the value of a header.
    pub(super) fn header_value(&mut self, name: &str, value: &str, span: Span) -> bool {
        let fits = value.chars().all(|c| c.is_ascii_graphic() || c == ' ') && value.len() <= 1_000;
        if !fits {
            let message = format!("the value of `{name}` can't stand in a header");
            self.error(BAD_REQUEST, span, message, "use printable ASCII, at most 1,000 characters");
        }
        fits
    }

    pub(super) fn header_name(&mut self, name: &str, node: &Node) -> bool {
        // Those that the client sets itself, and the login, which never stands in a file of this kind.
        const OURS: [&str; 9] = [
            "authorization",
            "proxy-authorization",
            "cookie",
            "host",
            "content-length",
            "content-type",
            "transfer-encoding",
            "connection",
            "if-none-match",
        ];
        let fits = !name.is_empty() && name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let ours = OURS.iter().any(|own| own.eq_ignore_ascii_case(name));
        if !fits || ours {
            let why = if ours { "is set by Kith itself" } else { "can't name a header" };
            let remedy = "use letters, digits and `-`; a login stands in `[targets.NAME]` of the configuration";
            self.error(BAD_REQUEST, node.span, format!("`{name}` {why}"), remedy);
        }
        fits && !ours
    }

    /// Complains about keys of kind http in an operation of another kind.
    pub(super) fn no_http_keys(&mut self, kind: TargetKind, node: &Node) {
        for key in &OPERATION_KEYS {
            if let Some(entry) = node.entry(key.name) {
                let message = format!("`{}` belongs to kind `http`, and this is kind `{}`", key.name, kind.name());
                self.error(OTHER_KIND, entry.key_span, message, "remove it");
            }
        }
    }

    /// The http part of an operation.
    pub(super) fn http_operation(
        &mut self,
        entry: &Entry,
        fields: &[TargetField],
        record_key: &[Arc<str>],
        on_delete: &OnDelete,
        write: WriteMode,
    ) -> Option<HttpOperation> {
        let node = &entry.value;
        self.no_sql_keys(TargetKind::Http, node);
        for key in ["table", "type"] {
            if let Some(stray) = node.entry(key) {
                let message = format!("`{key}` belongs to another kind of target than `http`");
                self.error(OTHER_KIND, stray.key_span, message, "remove it; kind `http` has `request`");
            }
        }
        let Some(request) = node.get("request") else {
            let remedy = "add `request: { method: PUT, path: /interactions/{key} }`: kind `http` needs it";
            self.error(OTHER_KIND, entry.key_span, format!("`{}` lacks the key `request`", entry.key), remedy);
            return None;
        };
        let is_key = |name: &str| record_key.iter().any(|k| &**k == name);
        let always = |name: &str| {
            let there = fields.iter().any(|f| &*f.name == name && f.required);
            (!there).then_some("is neither part of the record key nor required: it may have no value")
        };
        let in_key =
            |name: &str| (!is_key(name)).then_some("is not part of the record key, and a withdrawal or look-up knows no other field");
        let written = self.request(request, Method::Post, always)?;
        let remove = node.get("remove").and_then(|n| self.request(n, Method::Delete, in_key));
        let blank = node.get("blank").and_then(|n| self.request(n, Method::Patch, in_key));
        let by_key = written.path.fields().all(|name| is_key(name));
        // The address of the record is the address to delete.
        let remove = match remove {
            None if node.get("remove").is_none() && by_key && written.method != Method::Post => {
                Some(HttpRequest { method: Method::Delete, path: written.path.clone() })
            }
            other => other,
        };
        if *on_delete == OnDelete::Remove && remove.is_none() && node.get("remove").is_none() {
            let remedy = "add `remove: { path: /interactions/{key} }` with fields of the record key, or choose another `on_delete`";
            self.error(BAD_REQUEST, entry.key_span, format!("`{}` does not say how a record is removed", entry.key), remedy);
        }
        if matches!(on_delete, OnDelete::Blank(_)) && blank.is_none() && !by_key && node.get("blank").is_none() {
            let remedy = "add `blank: { method: PATCH, path: … }` with fields of the record key";
            self.error(BAD_REQUEST, entry.key_span, format!("`{}` does not say how fields are emptied", entry.key), remedy);
        }
        let member = |reader: &mut Self, key: &str| {
            let named = request.get(key)?;
            let text = named.shared_text()?;
            if text.is_empty() || text.len() > 100 || (key == "key_member" && fields.iter().any(|f| f.name == text)) {
                reader.error(BAD_NAME, named.span, format!("`{text}` can't name a member here"), "give it a name of its own");
                return None;
            }
            Some(text)
        };
        let (wrap, key_member) = (member(self, "wrap"), member(self, "key_member"));
        let batch = node.get("batch").and_then(|n| self.batch(n, fields));
        let settle = node.get("settle").and_then(|n| self.settle(n, fields, &in_key, write));
        let answers = self.answers(node.get("answers"));
        Some(HttpOperation { write: written, remove, blank, wrap, key_member, batch, settle, answers })
    }

    fn request(&mut self, node: &Node, usual: Method, refused: impl Fn(&str) -> Option<&'static str>) -> Option<HttpRequest> {
        let method = match node.text_of("method") {
            Some(word) => Method::ALL.into_iter().find(|m| m.name() == word)?,
            None => usual,
        };
        let (path, _) = self.path(node.get("path")?, refused)?;
        Some(HttpRequest { method, path })
    }

    fn path(&mut self, node: &Node, refused: impl Fn(&str) -> Option<&'static str>) -> Option<(PathTemplate, Arc<str>)> {
        let text = node.shared_text()?;
        let template = match PathTemplate::parse(&text) {
            Ok(template) if text.len() <= LONGEST_PATH => template,
            Ok(_) => {
                self.error(BAD_REQUEST, node.span, format!("the path is longer than {LONGEST_PATH} bytes"), "shorten it");
                return None;
            }
            Err(error) => {
                self.error(BAD_REQUEST, node.span, format!("`{text}` is no path: {error}"), "write for instance `/interactions/{key}`");
                return None;
            }
        };
        for name in template.fields() {
            if let Some(why) = refused(name) {
                let message = format!("`{name}` in the path {why}");
                self.error(BAD_REQUEST, node.span, message, "use fields of the record key, or `{key}`");
                return None;
            }
        }
        Some((template, text))
    }

    /// A path that is about no single record.
    fn plain_path(&mut self, node: &Node) -> Option<Arc<str>> {
        let (template, text) = self.path(node, |_| None)?;
        if template.0.iter().any(|piece| matches!(piece, Piece::Value(_))) {
            let message = format!("`{text}` holds values, and this request is about no single record");
            self.error(BAD_REQUEST, node.span, message, "write it without braces");
            return None;
        }
        Some(text)
    }

    fn pointer(&mut self, text: &Arc<str>, span: Span) -> Option<Arc<str>> {
        let right = text.len() <= 500 && (text.is_empty() || text.starts_with('/'));
        if !right {
            let near = format!("/{}", text.trim_start_matches('/').replace('.', "/"));
            let message = format!("`{text}` is no JSON pointer");
            self.error(BAD_ANSWER, span, message, format!("it begins with `/` and names one member after the other: `{near}`"));
        }
        right.then(|| text.clone())
    }

    fn pointer_of(&mut self, node: &Node, key: &str) -> Option<Arc<str>> {
        let named = node.get(key)?;
        self.pointer(&named.shared_text()?, named.span)
    }

    pub(super) fn statuses(&mut self, node: Option<&Node>) -> Vec<StatusSet> {
        let mut read = Vec::new();
        for item in node.map(Node::list_or_one).unwrap_or_default().iter().take(MAX_ANSWERS) {
            let Some(text) = item.text() else { continue };
            match StatusSet::parse(text) {
                Some(set) => read.push(set),
                None => self.error(BAD_ANSWER, item.span, format!("`{text}` is no HTTP status"), "write a code like `409`, or `4xx`"),
            }
        }
        read
    }

    fn answers(&mut self, node: Option<&Node>) -> Vec<AnswerRule> {
        let mut rules = Vec::new();
        for item in node.map(Node::list).unwrap_or_default().iter().take(MAX_ANSWERS) {
            let status = self.statuses(item.get("status"));
            let mut json = Vec::new();
            for entry in item.get("json").map(Node::entries).unwrap_or_default() {
                let values = entry.value.list_or_one().iter().filter_map(Node::shared_text).collect();
                if let Some(pointer) = self.pointer(&entry.key, entry.key_span) {
                    json.push((pointer, values));
                }
            }
            if item.get("status").is_none() && item.get("json").is_none() {
                self.error(BAD_ANSWER, item.span, "the rule fits every answer", "add `status` or `json`");
                continue;
            }
            let is = item.text_of("is").and_then(|word| Meaning::ALL.into_iter().find(|m| m.name() == word));
            rules.extend(is.map(|is| AnswerRule { status, json, is }));
        }
        rules
    }

    fn field_or_key(&mut self, node: &Node, fields: &[TargetField]) -> Option<Named> {
        let text = node.text()?;
        let named = Named::read(text);
        if let Named::Field(name) = &named
            && !fields.iter().any(|f| f.name == *name)
        {
            let remedy = nearest(text, fields.iter().map(|f| &*f.name)).map_or_else(
                || "name a field, `key` or `idempotency_key`".to_owned(),
                |near| format!("did you mean `{near}`? Possible are also `key` and `idempotency_key`"),
            );
            self.error(BAD_LOOK_UP, node.span, format!("`{text}` is not one of the operation's fields"), remedy);
            return None;
        }
        Some(named)
    }

    fn batch(&mut self, node: &Node, fields: &[TargetField]) -> Option<BatchRequest> {
        let method = match node.text_of("method") {
            Some(word) => Method::ALL.into_iter().find(|m| m.name() == word)?,
            None => Method::Post,
        };
        let path = self.plain_path(node.get("path")?)?;
        let at_most = node.get("at_most").and_then(Node::whole).unwrap_or(USUAL_BATCH);
        let results = if node.get("results").is_some() {
            let by = match node.get("by") {
                Some(by) if by.get("member").is_some() => {
                    let pointer = self.pointer_of(by, "member")?;
                    ResultOrder::Member { pointer, is: self.field_or_key(by.get("is")?, fields)? }
                }
                Some(_) | None => ResultOrder::Position,
            };
            Some(BatchResults { at: self.pointer_of(node, "results")?, by, status: self.pointer_of(node, "status") })
        } else {
            if let Some(stray) = node.entry("by").or_else(|| node.entry("status")) {
                let message = format!("`{}` is about results, and `results` is not there", stray.key);
                self.error(BAD_ANSWER, stray.key_span, message, "add `results: /results`, or remove it");
            }
            None
        };
        let records = node.get("records").and_then(Node::shared_text);
        Some(BatchRequest { method, path, records, results, at_most })
    }

    fn settle(
        &mut self,
        node: &Node,
        fields: &[TargetField],
        in_key: &impl Fn(&str) -> Option<&'static str>,
        write: WriteMode,
    ) -> Option<Settle> {
        match node.text() {
            Some("repeat") => return Some(Settle::Repeat),
            Some("person") => return Some(Settle::Person),
            Some(_) => return None,
            None => {}
        }
        let look_up = node.get("look_up")?;
        let (path, _) = self.path(look_up.get("path")?, in_key)?;
        let mut json = Vec::new();
        for entry in look_up.get("json").map(Node::entries).unwrap_or_default() {
            if let Some(pointer) = self.pointer(&entry.key, entry.key_span)
                && let Some(named) = self.field_or_key(&entry.value, fields)
            {
                json.push((pointer, named));
            }
        }
        if write == WriteMode::Upsert && look_up.get("json").is_none() {
            let message = "that a record is there does not tell whether its newest version arrived";
            let remedy = "add `json: { /externalKey: idempotency_key }` or fields to compare, or write `write: insert_only`";
            self.error(BAD_LOOK_UP, look_up.span, message, remedy);
        }
        let list = self.pointer_of(look_up, "list");
        if list.is_some() && look_up.get("json").is_none() {
            let message = "a list of records does not tell which one is meant";
            self.error(BAD_LOOK_UP, look_up.span, message, "add `json` with what identifies the record");
        }
        let usual =
            |read: Vec<StatusSet>, usual: &[u16]| if read.is_empty() { usual.iter().copied().map(StatusSet::One).collect() } else { read };
        let found = usual(self.statuses(look_up.get("found")), &[200]);
        let missing = usual(self.statuses(look_up.get("missing")), &[404, 410]);
        Some(Settle::LookUp(LookUp { path, found, missing, list, json }))
    }
}
