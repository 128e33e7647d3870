//! From layers to the checked configuration: every complaint, each with its place.

use super::audit::AUDIT;
use super::backup::BACKUP;
use super::codes::{BAD_HOURS, BAD_NAME, EXCLUDE_EACH_OTHER, MISSING, ONE_PLACE, OUTSIDE_LIMITS, SETS_NOTHING, UNKNOWN_KEY, WRONG_FORM};
use super::guard::{DELETES_PERCENT, FIRST_WRITES, GUARD, PassGuard};
use super::hours::{HoursError, ServiceHours};
use super::keys::{self, Form, Key, Need, SECTIONS, Section, Tables};
use super::layers::{self, Data, Layered, Node};
use super::notice::ALARMS;
use super::review::{REVIEW, REVIEWERS, Review};
use super::webhook::{Listener, WEBHOOKS};
use super::{
    Config, Evaluate, Keys, Log, LogFormat, LogLevel, Metrics, ReleaseWhen, Role, RoleGrant, Service, SourceKind, SourceSpec, SqliteRows,
    TableKind, TableSpec, TargetSpec,
};
use crate::declare::connector::Quotas;
use crate::diagnose::{Checked, Code, Diagnostic, Place, Problems, nearest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// PostgreSQL's limit for a name; SQL Server and SQLite take more.
const LONGEST_NAME: usize = 63;
/// Tables of one section: a service with more sources or targets wants to be several services.
pub(super) const MAX_TABLES: usize = 200;
/// Users with a role.
const MAX_ROLES: usize = 1_000;

/// Checks `kith.toml` with the overrides of the environment: pairs of variable and value, of which those named `KITH__…` count.
///
/// `name` is what messages call the file; `project` is the folder that relative paths are relative to. Nothing is opened. Secrets that
/// stand in the file against the rules are covered in everything that is shown.
pub fn check(name: &str, text: &str, environment: &[(String, String)], project: &Path) -> Checked<Config> {
    let mut problems = Problems::default();
    let layered = layers::read(name, text, environment, &mut problems);
    let mut checker = Checker { problems, project, broken: layered.broken, whole: Place::Path(layered.file.name.clone()) };
    let config = checker.config(&layered);
    let mut problems = checker.problems;
    problems.sort();
    Checked::new(config, problems)
}

/// Checks the configuration of a listener that runs alone, as [`check`] does that of a service. It has `[webhooks]`, `[sources.NAME]` of kind `webhook`
/// and `[log]`; anything else has no place on such a machine.
pub fn check_listener(name: &str, text: &str, environment: &[(String, String)], project: &Path) -> Checked<Listener> {
    let mut problems = Problems::default();
    let layered = layers::read(name, text, environment, &mut problems);
    let mut checker = Checker { problems, project, broken: layered.broken, whole: Place::Path(layered.file.name.clone()) };
    for (name, node) in &layered.root {
        if ![WEBHOOKS.name, keys::SOURCES.name, keys::LOG.name, keys::METRICS.name].contains(&name.as_str()) {
            let message = format!("[{name}] has no place on a machine that only takes webhooks in");
            let remedy = "keep [webhooks], [sources.NAME] of kind `webhook`, [metrics] and [log]; the service inside has the rest";
            checker.error(EXCLUDE_EACH_OTHER, &node.key, message, remedy);
        }
    }
    let sources = checker.each(&layered, &keys::SOURCES, Checker::source);
    let log = checker.one(&layered, &keys::LOG);
    let log = log.map_or_else(Log::default, |t| checker.log(&t));
    let metrics = checker.one(&layered, &keys::METRICS).and_then(|t| checker.loopback(&t, &keys::METRICS_LISTEN));
    let listener = checker.one(&layered, &WEBHOOKS).and_then(|table| checker.listener(&table, sources, log, metrics));
    let mut problems = checker.problems;
    problems.sort();
    Checked::new(listener, problems)
}

/// The project folder of a configuration file: the folder that holds `config/`, or the file's own where it does not lie in a folder of
/// that name. Empty for the working directory.
pub fn project_folder(file: &Path) -> PathBuf {
    let own = file.parent().unwrap_or(Path::new(""));
    match own.file_name() {
        Some(name) if name == "config" => own.parent().unwrap_or(Path::new("")).to_path_buf(),
        Some(_) | None => own.to_path_buf(),
    }
}

/// A table whose keys are known and whose values are of the right form or left out.
pub(super) struct Table<'a> {
    /// `[targets.crm_db]`
    pub title: String,
    pub place: Place,
    pub values: BTreeMap<&'static str, &'a Node>,
}

