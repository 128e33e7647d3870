//! The evidence for one candidate as a waterfall: from the prior, step by step, to the total. Every number is the stored evidence's own.

use crate::cli::html::escaped;
use crate::cli::page::line;
use crate::model::{Candidate, Evidence};
use serde_json::{Value as Json, json};

/// One step: what it is, its bits, and the sum after it.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::cli) struct Step {
    /// `prior`, or the comparison and its level.
    pub(super) what: String,
    /// Whether anything was compared: a value that is missing says nothing.
    pub(super) compared: bool,
    /// Bits that it adds.
    pub(super) bits: f64,
    /// The sum before it.
    pub(super) before: f64,
    /// The sum after it; the last one is the match weight, to the bit.
    pub(super) after: f64,
}

/// The steps of a candidate, in the order in which the weight was summed: of each comparison its level, then its term frequency.
///
/// Level and term frequency of a comparison are added one after the other, as `resolve` does, so that the last sum is the match weight.
pub(in crate::cli) fn steps(prior_bits: f64, candidate: &Candidate) -> Vec<Step> {
    let mut sum = prior_bits;
    let mut steps = vec![Step { what: PRIOR.into(), compared: true, bits: prior_bits, before: 0.0, after: prior_bits }];
    for outcome in &candidate.comparisons {
        let before = sum;
        sum += outcome.bits;
        let compared = outcome.gamma >= 0;
        let what = if compared { format!("{}: {}", outcome.comparison, outcome.level) } else { outcome.comparison.to_string() };
        steps.push(Step { what, compared, bits: outcome.bits, before, after: sum });
        let before = sum;
        sum += outcome.term_frequency_bits;
        if let Some(frequency) = outcome.term_frequency {
            steps.push(Step {
                what: format!("… {}", how_common(frequency)),
                compared,
                bits: outcome.term_frequency_bits,
                before,
                after: sum,
            });
        }
    }
    steps
}

/// `one customer in 3,200 has it`
fn how_common(frequency: f64) -> String {
    if frequency <= 0.0 {
        return "nobody has it".to_owned();
    }
    format!("one in {:.0} has it", 1.0 / frequency)
}

/// What stands before any comparison: how likely a customer is before anything is compared.
const PRIOR: &str = "prior: before anything is compared";

/// The steps that say something, and the names of what was not compared since a side lacks it.
fn told(steps: &[Step]) -> (Vec<&Step>, Vec<&str>) {
    let not_compared = steps.iter().filter(|step| !step.compared).map(|step| step.what.as_str()).collect();
    (steps.iter().filter(|step| step.compared).collect(), not_compared)
}

/// Columns of the bars.
const WIDTH: u16 = 36;

/// Least and greatest sum, zero among them.
fn span(steps: &[Step]) -> (f64, f64) {
    steps.iter().fold((0.0_f64, 0.0_f64), |(low, high), step| (low.min(step.after), high.max(step.after)))
}

/// Where a sum lies on a scale of this width.
fn place(value: f64, (low, high): (f64, f64), width: f64) -> f64 {
    if high > low { (value - low) / (high - low) * width } else { 0.0 }
}

/// The waterfall as lines of text.
pub(in crate::cli) fn text(out: &mut String, steps: &[Step]) {
    let range = span(steps);
    let width = f64::from(WIDTH);
    let zero = place(0.0, range, width).round();
    let (told, not_compared) = told(steps);
    for step in told {
        let (from, to) =
            (place(step.before.min(step.after), range, width).round(), place(step.before.max(step.after), range, width).round());
        let bar: String = (0..=WIDTH)
            .map(|column| {
                let column = f64::from(column);
                let inside = column >= from && column < to;
                match (inside, step.bits < 0.0) {
                    (true, true) => '░',
                    (true, false) => '█',
                    (false, _) if (column - zero).abs() < 0.5 => '│',
                    (false, _) => ' ',
                }
            })
            .collect();
        line(out, format_args!("    {:>+8.2}  {bar}  {}", step.bits, step.what));
    }
    if let Some(last) = steps.last() {
        line(
            out,
            format_args!("    {:>+8.2}  {:<width$}  total; each bit doubles the odds", last.after, "", width = usize::from(WIDTH) + 1),
        );
    }
    if !not_compared.is_empty() {
        line(out, format_args!("              not compared, a side lacks it: {}", not_compared.join(", ")));
    }
}

