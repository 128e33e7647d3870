//! People's rights: whoever is erased is in no file any more, whoever objects is unlinked, a hold stops both, and whoever asks gets everything.

use crate::kills::{entries, number};
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, deleted, lines};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A token that stands in everything personal of one person, and in nothing else.
pub fn token(person: u32) -> String {
    format!("q{person:07}z")
}

pub fn account(person: u32) -> String {
    format!("https://mastodon.example/users/{}", token(person))
}

/// Two posts of a person; the even ones are customers whose handle the CRM holds.
fn posts(person: u32) -> Vec<Value> {
    let name = token(person);
    (0..2)
        .map(|post| {
            let mut said = activity("mastodon", &name, &name, &format!("Name {name}"), person * 2 + post, &format!("I said {name} {post}"));
            for (place, kind) in [("/id", "activities"), ("/object/id", "notes")] {
                *said.pointer_mut(place).unwrap() = format!("https://mastodon.example/{kind}/{name}-{post}").into();
            }
            said
        })
        .collect()
}

/// A project that reads a drop folder.
pub fn with_folder() -> Project {
    let project = Project::empty();
    project.edit(
        "config/kith.toml",
        "kind = \"file\"\npath = \"data/activities.ndjson\"",
        "kind = \"folder\"\ninbox = \"inbox\"\ndone = \"done\"",
    );
    fs::create_dir_all(project.path("inbox")).unwrap();
    fs::create_dir_all(project.path("tmp")).unwrap();
    project.write("data/orders.csv", ORDERS_HEADER);
    project
}

pub fn customers(people: u32) -> String {
    let row = |person: u32| format!("C{person:07},Someone Else,,,,,,,,mastodon:{},\n", token(person));
    CUSTOMERS_HEADER.to_owned() + &(0..people).filter(|p| p.is_multiple_of(2)).map(row).collect::<String>()
}

/// Puts a file where a source finds it, old enough to be whole.
pub fn drop_file(project: &Project, name: &str, bytes: &[u8]) {
    project.write(&format!("inbox/{name}"), bytes);
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3_600);
    fs::File::options().write(true).open(project.path(&format!("inbox/{name}"))).unwrap().set_modified(long_ago).unwrap();
}

fn packed(text: &str) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap()
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

/// Every token in the raw bytes of every file of these folders, packed files unpacked as well, whatever case it is written in.
fn tokens(project: &Project, folders: &[&str]) -> BTreeMap<String, PathBuf> {
    let mut all = Vec::new();
    for folder in folders {
        files(&project.path(folder), &mut all);
    }
    let mut found = BTreeMap::new();
    for path in all.iter().filter(|path| path.file_name().is_some_and(|name| name != "control.sock")) {
        let bytes = fs::read(path).unwrap();
        let mut texts = vec![bytes.to_ascii_lowercase()];
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut plain).unwrap();
            texts.push(plain.to_ascii_lowercase());
        }
        for text in texts {
            for window in text.windows(9) {
                if window[0] == b'q' && window[8] == b'z' && window[1..8].iter().all(u8::is_ascii_digit) {
                    found.insert(String::from_utf8(window.to_vec()).unwrap(), path.clone());
                }
            }
        }
    }
    found
}

const OURS: &[&str] = &["state", "inbox", "done", "tmp"];

