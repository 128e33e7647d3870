//! The retention clocks run on their own: each kind ends in its time and not before, on the network's terms where it has some, and not under a hold.

use crate::kills::entries;
use crate::rights::{account, drop_file, token, with_folder};
use crate::support::{CUSTOMERS_HEADER, Project, activity, deleted, lines};
use kith::cli::{Environment, Format, Global, Project as Loaded};
use kith::model::Timestamp;
use kith::pipeline::{Clock, Parts, RunOptions, Service, Unseen, WhoAsks};
use kith::store::log::InstallationKeys;
use serde_json::Value;
use std::fs;
use std::sync::{Arc, LazyLock};

/// A clock that stands still at a moment.
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// So many days after the tests began: files have the disk's time, so that the clocks begin at the real one.
pub fn at(days: i64) -> Timestamp {
    static BEGAN: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);
    *BEGAN + jiff::SignedDuration::from_hours(24 * days)
}

/// One pass at a moment, as `kith run --once` makes it.
pub fn run_at(project: &Project, now: Timestamp) {
    let environment = Environment::of(&[], "tester");
    let global = Global { config: project.path("config/kith.toml"), format: Format::Human, verbose: 0, quiet: true };
    let loaded = Loaded::load(&global, &environment).into_result().unwrap_or_else(|problems| panic!("{problems:?}")).0;
    let config = loaded.config;
    fs::create_dir_all(&config.service.state).unwrap();
    let parts = Parts {
        rulebook: loaded.rulebook,
        targets: config.targets.iter().cloned().zip(loaded.targets).collect(),
        keys: InstallationKeys::open_or_create(&config.service.state.join("keys"), "kith.test/retail").unwrap().0,
        config,
    };
    let who = WhoAsks { user: "tester".into(), role: kith::audit::Role::Operator };
    let service = Service::open(parts, who, Arc::new(At(now)), Arc::new(Unseen)).unwrap();
    let (_stop, stops) = tokio::sync::watch::channel(false);
    let options = RunOptions { once: true, approve_customers: true, ..RunOptions::default() };
    let summary = tokio::runtime::Runtime::new().unwrap().block_on(service.run(&options, stops)).unwrap();
    assert!(summary.faults.is_empty(), "{:?}", summary.faults);
}

