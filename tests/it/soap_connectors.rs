//! Promise: each CRM connector that is shipped is right, its sample passes, and against a server built from its WSDL every record arrives as it was
//! sent, once, whatever the server does.

use crate::support::crm::{Crm, PASSWORD};
use crate::support::{self, Project, activity, deleted, edited, have, lines};
use kith::declare::connector;
use kith::diagnose::SourceFile;
use kith::wire::caller;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

/// A CRM of the samples.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Of `config/samples/`.
    name: &'static str,
    /// Of `tests/support/soap/`.
    server: &'static str,
    /// Where what people say arrives: the kind of record, and the field of the words.
    said: (&'static str, &'static str),
    /// Names of columns of the contacts: key, given name, family name, e-mail.
    columns: [&'static str; 4],
    /// Whether what was withdrawn leaves the CRM.
    removes: bool,
    /// Whether a customer's key must be a GUID.
    guid: bool,
}

const STANDARD: [&str; 4] = ["contact_id", "first_name", "last_name", "email"];

const SAMPLES: &[Sample] = &[
    Sample {
        name: "sugarcrm",
        server: "sugarcrm.php",
        said: ("Notes", "description"),
        columns: ["id", "first_name", "last_name", "email1"],
        removes: true,
        guid: false,
    },
    Sample {
        name: "siebel",
        server: "siebel.php",
        said: ("service_requests", "Description"),
        columns: STANDARD,
        removes: false,
        guid: false,
    },
    Sample {
        name: "dynamics-onpremises",
        server: "dynamics.php",
        said: ("socialactivity", "description"),
        columns: STANDARD,
        removes: true,
        guid: true,
    },
    Sample {
        name: "oracle-crm-on-demand",
        server: "ondemand.php",
        said: ("SocialMedia", "Post"),
        columns: STANDARD,
        removes: true,
        guid: false,
    },
    Sample { name: "sap-c4c", server: "c4c.php", said: ("SocialMediaActivity", "Text"), columns: STANDARD, removes: true, guid: false },
    Sample {
        name: "salesforce",
        server: "salesforce.php",
        said: ("Social_Post__c", "Body__c"),
        columns: STANDARD,
        removes: true,
        guid: false,
    },
    Sample {
        name: "soap",
        server: "crm.php",
        said: ("interactions", "Body"),
        columns: ["Id", "FirstName", "LastName", "Email"],
        removes: true,
        guid: false,
    },
];

/// What people say, as HTML, which posts are: everything that a text can hold and an XML document has trouble with.
const SAYINGS: &[&str] = &[
    "waiting: plain",
    "waiting: Žluťoučký kůň 🦄 漢字 العربية",
    "waiting: \"quotes\" 'and' ]]> ends",
    "waiting: \u{2028} lines \u{a0} and \u{85} more",
    "waiting: 100 % {braces} [brackets] \\back\\slash %s $x",
    "waiting: it's O'Brien's; -- DROP",
    "waiting: &amp;amp; once escaped",
    "waiting: tab\there",
];

impl Sample {
    fn key(&self, n: usize) -> String {
        if self.guid { format!("8c1d0c3a-0000-4000-8000-{n:012}") } else { format!("1-C{n:03}") }
    }

    /// A contact as an export or the CRM itself has it.
    fn contact(&self, n: usize) -> Vec<(&'static str, String)> {
        let [key, given, family, email] = self.columns;
        vec![(key, self.key(n)), (given, "Grace".into()), (family, format!("Okafor{n}")), (email, format!("grace{n}@example.org"))]
    }

    /// Where the export is read by a file, its text.
    fn export(&self, contacts: usize) -> String {
        let more = ["mobile", "city", "country"];
        let header: Vec<&str> = self.columns.into_iter().chain(more).collect();
        let rows = (0..contacts)
            .map(|n| self.contact(n).into_iter().map(|(_, v)| v).chain(more.map(|_| String::new())).collect::<Vec<_>>().join(",") + "\n");
        header.join(",") + "\n" + &rows.collect::<String>()
    }