/// The wrapped keys of the store, as they stand in its file.
fn wrapped(project: &Project) -> Vec<Vec<u8>> {
    let db = rusqlite::Connection::open_with_flags(project.path("state/kith.db"), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = db.prepare("SELECT wrapped FROM person_key").unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn removals(project: &Project, request: &str) -> Vec<Value> {
    let out = project.kith(&["--format", "json", "subject", "removals", "--request", request]).ok().stdout;
    out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|line| line.get("removal").is_some()).collect()
}

/// Everybody's posts in several files, one of them packed, with lines that are no activity and name people all the same.
fn drop_everybody(project: &Project, people: u32) {
    let (mut plain, mut gz) = (String::new(), String::new());
    for person in 0..people {
        let into = if person % 3 == 0 { &mut gz } else { &mut plain };
        into.push_str(&lines(&posts(person)));
        if person % 50 == 0 {
            let whole = lines(&posts(person)[..1]);
            into.push_str(&whole[..whole.len() * 2 / 3]);
            into.push('\n');
        }
    }
    drop_file(project, "a.ndjson", plain.as_bytes());
    drop_file(project, "b.ndjson.gz", &packed(&gz));
}

#[test]
fn of_people_who_are_erased_no_byte_is_left_and_the_log_still_verifies() {
    let people: u32 = if std::env::var_os("KITH_TEST_FULL").is_some() { 10_000 } else { 1_000 };
    let project = with_folder();
    project.write("data/customers.csv", customers(people));
    drop_everybody(&project, people);
    let first = project.kith(&["--format", "json", "run", "--once"]);
    let first = first.json();
    assert_eq!(first["totals"]["decisions"]["linked"], people / 2, "{first}");
    // One file waits, never begun; the files that were read are in `done`.
    drop_file(&project, "later.ndjson", lines(&[posts(10)[0].clone(), posts(11)[1].clone()]).as_bytes());
    project.kith(&["audit", "verify"]).ok();

    let erased: Vec<u32> = (0..people).filter(|person| person % 10 < 1).collect();
    let held = erased[3];
    let gone: HashSet<String> = erased.iter().filter(|person| **person != held).map(|person| token(*person)).collect();
    let before = tokens(&project, OURS);
    assert!(gone.iter().all(|token| before.contains_key(token)), "a search that finds nobody proves nothing");
    let keys_before = wrapped(&project);

    project.kith(&["subject", "hold", "--identity", "mastodon", &account(held), "--reason", "a lawsuit", "--matter", "M-7"]).ok();
    let list: String = erased.iter().map(|person| format!("mastodon {}\n", account(*person))).collect();
    project.write("tmp/list.txt", list);
    let started = Instant::now();
    let asked = project.kith(&["--format", "json", "subject", "erase", "--from", "tmp/list.txt", "--reason", "they asked"]);
    fs::remove_file(project.path("tmp/list.txt")).unwrap();
    let asked = asked.fails(1, "KITH-R050");
    let request =
        asked.stdout.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()).find_map(|l| l["request"].as_str().map(str::to_owned));
    let request = request.unwrap();
    project.kith(&["--quiet", "run", "--once"]);
    let took = started.elapsed();

    let done = removals(&project, &request);
    assert_eq!(done.len(), gone.len());
    let linked = erased.iter().filter(|person| **person != held && person.is_multiple_of(2)).count();
    let mut rows = 0;
    for removal in &done {
        assert!(removal["done"].is_string(), "{removal}");
        let says = &removal["certificate"]["says"];
        rows += says["crm_rows"]["removed"].as_u64().unwrap();
        assert!(says["keys_destroyed"].as_u64().unwrap() > 0, "{says}");
        assert!(says["stored_records_removed"].as_u64().unwrap() >= 3, "{says}");
        assert!(says["lines_taken_out_of_files"].as_u64().unwrap() >= 2, "{says}");
    }
    assert_eq!(rows, linked as u64 * 3, "a profile and two interactions each");

    // Not a byte: not of names, ids, handles, words; nor of the keys that sealed them.
    let after = tokens(&project, OURS);
    let left: Vec<_> = after.iter().filter(|(token, _)| gone.contains(*token)).take(5).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(after.contains_key(&token(held)) && after.len() > people as usize / 2, "of the others everything is there: {}", after.len());
    let keys: HashSet<Vec<u8>> = wrapped(&project).into_iter().collect();
    let destroyed: Vec<&Vec<u8>> = keys_before.iter().filter(|key| !keys.contains(*key)).collect();
    assert!(destroyed.len() >= gone.len() * 2, "{}", destroyed.len());
    let mut all = Vec::new();
    files(&project.path("state"), &mut all);
    // The middle of a wrapped key is ciphertext: 24 bytes stand nowhere else by chance.
    let needles: HashSet<&[u8]> = destroyed.iter().map(|key| &key[key.len() - 40..key.len() - 16]).collect();
    for path in all.iter().filter(|p| p.file_name().is_some_and(|n| n != "control.sock")) {
        let bytes = fs::read(path).unwrap();
        assert!(!bytes.windows(24).any(|window| needles.contains(window)), "a destroyed key is still in {}", path.display());
    }
    for person in &erased {
        let rows = project.crm(&format!("SELECT Handle FROM SocialProfile WHERE Handle = '{}'", token(*person)));
        assert_eq!(rows.len(), usize::from(*person == held), "{person}");
    }

    // The log holds, and tells.
    project.kith(&["audit", "verify"]).ok();
    let log = entries(&project);
    let count = |kind: &str| log.iter().filter(|e| e["entry"]["kind"] == kind).count();
    assert_eq!((count("subject.erased"), count("erasure.refused"), count("hold.placed")), (gone.len(), 1, 1));
    assert!(count("link.ended") >= linked);
    assert!(!log.iter().any(|entry| entry.to_string().contains("they asked")), "a reason stands sealed");
    assert_eq!(project.kith(&["--format", "json", "status"]).ok().json()["conservation_gap"], 0);

    // Who was erased is not matched again, and nothing new of them is kept in the store.
    let again: Vec<Value> = posts(erased[1])
        .into_iter()
        .chain(posts(11))
        .map(|mut post| {
            post["object"]["id"] = format!("{}-again", post["object"]["id"].as_str().unwrap()).into();
            post["id"] = format!("{}-again", post["id"].as_str().unwrap()).into();
            post
        })
        .collect();
    drop_file(&project, "again.ndjson", lines(&again).as_bytes());
    project.kith(&["--quiet", "run", "--once"]);
    assert!(!tokens(&project, &["state"]).contains_key(&token(erased[1])));
    assert!(project.crm(&format!("SELECT Handle FROM SocialProfile WHERE Handle = '{}'", token(erased[1]))).is_empty());
    eprintln!("{} of {people} people erased in {took:.1?}, files and CRM included", gone.len());
}

