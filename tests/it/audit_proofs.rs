//! Proofs stand alone: for an entry, for a CRM row, after a change of the key, under a witness's eyes; a changed one holds nowhere, and a log
//! with two histories is not cosigned.

use crate::audit_attacks::rotated_log;
use crate::audit_log::{by_python, by_python_with, contents, entries, entries_of, key, lay, log_of, python};
use crate::support::{Project, Ran, Seed, slice};
use kith::audit::{Bundle, Note, VerifierKey};
use kith::store::log::{Look, Prover, TileLog, Witness, WitnessError, verify};
use std::fs;
use std::path::Path;

fn prover(root: &Path, key: &VerifierKey) -> Prover {
    Prover::open(root, key, &[]).unwrap()
}

#[test]
fn every_entry_of_a_log_of_many_tiles_is_proven() {
    for size in [1, 255, 256, 257, 700] {
        let home = log_of(&[size]);
        let prover = prover(home.path(), &key().verifier());
        for index in (0..size).step_by(7).chain([size - 1]) {
            let bundle = prover.bundle(&[index]).unwrap();
            let proven = bundle.verify(&key().verifier(), &[]).unwrap();
            assert_eq!((proven[0].index, proven[0].checkpoint.size), (index, size));
            assert_eq!(bundle.0[0].entry, entries(0, size)[usize::try_from(index).unwrap()]);
        }
        assert!(prover.bundle(&[size]).is_err());
    }
    // 66,000 entries have tiles of level 2.
    let home = tempfile::tempdir().unwrap();
    let leaves: Vec<Vec<u8>> = entries(0, 50).into_iter().cycle().take(66_000).collect();
    TileLog::open(home.path(), key()).unwrap().integrate(0, &leaves).unwrap();
    let prover = prover(home.path(), &key().verifier());
    for index in [0, 255, 256, 65_535, 65_536, 65_999, 12_345] {
        assert!(prover.bundle(&[index]).unwrap().verify(&key().verifier(), &[]).is_ok(), "{index}");
    }
}

#[test]
fn the_verifier_in_python_accepts_our_proofs_and_refuses_changed_ones() {
    let Some(python) = python() else { return };
    let home = log_of(&[300]);
    let witness = Witness::open_or_create(&home.path().join("../w"), "witness.example").map(|w| (w, home.path().join("../w")));
    let (witness, state) = witness.unwrap();
    let to = home.path().join("cosigned");
    let look = Look { to: Some(&to), seconds: 1_770_000_000, accept: None };
    witness.look(home.path(), &key().verifier(), look).unwrap();
    let whole = prover(home.path(), &key().verifier()).bundle(&[3, 299]).unwrap().text();
    let file = home.path().join("proof.tlog-proof");
    fs::write(&file, &whole).unwrap();
    let by = ["--witness-key", &witness.verifier().to_string()];
    let (code, said) = by_python(&python, &file, &by);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("entry 3: decision") && said.contains("cosigned by witness.example at 2026-02-"), "{said}");
    let (code, said) = by_python(&python, home.path(), &by);
    assert!(code == 0 && said.contains("its first 300 entries are cosigned by witness.example"), "{said}");
    let mut random = Seed(3);
    for _ in 0..25 {
        let mut bytes = whole.clone().into_bytes();
        let at = usize::try_from(random.next()).unwrap() % bytes.len();
        match random.next() % 3 {
            0 => bytes[at] ^= 1 << (random.next() % 8),
            1 => bytes.truncate(at),
            _ => drop(bytes.remove(at)),
        }
        fs::write(&file, &bytes).unwrap();
        let (code, said) = by_python(&python, &file, &by);
        assert_eq!(code, 3, "at {at}: {said}");
        // A witness's line that names another key is nobody's: ours tells that the word is missing, and the command ends with 3 for it.
        let held = Bundle::parse(&bytes).and_then(|b| b.verify(&key().verifier(), &[witness.verifier()]));
        assert!(held.is_err() || held.is_ok_and(|proven| proven.iter().any(|p| p.cosigned.is_empty())), "at {at}");
    }
    fs::remove_dir_all(state).unwrap();
}

