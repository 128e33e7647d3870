//! Tests of proofs: what is proven, what is refused, and that no change of a proof goes through.

use super::super::merkle::{CompactRange, Nodes, inclusion_proof, node_hash};
use super::super::{LogKey, WitnessKey};
use super::*;
use crate::model::Timestamp;
use proptest::prelude::*;
use std::convert::Infallible;

const ORIGIN: &str = "kith.example/retail";

fn key(seed: u8) -> LogKey {
    LogKey::new(ORIGIN, &[seed; 32]).unwrap()
}

fn entry(n: u64) -> Vec<u8> {
    let time = Timestamp::from_second(1_770_000_000 + i64::try_from(n).unwrap()).unwrap();
    Entry::new(time, Event::ServiceStopped { reason: format!("reason {n}").into() }).encode().unwrap().bytes
}

struct Leaves(Vec<Vec<u8>>);

impl Nodes for Leaves {
    type Error = Infallible;
    fn node(&self, level: u32, index: u64) -> Result<Digest, Infallible> {
        if level == 0 {
            return Ok(leaf_hash(&self.0[usize::try_from(index).unwrap()]));
        }
        Ok(node_hash(&self.node(level - 1, 2 * index)?, &self.node(level - 1, 2 * index + 1)?))
    }
}

fn signed(leaves: &Leaves, key: &LogKey) -> String {
    let mut tree = CompactRange::default();
    leaves.0.iter().for_each(|leaf| tree.append(leaf_hash(leaf)));
    key.sign(&Checkpoint { origin: ORIGIN.into(), size: tree.size(), root: tree.root() }).unwrap()
}

fn proof(leaves: &Leaves, index: u64, note: &str) -> Proof {
    let path = inclusion_proof(leaves, index, leaves.0.len() as u64).unwrap().unwrap();
    Proof { index, entry: leaves.0[usize::try_from(index).unwrap()].clone(), path, note: note.to_owned() }
}

fn log(size: u64) -> Leaves {
    Leaves((0..size).map(entry).collect())
}

#[test]
fn every_entry_of_small_logs_is_proven_and_the_text_reads_back() {
    let witness = WitnessKey::new("witness.example", &[3; 32]).unwrap();
    for size in 1..40 {
        let leaves = log(size);
        let note = witness.cosign(&signed(&leaves, &key(7)), 99).unwrap();
        for index in 0..size {
            let proof = proof(&leaves, index, &note);
            let read = Bundle::parse(proof.text().as_bytes()).unwrap();
            assert_eq!(read.0, [proof]);
            let proven = read.verify(&key(7).verifier(), &[witness.verifier()]).unwrap();
            assert_eq!((proven[0].index, proven[0].checkpoint.size, proven[0].cosigned[0].seconds), (index, size, 99));
            assert_eq!(proven[0].entry.encode().unwrap().bytes, entry(index));
        }
    }
}

#[test]
fn the_form_is_that_of_the_specification() {
    let leaves = log(2);
    let note = signed(&leaves, &key(7));
    let text = proof(&leaves, 1, &note).text();
    let mut lines = text.split('\n');
    assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
    assert_eq!(STANDARD.decode(lines.next().unwrap().strip_prefix("extra ").unwrap()).unwrap(), entry(1));
    assert_eq!(lines.next(), Some("index 1"));
    assert_eq!(lines.next(), Some(STANDARD.encode(leaf_hash(&entry(0)).0).as_str()));
    assert_eq!(lines.next(), Some(""));
    assert!(text.ends_with(&note));
    for wrong in [
        "",
        "c2sp.org/tlog-proof@v1\n",
        "c2sp.org/tlog-proof@v2\nextra e30=\nindex 0\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n\nx\n",
        "c2sp.org/tlog-proof@v1\nextra !\nindex 0\n\nx\n",
        "c2sp.org/tlog-proof@v1\nextra e30=\nindex 00\n\nx\n",
        "c2sp.org/tlog-proof@v1\nextra e30=\nindex -1\n\nx\n",
        "c2sp.org/tlog-proof@v1\nextra e30=\nindex 0\nAAAA\n\nx\n",
        "c2sp.org/tlog-proof@v1\nextra e30=\nindex 0",
    ] {
        assert!(matches!(Proof::parse(wrong), Err(ProofError::Form(_))), "{wrong:?}");
    }
    let long = format!("c2sp.org/tlog-proof@v1\nextra e30=\nindex 0\n{}\nx\n", format!("{}\n", STANDARD.encode([1; 32])).repeat(65));
    assert_eq!(Proof::parse(&long), Err(ProofError::Form("the path is too long")));
}

