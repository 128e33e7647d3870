//! Evidence as canonical JSON: the whole of [`Evidence`] with exact doubles, personal values sealed person by person.
//!
//! Levels, weights, counts and rules stand in clear and outlive the keys: when a key is gone, the decision can still be taken again
//! from them. Each comparison level stands once, in `levels`; candidates name levels by their index.

use super::canonical::Writer;
use super::cursor::Cursor;
use super::hash::{HashKey, SubjectHash};
use super::member::Item;
use super::seal::{Binding, KeyId, PersonKey, SealError, Sealed, SealingKey, Unpredictable};
use super::tape::{Json, Tape};
use super::values;
use crate::model::{BlockCut, Candidate, ComparisonOutcome, CustomerId, Digest, Evidence, Personal, RuleHit, Value};
use serde_json::json;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The version of the evidence's form.
const VERSION: u64 = 1;

type NamedValues = [(Arc<str>, Value)];

/// Sealed evidence: canonical JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedEvidence(Vec<u8>);

/// Evidence that was opened.
#[derive(Clone, PartialEq, Debug)]
pub struct OpenedEvidence {
    /// The evidence; values whose key is gone are empty, and their candidate's customer reads `erased:` and its keyed hash.
    pub evidence: Evidence,
    /// Whether the identity's values are gone.
    pub identity_erased: bool,
    /// The candidates, by position, whose values are gone.
    pub candidates_erased: Vec<usize>,
}

impl OpenedEvidence {
    /// Whether nothing is gone: only then does the digest of the evidence compare.
    pub const fn is_complete(&self) -> bool {
        !self.identity_erased && self.candidates_erased.is_empty()
    }
}

/// Evidence that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotEvidence {
    /// A box does not open with the key that it names.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Not evidence of version 1.
    #[error("member `{0}` of the evidence is missing or wrong")]
    Form(&'static str),
}

/// The keyed digest of evidence: HMAC-SHA-256 under the installation's hash key over its plain canonical form.
///
/// The same evidence gives the same digest on the same installation, whatever keys seal it.
pub fn evidence_digest(evidence: &Evidence, hash: &HashKey) -> Digest {
    let plain: Result<Vec<u8>, std::convert::Infallible> = render(evidence, hash, |_, plain, out| {
        out.key("values");
        out.raw(plain);
        Ok(())
    });
    let Ok(plain) = plain;
    hash.evidence(&Zeroizing::new(plain))
}

impl SealedEvidence {
    /// Seals evidence: the identity's values under `identity`, each candidate's under what `customers` gives for it; a candidate
    /// without a key is written without its values.
    ///
    /// # Errors
    /// [`SealError::TooLarge`], far beyond what evidence holds.
    pub fn seal(
        evidence: &Evidence,
        hash: &HashKey,
        identity: &SealingKey,
        mut customers: impl FnMut(&CustomerId) -> Option<SealingKey>,
        random: &mut Unpredictable,
    ) -> Result<Self, SealError> {
        render(evidence, hash, |whose, plain, out| {
            let sealed = match whose {
                Whose::Identity => Some(identity.seal(IDENTITY, plain, random)?),
                Whose::Candidate(position, customer) => match customers(customer) {
                    None => None,
                    Some(key) => Some(key.seal(Binding { kind: KIND, field: &candidate_field(position) }, plain, random)?),
                },
            };
            if let Some(sealed) = sealed {
                out.key("sealed");
                sealed.write(out);
            }
            Ok(())
        })
        .map(Self)
    }

    fn of(json: Json<'_>) -> Option<Self> {
        (json.get("v")?.as_u64() == Some(VERSION)).then(|| Self(json.raw().as_bytes().to_vec()))
    }

