//! Tests of evidence: what is sealed, what comes back, what stays when keys are gone.

use super::*;
use crate::audit::canonical;
use crate::audit::values::tests::any_value;
use proptest::prelude::*;

fn named(values: &[(&str, &str)]) -> Personal<Vec<(Arc<str>, Value)>> {
    Personal::new(values.iter().map(|(name, value)| ((*name).into(), Value::text(value))).collect())
}

/// Evidence as a retail mapping makes it.
pub(in crate::audit) fn evidence_of(candidates: usize) -> Evidence {
    let outcome = |comparison: &str, level: &str, gamma, bits, frequency: Option<f64>| ComparisonOutcome {
        comparison: comparison.into(),
        level: level.into(),
        gamma,
        bits,
        term_frequency: frequency,
        term_frequency_bits: frequency.map_or(0.0, |f: f64| 3.1 - f * 1234.567),
    };
    Evidence {
        identity: named(&[
            ("given_name", "ada"),
            ("family_name", "rossi"),
            ("email", "ada.rossi@mail.example"),
            ("phone", ""),
            ("city", "lecce"),
            ("company", "analytical engines"),
            ("handle", "mastodon:ada_rossi"),
        ]),
        candidates: (0..candidates)
            .map(|n| Candidate {
                customer: CustomerId(format!("C{}", n + 1).into()),
                posterior: 0.999_812_345_678_9 / f64::from(u32::try_from(n).unwrap() + 1),
                match_weight: 21.530_461_907_122_34 - f64::from(u32::try_from(n).unwrap()),
                comparisons: vec![
                    outcome("name", "full name and handle agree", 4, 12.345_678_901_234_5, Some(0.000_123_4)),
                    outcome("email", "exact", 2, 9.876_543_210_987, None),
                    outcome("phone", "missing", -1, 0.0, None),
                    outcome("city", if n == 0 { "exact" } else { "else" }, 1, 4.2, Some(0.013)),
                    outcome("company", "similar", 1, 2.25, None),
                ],
                rules: if n == 0 { vec!["handle-on-file".into()] } else { Vec::new() },
                values: named(&[
                    ("given_name", "ada"),
                    ("family_name", "rossi"),
                    ("email", "ada.rossi@mail.example"),
                    ("phone", "+39083212345"),
                    ("city", "lecce"),
                    ("company", "analytical engines"),
                    ("birth_date", "1985-12-10"),
                    ("handles", "mastodon:ada_rossi"),
                ]),
            })
            .collect(),
        rest_count: 12,
        rest_odds: 0.000_012_3,
        prior_bits: -16.609_640_474_436_81,
        rules: vec![RuleHit { rule: "handle-on-file".into(), customers: 1, set_aside: None }],
        cuts: vec![BlockCut { rule: "city".into(), size: 40_123 }],
        held: None,
        mapping: Digest([0x3a; 32]),
        model: Digest([0x5b; 32]),
        lookups: Digest([0x6c; 32]),
    }
}

fn any_double() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_filter("NaN is unequal to itself", |n| !n.is_nan())
}

fn any_values() -> impl Strategy<Value = Personal<Vec<(Arc<str>, Value)>>> {
    proptest::collection::vec(("[a-z]{1,4}".prop_map(Arc::from), any_value()), 0..4).prop_map(Personal::new)
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let outcome = ("[a-b]", "[a-b]", any::<i32>(), any_double(), proptest::option::of(any_double()), any_double()).prop_map(
        |(comparison, level, gamma, bits, term_frequency, term_frequency_bits)| ComparisonOutcome {
            comparison: comparison.into(),
            level: level.into(),
            gamma,
            bits,
            term_frequency,
            term_frequency_bits,
        },
    );
    (
        0..4_u8,
        any_double(),
        any_double(),
        proptest::collection::vec(outcome, 0..5),
        proptest::collection::vec("[a-z]{0,3}", 0..3),
        any_values(),
    )
        .prop_map(|(customer, posterior, match_weight, comparisons, rules, values)| Candidate {
            customer: CustomerId(format!("C{customer}").into()),
            posterior,
            match_weight,
            comparisons,
            rules: rules.into_iter().map(Into::into).collect(),
            values,
        })
}

pub(in crate::audit) fn any_evidence() -> impl Strategy<Value = Evidence> {
    let rule = ("[a-z]{0,3}", 0..1_000_u64, proptest::option::of("[a-z ]{0,9}")).prop_map(|(rule, customers, reason)| RuleHit {
        rule: rule.into(),
        customers,
        set_aside: reason.map(Into::into),
    });
    let cut = ("[a-z]{0,3}", 0..1_000_u64).prop_map(|(rule, size)| BlockCut { rule: rule.into(), size });
    (
        any_values(),
        proptest::collection::vec(any_candidate(), 0..4),
        (0..1_000_u64, any_double(), any_double()),
        proptest::collection::vec(rule, 0..3),
        (proptest::collection::vec(cut, 0..3), proptest::option::of("[a-z ]{1,9}")),
        any::<[u8; 32]>(),
    )
        .prop_map(|(identity, candidates, (rest_count, rest_odds, prior_bits), rules, (cuts, held), mapping)| Evidence {
            identity,
            candidates,
            rest_count,
            rest_odds,
            prior_bits,
            rules,
            cuts,
            held: held.map(Into::into),
            mapping: Digest(mapping),
            model: Digest([2; 32]),
            lookups: Digest([3; 32]),
        })
}

