//! Thousands of attacks on a log by somebody without the signing key: flipped, dropped, inserted, swapped and cut bytes, entries and files.
//! Each is found, and the place that is named is one that was touched.

use crate::audit_log::{bad_place, check, contents, entries, key, lay, log_of};
use crate::support::Seed;
use kith::audit::tile::{self, Tile};
use kith::audit::{Checkpoint, Entry, Event, LogKey, merkle};
use kith::store::log::{TileLog, VerifyError, verify};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

type Files = BTreeMap<String, Vec<u8>>;

impl Seed {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

/// A log with a changed signing key among its entries, and its new key.
pub fn rotated_log() -> (TempDir, LogKey) {
    let new = LogKey::new(key().origin(), &[8; 32]).unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut log = TileLog::open(home.path(), key()).unwrap();
    let time = kith::model::Timestamp::from_second(1_770_000_000).unwrap();
    let leaf = |event| Entry::new(time, event).encode().unwrap().bytes;
    let old = key().verifier();
    let created = Event::KeyCreated { id: old.id().into(), purpose: "log-signing".into(), verifier: Some(old.to_string().into()) };
    let verifier = new.verifier();
    let rotated = Event::KeyRotated {
        id: verifier.id().into(),
        previous: old.id().into(),
        purpose: "log-signing".into(),
        verifier: Some(verifier.to_string().into()),
    };
    let mut leaves = vec![leaf(created)];
    leaves.extend(entries(0, 8));
    leaves.push(leaf(rotated));
    log.integrate(0, &leaves).unwrap();
    log.adopt(new.clone()).unwrap();
    log.integrate(10, &entries(10, 30)).unwrap();
    (home, new)
}

/// The folder brought from one set of files to another.
fn change(root: &Path, from: &Files, to: &Files) {
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        fs::remove_file(root.join(name)).unwrap();
    }
    for (name, bytes) in to.iter().filter(|(name, bytes)| from.get(*name) != Some(bytes)) {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), bytes).unwrap();
    }
}

/// The entries of a bundle; nothing where it is no bundle.
fn split(name: &str, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let tile = Tile::parse(name).filter(|tile| tile.content == tile::Content::Entries)?;
    Some(tile::read_entries(bytes, tile.width).ok()?.into_iter().map(<[u8]>::to_vec).collect())
}

fn joined(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bundle = Vec::new();
    for entry in entries {
        tile::push_entry(&mut bundle, entry).unwrap();
    }
    bundle
}

/// One attack: what it is, and the files that it touched.
fn attack(files: &mut Files, random: &mut Seed) -> (&'static str, Vec<String>) {
    let names: Vec<String> = files.keys().cloned().collect();
    let name = names[random.below(names.len())].clone();
    let bundle = split(&name, &files[&name]).filter(|entries| entries.len() > 1);
    let bytes = files.get_mut(&name).unwrap();
    let at = random.below(bytes.len());
    let what = match (random.below(12), bundle) {
        (0..=2, _) => {
            bytes[at] ^= 1 << random.below(8);
            "a bit flipped"
        }
        (3, _) => {
            bytes.truncate(at);
            "cut off"
        }
        (4, _) => {
            let end = (at + 1 + random.below(40)).min(bytes.len());
            bytes.drain(at..end);
            "bytes dropped"
        }
        (5, _) => {
            let more: Vec<u8> = (0..=random.below(40)).map(|_| u8::try_from(random.next() & 255).unwrap()).collect();
            bytes.splice(at..at, more);
            "bytes inserted"
        }
        (6, _) => {
            let other = random.below(bytes.len());
            bytes.swap(at, other);
            "bytes swapped"
        }
        (7, Some(mut entries)) => {
            entries.remove(random.below(entries.len()));
            *bytes = joined(&entries);
            "an entry dropped"
        }
        (8, Some(mut entries)) => {
            let again = entries[random.below(entries.len())].clone();
            entries.insert(random.below(entries.len()), again);
            *bytes = joined(&entries);
            "an entry inserted"
        }
        (9, Some(mut entries)) => {
            let (one, other) = (random.below(entries.len()), random.below(entries.len()));
            entries.swap(one, other);
            *bytes = joined(&entries);
            "entries swapped"
        }
        (10, _) => {
            files.remove(&name);
            "a file removed"
        }
        _ => {
            let other = names[random.below(names.len())].clone();
            let (a, b) = (files[&name].clone(), files[&other].clone());
            files.insert(name.clone(), b);
            files.insert(other.clone(), a);
            return ("files swapped", vec![name, other]);
        }
    };
    (what, vec![name])
}

