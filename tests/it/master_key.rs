//! Another master key: what was sealed opens under it, the old one opens nothing, and a kill in the middle loses nothing.

use crate::kills::{Moments, entries, number};
use crate::rights::{account, copy, customers, drop_file, token, with_folder};
use crate::support::{Project, activity, lines};
use std::fs;
use std::time::Duration;

fn project() -> Project {
    let project = with_folder();
    project.write("data/customers.csv", customers(40));
    let posts: Vec<_> = (0..40).map(|p| activity("mastodon", &token(p), &token(p), "Name", p, "hello")).collect();
    drop_file(&project, "a.ndjson", lines(&posts).as_bytes());
    project.kith(&["--quiet", "run", "--once"]);
    project
}

/// Everything that is sealed about somebody opens.
fn opens(project: &Project) -> bool {
    let export = project.kith(&["subject", "export", "--identity", "mastodon", &account(2)]);
    export.code == Some(0) && export.stdout.contains("hello")
}

#[test]
fn after_a_rotation_everything_opens_and_the_old_key_opens_nothing() {
    let project = project();
    let old = fs::read(project.path("state/keys/master.key")).unwrap();
    let told = project.kith(&["--format", "json", "keys", "rotate-master"]).ok().json();
    assert!(told["keys"].as_u64().unwrap() > 100);
    assert_ne!(fs::read(project.path("state/keys/master.key")).unwrap(), old);
    assert!(!project.path("state/keys/master.key.next").exists());
    assert!(opens(&project));
    project.kith(&["--quiet", "run", "--once"]);
    project.kith(&["audit", "verify"]).ok();
    let rotated: Vec<_> = entries(&project).into_iter().filter(|e| e["entry"]["kind"] == "key.rotated").collect();
    assert_eq!((rotated.len(), &rotated[0]["entry"]["what"]["id"]), (1, &told["master"]));
    // A second one follows the first.
    project.kith(&["keys", "rotate-master"]).ok();
    assert!(opens(&project));
    project.kith(&["keys", "rotate-master", "--next", "x"]).fails(1, "KITH-R055");
    fs::write(project.path("state/keys/master.key"), old).unwrap();
    project.kith(&["status"]).fails(1, "KITH-A007");
}

#[test]
fn a_master_key_given_as_a_secret_is_rotated_by_a_file() {
    let project = project();
    fs::rename(project.path("state/keys"), project.path("secrets")).unwrap();
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
    let keys = |master: &str| {
        format!(
            "{config}\n[keys]\nmaster = {{ file = \"{master}\" }}\nhash = {{ file = \"secrets/hash.key\" }}\nsigning = {{ file = \"secrets/log.key\" }}\n"
        )
    };
    project.write("config/kith.toml", keys("secrets/master.key"));
    assert!(opens(&project));
    project.kith(&["keys", "rotate-master"]).fails(1, "KITH-R055");
    project.kith(&["keys", "rotate-master", "--next", "secrets/new.key"]).ok();
    project.kith(&["status"]).fails(1, "KITH-A007");
    project.write("config/kith.toml", keys("secrets/new.key"));
    assert!(opens(&project));
    project.kith(&["--quiet", "run", "--once"]);
}

#[test]
fn a_rotation_beside_a_running_service_is_refused() {
    let project = project();
    let mut service = project.spawn(&["--quiet", "run"]);
    while !project.path("state/control.sock").exists() {
        std::thread::sleep(Duration::from_millis(50));
    }
    project.kith(&["keys", "rotate-master"]).fails(1, "another kith writes");
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(!project.path("state/keys/master.key.next").exists());
}

#[test]
fn killed_while_the_master_key_is_rotated_nothing_is_lost() {
    let (kills, seed) = (number("KITH_TEST_KILLS", 12), number("KITH_TEST_SEED", 3));
    let prepared = project();
    let mut moments = Moments(seed);
    let (mut killed, mut rotated, mut round) = (0, 0, 0);
    while killed < kills {
        round += 1;
        assert!(round < 40 * kills, "it is too fast to be killed");
        let project = with_folder();
        for folder in ["state", "done", "crm", "data"] {
            copy(&prepared.path(folder), &project.path(folder));
        }
        let before = fs::read(project.path("state/keys/master.key")).unwrap();
        let mut child = project.spawn(&["--quiet", "keys", "rotate-master"]);
        std::thread::sleep(Duration::from_millis(moments.below(120)));
        killed += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(opens(&project), "seed {seed}, round {round}");
        rotated += u64::from(fs::read(project.path("state/keys/master.key")).unwrap() != before);
        project.kith(&["--quiet", "run", "--once"]);
        project.kith(&["keys", "rotate-master"]).ok();
        assert!(opens(&project), "seed {seed}, round {round}");
        project.kith(&["audit", "verify"]).ok();
    }
    eprintln!("{killed} kills, seed {seed}: {rotated} had rotated already; nothing lost");
}