    /// The canonical JSON.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Sealed evidence from its canonical JSON: a part that the store kept.
    ///
    /// # Errors
    /// [`NotEvidence::Form`] where it is not canonical JSON of version 1. The rest is checked by [`SealedEvidence::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotEvidence> {
        let tape = Tape::read(bytes).map_err(|_place_is_of_no_use| NotEvidence::Form("evidence"))?;
        Self::of(tape.json()).ok_or(NotEvidence::Form("v"))
    }

    /// The evidence again, given a way to find persons' keys.
    ///
    /// # Errors
    /// [`NotEvidence`]. A key that is gone is no error: see [`OpenedEvidence`].
    pub fn open(&self, mut keys: impl FnMut(KeyId) -> Option<PersonKey>) -> Result<OpenedEvidence, NotEvidence> {
        let tape = Tape::read(&self.0).map_err(|_checked_on_the_way_in| NotEvidence::Form("evidence"))?;
        let members = tape.json();
        let mut unseal = |binding: Binding<'_>, from: Json<'_>| -> Result<Option<Vec<Value>>, NotEvidence> {
            let Some(sealed) = from.get("sealed") else { return Ok(None) };
            let sealed = sealed.read::<Sealed>().ok_or(NotEvidence::Form("sealed"))?;
            let Some(key) = SealingKey::find(sealed.key_id, &mut keys) else { return Ok(None) };
            let plain = key.open(binding, &sealed)?;
            let tape = Tape::read(&plain).map_err(|_not_json| NotEvidence::Form("sealed"))?;
            let values = tape.json().elements().and_then(|items| items.map(values::read).collect());
            values.map(Some).ok_or(NotEvidence::Form("sealed"))
        };
        let identity = members.get("identity").ok_or(NotEvidence::Form("identity"))?;
        let identity_values = unseal(IDENTITY, identity)?;
        let identity_names = names(identity.get("names")).ok_or(NotEvidence::Form("identity"))?;
        let levels = list(members, "levels", read_level)?;
        let customer_names = names(members.get("customer_names")).unwrap_or_default();
        let mut candidates = Vec::new();
        let mut candidates_erased = Vec::new();
        for (position, candidate) in members.get("candidates").and_then(Json::elements).into_iter().flatten().enumerate() {
            let values = unseal(Binding { kind: KIND, field: &candidate_field(position) }, candidate)?;
            let names = names(candidate.get("names")).unwrap_or_else(|| customer_names.clone());
            if values.is_none() {
                candidates_erased.push(position);
            }
            candidates.push(read_candidate(candidate, values.as_deref(), &names, &levels).ok_or(NotEvidence::Form("candidates"))?);
        }
        let member = |name: &'static str| members.get(name).ok_or(NotEvidence::Form(name));
        let number = |name: &'static str| member(name).and_then(|j| j.read().ok_or(NotEvidence::Form(name)));
        let digest = |name: &'static str| member(name).and_then(|j| j.read().ok_or(NotEvidence::Form(name)));
        let evidence = Evidence {
            identity: Personal::new(match &identity_values {
                None => Vec::new(),
                Some(values) => zip(&identity_names, values).ok_or(NotEvidence::Form("identity"))?,
            }),
            candidates,
            rest_count: member("rest_count").and_then(|j| j.read().ok_or(NotEvidence::Form("rest_count")))?,
            rest_odds: number("rest_odds")?,
            prior_bits: number("prior_bits")?,
            rules: list(members, "rules", read_rule)?,
            cuts: list(members, "cuts", read_cut)?,
            held: match members.get("held") {
                None => None,
                Some(held) => Some(held.as_str().ok_or(NotEvidence::Form("held"))?.into()),
            },
            mapping: digest("mapping")?,
            model: digest("model")?,
            lookups: digest("lookups")?,
        };
        Ok(OpenedEvidence { evidence, identity_erased: identity_values.is_none(), candidates_erased })
    }
}

impl Item for SealedEvidence {
    fn write(&self, out: &mut Writer) {
        out.raw(&self.0);
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        Self::of(Tape::at(from, 1)?.json())
    }
    fn schema() -> serde_json::Value {
        json!({ "$ref": "#/$defs/evidence" })
    }
}

const KIND: &str = "decision";
const IDENTITY: Binding<'static> = Binding { kind: KIND, field: "evidence/identity" };

fn candidate_field(position: usize) -> String {
    format!("evidence/candidates/{position}")
}

/// Whose values are to be written.
enum Whose<'a> {
    Identity,
    Candidate(usize, &'a CustomerId),
}

/// A comparison level, as the table of levels holds it.
type Level<'a> = (&'a str, &'a str, i32, u64);

fn level_of(outcome: &ComparisonOutcome) -> Level<'_> {
    (&outcome.comparison, &outcome.level, outcome.gamma, outcome.bits.to_bits())
}

