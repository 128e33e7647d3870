//! `[sources.NAME]` of kind `singer`: the tap, its settings and catalogue, and how long it may take.

use super::check::{Checker, Table};
use super::codes::MISSING;
use super::keys::{Form, Key, Need, key, only};
use super::network::{EVERY_SECONDS, SETTINGS};
use super::records::RECORDS;
use super::service::GivenSecret;
use super::settings::SourceKind;
use crate::declare::manifest::Records;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) const COMMAND: Key = only(
    "singer",
    key(
        "command",
        Form::Path,
        Need::Required,
        "The tap's program. It runs as the service's user, in a process group of its own, with none of the service's environment but PATH, HOME and \
         the language.",
        "\"/opt/taps/tap-rest-api-msdk/bin/tap-rest-api-msdk\"",
    ),
);
pub(super) const ARGUMENTS: Key = only(
    "singer",
    key(
        "arguments",
        Form::Text(4_096),
        Need::Optional("It is given `--config`, and `--catalog` and `--state` where there are such."),
        "What the tap is given besides, with spaces between. A secret does not belong here: other users of the machine see it.",
        "\"--dev\"",
    ),
);
pub(super) const CATALOG: Key = only(
    "singer",
    key(
        "catalog",
        Form::Path,
        Need::Optional("The tap reads what it reads by itself."),
        "The catalogue: which streams and fields the tap reads, as its `--discover` writes it.",
        "\"/etc/kith/helpdesk-catalog.json\"",
    ),
);
pub(super) const IDLE_SECONDS: Key = only(
    "singer",
    key(
        "idle_seconds",
        Form::Count(1, 86_400),
        Need::Default("600"),
        "A tap that says nothing for so long is stopped: by SIGTERM, and ten seconds later by SIGKILL.",
        "120",
    ),
);
pub(super) const LONGEST_MINUTES: Key = only(
    "singer",
    key(
        "longest_minutes",
        Form::Count(1, 1_440),
        Need::Default("60"),
        "A tap that runs for so long is stopped in the same way; the next run begins where its last state says. Other sources are read meanwhile.",
        "15",
    ),
);

/// A Singer tap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SingerSource {
    /// Its program.
    pub command: PathBuf,
    /// What it is given besides its files.
    pub arguments: Vec<Arc<str>>,
    /// Its configuration: JSON.
    pub settings: GivenSecret,
    /// Its catalogue.
    pub catalog: Option<PathBuf>,
    /// The records file.
    pub records: PathBuf,
    /// How long after a run the next one begins.
    pub every: Duration,
    /// The longest silence.
    pub idle: Duration,
    /// The longest run.
    pub longest: Duration,
    /// The records file, read by those who load the project; checking reads none.
    pub loaded: Option<Arc<Records>>,
}

impl<'a> Checker<'a> {
    /// A Singer tap.
    pub(super) fn singer_source(&mut self, table: &Table<'a>) -> Option<SourceKind> {
        let command = self.path(table, &COMMAND);
        let arguments = self.text(table, &ARGUMENTS).map(|(text, _)| text.split_whitespace().map(Arc::from).collect());
        let settings = self.secret(table, &SETTINGS);
        let catalog = if table.values.contains_key(CATALOG.name) { self.path(table, &CATALOG) } else { None };
        let records = if table.values.contains_key(RECORDS.name) { self.path(table, &RECORDS) } else { None };
        if !table.values.contains_key(RECORDS.name) {
            let message = format!("{} lacks the key `records`", table.title);
            self.error(MISSING, &table.place, message, format!("add `records = {}`: how a record becomes an activity", RECORDS.example));
        }
        let every = self.count(table, &EVERY_SECONDS);
        let idle = self.count(table, &IDLE_SECONDS);
        let longest = self.count(table, &LONGEST_MINUTES);
        Some(SourceKind::Singer(Box::new(SingerSource {
            command: command?,
            arguments: arguments.unwrap_or_default(),
            settings: GivenSecret { source: settings?, value: None },
            catalog,
            records: records?,
            every: Duration::from_secs(every?.get().into()),
            idle: Duration::from_secs(idle?.get().into()),
            longest: Duration::from_secs(u64::from(longest?.get()) * 60),
            loaded: None,
        })))
    }
}