/// Makes so many attacks on a log, each alone, and returns how many changed something.
fn attacks(home: &TempDir, count: u32, seed: u64, key: &LogKey) -> u32 {
    let whole = contents(home.path());
    let mut random = Seed(seed);
    let mut made = 0;
    for number in 0..count {
        let mut files = whole.clone();
        let (what, touched) = attack(&mut files, &mut random);
        if files == whole {
            continue;
        }
        made += 1;
        change(home.path(), &whole, &files);
        let result = verify(home.path(), &key.verifier(), &[], None);
        change(home.path(), &files, &whole);
        match result {
            Err(VerifyError::Bad(bad)) => {
                // A tile and its bundle that differ are one place. A wrong tile above is seen as the one below or the one above it.
                let place = |name: &str| name.replace("tile/entries/", "tile/0/");
                // Without a rotation, or with one that nobody signed, the checkpoint is by a key that nothing leads to.
                let lost = |name: &str| name.starts_with("rotations/") && bad.file == "checkpoint";
                // An older checkpoint in the place of the newest covers files that may be gone by now.
                let near = |name: &String| place(&bad.file) == place(name) || lost(name) || name == "checkpoint";
                assert!(touched.iter().any(near), "attack {number} of seed {seed}: {what} in {touched:?} is told as {bad}");
                assert!(!bad.what.is_empty());
            }
            other => panic!("attack {number} of seed {seed}: {what} in {touched:?} gave {other:?}"),
        }
    }
    verify(home.path(), &key.verifier(), &[], None).unwrap();
    made
}