#[test]
fn a_proof_after_a_change_of_the_key_holds_for_who_has_the_first_key() {
    let (home, new) = rotated_log();
    let file = home.path().join("proof");
    let bundle = prover(home.path(), &key().verifier()).bundle(&[25]).unwrap();
    fs::write(&file, bundle.text()).unwrap();
    assert_eq!(bundle.verify(&key().verifier(), &[]).unwrap().iter().map(|p| p.index).collect::<Vec<_>>(), [9, 25]);
    let short = prover(home.path(), &new.verifier()).bundle(&[25]).unwrap();
    assert_eq!(short.0.len(), 1);
    assert!(short.verify(&key().verifier(), &[]).is_err());
    if let Some(python) = python() {
        assert_eq!(by_python(&python, &file, &[]).0, 0);
        fs::write(&file, short.text()).unwrap();
        assert_eq!(by_python(&python, &file, &[]).0, 3);
        assert_eq!(by_python_with(&python, &file, &new.verifier().to_string(), &[]).0, 0);
    }
}

#[test]
fn a_witness_cosigns_what_grows_and_refuses_two_histories_with_both_as_evidence() {
    let state = tempfile::tempdir().unwrap();
    let witness = Witness::open_or_create(state.path(), "witness.example/one").unwrap();
    let log = key().verifier();
    let home = log_of(&[300]);
    let first = witness.look(home.path(), &log, Look { seconds: 100, ..Look::default() }).unwrap();
    assert_eq!((first.checkpoint.size, first.before), (300, None));
    let note = Note::parse(first.note.as_bytes()).unwrap();
    assert_eq!(witness.verifier().verify(&note).unwrap().seconds, 100);
    let again = Witness::open_or_create(state.path(), "witness.example/one").unwrap();
    assert_eq!(again.verifier(), witness.verifier(), "its key is made once");
    assert!(Witness::open_or_create(state.path(), "witness.example/two").is_err());

    let grown = log_of(&[300, 700]);
    assert_eq!(again.look(grown.path(), &log, Look { seconds: 200, ..Look::default() }).unwrap().before, Some(300));
    assert_eq!(
        again.look(grown.path(), &log, Look { seconds: 201, ..Look::default() }).unwrap().before,
        Some(700),
        "nothing new is cosigned with a new time"
    );

    // Cut back; other entries with as many; other entries with more: three forks, each signed by the log's own key.
    let forked = |size: u64| {
        let home = tempfile::tempdir().unwrap();
        TileLog::open(home.path(), key()).unwrap().integrate(0, &entries_of(0, size, "forged")).unwrap();
        home
    };
    let mut folders = Vec::new();
    for home in [log_of(&[300]), forked(700), forked(900)] {
        match again.look(home.path(), &log, Look { seconds: 300, ..Look::default() }).unwrap_err() {
            WitnessError::Fork { evidence, .. } => {
                let shown = fs::read(evidence.join("shown")).unwrap();
                assert_eq!(shown, fs::read(home.path().join("checkpoint")).unwrap());
                assert_eq!(fs::read(evidence.join("seen")).unwrap(), fs::read(grown.path().join("checkpoint")).unwrap());
                folders.push(evidence);
            }
            other @ (WitnessError::Log(_) | WitnessError::Restored { .. } | WitnessError::Key(_)) => panic!("{other:?}"),
        }
    }
    folders.dedup();
    assert_eq!(folders.len(), 3);
    // It goes on with the history that it knows.
    assert_eq!(again.look(log_of(&[300, 700, 701]).path(), &log, Look { seconds: 400, ..Look::default() }).unwrap().before, Some(700));

    // Damaged tiles are no fork, and nothing is cosigned.
    let mut files = contents(log_of(&[300, 700, 800]).path());
    files.get_mut("tile/0/003.p/32").unwrap()[5] ^= 1;
    assert!(matches!(again.look(lay(&files).path(), &log, Look { seconds: 500, ..Look::default() }).unwrap_err(), WitnessError::Log(_)));
    assert_eq!(again.look(log_of(&[300, 700, 900]).path(), &log, Look { seconds: 600, ..Look::default() }).unwrap().before, Some(701));
}

