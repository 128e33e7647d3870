//! From layers to the checked configuration: every complaint, each with its place.

use super::keys::{self, Form, Key, Need, SECRET_KEYS, SECTIONS, Section, Tables};
use super::layers::{self, Data, Layered, Node};
use super::{
    Audit, Config, Evaluate, Keys, Log, LogFormat, LogLevel, Role, RoleGrant, SecretSource, Service, SourceKind, SourceSpec, SqliteRows,
    TableKind, TableSpec, TargetSpec,
};
use crate::diagnose::{Checked, Code, Diagnostic, Place, Problems, nearest};
use crate::model::Network;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const UNKNOWN_KEY: Code = Code("KITH-C002");
const WRONG_FORM: Code = Code("KITH-C003");
const MISSING: Code = Code("KITH-C004");
const OUTSIDE_LIMITS: Code = Code("KITH-C005");
const BAD_NAME: Code = Code("KITH-C006");
const UNKNOWN_WORD: Code = Code("KITH-C007");
const PLAIN_SECRET: Code = Code("KITH-C008");
const BAD_PATH: Code = Code("KITH-C009");
const EXCLUDE_EACH_OTHER: Code = Code("KITH-C010");
const SETS_NOTHING: Code = Code("KITH-C011");
const ONE_PLACE: Code = Code("KITH-C014");

/// Linux refuses longer paths (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;
/// PostgreSQL's limit for a name; SQL Server and SQLite take more.
const LONGEST_NAME: usize = 63;
/// A checkpoint is a few hundred bytes; its first line should not be most of it.
const LONGEST_ORIGIN: usize = 200;
/// Tables of one section: a service with more sources or targets wants to be several services.
const MAX_TABLES: usize = 200;
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

/// What a configuration names, read as far as it can be read: good enough to check the files beside it although it has problems of its
/// own, which [`check`] tells.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outline {
    /// Names of `[customers.NAME]`.
    pub customers: Vec<Arc<str>>,
    /// Names of `[related.NAME]`.
    pub related: Vec<Arc<str>>,
    /// Names of `[targets.NAME]`, each with its target file and where the configuration names it.
    pub targets: Vec<(Arc<str>, Option<(PathBuf, Place)>)>,
    /// The active mapping and where the configuration names it.
    pub mapping: Option<(PathBuf, Place)>,
}

/// Reads what a configuration names; see [`check`] for the arguments. No complaint is told here.
pub fn outline(name: &str, text: &str, environment: &[(String, String)], project: &Path) -> Outline {
    let layered = layers::read(name, text, environment, &mut Problems::default());
    let members = |section: &Section| match find(&layered.root, section.name).map(|node| &node.data) {
        Some(Data::Table(members)) => members.iter().take(MAX_TABLES).collect(),
        Some(Data::Text(_) | Data::Integer(_) | Data::Other(_)) | None => Vec::new(),
    };
    let names = |section: &Section| members(section).into_iter().map(|(name, _)| name.as_str().into()).collect();
    let path_of = |members: &[(String, Node)], key: &Key| {
        let node = find(members, key.name)?;
        text_of(node).filter(|text| !text.trim().is_empty()).map(|text| (project.join(text), node.place.clone()))
    };
    let target = |(name, node): &(String, Node)| {
        let file = match &node.data {
            Data::Table(members) => path_of(members, &keys::CONNECTOR),
            Data::Text(_) | Data::Integer(_) | Data::Other(_) => None,
        };
        (Arc::from(name.as_str()), file)
    };
    let service = match find(&layered.root, keys::SERVICE.name).map(|node| &node.data) {
        Some(Data::Table(members)) => members.as_slice(),
        Some(Data::Text(_) | Data::Integer(_) | Data::Other(_)) | None => &[],
    };
    Outline {
        customers: names(&keys::CUSTOMERS),
        related: names(&keys::RELATED),
        targets: members(&keys::TARGETS).into_iter().map(target).collect(),
        mapping: path_of(service, &keys::MAPPING),
    }
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
struct Table<'a> {
    /// `[targets.crm_db]`
    title: String,
    place: Place,
    values: BTreeMap<&'static str, &'a Node>,
}

