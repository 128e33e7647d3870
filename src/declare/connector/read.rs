//! From a target file as written to its checked form: every complaint, each with its place.

use super::http_read;
use super::rules::{Breaker, Counted, DeliveryRules, FaultAction, FaultClass, FaultRule, Quotas, Retry};
use super::soap::{self, SoapOfFile};
use super::sqlserver_read;
use super::{FieldKind, Operation, TargetField, TargetFile, TargetKind, WriteMode};
use crate::declare::shape::{self, Key, Record, Shape};
use crate::declare::yaml::{self, Entry, Kind, Node, Tree};
use crate::diagnose::{Checked, Code, Diagnostic, Problems, SourceFile, Span, nearest};
use crate::enrich::OnDelete;
use crate::model::{Digest, OperationId};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

const FIELD_TWICE: Code = Code("KITH-T001");
const BAD_KEY: Code = Code("KITH-T002");
const CANNOT_BLANK: Code = Code("KITH-T003");
const BAD_LENGTH: Code = Code("KITH-T004");
const TABLE_CONFLICT: Code = Code("KITH-T005");
pub(super) const BAD_NAME: Code = Code("KITH-T006");
pub(super) const OTHER_KIND: Code = Code("KITH-T007");
const BAD_FAULT: Code = Code("KITH-T008");
const BAD_WAIT: Code = Code("KITH-T009");
const NOT_TAKEN_BACK: Code = Code("KITH-T046");

/// A CRM's widest tables have some hundred columns; SQLite's own limit is 2,000.
const MAX_FIELDS: usize = 500;
/// Operations of one target.
const MAX_OPERATIONS: usize = 100;
/// Far above what any CRM takes, and far below what arithmetic in nanoseconds holds.
const MOST_IN_A_WINDOW: i64 = 100_000_000;
/// A wait beyond a day is no retry.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
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
        Key::optional(
            "column",
            Shape::Text,
            "Customer ID",
            "Kind sqlserver: the column or parameter, where it is not called as the field.",
        ),
        Key::optional("description", Shape::Text, "The text of the post", "For those who write mappings."),
        soap::FIELD_KEYS[0],
        soap::FIELD_KEYS[1],
    ],
    others: None,
});

const fn quota(name: &'static str, example: &'static str, doc: &'static str) -> Key {
    Key::optional(name, Shape::Whole { min: 1, max: MOST_IN_A_WINDOW }, example, doc)
}

const PER_SECOND: Key = quota("per_second", "20", "At most so many in any second.");
const PER_MINUTE: Key = quota("per_minute", "600", "At most so many in any minute.");
const PER_HOUR: Key = quota("per_hour", "10000", "At most so many in any hour.");
const PER_DAY: Key = quota("per_day", "100000", "At most so many in any 24 hours.");

static OPERATION_LIMITS: Shape = Shape::Record(&Record {
    doc: "Limits of this operation, beside those of the whole target.",
    keys: &[PER_SECOND, PER_MINUTE, PER_HOUR, PER_DAY],
    others: None,
});

static LIMITS: Shape = Shape::Record(&Record {
    doc: "What the target takes. `[targets.NAME]` of the configuration may say less; all limits hold at once.",
    keys: &[
        PER_SECOND,
        PER_MINUTE,
        PER_HOUR,
        PER_DAY,
        Key::optional(
            "counts",
            Shape::Word(|| Counted::ALL.map(Counted::name).to_vec()),
            "records",
            "What the limits count: `records`, or `requests` with any number of records in each.",
        ),
    ],
    others: None,
});

static RETRY: Shape = Shape::Record(&Record {
    doc: "When a delivery that failed is tried again: exponentially, with full jitter.",
    keys: &[
        Key::optional("first", Shape::Duration, "1s", "The longest wait before the second attempt; doubled for each further one."),
        Key::optional("longest", Shape::Duration, "10min", "The longest wait at all."),
        Key::optional("attempts", Shape::Whole { min: 1, max: 100 }, "20", "Attempts in all; then the delivery is a dead letter."),
        Key::optional(
            "budget_percent",
            Shape::Whole { min: 1, max: 100 },
            "20",
            "Retries are at most this share of what is sent, with a reserve of ten.",
        ),
    ],
    others: None,
});

