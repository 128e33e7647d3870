//! Every pair of Splink's own scores: the same pairs, charged to the same rules, with the same gammas, term frequencies and weights.

use super::{FrameBuilder, Linker, Scores, Settings};
use crate::diagnose::SourceFile;
use flate2::read::MultiGzDecoder;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const WITHIN: f64 = 1e-9;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/splink-parity").join(name)
}

fn table(path: &Path) -> csv::Reader<MultiGzDecoder<File>> {
    csv::Reader::from_reader(MultiGzDecoder::new(File::open(path).unwrap()))
}

fn close(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= WITHIN * theirs.abs().max(1.0)
}

fn parity(name: &str) {
    let dir = folder(name);
    let text = std::fs::read_to_string(dir.join("model.json")).unwrap();
    let checked = Settings::read(&Arc::new(SourceFile { name: "model.json".into(), text }));
    let settings = checked.value.unwrap_or_else(|| panic!("{:?}", checked.problems));
    let mut builder = FrameBuilder::new(&settings);
    for number in 0..2 {
        let path = dir.join(format!("input_{number}.csv.gz"));
        if !path.exists() {
            continue;
        }
        let mut reader = table(&path);
        let header = reader.headers().unwrap().clone();
        builder.table(&settings, &format!("__splink__input_table_{number}"), &header.iter().collect::<Vec<_>>()).unwrap();
        for record in reader.records() {
            let record = record.unwrap();
            builder.push(|at| record.get(at)).unwrap();
        }
    }
    let frame = builder.finish();
    let linker = Linker::new(&settings, &frame);
    let id = &settings.unique_id;

    let mut reader = table(&dir.join("pairs.csv.gz"));
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap_or_else(|| panic!("no column {name}"));
    let (left_id, right_id) = (column(&format!("{id}_l")), column(&format!("{id}_r")));
    let mut theirs: HashMap<(String, String), csv::StringRecord> = HashMap::new();
    for record in reader.records() {
        let record = record.unwrap();
        let key = (record[left_id].to_owned(), record[right_id].to_owned());
        assert!(theirs.insert(key, record).is_none(), "Splink gives each pair once");
    }

    let (mut scores, mut worker, mut wrong) = (Scores::default(), linker.worker(), Vec::new());
    for task in linker.tasks() {
        linker.score(task, &mut worker, &mut scores);
        for at in 0..scores.left.len() {
            let (left, right) = (scores.left[at], scores.right[at]);
            let key = (frame.id(left).to_owned(), frame.id(right).to_owned());
            let Some(record) = theirs.remove(&key) else {
                wrong.push(format!("{key:?} is no pair of Splink's"));
                continue;
            };
            let number = |name: &str| record[column(name)].parse::<f64>().ok();
            let mut check = |what: &str, ours: Option<f64>, theirs: Option<f64>| {
                let same = match (ours, theirs) {
                    (Some(ours), Some(theirs)) => close(ours, theirs),
                    (None, None) => true,
                    _ => false,
                };
                if !same {
                    wrong.push(format!("{key:?} {what}: {ours:?}, Splink {theirs:?}"));
                }
            };
            check("match_key", u32::try_from(task.rule).ok().map(f64::from), number("match_key"));
            check("match_weight", Some(scores.weights[at]), number("match_weight"));
            check("match_probability", Some(scores.probabilities[at]), number("match_probability"));
            for (n, comparison) in settings.comparisons.iter().enumerate() {
                let gamma = scores.gammas[n][at];
                check(&format!("gamma_{}", comparison.name), Some(f64::from(gamma)), number(&format!("gamma_{}", comparison.name)));
                check(&format!("bf_{}", comparison.name), Some(linker.bits(n, gamma).exp2()), number(&format!("bf_{}", comparison.name)));
                for term in comparison.levels.iter().filter_map(|l| l.term.as_ref()) {
                    let of = |row: u32| linker.frequencies(&term.column, &[row])[0];
                    check(&format!("tf_{}_l", term.column), of(left), number(&format!("tf_{}_l", term.column)));
                    check(&format!("tf_{}_r", term.column), of(right), number(&format!("tf_{}_r", term.column)));
                    let adjusted = linker.adjustment(n, gamma, left, right).exp2();
                    check("bf_tf_adj", Some(adjusted), number(&format!("bf_tf_adj_{}", comparison.name)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences, such as\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
    assert!(theirs.is_empty(), "{} pairs of Splink's are missing, such as {:?}", theirs.len(), theirs.keys().next());
}

#[test]
fn a_dedupe_of_20000_scores_as_splink_does() {
    parity("fake_20000");
}

#[test]
fn a_link_of_two_tables_scores_as_splink_does() {
    parity("febrl4_iso");
}
