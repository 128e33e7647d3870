//! `kith match explain`: why an identity is linked, or not, as a waterfall of the stored evidence. Shows personal data, and the log says so.

use super::reason::reason;
use super::waterfall;
use crate::cli::link::comparisons_json;
use crate::cli::opened::{reader, tell_read};
use crate::cli::page::line;
use crate::cli::{Exit, Session};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::{Candidate, CustomerId, Evidence, IdentityId, Network};
use crate::resolve::{Standing, standing};
use crate::store::sqlite::DecisionShown;
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

const BAD_ARGUMENT: Code = Code("KITH-C015");
const CANT_WRITE: Code = Code("KITH-C018");
const NO_SUCH_IDENTITY: Code = Code("KITH-R009");
const NO_SUCH_PAIR: Code = Code("KITH-R040");

/// Arguments of `match explain`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The network
    pub network: String,
    /// The identity's id, as `link list` writes it
    pub identity: String,
    /// Only this customer
    #[arg(long, value_name = "ID")]
    pub customer: Option<String>,
    /// Draw it into this file as well
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    explained(arguments, session).unwrap_or_else(|exit| exit)
}

fn explained(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let network: Network = arguments.network.parse().map_err(|error: crate::model::UnknownNetwork| {
        let known: Vec<&str> = Network::ALL.iter().map(|n| n.name()).collect();
        let remedy = format!("it is one of {}", known.join(", "));
        session.terminal.problem(&Diagnostic::error(BAD_ARGUMENT, Place::Named("argument NETWORK".into()), error.to_string(), remedy));
        Exit::Wrong
    })?;
    let id = IdentityId { network, id: arguments.identity.as_str().into() };
    let (parts, reader) = reader(session)?;
    let found = reader.decision(&id).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    let place = || Place::Named(format!("{network} {}", arguments.identity));
    let Some(shown) = found else {
        let remedy = "`kith link list` shows all identities";
        session.terminal.problem(&Diagnostic::error(NO_SUCH_IDENTITY, place(), "no decision about this identity", remedy));
        return Err(Exit::Wrong);
    };
    let candidates: Vec<&Candidate> = shown
        .evidence
        .iter()
        .flat_map(|evidence| &evidence.candidates)
        .filter(|c| arguments.customer.as_deref().is_none_or(|asked| c.customer.as_str() == asked))
        .collect();
    if let (Some(_), true) = (&arguments.customer, candidates.is_empty()) {
        let message = "this customer is not among the candidates of the stored evidence";
        let remedy = "no blocking rule brings the two together, or the evidence is too small to be kept; without --customer all candidates are shown";
        session.terminal.problem(&Diagnostic::error(NO_SUCH_PAIR, place(), message, remedy));
        return Err(Exit::Wrong);
    }
    let (matching, mapping) = (parts.rulebook.matching.clone(), parts.rulebook.digest);
    let subject = parts.keys.hash.identity(&id).to_string();
    tell_read(session, parts, "match explain", &[subject], 1)?;
    let standing = shown.evidence.as_ref().map(|evidence| standing(evidence, &matching));
    let reason = if shown.mapping == mapping {
        shown.evidence.as_ref().and_then(|evidence| reason(&shown.decision, evidence, &matching, standing.as_ref()))
    } else {
        Some("another mapping decided; `kith match changes` says what this one would".to_owned())
    };
    if let (Some(path), Some(evidence)) = (&arguments.svg, &shown.evidence) {
        let picture = waterfall::svg(&format!("{} {}", id.network, id.id), &headline(&shown), evidence, &candidates);
        write(session, path, &picture)?;
    }
    if session.terminal.is_json() {
        session.terminal.json(&page_json(&id, &shown, &candidates, standing.as_ref(), reason.as_deref()));
    } else {
        session.terminal.data(&page(&id, &shown, &candidates, standing.as_ref(), reason.as_deref()));
    }
    Ok(Exit::Fine)
}

/// Writes a picture.
pub(super) fn write(session: &mut Session, path: &Path, picture: &str) -> Result<(), Exit> {
    std::fs::write(path, picture).map_err(|error| {
        let remedy = "name a file in a folder that exists and that you may write to";
        let problem = Diagnostic::error(
            CANT_WRITE,
            Place::Path(path.display().to_string()),
            format!("the picture can't be written: {error}"),
            remedy,
        );
        session.terminal.problem(&problem);
        Exit::Failed
    })
}

fn headline(shown: &DecisionShown) -> String {
    let decision = &shown.decision;
    let customer = decision.customer.as_ref().map_or(String::new(), |c| format!(" · best candidate {}", c.as_str()));
    format!(
        "{}{customer} · posterior {:.3} % · {:.2} bits{}{}",
        decision.outcome.words(),
        decision.probability * 100.0,
        decision.match_weight,
        decision.by.as_ref().map_or(String::new(), |b| format!(" · by {}", b.name())),
        decision.basis.as_ref().map_or(String::new(), |b| format!(" · basis {b}"))
    )
}

