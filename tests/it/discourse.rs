//! Discourse, in the shapes of its documentation: posts come through its pages of either kind, with and without a key; what is edited, hidden and deleted
//! follows, by polling while it is young and by webhook at any age; what is closed or private goes nowhere; what its limits ask for is waited.

use crate::kills::entries;
use crate::manifests::Server;
use crate::networks::counted;
use crate::service::Running;
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, free_port};
use serde_json::{Value as Json, json};
use std::process::Command;
use std::time::Instant;

const CONNECTOR: &str = "connectors/sources/discourse.yaml";

/// The community of `discourse_server.py`.
fn community() -> Server {
    Server::of("discourse_server.py")
}

fn curl(args: &[&str]) -> Json {
    let out = Command::new("curl").args(["-sSf", "-G"]).args(args).output().unwrap();
    serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {}", String::from_utf8_lossy(&out.stderr)))
}

/// Has something happen there; the post that it is about.
fn there(server: &Server, what: &str, with: &[(&str, &str)]) -> String {
    let url = format!("{}/test/{what}", server.base);
    let pairs: Vec<String> = with.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut args = vec!["-X", "POST", &url];
    for pair in &pairs {
        args.extend(["--data-urlencode", pair]);
    }
    curl(&args)["id"].to_string()
}

/// How often `/posts.json` was answered, and how often somebody was turned away.
fn asked(server: &Server) -> (usize, usize) {
    let told = curl(&[&format!("{}/test/asked", server.base)]);
    (told["asked"].as_array().unwrap().len(), told["turned_away"].as_array().unwrap().len())
}

/// Ada is a customer who is known there, Bob is not.
fn project(server: &Server, more: &Json) -> Project {
    let project = Project::empty();
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}C1,Someone Else,,,,,,,,discourse:ada,standard\n"));
    project.write("data/orders.csv", ORDERS_HEADER);
    let source = format!("kind = \"network\"\nconnector = \"{CONNECTOR}\"\nsettings = {{ file = \"settings.json\" }}\nevery_seconds = 1\n");
    project.edit("config/kith.toml", "kind = \"file\"\npath = \"data/activities.ndjson\"\n", &source);
    let mut settings = json!({ "server": server.base, "start_date": "2020-01-01" });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    project.write("settings.json", settings.to_string());
    project
}

fn once(project: &Project) {
    project.kith(&["run", "--once"]).ok();
}

/// What the CRM says of a post: its text and its address.
fn crm(project: &Project, server: &Server, post: &str) -> Vec<String> {
    let id = format!("{}/posts/{post}", server.base);
    project.crm(&format!("select CustomerID, Body, PostURL from SocialInteraction where ActivityID = '{id}'"))
}

fn row(server: &Server, post: &str, text: &str) -> Vec<String> {
    vec![format!("C1|{text}|{}/t/3/{post}", server.base)]
}