pub(super) struct Checker<'a> {
    problems: Problems,
    pub project: &'a Path,
    pub broken: bool,
    whole: Place,
}

impl<'a> Checker<'a> {
    fn config(&mut self, layered: &'a Layered) -> Option<Config> {
        for (name, node) in &layered.root {
            if !SECTIONS.iter().any(|s| s.name == name) {
                let known = nearest(name, SECTIONS.iter().map(|s| s.name));
                self.unknown(node, format!("[{name}] is no section of the configuration"), known.map(|k| format!("[{k}]")));
            }
        }
        let service = self.one(layered, &keys::SERVICE);
        let service = self.service(service.as_ref());
        let sources = self.each(layered, &keys::SOURCES, Self::source);
        let customers = self.each(layered, &keys::CUSTOMERS, Self::table_spec);
        let related = self.each(layered, &keys::RELATED, Self::table_spec);
        let targets = self.each(layered, &keys::TARGETS, Self::target);
        let (customers, related) = (self.rows_of_targets(customers, &targets), self.rows_of_targets(related, &targets));
        let audit = self.one(layered, &AUDIT);
        let audit = audit.as_ref().and_then(|t| self.audit(t));
        let backup = self.one(layered, &BACKUP);
        let backup = backup.map_or_else(Default::default, |t| self.backup(&t));
        let secrets = self.one(layered, &keys::KEYS);
        let keys = secrets.map_or_else(Keys::default, |t| Keys {
            master: self.secret(&t, &keys::MASTER),
            hash: self.secret(&t, &keys::HASH),
            signing: self.secret(&t, &keys::SIGNING),
        });
        let roles = self.roles(layered);
        let log = self.one(layered, &keys::LOG);
        let log = log.map_or_else(Log::default, |t| self.log(&t));
        let metrics = self.one(layered, &keys::METRICS);
        let metrics = Metrics { listen: metrics.and_then(|t| self.loopback(&t, &keys::METRICS_LISTEN)) };
        let evaluate = self.one(layered, &keys::EVALUATE);
        let evaluate = Evaluate { truth: evaluate.and_then(|t| self.path(&t, &keys::TRUTH)) };
        let review = self.one(layered, &REVIEW);
        let review = Review { reviewers: review.and_then(|t| self.count(&t, &REVIEWERS)).unwrap_or(std::num::NonZeroU32::MIN) };
        let guard = self.one(layered, &GUARD).map_or_else(PassGuard::default, |t| PassGuard {
            deletes_percent: self.count(&t, &DELETES_PERCENT).unwrap_or(PassGuard::default().deletes_percent),
            first_writes: self.count(&t, &FIRST_WRITES),
        });
        let alarms = self.one(layered, &ALARMS).and_then(|t| self.alarms(&t, &targets));
        let webhooks = self.one(layered, &WEBHOOKS).and_then(|t| self.webhooks_of_service(&t, &sources));
        self.writers(&sources, &targets);
        let pick = |specs: Vec<(TableSpec, Place)>| specs.into_iter().map(|(spec, _)| spec).collect();
        Some(Config {
            service: service?,
            sources: sources.into_iter().map(|(spec, _)| spec).collect(),
            customers: pick(customers),
            related: pick(related),
            targets: targets.into_iter().map(|(spec, _)| spec).collect(),
            audit: audit?,
            backup,
            keys,
            roles,
            log,
            metrics,
            evaluate,
            review,
            guard,
            alarms: alarms?,
            webhooks: webhooks?,
        })
    }