    /// Contacts inside the CRM.
    fn seed(&self, crm: &Crm, contacts: usize) {
        let rows = |n| -> Json {
            self.contact(n).into_iter().map(|(k, v)| (k.to_owned(), Json::from(v))).collect::<serde_json::Map<_, _>>().into()
        };
        match self.name {
            "sugarcrm" => {
                let all: serde_json::Map<String, Json> = (0..contacts)
                    .map(|n| {
                        let mut row = rows(n);
                        row["deleted"] = "0".into();
                        (self.key(n), row)
                    })
                    .collect();
                crm.seed(&json!({ "Contacts": all }));
            }
            "soap" => crm.seed(&json!({ "contacts": (0..contacts).map(rows).collect::<Vec<_>>() })),
            _ => {}
        }
    }

    /// The sample's own files, over a CRM on loopback and files in `data/`. Patience is shortened, nothing else.
    fn project(&self, crm: &Crm, said: &[Json]) -> Project {
        let project = Project::empty();
        let sample = |file: String| fs::read_to_string(support::root().join("config/samples").join(file)).unwrap();
        let mut config = String::new();
        for line in sample(format!("{}.toml", self.name)).lines() {
            let key = line.split('=').next().unwrap_or_default().trim();
            let line = match key {
                "state" => "state = \"state\"".to_owned(),
                "mapping" => format!("mapping = \"mappings/{}.yaml\"", self.name),
                "inbox" => "path = \"data/activities.ndjson\"".to_owned(),
                "kind" if line.contains("folder") => "kind = \"file\"".to_owned(),
                "done" | "per_minute" => continue,
                "path" => "path = \"data/contacts.csv\"".to_owned(),
                "url" => format!("url = \"{}\"", crm.url()),
                "connector" => line.replace("../../", ""),
                "user" => "user = \"kith\"".to_owned(),
                "password" => "password = { file = \"config/password\" }".to_owned(),
                _ => line.to_owned(),
            };
            config.push_str(&line);
            config.push('\n');
        }
        project.write("config/kith.toml", config);
        project.write("config/password", format!("{PASSWORD}\n"));
        project.write(&format!("mappings/{}.yaml", self.name), sample(format!("{}.yaml", self.name)));
        project.write("data/contacts.csv", self.export(12));
        project.write("data/activities.ndjson", lines(said));
        for target in fs::read_dir(project.path("connectors/targets")).unwrap() {
            let path = target.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let patient = |line: &&str| !["limits:", "retry:", "breaker:"].iter().any(|key| line.starts_with(key));
            let kept: String = text.lines().filter(patient).map(|line| format!("{line}\n")).collect();
            fs::write(path, kept + "retry: { first: 10ms, longest: 50ms, attempts: 30 }\nbreaker: { first: 10ms, longest: 50ms }\n")
                .unwrap();
        }
        project
    }

    /// One that everybody may read, of the contact `n`.
    fn saying(n: usize, text: &str) -> Json {
        let mut said = activity("facebook", &format!("u{n}"), &format!("grace{n}"), "gracie", u32::try_from(n).unwrap(), text);
        said["actor"]["summary"] = format!("write to grace{n}@example.org").into();
        said["actor"]["url"] = format!("https://facebook.example/grace{n}").into();
        said
    }

    /// What the CRM holds of what people said, sorted.
    fn words(&self, crm: &Crm) -> Vec<String> {
        let (kind, field) = self.said;
        let mut words: Vec<String> = crm
            .records(kind)
            .iter()
            .map(|record| {
                let value = &record[field];
                // Dynamics holds a value with its type; SugarCRM holds it escaped.
                let text = value.as_str().or_else(|| value[1].as_str()).unwrap_or_default();
                if self.name == "sugarcrm" { unescaped(text) } else { text.to_owned() }
            })
            .collect();
        words.sort();
        words
    }
}

/// What is said, without HTML.
fn meant(said: &str) -> String {
    said.replace("&amp;amp;", "&amp;")
}

fn unescaped(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#039;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Deliveries by target and state.
fn states(ran: &Json) -> BTreeMap<String, u64> {
    let all = ran["totals"]["deliveries"].as_object().unwrap();
    all.iter().map(|(state, n)| (state.clone(), n.as_u64().unwrap())).collect()
}

/// Runs until nothing is left to do; a pass that met a fault says so by its exit code, and the next goes on.
fn settled(project: &Project) -> BTreeMap<String, u64> {
    let pass = || project.kith(&["--format", "json", "run", "--once"]).json();
    for _ in 0..60 {
        let states = states(&pass());
        if !states.is_empty() && states.keys().all(|state| state.ends_with(": delivered") || state.ends_with(": parked")) {
            return states;
        }
        std::thread::sleep(std::time::Duration::from_millis(60));
    }
    let said = project.kith(&["run", "--once"]).stderr;
    panic!("it does not end: {:?}\n{}\n{said}", states(&pass()), project.kith(&["dead-letter", "list"]).stdout)
}

#[track_caller]
fn all_delivered(project: &Project) {
    let states = settled(project);
    assert!(
        !states.is_empty() && states.keys().all(|state| state.ends_with(": delivered")),
        "{states:?}\n{}",
        project.kith(&["dead-letter", "list"]).stdout
    );
}

fn shipped(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(support::root().join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == ending));
    files.sort();
    files
}

