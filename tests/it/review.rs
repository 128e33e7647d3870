//! Review: a person's word is never overridden. A yes delivers what was said before, a later no takes it back; what changed since it was looked at
//! is refused; each role does its own.

use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, lines};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

/// A name that only case `number` has.
fn name(number: u32) -> String {
    const SYLLABLES: [&str; 16] = ["ba", "che", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "zo", "bru", "tra"];
    let part = |at: u32| SYLLABLES[((number >> (4 * at)) & 15) as usize];
    let last: String = (0..5).map(part).collect();
    format!("Ottavio Zan{last}{}", part(5))
}

/// A telephone number that only case `number` has.
fn phone(number: u32) -> String {
    format!("+1202640{:04}", 1000 + number)
}

/// Two customers of one name and one telephone for each case: the evidence can't tell them apart.
fn twins(cases: u32) -> String {
    let row = |n: u32| format!("A{n:06},{0},,{1},,Lecce,,US,,,\nB{n:06},{0},,{1},,Lecce,,US,,,\n", name(n), phone(n));
    CUSTOMERS_HEADER.to_owned() + &(0..cases).map(row).collect::<String>()
}

fn said(number: u32) -> Value {
    let mut said =
        activity("mastodon", &format!("u{number}"), &format!("u{number}"), &name(number), number, "my order 4711 arrived broken");
    said["actor"]["summary"] = format!("call me {}", phone(number)).into();
    said["actor"]["location"] = serde_json::json!({ "type": "Place", "name": "Lecce" });
    said
}

fn account(number: u32) -> String {
    format!("https://mastodon.example/users/u{number}")
}

pub fn waiting_cases(cases: u32) -> Project {
    let project = Project::empty();
    project.write("data/customers.csv", twins(cases));
    project.write("data/orders.csv", ORDERS_HEADER);
    project.write("data/activities.ndjson", lines(&(0..cases).map(said).collect::<Vec<_>>()));
    let run = project.run_once();
    assert_eq!(run["decisions"]["review"], cases, "{run}");
    project
}