    pub(super) fn error(&mut self, code: Code, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Diagnostic::error(code, place.clone(), message, remedy));
    }

    pub(super) fn unknown(&mut self, node: &Node, message: String, known: Option<String>) {
        if node.from_environment {
            let remedy =
                known.map_or_else(|| "unset the variable".to_owned(), |k| format!("did you mean `{k}`? Otherwise unset the variable"));
            self.error(SETS_NOTHING, &node.key, message, remedy);
        } else {
            let remedy = known.map_or_else(
                || "remove it, or see config/README.md for every key".to_owned(),
                |k| format!("did you mean `{k}`? Otherwise remove it"),
            );
            self.error(UNKNOWN_KEY, &node.key, message, remedy);
        }
    }

    // ------------------------------------------------------------------------------------------------------ tables

    /// The one table of a section; a required section that is not there is told.
    fn one(&mut self, layered: &'a Layered, section: &'static Section) -> Option<Table<'a>> {
        let title = format!("[{}]", section.name);
        match find(&layered.root, section.name) {
            Some(node) => self.table(node, title, section),
            None if section.required && !section.keys.iter().all(|k| matches!(k.need, Need::Default(_) | Need::Optional(_))) => {
                self.missing_section(section);
                None
            }
            None => Some(Table { title, place: self.whole.clone(), values: BTreeMap::new() }),
        }
    }

    fn missing_section(&mut self, section: &Section) {
        if self.broken {
            return;
        }
        let header = if section.tables == Tables::Named { format!("[{}.NAME]", section.name) } else { format!("[{}]", section.name) };
        let keys: Vec<String> = section
            .keys
            .iter()
            .filter(|k| matches!(k.need, Need::Required) && k.only.is_none())
            .map(|k| format!("`{} = {}`", k.name, k.example))
            .collect();
        let place = self.whole.clone();
        self.error(MISSING, &place, format!("{header} is missing"), format!("add {header} with {}", keys.join(", ")));
    }

    /// Every named table of a section that is right, with its place.
    fn each<T>(
        &mut self,
        layered: &'a Layered,
        section: &'static Section,
        read: fn(&mut Self, Arc<str>, &Table<'a>) -> Option<T>,
    ) -> Vec<(T, Place)> {
        let Some(node) = find(&layered.root, section.name) else {
            if section.required {
                self.missing_section(section);
            }
            return Vec::new();
        };
        let Data::Table(members) = &node.data else {
            self.wrong_form(node, &format!("[{}]", section.name), "a table of tables");
            return Vec::new();
        };
        if members.is_empty() && section.required {
            self.missing_section(section);
        }
        if let Some((_, node)) = members.get(MAX_TABLES) {
            let message = format!("[{}] has {} tables; at most {MAX_TABLES} are possible", section.name, members.len());
            self.error(OUTSIDE_LIMITS, &node.key, message, "spread them over several services, each with its own state");
        }
        let mut found = Vec::new();
        for (name, node) in members.iter().take(MAX_TABLES) {
            let title = format!("[{}.{name}]", section.name);
            let named = self.name(name, node);
            let table = self.table(node, title, section);
            let value = table.as_ref().and_then(|t| read(self, name.as_str().into(), t));
            if let (true, Some(value)) = (named, value) {
                found.push((value, node.key.clone()));
            }
        }
        found
    }

    fn name(&mut self, name: &str, node: &Node) -> bool {
        let right = name.len() <= LONGEST_NAME
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && !name.contains("__")
            && !name.ends_with('_');
        if !right {
            let suggestion = as_name(name);
            let remedy = if suggestion.is_empty() {
                "begin with a small letter and use small letters, digits and single `_`".to_owned()
            } else {
                format!("write `{suggestion}`: a small letter, then small letters, digits and single `_`, at most {LONGEST_NAME}")
            };
            self.error(BAD_NAME, &node.key, format!("`{name}` can't be a name"), remedy);
        }
        right
    }

    fn table(&mut self, node: &'a Node, title: String, section: &'static Section) -> Option<Table<'a>> {
        let Data::Table(members) = &node.data else {
            self.wrong_form(node, &title, "a table");
            return None;
        };
        let mut table = Table { title, place: node.key.clone(), values: BTreeMap::new() };
        let kind = members.iter().find(|(name, _)| name == "kind").and_then(|(_, n)| text_of(n));
        for (name, value) in members {
            let Some(key) = section.keys.iter().find(|k| k.name == name) else {
                let usable = section.keys.iter().filter(|k| k.is_for(kind.unwrap_or_default())).map(|k| k.name);
                let known = nearest(name, usable.filter(|k| !members.iter().any(|(n, _)| n == k)));
                self.unknown(value, format!("`{name}` is no key of {}", table.title), known.map(str::to_owned));
                continue;
            };
            table.values.insert(key.name, value);
        }
        Some(table)
    }

    /// Complains about keys that belong to another kind.
    fn of_kind(&mut self, table: &mut Table<'a>, section: &'static Section, kind: &'static str) {
        for key in section.keys {
            if let (Some(only), Some(node)) = (key.only, table.values.get(key.name))
                && !key.is_for(kind)
            {
                let message =
                    format!("`{}` belongs to kind `{}`, and {} is of kind `{kind}`", key.name, only.replace(", ", "` or `"), table.title);
                let other = only.split(", ").next().unwrap_or_default();
                self.error(EXCLUDE_EACH_OTHER, &node.key, message, format!("remove it, or write `kind = \"{other}\"`"));
                table.values.remove(key.name);
            }
        }
    }

    pub(super) fn wrong_form(&mut self, node: &Node, what: &str, wanted: &str) {
        let message = format!("{what} must be {wanted}, not {}", node.data.kind());
        self.error(WRONG_FORM, &node.place, message, format!("write {wanted}"));
    }

    // ------------------------------------------------------------------------------------------------------ sections

    fn service(&mut self, table: Option<&Table<'a>>) -> Option<Service> {
        let table = table?;
        let state = self.path(table, &keys::STATE);
        let mapping = self.path(table, &keys::MAPPING);
        let release = self.word(table, &keys::RELEASE);
        let intake_batch = self.count(table, &keys::INTAKE_BATCH);
        let decide_batch = self.count(table, &keys::DECIDE_BATCH);
        let poll_seconds = self.count(table, &keys::POLL_SECONDS);
        let threads = self.count(table, &keys::THREADS);
        let drain_seconds = self.count(table, &keys::DRAIN_SECONDS);
        Some(Service {
            state: state?,
            mapping: mapping?,
            release: if keys::RELEASES.get(release?) == Some(&"on-start") { ReleaseWhen::OnStart } else { ReleaseWhen::Named },
            intake_batch: intake_batch?,
            decide_batch: decide_batch?,
            poll_seconds: poll_seconds?,
            threads,
            drain_seconds: drain_seconds?,
        })
    }

    fn source(&mut self, name: Arc<str>, table: &Table<'a>) -> Option<SourceSpec> {
        let mut table = table.copy();
        let network = self.network(&table, &keys::NETWORK);
        let kind = self.word(&table, &keys::SOURCE_KIND).and_then(|at| keys::SOURCE_KINDS.get(at).copied())?;
        self.of_kind(&mut table, &keys::SOURCES, kind);
        let kind = if kind == "file" {
            SourceKind::File { path: self.path(&table, &keys::SOURCE_PATH)? }
        } else if kind == "network" {
            self.network_source(&table)?
        } else if kind == "webhook" {
            self.webhook_source(&table)?
        } else if kind == "singer" {
            self.singer_source(&table)?
        } else {
            let (inbox, done) = (self.path(&table, &keys::INBOX), self.path(&table, &keys::DONE));
            let (inbox, done) = (inbox?, done?);
            if inbox == done {
                let place = table.values.get("done").map_or_else(|| table.place.clone(), |n| n.place.clone());
                let message = format!("`inbox` and `done` of {} are one folder", table.title);
                self.error(ONE_PLACE, &place, message, "give `done` a folder of its own on the same file system");
            }
            self.folder(&table, inbox, done)?
        };
        Some(SourceSpec { name, kind, network })
    }

    fn table_spec(&mut self, name: Arc<str>, table: &Table<'a>) -> Option<TableSpec> {
        let mut table = table.copy();
        let kind = self.word(&table, &keys::TABLE_KIND).and_then(|at| keys::TABLE_KINDS.get(at).copied())?;
        self.of_kind(&mut table, &keys::CUSTOMERS, kind);
        let foreign: &[&keys::Key] = match kind {
            "csv" => &[&keys::TABLE, &keys::QUERY],
            "sqlserver" => &[&keys::TABLE_PATH],
            "soap" => &[&keys::TABLE_PATH, &keys::TABLE, &keys::QUERY],
            _ => &[],
        };
        for key in foreign {
            if let Some(node) = table.values.get(key.name) {
                let message = format!("`{}` does not belong to kind `{kind}`", key.name);
                self.error(EXCLUDE_EACH_OTHER, &node.key, message, format!("remove it, or correct the `kind` of {}", table.title));
            }
        }
        if kind == "sqlserver" {
            return self.server_rows(&table).map(|rows| TableSpec { name, kind: TableKind::SqlServer(Box::new(rows)) });
        }
        if kind == "soap" {
            return self.soap_rows(name, &table);
        }
        if !table.values.contains_key("path") && !self.broken {
            let message = format!("{} lacks the key `path`", table.title);
            self.error(MISSING, &table.place, message, format!("add `path = {}`", keys::TABLE_PATH.example));
        }
        let path = self.path(&table, &keys::TABLE_PATH);
        if kind == "csv" {
            let delimiter = self.character(&table, &keys::DELIMITER);
            return Some(TableSpec { name, kind: TableKind::Csv { path: path?, delimiter: delimiter? } });
        }
        let rows = self.table_rows(&table);
        Some(TableSpec { name, kind: TableKind::Sqlite { path: path?, rows: rows? } })
    }

    /// A table or a query, not both.
    pub(super) fn table_rows(&mut self, table: &Table<'a>) -> Option<SqliteRows> {
        let rows_table = self.non_blank(table, &keys::TABLE);
        let query = self.non_blank(table, &keys::QUERY);
        match (rows_table, query) {
            (Some(table), None) => Some(SqliteRows::Table(table)),
            (None, Some(query)) => Some(SqliteRows::Query(query)),
            (Some(_), Some(_)) => {
                let place = table.values.get("query").map_or_else(|| table.place.clone(), |n| n.key.clone());
                self.error(
                    EXCLUDE_EACH_OTHER,
                    &place,
                    format!("{} has a `table` and a `query`", table.title),
                    "keep the one that is meant",
                );
                None
            }
            (None, None) => {
                let given = table.values.contains_key("table") || table.values.contains_key("query");
                if !given && !self.broken {
                    let message = format!("{} lacks `table` or `query`", table.title);
                    self.error(MISSING, &table.place, message, format!("add `table = {}`", keys::TABLE.example));
                }
                None
            }
        }
    }

    pub(super) fn non_blank(&mut self, table: &Table<'a>, key: &'static Key) -> Option<Arc<str>> {
        let Form::Text(longest) = key.form else { return None };
        let (text, place) = self.text(table, key)?;
        if text.trim().is_empty() || text.chars().count() > longest {
            let message = format!("`{}` must have 1 to {longest} characters", key.name);
            self.error(WRONG_FORM, &place, message, format!("write it as `{} = {}`", key.name, key.example));
            return None;
        }
        Some(text.trim().into())
    }

    fn target(&mut self, name: Arc<str>, table: &Table<'a>) -> Option<TargetSpec> {
        let connector = self.path(table, &keys::CONNECTOR);
        let place = self.target_place(table);
        let quotas = Quotas {
            per_second: self.count(table, &keys::PER_SECOND),
            per_minute: self.count(table, &keys::PER_MINUTE),
            per_hour: self.count(table, &keys::PER_HOUR),
            per_day: self.count(table, &keys::PER_DAY),
        };
        let batch = self.count(table, &keys::BATCH);
        let concurrency = self.count(table, &keys::CONCURRENCY);
        let hours = self.hours(table);
        let notice = self.notice(table);
        let endpoint = table.values.contains_key("endpoint").then(|| self.non_blank(table, &keys::ENDPOINT)).flatten();
        Some(TargetSpec {
            name,
            connector: connector?,
            place: place?,
            quotas,
            batch: batch?,
            concurrency: concurrency?,
            hours,
            endpoint,
            notice: notice?,
        })
    }

    fn hours(&mut self, table: &Table<'a>) -> Option<ServiceHours> {
        let zone = self.non_blank(table, &keys::TIME_ZONE);
        let Some(node) = table.values.get("hours") else {
            if let Some(zone) = table.values.get("time_zone")
                && !table.values.contains_key("quiet_hours")
            {
                let place = zone.key.clone();
                self.error(
                    MISSING,
                    &place,
                    format!("{} has a `time_zone` without `hours`", table.title),
                    format!("add `hours = {}`, or remove it", keys::HOURS.example),
                );
            }
            return None;
        };
        let text = self.non_blank(table, &keys::HOURS)?;
        match ServiceHours::parse(&text, &zone?) {
            Ok(hours) => Some(hours),
            Err(error @ HoursError::Zone(_)) => {
                let place = table.values.get("time_zone").map_or_else(|| table.place.clone(), |n| n.place.clone());
                self.error(BAD_HOURS, &place, error.to_string(), format!("write a name such as `time_zone = {}`", keys::TIME_ZONE.example));
                None
            }
            Err(error) => {
                self.error(BAD_HOURS, &node.place, error.to_string(), format!("write it as `hours = {}`", keys::HOURS.example));
                None
            }
        }
    }

    fn roles(&mut self, layered: &'a Layered) -> Vec<RoleGrant> {
        let Some(node) = find(&layered.root, keys::ROLES.name) else { return Vec::new() };
        let Data::Table(members) = &node.data else {
            self.wrong_form(node, "[roles]", "a table");
            return Vec::new();
        };
        if let Some((_, node)) = members.get(MAX_ROLES) {
            let message = format!("[roles] names {} users; at most {MAX_ROLES} are possible", members.len());
            self.error(OUTSIDE_LIMITS, &node.key, message, "name only those who work with Kith");
        }
        let mut roles = Vec::new();
        for (user, node) in members.iter().take(MAX_ROLES) {
            let words = Role::ALL.map(Role::name);
            let Data::Text(text) = &node.data else {
                self.wrong_form(node, &format!("the role of `{}`", shown(user)), "a role in quotation marks");
                continue;
            };
            match Role::ALL.into_iter().find(|r| r.name() == text.trim()) {
                Some(role) => roles.push(RoleGrant { user: user.as_str().into(), role }),
                None => self.not_a_word(&node.place, user, text, &words),
            }
        }
        roles
    }

    fn log(&mut self, table: &Table<'a>) -> Log {
        let format = self.word(table, &keys::LOG_FORMAT).map(|at| if at == 1 { LogFormat::Json } else { LogFormat::Text });
        let level = self.word(table, &keys::LOG_LEVEL).and_then(|at| LogLevel::ALL.get(at).copied());
        let flow = self.switch(table, &keys::LOG_FLOW).unwrap_or_default();
        Log { format: format.unwrap_or_default(), level: level.unwrap_or_default(), flow }
    }

    /// Two settings that would write, or pick up from, one place.
    fn writers<'p>(&mut self, sources: &'p [(SourceSpec, Place)], targets: &'p [(TargetSpec, Place)]) {
        let mut seen: BTreeMap<&Path, (String, &Place)> = BTreeMap::new();
        let mut clashes = Vec::new();
        let folders = sources.iter().filter_map(|(spec, place)| match &spec.kind {
            SourceKind::Folder { inbox: path, .. } | SourceKind::File { path } => {
                Some((path.as_path(), format!("[sources.{}]", spec.name), place))
            }
            // What is asked over the network is shared with anybody.
            SourceKind::Network(_) | SourceKind::Webhook(_) | SourceKind::Singer(_) => None,
        });
        let file = |(spec, place): &'p (TargetSpec, Place)| Some((spec.place.file()?.as_path(), format!("[targets.{}]", spec.name), place));
        let written = targets.iter().filter_map(file);
        for (path, title, place) in folders.chain(written) {
            if let Some((first, at)) = seen.get(path) {
                clashes.push(
                    Diagnostic::error(
                        ONE_PLACE,
                        place.clone(),
                        format!("{title} uses the same path as {first}"),
                        "give each a path of its own",
                    )
                    .related((*at).clone(), "the same path is used here"),
                );
            } else {
                seen.insert(path, (title, place));
            }
        }
        self.problems.0.extend(clashes);
    }
}

impl Table<'_> {
    fn copy(&self) -> Self {
        Self { title: self.title.clone(), place: self.place.clone(), values: self.values.clone() }
    }
}

pub(super) fn find<'a>(members: &'a [(String, Node)], name: &str) -> Option<&'a Node> {
    members.iter().find(|(n, _)| n == name).map(|(_, node)| node)
}

pub(super) fn text_of(node: &Node) -> Option<&str> {
    match &node.data {
        Data::Text(text) => Some(text),
        Data::Integer(_) | Data::Switch(_) | Data::Table(_) | Data::Other(_) => None,
    }
}

/// The name that was probably meant: `Crm-DB` is `crm_db`.
fn as_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().take(LONGEST_NAME) {
        let c = if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        if !(c == '_' && (name.is_empty() || name.ends_with('_'))) {
            name.push(c);
        }
    }
    name.trim_matches(|c: char| c == '_' || c.is_ascii_digit()).to_owned()
}

/// A word of the user's, short enough for a message.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let short: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > LONGEST { format!("{short}…") } else { short }
}