fn store(project: &Project, sql: &str) -> i64 {
    let db = rusqlite::Connection::open_with_flags(project.path("state/kith.db"), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

const PROFILES: &str = "SELECT count(*) FROM identity WHERE profile IS NOT NULL";
const CONTENTS: &str = "SELECT count(*) FROM activity WHERE sealed IS NOT NULL";

fn keys(project: &Project, class: i64) -> i64 {
    store(project, &format!("SELECT count(*) FROM person_key WHERE class = {class}"))
}

/// Person 1 is a customer, person 2 a stranger; person 3, on another network, is a stranger too.
fn project(retain: &str) -> Project {
    let project = with_folder();
    project.edit("mappings/retail.yaml", "retain: { unlinked: 7d, profiles: 30d, activities: 400d, audit: 7y }", retain);
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}C1,Someone Else,,,,,,,,mastodon:{},\n", token(1)));
    drop_file(&project, "a.ndjson", format!("{}not an activity\n", lines(&posts())).as_bytes());
    project
}

fn posts() -> Vec<Value> {
    let post = |network: &str, person: u32| activity(network, &token(person), &token(person), "Name", person, "I said it");
    vec![post("mastodon", 1), post("mastodon", 2), post("reddit", 3)]
}

fn ended(project: &Project) -> Vec<(String, u64)> {
    let told = entries(project).into_iter().filter(|e| e["entry"]["kind"] == "retention.ended");
    told.map(|e| (e["entry"]["what"]["record_kind"].as_str().unwrap().to_owned(), e["entry"]["what"]["count"].as_u64().unwrap())).collect()
}

#[test]
fn each_clock_ends_its_kind_in_its_time_and_not_before() {
    let project = project("retain: { unlinked: 7d, profiles: 30d, activities: 400d, audit: 700d, networks: { reddit: { unlinked: 2d } } }");
    run_at(&project, at(0));
    assert_eq!((store(&project, PROFILES), store(&project, CONTENTS)), (3, 3));
    assert!(project.path("done/a.ndjson").exists());

    // The stranger on the network whose terms ask for two days goes first.
    run_at(&project, at(1));
    assert!(ended(&project).is_empty());
    run_at(&project, at(3));
    assert_eq!(ended(&project), [("strangers".to_owned(), 2), ("files that were read".to_owned(), 1)]);
    assert_eq!((store(&project, PROFILES), store(&project, CONTENTS)), (2, 2));

    run_at(&project, at(6));
    assert_eq!(store(&project, PROFILES), 2);
    run_at(&project, at(8));
    assert_eq!((store(&project, PROFILES), store(&project, CONTENTS)), (1, 1));
    assert_eq!(store(&project, "SELECT count(*) FROM identity WHERE account IS NOT NULL"), 1, "nothing names a stranger any more");
    assert_eq!(keys(&project, 0), 0, "the strangers' class is gone");

    // The linked profile's clock: the profile and its key go, the link and the levels stay.
    run_at(&project, at(29));
    assert_eq!(store(&project, PROFILES), 1);
    run_at(&project, at(31));
    assert_eq!((store(&project, PROFILES), store(&project, CONTENTS)), (0, 1));
    // The customer's key went by age: known since the first look after it was made.
    run_at(&project, at(32));
    assert_eq!(keys(&project, 1), 0);
    assert_eq!(store(&project, "SELECT count(*) FROM link WHERE ended IS NULL"), 1);
    let shown = project.kith(&["--format", "json", "link", "show", "mastodon", &account(1)]).ok().json();
    assert_eq!((&shown["decision"], &shown["rule"]), (&"linked".into(), &"handle-on-file".into()));
    let decision = entries(&project).into_iter().find(|e| e["entry"]["kind"] == "decision" && e["entry"]["outcome"] == "linked").unwrap();
    assert!(decision["entry"]["evidence"].to_string().contains("handle-on-file"), "rule and weights outlive the key");

    // A Delete upstream still reaches what was written: also when the words themselves are gone.
    run_at(&project, at(399));
    assert_eq!((store(&project, CONTENTS), store(&project, "SELECT count(*) FROM parked_line WHERE sealed IS NOT NULL")), (1, 1));
    run_at(&project, at(401));
    assert_eq!((store(&project, CONTENTS), store(&project, "SELECT count(*) FROM parked_line WHERE sealed IS NOT NULL")), (0, 0));
    assert_eq!(project.crm("SELECT * FROM SocialInteraction").len(), 1);
    let mut delete = deleted(&posts()[0], "2026-09-03T10:00:00Z");
    delete["actor"] = account(1).into();
    drop_file(&project, "d.ndjson", lines(&[delete]).as_bytes());
    run_at(&project, at(402));
    assert!(project.crm("SELECT * FROM SocialInteraction").is_empty());

    // Values in entries: the oldest go when their clock ends, the younger later.
    assert!(keys(&project, 3) > 0);
    let revealed = || {
        let intended = entries(&project).into_iter().find(|e| e["entry"]["kind"] == "write.intended").unwrap()["number"].to_string();
        project.kith(&["audit", "show", &intended, "--reveal"]).code
    };
    assert_eq!(revealed(), Some(0));
    run_at(&project, at(699));
    assert_eq!(revealed(), Some(0));
    // Known to the clock since its first look after the write.
    run_at(&project, at(702));
    assert_eq!(revealed(), Some(1));
    let kinds: Vec<String> = ended(&project).into_iter().map(|(kind, _)| kind).collect();
    for kind in ["strangers", "profiles", "activities", "audit values"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind}: {kinds:?}");
    }
    assert_eq!(project.kith(&["--format", "json", "status"]).ok().json()["conservation_gap"], 0);
    project.kith(&["doctor", "--store", "--dry-run"]).ok();
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn a_hold_stops_the_clocks_for_one_person_alone() {
    let project = project("retain: { unlinked: 1d, profiles: 1d, activities: 1d, audit: 1d }");
    run_at(&project, at(0));
    project.kith(&["subject", "hold", "--identity", "mastodon", &account(2), "--reason", "lawsuit"]).ok();
    project.kith(&["subject", "hold", "--customer", "C1", "--reason", "lawsuit"]).ok();
    run_at(&project, at(9));
    assert_eq!((store(&project, PROFILES), store(&project, CONTENTS)), (2, 2));
    let held = store(&project, "SELECT count(*) FROM person_key k JOIN hold h ON h.person = k.person WHERE k.class = 3");
    assert!(held > 0, "keys of entries about the held stay");
    project.kith(&["subject", "release", "--customer", "C1", "--reason", "settled"]).ok();
    run_at(&project, at(10));
    assert_eq!((store(&project, PROFILES), store(&project, CONTENTS)), (1, 1));
}

#[test]
fn files_that_were_read_go_by_the_shortest_clock() {
    let project = project("retain: { unlinked: 7d, profiles: 30d, activities: 400d, audit: 7y }");
    run_at(&project, at(0));
    assert!(project.path("done/a.ndjson").exists());
    run_at(&project, at(6));
    assert!(project.path("done/a.ndjson").exists());
    run_at(&project, at(8));
    assert!(!project.path("done/a.ndjson").exists());
    assert!(ended(&project).contains(&("files that were read".to_owned(), 1)));
}

#[test]
fn who_goes_on_speaking_is_kept_and_who_comes_back_is_taken_in_anew() {
    let project = project("retain: { unlinked: 7d, profiles: 30d, activities: 400d, audit: 7y }");
    run_at(&project, at(0));
    let again = |note: u32| {
        let post = activity("mastodon", &token(2), &token(2), "Name", note, "again");
        drop_file(&project, &format!("{note}.ndjson"), lines(&[post]).as_bytes());
    };
    again(20);
    run_at(&project, at(6));
    run_at(&project, at(10));
    let known = format!("SELECT count(*) FROM identity WHERE account = '{}'", account(2));
    assert_eq!(store(&project, &known), 1, "seen four days ago");
    run_at(&project, at(14));
    assert_eq!(store(&project, &known), 0);
    again(21);
    run_at(&project, at(15));
    assert_eq!(store(&project, &known), 1);
    assert_eq!(project.kith(&["--format", "json", "status"]).ok().json()["conservation_gap"], 0);
}

#[test]
fn a_field_of_a_profile_goes_before_the_rest_of_it_and_comes_back_with_the_account() {
    let project = project("retain: { unlinked: 7d, profiles: 30d, activities: 400d, audit: 7y, fields: { actor.name: 3d } }");
    let shown = || {
        let export = project.kith(&["subject", "export", "--identity", "mastodon", &account(1)]).ok().json();
        export["accounts"][0]["profile"].to_string()
    };
    let whole = |project: &Project| store(project, "SELECT count(*) FROM identity WHERE profile IS NOT NULL AND profile_hash IS NOT NULL");
    run_at(&project, at(0));
    let values = || {
        let decision =
            entries(&project).into_iter().find(|e| e["entry"]["kind"] == "decision" && e["entry"]["outcome"] == "linked").unwrap();
        project.kith(&["audit", "recompute", &decision["number"].to_string()])
    };
    assert!(shown().contains("\"Name\""));
    assert!(!values().ok().stdout.contains("levels"), "{}", values().ok().stdout);
    // Somebody is held: of that person nothing goes.
    project.kith(&["subject", "hold", "--identity", "mastodon", &account(2), "--reason", "lawsuit"]).ok();
    run_at(&project, at(2));
    assert!(shown().contains("\"Name\"") && ended(&project).is_empty());

    run_at(&project, at(4));
    let told: Vec<Value> = entries(&project).into_iter().filter(|e| e["entry"]["kind"] == "retention.ended").collect();
    assert_eq!((&told[0]["entry"]["what"]["field"], &told[0]["entry"]["what"]["count"]), (&"actor.name".into(), &2.into()), "{told:?}");
    let left = shown();
    assert!(!left.contains("\"Name\"") && left.contains(&token(1)), "{left}");
    assert_eq!(store(&project, PROFILES), 3);
    assert_eq!(whole(&project), 1, "the one that is held");
    // The values in the evidence went with the key, and the decision comes out of its levels.
    assert!(values().ok().stdout.contains("levels"), "{}", values().ok().stdout);
    let link = || store(&project, "SELECT count(*) FROM link WHERE ended IS NULL");
    assert_eq!(link(), 1, "a profile that was shortened unlinks nobody");
    // A customer that changes asks again about whole profiles alone.
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}C1,Another Name,,,,,,,,mastodon:{},\n", token(1)));
    run_at(&project, at(5));
    assert_eq!(link(), 1);
    run_at(&project, at(6));
    assert_eq!(ended(&project).iter().filter(|(kind, _)| kind == "profiles").count(), 1, "once");

    // Whoever is no longer held is looked at again; who shows himself again is whole again.
    project.kith(&["subject", "release", "--identity", "mastodon", &account(2), "--reason", "settled"]).ok();
    run_at(&project, at(6));
    assert_eq!(whole(&project), 0);
    let post = activity("mastodon", &token(1), &token(1), "Name", 9, "again");
    drop_file(&project, "9.ndjson", lines(&[post]).as_bytes());
    run_at(&project, at(6));
    assert!(shown().contains("\"Name\"") && link() == 1);
    project.kith(&["doctor", "--store", "--dry-run"]).ok();
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn a_field_s_clock_that_ends_nothing_is_told() {
    let project = with_folder();
    let retain = "retain: { unlinked: 7d, profiles: 30d, activities: 400d, audit: 7y";
    project.edit("mappings/retail.yaml", retain, &format!("{retain}, fields: {{ actor.nickname: 3d }}"));
    project.kith(&["check"]).fails(2, "reads no `actor.nickname`");
    project.edit("mappings/retail.yaml", "actor.nickname: 3d", "actor.summary: 30d");
    let said = project.kith(&["check"]).ok().stdout;
    assert!(said.contains("KITH-M019") && said.contains("the whole profile goes after 30 days"), "{said}");
}

#[test]
fn a_network_s_clock_of_a_field_holds_for_its_own_accounts_whatever_the_mapping_says() {
    let project = project("retain: { unlinked: 7d, profiles: 30d, activities: 400d, audit: 7y }");
    let network = "kith: 1\nnetwork: mastodon\nas_of: 2026-11-28\ncites: [{ what: Terms, where: \"https://mastodon.example/terms\" }]\n\
        accepts: [provided_by_customer, public_profile]\nkeep_at_most: { fields: { actor.name: 3d } }\n";
    project.write("own/mastodon.yaml", network);
    project.edit("mappings/retail.yaml", "  audience: [public]", "  duties: [../own/mastodon.yaml]\n  audience: [public]");
    let described = project.kith(&["mapping", "describe", "mappings/retail.yaml"]).ok().stdout;
    assert!(described.contains("actor.name of a profile on mastodon for 3 days only."), "{described}");
    let shows = |network: &str, person: u32| {
        let id = format!("https://{network}.example/users/{}", token(person));
        let export = project.kith(&["subject", "export", "--identity", network, &id]).ok().json();
        export["accounts"][0]["profile"].to_string().contains("\"Name\"")
    };
    run_at(&project, at(0));
    run_at(&project, at(2));
    assert!(shows("mastodon", 1) && shows("mastodon", 2) && shows("reddit", 3));
    run_at(&project, at(4));
    assert!(!shows("mastodon", 1) && !shows("mastodon", 2) && shows("reddit", 3), "the other network's accounts keep it");
    let told: Vec<Value> = entries(&project).into_iter().filter(|e| e["entry"]["kind"] == "retention.ended").collect();
    let of = |entry: &Value| {
        (entry["entry"]["network"].clone(), entry["entry"]["what"]["field"].clone(), entry["entry"]["what"]["count"].clone())
    };
    assert_eq!(told.iter().map(of).collect::<Vec<_>>(), [("mastodon".into(), "actor.name".into(), 2.into())]);

    // A general clock that comes later reaches those that the network's passed by, and only what it may.
    project.edit("config/kith.toml", "mapping = ", "release = \"on-start\"\nmapping = ");
    project.edit("mappings/retail.yaml", "audit: 7y }", "audit: 7y, fields: { actor.name: 5d } }");
    project.kith(&["check"]).fails(2, "`actor.name` is kept for 5 days, and `mastodon` allows 3");
    project.edit(
        "mappings/retail.yaml",
        "fields: { actor.name: 5d }",
        "fields: { actor.name: 5d }, networks: { mastodon: { fields: { actor.name: 2d } } }",
    );
    project.kith(&["check"]).ok();
    run_at(&project, at(6));
    assert!(!shows("reddit", 3));
    project.edit("mappings/retail.yaml", "mastodon: { fields: { actor.name: 2d } }", "mastodon: { fields: { actor.nickname: 2d } }");
    project.kith(&["check"]).fails(2, "reads no `actor.nickname`");

    // What a post says goes with the post.
    project.edit("mappings/retail.yaml", ", fields: { actor.name: 5d }, networks: { mastodon: { fields: { actor.nickname: 2d } } }", "");
    project.write("own/mastodon.yaml", network.replace("actor.name: 3d", "object.content: 2d"));
    project.kith(&["check"]).fails(2, "`activities` are kept for 400 days, and `object.content` with them, and `mastodon` allows 2");
    project.edit("mappings/retail.yaml", "audit: 7y }", "audit: 7y, networks: { mastodon: { activities: 2d } } }");
    project.kith(&["check"]).ok();
    project.kith(&["doctor", "--store", "--dry-run"]).ok();
    project.kith(&["audit", "verify"]).ok();
}
