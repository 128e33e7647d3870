//! What a network asks stands in the connector's file, and nobody leaves it out of the mapping unnoticed.

use crate::kills::entries;
use crate::manifests::Server;
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, lines, root, slice};
use serde_json::{Value as Json, json};
use std::fs;

/// A project that reads X, with a connector and network files of its own.
fn project(server: &Server) -> Project {
    let project = Project::with(&slice(20));
    let source = "kind = \"network\"\nconnector = \"own/sources/x.yaml\"\nsettings = { file = \"settings.json\" }\n";
    project.edit("config/kith.toml", "kind = \"file\"\npath = \"data/activities.ndjson\"\n", source);
    for name in ["sources/x.yaml", "networks/x.yaml", "networks/linkedin.yaml"] {
        project.write(&format!("own/{name}"), fs::read(root().join("connectors").join(name)).unwrap());
    }
    let settings =
        json!({ "server": server.base, "bearer_token": "x-token", "user_id": "7", "start_date": "2020-01-01", "posts_a_page": 10 });
    project.write("settings.json", settings.to_string());
    project
}

#[test]
fn duties_that_the_mapping_does_not_keep_are_told_until_it_does() {
    let server = Server::of("network_server.py");
    let project = project(&server);
    let told = |says: &str| {
        let ran = project.kith(&["check"]).ok();
        assert!((ran.stdout + &ran.stderr).contains(says), "no {says}");
    };
    told("the mapping does not keep the duties of `x` that the connector states");
    let run = project.kith(&["run", "--once"]).ok();
    assert!((run.stdout + &run.stderr).contains("KITH-N079"), "a start tells it too");
    let doctor = project.kith(&["doctor"]);
    assert!((doctor.stdout + &doctor.stderr).contains("KITH-N079"), "and the doctor");
    project.edit("mappings/retail.yaml", "  audience: [public]", "  duties: [../own/networks/x.yaml]\n  audience: [public]");
    let kept = project.kith(&["check"]).ok();
    assert!(!(kept.stdout + &kept.stderr).contains("KITH-N079"));
    let described = project.kith(&["mapping", "describe", "mappings/retail.yaml"]).ok().stdout;
    assert!(described.contains("what is deleted or changed there is so in the CRM within 1 day"), "{described}");
    // What is deleted there must be known here within that time.
    let late = |says: &[&str]| {
        let ran = project.kith(&["check"]).ok();
        let said = ran.stdout + &ran.stderr;
        assert_eq!(said.contains("KITH-N098"), !says.is_empty(), "{said}");
        assert!(says.iter().all(|says| said.contains(says)), "{says:?}: {said}");
    };
    late(&["`x` wants deletions to arrive within 24 hours, and nothing asks", "one of posts, posts_looked_up"]);
    project.edit("config/kith.toml", "settings = {", "compliance = \"accounts\"\nsettings = {");
    late(&["nothing asks"]);
    project.edit("config/kith.toml", "\"accounts\"", "\"posts_looked_up\"\ncompliance_hours = 48");
    late(&["within 24 hours, and it is asked which posts still stand every 48 hours"]);
    project.edit("config/kith.toml", "compliance_hours = 48", "compliance_hours = 24");
    late(&[]);
    // A copy that says something else is not what the connector states; another day of comparing is.
    let file = fs::read_to_string(project.path("own/networks/x.yaml")).unwrap();
    project.write(
        "own/networks/mine.yaml",
        file.replace("as_of: 2026-11-28", "as_of: 2026-11-01").replace("deletions_within: 24h", "deletions_within: 48h"),
    );
    project.edit("mappings/retail.yaml", "../own/networks/x.yaml", "../own/networks/mine.yaml");
    told("the mapping keeps other duties of `x`, as of 2026-11-01, than the connector states, as of 2026-11-28");
    project.write("own/networks/mine.yaml", file.replace("as_of: 2026-11-28", "as_of: 2026-11-01"));
    let kept = project.kith(&["check"]).ok();
    assert!(!(kept.stdout + &kept.stderr).contains("KITH-N079"));
    project.edit("own/sources/x.yaml", "../networks/x.yaml", "../networks/linkedin.yaml");
    project.kith(&["check"]).fails(2, "the connector states the duties of `linkedin`, and reads another network");
    project.edit("own/sources/x.yaml", "../networks/linkedin.yaml", "../networks/none.yaml");
    project.kith(&["check"]).fails(2, "none.yaml");
}

/// A network whose terms let little be shown, and a mapping that keeps to it.
fn shy(display: &str) -> Project {
    let project = Project::empty();
    let network = format!(
        "kith: 1\nnetwork: mastodon\nas_of: 2026-11-28\ncites: [{{ what: Terms, where: \"https://mastodon.example/terms\" }}]\n\
        accepts: [provided_by_customer, public_profile]\ndisplay: {display}\n"
    );
    project.write("own/mastodon.yaml", network);
    project.edit("mappings/retail.yaml", "  audience: [public]", "  duties: [../own/mastodon.yaml]\n  audience: [public]");
    let twin = |id: u32| format!("T{id},Ottavio Zanardelli,,,,Lecce,,,,,\n");
    let row = |network: &str| format!("C-{network},Someone Else,,,,,,,,{network}:ada,standard\n");
    let rows = [row("mastodon"), row("reddit"), twin(2), twin(3)].concat();
    project.write("data/customers.csv", CUSTOMERS_HEADER.to_owned() + &rows);
    project.write("data/orders.csv", ORDERS_HEADER);
    project
}