#[test]
fn beside_a_running_service_an_erasure_ends_by_itself() {
    let project = with_folder();
    project.write("data/customers.csv", customers(20));
    drop_everybody(&project, 20);
    let service = project.spawn(&["--quiet", "run"]);
    let started = Instant::now();
    while project.crm("SELECT * FROM SocialProfile").len() < 10 {
        assert!(started.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(100));
    }
    let asked = project.kith(&["--format", "json", "subject", "erase", "--customer", "C0000004", "--reason", "asked"]).ok();
    let sum = asked.json();
    let started = Instant::now();
    while removals(&project, sum["request"].as_str().unwrap()).iter().any(|r| r["done"].is_null()) {
        assert!(started.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(100));
    }
    let done = removals(&project, sum["request"].as_str().unwrap());
    assert_eq!(done.len(), 2, "the account and the customer");
    assert!(project.crm("SELECT * FROM SocialProfile WHERE CustomerID = 'C0000004'").is_empty());
    assert!(project.crm("SELECT * FROM SocialInteraction WHERE CustomerID = 'C0000004'").is_empty());
    // A customer who was erased is matched to nobody, whoever shows that handle.
    let thief = activity("mastodon", "somebody-else", &token(4), "Another Name", 900, "hello");
    drop_file(&project, "thief.ndjson", lines(&[thief]).as_bytes());
    let started = Instant::now();
    loop {
        let shown = project.kith(&["--format", "json", "link", "show", "mastodon", "https://mastodon.example/users/somebody-else"]);
        if shown.code == Some(0) {
            assert_ne!(shown.json()["decision"], "linked", "{}", shown.stdout);
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(100));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&service), rustix::process::Signal::TERM).unwrap();
    let ended = service.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    project.kith(&["audit", "verify"]).ok();
    // What the CRM still holds of the customer is the CRM's.
    let found = tokens(&project, OURS);
    assert!(!found.contains_key(&account(4)) && !tokens(&project, &["state"]).contains_key(&token(4)), "{found:?}");
}