/// What ties and duplicates there are, in sentences.
pub(super) fn sentences(standing: &Standing) -> Vec<String> {
    let named = |ids: &[CustomerId]| ids.iter().map(CustomerId::as_str).collect::<Vec<_>>().join(", ");
    let mut said = Vec::new();
    if standing.tied.len() > 1 {
        said.push(format!("a tie: {} are equally likely", named(&standing.tied)));
    }
    for group in &standing.duplicates {
        said.push(format!("probably one person twice in the CRM: {}", named(group)));
    }
    if let Some(ahead) = standing.ahead
        && ahead.is_finite()
    {
        said.push(format!("the best is {ahead:.1} times as likely as the next"));
    }
    said
}

fn page(id: &IdentityId, shown: &DecisionShown, candidates: &[&Candidate], standing: Option<&Standing>, reason: Option<&str>) -> String {
    let mut out = format!("{} {}\n", id.network, id.id);
    line(&mut out, format_args!("  {}", headline(shown)));
    if let Some(reason) = reason {
        line(&mut out, format_args!("  {reason}"));
    }
    let Some(evidence) = &shown.evidence else {
        out.push_str("  no evidence: nobody was scored, or its key was destroyed\n");
        return out;
    };
    for said in standing.iter().flat_map(|standing| sentences(standing)) {
        line(&mut out, format_args!("  {said}"));
    }
    for hit in &evidence.rules {
        let note = hit.set_aside.as_ref().map_or(String::new(), |why| format!(", set aside: {why}"));
        line(&mut out, format_args!("  rule {} names {} customer(s){note}", hit.rule, hit.customers));
    }
    if let Some(held) = &evidence.held {
        line(&mut out, format_args!("  held back for a person: {held}"));
    }
    for candidate in candidates {
        line(
            &mut out,
            format_args!(
                "\n  {} · posterior {:.4} %{}",
                candidate.customer.as_str(),
                candidate.posterior * 100.0,
                if candidate.rules.is_empty() { String::new() } else { format!(" · rule {}", candidate.rules.join(", ")) }
            ),
        );
        waterfall::text(&mut out, &waterfall::steps(evidence.prior_bits, candidate));
    }
    rest(&mut out, evidence);
    out
}

fn rest(out: &mut String, evidence: &Evidence) {
    if evidence.rest_count > 0 {
        line(
            out,
            format_args!(
                "\n  {} more below the floor of odds 1 in 1,024, all of them together with odds {:.2e}",
                evidence.rest_count, evidence.rest_odds
            ),
        );
    }
    for cut in &evidence.cuts {
        line(out, format_args!("  block {} was cut: {} customers share the key", cut.rule, cut.size));
    }
}

/// A candidate as JSON: the stored numbers and the steps that lead from one to the other.
pub(super) fn candidate_json(evidence: &Evidence, candidate: &Candidate) -> Json {
    json!({
        "customer_id": candidate.customer.as_str(), "posterior": candidate.posterior, "match_weight": candidate.match_weight,
        "prior_bits": evidence.prior_bits, "comparisons": comparisons_json(candidate), "rules": candidate.rules.iter().map(|r| &**r).collect::<Vec<_>>(),
        "waterfall": waterfall::json(&waterfall::steps(evidence.prior_bits, candidate)),
    })
}

fn page_json(id: &IdentityId, shown: &DecisionShown, candidates: &[&Candidate], standing: Option<&Standing>, reason: Option<&str>) -> Json {
    let decision = &shown.decision;
    json!({
        "network": id.network.name(), "identity_id": &*id.id, "decision": decision.outcome.name(),
        "customer_id": decision.customer.as_ref().map(CustomerId::as_str), "probability": decision.probability,
        "match_weight": decision.match_weight, "rule": decision.by.as_ref().map(|b| b.name().to_owned()),
        "basis": decision.basis.as_deref(), "evidence_digest": shown.evidence_digest.to_string(),
        "candidates": shown.evidence.as_ref().map(|e| candidates.iter().map(|c| candidate_json(e, c)).collect::<Vec<_>>()),
        "rest_count": shown.evidence.as_ref().map(|e| e.rest_count), "rest_odds": shown.evidence.as_ref().map(|e| e.rest_odds),
        "reason": reason, "held": shown.evidence.as_ref().and_then(|e| e.held.as_deref()),
        "tied": standing.map(|s| s.tied.iter().map(CustomerId::as_str).collect::<Vec<_>>()),
        "duplicates": standing.map(|s| s.duplicates.iter().map(|g| g.iter().map(CustomerId::as_str).collect::<Vec<_>>()).collect::<Vec<_>>()),
        "ahead_of_next": standing.and_then(|s| s.ahead).filter(|a| a.is_finite()),
    })
}