struct Fixture {
    hash: HashKey,
    keys: Vec<PersonKey>,
    random: Unpredictable,
}

impl Fixture {
    fn new() -> Self {
        let mut random = Unpredictable::new([1; 32]);
        let keys = (0..5).map(|_| PersonKey::generate(&mut random)).collect();
        Self { hash: HashKey::new([7; 32]), keys, random }
    }

    /// Customer `Cn` has key n + 1, the identity key 0.
    fn seal(&mut self, evidence: &Evidence) -> SealedEvidence {
        let keys = self.keys.clone();
        let of = |customer: &CustomerId| {
            let number: usize = customer.as_str().trim_start_matches('C').parse().unwrap();
            Some(SealingKey::from(&keys[(number + 1) % 5]))
        };
        SealedEvidence::seal(evidence, &self.hash, &SealingKey::from(&keys[0]), of, &mut self.random).unwrap()
    }

    fn open(&self, sealed: &SealedEvidence, gone: &[usize]) -> OpenedEvidence {
        let find = |id| self.keys.iter().enumerate().find(|(n, k)| k.id() == id && !gone.contains(n)).map(|(_, k)| k.clone());
        sealed.open(find).unwrap()
    }
}

#[test]
fn with_a_key_gone_levels_weights_and_rules_stay_and_it_is_said_what_is_missing() {
    let mut fixture = Fixture::new();
    let evidence = evidence_of(3);
    let sealed = fixture.seal(&evidence);
    let opened = fixture.open(&sealed, &[0, 3]);
    assert!(opened.identity_erased);
    assert_eq!(opened.candidates_erased, [1]);
    assert!(!opened.is_complete());
    let (was, is) = (&evidence.candidates[1], &opened.evidence.candidates[1]);
    assert_eq!((is.match_weight.to_bits(), &is.comparisons), (was.match_weight.to_bits(), &was.comparisons));
    assert_eq!(is.customer.as_str(), format!("erased:{}", fixture.hash.customer(&was.customer)));
    assert_eq!(is.values.reveal(), &[]);
    assert_eq!(opened.evidence.candidates[2], evidence.candidates[2]);
}

#[test]
fn a_box_moved_to_another_candidate_does_not_open() {
    let mut fixture = Fixture::new();
    let mut evidence = evidence_of(2);
    evidence.candidates[1].customer = evidence.candidates[0].customer.clone();
    let sealed = fixture.seal(&evidence);
    let mut json: serde_json::Value = serde_json::from_slice(sealed.as_bytes()).unwrap();
    json["candidates"][1]["sealed"] = json["candidates"][0]["sealed"].clone();
    let moved = SealedEvidence::from_bytes(&canonical::to_vec(&json)).unwrap();
    let find = |id| fixture.keys.iter().find(|k| k.id() == id).cloned();
    assert_eq!(moved.open(find), Err(NotEvidence::Seal(SealError::Closed)));
}

#[test]
fn the_digest_is_of_the_evidence_and_the_installation_not_of_the_sealing() {
    let fixture = Fixture::new();
    let evidence = evidence_of(2);
    let digest = evidence_digest(&evidence, &fixture.hash);
    assert_eq!(digest, evidence_digest(&evidence.clone(), &fixture.hash));
    assert_ne!(digest, evidence_digest(&evidence, &HashKey::new([8; 32])));
    let changes: [fn(&mut Evidence); 5] = [
        |e| e.candidates[0].match_weight = f64::from_bits(e.candidates[0].match_weight.to_bits() + 1),
        |e| e.candidates[1].comparisons[3].bits += 1e-12,
        |e| e.candidates[1].customer = "C9".into(),
        |e| e.rest_odds = -0.0,
        |e| e.identity = Personal::new(Vec::new()),
    ];
    for change in changes {
        let mut other = evidence.clone();
        change(&mut other);
        assert_ne!(digest, evidence_digest(&other, &fixture.hash));
    }
}

proptest! {
    #[test]
    fn sealed_evidence_opens_to_the_same_bits_and_the_same_digest(evidence in any_evidence()) {
        let mut fixture = Fixture::new();
        let sealed = fixture.seal(&evidence);
        prop_assert_eq!(canonical::check(sealed.as_bytes()), Ok(()));
        prop_assert_eq!(SealedEvidence::from_bytes(sealed.as_bytes()), Ok(sealed.clone()));
        let opened = fixture.open(&sealed, &[]);
        prop_assert!(opened.is_complete());
        prop_assert_eq!(evidence_digest(&opened.evidence, &fixture.hash), evidence_digest(&evidence, &fixture.hash));
        prop_assert_eq!(opened.evidence, evidence);
    }

    #[test]
    fn changed_evidence_is_refused_or_read_but_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut fixture = Fixture::new();
        let mut bytes = fixture.seal(&evidence_of(2)).as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(sealed) = SealedEvidence::from_bytes(&bytes) {
            drop(sealed.open(|id| fixture.keys.iter().find(|k| k.id() == id).cloned()));
        }
    }
}