#[test]
fn another_key_place_entry_or_log_is_refused() {
    let leaves = log(9);
    let note = signed(&leaves, &key(7));
    let proof = proof(&leaves, 4, &note);
    let refused = |proof: Proof| proof.verify(&key(7).verifier(), &[]).unwrap_err();
    assert_eq!(proof.verify(&key(8).verifier(), &[]), Err(ProofError::Checkpoint(NoteError::Unsigned)));
    assert_eq!(refused(Proof { index: 5, ..proof.clone() }), ProofError::NotIncluded(5));
    assert_eq!(refused(Proof { entry: entry(5), ..proof.clone() }), ProofError::NotIncluded(4));
    assert_eq!(refused(Proof { path: proof.path[1..].to_vec(), ..proof.clone() }), ProofError::NotIncluded(4));
    assert_eq!(refused(Proof { note: signed(&log(8), &key(7)), ..proof.clone() }), ProofError::NotIncluded(4));
    let no_entry = Leaves(vec![b"{\"v\":1}".to_vec()]);
    assert!(matches!(refused(self::proof(&no_entry, 0, &signed(&no_entry, &key(7)))), ProofError::Entry(_)));
    let witness = WitnessKey::new("witness.example", &[3; 32]).unwrap();
    let forged = WitnessKey::new("witness.example", &[3; 32]).unwrap().cosign(&signed(&log(3), &key(7)), 5).unwrap();
    let stolen = format!("{note}{}\n", forged.lines().last().unwrap());
    assert_eq!(
        Proof { note: stolen, ..proof }.verify(&key(7).verifier(), &[witness.verifier()]),
        Err(ProofError::Cosignature("witness.example".into()))
    );
}

#[test]
fn a_rotated_key_is_followed_from_the_first_and_only_through_the_log() {
    let rotated = |to: &LogKey, purpose: &str| {
        let event = Event::KeyRotated {
            id: to.verifier().id().into(),
            previous: key(7).verifier().id().into(),
            purpose: purpose.into(),
            verifier: Some(to.verifier().to_string().into()),
        };
        Entry::new(Timestamp::from_second(1_770_000_000).unwrap(), event).encode().unwrap().bytes
    };
    let with = |rotation: Vec<u8>, by: &LogKey| {
        let mut leaves = log(3);
        leaves.0.push(rotation);
        let first = proof(&leaves, 3, &signed(&leaves, by));
        leaves.0.extend((4..7).map(entry));
        let second = proof(&leaves, 5, &signed(&leaves, &key(8)));
        Bundle(vec![first, second])
    };
    let old = key(7).verifier();
    let good = with(rotated(&key(8), "log-signing"), &key(7));
    assert_eq!(Bundle::parse(good.text().as_bytes()).unwrap().verify(&old, &[]).unwrap().len(), 2);
    let unsigned = ProofError::Checkpoint(NoteError::Unsigned);
    assert_eq!(Bundle(good.0[1..].to_vec()).verify(&old, &[]), Err((1, unsigned.clone())));
    assert_eq!(with(rotated(&key(8), "master"), &key(7)).verify(&old, &[]), Err((2, unsigned.clone())));
    assert_eq!(with(rotated(&key(9), "log-signing"), &key(7)).verify(&old, &[]), Err((2, unsigned.clone())));
    assert_eq!(with(rotated(&key(8), "log-signing"), &key(8)).verify(&old, &[]), Err((1, unsigned)));
}

proptest! {
    #[test]
    fn no_changed_proof_is_accepted_as_another_statement(size in 1_u64..70, index in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), way in 0..4_u8) {
        let leaves = log(size);
        let index = index.index(usize::try_from(size).unwrap()) as u64;
        let whole = proof(&leaves, index, &signed(&leaves, &key(7)));
        let mut bytes = whole.text().into_bytes();
        let at = at.index(bytes.len());
        match way {
            0 => bytes[at] ^= 1 << (at % 8),
            1 => bytes.truncate(at),
            2 => { bytes.remove(at); }
            _ => bytes.insert(at, b'A'),
        }
        let held = Bundle::parse(&bytes).ok().and_then(|b| b.verify(&key(7).verifier(), &[]).ok());
        prop_assert!(held.is_none(), "at {} way {}", at, way);
    }

    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Za-z0-9=]{0,8}\n)?(index [0-9]{1,3}\n)?[A-Za-z0-9=\n]{0,80}") {
        drop(Bundle::parse(&bytes));
        if let Ok(bundle) = Bundle::parse(text.as_bytes()) {
            drop(bundle.verify(&key(7).verifier(), &[]));
        }
    }
}
