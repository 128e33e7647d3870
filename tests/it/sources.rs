//! Promise: every line of a source is read or parked with its reason, once, whatever the file looks like and whenever reading stops.

use kith::model::Verb;
use kith::normalize::IdentityFields;
use kith::normalize::activity_streams::Reader;
use kith::source::{BatchLimits, FileCursor, FileReader, Opened, SourceLine};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn retail() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/retail/activities.ndjson.gz")
}

fn reader() -> Reader {
    let paths = ["actor.name", "actor.summary", "actor.location.name", "actor.preferredUsername"];
    Reader::new(&IdentityFields { paths: paths.map(Into::into).to_vec(), fields: vec![] }, None)
}

/// Reads up to the end, stopping and opening again with the stored cursor after every `stop` batches.
fn read(path: &Path, stop: usize) -> Vec<SourceLine> {
    let (mut lines, mut stored): (Vec<SourceLine>, Option<Vec<u8>>) = (Vec::new(), None);
    loop {
        let cursor = stored.as_deref().and_then(FileCursor::from_bytes);
        let Opened::Reading(mut file) = FileReader::open(path, cursor.as_ref()).unwrap() else { return lines };
        for _ in 0..stop {
            let Some(batch) = file.next_batch(BatchLimits::lines(5_000), &reader()).unwrap() else { return lines };
            lines.extend(batch.lines);
            stored = Some(batch.cursor_after.to_bytes());
        }
    }
}

#[test]
fn every_line_of_the_retail_data_is_an_activity_or_parked_for_one_of_its_five_faults() {
    let lines = read(&retail(), 100);
    assert_eq!(lines.len(), 42_221);
    assert!(lines.iter().map(|l| l.line).eq(1..=42_221));
    let (mut verbs, mut codes) = (BTreeMap::new(), BTreeMap::new());
    for line in &lines {
        match &line.outcome {
            Ok(activity) => *verbs.entry(activity.verb.name()).or_insert(0) += 1,
            Err(malformed) => *codes.entry(malformed.code().0).or_insert(0) += 1,
        }
    }
    let expected = [("KITH-I001", 7), ("KITH-I002", 4), ("KITH-I007", 10), ("KITH-I009", 8), ("KITH-I010", 11)];
    let total: i32 = codes.values().sum();
    assert_eq!(codes.keys().copied().collect::<Vec<_>>(), expected.map(|(code, _)| code), "{codes:?}");
    assert_eq!(total + verbs.values().sum::<i32>(), 42_221);
    assert!(verbs[Verb::Create.name()] > 40_000 && verbs[Verb::Update.name()] > 1_000 && verbs[Verb::Delete.name()] > 700, "{verbs:?}");
}

#[test]
fn stopping_after_every_batch_reads_the_same_lines() {
    assert_eq!(read(&retail(), 1), read(&retail(), 100));
}
