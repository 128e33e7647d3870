//! Backups: made while the service runs, opened by tools that nobody here wrote, and restored so that nobody who was erased comes back, nothing is
//! written twice, and nothing is rewound silently.

use crate::kills::{Moments, entries, number};
use crate::rights::{account, customers, drop_file, token, with_folder};
use crate::support::{Project, activity, have, lines};
use age::secrecy::ExposeSecret;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SECTION: &str = "\n[backup]\nto = \"backups\"\nrecipients = \"backup.recipients\"\nerasures_to = \"elsewhere\"\n";

/// A project with a key pair for backups, and a folder that outlives the machine.
fn project() -> Project {
    let project = with_folder();
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
    project.write("config/kith.toml", config.replace("[audit]\n", "[audit]\ncheckpoints_to = \"elsewhere\"\n") + SECTION);
    let pair = age::x25519::Identity::generate();
    project.write("backup.recipients", format!("# who can open backups\n{}\n", pair.to_public()));
    project.write("safe/backup.key", format!("# created for a test\n{}\n", pair.to_string().expose_secret()));
    project.write("data/customers.csv", customers(200));
    project
}

fn posts(people: std::ops::Range<u32>, text: &str) -> String {
    let said = |person: u32| {
        let name = token(person);
        let mut said = activity("mastodon", &name, &name, &format!("Name {name}"), person, &format!("{text} {name}"));
        for (place, kind) in [("/id", "activities"), ("/object/id", "notes")] {
            *said.pointer_mut(place).unwrap() = format!("https://mastodon.example/{kind}/{name}-{text}").into();
        }
        said
    };
    lines(&people.map(said).collect::<Vec<_>>())
}

fn rows(project: &Project) -> Vec<String> {
    // Without the weight, the last column: who is erased is no customer any more, and names are a little rarer without them.
    let profiles = project.crm("SELECT * FROM SocialProfile");
    let mut all: Vec<String> = profiles.iter().map(|row| row.rsplit_once('|').unwrap().0.to_owned()).collect();
    all.extend(project.crm("SELECT * FROM SocialInteraction"));
    all
}

fn backup(project: &Project) -> PathBuf {
    PathBuf::from(project.kith(&["--format", "json", "backup"]).ok().json()["file"].as_str().unwrap())
}

fn restore(project: &Project, file: &Path, more: &[&str]) -> crate::support::Ran {
    let file = file.display().to_string();
    let mut arguments = vec!["--format", "json", "restore", &file, "--identity", "safe/backup.key"];
    arguments.extend(more);
    project.kith(&arguments)
}

fn witness(project: &Project, more: &[&str]) -> crate::support::Ran {
    let mut arguments =
        vec!["audit", "witness", "--log", "state/log", "--key", "safe/log.pub", "--state", "w", "--name", "witness.example"];
    arguments.extend(more);
    project.kith(&arguments)
}

fn erase(project: &Project, whom: &[&str]) {
    let mut arguments = vec!["subject", "erase", "--reason", "asked"];
    arguments.extend(whom);
    project.kith(&arguments).ok();
    project.run_once();
}