#[test]
fn a_witness_goes_along_with_a_change_of_the_key_that_the_log_tells() {
    let state = tempfile::tempdir().unwrap();
    let witness = Witness::open_or_create(state.path(), "witness.example").unwrap();
    let (home, _) = rotated_log();
    let before = tempfile::tempdir().unwrap();
    let leaves: Vec<Vec<u8>> = (0..7).map(|n| kith::store::log::entry(home.path(), 30, n).unwrap()).collect();
    TileLog::open(before.path(), key()).unwrap().integrate(0, &leaves).unwrap();
    witness.look(before.path(), &key().verifier(), Look { seconds: 1, ..Look::default() }).unwrap();
    let seen = witness.look(home.path(), &key().verifier(), Look { seconds: 2, ..Look::default() }).unwrap();
    assert_eq!((seen.before, seen.checkpoint.size), (Some(7), 30));
}

#[test]
fn a_log_that_was_cut_back_behind_a_cosigned_checkpoint_does_not_hold() {
    let state = tempfile::tempdir().unwrap();
    let witness = Witness::open_or_create(state.path(), "witness.example").unwrap();
    let home = log_of(&[300, 700]);
    let cosigned = home.path().join("cosigned");
    witness.look(home.path(), &key().verifier(), Look { to: Some(&cosigned), seconds: 1, accept: None }).unwrap();
    assert_eq!(verify(home.path(), &key().verifier(), &[], None).unwrap().cosigned.len(), 1);
    let older = log_of(&[300]);
    fs::create_dir(older.path().join("cosigned")).unwrap();
    fs::copy(cosigned.join("witness.example.cosigned"), older.path().join("cosigned/witness.example.cosigned")).unwrap();
    assert!(verify(older.path(), &key().verifier(), &[], None).is_err());
    if let Some(python) = python() {
        assert_eq!(by_python(&python, older.path(), &[]).0, 3);
    }
}

fn json_lines(ran: &Ran) -> Vec<serde_json::Value> {
    ran.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_crm_row_is_proven_by_its_key_to_somebody_with_the_public_key_alone() {
    let project = Project::with(&slice(400));
    project.run_once();
    let row = project.crm("SELECT Network || '|' || ActivityID FROM SocialInteraction ORDER BY ActivityID LIMIT 1").remove(0);
    let (network, activity) = row.split_once('|').unwrap();
    let proof = project.path("row.tlog-proof");
    let proof = proof.to_str().unwrap();
    project.kith(&["audit", "prove", "--target", "crm_db", "--record", network, activity, "--out", proof]).ok();
    project.kith(&["audit", "prove", "--target", "crm_db", "--record", network, "nobody", "--out", proof]).fails(2, "KITH-A024");
    project.kith(&["audit", "prove", "--target", "elsewhere", "--record", "x"]).fails(2, "crm_db");
    let key = fs::read_to_string(project.path("state/keys/log.pub")).unwrap();

    // Elsewhere: an empty folder, the file and the key's line.
    let elsewhere = Project { dir: tempfile::tempdir().unwrap() };
    let held = elsewhere.kith(&["--format", "json", "audit", "verify-proof", proof, "--key", key.trim()]).ok().json();
    let kinds: Vec<&str> = held["entries"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"write.intended") && kinds.contains(&"write.receipt") && kinds.contains(&"decision"), "{kinds:?}");
    let said = elsewhere.kith(&["audit", "verify-proof", proof, "--key", key.trim(), "--show"]).ok().stdout;
    assert!(said.contains("not against someone with the signing key"), "{said}");
    let mut bytes = fs::read(proof).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(proof, &bytes).unwrap();
    elsewhere.kith(&["audit", "verify-proof", proof, "--key", key.trim()]).fails(3, "KITH-A026");
    project.kith(&["audit", "prove", "99999999"]).fails(2, "KITH-A024");
    elsewhere.kith(&["audit", "verify-proof", proof, "--key", "kith.test/x+00000000+AQ=="]).fails(2, "KITH-A021");
}

