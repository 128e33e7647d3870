//! Evidence in its column: sealed under the identity's key, each candidate's values inside under that customer's key.
//!
//! Weights keep every bit, so that a decision can be taken again from what is stored. A customer's destroyed key takes that customer's values
//! with it and leaves the rest.

use super::codec::{Decoder, Encoder};
use crate::audit::{Binding, RetentionClass, Sealed, Unpredictable};
use crate::model::{BlockCut, Candidate, ComparisonOutcome, CustomerId, Digest, Evidence, IdentityId, Personal, RuleHit};
use crate::store::StoreError;
use crate::store::ring::{KeyRing, Person};

const EVIDENCE: u8 = 4;
const VALUES: u8 = 5;

fn binding(reference: &str) -> Binding<'_> {
    Binding { kind: "kith/v1/store/evidence", field: reference }
}

fn values_binding(reference: &str) -> Binding<'_> {
    Binding { kind: "kith/v1/store/evidence/candidate", field: reference }
}

/// Seals the evidence of the decision with this reference.
pub(super) fn seal(
    ring: &KeyRing,
    random: &mut Unpredictable,
    identity: &IdentityId,
    reference: &Digest,
    evidence: &Evidence,
) -> Result<Vec<u8>, StoreError> {
    let reference = reference.to_string();
    let mut e = Encoder::new(EVIDENCE);
    e.fields(evidence.identity.reveal());
    e.len(evidence.candidates.len());
    for candidate in &evidence.candidates {
        let mut values = Encoder::new(VALUES);
        values.fields(candidate.values.reveal());
        let person = Person::Customer(&candidate.customer);
        let sealed = ring.seal(person, RetentionClass::Profile, values_binding(&reference), &values.into_bytes(), random)?;
        encode_candidate(&mut e, candidate, &sealed);
    }
    e.u64(evidence.rest_count);
    e.f64(evidence.rest_odds);
    e.f64(evidence.prior_bits);
    e.len(evidence.rules.len());
    for hit in &evidence.rules {
        e.text(&hit.rule);
        e.u64(hit.customers);
        e.option(hit.set_aside.as_ref(), |e, t| e.text(t));
    }
    e.len(evidence.cuts.len());
    for cut in &evidence.cuts {
        e.text(&cut.rule);
        e.u64(cut.size);
    }
    for digest in [&evidence.mapping, &evidence.model, &evidence.lookups] {
        e.bytes(&digest.0);
    }
    let sealed = ring.seal(Person::Identity(identity), RetentionClass::Profile, binding(&reference), &e.into_bytes(), random)?;
    Ok(sealed.to_bytes())
}

fn encode_candidate(e: &mut Encoder, candidate: &Candidate, values: &Sealed) {
    e.text(candidate.customer.as_str());
    e.f64(candidate.posterior);
    e.f64(candidate.match_weight);
    e.len(candidate.comparisons.len());
    for comparison in &candidate.comparisons {
        e.text(&comparison.comparison);
        e.text(&comparison.level);
        e.i64(i64::from(comparison.gamma));
        e.f64(comparison.bits);
        e.option(comparison.term_frequency, Encoder::f64);
        e.f64(comparison.term_frequency_bits);
    }
    e.len(candidate.rules.len());
    candidate.rules.iter().for_each(|rule| e.text(rule));
    e.bytes(&values.to_bytes());
}

/// Opens what [`seal`] made; `None` where the identity's key was destroyed.
pub(super) fn open(ring: &KeyRing, reference: &Digest, bytes: &[u8]) -> Result<Option<Evidence>, StoreError> {
    let reference = reference.to_string();
    let sealed = Sealed::from_bytes(bytes).ok_or_else(|| super::error::damaged("evidence can't be read"))?;
    let Some(plain) = ring.open(binding(&reference), &sealed)? else { return Ok(None) };
    let mut d = Decoder::new(&plain, EVIDENCE, "evidence")?;
    let identity = Personal::new(d.fields()?);
    let candidates = d.len()?;
    let candidates = (0..candidates).map(|_| decode_candidate(ring, &reference, &mut d)).collect::<Result<_, _>>()?;
    let rest_count = d.u64()?;
    let rest_odds = d.f64()?;
    let prior_bits = d.f64()?;
    let rules = d.len()?;
    let rules = (0..rules)
        .map(|_| Ok(RuleHit { rule: d.text()?, customers: d.u64()?, set_aside: d.option(Decoder::text)? }))
        .collect::<Result<_, StoreError>>()?;
    let cuts = d.len()?;
    let cuts = (0..cuts).map(|_| Ok(BlockCut { rule: d.text()?, size: d.u64()? })).collect::<Result<_, StoreError>>()?;
    let (mapping, model, lookups) = (digest(&mut d)?, digest(&mut d)?, digest(&mut d)?);
    d.end()?;
    Ok(Some(Evidence { identity, candidates, rest_count, rest_odds, prior_bits, rules, cuts, mapping, model, lookups }))
}

fn digest(d: &mut Decoder<'_>) -> Result<Digest, StoreError> {
    d.bytes()?.try_into().map(Digest).map_err(|_wrong_length| d.damaged())
}

fn decode_candidate(ring: &KeyRing, reference: &str, d: &mut Decoder<'_>) -> Result<Candidate, StoreError> {
    let customer = CustomerId(d.text()?);
    let posterior = d.f64()?;
    let match_weight = d.f64()?;
    let comparisons = d.len()?;
    let comparisons = (0..comparisons)
        .map(|_| {
            Ok(ComparisonOutcome {
                comparison: d.text()?,
                level: d.text()?,
                gamma: i32::try_from(d.i64()?).map_err(|_out_of_range| d.damaged())?,
                bits: d.f64()?,
                term_frequency: d.option(Decoder::f64)?,
                term_frequency_bits: d.f64()?,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    let rules = d.len()?;
    let rules = (0..rules).map(|_| d.text()).collect::<Result<_, _>>()?;
    let sealed = Sealed::from_bytes(d.bytes()?).ok_or_else(|| d.damaged())?;
    let values = match ring.open(values_binding(reference), &sealed)? {
        Some(plain) => {
            let mut values = Decoder::new(&plain, VALUES, "a candidate's values")?;
            let fields = values.fields()?;
            values.end()?;
            fields
        }
        None => Vec::new(),
    };
    Ok(Candidate { customer, posterior, match_weight, comparisons, rules, values: Personal::new(values) })
}