struct Checker<'a> {
    problems: Problems,
    project: &'a Path,
    broken: bool,
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
        let audit = self.one(layered, &keys::AUDIT);
        let origin = audit.as_ref().and_then(|t| self.origin(t));
        let secrets = self.one(layered, &keys::KEYS);
        let keys = secrets
            .map_or_else(Keys::default, |t| Keys { master: self.secret(&t, &keys::MASTER), signing: self.secret(&t, &keys::SIGNING) });
        let roles = self.roles(layered);
        let log = self.one(layered, &keys::LOG);
        let log = log.map_or_else(Log::default, |t| self.log(&t));
        let evaluate = self.one(layered, &keys::EVALUATE);
        let evaluate = Evaluate { truth: evaluate.and_then(|t| self.path(&t, &keys::TRUTH)) };
        self.writers(&sources, &targets);
        let pick = |specs: Vec<(TableSpec, Place)>| specs.into_iter().map(|(spec, _)| spec).collect();
        Some(Config {
            service: service?,
            sources: sources.into_iter().map(|(spec, _)| spec).collect(),
            customers: pick(customers),
            related: pick(related),
            targets: targets.into_iter().map(|(spec, _)| spec).collect(),
            audit: Audit { origin: origin? },
            keys,
            roles,
            log,
            evaluate,
        })
    }

    fn error(&mut self, code: Code, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Diagnostic::error(code, place.clone(), message, remedy));
    }

    fn unknown(&mut self, node: &Node, message: String, known: Option<String>) {
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
                let usable = section.keys.iter().filter(|k| k.only.is_none() || k.only == kind).map(|k| k.name);
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
                && only != kind
            {
                let message = format!("`{}` belongs to kind `{only}`, and {} is of kind `{kind}`", key.name, table.title);
                self.error(EXCLUDE_EACH_OTHER, &node.key, message, format!("remove it, or write `kind = \"{only}\"`"));
                table.values.remove(key.name);
            }
        }
    }

    fn wrong_form(&mut self, node: &Node, what: &str, wanted: &str) {
        let message = format!("{what} must be {wanted}, not {}", node.data.kind());
        self.error(WRONG_FORM, &node.place, message, format!("write {wanted}"));
    }

    // ------------------------------------------------------------------------------------------------------ values

    /// The text of a key's value, or its default; told where it is missing or no text.
    fn text<'t>(&mut self, table: &'t Table<'a>, key: &'static Key) -> Option<(&'t str, Place)> {
        let Some(node) = table.values.get(key.name) else {
            return match key.need {
                Need::Default(text) => Some((text, table.place.clone())),
                Need::Optional(_) => None,
                Need::Required => {
                    if !self.broken {
                        let message = format!("{} lacks the key `{}`", table.title, key.name);
                        self.error(MISSING, &table.place, message, format!("add `{} = {}`", key.name, key.example));
                    }
                    None
                }
            };
        };
        match &node.data {
            Data::Text(text) => Some((text, node.place.clone())),
            Data::Integer(_) | Data::Table(_) | Data::Other(_) => {
                self.wrong_form(node, &format!("`{}`", key.name), "text in quotation marks");
                None
            }
        }
    }

    fn path(&mut self, table: &Table<'a>, key: &'static Key) -> Option<PathBuf> {
        let (text, place) = self.text(table, key)?;
        let complaint = if text.trim().is_empty() {
            Some("is empty")
        } else if text.len() > LONGEST_PATH {
            Some("is longer than 4,096 bytes")
        } else if text.chars().any(char::is_control) {
            Some("holds a control character")
        } else if text.starts_with('~') || text.contains("${") {
            Some("holds `~` or `${…}`, which only a shell replaces")
        } else if text.contains("://") {
            Some("is an address, not a path")
        } else {
            None
        };
        if let Some(complaint) = complaint {
            let remedy = format!("write the path in full or relative to the project folder: `{} = {}`", key.name, key.example);
            self.error(BAD_PATH, &place, format!("the path `{}` {complaint}", key.name), remedy);
            return None;
        }
        Some(self.project.join(text))
    }

    fn count(&mut self, table: &Table<'a>, key: &'static Key) -> Option<NonZeroU32> {
        let Form::Count(min, max) = key.form else { return None };
        let node = table.values.get(key.name);
        let number = match node.map(|n| &n.data) {
            None => match key.need {
                Need::Default(text) => text.parse().ok(),
                Need::Required | Need::Optional(_) => return None,
            },
            Some(Data::Integer(number)) => Some(*number),
            Some(Data::Text(text)) if node.is_some_and(|n| n.from_environment) => text.trim().parse::<i128>().ok(),
            Some(Data::Text(_) | Data::Table(_) | Data::Other(_)) => None,
        };
        let Some(number) = number else {
            if let Some(node) = node {
                self.wrong_form(node, &format!("`{}`", key.name), &format!("a whole number from {min} to {max}"));
            }
            return None;
        };
        match u32::try_from(number).ok().filter(|n| (min..=max).contains(n)).and_then(NonZeroU32::new) {
            Some(count) => Some(count),
            None => {
                let place = node.map_or_else(|| table.place.clone(), |n| n.place.clone());
                let message = format!("`{}` is {number}; it must be from {min} to {max}", key.name);
                self.error(OUTSIDE_LIMITS, &place, message, format!("write a number from {min} to {max}, or remove the key"));
                None
            }
        }
    }

    /// One of the words, as its index in the key's list.
    fn word(&mut self, table: &Table<'a>, key: &'static Key) -> Option<usize> {
        let Form::Words(words) = key.form else { return None };
        let (text, place) = self.text(table, key)?;
        let found = words.iter().position(|w| *w == text.trim());
        if found.is_none() {
            let text = text.to_owned();
            self.not_a_word(&place, key.name, &text, words);
        }
        found
    }

    fn not_a_word(&mut self, place: &Place, key: &str, text: &str, words: &[&str]) {
        let list = words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
        let remedy = nearest(text, words.iter().copied())
            .map_or_else(|| format!("write one of {list}"), |w| format!("did you mean `{w}`? Possible are {list}"));
        self.error(UNKNOWN_WORD, place, format!("`{key}` can't be `{}`", shown(text)), remedy);
    }

    fn network(&mut self, table: &Table<'a>, key: &'static Key) -> Option<Network> {
        let (text, place) = self.text(table, key)?;
        if let Ok(network) = text.parse() {
            return Some(network);
        }
        let names: Vec<&str> = Network::ALL.iter().flat_map(|n| std::iter::once(n.name()).chain(n.aliases().iter().copied())).collect();
        let list = Network::ALL.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        let remedy =
            nearest(text, names).map_or_else(|| format!("write one of {list}"), |n| format!("did you mean `{n}`? Known are {list}"));
        let message = format!("`{}` is not a network that Kith knows", shown(text));
        self.error(UNKNOWN_WORD, &place, message, remedy);
        None
    }

    fn character(&mut self, table: &Table<'a>, key: &'static Key) -> Option<u8> {
        let (text, place) = self.text(table, key)?;
        match text.as_bytes() {
            [byte] if (byte.is_ascii_graphic() || *byte == b' ' || *byte == b'\t') && *byte != b'"' => Some(*byte),
            _ => {
                let remedy = r#"write `","`, `";"`, `"|"` or `"\t"`"#;
                self.error(WRONG_FORM, &place, format!("`{}` must be one ASCII character, and no quotation mark", key.name), remedy);
                None
            }
        }
    }

    fn origin(&mut self, table: &Table<'a>) -> Option<String> {
        let (text, place) = self.text(table, &keys::ORIGIN)?;
        let right = !text.is_empty()
            && text.len() <= LONGEST_ORIGIN
            && !text.contains("://")
            && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '+');
        if !right {
            let message = format!("`{}` can't name a log", shown(text));
            let remedy = format!(
                "write a host name of yours and a path without scheme, blanks and `+`, at most {LONGEST_ORIGIN} bytes: `origin = {}`",
                keys::ORIGIN.example
            );
            self.error(BAD_NAME, &place, message, remedy);
            return None;
        }
        Some(text.to_owned())
    }

    /// Where a secret is to be found. What stands in its place is never shown.
    fn secret(&mut self, table: &Table<'a>, key: &'static Key) -> Option<SecretSource> {
        let node = *table.values.get(key.name)?;
        let remedy = format!(
            "write `{0} = {{ file = \"PATH\" }}`, `{0} = {{ env = \"VARIABLE\" }}` or `{0} = {{ credential = \"NAME\" }}`",
            key.name
        );
        let Data::Table(members) = &node.data else {
            let message = format!("`{}` holds a secret itself; it must say where the secret is", key.name);
            self.error(PLAIN_SECRET, &node.place, message, format!("{remedy}, and change the secret: it has been written down"));
            return None;
        };
        for (name, member) in members.iter().filter(|(name, _)| !SECRET_KEYS.contains(&name.as_str())) {
            let known = nearest(name, SECRET_KEYS).map(str::to_owned);
            self.unknown(member, format!("`{}` is no place of a secret", shown(name)), known);
        }
        let mut places: Vec<&(String, Node)> = members.iter().filter(|(name, _)| SECRET_KEYS.contains(&name.as_str())).collect();
        // What the environment says replaces the whole of what the file says.
        if places.iter().any(|(_, n)| n.from_environment) {
            places.retain(|(_, n)| n.from_environment);
        }
        let (name, member) = match places.as_slice() {
            [one] => (one.0.as_str(), &one.1),
            [] => {
                if members.is_empty() {
                    self.error(MISSING, &node.place, format!("`{}` does not say where the secret is", key.name), remedy);
                }
                return None;
            }
            [_, second, ..] => {
                let message = format!("`{}` names more than one place for its secret", key.name);
                self.error(EXCLUDE_EACH_OTHER, &second.1.key, message, "keep one of them");
                return None;
            }
        };
        let Data::Text(text) = &member.data else {
            self.wrong_form(member, &format!("`{name}`"), "text in quotation marks");
            return None;
        };
        let plain = |extra: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c));
        match name {
            "file" if !text.trim().is_empty() && !text.chars().any(char::is_control) && text.len() <= LONGEST_PATH => {
                Some(SecretSource::File(self.project.join(text)))
            }
            "env" if plain("_") => Some(SecretSource::Env(text.clone())),
            "credential" if plain("_-.") && !text.starts_with('.') => Some(SecretSource::Credential(text.clone())),
            _ => {
                let remedy = "a path for `file`, letters, digits and `_` for `env`, also `-` and `.` for `credential`";
                self.error(BAD_PATH, &member.key, format!("the value of `{name}` can't be the place of a secret"), remedy);
                None
            }
        }
    }

    // ---------------------------------------------------------------------------------------------------- sections

    fn service(&mut self, table: Option<&Table<'a>>) -> Option<Service> {
        let table = table?;
        let state = self.path(table, &keys::STATE);
        let mapping = self.path(table, &keys::MAPPING);
        let intake_batch = self.count(table, &keys::INTAKE_BATCH);
        let decide_batch = self.count(table, &keys::DECIDE_BATCH);
        let poll_seconds = self.count(table, &keys::POLL_SECONDS);
        let threads = self.count(table, &keys::THREADS);
        Some(Service {
            state: state?,
            mapping: mapping?,
            intake_batch: intake_batch?,
            decide_batch: decide_batch?,
            poll_seconds: poll_seconds?,
            threads,
        })
    }

    fn source(&mut self, name: Arc<str>, table: &Table<'a>) -> Option<SourceSpec> {
        let mut table = table.copy();
        let network = self.network(&table, &keys::NETWORK);
        let kind = self.word(&table, &keys::SOURCE_KIND).and_then(|at| keys::SOURCE_KINDS.get(at).copied())?;
        self.of_kind(&mut table, &keys::SOURCES, kind);
        let kind = if kind == "file" {
            SourceKind::File { path: self.path(&table, &keys::SOURCE_PATH)? }
        } else {
            let (inbox, done) = (self.path(&table, &keys::INBOX), self.path(&table, &keys::DONE));
            let (inbox, done) = (inbox?, done?);
            if inbox == done {
                let place = table.values.get("done").map_or_else(|| table.place.clone(), |n| n.place.clone());
                let message = format!("`inbox` and `done` of {} are one folder", table.title);
                self.error(ONE_PLACE, &place, message, "give `done` a folder of its own on the same file system");
            }
            SourceKind::Folder { inbox, done }
        };
        Some(SourceSpec { name, kind, network })
    }

    fn table_spec(&mut self, name: Arc<str>, table: &Table<'a>) -> Option<TableSpec> {
        let mut table = table.copy();
        let path = self.path(&table, &keys::TABLE_PATH);
        let kind = self.word(&table, &keys::TABLE_KIND).and_then(|at| keys::TABLE_KINDS.get(at).copied())?;
        self.of_kind(&mut table, &keys::CUSTOMERS, kind);
        if kind == "csv" {
            let delimiter = self.character(&table, &keys::DELIMITER);
            return Some(TableSpec { name, kind: TableKind::Csv { path: path?, delimiter: delimiter? } });
        }
        let rows_table = self.non_blank(&table, &keys::TABLE);
        let query = self.non_blank(&table, &keys::QUERY);
        let rows = match (rows_table, query) {
            (Some(table), None) => SqliteRows::Table(table),
            (None, Some(query)) => SqliteRows::Query(query),
            (Some(_), Some(_)) => {
                let place = table.values.get("query").map_or_else(|| table.place.clone(), |n| n.key.clone());
                self.error(
                    EXCLUDE_EACH_OTHER,
                    &place,
                    format!("{} has a `table` and a `query`", table.title),
                    "keep the one that is meant",
                );
                return None;
            }
            (None, None) => {
                let given = table.values.contains_key("table") || table.values.contains_key("query");
                if !given && !self.broken {
                    let message = format!("{} lacks `table` or `query`", table.title);
                    self.error(MISSING, &table.place, message, format!("add `table = {}`", keys::TABLE.example));
                }
                return None;
            }
        };
        Some(TableSpec { name, kind: TableKind::Sqlite { path: path?, rows } })
    }

    fn non_blank(&mut self, table: &Table<'a>, key: &'static Key) -> Option<Arc<str>> {
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
        let path = self.path(table, &keys::TARGET_PATH);
        let per_second = self.count(table, &keys::PER_SECOND);
        let batch = self.count(table, &keys::BATCH);
        Some(TargetSpec { name, connector: connector?, path: path?, per_second, batch: batch? })
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
        Log { format: format.unwrap_or_default(), level: level.unwrap_or_default() }
    }

    /// Two settings that would write, or pick up from, one place.
    fn writers(&mut self, sources: &[(SourceSpec, Place)], targets: &[(TargetSpec, Place)]) {
        let mut seen: BTreeMap<&Path, (String, &Place)> = BTreeMap::new();
        let mut clashes = Vec::new();
        let folders = sources.iter().filter_map(|(spec, place)| match &spec.kind {
            SourceKind::Folder { inbox, .. } => Some((inbox.as_path(), format!("[sources.{}]", spec.name), place)),
            SourceKind::File { path } => Some((path.as_path(), format!("[sources.{}]", spec.name), place)),
        });
        let written = targets.iter().map(|(spec, place)| (spec.path.as_path(), format!("[targets.{}]", spec.name), place));
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

fn find<'a>(members: &'a [(String, Node)], name: &str) -> Option<&'a Node> {
    members.iter().find(|(n, _)| n == name).map(|(_, node)| node)
}

fn text_of(node: &Node) -> Option<&str> {
    match &node.data {
        Data::Text(text) => Some(text),
        Data::Integer(_) | Data::Table(_) | Data::Other(_) => None,
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
fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let short: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > LONGEST { format!("{short}…") } else { short }
}