#[test]
fn an_objection_unlinks_withdraws_and_is_remembered() {
    let project = with_folder();
    project.write("data/customers.csv", customers(6));
    drop_everybody(&project, 6);
    project.kith(&["--quiet", "run", "--once"]);
    assert_eq!(project.crm("SELECT * FROM SocialProfile").len(), 3);
    project.kith(&["subject", "object", "--identity", "mastodon", &account(2), "--reason", "art. 21"]).ok();
    project.kith(&["--quiet", "run", "--once"]);
    let handles = project.crm("SELECT Handle FROM SocialProfile");
    assert_eq!(handles, [token(0), token(4)]);
    assert_eq!(project.crm("SELECT * FROM SocialInteraction").len(), 4);
    let log = entries(&project);
    let kinds: Vec<&str> = log.iter().map(|e| e["entry"]["kind"].as_str().unwrap()).collect();
    for kind in ["subject.objected", "subject.suppressed", "link.ended"] {
        assert_eq!(kinds.iter().filter(|k| **k == kind).count(), 1, "{kind}");
    }
    // A new post, a changed customer and a second objection change nothing.
    let mut post = posts(2)[0].clone();
    post["object"]["id"] = "https://mastodon.example/notes/new".into();
    post["id"] = "https://mastodon.example/activities/new".into();
    drop_file(&project, "new.ndjson", lines(&[post]).as_bytes());
    project.write("data/customers.csv", customers(6).replace("Someone Else", "Somebody New"));
    project.kith(&["--quiet", "run", "--once", "--approve-customers"]);
    assert_eq!(project.crm("SELECT Handle FROM SocialProfile"), handles);
    project.kith(&["subject", "object", "--identity", "mastodon", &account(2), "--reason", "again"]).ok();
    assert_eq!(project.kith(&["--format", "json", "status"]).ok().json()["conservation_gap"], 0);
    project.kith(&["doctor", "--store", "--dry-run"]);
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn a_hold_stops_erasure_and_objection_until_it_is_released() {
    let project = with_folder();
    project.write("data/customers.csv", customers(6));
    drop_everybody(&project, 6);
    project.kith(&["--quiet", "run", "--once"]);
    // A customer's hold covers the account that is linked to it.
    project.kith(&["subject", "hold", "--customer", "C0000002", "--reason", "litigation", "--matter", "M-1"]).ok();
    for act in ["erase", "object"] {
        project.kith(&["subject", act, "--identity", "mastodon", &account(2), "--reason", "asked"]).fails(1, "KITH-R050");
        project.kith(&["subject", act, "--customer", "C0000002", "--reason", "asked"]).fails(1, "M-1");
    }
    project.kith(&["--quiet", "run", "--once"]);
    assert_eq!(project.crm("SELECT * FROM SocialProfile").len(), 3);
    assert!(tokens(&project, &["done"]).contains_key(&token(2)));
    let refused =
        |kind: &str| entries(&project).iter().filter(|e| e["entry"]["kind"] == kind && e["entry"]["outcome"] == "refused").count();
    assert_eq!((refused("erasure.refused"), refused("policy.refused")), (2, 2));
    assert_eq!(project.kith(&["--format", "json", "subject", "holds"]).ok().stdout.lines().count(), 2);
    project.kith(&["subject", "release", "--customer", "C0000002", "--reason", "settled"]).ok();
    project.kith(&["subject", "release", "--customer", "C0000002", "--reason", "settled"]).fails(1, "KITH-R051");
    project.kith(&["subject", "erase", "--customer", "C0000002", "--reason", "asked"]).ok();
    project.kith(&["--quiet", "run", "--once"]);
    assert_eq!(project.crm("SELECT * FROM SocialProfile").len(), 2);
    assert!(!tokens(&project, OURS).contains_key(&token(2)));
}

#[test]
fn everything_about_a_person_is_handed_out_and_the_log_says_so() {
    let project = with_folder();
    project.write("data/customers.csv", customers(4));
    drop_everybody(&project, 4);
    project.kith(&["--quiet", "run", "--once"]);
    let export = project.kith(&["subject", "export", "--customer", "C0000002"]).ok().json();
    let account = &export["accounts"][0];
    assert_eq!(account["identity_id"], self::account(2));
    assert_eq!(account["activities"].as_array().unwrap().len(), 2);
    assert_eq!(account["activities"][0]["activity"]["object"]["content"], format!("I said {} 1", token(2)));
    assert_eq!(account["links"][0]["customer_id"], "C0000002");
    assert_eq!((&account["links"][0]["basis"], &account["links"][0]["law"]), (&"provided_by_customer".into(), &"GDPR 6(1)(b)".into()));
    assert_eq!(account["deliveries"].as_array().unwrap().len(), 3);
    assert_eq!(account["deliveries"][0]["fields"]["CustomerID"], "C0000002");
    assert!(export["log"].as_array().unwrap().iter().any(|e| e["entry"]["kind"] == "write.intended" && e["fields"].is_array()));
    assert!(!export.to_string().contains(&token(0)), "nobody else is in it");
    project.kith(&["subject", "export", "--identity", "mastodon", &self::account(2), "--html", "tmp/page.html"]).ok();
    let page = fs::read_to_string(project.path("tmp/page.html")).unwrap();
    assert!(page.contains(&format!("I said {} 0", token(2))) && page.contains("GDPR 6(1)(b)"));
    assert!(!page.contains("<script"));
    let told: Vec<Value> = entries(&project).into_iter().filter(|e| e["entry"]["kind"] == "subject.exported").collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[1]["entry"]["what"]["format"], "html");
    project.kith(&["subject", "export", "--identity", "mastodon", "https://mastodon.example/users/nobody"]).fails(2, "KITH-R051");
}