/// Writes the canonical form; `put` writes a person's values, given as a JSON array, under a name of its own.
fn render<E>(
    evidence: &Evidence,
    hash: &HashKey,
    mut put: impl FnMut(Whose<'_>, &[u8], &mut Writer) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut out = Writer::default();
    let customer_names: Vec<&str> = evidence.candidates.first().map_or_else(Vec::new, |c| name_list(c.values.reveal()));
    out.begin_object();
    out.key("candidates");
    out.begin_array();
    for (position, candidate) in evidence.candidates.iter().enumerate() {
        out.begin_object();
        out.key("customer");
        out.plain(hash.customer(&candidate.customer).to_string().as_bytes());
        let names = name_list(candidate.values.reveal());
        if names != customer_names {
            out.key("names");
            write_names(&names, &mut out);
        }
        out.key("outcomes");
        out.begin_array();
        candidate.comparisons.iter().for_each(|outcome| write_outcome(outcome, &mut levels, &mut out));
        out.end_array();
        out.key("posterior");
        Item::write(&candidate.posterior, &mut out);
        if !candidate.rules.is_empty() {
            out.key("rules");
            write_names(&candidate.rules, &mut out);
        }
        let id = Value::Text(candidate.customer.0.clone());
        let plain = plain_values(std::iter::once(&id).chain(candidate.values.reveal().iter().map(|(_, value)| value)));
        put(Whose::Candidate(position, &candidate.customer), &plain, &mut out)?;
        out.key("weight");
        Item::write(&candidate.match_weight, &mut out);
        out.end_object();
    }
    out.end_array();
    if !customer_names.is_empty() {
        out.key("customer_names");
        write_names(&customer_names, &mut out);
    }
    if !evidence.cuts.is_empty() {
        out.key("cuts");
        out.begin_array();
        for cut in &evidence.cuts {
            out.begin_array();
            out.string(&cut.rule);
            out.count(cut.size);
            out.end_array();
        }
        out.end_array();
    }
    if let Some(held) = &evidence.held {
        out.key("held");
        out.string(held);
    }
    out.key("identity");
    out.begin_object();
    out.key("names");
    write_names(&name_list(evidence.identity.reveal()), &mut out);
    put(Whose::Identity, &plain_values(evidence.identity.reveal().iter().map(|(_, value)| value)), &mut out)?;
    out.end_object();
    write_levels(&levels, &mut out);
    for (name, digest) in [("lookups", &evidence.lookups), ("mapping", &evidence.mapping), ("model", &evidence.model)] {
        out.key(name);
        Item::write(digest, &mut out);
    }
    out.key("prior_bits");
    Item::write(&evidence.prior_bits, &mut out);
    out.key("rest_count");
    out.count(evidence.rest_count);
    out.key("rest_odds");
    Item::write(&evidence.rest_odds, &mut out);
    if !evidence.rules.is_empty() {
        out.key("rules");
        out.begin_array();
        evidence.rules.iter().for_each(|hit| write_rule(hit, &mut out));
        out.end_array();
    }
    out.key("v");
    out.count(VERSION);
    out.end_object();
    Ok(out.into_bytes())
}

fn name_list(values: &NamedValues) -> Vec<&str> {
    values.iter().map(|(name, _)| &**name).collect()
}

fn write_names(names: &[impl AsRef<str>], out: &mut Writer) {
    out.begin_array();
    for name in names {
        out.string(name.as_ref());
    }
    out.end_array();
}

/// A person's values as the box holds them: a JSON array.
fn plain_values<'a>(values: impl Iterator<Item = &'a Value>) -> Zeroizing<Vec<u8>> {
    let mut out = Writer::default();
    out.begin_array();
    values.for_each(|value| values::write(value, &mut out));
    out.end_array();
    Zeroizing::new(out.into_bytes())
}

/// The level's index, or `[index, term frequency, its bits]`.
fn write_outcome<'a>(outcome: &'a ComparisonOutcome, levels: &mut Vec<Level<'a>>, out: &mut Writer) {
    let level = level_of(outcome);
    let index = levels.iter().position(|known| *known == level).unwrap_or_else(|| {
        levels.push(level);
        levels.len() - 1
    });
    let index = index as u64;
    if outcome.term_frequency.is_none() && outcome.term_frequency_bits.to_bits() == 0 {
        return out.count(index);
    }
    out.begin_array();
    out.count(index);
    match outcome.term_frequency {
        None => out.null(),
        Some(frequency) => Item::write(&frequency, out),
    }
    Item::write(&outcome.term_frequency_bits, out);
    out.end_array();
}

