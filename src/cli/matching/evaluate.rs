//! `kith match evaluate`: how right the mapping is against labelled identities. Shows personal data of its mistakes, and the log says so.

use super::explain::{candidate_json, write};
use super::{calibration_plot, waterfall};
use crate::cli::opened::{draft_and_customers, tell_read};
use crate::cli::page::line;
use crate::cli::progress::Bars;
use crate::cli::run::grouped;
use crate::cli::{Exit, Session};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::CustomerId;
use crate::pipeline::{Evaluated, Mistake, RunError, Truth, evaluate, read_known};
use crate::resolve::Matching;
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::sync::Arc;

const BAD_ARGUMENT: Code = Code("KITH-C015");
const CANT_READ_TRUTH: Code = Code("KITH-R002");

/// Arguments of `match evaluate`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Labels: a CSV file with `profile_id` (the last part of an identity's id) and `customer_id` (empty: no customer); `.gz` too
    #[arg(long, value_name = "FILE", required_unless_present = "reviewed")]
    pub truth: Option<PathBuf>,
    /// Labels: what people said in reviews and by hand
    #[arg(long, conflicts_with = "truth")]
    pub reviewed: bool,
    /// The precision to suggest settings for
    #[arg(long, value_name = "SHARE", default_value = "98%")]
    pub precision: String,
    /// Leave the exact rules out: the model alone decides
    #[arg(long)]
    pub without_rules: bool,
    /// How many of the worst mistakes to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub worst: usize,
    /// Draw the calibration into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    evaluated(arguments, session).unwrap_or_else(|exit| exit)
}

/// `98%`, `98 %` or `0.98`.
fn wanted(text: &str) -> Option<f64> {
    let share = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.trim().parse().ok()?,
    };
    (share > 0.0 && share < 1.0).then_some(share)
}

fn evaluated(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let Some(precision) = wanted(&arguments.precision) else {
        let remedy = "write a share between 0 % and 100 %, such as 98% or 0.98";
        let problem = Diagnostic::error(BAD_ARGUMENT, Place::Named("argument --precision".into()), "this is no share", remedy);
        session.terminal.problem(&problem);
        return Err(Exit::Wrong);
    };
    let truth = match &arguments.truth {
        None => None,
        Some(path) => Some(Truth::read(path).map_err(|error| {
            let place = Place::Path(path.display().to_string());
            let packed = path.with_added_extension("gz");
            let remedy = if !path.exists() && packed.exists() {
                format!("did you mean `{}`?", packed.display())
            } else {
                "it must be CSV with the columns profile_id and customer_id".to_owned()
            };
            session.terminal.problem(&Diagnostic::error(CANT_READ_TRUTH, place, error.to_string(), remedy));
            Exit::Wrong
        })?),
    };
    let (parts, reader) = draft_and_customers(session)?;
    let truth = match truth {
        Some(truth) => truth,
        None => Truth::reviewed(reader.labels().map_err(|error| {
            session.terminal.problem(&error.diagnostic());
            Exit::Failed
        })?),
    };
    let mut rulebook = (*parts.rulebook).clone();
    if arguments.without_rules {
        rulebook.matching = Arc::new(Matching { rules: Vec::new(), ..(*rulebook.matching).clone() });
    }
    let told = |session: &mut Session, error: &RunError| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    };
    let known = read_known(&parts.config, &rulebook).map_err(|error| told(session, &error))?;
    let bars = Bars::new(session.terminal.shows_progress());
    let evaluated = evaluate(&rulebook, &known, &reader, &truth, precision, arguments.worst, &bars);
    bars.clear();
    let evaluated = evaluated.map_err(|error| told(session, &error))?;
    let subjects: Vec<String> = evaluated.mistakes.iter().map(|m| parts.keys.hash.identity(&m.identity).to_string()).collect();
    if !subjects.is_empty() {
        let count = subjects.len() as u64;
        tell_read(session, parts, "match evaluate", &subjects, count)?;
    }
    if let Some(path) = &arguments.svg {
        write(session, path, &calibration_plot::svg(&evaluated.evaluation))?;
    }
    if session.terminal.is_json() {
        session.terminal.json(&page_json(&evaluated));
    } else {
        session.terminal.data(&page(&evaluated, arguments));
    }
    Ok(Exit::Fine)
}

fn page_json(evaluated: &Evaluated) -> Json {
    let mut json = serde_json::to_value(&evaluated.evaluation).unwrap_or_default();
    if let Json::Object(members) = &mut json {
        members.insert("blocking_recall".into(), evaluated.blocking_recall.into());
        members.insert("blocking".into(), serde_json::to_value(&evaluated.blocking).unwrap_or_default());
        members.insert("levels".into(), serde_json::to_value(&evaluated.levels).unwrap_or_default());
        members.insert("expected_share".into(), evaluated.expected_share.into());
        members.insert("labels_without_a_profile".into(), evaluated.unseen.into());
        members.insert("mistakes".into(), evaluated.mistakes.iter().map(mistake_json).collect::<Vec<_>>().into());
    }
    json
}

fn mistake_json(mistake: &Mistake) -> Json {
    let decision = &mistake.decision;
    let best =
        decision.evidence.as_ref().and_then(|e| Some((e, e.candidates.iter().find(|c| Some(&c.customer) == decision.customer.as_ref())?)));
    let truth = decision.evidence.as_ref().zip(mistake.true_candidate());
    json!({
        "network": mistake.identity.network.name(), "identity_id": &*mistake.identity.id, "decision": decision.outcome.name(),
        "customer_id": decision.customer.as_ref().map(CustomerId::as_str), "truth": mistake.truth.as_ref().map(CustomerId::as_str),
        "probability": decision.probability, "rule": decision.by.as_ref().map(|b| b.name().to_owned()),
        "best": best.map(|(e, c)| candidate_json(e, c)), "true_candidate": truth.map(|(e, c)| candidate_json(e, c)),
    })
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// With more places where it is nearly certain.
fn fine(share: f64) -> String {
    if share >= 0.99 { format!("{:.4} %", share * 100.0) } else { percent(share) }
}

/// Thresholds of the page; JSON has all.
const SHOWN: [f64; 12] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999];

