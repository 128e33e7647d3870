//! `[sources.NAME]` of files: its kind, its places, and where its records are no activities yet, the records file and the form of the files.

use super::check::{Checker, Table};
use super::codes::MISSING;
use super::keys::{Form, Key, NETWORK, Need, Section, Tables, key, only};
use super::settings::SourceKind;
use super::{hub, network, singer, webhook};
use crate::declare::manifest::{Projection, Records};
use std::path::PathBuf;
use std::sync::Arc;

/// `[sources.NAME]`
pub(super) const SOURCES: Section = Section {
    name: "sources",
    tables: Tables::Named,
    required: true,
    doc: "Where activities come from.",
    keys: &[
        SOURCE_KIND,
        SOURCE_PATH,
        INBOX,
        DONE,
        network::CONNECTOR,
        network::SETTINGS,
        network::STREAMS,
        network::EVERY_SECONDS,
        network::COMPLIANCE,
        network::COMPLIANCE_HOURS,
        network::PROXY,
        network::PROXY_USER,
        network::PROXY_PASSWORD,
        network::HOSTS,
        network::CA_FILE,
        network::TIMEOUT_SECONDS,
        network::BUDGET_A_MONTH,
        webhook::WEBHOOK,
        webhook::SECRET,
        webhook::SECOND_SECRET,
        webhook::VERIFY_TOKEN,
        webhook::TOPICS,
        webhook::SERVER,
        hub::HUB,
        hub::CALLBACK,
        hub::LEASE_SECONDS,
        hub::HUB_CA_FILE,
        hub::HUB_PROXY,
        hub::HUB_PROXY_USER,
        hub::HUB_PROXY_PASSWORD,
        webhook::DRAIN,
        webhook::SOURCE_DRAIN_SECRET,
        webhook::DRAIN_KEY,
        webhook::DRAIN_CA_FILE,
        FORMAT,
        DELIMITER,
        RECORDS,
        STREAM,
        singer::COMMAND,
        singer::ARGUMENTS,
        singer::CATALOG,
        singer::IDLE_SECONDS,
        singer::LONGEST_MINUTES,
        NETWORK,
    ],
};
pub(super) const SOURCE_KINDS: &[&str] = &["file", "folder", "network", "webhook", "singer"];
pub(super) const SOURCE_KIND: Key = key(
    "kind",
    Form::Words(SOURCE_KINDS),
    Need::Required,
    "`file`: one NDJSON file of Activity Streams activities. `folder`: a drop folder. Files may be compressed (`.gz`). `network`: a network's \
     interface, as a connector describes it. `webhook`: the network delivers by itself. `singer`: a Singer tap, run as a program.",
    "\"folder\"",
);
pub(super) const SOURCE_PATH: Key = only("file", key("path", Form::Path, Need::Required, "The file.", "\"data/activities.ndjson.gz\""));
pub(super) const INBOX: Key = only(
    "folder",
    key(
        "inbox",
        Form::Path,
        Need::Required,
        "Where files are dropped. Move them in whole (write elsewhere, then rename).",
        "\"/srv/kith/inbox\"",
    ),
);
pub(super) const DONE: Key =
    only("folder", key("done", Form::Path, Need::Required, "Where a file goes when all of it is taken in.", "\"/srv/kith/done\""));
pub(super) const FORMATS: &[&str] = &["activities", "ndjson", "csv", "parquet"];
pub(super) const FORMAT: Key = only(
    "folder",
    key(
        "format",
        Form::Words(FORMATS),
        Need::Default("activities"),
        "What the files hold. `activities`: a line of Activity Streams each. `ndjson`, `csv` (the first row names the columns), `parquet`: records \
         that `records` makes into activities. NDJSON and CSV may be compressed (`.gz`).",
        "\"csv\"",
    ),
);
pub(super) const DELIMITER: Key = only(
    "folder",
    key("delimiter", Form::Character, Need::Default(","), "With `format = \"csv\"`: what separates cells, one character.", "\";\""),
);
pub(super) const RECORDS: Key = only(
    "folder, singer",
    key(
        "records",
        Form::Path,
        Need::Optional("The files hold activities; a tap needs it."),
        "The records file: how a record becomes an activity (`connectors/README.md`).",
        "\"connectors/records/helpdesk.yaml\"",
    ),
);
pub(super) const STREAM: Key = only(
    "folder",
    key(
        "stream",
        Form::Text(255),
        Need::Optional("The records file has one stream."),
        "With `records`: which of its streams the rows are.",
        "\"tickets\"",
    ),
);