#[test]
fn a_correction_stands_above_what_the_network_shows_and_is_decided_on() {
    let project = with_folder();
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}C1,Grace Okafor,grace.okafor@example.org,,,,,,,,\n"));
    let mut post = activity("mastodon", "gr", "gr8", "G", 1, "hello");
    post["actor"]["summary"] = "nothing to see".into();
    drop_file(&project, "a.ndjson", lines(&[post.clone()]).as_bytes());
    project.kith(&["--quiet", "run", "--once"]);
    assert!(project.crm("SELECT * FROM SocialProfile").is_empty());
    let who = ["--identity", "mastodon", "https://mastodon.example/users/gr"];
    let rectify = |set: &str| project.kith(&[&["subject", "rectify"][..], &who[..], &["--set", set][..]].concat());
    rectify("summary=x").fails(1, "KITH-R053");
    rectify("actor.summary=write to grace.okafor@example.org").ok();
    project.kith(&["--quiet", "run", "--once"]);
    assert_eq!(project.crm("SELECT CustomerID FROM SocialProfile"), ["C1"]);
    // The network goes on showing what it showed.
    post["object"]["id"] = "https://mastodon.example/notes/2".into();
    post["id"] = "https://mastodon.example/activities/2".into();
    post["published"] = "2026-10-01T10:00:00Z".into();
    post["actor"]["name"] = "G O".into();
    drop_file(&project, "b.ndjson", lines(&[post]).as_bytes());
    project.kith(&["--quiet", "run", "--once"]);
    assert_eq!(project.crm("SELECT CustomerID FROM SocialProfile"), ["C1"]);
    let log = entries(&project);
    let told = log.iter().find(|e| e["entry"]["kind"] == "subject.rectified").unwrap();
    assert_eq!(told["entry"]["fields"]["names"], serde_json::json!(["actor.summary"]));
    assert!(!told.to_string().contains("grace"));
}