#[test]
fn yesterdays_backup_is_restored_and_whoever_was_erased_since_stays_erased() {
    let project = project();
    drop_file(&project, "monday.ndjson", posts(0..40, "monday").as_bytes());
    project.run_once();
    fs::copy(project.path("state/keys/log.pub"), project.path("safe/log.pub")).unwrap();
    witness(&project, &[]).ok();
    project.kith(&["keys", "escrow", "--to", "safe/keys.age"]).ok();
    let file = backup(&project);
    let verified =
        project.kith(&["--format", "json", "backup", "verify", file.to_str().unwrap(), "--identity", "safe/backup.key"]).ok().json();
    assert_eq!(verified["holds"], true);
    let begins = verified["entries"].as_u64().unwrap();

    // Since then: more is said, written, and some are erased: one of before, one who came after, and a customer.
    drop_file(&project, "tuesday.ndjson", posts(30..60, "tuesday").as_bytes());
    project.run_once();
    erase(&project, &["--identity", "mastodon", &account(4)]);
    erase(&project, &["--identity", "mastodon", &account(50)]);
    erase(&project, &["--customer", "C0000008"]);
    witness(&project, &[]).ok();
    let gone = [token(4), token(8), token(50)];
    let before = rows(&project);
    assert!(!before.is_empty() && !before.iter().any(|row| gone.iter().any(|gone| row.contains(gone))));

    // The machine dies with its disk; CRM, drop folders and what was elsewhere are left.
    fs::remove_dir_all(project.path("state")).unwrap();
    restore(&project, &file, &[]).fails(1, "KITH-A007");
    project.kith(&["keys", "recover", "safe/keys.age", "--identity", "safe/backup.key"]).ok();
    assert_eq!(fs::metadata(project.path("state/keys/master.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let report = restore(&project, &file, &[]).ok().json();
    assert_eq!(report["entries"], begins);
    assert!(report["lost"].as_u64().unwrap() > begins, "{report}");
    assert_eq!(report["in_ledger"], 4, "two accounts, a customer and its account: {report}");
    assert_eq!(report["forgotten"], 4);
    assert_eq!(report["unfinished"], serde_json::json!([]));
    assert!(report["put_back"].as_array().unwrap().iter().any(|path| path.as_str().unwrap().ends_with("inbox/tuesday.ndjson")), "{report}");

    // What an erasure wrote anew is young: no run may depend on how fast the one before it was.
    for file in fs::read_dir(project.path("inbox")).unwrap() {
        let file = fs::File::options().write(true).open(file.unwrap().path()).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3_600)).unwrap();
    }
    let run = project.run_once();
    assert_eq!(run["conservation_gap"], 0, "{run}");
    assert_eq!(rows(&project), before, "the CRM is as it was");
    let state = files_with(&project.path("state"), &gone);
    assert!(state.is_empty(), "{state:?}");
    let log = entries(&project);
    let kinds = |kind: &str| log.iter().filter(|entry| entry["entry"]["kind"] == kind).count();
    assert_eq!((kinds("backup.restored"), kinds("subject.suppressed")), (1, 4));
    assert!(kinds("write.recovered") > 0, "what was written in the meantime was found by asking");
    let place = log.iter().find(|entry| entry["entry"]["kind"] == "backup.restored").unwrap();
    assert_eq!(place["index"].as_u64().or_else(|| place["number"].as_u64()), Some(begins), "{place}");

    // The log holds; what left before says that something is gone, and is set aside only when somebody says so.
    project.kith(&["audit", "verify"]).ok();
    let kept = fs::read_dir(project.path("elsewhere"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "checkpoints"));
    let kept = kept.unwrap().display().to_string();
    project.kith(&["audit", "verify", "--trusted", &kept]).fails(3, "KITH-A008");
    let begins = begins.to_string();
    let told = project.kith(&["audit", "verify", "--trusted", &kept, "--accept-epoch", &begins]).ok().stdout;
    assert!(told.contains("it was put back at") && told.contains("of the entries that are gone"), "{told}");
    project.kith(&["audit", "verify", "--trusted", &kept, "--accept-epoch", "7"]).fails(2, "nothing of a restore");

    // The witness goes on when a person answers for it, and not before.
    witness(&project, &[]).fails(3, "KITH-A063");
    witness(&project, &["--accept-epoch", "7"]).fails(3, "KITH-A063");
    witness(&project, &["--accept-epoch", &begins]).ok();
    project.run_once();
    witness(&project, &[]).ok();
    let told = entries(&project).len();
    let again = project.run_once();
    // What it did instead stands in the log.
    let did: Vec<_> = entries(&project).split_off(told).iter().map(|entry| entry["entry"]["kind"].to_string()).collect();
    assert_eq!(again["this_run"]["written"], 0, "a second run does nothing: {again}\n{did:?}");
}

/// Files in a folder that hold one of these texts.
fn files_with(folder: &Path, texts: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, texts));
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            if texts.iter().any(|text| bytes.windows(text.len()).any(|window| window == text.as_bytes())) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_rewritten_log_that_calls_itself_restored_is_not_cosigned_even_when_somebody_agrees() {
    let project = project();
    drop_file(&project, "a.ndjson", posts(0..20, "a").as_bytes());
    project.run_once();
    fs::copy(project.path("state/keys/log.pub"), project.path("safe/log.pub")).unwrap();
    witness(&project, &[]).ok();
    // Who has the keys makes another history from nothing, and says that it was restored: the witness's own look says otherwise.
    let other = self::project();
    fs::create_dir_all(other.path("state")).unwrap();
    fs::set_permissions(other.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
    crate::kills::with_keys_of(&other, &project);
    for name in ["safe/backup.key", "backup.recipients"] {
        fs::copy(project.path(name), other.path(name)).unwrap();
    }
    drop_file(&other, "a.ndjson", posts(100..120, "other").as_bytes());
    other.run_once();
    let forged = other.path(backup(&other).to_str().unwrap());
    drop_file(&project, "b.ndjson", posts(0..20, "b").as_bytes());
    project.run_once();
    witness(&project, &[]).ok();
    let report = restore(&project, &forged, &["--replace"]).ok().json();
    project.run_once();
    let begins = report["entries"].to_string();
    witness(&project, &["--accept-epoch", &begins]).fails(3, "KITH-A023");
    assert!(Path::new(report["aside"].as_str().unwrap()).exists() || project.path(report["aside"].as_str().unwrap()).exists());
}

#[test]
fn a_backup_beside_a_service_that_writes_holds_and_is_read_by_other_tools() {
    let project = project();
    drop_file(&project, "a.ndjson", posts(0..190, "a").as_bytes());
    let mut service = project.spawn(&["--quiet", "run"]);
    let started = Instant::now();
    while rows(&project).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut made = Vec::new();
    for round in 0..3 {
        drop_file(&project, &format!("more-{round}.ndjson"), posts(0..190, &format!("more{round}")).as_bytes());
        made.push(backup(&project));
        std::thread::sleep(Duration::from_millis(1_100));
    }
    for file in &made {
        let file = project.path(file.to_str().unwrap());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        project.kith(&["backup", "verify", file.to_str().unwrap(), "--identity", "safe/backup.key"]).ok();
        project.kith(&["backup", "verify", file.to_str().unwrap(), "--identity", "safe/backup.key", "--key", "state/keys/log.pub"]).ok();
        assert!(!fs::read_dir(file.parent().unwrap()).unwrap().any(|f| f.unwrap().path().is_dir()), "nothing of it is left");
    }
    assert!(fs::read_dir(project.path("state/backup.tmp")).unwrap().all(|f| f.unwrap().file_name() == "lock"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&service), rustix::process::Signal::TERM).unwrap();
    service.wait().unwrap();
    let told: Vec<Value> = entries(&project).into_iter().filter(|entry| entry["entry"]["kind"] == "backup.made").collect();
    assert_eq!(told.len(), 3);
    if have("age") {
        let out = Command::new("sh")
            .arg("-c")
            .arg("age -d -i safe/backup.key \"$0\" | tar -tzf -")
            .arg(&made[0])
            .current_dir(project.dir.path())
            .output()
            .unwrap();
        let names = String::from_utf8(out.stdout).unwrap();
        assert!(names.starts_with("manifest\nkith.db\nlog/checkpoint\n"), "{names}{}", String::from_utf8_lossy(&out.stderr));
        assert!(!names.contains(".key"), "no secret key leaves with a backup: {names}");
    }
}

#[test]
fn a_backup_that_was_changed_cut_off_or_is_anothers_is_refused_and_nothing_is_touched() {
    let project = project();
    drop_file(&project, "a.ndjson", posts(0..10, "a").as_bytes());
    project.run_once();
    let file = project.path(backup(&project).to_str().unwrap());
    let whole = fs::read(&file).unwrap();
    let state = fs::read(project.path("state/kith.db")).unwrap();
    let mut moments = Moments(number("KITH_TEST_SEED", 7));
    let broken = project.path("broken.tar.gz.age");
    for round in 0..12 {
        let at = usize::try_from(moments.below(whole.len() as u64)).unwrap();
        let mut bytes = whole.clone();
        if round % 2 == 0 {
            bytes[at] ^= 1 << (round % 8)
        } else {
            bytes.truncate(at)
        }
        fs::write(&broken, bytes).unwrap();
        let refused = restore(&project, &broken, &["--replace"]);
        assert_eq!(refused.code, Some(1), "{}\n{}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains("KITH-B003") || refused.stderr.contains("KITH-B004"), "{}", refused.stderr);
    }
    let stranger = age::x25519::Identity::generate();
    project.write("safe/other.key", stranger.to_string().expose_secret());
    let file = file.display().to_string();
    project.kith(&["restore", &file, "--identity", "safe/other.key", "--replace"]).fails(1, "KITH-B003");
    project.kith(&["restore", &file, "--identity", "backup.recipients", "--replace"]).fails(2, "KITH-B001");
    project.kith(&["restore", &file, "--identity", "safe/backup.key"]).fails(1, "KITH-B005");
    // Signed by another installation's key, sealed for ours: whoever knows a public key can seal.
    let other = self::project();
    fs::copy(project.path("backup.recipients"), other.path("backup.recipients")).unwrap();
    drop_file(&other, "a.ndjson", posts(0..10, "a").as_bytes());
    other.run_once();
    let forged = other.path(backup(&other).to_str().unwrap());
    restore(&project, &forged, &["--replace"]).fails(1, "KITH-B004");
    assert_eq!(fs::read(project.path("state/kith.db")).unwrap(), state, "the state is as it was");
    // Recipients: a secret key has no place there, and is not shown.
    let secret = fs::read_to_string(project.path("safe/backup.key")).unwrap();
    project.write("backup.recipients", &secret);
    let refused = project.kith(&["backup"]).fails(2, "KITH-B001");
    assert!(!refused.stderr.contains(secret.lines().last().unwrap()));
}

#[test]
fn without_a_ledger_a_restore_is_refused_and_a_ledger_that_was_changed_is_told() {
    let project = project();
    drop_file(&project, "a.ndjson", posts(0..10, "a").as_bytes());
    project.run_once();
    let file = backup(&project);
    erase(&project, &["--identity", "mastodon", &account(4)]);
    let ledger = fs::read_dir(project.path("elsewhere"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "erasures"));
    let ledger = ledger.expect("the erasure left the machine");
    let text = fs::read_to_string(&ledger).unwrap();
    assert!(!text.contains(&token(4)), "by keyed hash alone");
    fs::rename(project.path("state"), project.path("old")).unwrap();
    fs::create_dir_all(project.path("state")).unwrap();
    fs::set_permissions(project.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(project.path("old/keys"), project.path("state/keys")).unwrap();
    // A proof that somebody changed.
    let at = text.find("extra ").unwrap() + 40;
    let mut changed = text.clone().into_bytes();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    fs::write(&ledger, changed).unwrap();
    restore(&project, &file, &[]).fails(1, "KITH-B006");
    // No ledger at all.
    fs::rename(project.path("elsewhere"), project.path("away")).unwrap();
    restore(&project, &file, &[]).fails(1, "KITH-B006");
    assert!(!project.path("state/kith.db").exists());
    // A copy of it, from wherever one is.
    project.write("copy.erasures", &text);
    project.edit("config/kith.toml", "erasures_to = \"elsewhere\"\n", "");
    let report = restore(&project, &file, &["--erasures", "copy.erasures"]).ok().json();
    assert_eq!(report["forgotten"], 1, "{report}");
}

#[test]
fn killed_at_any_moment_a_backup_or_restore_leaves_what_was_or_what_is_to_be() {
    let project = project();
    drop_file(&project, "a.ndjson", posts(0..150, "a").as_bytes());
    project.run_once();
    let seed = number("KITH_TEST_SEED", 4);
    eprintln!("KITH_TEST_SEED={seed}");
    let mut moments = Moments(seed);
    let took = Instant::now();
    let file = backup(&project);
    let within = u64::try_from(took.elapsed().as_millis()).unwrap().max(40);
    let kills = number("KITH_TEST_KILLS", 12) / 2;
    for _ in 0..kills {
        let mut made = project.spawn(&["--quiet", "backup"]);
        std::thread::sleep(Duration::from_millis(moments.below(within)));
        made.kill().unwrap();
        made.wait().unwrap();
        for whole in fs::read_dir(project.path("backups")).unwrap().map(|f| f.unwrap().path()) {
            if !whole.file_name().unwrap().to_str().unwrap().starts_with('.') {
                project.kith(&["backup", "verify", whole.to_str().unwrap(), "--identity", "safe/backup.key"]).ok();
            }
        }
        project.kith(&["audit", "verify"]).ok();
    }
    std::thread::sleep(Duration::from_millis(1_100));
    backup(&project);
    let partials =
        fs::read_dir(project.path("backups")).unwrap().filter(|f| f.as_ref().unwrap().file_name().to_str().unwrap().starts_with('.'));
    assert_eq!(partials.count(), 0, "what a killed one left is removed by the next");

    let before = rows(&project);
    let took = Instant::now();
    restore(&project, &file, &["--replace"]).ok();
    let within = u64::try_from(took.elapsed().as_millis()).unwrap().max(60);
    for _ in 0..kills {
        let file = file.display().to_string();
        let mut run = project.spawn(&["--quiet", "restore", &file, "--identity", "safe/backup.key", "--replace"]);
        std::thread::sleep(Duration::from_millis(moments.below(within)));
        run.kill().unwrap();
        run.wait().unwrap();
        assert!(
            project.path("state/kith.db").exists() && project.path("state/keys/master.key").exists(),
            "there is one state, and it is whole"
        );
        project.kith(&["audit", "verify"]).ok();
        assert_eq!(project.run_once()["conservation_gap"], 0);
        assert_eq!(rows(&project), before);
        std::thread::sleep(Duration::from_millis(1_000));
    }
    restore(&project, &file, &["--replace"]).ok();
    project.run_once();
    assert_eq!(rows(&project), before);
}

#[test]
fn doctor_warns_until_somebody_opened_the_sealed_keys() {
    let project = project();
    drop_file(&project, "a.ndjson", posts(0..5, "a").as_bytes());
    project.run_once();
    let warned = project.kith(&["doctor"]);
    assert!(warned.stderr.contains("KITH-B010") && warned.code == Some(0), "{}", warned.stderr);
    project.kith(&["keys", "escrow", "--to", "safe/keys.age"]).ok();
    assert!(project.kith(&["doctor"]).stderr.contains("KITH-B010"), "a file that nobody opened proves nothing");
    project.kith(&["keys", "escrow", "--to", "safe/keys.age"]).fails(1, "KITH-B002");
    let sealed = fs::read(project.path("safe/keys.age")).unwrap();
    let master = fs::read(project.path("state/keys/master.key")).unwrap();
    assert!(!sealed.windows(20).any(|window| window == &master[master.len() - 30..master.len() - 10]));
    project.kith(&["keys", "confirm", "safe/keys.age", "--identity", "safe/backup.key"]).ok();
    let quiet = project.kith(&["--format", "json", "doctor"]).ok();
    assert!(!quiet.stderr.contains("KITH-B010"), "{}", quiet.stderr);
    assert!(quiet.json()["state"]["keys_confirmed"].is_string());
    // Another master key: the confirmation was about the one before.
    project.kith(&["keys", "rotate-master"]).ok();
    assert!(project.kith(&["doctor"]).stderr.contains("KITH-B010"));
    project.kith(&["keys", "confirm", "safe/keys.age", "--identity", "safe/backup.key"]).fails(3, "KITH-B009");
    // A backup from now can't be used with the keys of then, and says so.
    project.kith(&["keys", "recover", "safe/keys.age", "--identity", "safe/backup.key"]).fails(1, "KITH-A007");
    let exported = entries(&project).iter().filter(|entry| entry["entry"]["kind"] == "export.made").count();
    assert_eq!(exported, 2, "the log tells that keys left, and that they were looked into");
}