#[test]
fn two_other_programs_read_every_wsdl_without_a_network() {
    let there = Command::new("python3").args(["-c", "import zeep, lxml"]).stderr(std::process::Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: python3 has no zeep or lxml");
        assert!(std::env::var_os("CI").is_none(), "python3 has no zeep or lxml, and CI needs them");
        return;
    }
    let mut files = Vec::new();
    for folder in fs::read_dir(support::root().join("connectors/wsdl")).unwrap() {
        let folder = folder.unwrap().path();
        files.extend(shipped(folder.strip_prefix(support::root()).unwrap().to_str().unwrap(), "wsdl"));
    }
    assert!(files.len() >= 10, "{files:?}");
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for said in ["Covers  ", "Source  ", "Assumed  "] {
            assert!(text.contains(said), "{} does not say what `{}` says", file.display(), said.trim());
        }
    }
    let ran = Command::new("python3").arg(support::root().join("tests/support/soap/check_wsdl.py")).args(&files).output().unwrap();
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn every_shipped_connector_and_sample_is_right_and_its_tests_pass() {
    let project = Project::empty();
    for file in shipped("connectors/targets", "yaml") {
        let text = fs::read_to_string(&file).unwrap();
        if text.contains("\nkind: soap\n") {
            let source = Arc::new(SourceFile { name: file.to_str().unwrap().into(), text });
            let target = connector::read(&source).into_result().unwrap_or_else(|problems| panic!("{}: {problems:?}", file.display())).0;
            let contract = caller::contract(&target, target.soap.as_ref().unwrap())
                .unwrap_or_else(|problems| panic!("{}: {problems:?}", file.display()));
            let problems: Vec<String> = caller::check(&target, &contract).0.iter().map(ToString::to_string).collect();
            assert!(problems.is_empty(), "{}: {problems:#?}", file.display());
            project.kith(&["connector", "check", file.to_str().unwrap()]).ok();
        }
    }
    let configurations = shipped("config/samples", "toml");
    assert_eq!(configurations.len(), SAMPLES.len());
    for file in configurations {
        let file = file.to_str().unwrap();
        project.kith(&["--config", file, "check"]).ok();
        let tested = project.kith(&["--config", file, "--format", "json", "test"]).ok().json();
        assert!(tested["passed"].as_u64().unwrap() >= 4, "{file}: {tested}");
    }
}

/// What arrives is what was sent, an edit changes it, and a deletion takes it back.
fn arrives(sample: &Sample) {
    let Some(crm) = Crm::start(sample.server) else { return };
    sample.seed(&crm, 12);
    let said: Vec<Json> = SAYINGS.iter().enumerate().map(|(n, text)| Sample::saying(n, text)).collect();
    let project = sample.project(&crm, &said);
    all_delivered(&project);
    let mut wanted: Vec<String> = SAYINGS.iter().map(|text| meant(text)).collect();
    wanted.sort();
    assert_eq!(sample.words(&crm), wanted, "{}", sample.name);
    // Nothing new: nothing is sent.
    let calls = crm.calls().len();
    project.run_once();
    let again: Vec<Json> = crm.calls().split_off(calls).into_iter().map(|call| call["operation"].clone()).collect();
    let reading = ["login", "Login", "get_entry_list", "FindContacts"];
    assert!(again.iter().all(|operation| reading.contains(&operation.as_str().unwrap())), "{again:?}");
    // The first is edited, the second deleted.
    let later = [edited(&said[0], "waiting: edited", "2026-09-02T10:00:00Z"), deleted(&said[1], "2026-09-02T11:00:00Z")];
    project.write("data/activities.ndjson", lines(&said) + &lines(&later));
    all_delivered(&project);
    wanted.retain(|text| text != SAYINGS[0] && (!sample.removes || text != SAYINGS[1]));
    wanted.push("waiting: edited".into());
    if !sample.removes {
        wanted.retain(|text| text != SAYINGS[1]);
        wanted.push(String::new());
    }
    wanted.sort();
    assert_eq!(sample.words(&crm), wanted, "{}", sample.name);
    assert_eq!(crm.complaints(), "");
    let shown = project.kith(&["status"]).ok();
    assert!(!shown.stdout.contains(PASSWORD) && !shown.stderr.contains(PASSWORD));
}