const SAID: &str = "Order 4711 è arrivato rotto: my order 4711 arrived broken";

#[test]
fn what_a_network_does_not_let_be_shown_reaches_no_record_and_the_log_says_so() {
    let project = shy("{ withheld: [actor.location.name], text_at_most: 13, with_link: true }");
    let mut unlinked = activity("mastodon", "1", "ada", "Ada", 2, SAID);
    unlinked["object"].as_object_mut().unwrap().remove("url");
    let mut twin = activity("mastodon", "2", "otto", "Ottavio Zanardelli", 3, "ciao");
    twin["actor"]["location"] = json!({ "type": "Place", "name": "Lecce" });
    let posts = [activity("mastodon", "1", "ada", "Ada", 1, SAID), unlinked, activity("reddit", "1", "ada", "Ada", 4, SAID), twin];
    project.write("data/activities.ndjson", lines(&posts));
    project.kith(&["check"]).ok();
    let described = project.kith(&["mapping", "describe", "mappings/retail.yaml"]).ok().stdout;
    assert!(
        described.contains("`actor.location.name` and `identity.city` are not shown; of a text, 13 characters are shown"),
        "{described}"
    );
    project.kith(&["run", "--once"]).ok();

    let rows = project.crm("SELECT ActivityID, Body, PostURL IS NOT NULL, Topic FROM SocialInteraction");
    // The topic was found in the whole text, beyond what may be shown of it.
    let expected = [
        "https://mastodon.example/notes/1|Order 4711 è |1|complaint".to_owned(),
        "https://mastodon.example/notes/2|NULL|0|complaint".to_owned(),
        format!("https://reddit.example/notes/4|{SAID}|1|complaint"),
    ];
    assert_eq!(rows, expected);
    let told: Vec<Json> =
        entries(&project).into_iter().filter(|e| e["entry"]["why"]["rule"] == "display").map(|e| e["entry"].clone()).collect();
    let said =
        |entry: &Json| (entry["kind"].clone(), entry["network"].clone(), entry["what"]["action"].clone(), entry["what"]["reason"].clone());
    let cut = "content cut to 13 characters; object.content cut to 13 characters";
    let withheld = "content withheld, since the post has no address; object.content withheld, since the post has no address";
    let of = |reason: &str| (json!("policy.refused"), json!("mastodon"), json!("write"), json!(reason));
    assert_eq!(told.iter().map(said).collect::<Vec<_>>(), [of(cut), of(withheld)]);
    let report = project.kith(&["--format", "json", "audit", "report"]).ok().json();
    assert_eq!(report["outcomes"]["not_permitted"], Json::Null, "what was not shown is no person that may not be matched");
    assert!(report["refusals"].to_string().contains("write: content cut"), "{report}");

    // Nor does a reviewer see it.
    let show = ["review", "show", "mastodon", "https://mastodon.example/users/2"];
    let page = project.kith(&[&["--format", "json"], &show[..]].concat()).ok().json();
    assert_eq!(page["withheld"], json!(["city"]), "{page:#}");
    assert!(!page["shows"].to_string().to_lowercase().contains("lecce") && page["shows"].to_string().contains("ottavio"), "{page:#}");
    let text = project.kith(&show).ok().stdout;
    assert!(text.contains("not shown, by the duties of mastodon: city"), "{text}");
    let preview = project.kith(&["--format", "json", "mapping", "preview", "--network", "mastodon"]).ok().json();
    for account in preview["accounts"].as_array().unwrap() {
        assert!(!account["raw"].to_string().contains("Lecce") && account["cleaned"]["city"].is_null(), "{account}");
    }
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn a_delivery_that_would_show_what_is_withheld_is_refused_with_its_place() {
    let project = shy("{ withheld: [object.content] }");
    let out = project.kith(&["check"]);
    let said = out.stdout + &out.stderr;
    assert_eq!(out.code, Some(2), "{said}");
    let line = std::fs::read_to_string(project.path("mappings/retail.yaml")).unwrap();
    let at = |text: &str| line.lines().position(|line| line.contains(text)).unwrap() + 1;
    for (field, place) in [("Body", at("Body: {")), ("Abstract", at("Abstract: {"))] {
        assert!(said.contains(&format!("`{field}` would show `object.content`, which `mastodon` does not let be shown")), "{said}");
        assert!(said.contains(&format!("retail.yaml:{place}:")), "{said}");
    }
    // Through an enriched field all the same; kept to other networks, it is nobody's business.
    assert!(said.contains("`OrderNumber` would show `content`"), "{said}");
    project.edit("mappings/retail.yaml", "when: { decision: linked }", "when: { decision: linked, network: { not: mastodon } }");
    project.edit("mappings/retail.yaml", "when: { decision: linked, topic", "when: { decision: linked, network: [reddit, x], topic");
    project.edit("mappings/retail.yaml", "network: [reddit, x]", "network: { one_of: [reddit, x] }");
    project.kith(&["check"]).ok();

    let project = shy("{ with_link: true }");
    project.kith(&["check"]).ok();
    project.edit("mappings/retail.yaml", "      PostURL: object.url\n      Body", "      Body");
    project.kith(&["check"]).fails(2, "`Body` would show `object.content` without the address of the post, which `mastodon` asks for");
}