/// The form of a file of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowFormat {
    /// A JSON object a line.
    Ndjson,
    /// RFC 4180, the first row naming the columns.
    Csv {
        /// What separates cells: one ASCII character.
        delimiter: u8,
    },
    /// Apache Parquet.
    Parquet,
}

/// What the files of a drop folder hold, where they are no activities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowsSpec {
    /// Their form.
    pub format: RowFormat,
    /// The records file.
    pub records: PathBuf,
    /// Which of its streams, where it has several.
    pub stream: Option<Arc<str>>,
    /// The records file, read by those who load the project; checking reads none.
    pub loaded: Option<Arc<Records>>,
}

impl RowsSpec {
    /// How a row becomes an activity; `None` before the records file was read.
    pub fn projection(&self) -> Option<&Arc<Projection>> {
        self.loaded.as_ref()?.one(self.stream.as_deref())
    }
}

impl SourceKind {
    /// The records file that it names, and where it is kept once it was read.
    pub fn records_mut(&mut self) -> Option<(&PathBuf, &mut Option<Arc<Records>>)> {
        match self {
            Self::Folder { rows, .. } => rows.as_deref_mut().map(|rows| (&rows.records, &mut rows.loaded)),
            Self::Singer(tap) => Some((&tap.records, &mut tap.loaded)),
            Self::File { .. } | Self::Network(_) | Self::Webhook(_) => None,
        }
    }

    /// The records file, once it was read.
    pub fn loaded_records(&self) -> Option<&Arc<Records>> {
        match self {
            Self::Folder { rows, .. } => rows.as_deref()?.loaded.as_ref(),
            Self::Singer(tap) => tap.loaded.as_ref(),
            Self::File { .. } | Self::Network(_) | Self::Webhook(_) => None,
        }
    }

    /// The records file that it names.
    pub fn records(&self) -> Option<&PathBuf> {
        match self {
            Self::Folder { rows, .. } => rows.as_deref().map(|rows| &rows.records),
            Self::Singer(tap) => Some(&tap.records),
            Self::File { .. } | Self::Network(_) | Self::Webhook(_) => None,
        }
    }
}

impl<'a> Checker<'a> {
    /// A drop folder, and what its files hold.
    pub(super) fn folder(&mut self, table: &Table<'a>, inbox: PathBuf, done: PathBuf) -> Option<SourceKind> {
        let format = self.word(table, &FORMAT).and_then(|at| FORMATS.get(at).copied())?;
        let delimiter = self.character(table, &DELIMITER);
        let stream = self.text(table, &STREAM).map(|(text, _)| text.into());
        let records = if table.values.contains_key(RECORDS.name) { self.path(table, &RECORDS) } else { None };
        for (key, with) in [(&DELIMITER, format == "csv"), (&STREAM, format != "activities"), (&RECORDS, format != "activities")] {
            if let Some(node) = table.values.get(key.name).filter(|_| !with) {
                let message = format!("`{}` means nothing with `format = \"{format}\"`", key.name);
                self.error(super::codes::EXCLUDE_EACH_OTHER, &node.key, message, "remove it, or say in `format` what the files hold");
            }
        }
        let format = match format {
            "ndjson" => RowFormat::Ndjson,
            "csv" => RowFormat::Csv { delimiter: delimiter? },
            "parquet" => RowFormat::Parquet,
            _ => return Some(SourceKind::Folder { inbox, done, rows: None }),
        };
        if !table.values.contains_key(RECORDS.name) {
            let message = format!("{} lacks the key `records`", table.title);
            self.error(MISSING, &table.place, message, format!("add `records = {}`: how a record becomes an activity", RECORDS.example));
        }
        let rows = RowsSpec { format, records: records?, stream, loaded: None };
        Some(SourceKind::Folder { inbox, done, rows: Some(Box::new(rows)) })
    }
}