fn write_levels(levels: &[Level<'_>], out: &mut Writer) {
    out.key("levels");
    out.begin_array();
    for (comparison, level, gamma, bits) in levels {
        out.begin_array();
        out.string(comparison);
        out.string(level);
        out.number(f64::from(*gamma));
        Item::write(&f64::from_bits(*bits), out);
        out.end_array();
    }
    out.end_array();
}

fn write_rule(hit: &RuleHit, out: &mut Writer) {
    out.begin_array();
    out.string(&hit.rule);
    out.count(hit.customers);
    if let Some(reason) = &hit.set_aside {
        out.string(reason);
    }
    out.end_array();
}

fn list<T>(members: Json<'_>, name: &'static str, read: fn(&[Json<'_>]) -> Option<T>) -> Result<Vec<T>, NotEvidence> {
    match members.get(name) {
        None => Ok(Vec::new()),
        Some(json) => json.elements().and_then(|items| items.map(|item| read(&array(item)?)).collect()).ok_or(NotEvidence::Form(name)),
    }
}

fn array(json: Json<'_>) -> Option<Vec<Json<'_>>> {
    json.elements().map(Iterator::collect)
}

fn names(json: Option<Json<'_>>) -> Option<Vec<Arc<str>>> {
    json?.elements()?.map(|name| name.as_str().map(Into::into)).collect()
}

fn zip(names: &[Arc<str>], values: &[Value]) -> Option<Vec<(Arc<str>, Value)>> {
    (names.len() == values.len()).then(|| names.iter().cloned().zip(values.iter().cloned()).collect())
}

fn read_level(json: &[Json<'_>]) -> Option<ComparisonOutcome> {
    let [comparison, level, gamma, bits] = json else { return None };
    Some(ComparisonOutcome {
        comparison: comparison.as_str()?.into(),
        level: level.as_str()?.into(),
        gamma: gamma.read::<i64>()?.try_into().ok()?,
        bits: bits.read()?,
        term_frequency: None,
        term_frequency_bits: 0.0,
    })
}

fn read_outcome(json: Json<'_>, levels: &[ComparisonOutcome]) -> Option<ComparisonOutcome> {
    let level = |index: Json<'_>| levels.get(usize::try_from(index.as_u64()?).ok()?).cloned();
    match array(json).as_deref() {
        None => level(json),
        Some([index, frequency, bits]) => Some(ComparisonOutcome {
            term_frequency: if frequency.is_null() { None } else { Some(frequency.read()?) },
            term_frequency_bits: bits.read()?,
            ..level(*index)?
        }),
        Some(_) => None,
    }
}

fn read_candidate(json: Json<'_>, values: Option<&[Value]>, names: &[Arc<str>], levels: &[ComparisonOutcome]) -> Option<Candidate> {
    let hash: SubjectHash = json.get("customer")?.read()?;
    let (customer, values) = match values {
        None => (CustomerId(format!("erased:{hash}").into()), Vec::new()),
        Some([id, values @ ..]) => (CustomerId(id.as_text()?.into()), zip(names, values)?),
        Some([]) => return None,
    };
    Some(Candidate {
        customer,
        posterior: json.get("posterior")?.read()?,
        match_weight: json.get("weight")?.read()?,
        comparisons: json.get("outcomes")?.elements()?.map(|o| read_outcome(o, levels)).collect::<Option<_>>()?,
        rules: match json.get("rules") {
            None => Vec::new(),
            rules => self::names(rules)?,
        },
        values: Personal::new(values),
    })
}

fn read_rule(json: &[Json<'_>]) -> Option<RuleHit> {
    let (rule, customers, set_aside) = match json {
        [rule, customers] => (rule, customers, None),
        [rule, customers, reason] => (rule, customers, Some(reason.as_str()?.into())),
        _ => return None,
    };
    Some(RuleHit { rule: rule.as_str()?.into(), customers: customers.read()?, set_aside })
}

fn read_cut(json: &[Json<'_>]) -> Option<BlockCut> {
    let [rule, size] = json else { return None };
    Some(BlockCut { rule: rule.as_str()?.into(), size: size.read()? })
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
pub(super) mod tests;