#[test]
fn posts_come_page_by_page_and_edits_and_deletions_follow_while_they_are_young() {
    let server = community();
    let project = project(&server, &json!({}));
    project.kith(&["check"]).ok();
    once(&project);
    // Ten early ones and 130 more; 120 between them are closed to who has no key. Three pages and the empty one.
    assert_eq!((counted(&project), asked(&server)), ((140, 0, 0), (4, 0)));
    assert_eq!(project.crm("select count(*) from SocialInteraction"), ["70"]);
    assert_eq!(crm(&project, &server, "268"), row(&server, "268", "post 128"));
    once(&project);
    assert_eq!(counted(&project).0, 140, "what is read again is no news");
    let said = there(&server, "say", &[("by", "ada"), ("text", "where is my order 4711?")]);
    for nothing in ["whisper", "private"] {
        there(&server, nothing, &[]);
    }
    there(&server, "say", &[("by", "ada"), ("text", "closed"), ("category", "7")]);
    once(&project);
    assert_eq!(counted(&project), (141, 0, 0));
    assert_eq!(crm(&project, &server, &said), row(&server, &said, "where is my order 4711?"));
    there(&server, "edit", &[("id", "268"), ("text", "said otherwise")]);
    there(&server, "remove", &[("id", "266")]);
    there(&server, "hide", &[("id", "264")]);
    once(&project);
    assert_eq!(counted(&project), (144, 0, 0));
    assert_eq!(crm(&project, &server, "268"), row(&server, "268", "said otherwise"));
    for gone in ["266", "264"] {
        assert_eq!(crm(&project, &server, gone), Vec::<String>::new(), "{gone} is taken back");
    }
    // Its author thinks better of it.
    there(&server, "recover", &[("id", "266")]);
    once(&project);
    assert_eq!(counted(&project), (145, 0, 0));
    assert_eq!(crm(&project, &server, "266"), row(&server, "266", "post 126"));
    let rules: Vec<Json> = entries(&project).into_iter().map(|line| line["entry"]["why"]["rule"].clone()).collect();
    assert_eq!(rules.iter().filter(|rule| **rule == "deletion-received").count(), 0, "no duties are stated here, and none are reckoned");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn pages_of_older_versions_give_the_same_posts_and_a_key_opens_what_is_closed_to_the_members_alone() {
    let (server, new) = (community(), community());
    there(&server, "old", &[]);
    let keyed = json!({ "api_key": "dc-key", "api_username": "kith" });
    for server in [&server, &new] {
        let project = project(server, &keyed);
        once(&project);
        assert_eq!(counted(&project), (260, 0, 0));
        assert_eq!(
            project.crm("select 1 from SocialInteraction"),
            Vec::<String>::new(),
            "who may read a post is not known: members, and none else"
        );
        let open = project_of_open(server, &keyed);
        once(&open);
        assert_eq!(counted(&open), (260, 0, 0));
        assert_eq!(open.crm("select Audience, count(*) from SocialInteraction group by 1"), ["public|70"]);
        project.write("settings.json", json!({ "server": server.base, "start_date": "2020-01-01", "api_key": "another" }).to_string());
        let refused = project.kith(&["run", "--once"]).fails(1, "KITH-N0");
        assert!(refused.stderr.contains("the key and its user are not taken"), "{}", refused.stderr);
    }
    // Without a key there are more than fifty numbers in a row that an older version shows nothing of.
    let project = project(&server, &json!({}));
    once(&project);
    assert_eq!(counted(&project), (130, 0, 0));
}

fn project_of_open(server: &Server, keyed: &Json) -> Project {
    let mut settings = keyed.clone();
    settings["open_categories"] = json!([5]);
    project(server, &settings)
}

#[test]
fn limits_are_waited_for_as_long_as_they_say_by_key_and_by_address() {
    let server = community();
    for keyed in [json!({}), json!({ "api_key": "dc-key", "api_username": "kith", "open_categories": [5] })] {
        let project = project(&server, &keyed);
        there(&server, "limit", &[("times", "2"), ("seconds", "2")]);
        let began = Instant::now();
        once(&project);
        assert!(began.elapsed().as_secs_f64() >= 4.0, "{:?}", began.elapsed());
        assert_eq!(project.crm("select count(*) from SocialInteraction"), ["70"]);
    }
    assert_eq!(asked(&server).1, 4, "nobody came before the time that was said");
    // What is longer than anybody waits at once is kept, and a start does not ask before.
    let project = project(&server, &json!({}));
    there(&server, "limit", &[("times", "9"), ("seconds", "600")]);
    let before = asked(&server).1;
    for _ in 0..2 {
        _ = project.kith(&["run", "--once"]);
        assert_eq!(asked(&server).1, before + 1);
    }
}

#[test]
fn webhooks_tell_of_posts_of_any_age_what_is_said_edited_and_deleted() {
    let (server, port) = (community(), free_port());
    let project = project(&server, &json!({ "look_back": "PT1S" }));
    let hook = format!(
        "[sources.told]\nkind = \"webhook\"\nconnector = \"{CONNECTOR}\"\nwebhook = \"post\"\nsecret = {{ file = \"hook-secret\" }}\nserver = \"{}\"\n\n\
         [webhooks]\nlisten = \"127.0.0.1:{port}\"\n\n[customers.",
        server.base
    );
    project.edit("config/kith.toml", "[customers.", &hook);
    project.edit("config/kith.toml", "[service]\n", "[service]\npoll_seconds = 1\n");
    project.write("hook-secret", "twelve characters");
    project.kith(&["check"]).ok();
    let service = Running::start(&project);
    service.until("read", |status| status["received"] == 140 && project.crm("select count(*) from SocialInteraction") == ["70"]);
    there(&server, "hook", &[("url", &format!("http://127.0.0.1:{port}/webhooks/told")), ("secret", "twelve characters")]);
    // Old posts, which polling no longer reads, in the order of the events.
    there(&server, "edit", &[("id", "142"), ("text", "said otherwise")]);
    service.until("edited", |_| crm(&project, &server, "142") == row(&server, "142", "said otherwise"));
    there(&server, "remove", &[("id", "144")]);
    there(&server, "trash", &[("id", "146")]);
    service.until("taken back", |_| ["144", "146"].iter().all(|post| crm(&project, &server, post).is_empty()));
    let said = there(&server, "say", &[("by", "ada"), ("text", "broken")]);
    service.until("told", |_| crm(&project, &server, &said) == row(&server, &said, "broken"));
    // What a webhook tells and polling reads is one post; whispers and private messages are none.
    there(&server, "whisper", &[]);
    there(&server, "private", &[]);
    let last = there(&server, "say", &[("by", "ada"), ("text", "and again")]);
    service
        .until("told", |status| crm(&project, &server, &last).len() == 1 && status["received"] == 145 && status["conservation_gap"] == 0);
    // Who does not know the secret changes nothing, whatever the headers say.
    there(&server, "hook", &[("url", &format!("http://127.0.0.1:{port}/webhooks/told")), ("secret", "another secret")]);
    let url = format!("{}/test/trash?id={last}", server.base);
    assert!(!Command::new("curl").args(["-sSf", "-X", "POST", &url]).output().unwrap().status.success());
    service.until("refused", |status| status["service"]["webhooks"][0]["refused"]["signature"] == 1);
    assert_eq!(crm(&project, &server, &last), row(&server, &last, "and again"));
    assert_eq!(service.end(), Some(0));
    // Without the community's address nobody knows which posts these are.
    project.edit("config/kith.toml", &format!("server = \"{}\"\n", server.base), "");
    project.kith(&["check"]).fails(2, "KITH-N050");
}
