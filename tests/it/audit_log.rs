//! The audit log proves itself: crashes at every step leave it whole, and every change is found, by Kith and by a verifier in another language.

use kith::audit::{
    Checkpoint, Correlation, CorrelationId, Entry, EntryOutcome, Event, LogKey, Subject, SubjectHash, Unpredictable, VerifierKey, Why,
};
use kith::store::log::{TileLog, Verified, VerifyError, verify};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;

const ORIGIN: &str = "kith.example/retail";

pub fn key() -> LogKey {
    LogKey::new(ORIGIN, &[7; 32]).unwrap()
}

/// Entries as a run makes them, each another.
pub fn entries(from: u64, to: u64) -> Vec<Vec<u8>> {
    entries_of(from, to, "inbox\t")
}

pub fn entries_of(from: u64, to: u64, source: &str) -> Vec<Vec<u8>> {
    let mut random = Unpredictable::new([3; 32]);
    (from..to)
        .map(|n| {
            let time = kith::model::Timestamp::from_microsecond(1_770_000_000_000_000 + i64::try_from(n).unwrap()).unwrap();
            let entry = Entry {
                subject: Subject { identity: Some(SubjectHash(random.bytes())), customer: None },
                why: Why { rule: Some("not-linked — «é»".into()), ..Why::default() },
                outcome: Some(EntryOutcome::Dropped),
                correlation: Correlation { activity: Some(CorrelationId(random.bytes())), ..Correlation::default() },
                ..Entry::new(time, Event::ActivityDropped { source: Some(format!("{source}{n}").into()) })
            };
            let decided = Event::Decision {
                by: None,
                candidates: n,
                match_weight: Some(-1e-7 / (f64::from(u32::try_from(n).unwrap()) + 0.1)),
                planned: 0,
                probability: Some(1e21 + 0.5),
                prompted_by: None,
            };
            let entry = if n % 3 == 0 { Entry { event: decided, ..entry } } else { entry };
            entry.encode().unwrap().bytes
        })
        .collect()
}

/// A log of these sizes, one checkpoint after the other.
pub fn log_of(sizes: &[u64]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let mut log = TileLog::open(home.path(), key()).unwrap();
    let all = entries(0, *sizes.last().unwrap());
    let mut at = 0;
    for size in sizes {
        let (from, to) = (usize::try_from(at).unwrap(), usize::try_from(*size).unwrap());
        log.integrate(at, &all[from..to]).unwrap();
        at = *size;
    }
    home
}

pub fn check(root: &Path) -> Result<Verified, VerifyError> {
    verify(root, &key().verifier(), &[], None)
}

pub fn bad_place(root: &Path) -> (String, Option<u64>) {
    match check(root) {
        Err(VerifyError::Bad(bad)) => (bad.file, bad.index),
        other => panic!("{other:?}"),
    }
}

/// Every file of the log by its path, temporary ones left out.
pub fn contents(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, into);
            } else {
                into.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found.retain(|name, _| !name.starts_with(".tmp"));
    found
}

pub fn lay(files: &BTreeMap<String, Vec<u8>>) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    home
}

#[expect(clippy::print_stderr, reason = "a skipped check must be seen")]
pub fn python() -> Option<PathBuf> {
    let found = Command::new("python3").arg("--version").output().ok().filter(|out| out.status.success());
    if found.is_none() {
        eprintln!("SKIPPED: python3 is missing, so ops/audit/verify.py was not run");
    }
    found.map(|_| "python3".into())
}

/// What the verifier in Python says: exit code and output.
pub fn by_python(python: &Path, root: &Path, more: &[&str]) -> (i32, String) {
    by_python_with(python, root, &key().verifier().to_string(), more)
}

