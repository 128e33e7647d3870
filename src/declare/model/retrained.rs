//! A model file with trained numbers in the place of the old ones: everything else of the file, comments too, stays as it was written.

use crate::declare::yaml::{self, Node};
use crate::diagnose::{SourceFile, Span};
use crate::resolve::{Compared, LevelTest, Model, Prior, Trained};
use std::sync::Arc;

/// Where a trained model is from, for the lines above it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provenance {
    /// The day of training, `2026-11-27`.
    pub date: String,
    /// The seed.
    pub seed: u64,
    /// SHA-256 of the cleaned values that it was trained on.
    pub data: String,
    /// The recall that was stated for the exact rules.
    pub recall: String,
    /// Identities and customers.
    pub seen: (usize, usize),
    /// What nothing trained.
    pub untrained: Vec<String>,
}

/// First words of the lines that a training writes above a model; a later training replaces them.
const MARK: &str = "# trained: ";

/// The text of the model file with trained numbers. `None` where the file is no model.
pub fn retrained(file: &Arc<SourceFile>, model: &Model, trained: &Trained, from: &Provenance) -> Option<String> {
    let tree = yaml::read(file).value?;
    let mut edits: Vec<(Span, String)> = Vec::new();
    let mut put = |node: Option<&Node>, value: Option<f64>| {
        if let (Some(node), Some(value)) = (node, value) {
            edits.push((node.span, written(value)));
        }
    };
    for (node, comparison) in tree.get("comparisons").map(Node::list).unwrap_or_default().iter().zip(&trained.comparisons) {
        for (node, level) in node.get("levels").map(Node::list).unwrap_or_default().iter().zip(&comparison.levels) {
            put(node.get("m"), level.m);
            put(node.get("u"), level.u);
        }
    }
    // Where the u of agreeing exactly was counted, it is what the frequency replaces. Any other u was trained beside the frequency as it stands.
    for (comparison, of) in model.comparisons.iter().zip(&trained.comparisons) {
        let Compared::Field { customer, .. } = &comparison.compared else { continue };
        for (level, trained) in
            comparison.levels.iter().zip(&of.levels).filter(|(level, trained)| level.test == LevelTest::Exact && trained.exact)
        {
            let frequency = level.term_frequency.and_then(|number| model.term_frequencies.get(number));
            if let Some(frequency) = frequency.filter(|frequency| frequency.counts(customer)) {
                let entries = tree.get("term_frequencies").map(Node::entries).unwrap_or_default();
                put(entries.iter().find(|e| e.key == frequency.name).and_then(|e| e.value.get("u")), trained.u);
            }
        }
    }
    match (tree.get("prior"), trained.prior(model)) {
        (Some(prior), Prior::Pair(pair)) if trained.share.is_some() => put(prior.get("pair"), Some(pair)),
        (Some(prior), Prior::Share { share, customers }) if trained.share.is_some() => {
            if let Some(node) = prior.get("share") {
                edits.push((node.span, format!("{:.3} %", share * 100.0)));
            }
            if let Some(node) = prior.get("customers") {
                edits.push((node.span, customers.to_string()));
            }
        }
        _ => {}
    }
    edits.sort_by_key(|(span, _)| span.start);
    let (mut out, mut done) = (above(from), 0);
    for (span, text) in edits {
        out.push_str(file.text.get(done..span.start)?);
        out.push_str(&text);
        done = span.end;
    }
    out.push_str(file.text.get(done..)?);
    // Lines of an earlier training say nothing about these numbers.
    let head = above(from);
    let rest: String = out.get(head.len()..)?.split_inclusive('\n').filter(|line| !line.starts_with(MARK)).collect();
    Some(head + &rest)
}

fn above(from: &Provenance) -> String {
    let (identities, customers) = from.seen;
    let mut lines = vec![
        format!("by kith match train on {}, seed {}, recall of the exact rules {}", from.date, from.seed, from.recall),
        format!("on {identities} identities and {customers} customers, sha256 {}", from.data),
    ];
    if !from.untrained.is_empty() {
        lines.push(format!("kept as they were, for nothing trained them: {}", from.untrained.join("; ")));
    }
    lines.iter().fold(String::new(), |out, line| out + MARK + line + "\n")
}

/// Six digits, never rounded to 0 or 1.
fn written(value: f64) -> String {
    let digits = if value < 1e-4 { 12 } else { 7 };
    let text = format!("{:.digits$}", value.clamp(1e-12, 1.0 - 1e-7));
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::model::read;
    use crate::resolve::{TrainedComparison, TrainedLevel};

    #[test]
    fn only_numbers_change_and_the_file_reads_as_trained() {
        let text = "# weights of ours\nkith: 1\nmodel: m\nprior: { share: 60 %, customers: 100 } # guessed\nblocking: [{ id: a, same: [city], cut_above: 9 }]\nterm_frequencies: { city: { of: [city], u: 1 in 30, typical: 0.01 } }\ncomparisons:\n  - comparison: city\n    compare: city\n    levels:\n      - { level: same, when: exact, m: 0.9, u: 1 in 25, term_frequency: city } # best\n      - { level: other, when: else, m: 10 %, u: 0.96 }\n";
        let file = Arc::new(SourceFile { name: "m.yaml".into(), text: text.into() });
        let model = read(&file, None).value.unwrap();
        let level = |label: &str, m, u, exact| TrainedLevel { label: label.into(), m, u, exact };
        let mut trained = Trained {
            comparisons: vec![TrainedComparison {
                known: None,
                rivals: None,
                name: "city".into(),
                levels: vec![level("same", Some(0.75), Some(0.000_000_2), true), level("other", Some(0.25), None, false)],
            }],
            sessions: Vec::new(),
            share: Some(0.5),
            seen: (10, 200),
        };
        let from = Provenance {
            date: "2026-11-27".into(),
            seed: 7,
            data: "ab".into(),
            recall: "0.8".into(),
            seen: (10, 200),
            untrained: trained.untrained(),
        };
        let again = retrained(&file, &model, &trained, &from).unwrap();
        assert!(again.contains("# weights of ours\n") && again.contains("# guessed") && again.contains("# best"), "{again}");
        assert!(again.starts_with("# trained: by kith match train on 2026-11-27, seed 7"), "{again}");
        let second = Arc::new(SourceFile { name: "m.yaml".into(), text: again });
        let read_again = read(&second, None).value.unwrap();
        let levels = &read_again.comparisons[0].levels;
        assert_eq!((levels[0].m, levels[1].m, levels[1].u), (0.75, 0.25, 0.96));
        assert!((levels[0].u - 2e-7).abs() < 1e-15);
        assert_eq!(read_again.term_frequencies[0].u.to_bits(), levels[0].u.to_bits(), "the frequency replaces the trained u");
        trained.comparisons[0].levels[0].exact = false;
        let beside = retrained(&file, &model, &trained, &from).unwrap();
        assert!(beside.contains("u: 1 in 30, typical"), "what was not counted was trained beside the frequency: {beside}");
        assert_eq!(read_again.prior, Prior::Share { share: 0.5, customers: 200 });
        let third = retrained(&second, &read_again, &trained, &from).unwrap();
        assert_eq!(third.matches("# trained: by").count(), 1, "an earlier training's lines are replaced");
    }
}