#[test]
fn witness_and_rotation_by_the_command_line() {
    let project = Project::with(&slice(200));
    project.run_once();
    let public = project.path("first.pub");
    fs::copy(project.path("state/keys/log.pub"), &public).unwrap();
    let public = public.to_str().unwrap();
    let witness = [
        "audit",
        "witness",
        "--log",
        "state/log",
        "--key",
        public,
        "--state",
        "witness",
        "--name",
        "witness.example",
        "--to",
        "state/log/cosigned",
    ];
    project.kith(&witness).ok();
    let said = project.kith(&["--format", "json", "audit", "verify", "--witness-key", "witness/witness.pub"]).ok().json();
    assert!(said["witnessed"] == true && said["witnesses"][0]["size"] == said["size"], "{said}");
    fs::copy(project.path("state/log/checkpoint"), project.path("kept")).unwrap();

    let told = project.kith(&["audit", "rotate-key"]).ok().stdout;
    assert!(told.contains("--yes"), "{told}");
    let rotated = project.kith(&["--format", "json", "audit", "rotate-key", "--yes"]).ok().json();
    assert_ne!(rotated["before"], rotated["after"]);
    project.run_once();
    project.kith(&["audit", "rotate-key", "--yes"]).ok();
    project.run_once();
    let verified = project.kith(&["--format", "json", "audit", "verify", "--key", public, "--trusted", "kept"]).ok().json();
    assert_eq!((verified["keys"].as_array().unwrap().len(), &verified["trusted_checkpoints"]), (3, &1.into()), "{verified}");
    project.kith(&["audit", "verify"]).ok();
    project.kith(&witness).ok();
    let rotations = json_lines(&project.kith(&["--format", "json", "audit", "search", "--kind", "key.rotated"]).ok());
    assert_eq!(rotations.len(), 2);
    project.kith(&["audit", "prove", "3", "--key", public, "--out", "p"]).ok();
    project
        .kith(&["audit", "verify-proof", "p", "--key", public, "--witness-key", "witness/witness.pub"])
        .fails(3, "not every given witness");
    project.kith(&["audit", "verify-proof", "p", "--key", public]).ok();

    // Another history under the same key: the state folder put back from before, and run again.
    fs::write(project.path("state/log/checkpoint"), fs::read(project.path("kept")).unwrap()).unwrap();
    project.kith(&witness).fails(3, "KITH-A023");
    project.kith(&["audit", "verify", "--trusted", "first.pub"]).fails(2, "KITH-A025");
}

#[test]
fn killed_while_the_key_changes_the_log_still_leads_from_the_first_key_to_the_one_that_signs() {
    let project = Project::with(&slice(60));
    project.run_once();
    fs::copy(project.path("state/keys/log.pub"), project.path("first.pub")).unwrap();
    let took = std::time::Instant::now();
    project.kith(&["audit", "rotate-key", "--yes"]).ok();
    let whole = u64::try_from(took.elapsed().as_micros()).unwrap();
    let mut moments = crate::kills::Moments(5);
    let mut killed = 0;
    for _ in 0..10 {
        let mut change = project.spawn(&["audit", "rotate-key", "--yes"]);
        std::thread::sleep(std::time::Duration::from_micros(moments.below(whole)));
        killed += u32::from(change.try_wait().unwrap().is_none());
        change.kill().unwrap();
        change.wait().unwrap();
        project.run_once();
        project.kith(&["audit", "verify", "--key", "first.pub"]).ok();
        project.kith(&["audit", "verify"]).ok();
    }
    assert!(killed > 0, "no change of the key was interrupted");
    project.kith(&["audit", "prove", "1", "--key", "first.pub", "--out", "p"]).ok();
    project.kith(&["audit", "verify-proof", "p", "--key", "first.pub"]).ok();
}