pub fn by_python_with(python: &Path, root: &Path, key: &str, more: &[&str]) -> (i32, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/audit/verify.py");
    let out = Command::new(python).arg(script).arg(root).arg(key).args(more).output().unwrap();
    (out.status.code().unwrap(), format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

#[test]
fn a_log_verifies_and_says_what_waits_in_the_store() {
    let home = log_of(&[1, 255, 256, 700]);
    let mut rows = entries(0, 703).into_iter().map(Ok);
    let verified = verify(home.path(), &key().verifier(), &[], Some(&mut rows)).unwrap();
    assert_eq!((verified.checkpoint.size, verified.waiting), (700, Some(3)));
    assert_eq!(check(home.path()).unwrap().waiting, None);
    let empty = tempfile::tempdir().unwrap();
    TileLog::open(empty.path(), key()).unwrap();
    assert_eq!(check(empty.path()).unwrap().checkpoint.size, 0);
}

#[test]
fn the_stores_rows_must_be_the_same_bytes() {
    let home = log_of(&[300]);
    let of = |rows: Vec<Vec<u8>>| {
        let mut rows = rows.into_iter().map(Ok);
        match verify(home.path(), &key().verifier(), &[], Some(&mut rows)) {
            Err(VerifyError::Bad(bad)) => (bad.file, bad.index),
            other => panic!("{other:?}"),
        }
    };
    let mut changed = entries(0, 300);
    changed[270] = changed[271].clone();
    assert_eq!(of(changed), ("tile/entries/001.p/44".to_owned(), Some(270)));
    assert_eq!(of(entries(0, 299)), ("tile/entries/001.p/44".to_owned(), Some(299)));
    let mut broken = std::iter::once(Err(std::io::Error::other("disk")));
    assert!(matches!(verify(home.path(), &key().verifier(), &[], Some(&mut broken)), Err(VerifyError::Rows(_))));
}

#[test]
fn a_trusted_checkpoint_is_held_against_the_log() {
    let old = check(log_of(&[300]).path()).unwrap().checkpoint;
    let grown = log_of(&[300, 700]);
    assert!(verify(grown.path(), &key().verifier(), std::slice::from_ref(&old), None).is_ok());
    let forked = Checkpoint { root: kith::audit::merkle::empty_root(), ..old.clone() };
    assert!(verify(grown.path(), &key().verifier(), &[forked], None).is_err());
    let shorter = log_of(&[299]);
    assert!(verify(shorter.path(), &key().verifier(), std::slice::from_ref(&old), None).is_err());
}

/// The log before, every state that a crash can leave on the way, and the log after: opened again and given the same leaves, each comes to
/// the same log.
#[test]
fn a_crash_at_any_step_loses_nothing_and_never_leaves_a_checkpoint_over_missing_leaves() {
    for (before, after) in [(0, 1), (250, 256), (255, 600)] {
        let first = if before == 0 { vec![1] } else { vec![before] };
        let start = if before == 0 {
            let home = tempfile::tempdir().unwrap();
            TileLog::open(home.path(), key()).unwrap();
            contents(home.path())
        } else {
            contents(log_of(&first).path())
        };
        let whole = {
            let home = lay(&start);
            let mut log = TileLog::open(home.path(), key()).unwrap();
            log.integrate(before, &entries(0, after)[usize::try_from(before).unwrap()..]).unwrap();
            contents(home.path())
        };
        let new: Vec<&String> = whole.keys().filter(|name| !start.contains_key(*name) && *name != "checkpoint").collect();
        assert!(new.len() >= 2);
        // Up to here were renamed; the next stands aside, whole or cut off, or (a disk that lies about syncing) is cut off in place.
        for done in 0..=new.len() {
            for next in ["nothing", "aside", "aside, cut", "in place, cut", "in place, empty"] {
                let mut crashed = start.clone();
                crashed.extend(new[..done].iter().map(|name| ((*name).clone(), whole[*name].clone())));
                if let Some(name) = new.get(done) {
                    let bytes = &whole[*name];
                    match next {
                        "nothing" => None,
                        "aside" => crashed.insert(".tmp/0".into(), bytes.clone()),
                        "aside, cut" => crashed.insert(".tmp/0".into(), bytes[..bytes.len() / 2].to_vec()),
                        "in place, cut" => crashed.insert((*name).clone(), bytes[..bytes.len() / 2].to_vec()),
                        _ => crashed.insert((*name).clone(), Vec::new()),
                    };
                } else {
                    crashed.insert(".tmp/checkpoint".into(), whole["checkpoint"][..20].to_vec());
                }
                let home = lay(&crashed);
                assert_eq!(check(home.path()).unwrap().checkpoint.size, before, "{before} to {after}, {done} done, {next}");
                let mut log = TileLog::open(home.path(), key()).unwrap();
                assert_eq!(log.size().unwrap(), before);
                log.integrate(before, &entries(0, after)[usize::try_from(before).unwrap()..]).unwrap();
                assert_eq!(contents(home.path()), whole, "{before} to {after}, {done} done, {next}");
            }
        }
        // Between the checkpoint and tidying up, old partial tiles of full ones are still there.
        let mut untidy = start.clone();
        untidy.extend(whole.clone());
        let home = lay(&untidy);
        assert_eq!(check(home.path()).unwrap().checkpoint.size, after);
        assert_eq!(TileLog::open(home.path(), key()).unwrap().size().unwrap(), after);
    }
}

#[test]
fn whatever_the_checkpoint_covers_is_missed_when_it_is_gone() {
    let home = log_of(&[300, 700]);
    let files = contents(home.path());
    for name in files.keys().filter(|name| *name != "tile/1/000.p/1") {
        let mut without = files.clone();
        without.remove(name);
        assert_eq!(bad_place(lay(&without).path()).0, *name);
    }
}

#[test]
fn the_first_bad_place_is_named_for_each_kind_of_file() {
    let home = log_of(&[300, 700]);
    let files = contents(home.path());
    let flipped = |name: &str, at: usize| {
        let mut files = files.clone();
        files.get_mut(name).unwrap()[at] ^= 1;
        bad_place(lay(&files).path())
    };
    let at_entry = |name: &str, number: usize| {
        let bundle = &files[name];
        (0..number).fold(0, |at, _| at + 2 + usize::from(u16::from_be_bytes([bundle[at], bundle[at + 1]])))
    };
    let place = |name: &str, index| (name.to_owned(), index);
    assert_eq!(flipped("checkpoint", 25), place("checkpoint", None));
    assert_eq!(flipped("tile/entries/001", at_entry("tile/entries/001", 17) + 9), place("tile/entries/001", Some(256 + 17)));
    assert_eq!(
        flipped("tile/entries/002.p/188", at_entry("tile/entries/002.p/188", 5) + 9),
        place("tile/entries/002.p/188", Some(512 + 5))
    );
    assert_eq!(flipped("tile/0/001", 32 * 17 + 3), place("tile/0/001", Some(256 + 17)));
    assert_eq!(flipped("tile/0/002.p/188", 32 * 17), place("tile/0/002.p/188", Some(512 + 17)));
    assert_eq!(flipped("tile/1/000.p/2", 32), place("tile/1/000.p/2", Some(256)));
    assert_eq!(flipped("tile/1/000.p/1", 0), place("tile/1/000.p/1", Some(0)));

    let swapped = |one: &str, other: &str| {
        let mut files = files.clone();
        let (a, b) = (files[one].clone(), files[other].clone());
        files.insert(one.to_owned(), b);
        files.insert(other.to_owned(), a);
        bad_place(lay(&files).path())
    };
    assert_eq!(swapped("tile/entries/000", "tile/entries/001").0, "tile/entries/000");
    assert_eq!(swapped("tile/0/000", "tile/0/001").0, "tile/0/000");

    let older = contents(log_of(&[300]).path())["checkpoint"].clone();
    let mut rolled_back = files.clone();
    rolled_back.insert("checkpoint".into(), older);
    let verified = check(lay(&rolled_back).path()).unwrap();
    assert_eq!(verified.checkpoint.size, 300, "only a trusted checkpoint or the store shows that a log was cut back");
}

#[test]
fn an_entry_that_is_none_is_found_though_all_hashes_fit() {
    let home = tempfile::tempdir().unwrap();
    let mut log = TileLog::open(home.path(), key()).unwrap();
    let mut leaves = entries(0, 10);
    leaves[6] = b"{\"v\":1}".to_vec();
    log.integrate(0, &leaves).unwrap();
    assert_eq!(bad_place(home.path()), ("tile/entries/000.p/10".to_owned(), Some(6)));
    if let Some(python) = python() {
        let (code, said) = by_python(&python, home.path(), &[]);
        assert_eq!(code, 3);
        assert!(said.contains("tile/entries/000.p/10, entry 6"), "{said}");
    }
}

#[test]
fn the_verifier_in_python_accepts_our_logs_and_names_the_same_bad_place() {
    let Some(python) = python() else { return };
    for sizes in [&[1_u64][..], &[256], &[300, 700]] {
        let home = log_of(sizes);
        let (code, said) = by_python(&python, home.path(), &[]);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(&format!("holds: {} entries of {ORIGIN}", sizes.last().unwrap())), "{said}");
    }
    let home = log_of(&[300, 700]);
    let files = contents(home.path());
    for (name, at) in [("checkpoint", 25), ("tile/entries/001", 900), ("tile/0/002.p/188", 999), ("tile/1/000.p/2", 40)] {
        let mut changed = files.clone();
        changed.get_mut(name).unwrap()[at] ^= 1;
        let home = lay(&changed);
        let (ours, index) = bad_place(home.path());
        let (code, said) = by_python(&python, home.path(), &[]);
        assert_eq!(code, 3, "{said}");
        // A tile and its bundle that differ are one place: which of the two is right, only Kith works out.
        let bundle = ours.replace("tile/entries/", "tile/0/");
        let index = index.map_or_else(String::new, |index| format!(", entry {index}:"));
        assert!(said.contains(&format!("{ours}{index}")) || said.contains(&format!("{bundle}{index}")), "{ours}{index} in {said}");
    }
    let trusted = home.path().join("kept");
    fs::write(&trusted, &contents(log_of(&[300]).path())["checkpoint"]).unwrap();
    assert_eq!(by_python(&python, home.path(), &["--trusted", trusted.to_str().unwrap()]).0, 0);
    let other = LogKey::new(ORIGIN, &[9; 32]).unwrap().verifier().to_string();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/audit/verify.py");
    assert_eq!(Command::new(&python).arg(&script).arg(home.path()).arg(other).output().unwrap().status.code(), Some(3));
    assert_eq!(Command::new(&python).arg(&script).arg(home.path()).output().unwrap().status.code(), Some(2));
}

#[test]
fn the_verifier_key_reads_back_from_its_line() {
    let line = key().verifier().to_string();
    assert_eq!(VerifierKey::parse(&line).unwrap(), key().verifier());
}

/// Appending and verifying as fast as the machine does it; `cargo test --release --test it audit_log -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a promise"]
fn speed() {
    let filled = "x".repeat(600);
    let all = entries_of(0, 80_000, &filled);
    let bytes: usize = all.iter().map(Vec::len).sum();
    let home = tempfile::tempdir().unwrap();
    let mut log = TileLog::open(home.path(), key()).unwrap();
    let time = |what: &str, work: &mut dyn FnMut()| {
        #[expect(clippy::disallowed_methods, reason = "a measurement")]
        let start = std::time::Instant::now();
        work();
        println!("{what}: {:?}", start.elapsed());
    };
    println!("{} entries of {} bytes on average", all.len(), bytes / all.len());
    time("encode", &mut || assert_eq!(entries_of(0, 80_000, &filled).len(), all.len()));
    time("integrate at once", &mut || assert_eq!(log.integrate(0, &all).unwrap().size, 80_000));
    let mut rows = all.iter().cloned().map(Ok);
    time("verify with rows", &mut || assert_eq!(verify(home.path(), &key().verifier(), &[], Some(&mut rows)).unwrap().waiting, Some(0)));
    let small = tempfile::tempdir().unwrap();
    let mut log = TileLog::open(small.path(), key()).unwrap();
    time("integrate 80 batches of 100", &mut || {
        for (n, batch) in all.chunks(100).take(80).enumerate() {
            log.integrate(n as u64 * 100, batch).unwrap();
        }
    });
    if let Some(python) = python() {
        time("verify.py", &mut || assert_eq!(by_python(&python, home.path(), &[]).0, 0));
    }
}

/// The files of a small log, made once.
static SMALL: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| contents(log_of(&[40, 300]).path()));

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_flipped_cut_or_lengthened_file_is_found(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), way in 0..4_u8) {
        let mut files = SMALL.clone();
        let name = files.keys().nth(file.index(files.len())).unwrap().clone();
        let bytes = files.get_mut(&name).unwrap();
        let at = at.index(bytes.len());
        match way {
            0 => bytes[at] ^= 1 << (at % 8),
            1 => bytes.truncate(at),
            2 => bytes.push(0),
            _ => { bytes.remove(at); }
        }
        let home = lay(&files);
        prop_assert!(check(home.path()).is_err(), "{} {} {}", name, at, way);
    }
}
