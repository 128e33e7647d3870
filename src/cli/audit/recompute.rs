//! `kith audit recompute`: decisions taken again from the evidence in their entries, to the bit.

use super::super::opened::reader;
use super::super::{Exit, Session};
use super::{Leaves, unreadable};
use crate::audit::{Entry, Event, Part, SealedEvidence, evidence_digest};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::Decision;
use crate::pipeline::Parts;
use crate::resolve::recompute_known;
use crate::store::sqlite::SqliteReader;
use serde_json::{Value as Json, json};

const DIFFERS: Code = Code("KITH-A029");

/// Differences that are told one by one.
const MOST_TOLD: usize = 20;

/// Arguments of `audit recompute`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The number of a decision's entry; without one, every decision of the range
    #[arg(value_name = "NUMBER", conflicts_with_all = ["from", "to"])]
    pub number: Option<u64>,
    /// From this entry on
    #[arg(long, value_name = "NUMBER")]
    pub from: Option<u64>,
    /// Before this entry
    #[arg(long, value_name = "NUMBER")]
    pub to: Option<u64>,
}

/// What came of taking one decision again.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Again {
    /// The same, to the bit, from every value.
    Same,
    /// The same, to the bit; these values are erased, and the levels that stay were weighed.
    SameFromLevels,
    /// Not comparable, and why.
    Aside(&'static str),
    /// Another one: what differs.
    Differs(String),
}

#[derive(Default)]
struct Counts {
    same: u64,
    erased: u64,
    aside: std::collections::BTreeMap<&'static str, u64>,
    differs: Vec<(u64, String)>,
    differing: u64,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (parts, reader) = reader(session)?;
    let (from, to) = match arguments.number {
        Some(number) => (number, Some(number.saturating_add(1))),
        None => (arguments.from.unwrap_or(0), arguments.to),
    };
    let mut counts = Counts::default();
    let mut seen = 0;
    for leaf in Leaves::from(&reader, from) {
        let (number, bytes) = leaf.map_err(|error| unreadable(session, &error.to_string()))?;
        if to.is_some_and(|to| number >= to) {
            break;
        }
        let entry = Entry::decode(&bytes).map_err(|error| unreadable(session, &format!("entry {number}: {error}")))?;
        if !matches!(entry.event, Event::Decision { .. }) {
            continue;
        }
        seen += 1;
        match again(&entry, &parts, &reader).map_err(|message| unreadable(session, &format!("entry {number}: {message}")))? {
            Again::Same => counts.same += 1,
            Again::SameFromLevels => counts.erased += 1,
            Again::Aside(why) => *counts.aside.entry(why).or_default() += 1,
            Again::Differs(what) => {
                counts.differing += 1;
                if counts.differs.len() < MOST_TOLD {
                    counts.differs.push((number, what));
                }
            }
        }
    }
    if arguments.number.is_some() && seen == 0 {
        let remedy = "`kith audit search --kind decision` lists decisions with their numbers";
        return Err(super::wrong(session, "NUMBER", "there is no decision with this number", remedy));
    }
    Ok(tell(seen, &counts, session))
}

fn tell(seen: u64, counts: &Counts, session: &mut Session) -> Exit {
    for (number, what) in &counts.differs {
        let message = format!("the decision comes out otherwise: {what}");
        let remedy = "keep the log and report it: the same evidence and rules must give the same bits";
        session.terminal.problem(&Diagnostic::error(DIFFERS, Place::Named(format!("entry {number}")), message, remedy));
    }
    if session.terminal.is_json() {
        let differ: Vec<Json> = counts.differs.iter().map(|(number, what)| json!({ "number": number, "what": what })).collect();
        session.terminal.json(&json!({ "decisions": seen, "same": counts.same, "erased_same_from_levels": counts.erased,
            "not_compared": counts.aside, "different": counts.differing, "differences": differ }));
    } else {
        session.terminal.data(&format!("{seen} decisions: {} come out the same, to the bit", counts.same));
        if counts.erased > 0 {
            session.terminal.data(&format!("{} come out the same from their levels: values in their evidence are erased", counts.erased));
        }
        for (why, count) in &counts.aside {
            session.terminal.data(&format!("{count} are not compared: {why}"));
        }
        if counts.differing > 0 {
            session.terminal.data(&format!("{} come out otherwise", counts.differing));
        }
    }
    if counts.differing > 0 { Exit::Difference } else { Exit::Fine }
}

fn again(entry: &Entry, parts: &Parts, reader: &SqliteReader) -> Result<Again, String> {
    let Event::Decision { by, match_weight, probability, .. } = &entry.event else { return Ok(Again::Aside("no decision")) };
    if by.as_deref() == Some("person") {
        return Ok(Again::Aside("a person decided"));
    }
    if entry.why.mapping != Some(parts.rulebook.digest) {
        return Ok(Again::Aside("they were taken under another mapping than the one in force"));
    }
    let model = parts.rulebook.matching.model.as_ref().map(|model| model.digest);
    if model.is_some() && entry.why.model.is_some() && entry.why.model != model {
        return Ok(Again::Aside("they were taken with another model than the one in force"));
    }
    let sealed = match &entry.evidence {
        None => return Ok(Again::Aside("nobody was scored, so there is no evidence")),
        Some(Part::Here(evidence)) => evidence.clone(),
        Some(Part::ByDigest(part)) => {
            let bytes = reader.part(&part.digest).map_err(|e| e.to_string())?.ok_or("its evidence is a part that is not there")?;
            SealedEvidence::from_bytes(&bytes).map_err(|e| e.to_string())?
        }
    };
    let opened = sealed.open(|id| reader.key(id).ok().flatten()).map_err(|e| e.to_string())?;
    let complete = opened.is_complete();
    if complete && entry.why.evidence != Some(evidence_digest(&opened.evidence, &parts.keys.hash)) {
        return Ok(Again::Differs("the evidence is not the one that its digest names".into()));
    }
    let known = |position: usize| !opened.identity_erased && !opened.candidates_erased.contains(&position);
    let decision = recompute_known(&opened.evidence, &parts.rulebook.matching, known);
    let bits = |number: &Option<f64>| number.map(f64::to_bits);
    let found = decision.customer.is_some();
    let mut wrong = Vec::new();
    let outcome = crate::audit::EntryOutcome::from(decision.outcome);
    if entry.outcome != Some(outcome) {
        wrong.push(format!("outcome {}", outcome.name()));
    }
    if by.as_deref() != decision.by.as_ref().map(crate::model::LinkedBy::name) {
        wrong.push("another rule".to_owned());
    }
    if bits(match_weight) != bits(&found.then_some(decision.match_weight)) {
        wrong.push(format!("weight {} bits", decision.match_weight));
    }
    if bits(probability) != bits(&found.then_some(decision.probability)) {
        wrong.push(format!("probability {}", decision.probability));
    }
    if complete && customer_of(&decision, parts) != entry.subject.customer {
        wrong.push("another customer".to_owned());
    }
    Ok(match (wrong.is_empty(), complete) {
        (true, true) => Again::Same,
        (true, false) => Again::SameFromLevels,
        (false, _) => Again::Differs(wrong.join(", ")),
    })
}

fn customer_of(decision: &Decision, parts: &Parts) -> Option<crate::audit::SubjectHash> {
    decision.customer.as_ref().map(|customer| parts.keys.hash.customer(customer))
}