fn list(project: &Project, args: &[&str]) -> Vec<Value> {
    let out = project.kith(&[&["--format", "json", "review", "list"], args].concat()).ok().stdout;
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn show(project: &Project, number: u32, args: &[&str]) -> Value {
    let id = account(number);
    project.kith(&[&["--format", "json", "review", "show", "mastodon", &id], args].concat()).ok().json()
}

fn decide(project: &Project, number: u32, args: &[&str]) -> crate::support::Ran {
    let id = account(number);
    project.kith(&[&["review", "decide", "mastodon", &id, "--reason", "I asked them"], args].concat())
}

fn written(project: &Project, number: u32) -> Vec<String> {
    project.crm(&format!("SELECT CustomerID FROM SocialInteraction WHERE ActivityID = 'https://mastodon.example/notes/{number}'"))
}

#[test]
fn a_yes_delivers_what_waited_a_later_no_takes_it_back_and_neither_is_overridden() {
    let project = waiting_cases(3);
    let cases = list(&project, &[]);
    assert_eq!((cases.len(), cases[0]["waiting"].as_u64()), (3, Some(1)), "{cases:?}");
    assert!(cases[0]["candidates"].as_u64() >= Some(2), "{cases:?}");
    let page = show(&project, 1, &[]);
    assert!(page["candidates"].as_array().unwrap().len() >= 2, "{page}");
    let total: f64 = page["candidates"][0]["comparisons"].as_array().unwrap().iter().map(|c| c["bits"].as_f64().unwrap()).sum();
    assert!(total > 0.0, "the evidence is there step by step: {page}");
    let text = project.kith(&["review", "show", "mastodon", &account(1)]).ok().stdout;
    assert!(
        text.contains("A000001") && text.contains("B000001") && text.contains("the account shows") && text.contains("total; each bit"),
        "{text}"
    );

    // Blind: nothing tells which one the evidence prefers.
    let blind = show(&project, 1, &["--blind"]);
    for hidden in ["posterior", "match_weight"] {
        assert!(blind["candidates"].as_array().unwrap().iter().all(|c| c[hidden].is_null()), "{blind}");
    }
    assert!(blind["case"]["customer_id"].is_null() && blind["case"]["probability"].is_null(), "{blind}");
    assert!(blind["candidates"][0]["comparisons"].as_array().unwrap().is_empty());

    decide(&project, 1, &["--link", "C9"]).fails(1, "KITH-R058");
    let case = page["case"]["case"].as_str().unwrap().to_owned();
    decide(&project, 1, &["--link", "B000001", "--case", &case]).ok();
    // Decided meanwhile: what the other looked at is stale.
    decide(&project, 1, &["--none", "--case", &case]).fails(1, "KITH-R057");
    let run = project.run_once();
    assert_eq!((run["decisions"]["linked"].as_u64(), run["decisions"]["review"].as_u64()), (Some(1), Some(2)), "{run}");
    assert_eq!(written(&project, 1), ["B000001"]);
    assert_eq!(project.crm("SELECT LinkedBy FROM SocialProfile"), ["person"]);

    // The CRM's read changes both candidates: the person's word stands.
    let again = twins(3).replace(",Lecce,", ",Bari,");
    project.write("data/customers.csv", again);
    let run = project.kith(&["--format", "json", "run", "--once"]).ok().json();
    assert_eq!(run["decisions"]["linked"].as_u64(), Some(1), "{run}");

    project.kith(&["link", "remove", "mastodon", &account(1), "--reason", "they said no"]).ok();
    project.run_once();
    assert_eq!(written(&project, 1), Vec::<String>::new(), "a no takes back what was written");
    assert_eq!(project.crm("SELECT 1 FROM SocialProfile"), Vec::<String>::new());
    // By hand, any customer that the CRM has; and only such a one.
    project.kith(&["link", "add", "mastodon", &account(1), "NOBODY", "--reason", "x"]).fails(1, "KITH-R059");
    project.kith(&["link", "add", "mastodon", &account(1), "A000002", "--reason", "they showed a passport"]).ok();
    project.run_once();
    let shown = project.kith(&["--format", "json", "link", "show", "mastodon", &account(1)]).ok().json();
    assert_eq!(
        (shown["decision"].as_str(), shown["customer_id"].as_str(), shown["rule"].as_str()),
        (Some("linked"), Some("A000002"), Some("person"))
    );

    // The log tells each word with its actor, its reason sealed; and verifies.
    let told = project.kith(&["--format", "json", "audit", "search", "--kind", "review.decided"]).ok().stdout;
    let verdicts: Vec<&str> = told.lines().filter(|line| line.contains("review.decided")).collect();
    assert_eq!(verdicts.len(), 3, "{told}");
    assert!(!told.contains("passport"), "a reason may name people: it stands sealed");
    project.kith(&["audit", "verify"]).ok();
    project.kith(&["audit", "recompute"]).ok();
}

#[test]
fn none_of_them_is_about_those_who_were_there_and_a_new_candidate_is_a_new_question() {
    let project = waiting_cases(2);
    decide(&project, 0, &["--none"]).ok();
    let run = project.run_once();
    assert_eq!((run["decisions"]["not_linked"].as_u64(), run["decisions"]["review"].as_u64()), (Some(1), Some(1)), "{run}");
    // The same candidates, changed: still none of them.
    project.write("data/customers.csv", twins(2) + "Z1,Somebody Else,,,,Rome,,,,,\n");
    assert_eq!(project.run_once()["decisions"]["not_linked"].as_u64(), Some(1));
    // A customer of that name and with the very handle of the account: nobody said anything about them.
    project.write("data/customers.csv", twins(2) + &format!("Z1,Somebody Else,,,,Rome,,,,,\nN1,{},,,,Lecce,,US,,mastodon:u0,\n", name(0)));
    let run = project.run_once();
    assert_eq!(run["decisions"]["review"].as_u64(), Some(2), "a person is asked again, nobody is overridden: {run}");
    let page = show(&project, 0, &[]);
    assert!(page["held"].as_str().unwrap().contains("no candidate then"), "{page}");
    project.kith(&["audit", "recompute"]).ok();
}

#[test]
fn a_customer_who_is_gone_goes_to_the_list_and_its_account_is_asked_about() {
    let project = waiting_cases(60);
    decide(&project, 0, &["--link", "A000000"]).ok();
    project.run_once();
    let left: String = twins(60).lines().filter(|line| !line.starts_with("A000000,")).map(|line| format!("{line}\n")).collect();
    project.write("data/customers.csv", left);
    project.kith(&["--format", "json", "run", "--once", "--approve-customers"]).ok();
    let lost = project.kith(&["--format", "json", "link", "lost"]).ok().json();
    assert_eq!((lost["customer_id"].as_str(), lost["identity_id"].as_str()), (Some("A000000"), Some(account(0).as_str())), "{lost}");
    assert!(written(&project, 0).is_empty(), "what was written for a customer who is gone is taken back");
    let page = show(&project, 0, &[]);
    assert!(page["held"].as_str().unwrap().contains("is gone"), "{page}");
}

#[test]
fn a_spreadsheet_with_stale_and_invalid_rows_is_taken_row_by_row() {
    let project = waiting_cases(10);
    project.kith(&["--format", "csv", "review", "export", "--to", "sheet.csv"]).ok();
    let text = fs::read_to_string(project.path("sheet.csv")).unwrap();
    assert_eq!(text.lines().count(), 11);
    // Three cases change behind the steward's back: two are decided, one account shows another town.
    decide(&project, 0, &["--unsure"]).ok();
    decide(&project, 1, &["--link", "A000001"]).ok();
    decide(&project, 2, &["--none"]).ok();
    let mut changed = said(3);
    changed["id"] = "https://mastodon.example/activities/3-later".into();
    changed["object"]["id"] = "https://mastodon.example/notes/3-later".into();
    changed["published"] = "2026-09-02T10:00:00Z".into();
    changed["actor"]["location"]["name"] = "Bari".into();
    let all = lines(&(0..10).map(said).chain([changed]).collect::<Vec<_>>());
    project.write("data/activities.ndjson", all);
    project.run_once();

    // The steward fills all of it in, two rows wrongly, and saves it as a spreadsheet does: semicolons and a byte order mark.
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut writer = csv::WriterBuilder::new().delimiter(b';').from_writer(b"\xef\xbb\xbf".to_vec());
    let head = reader.headers().unwrap().clone();
    let at = |name: &str| head.iter().position(|cell| cell == name).unwrap();
    let (decision, reason, identity) = (at("decision"), at("reason"), at("identity_id"));
    assert!(head.iter().any(|cell| cell == "account: given_name") && head.iter().any(|cell| cell == "1: given_name"), "{head:?}");
    writer.write_record(&head).unwrap();
    for row in reader.records() {
        let mut row: Vec<String> = row.unwrap().iter().map(str::to_owned).collect();
        let number: u32 = row[identity].rsplit('u').next().unwrap().parse().unwrap();
        row[decision] = match number {
            4 => "A0000O4".into(),
            6 => "none".into(),
            _ => format!("A{number:06}"),
        };
        row[reason] = if number == 5 { String::new() } else { "same person on the telephone".into() };
        writer.write_record(&row).unwrap();
    }
    project.write("filled.csv", writer.into_inner().unwrap());

    let dry = project.kith(&["--format", "json", "review", "import", "filled.csv", "--dry-run"]).fails(1, "KITH-R057").json();
    assert_eq!((dry["possible"].as_u64(), dry["refused"].as_u64(), dry["taken"].as_u64()), (Some(5), Some(5), Some(0)), "{dry}");
    let ran = project.kith(&["review", "import", "filled.csv"]).fails(1, "KITH-R057");
    assert!(ran.stdout.contains("5 rows taken, 5 refused, 0 without a decision"), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("KITH-R057").count(), 3, "decided twice, changed once:\n{}", ran.stdout);
    assert_eq!((ran.stdout.matches("KITH-R058").count(), ran.stdout.matches("KITH-R060").count()), (1, 1), "{}", ran.stdout);
    project.run_once();
    for (number, customer) in
        [(0, Some("A000000")), (1, Some("A000001")), (2, None), (3, None), (4, None), (5, None), (6, None), (7, Some("A000007"))]
    {
        assert_eq!(written(&project, number).first().map(String::as_str), customer, "case {number}");
    }
    // Again: everything was decided meanwhile.
    let again = project.kith(&["review", "import", "filled.csv"]).fails(1, "KITH-R057");
    assert!(again.stdout.contains("0 rows taken, 10 refused"), "{}", again.stdout);
    // What people said is a truth to measure the mapping against.
    let judged = project.kith(&["--format", "json", "match", "evaluate", "--reviewed"]).ok().json();
    assert_eq!(judged["identities"].as_u64(), Some(7), "{judged}");
}

/// As another user of the operating system.
fn as_user(project: &Project, uid: u32, args: &[&str]) -> crate::support::Ran {
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--regid", &uid.to_string(), "--clear-groups", env!("CARGO_BIN_EXE_kith")]);
    command.current_dir(project.dir.path()).args(args).stdin(std::process::Stdio::null());
    command.output().unwrap().into()
}

fn wait_until_it_answers(project: &Project) {
    for _ in 0..200 {
        if project.path("state/control.sock").exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no service");
}

#[test]
fn each_role_does_its_own_over_the_socket_and_two_reviewers_must_agree() {
    use std::os::unix::fs::PermissionsExt as _;
    if !rustix::process::geteuid().is_root() || !crate::support::have("setpriv") {
        eprintln!("SKIPPED: only root can be several users");
        return;
    }
    let project = waiting_cases(3);
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap()
        + "\n[roles]\nroot = \"operator\"\n\"uid:64001\" = \"steward\"\n\"uid:64002\" = \"steward\"\n\"uid:64003\" = \"reviewer\"\n\n[review]\nreviewers = 2\n";
    project.write("config/kith.toml", config);
    // Whoever works with Kith may reach the socket by its name, and read nothing of the state.
    fs::set_permissions(project.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(project.path("state"), fs::Permissions::from_mode(0o711)).unwrap();
    let service = project.spawn(&["run"]);
    wait_until_it_answers(&project);
    fs::set_permissions(project.path("state/control.sock"), fs::Permissions::from_mode(0o666)).unwrap();
    let (first, second, reviewer, nobody) = (64_001, 64_002, 64_003, 64_004);

    let id = account(1);
    let word = ["review", "decide", "mastodon", &id, "--link", "A000001", "--reason", "x"];
    as_user(&project, nobody, &["review", "list"]).fails(1, "KITH-R056");
    as_user(&project, reviewer, &["review", "list"]).ok();
    as_user(&project, reviewer, &word).fails(1, "KITH-R056");
    project.kith(&word).fails(1, "KITH-R056");
    let told = as_user(&project, first, &word).ok();
    assert!(told.stdout.contains("1 more must say the same"), "{}", told.stdout);
    // Saying it twice is no second opinion.
    let told = as_user(&project, first, &word).ok();
    assert!(told.stdout.contains("1 more must say the same"), "{}", told.stdout);
    let told = as_user(&project, second, &["review", "decide", "mastodon", &id, "--link", "B000001", "--reason", "x"]).ok();
    assert!(told.stdout.contains("contradict"), "{}", told.stdout);
    let disputed = as_user(&project, reviewer, &["--format", "json", "review", "list", "--disputed"]).ok().json();
    assert_eq!((disputed["identity_id"].as_str(), disputed["opinions"].as_u64()), (Some(id.as_str()), Some(2)), "{disputed}");
    let told = as_user(&project, second, &word).ok();
    assert!(told.stdout.contains("next pass decides"), "{}", told.stdout);
    let started = Instant::now();
    while written(&project, 1).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(120), "the service decides by it at once");
        std::thread::sleep(Duration::from_millis(100));
    }
    // Only a reviewer opens the log; an operator runs the service and sees nobody.
    project.kith(&["link", "list"]).fails(1, "KITH-R007");
    as_user(&project, first, &["reload"]).fails(1, "KITH-R007");
    project.kith(&["reload"]).ok();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(service.id()).unwrap()).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let ended = service.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let told = project.kith(&["--format", "json", "audit", "search", "--kind", "review.decided"]).ok().stdout;
    assert!(told.contains("uid:64001 (uid 64001)") && told.contains("\"steward\""), "{told}");
}

#[test]
fn fifty_thousand_waiting_cases_are_counted_and_listed_a_page_at_a_time() {
    let project = waiting_cases(20);
    // What a year of waiting would leave, written into the store as the service does.
    let db = rusqlite::Connection::open(project.path("state/kith.db")).unwrap();
    db.execute_batch(include_str!("../support/waiting_cases.sql")).unwrap();
    drop(db);
    let mut service = project.spawn(&["run"]);
    wait_until_it_answers(&project);
    project.kith(&["status"]).ok();
    // How fast: `cargo bench --bench review`.
    let ran = project.kith(&["review", "list", "--limit", "100"]).ok();
    assert!(ran.stderr.contains("100 of 50020 cases"), "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 101);
    service.kill().unwrap();
    service.wait().unwrap();
}