#[test]
fn a_basis_that_is_taken_back_unlinks_where_no_other_holds() {
    let project = with_folder();
    project.write("data/customers.csv", customers(4));
    drop_everybody(&project, 4);
    project.kith(&["--quiet", "run", "--once"]);
    assert_eq!(project.crm("SELECT * FROM SocialProfile").len(), 2);
    let who = ["--identity", "mastodon", &account(2)];
    let withdraw =
        |basis: &str| project.kith(&[&["subject", "withdraw"][..], &who[..], &["--basis", basis, "--reason", "letter"][..]].concat());
    withdraw("consent").fails(1, "KITH-R053");
    withdraw("provided_by_customer").ok();
    project.kith(&["--quiet", "run", "--once"]).ok();
    let basis = format!("SELECT Basis FROM SocialProfile WHERE Handle = '{}'", token(2));
    assert_eq!(project.crm(&basis), ["public_profile"], "the next basis of the mapping that holds");
    withdraw("public_profile").ok();
    project.kith(&["--quiet", "run", "--once"]).ok();
    assert_eq!(project.crm("SELECT Handle FROM SocialProfile"), [token(0)]);
    assert_eq!(project.crm("SELECT * FROM SocialInteraction").len(), 2);
    let kinds: Vec<Value> = entries(&project).into_iter().map(|e| e["entry"]["kind"].clone()).collect();
    assert!(kinds.contains(&"basis.withdrawn".into()) && kinds.contains(&"link.ended".into()));
}

#[test]
fn a_handle_that_kith_wrote_never_comes_back_as_provided_by_the_customer() {
    let project = with_folder();
    // Linked by what the public profile shows; the CRM holds no handle.
    let row = |handles: &str| format!("{CUSTOMERS_HEADER}C1,Grace Okafor,grace.okafor@example.org,,,,,,,{handles},gold\n");
    project.write("data/customers.csv", row(""));
    let post = |user: &str, note: u32| {
        let mut post = activity("mastodon", user, "gracie99", "gracie", note, "hello");
        post["actor"]["summary"] = "write to grace.okafor@example.org".into();
        post
    };
    drop_file(&project, "a.ndjson", lines(&[post("gr", 1)]).as_bytes());
    project.kith(&["--quiet", "run", "--once"]);
    assert_eq!(project.crm("SELECT Handle, Basis FROM SocialProfile"), ["gracie99|public_profile"]);
    // The CRM shows what Kith wrote as the customer's known handle.
    project.write("data/customers.csv", row("mastodon:gracie99"));
    project.kith(&["--quiet", "run", "--once", "--approve-customers"]);
    assert_eq!(project.crm("SELECT Basis FROM SocialProfile"), ["public_profile"]);
    // Nor for whoever has that handle next.
    let mut next = post("next-owner", 2);
    next["actor"]["summary"] = "".into();
    drop_file(&project, "b.ndjson", lines(&[next]).as_bytes());
    project.kith(&["--quiet", "run", "--once"]);
    let shown = project.kith(&["--format", "json", "link", "show", "mastodon", "https://mastodon.example/users/next-owner"]).ok().json();
    assert_ne!(shown["basis"], "provided_by_customer", "{shown}");
    // A handle that the customer gave before Kith wrote anything is one.
    let other = with_folder();
    other.write("data/customers.csv", row("mastodon:gracie99"));
    drop_file(&other, "a.ndjson", lines(&[post("gr", 1)]).as_bytes());
    other.kith(&["--quiet", "run", "--once"]);
    other.write("data/customers.csv", row("mastodon:gracie99").replace("gold", "silver"));
    other.kith(&["--quiet", "run", "--once", "--approve-customers"]);
    assert_eq!(other.crm("SELECT Basis FROM SocialProfile"), ["provided_by_customer"]);
}

#[test]
fn people_who_are_due_a_notice_are_listed_once_with_their_day() {
    let project = with_folder();
    project.write("data/customers.csv", format!("{}C9,Grace Okafor,grace.okafor@example.org,,,,,,,,\n", customers(4)));
    drop_everybody(&project, 4);
    let mut post = activity("mastodon", "gr", "gr8", "G", 900, "hello");
    post["actor"]["summary"] = "grace.okafor@example.org".into();
    drop_file(&project, "gr.ndjson", lines(&[post]).as_bytes());
    project.kith(&["--quiet", "run", "--once"]);
    let due = |more: &[&str]| {
        let out = project.kith(&[&["--format", "json", "subject", "notices"][..], more].concat()).ok().stdout;
        out.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).collect::<Vec<_>>()
    };
    // Who gave the handle themselves is no case of Art. 14.
    let rows = due(&[]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["customer_id"], &rows[0]["basis"], &rows[0]["late"]), (&"C9".into(), &"public_profile".into(), &false.into()));
    assert!(due(&["--due-by", "2020-01-01"]).is_empty());
    assert_eq!(due(&["--told"]).len(), 1);
    assert!(due(&[]).is_empty());
    assert!(entries(&project).iter().any(|e| e["entry"]["kind"] == "notice.given" && e["entry"]["what"]["count"] == 1));
}