static BREAKER: Shape = Shape::Record(&Record {
    doc: "When an endpoint that fails is left alone, and for how long; then it is asked with a single record.",
    keys: &[
        Key::optional("failures", Shape::Whole { min: 1, max: 1_000 }, "5", "Failed sends in a row."),
        Key::optional("first", Shape::Duration, "5s", "The longest first rest; doubled for each probe that fails."),
        Key::optional("longest", Shape::Duration, "5min", "The longest rest at all."),
    ],
    others: None,
});

static OPERATION: Shape = Shape::Record(&Record {
    doc: "Something that the target does for a delivery.",
    keys: &[
        Key::optional("description", Shape::Text, "A post of a customer", "For those who write mappings."),
        Key::optional(
            "table",
            Shape::Text,
            "SocialInteraction",
            "Kind sqlite: the table, created where it is not there. Kind sqlserver: a table or updatable view, `dbo.SocialInteraction`.",
        ),
        Key::optional("type", Shape::Text, "service_request", "Kind ndjson: the `type` written on each line."),
        Key::optional(
            "write",
            Shape::Word(|| WriteMode::ALL.map(WriteMode::name).to_vec()),
            "upsert",
            "What happens to a record that is there already: `upsert` (without the key) brings it to the new values, `insert_only` leaves it; \
             kind sqlserver: `update_only` makes no record.",
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
        Key::optional("limits", OPERATION_LIMITS, "{ per_minute: 30 }", "Limits of this operation alone."),
        http_read::OPERATION_KEYS[0],
        http_read::OPERATION_KEYS[1],
        http_read::OPERATION_KEYS[2],
        http_read::OPERATION_KEYS[3],
        http_read::OPERATION_KEYS[4],
        http_read::OPERATION_KEYS[5],
        soap::OPERATION_SOAP,
        sqlserver_read::OPERATION_KEYS[0],
        sqlserver_read::OPERATION_KEYS[1],
        sqlserver_read::OPERATION_KEYS[2],
        sqlserver_read::OPERATION_KEYS[3],
        sqlserver_read::OPERATION_KEYS[4],
        sqlserver_read::OPERATION_KEYS[5],
        sqlserver_read::OPERATION_KEYS[6],
        sqlserver_read::OPERATION_KEYS[7],
        sqlserver_read::OPERATION_KEYS[8],
        sqlserver_read::OPERATION_KEYS[9],
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
        Key::optional("limits", LIMITS, "{ per_second: 20, per_day: 100000 }", "What the target takes."),
        Key::optional("retry", RETRY, "{ first: 1s, longest: 10min, attempts: 20 }", "When a delivery that failed is tried again."),
        Key::optional("breaker", BREAKER, "{ failures: 5, first: 5s, longest: 5min }", "When a failing endpoint is left alone."),
        Key::optional(
            "on_fault",
            Shape::Named {
                what: "a class or code of fault",
                identifiers: false,
                of: &Shape::Word(|| FaultAction::CHOICES.map(FaultAction::name).to_vec()),
            },
            "{ KITH-D004: drop, failed: retry }",
            "What a fault means: its class (refused, batch_refused, failed, unavailable, login_expired) or code → retry, park, drop, split, login.",
        ),
        Key::optional(
            "sqlserver",
            sqlserver_read::SQLSERVER,
            "{ ledger: kith.DeliveryLedger }",
            "Kind sqlserver: Kith's own tables in the database.",
        ),
        Key::optional("http", http_read::SERVICE, "{ health: /health }", "Kind http: what holds for every request."),
        Key::optional(
            "answers",
            http_read::ANSWERS,
            "[{ status: 409, is: unchanged }]",
            "Kind http: what answers mean, before the built-in rules; each operation may have its own before these.",
        ),
        Key::optional("soap", soap::SERVICE, "{ wsdl: wsdl/crm.wsdl }", "Kind soap: the WSDL and what holds for every call."),
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

pub(super) struct Reader<'a> {
    pub(super) tree: &'a Tree,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    pub(super) fn error(&mut self, code: Code, span: Span, message: impl Into<String>, remedy: impl Into<String>) {
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
        let soap = self.soap_of_file();
        let mut operations = Vec::new();
        for entry in entries.iter().take(MAX_OPERATIONS) {
            operations.extend(self.operation(kind, entry, &soap).map(|operation| (operation, entry)));
        }
        if kind == Some(TargetKind::Sqlite) {
            self.one_table_one_shape(&operations);
        }
        let name = self.tree.get("target")?.shared_text()?;
        let source = self.tree.file.clone();
        let digest = Digest(Sha256::digest(source.text.as_bytes()).into());
        let rules = self.rules(kind?);
        let http = self.http_service(kind?);
        let soap = self.soap_service(kind?, &soap);
        let sql = self.sql_objects(kind?);
        if kind == Some(TargetKind::SqlServer) && sql.is_none() {
            return None;
        }
        let operations = operations.into_iter().map(|(o, _)| o).collect();
        Some(TargetFile { name, kind: kind?, operations, rules, http, soap, sql, digest, source })
    }

    fn rules(&mut self, kind: TargetKind) -> DeliveryRules {
        let limits = self.tree.get("limits");
        let word = limits.and_then(|l| l.text_of("counts"));
        let counts = word.and_then(|word| Counted::ALL.into_iter().find(|c| c.name() == word)).unwrap_or(kind.counts());
        let retry = self.tree.get("retry");
        let usual = Retry::default();
        let (first, longest) = self.waits(retry, usual.first, usual.longest);
        let number = |node: Option<&Node>, key: &str, usual: u32| node.and_then(|n| n.text_of(key)?.parse().ok()).unwrap_or(usual);
        let attempts = number(retry, "attempts", usual.attempts);
        let budget_percent = number(retry, "budget_percent", usual.budget_percent);
        let retry = Retry { first, longest, attempts, budget_percent };
        let breaker = self.tree.get("breaker");
        let usual = Breaker::default();
        let (first, longest) = self.waits(breaker, usual.first, usual.longest);
        let breaker = Breaker { failures: number(breaker, "failures", usual.failures), first, longest };
        DeliveryRules { counts, quotas: quotas(limits), retry, breaker, on_fault: self.on_fault() }
    }

    /// `first` and `longest` of a schedule.
    fn waits(&mut self, node: Option<&Node>, first: Duration, longest: Duration) -> (Duration, Duration) {
        let read = |key: &str, usual: Duration| node.and_then(|n| n.get(key)).map(|n| (n.span, n.duration().unwrap_or(usual)));
        let (said_first, said_longest) = (read("first", first), read("longest", longest));
        let waits =
            (said_first.map_or(first, |(_, d)| d), said_longest.map_or(longest.max(said_first.map_or(first, |(_, d)| d)), |(_, d)| d));
        if let Some((span, _)) = said_longest.or(said_first)
            && (waits.0 > waits.1 || waits.0 < Duration::from_millis(1) || waits.1 > LONGEST_WAIT)
        {
            let message = format!(
                "the first wait ({:?}) must be at least a millisecond, and at most the longest ({:?}), which is at most a day",
                waits.0, waits.1
            );
            self.error(BAD_WAIT, span, message, "write for instance `first: 1s, longest: 10min`");
        }
        waits
    }

    fn on_fault(&mut self) -> Vec<FaultRule> {
        const CLASSES: [FaultClass; 5] =
            [FaultClass::Refused, FaultClass::BatchRefused, FaultClass::Failed, FaultClass::Unavailable, FaultClass::LoginExpired];
        let mut rules = Vec::new();
        for entry in self.tree.get("on_fault").map(Node::entries).unwrap_or_default() {
            let known = CLASSES.iter().any(|class| class.name() == &*entry.key);
            let code =
                entry.key.strip_prefix("KITH-D").is_some_and(|digits| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()));
            if !known && !code {
                let remedy = nearest(&entry.key, CLASSES.map(FaultClass::name)).map_or_else(
                    || "write a class (refused, batch_refused, failed, unavailable, login_expired) or a code: `KITH-D004`".to_owned(),
                    |class| format!("did you mean `{class}`? A code is written `KITH-D004`"),
                );
                let why = match &*entry.key {
                    "outcome_unknown" => "a write that may have arrived is always settled: `outcome_unknown` can't be chosen".to_owned(),
                    "throttled" => "what the server asks for is always honoured: `throttled` can't be chosen".to_owned(),
                    key => format!("`{key}` is no class and no code of a fault"),
                };
                self.error(BAD_FAULT, entry.key_span, why, remedy);
                continue;
            }
            let word = entry.value.text();
            if let Some(then) = word.and_then(|word| FaultAction::CHOICES.into_iter().find(|a| a.name() == word)) {
                rules.push(FaultRule { when: entry.key.clone(), then });
            }
        }
        rules
    }

    fn operation(&mut self, kind: Option<TargetKind>, entry: &Entry, soap: &SoapOfFile) -> Option<Operation> {
        let node = &entry.value;
        let table = match kind {
            // What it is called there is found with the rest of it.
            Some(TargetKind::Http | TargetKind::Soap | TargetKind::SqlServer | TargetKind::Notify) => Some(entry.key.clone()),
            Some(kind) => self.table(kind, entry),
            None => None,
        };
        let declared = node.get("fields").map(Node::entries).unwrap_or_default();
        self.field_names(node, declared);
        let record_key = self.record_key(node, declared);
        let on_delete = self.on_delete(node, declared, &record_key);
        let fields: Vec<_> = declared.iter().take(MAX_FIELDS).filter_map(|field| self.field(field, &record_key)).collect();
        let write = match node.text_of("write") {
            Some(word) => WriteMode::ALL.into_iter().find(|w| w.name() == word)?,
            None => WriteMode::Upsert,
        };
        let quotas = quotas(node.get("limits"));
        if let (WriteMode::UpdateOnly, Some(kind), Some(at)) = (write, kind, node.entry("write"))
            && kind != TargetKind::SqlServer
        {
            self.error(
                OTHER_KIND,
                at.key_span,
                format!("`update_only` belongs to kind `sqlserver`, and this is kind `{}`", kind.name()),
                "write `upsert` or `insert_only`",
            );
        }
        if let (Some(TargetKind::Notify), Some(found), Some(at)) = (kind, &on_delete, node.entry("on_delete"))
            && *found != OnDelete::Keep
        {
            self.error(
                NOT_TAKEN_BACK,
                at.key_span,
                "what was told can't be taken back: a target of kind `notify` withdraws nothing",
                "write `on_delete: keep`, and tell no more than who reads it may keep",
            );
        }
        let (sql, table) = match kind {
            Some(TargetKind::SqlServer) => {
                self.no_http_keys(TargetKind::SqlServer, node);
                let (sql, called) = self.sql_operation(entry, &fields, &record_key, on_delete.as_ref()?, write)?;
                (Some(sql), Some(called))
            }
            Some(kind) => {
                self.no_sql_keys(kind, node);
                (None, table)
            }
            None => (None, table),
        };
        let http = match kind {
            Some(TargetKind::SqlServer | TargetKind::Soap) | None => None,
            Some(TargetKind::Http) => Some(self.http_operation(entry, &fields, &record_key, on_delete.as_ref()?, write)?),
            Some(kind) => {
                self.no_http_keys(kind, node);
                None
            }
        };
        let soap = match kind {
            Some(TargetKind::Soap) => Some(self.soap_operation(entry, soap, &fields, &record_key, on_delete.as_ref()?, write)?),
            Some(kind) => {
                self.no_soap_keys(kind, node);
                None
            }
            None => None,
        };
        Some(Operation {
            id: OperationId(entry.key.clone()),
            record_key,
            on_delete: on_delete?,
            table: table?,
            write,
            quotas,
            fields,
            http,
            soap,
            sql,
        })
    }

    /// The table of a sqlite target, the type of an ndjson one.
    fn table(&mut self, kind: TargetKind, entry: &Entry) -> Option<Arc<str>> {
        let (wanted, other) = match kind {
            TargetKind::Sqlite => ("table", "type"),
            // The others have neither, which is told elsewhere.
            TargetKind::Ndjson | TargetKind::Http | TargetKind::Soap | TargetKind::SqlServer | TargetKind::Notify => ("type", "table"),
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

fn quotas(limits: Option<&Node>) -> Quotas {
    let read = |key: &str| limits.and_then(|l| l.text_of(key)?.parse::<u32>().ok()).and_then(NonZeroU32::new);
    Quotas { per_second: read("per_second"), per_minute: read("per_minute"), per_hour: read("per_hour"), per_day: read("per_day") }
}

fn is_identifier(text: &str) -> bool {
    text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
