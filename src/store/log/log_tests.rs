//! Tests of appending: what stands on disk, and what a failure leaves.

use super::*;
use std::fs;

const ORIGIN: &str = "kith.example/retail";

fn key() -> LogKey {
    LogKey::new(ORIGIN, &[7; 32]).unwrap()
}

fn leaves(from: u64, to: u64) -> Vec<Vec<u8>> {
    (from..to).map(|n| format!("{{\"entry\":{n}}}").into_bytes()).collect()
}

fn root_by_leaves(to: u64) -> Digest {
    let mut tree = merkle::CompactRange::default();
    for leaf in leaves(0, to) {
        tree.append(merkle::leaf_hash(&leaf));
    }
    tree.root()
}

fn files_below(root: &Path, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(root, &format!("{name}/")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[test]
fn a_new_log_is_empty_and_says_so_under_its_key() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("state/log");
    let mut log = TileLog::open(&root, key()).unwrap();
    assert_eq!(log.size().unwrap(), 0);
    let note = fs::read(root.join("checkpoint")).unwrap();
    let checkpoint = Checkpoint::open(&note, &log.verifier()).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (0, merkle::empty_root()));
    assert_eq!(log.integrate::<Vec<u8>>(0, &[]).unwrap(), checkpoint);
}

#[test]
fn any_way_of_batching_gives_the_same_tree_and_a_reopened_log_goes_on() {
    for steps in [vec![700], vec![1, 254, 1, 1, 255, 188], vec![256, 256, 188], vec![3, 600, 97]] {
        let home = tempfile::tempdir().unwrap();
        let mut log = TileLog::open(home.path(), key()).unwrap();
        let mut size = 0;
        for step in steps {
            let checkpoint = log.integrate(size, &leaves(size, size + step)).unwrap();
            size += step;
            assert_eq!((checkpoint.size, checkpoint.root), (size, root_by_leaves(size)));
            log = TileLog::open(home.path(), key()).unwrap();
            assert_eq!(log.size().unwrap(), size);
        }
        let found = files_below(home.path(), "");
        let full: Vec<&str> = found.iter().map(String::as_str).filter(|f| !f.contains(".p/")).collect();
        assert_eq!(full, ["checkpoint", "tile/0/000", "tile/0/001", "tile/entries/000", "tile/entries/001"]);
        assert!(!found.iter().any(|f| f.contains("000.p/") && !f.starts_with("tile/1/") || f.contains("001.p/")), "{found:?}");
        for last in ["tile/0/002.p/188", "tile/1/000.p/2", "tile/entries/002.p/188"] {
            assert!(found.iter().any(|f| f == last), "{last} in {found:?}");
        }
        let bundle = fs::read(home.path().join("tile/entries/001")).unwrap();
        assert_eq!(tile::read_entries(&bundle, 256).unwrap(), leaves(256, 512));
    }
}

#[test]
fn leaves_out_of_turn_or_too_long_are_refused_and_change_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut log = TileLog::open(home.path(), key()).unwrap();
    let before = log.integrate(0, &leaves(0, 10)).unwrap();
    assert!(matches!(log.integrate(11, &leaves(11, 12)), Err(LogError::Gap { expected: 10, given: 11 })));
    assert!(matches!(log.integrate(9, &leaves(9, 12)), Err(LogError::Gap { .. })));
    assert!(matches!(log.integrate(10, &[vec![b'x'; 65_536]]), Err(LogError::TooLong { index: 10, bytes: 65_536 })));
    assert_eq!(log.integrate::<Vec<u8>>(10, &[]).unwrap(), before);
    let whole = log.integrate(10, &[vec![b'x'; 65_535]]).unwrap();
    assert_eq!(whole.size, 11);
}

#[test]
fn a_log_that_contradicts_itself_is_not_appended_to() {
    type Spoil = (&'static str, fn(&Path));
    let spoil: [Spoil; 7] = [
        ("KITH-A001", |root| fs::write(root.join("checkpoint"), "nonsense").unwrap()),
        ("KITH-A002", |root| fs::remove_file(root.join("checkpoint")).unwrap()),
        ("KITH-A002", |root| fs::remove_file(root.join("tile/0/001.p/44")).unwrap()),
        ("KITH-A002", |root| fs::write(root.join("tile/0/001.p/44"), [0; 44 * 32]).unwrap()),
        ("KITH-A002", |root| fs::write(root.join("tile/1/000.p/1"), [0; 31]).unwrap()),
        ("KITH-A002", |root| fs::write(root.join("tile/entries/001.p/44"), [0; 88]).unwrap()),
        ("KITH-A001", |root| {
            let other = LogKey::new(ORIGIN, &[8; 32]).unwrap();
            let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 300, root: root_by_leaves(300) };
            fs::write(root.join("checkpoint"), other.sign(&checkpoint).unwrap()).unwrap();
        }),
    ];
    for (code, spoil) in spoil {
        let home = tempfile::tempdir().unwrap();
        TileLog::open(home.path(), key()).unwrap().integrate(0, &leaves(0, 300)).unwrap();
        spoil(home.path());
        let error = TileLog::open(home.path(), key()).unwrap_err();
        assert_eq!(error.diagnostic().code.0, code, "{error}");
    }
}

#[test]
fn after_a_failed_write_the_log_reads_as_before_and_goes_on_when_it_can() {
    let home = tempfile::tempdir().unwrap();
    let mut log = TileLog::open(home.path(), key()).unwrap();
    log.integrate(0, &leaves(0, 300)).unwrap();
    let before = fs::read(home.path().join("checkpoint")).unwrap();
    // A folder where the next bundle must go stops the rename, whoever runs the test.
    let obstacle = home.path().join("tile/entries/001/x");
    fs::create_dir_all(&obstacle).unwrap();
    let error = log.integrate(300, &leaves(300, 600)).unwrap_err();
    assert!(matches!(error, LogError::Write { .. }), "{error}");
    assert!(error.is_disk());
    assert_eq!(error.diagnostic().code.0, "KITH-A003");
    assert_eq!(fs::read(home.path().join("checkpoint")).unwrap(), before);
    assert_eq!(fs::read_dir(home.path().join(".tmp")).unwrap().count(), 0, "nothing half-written is left");
    assert_eq!(log.size().unwrap(), 300);
    fs::remove_dir_all(home.path().join("tile/entries/001")).unwrap();
    let checkpoint = log.integrate(300, &leaves(300, 600)).unwrap();
    assert_eq!(checkpoint.root, root_by_leaves(600));
}