/// The steps as JSON.
pub(super) fn json(steps: &[Step]) -> Json {
    steps
        .iter()
        .map(|step| json!({ "what": step.what, "compared": step.compared, "bits": step.bits, "before": step.before, "after": step.after }))
        .collect::<Vec<_>>()
        .into()
}

/// Most candidates drawn; more would make a picture nobody reads.
const MOST_DRAWN: usize = 5;

/// The waterfalls of the best candidates as one SVG picture, 900 units wide.
pub(super) fn svg(title: &str, decision: &str, evidence: &Evidence, candidates: &[&Candidate]) -> String {
    const ROW: u16 = 22;
    const LEFT: f64 = 390.0;
    const BAR: f64 = 420.0;
    let drawn: Vec<(&Candidate, Vec<Step>)> =
        candidates.iter().take(MOST_DRAWN).map(|candidate| (*candidate, steps(evidence.prior_bits, candidate))).collect();
    let range = drawn.iter().map(|(_, steps)| span(steps)).fold((0.0_f64, 0.0_f64), |a, b| (a.0.min(b.0), a.1.max(b.1)));
    let zero = LEFT + place(0.0, range, BAR);
    let mut body = String::new();
    let mut y: u32 = 76;
    for (candidate, steps) in &drawn {
        line(
            &mut body,
            format_args!(
                r#"<text x="20" y="{y}" class="h">{} · posterior {:.2} % · {:.2} bits{}</text>"#,
                escaped(candidate.customer.as_str()),
                candidate.posterior * 100.0,
                candidate.match_weight,
                if candidate.rules.is_empty() { String::new() } else { format!(" · rule {}", escaped(&candidate.rules.join(", "))) }
            ),
        );
        y += 12;
        let top = y;
        let (told, not_compared) = told(steps);
        for step in told {
            let (from, to) = (LEFT + place(step.before.min(step.after), range, BAR), LEFT + place(step.before.max(step.after), range, BAR));
            let class = if step.what == PRIOR {
                "p"
            } else if step.bits < 0.0 {
                "n"
            } else {
                "y"
            };
            let middle = y + 15;
            line(&mut body, format_args!(r#"<text x="{}" y="{middle}" text-anchor="end">{}</text>"#, LEFT - 12.0, escaped(&step.what)));
            line(
                &mut body,
                format_args!(r#"<rect x="{from:.1}" y="{}" width="{:.1}" height="14" class="{class}"/>"#, y + 4, (to - from).max(1.0)),
            );
            line(&mut body, format_args!(r#"<text x="880" y="{middle}" text-anchor="end" class="b">{:+.2}</text>"#, step.bits));
            y += u32::from(ROW);
        }
        if let Some(last) = steps.last() {
            let x = LEFT + place(last.after, range, BAR);
            line(&mut body, format_args!(r#"<line x1="{x:.1}" y1="{top}" x2="{x:.1}" y2="{}" class="t"/>"#, y + 4));
            line(&mut body, format_args!(r#"<text x="{}" y="{}" text-anchor="end" class="h">total</text>"#, LEFT - 12.0, y + 15));
            line(&mut body, format_args!(r#"<text x="880" y="{}" text-anchor="end" class="h">{:+.2}</text>"#, y + 15, last.after));
            if !not_compared.is_empty() {
                let missing = escaped(&not_compared.join(", "));
                line(
                    &mut body,
                    format_args!(r#"<text x="{}" y="{}" text-anchor="end">not compared, a side lacks it:</text>"#, LEFT - 12.0, y + 35),
                );
                line(&mut body, format_args!(r#"<text x="{LEFT}" y="{}">{missing}</text>"#, y + 35));
            }
        }
        line(&mut body, format_args!(r#"<line x1="{zero:.1}" y1="{top}" x2="{zero:.1}" y2="{}" class="z"/>"#, y + 4));
        y += 66;
    }
    let more = candidates.len().saturating_sub(drawn.len());
    if more > 0 {
        line(&mut body, format_args!(r#"<text x="20" y="{y}">{more} more candidates are not drawn</text>"#));
        y += 26;
    }
    let height = y;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {height}" width="900" height="{height}" font-family="sans-serif" font-size="13">
<style>.h{{font-weight:bold}}.p{{fill:#8a8f98}}.y{{fill:#2b7a4b}}.n{{fill:#b3402e}}.b{{font-family:monospace}}.z{{stroke:#8a8f98;stroke-dasharray:3 3}}.t{{stroke:#1b1f24}}text{{fill:#1b1f24}}</style>
<rect width="900" height="{height}" fill="white"/>
<text x="20" y="28" font-size="17" class="h">{}</text>
<text x="20" y="48">{} · each bit doubles the odds</text>
{body}</svg>
"#,
        escaped(title),
        escaped(decision)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ComparisonOutcome, Personal};
    use proptest::prelude::*;

    fn candidate(prior: f64, parts: &[(f64, Option<f64>)]) -> Candidate {
        let comparisons: Vec<ComparisonOutcome> = parts
            .iter()
            .map(|(bits, tf)| ComparisonOutcome {
                comparison: "name <&>".into(),
                level: "full".into(),
                gamma: 1,
                bits: *bits,
                term_frequency: tf.map(|_| 1e-4),
                term_frequency_bits: tf.unwrap_or(0.0),
            })
            .collect();
        let match_weight = comparisons.iter().fold(prior, |sum, c| sum + c.bits + c.term_frequency_bits);
        Candidate { customer: "C1".into(), posterior: 0.9, match_weight, comparisons, rules: Vec::new(), values: Personal::default() }
    }

    proptest! {
        #[test]
        fn the_last_sum_is_the_match_weight_to_the_bit(
            prior in -30.0_f64..0.0, parts in proptest::collection::vec((-20.0_f64..20.0, proptest::option::of(-8.0_f64..8.0)), 0..9),
        ) {
            let candidate = candidate(prior, &parts);
            let steps = steps(prior, &candidate);
            prop_assert_eq!(steps.last().unwrap().after.to_bits(), candidate.match_weight.to_bits());
            for pair in steps.windows(2) {
                prop_assert_eq!(pair[0].after.to_bits(), pair[1].before.to_bits());
            }
            let mut out = String::new();
            text(&mut out, &steps);
            prop_assert_eq!(out.lines().count(), steps.len() + 1, "everything here was compared");
        }
    }

    #[test]
    fn a_picture_is_well_formed_xml() {
        let candidate = candidate(-17.0, &[(20.0, Some(2.0)), (-3.0, None)]);
        let evidence = Evidence {
            identity: Personal::default(),
            candidates: vec![candidate.clone()],
            rest_count: 0,
            rest_odds: 0.0,
            prior_bits: -17.0,
            rules: Vec::new(),
            cuts: Vec::new(),
            held: None,
            mapping: crate::model::Digest([0; 32]),
            model: crate::model::Digest([0; 32]),
            lookups: crate::model::Digest([0; 32]),
        };
        let many: Vec<&Candidate> = (0..7).map(|_| &candidate).collect();
        let picture = svg("x <1> & co", "linked", &evidence, &many);
        assert!(picture.contains("name &lt;&amp;&gt;: full") && picture.contains("2 more candidates"));
        assert_eq!(picture.matches("<text").count(), picture.matches("</text>").count());
        assert!(!picture.contains("NaN") && picture.ends_with("</svg>\n"));
    }
}