/// A record that the CRM refuses parks alone.
fn parks_alone(sample: &Sample) {
    let Some(crm) = Crm::start(sample.server) else { return };
    sample.seed(&crm, 12);
    let texts = ["waiting: one", "waiting: BOOM", "waiting: three"];
    let said: Vec<Json> = texts.iter().enumerate().map(|(n, text)| Sample::saying(n, text)).collect();
    let project = sample.project(&crm, &said);
    let states = settled(&project);
    assert_eq!(sample.words(&crm), ["waiting: one", "waiting: three"], "{}: {states:?}", sample.name);
    let parked: u64 = states.iter().filter(|(state, _)| state.ends_with(": parked")).map(|(_, n)| n).sum();
    assert!((1..=2).contains(&parked), "{}: {states:?}", sample.name);
    assert_eq!(crm.complaints(), "");
}

/// Whatever the server answers, each record is there once in the end.
fn survives(sample: &Sample) {
    let Some(crm) = Crm::start(sample.server) else { return };
    sample.seed(&crm, 12);
    let said: Vec<Json> = SAYINGS.iter().take(4).enumerate().map(|(n, text)| Sample::saying(n, text)).collect();
    let project = sample.project(&crm, &said);
    crm.meet(&[
        "expire",
        "busy",
        "html",
        "none",
        "cut",
        "html500",
        "unavailable",
        "lost",
        "stack",
        "none",
        "throttle",
        "empty",
        "lost",
        "expire",
        "busy",
        "lost",
    ]);
    all_delivered(&project);
    let mut wanted: Vec<String> = SAYINGS.iter().take(4).map(|text| (*text).to_owned()).collect();
    wanted.sort();
    assert_eq!(sample.words(&crm), wanted, "{}", sample.name);
    assert!(crm.left() <= 8, "{}: {} faults were not met", sample.name, crm.left());
    assert_eq!(crm.complaints(), "");
}

/// Some session is renewed when it ends, and only then.
fn renews(sample: &Sample, login: &str) {
    let Some(crm) = Crm::start(sample.server) else { return };
    sample.seed(&crm, 12);
    let said: Vec<Json> = SAYINGS.iter().take(3).enumerate().map(|(n, text)| Sample::saying(n, text)).collect();
    let project = sample.project(&crm, &said);
    all_delivered(&project);
    let logins = crm.called(login);
    assert!((1..=3).contains(&logins), "{logins} logins");
    crm.meet(&["expire"]);
    project.write("data/activities.ndjson", lines(&said) + &lines(&[Sample::saying(5, "waiting: later")]));
    all_delivered(&project);
    assert_eq!(crm.left(), 0);
    assert!(crm.called(login) > logins, "it was not renewed");
    assert_eq!(sample.words(&crm).len(), 4);
    assert_eq!(crm.complaints(), "");
}

fn sample(name: &str) -> &'static Sample {
    SAMPLES.iter().find(|sample| sample.name == name).unwrap()
}

macro_rules! for_each_sample {
    ($($module:ident: $name:literal;)+) => {
        $(mod $module {
            #[test]
            fn what_is_sent_arrives_is_edited_and_withdrawn() {
                super::arrives(super::sample($name));
            }

            #[test]
            fn a_refused_record_parks_alone() {
                super::parks_alone(super::sample($name));
            }

            #[test]
            fn bad_answers_and_lost_ones_lose_nothing_and_write_nothing_twice() {
                super::survives(super::sample($name));
            }
        })+
    };
}

for_each_sample! {
    sugarcrm: "sugarcrm";
    siebel: "siebel";
    dynamics: "dynamics-onpremises";
    on_demand: "oracle-crm-on-demand";
    c4c: "sap-c4c";
    salesforce: "salesforce";
    generic: "soap";
}