fn page(evaluated: &Evaluated, arguments: &Arguments) -> String {
    let e = &evaluated.evaluation;
    let mut out = String::new();
    line(
        &mut out,
        format_args!(
            "  identities    {} with a label were decided; {} labels name a customer",
            grouped(e.identities),
            grouped(e.customers)
        ),
    );
    for (what, links) in [("linked", &e.decided), ("by the model", &e.by_model)] {
        line(
            &mut out,
            format_args!(
                "  {what:<12}  {:>8}   precision {:>7}   recall {:>7}",
                grouped(links.linked),
                percent(links.precision),
                percent(links.recall)
            ),
        );
    }
    line(&mut out, format_args!("  review        {:>8}   the best candidate is right for {}", grouped(e.review), grouped(e.review_right)));
    line(
        &mut out,
        format_args!(
            "  best F1       {:.3} at posterior {:.3} (precision {}, recall {})",
            e.best_f1,
            e.best_f1_at.probability,
            percent(e.best_f1_at.precision),
            percent(e.best_f1_at.recall)
        ),
    );
    line(&mut out, format_args!("  calibration   error {:.4} over {} equal bins", e.ece, e.calibration.len()));
    out.push_str("\n  posterior from   precision    recall      F1     linked\n");
    for t in e.thresholds.iter().filter(|t| SHOWN.iter().any(|p| (p - t.probability).abs() < 1e-9)) {
        line(
            &mut out,
            format_args!(
                "  {:>14}   {:>9}   {:>7}   {:.3}   {:>8}",
                t.probability,
                percent(t.precision),
                percent(t.recall),
                t.f1,
                grouped(t.linked)
            ),
        );
    }
    out.push_str("\n  announced                    right    people\n");
    for bin in &e.calibration {
        line(
            &mut out,
            format_args!("  {:>9} … {:>9}   {:>9}   {:>7}", fine(bin.from), fine(bin.to), percent(bin.right), grouped(bin.count)),
        );
    }
    line(&mut out, format_args!("\n  blocking brings the true customer for {} of the customers", percent(evaluated.blocking_recall)));
    out.push_str("  rule                     pairs       finds   finds alone   cut\n");
    for rule in &evaluated.blocking {
        line(
            &mut out,
            format_args!(
                "  {:<18} {:>11} {:>11} {:>13} {:>5}",
                rule.rule,
                grouped(rule.pairs),
                grouped(rule.found),
                grouped(rule.alone),
                grouped(rule.cut)
            ),
        );
    }
    out.push_str("\n  m of                                                   model   expected   observed\n");
    for level in &evaluated.levels {
        let name = format!("{}: {}", level.comparison, level.level);
        line(&mut out, format_args!("  {name:<52} {:.4}     {:.4}     {:.4}", level.m, level.expected, level.observed));
    }
    line(&mut out, format_args!("  share of identities that are customers, as the posteriors say: {}", percent(evaluated.expected_share)));
    match &e.suggestion {
        Some(s) => line(
            &mut out,
            format_args!(
                "\n  for a precision of {}: link_from {:.2} %, ahead_of_next {} times, ask_a_person_from {:.0} %\n    links {} with precision {} and recall {}, asks about {}",
                percent(s.precision),
                (s.link_from * 10_000.0).ceil() / 100.0,
                s.ahead_of_next,
                s.ask_a_person_from * 100.0,
                grouped(s.linked),
                percent(s.reached_precision),
                percent(s.recall),
                grouped(s.asked)
            ),
        ),
        None => line(&mut out, format_args!("\n  no settings keep a precision of {} on these data", arguments.precision)),
    }
    for mistake in &evaluated.mistakes {
        mistake_page(&mut out, mistake);
    }
    out
}

fn mistake_page(out: &mut String, mistake: &Mistake) {
    let decision = &mistake.decision;
    let Some(evidence) = &decision.evidence else { return };
    let id = |c: Option<&crate::model::CustomerId>| c.map_or("nobody".to_owned(), |c| c.as_str().to_owned());
    line(
        out,
        format_args!(
            "\n  mistake: {} {} · {} {} at {:.3} %{} · truth {}",
            mistake.identity.network,
            mistake.identity.id,
            decision.outcome.words(),
            id(decision.customer.as_ref()),
            decision.probability * 100.0,
            decision.by.as_ref().map_or(String::new(), |b| format!(" by {}", b.name())),
            id(mistake.truth.as_ref())
        ),
    );
    let best = evidence.candidates.iter().find(|c| Some(&c.customer) == decision.customer.as_ref());
    for candidate in best.into_iter().chain(mistake.true_candidate()) {
        line(out, format_args!("   {} · posterior {:.4} %", candidate.customer.as_str(), candidate.posterior * 100.0));
        waterfall::text(out, &waterfall::steps(evidence.prior_bits, candidate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_in_the_usual_ways() {
        for (text, share) in [("98%", 0.98), ("99.5 %", 0.995), ("0.9", 0.9)] {
            assert!((wanted(text).unwrap() - share).abs() < 1e-12, "{text}");
        }
        for junk in ["", "98", "0", "100%", "-5%", "NaN", "most"] {
            assert_eq!(wanted(junk), None, "{junk}");
        }
    }
}