#[test]
fn what_is_deleted_upstream_of_an_erased_person_is_no_news() {
    let project = with_folder();
    project.write("data/customers.csv", customers(4));
    drop_everybody(&project, 4);
    project.kith(&["--quiet", "run", "--once"]);
    project.kith(&["subject", "erase", "--identity", "mastodon", &account(2), "--reason", "asked"]).ok();
    // An account that was never seen may ask, too.
    project.kith(&["subject", "erase", "--identity", "mastodon", &account(77), "--reason", "asked"]).ok();
    drop_file(&project, "d.ndjson", lines(&[deleted(&posts(2)[0], "2026-09-02T10:00:00Z"), posts(77)[0].clone()]).as_bytes());
    project.kith(&["--quiet", "run", "--once"]);
    let status = project.kith(&["--format", "json", "status"]).ok().json();
    assert_eq!(status["conservation_gap"], 0, "{status}");
    assert!(!tokens(&project, &["state"]).contains_key(&token(2)) && !tokens(&project, &["state"]).contains_key(&token(77)));
    assert_eq!(project.crm("SELECT Handle FROM SocialProfile"), [token(0)]);
}

#[test]
fn killed_while_it_erases_everything_is_consistent_on_restart() {
    let (kills, seed) = (number("KITH_TEST_KILLS", 12), number("KITH_TEST_SEED", 5));
    let people = 60;
    let prepared = with_folder();
    prepared.write("data/customers.csv", customers(people));
    drop_everybody(&prepared, people);
    prepared.kith(&["--quiet", "run", "--once"]);
    let list: String = (0..people).filter(|p| p % 3 == 0).map(|p| format!("mastodon {}\n", account(p))).collect();
    let mut moments = crate::kills::Moments(seed);
    let mut killed = 0;
    let mut round = 0;
    while killed < kills {
        round += 1;
        assert!(round < 40 * kills, "it is too fast to be killed");
        let project = with_folder();
        for folder in ["state", "done", "crm", "data"] {
            copy(&prepared.path(folder), &project.path(folder));
        }
        project.write("tmp/list.txt", &list);
        for args in [&["--quiet", "subject", "erase", "--from", "tmp/list.txt", "--reason", "asked"][..], &["--quiet", "run", "--once"][..]]
        {
            let mut child = project.spawn(args);
            std::thread::sleep(Duration::from_millis(moments.below(400)));
            killed += u64::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        fs::remove_file(project.path("tmp/list.txt")).unwrap();
        // Asked again it is done, whatever the kill left.
        project.write("list.txt", &list);
        project.kith(&["subject", "erase", "--from", "list.txt", "--reason", "asked"]).ok();
        project.kith(&["--quiet", "run", "--once"]);
        let left = project.kith(&["--format", "json", "subject", "removals"]).ok().stdout;
        assert!(left.trim().is_empty(), "seed {seed}, round {round}: {left}");
        let found = tokens(&project, OURS);
        let wrong: Vec<_> = (0..people).filter(|p| (p % 3 == 0) == found.contains_key(&token(*p))).collect();
        assert!(wrong.is_empty(), "seed {seed}, round {round}: {wrong:?}");
        assert_eq!(project.crm("SELECT * FROM SocialProfile").len(), (0..people).filter(|p| p % 2 == 0 && p % 3 != 0).count());
        assert_eq!(project.kith(&["--format", "json", "status"]).ok().json()["conservation_gap"], 0);
        project.kith(&["audit", "verify"]).ok();
    }
    eprintln!("{killed} kills, seed {seed}: consistent");
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
}