#[test]
fn a_session_of_sugarcrm_is_renewed_when_it_dies() {
    renews(sample("sugarcrm"), "login");
}

#[test]
fn a_session_of_salesforce_is_renewed_when_it_dies() {
    renews(sample("salesforce"), "login");
}

#[test]
fn a_session_in_a_header_is_renewed_when_it_dies() {
    renews(sample("soap"), "Login");
}

#[test]
fn a_wrong_password_blames_no_record() {
    for name in ["sugarcrm", "siebel", "oracle-crm-on-demand", "sap-c4c", "salesforce", "soap"] {
        let sample = sample(name);
        let Some(crm) = Crm::start(sample.server) else { return };
        let project = sample.project(&crm, &[Sample::saying(1, "waiting: in vain")]);
        // The customers come from a file here: with a wrong password there would be none.
        let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
        let from_file = config.replace("kind = \"soap\"", "kind = \"csv\"\npath = \"data/contacts.csv\"");
        let from_file: String =
            from_file.lines().filter(|l| !l.starts_with("rows =") && !l.starts_with("target =")).map(|l| format!("{l}\n")).collect();
        project.write("config/kith.toml", from_file);
        project.write(
            "data/contacts.csv",
            sample.export(12).replacen(
                "mobile,city,country",
                if name == "sugarcrm" {
                    "phone_mobile,primary_address_city,primary_address_country"
                } else if name == "soap" {
                    "Phone,City,Country"
                } else {
                    "mobile,city,country"
                },
                1,
            ),
        );
        project.write("config/password", "wr0ng\n");
        let ran = project.kith(&["--format", "json", "run", "--once"]);
        let states = states(&ran.json());
        assert!(states.keys().all(|state| !state.ends_with(": parked") && !state.ends_with(": delivered")), "{name}: {states:?}");
        assert!(sample.words(&crm).is_empty());
        assert!(!ran.stdout.contains("wr0ng") && !ran.stderr.contains("wr0ng"));
    }
}

#[test]
fn many_notes_travel_in_one_call_and_customers_are_read_page_by_page() {
    let sample = sample("sugarcrm");
    let Some(crm) = Crm::start(sample.server) else { return };
    sample.seed(&crm, 450);
    let said: Vec<Json> = (0..120).map(|n| Sample::saying(n, &format!("lovely {n}"))).collect();
    let project = sample.project(&crm, &said);
    all_delivered(&project);
    assert_eq!(sample.words(&crm).len(), 120);
    assert!(crm.called("set_entries") <= 12, "{} calls of set_entries", crm.called("set_entries"));
    let pages = crm.calls().iter().filter(|call| call["envelope"].as_str().unwrap().contains("contacts.id &gt; ")).count();
    assert!(pages >= 3, "{pages} pages");
    assert_eq!(crm.complaints(), "");
}

#[test]
fn upserts_by_external_id_travel_two_hundred_a_call() {
    let sample = sample("salesforce");
    let Some(crm) = Crm::start(sample.server) else { return };
    let said: Vec<Json> = (0..12).map(|n| Sample::saying(n, &format!("lovely LOCKED {n}"))).collect();
    let project = sample.project(&crm, &said);
    all_delivered(&project);
    assert_eq!(sample.words(&crm).len(), 12);
    let first = crm.calls().into_iter().find(|call| call["operation"] == "upsert").unwrap();
    assert!(first["envelope"].as_str().unwrap().matches("sObjects>").count() >= 4, "{first}");
    // Each was locked the first time, and written once.
    assert!(crm.records("Social_Post__c").iter().all(|record| record["writes"] == 1), "{:?}", crm.records("Social_Post__c"));
}

#[test]
fn a_social_media_service_that_cannot_be_asked_is_not_asked_twice() {
    let sample = sample("siebel");
    let Some(crm) = Crm::start(sample.server) else { return };
    let mut stranger = activity("facebook", "u900", "nobody", "Nobody", 900, "Do you ship to Ireland?");
    stranger["actor"]["summary"] = "".into();
    let project = sample.project(&crm, &[stranger]);
    crm.meet(&["lost"]);
    let states = settled(&project);
    assert_eq!(crm.records("leads").len(), 1);
    assert_eq!(states.get("social: parked"), Some(&1), "{states:?}");
    project.run_once();
    assert_eq!(crm.records("leads").len(), 1, "never written twice");
    assert!(have("php"));
}
