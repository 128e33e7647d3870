//! What needs other limits than a real disk has.

use super::*;
use crate::store::Store as _;
use crate::store::sqlite::fixture::{at, hashes, link_all, master, note, open as open_store, run, take};

#[expect(clippy::unnecessary_wraps, reason = "the form that a repair asks for")]
fn tell(check: &str, count: u64, _what: &str) -> Result<Vec<u8>, StoreError> {
    Ok(format!("{check} {count}").into_bytes())
}

const NO_LOG: LogSide<'static> = LogSide { size: None, bundle: &|_index| None };

fn examine(dir: &Path, limits: Limits, dry_run: bool) -> (Vec<Finding>, i64) {
    let mut doctor = StoreDoctor::open(dir, (master(), hashes()), limits, dry_run, at(0)).unwrap();
    assert!(doctor.examine_foundation(&NO_LOG, &tell).unwrap());
    doctor.examine_rows(&tell).unwrap();
    let next = doctor.next_leaf;
    (doctor.into_findings(), next)
}

#[test]
fn a_disk_without_room_and_a_write_ahead_log_that_grew_are_told_and_the_log_is_folded_in() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    // As a crash leaves it: the log is not folded in. Who closes it last folds it in, so each look has its own copy.
    let crashed = || {
        let copy = tempfile::tempdir().unwrap();
        for file in ["kith.db", "kith.db-wal"] {
            std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
        }
        copy
    };
    let (looked_at, mended) = (crashed(), crashed());
    drop(store);
    let tight = Limits { wal_bytes: 1, free_bytes: u64::MAX, sample: 10 };
    let (found, leaves) = examine(looked_at.path(), tight, true);
    assert_eq!(found.iter().map(|f| f.check).collect::<Vec<_>>(), ["write-ahead log", "room"], "{found:?}");
    let (found, more) = examine(mended.path(), tight, false);
    assert!(matches!((&found[0].repair, &found[1].repair), (Repair::Done(_), Repair::Impossible(_))), "{found:?}");
    assert_eq!(more, leaves + 1, "one entry for one repair");
    assert_eq!(std::fs::metadata(mended.path().join("kith.db-wal")).map_or(0, |m| m.len()), 0);
    assert!(examine(mended.path(), Limits::default(), true).0.is_empty());
}

#[test]
fn a_state_in_use_is_refused_and_one_that_is_sound_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    take(&store, "a", &[note("ada", "n1", 1), note("bob", "n2", 1)]);
    link_all(&store, "C-1", "seed");
    let refused = StoreDoctor::open(dir.path(), (master(), hashes()), Limits::default(), true, at(0)).unwrap_err();
    assert!(matches!(refused, StoreError::Locked(_)), "{refused:?}");
    let leaves = run(store.totals()).unwrap().leaves;
    drop(store);
    // The sequence's entries are no real ones here: only a gap would make the counters look at them.
    let (found, next) = examine(dir.path(), Limits::default(), false);
    assert_eq!((found, next), (Vec::new(), i64::try_from(leaves).unwrap()));
}