#[test]
fn two_thousand_random_attacks_on_small_logs_are_found_and_the_place_is_named() {
    let seed = std::env::var("KITH_TEST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(20_261_127);
    let made = attacks(&log_of(&[40]), 1_300, seed, &key()) + attacks(&log_of(&[1]), 300, seed + 1, &key());
    let (rotated, _) = rotated_log();
    // Partial tiles of an earlier checkpoint may go (C2SP tlog-tiles): that is no attack.
    for older in ["tile/0/000.p/10", "tile/entries/000.p/10"] {
        fs::remove_file(rotated.path().join(older)).unwrap();
    }
    let made = made + attacks(&rotated, 700, seed + 2, &key());
    assert!(made > 2_000, "{made}");
}

#[test]
fn attacks_on_a_log_of_many_tiles_are_found_and_the_place_is_named() {
    let home = log_of(&[700]);
    assert!(attacks(&home, 150, 5, &key()) > 100);
}

#[test]
fn who_rebuilds_every_tile_over_other_entries_is_found_at_the_checkpoint() {
    let whole = contents(log_of(&[300]).path());
    let mut random = Seed(11);
    for _ in 0..40 {
        let mut changed = entries(0, 300);
        let at = random.below(changed.len());
        match random.below(4) {
            0 => drop(changed.remove(at)),
            1 => changed.insert(at, changed[random.below(changed.len())].clone()),
            2 => changed[at] = entries(1_000, 1_001).remove(0),
            _ => {
                let other = (at + 1 + random.below(changed.len() - 1)) % changed.len();
                changed.swap(at, other);
            }
        }
        changed.truncate(300);
        if changed.len() < 300 {
            changed.extend(entries(2_000, 2_001));
        }
        let home = tempfile::tempdir().unwrap();
        TileLog::open(home.path(), LogKey::new(key().origin(), &[9; 32]).unwrap()).unwrap().integrate(0, &changed).unwrap();
        fs::write(home.path().join("checkpoint"), &whole["checkpoint"]).unwrap();
        assert_eq!(bad_place(home.path()), ("checkpoint".to_owned(), None));
    }
}

#[test]
fn a_checkpoint_by_another_key_or_over_another_tree_is_refused() {
    let home = log_of(&[30]);
    let genuine = check(home.path()).unwrap().checkpoint;
    let thief = LogKey::new(key().origin(), &[9; 32]).unwrap();
    for note in [
        thief.sign(&genuine).unwrap(),
        key().sign(&Checkpoint { size: 29, ..genuine.clone() }).unwrap(),
        key().sign(&Checkpoint { root: merkle::empty_root(), ..genuine.clone() }).unwrap(),
    ] {
        fs::write(home.path().join("checkpoint"), note).unwrap();
        assert!(check(home.path()).is_err());
    }
}

#[test]
fn the_signing_key_is_followed_through_the_log_and_no_other_way() {
    let (home, new) = rotated_log();
    let old = key().verifier();
    let whole = contents(home.path());
    for given in [&old, &new.verifier()] {
        let verified = verify(home.path(), given, &[], None).unwrap();
        assert_eq!((verified.checkpoint.size, verified.keys.last()), (30, Some(&new.verifier())));
    }
    assert!(verify(home.path(), &LogKey::new(key().origin(), &[9; 32]).unwrap().verifier(), &[], None).is_err());
    let mut without = whole.clone();
    without.remove("rotations/9");
    let cut = lay(&without);
    assert!(verify(cut.path(), &old, &[], None).is_err(), "nothing leads from the old key to the new one");
    assert!(verify(cut.path(), &new.verifier(), &[], None).is_ok(), "a log made anew from the rows has the new key alone");
    let mut moved = whole.clone();
    let note = moved.remove("rotations/9").unwrap();
    moved.insert("rotations/8".into(), note);
    for given in [&old, &new.verifier()] {
        assert!(verify(lay(&moved).path(), given, &[], None).is_err());
    }
    if let Some(python) = crate::audit_log::python() {
        let (code, said) = crate::audit_log::by_python(&python, home.path(), &[]);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("changed 1 times"), "{said}");
        assert_eq!(crate::audit_log::by_python_with(&python, home.path(), &new.verifier().to_string(), &[]).0, 0);
        assert_eq!(crate::audit_log::by_python(&python, cut.path(), &[]).0, 3);
    }
}

#[test]
fn a_change_of_the_key_that_a_crash_cut_short_is_brought_to_its_end() {
    let (home, new) = rotated_log();
    let whole = contents(home.path());
    // The new key is in its place, and the log's files are still as the old key left them.
    let before = {
        let home = tempfile::tempdir().unwrap();
        let leaves: Vec<Vec<u8>> = (0..10).map(|n| kith::store::log::entry(self::lay(&whole).path(), 30, n).unwrap()).collect();
        TileLog::open(home.path(), key()).unwrap().integrate(0, &leaves).unwrap();
        home
    };
    assert!(TileLog::open(before.path(), new.clone()).is_err(), "a key that nobody knows of does not open it");
    let mut log = TileLog::open_after(before.path(), new.clone(), &[key().verifier()]).unwrap();
    log.integrate(10, &entries(10, 30)).unwrap();
    assert_eq!(contents(before.path()), whole);
    // A key that the log's last entry does not name is not adopted.
    let other = LogKey::new(key().origin(), &[9; 32]).unwrap();
    assert!(TileLog::open_after(before.path(), other, &[new.verifier()]).is_err());
}
