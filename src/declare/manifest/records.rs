//! Records files: how records that no manifest of ours reads become activities. What a Singer tap gives, and rows of files, have the same
//! projection as a manifest's streams; it stands in a small file of its own.

use super::part::{Part, Resolver};
use super::projection::{self, BAD_PROJECTION, Projection};
use crate::declare::yaml;
use crate::diagnose::{Checked, Diagnostic, Place, SourceFile, Span};
use crate::model::{Digest, Network};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Keys at the top.
const KNOWN: [&str; 7] = ["kith", "records", "network", "streams", "documentation", "as_of", "definitions"];

/// A checked records file.
#[derive(Debug)]
pub struct Records {
    /// The network of everything in it.
    pub network: Option<Network>,
    /// How records become activities, by stream.
    pub projections: Vec<Arc<Projection>>,
    /// SHA-256 of the file.
    pub digest: Digest,
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Records {}

impl Records {
    /// The projection of a stream.
    pub fn of(&self, stream: &str) -> Option<&Arc<Projection>> {
        self.projections.iter().find(|projection| projection.stream == stream)
    }

    /// The only one, or the one that is named; a source of kind `folder` reads one.
    pub fn one(&self, stream: Option<&str>) -> Option<&Arc<Projection>> {
        match stream {
            Some(name) => self.of(name),
            None => self.projections.first().filter(|_| self.projections.len() == 1),
        }
    }

    /// Why a folder can't be read by it: none of its streams is meant for certain.
    pub fn unfit(&self, source: &str, stream: Option<&str>) -> Option<Diagnostic> {
        if self.one(stream).is_some() {
            return None;
        }
        let message = match stream {
            Some(name) => format!("the records file has no stream `{name}`"),
            None => format!("the records file has {} streams, and the source names none", self.projections.len()),
        };
        let place = Place::Named(format!("[sources.{source}]"));
        Some(Diagnostic::error(BAD_PROJECTION, place, message, "Name one of its `streams` in the key `stream` of the source"))
    }
}

/// Reads a records file: every complaint, each with its place.
pub fn read_records(file: &Arc<SourceFile>) -> Checked<Records> {
    let Checked { value: tree, mut problems } = yaml::read(file);
    let Some(tree) = tree else { return Checked::new(None, problems) };
    let written = Part::of(&tree.root, &file.text);
    let whole = Resolver::new(&tree, &written, &mut problems).resolve(&written);
    let mut complain = |span: Span, message: String, remedy: &str| {
        problems.push(Diagnostic::error(BAD_PROJECTION, tree.place(span), message, remedy));
    };
    for field in whole.fields() {
        if !KNOWN.contains(&&*field.key) {
            let remedy = "It has kith, records, network, streams, definitions, documentation and as_of";
            complain(field.key_span, format!("a records file does not know the key `{}`", field.key), remedy);
        }
    }
    if whole.get("kith").and_then(Part::scalar).as_deref() != Some("1") {
        complain(whole.span, "the version of the format is missing".to_owned(), "Write `kith: 1` at the top");
    }
    let network = projection::network(&whole, &mut complain);
    if whole.get("streams").is_none_or(|streams| streams.fields().is_empty()) {
        complain(whole.span, "the records file has no streams".to_owned(), "Write `streams:`, and in it each stream with its `activity`");
    }
    let projections = projection::streams(&whole, &mut complain, |_any| true);
    for beside in projections.iter().filter(|projection| projection.looks_beside()) {
        let message = format!("the stream `{}` looks beside its records, and nothing stands beside them here", beside.stream);
        complain(whole.span, message, "Remove `beside`: it belongs to the pages that a manifest reads");
    }
    problems.sort();
    let digest = Digest(Sha256::digest(file.text.as_bytes()).into());
    let projections = projections.into_iter().map(Arc::new).collect();
    Checked::new(Some(Records { network, projections, digest }), problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"kith: 1
records: helpdesk
network: web
streams:
  tickets:
    only: "record.public == 'yes'"
    activity:
      type: "'Create'"
      id: "record.url + '#create'"
      actor: { type: "'Person'", id: "record.author" }
      object: { type: "'Note'", id: "record.url", content: "record.text" }
"#;

    fn read(text: &str) -> Checked<Records> {
        read_records(&Arc::new(SourceFile { name: "x.yaml".into(), text: text.into() }))
    }

    #[test]
    fn a_records_file_projects_what_it_takes() {
        let records = read(GOOD).value.unwrap();
        assert_eq!(records.network, Some(Network::Web));
        let projection = records.one(None).unwrap();
        let record =
            serde_json::json!({ "public": "yes", "url": "https://x.example/1", "author": "https://x.example/u/7", "text": "hello" });
        let line = projection.line(record.clone(), &Surroundings::default()).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(line["object"]["content"], "hello");
        let mut hidden = record;
        hidden["public"] = "no".into();
        assert_eq!(projection.line(hidden, &Surroundings::default()), None);
        assert!(records.unfit("s", None).is_none() && records.unfit("s", Some("other")).is_some());
    }

    #[test]
    fn every_fault_is_told() {
        let faulty =
            GOOD.replace("kith: 1", "kith: 2").replace("network: web", "network: weeb\nstrems: 1").replace("record.text", "recrod.text");
        let messages: Vec<String> = read(&faulty).problems.0.iter().map(|problem| problem.message.clone()).collect();
        assert_eq!(messages.len(), 4, "{messages:?}");
        assert!(read("kith: 1\nrecords: x\n").problems.has_errors());
        let beside = GOOD.replace("    only:", "    beside: { a: { at: b, key: c, of: record.d } }\n    only:");
        assert!(read(&beside).problems.has_errors());
    }

    use crate::declare::manifest::Surroundings;
}
