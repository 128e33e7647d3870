//! What no stream tells: what was deleted or edited upstream since it was read leaves the CRM, or changes there, by looking up what is held, with each connector whose
//! network has a look-up.

use crate::manifests::Server;
use crate::networks::{Mastodon, counted};
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, root};
use serde_json::{Value as Json, json};
use std::process::Command;
use std::time::{Duration, Instant};

/// A project that reads with a shipped connector; these handles are customers'.
fn project(connector: &str, settings: &Json, handles: &[&str]) -> Project {
    let project = project_with(connector, settings, handles, "");
    project.kith(&["run", "--once"]).ok();
    project
}

/// With more lines in the source's table, and not run yet.
fn project_with(connector: &str, settings: &Json, handles: &[&str], more: &str) -> Project {
    let project = Project::empty();
    let row = |(n, handle): (usize, &&str)| format!("C{n},Somebody {n},,,,,,,,{handle},standard\n");
    project.write("data/customers.csv", CUSTOMERS_HEADER.to_owned() + &handles.iter().enumerate().map(row).collect::<String>());
    project.write("data/orders.csv", ORDERS_HEADER);
    let connector = root().join(format!("connectors/sources/{connector}.yaml")).display().to_string();
    let source =
        format!("kind = \"network\"\nconnector = \"{connector}\"\nsettings = {{ file = \"settings.json\" }}\nevery_seconds = 1\n{more}");
    project.edit("config/kith.toml", "kind = \"file\"\npath = \"data/activities.ndjson\"\n", &source);
    project.write("settings.json", settings.to_string());
    project.kith(&["check"]).ok();
    project
}

/// From now on what is held is looked up.
pub fn ask(project: &Project, question: &str) {
    project.edit("config/kith.toml", "every_seconds = 1\n", &format!("every_seconds = 1\ncompliance = \"{question}\"\n"));
}

/// Passes until the question's first round has ended: how it stands.
pub fn asked(project: &Project) -> Json {
    let start = Instant::now();
    loop {
        project.kith(&["run", "--once"]).ok();
        let entries = crate::kills::entries(project);
        let round = entries.iter().find(|entry| entry["entry"]["why"]["rule"] == "asked-what-stands");
        if let Some(round) = round {
            return round["entry"]["why"]["record"].clone();
        }
        assert!(start.elapsed() < Duration::from_secs(120), "no round ends");
    }
}

fn stands(project: &Project) -> Vec<String> {
    project.crm("SELECT ActivityID, Body FROM SocialInteraction ORDER BY ActivityID")
}

fn post(url: &str) {
    assert!(Command::new("curl").args(["-sSf", "-X", "POST", url]).output().unwrap().status.success(), "{url}");
}

#[test]
fn what_is_deleted_on_mastodon_leaves_the_crm_and_what_is_edited_changes_there() {
    let Some(mastodon) = Mastodon::start() else { return };
    let said: Vec<Json> = (0..45).map(|n| mastodon.post("grace_token", &format!("@ada where is my order {n}?"))).collect();
    let settings = json!({ "server": format!("{}/", mastodon.base), "access_token": "ada_token", "start_date": "2020-01-01" });
    let project = project("mastodon", &settings, &["mastodon:grace"]);
    let before = stands(&project);
    assert!(before.len() >= 45, "{before:?}");
    let of = |n: usize| said[n]["uri"].as_str().unwrap().to_owned();
    let at = |n: usize| format!("{}/api/v1/statuses/{}", mastodon.base, said[n]["id"].as_str().unwrap());
    let api = |args: &[&str]| {
        let out = Command::new("curl").args(["-sSf", "-H", "Authorization: Bearer grace_token"]).args(args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    for n in [3, 40] {
        api(&["-X", "DELETE", &at(n)]);
    }
    api(&["-X", "PUT", "--data-urlencode", "status=@ada my order 7 has arrived", &at(7)]);
    // Reading again tells nothing of it.
    project.kith(&["run", "--once"]).ok();
    assert_eq!(stands(&project), before);
    ask(&project, "posts_looked_up");
    let told = asked(&project);
    assert!(told.as_str().unwrap().contains("2 gone, 2 deleted"), "{told}");
    let after = stands(&project);
    assert_eq!(after.len(), before.len() - 2);
    assert!(!after.iter().any(|row| row.starts_with(&format!("{}|", of(3))) || row.starts_with(&format!("{}|", of(40)))));
    let edited = after.iter().find(|row| row.starts_with(&format!("{}|", of(7)))).unwrap();
    assert!(edited.contains("has arrived"), "{edited}");
    assert_eq!(counted(&project).2, 0);
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn what_staff_delete_on_discourse_leaves_the_crm_at_any_age() {
    let server = Server::of("discourse_server.py");
    let there = |what: &str| post(&format!("{}/test/{what}", server.base));
    let settings = json!({ "server": server.base, "start_date": "2020-01-01", "look_back": "PT1S" });
    let project = project("discourse", &settings, &["discourse:ada"]);
    assert_eq!(stands(&project).len(), 70);
    for what in ["trash?id=264", "remove?id=266", "hide?id=142", "edit?id=268&text=said+otherwise", "close?id=144"] {
        there(what);
    }
    // Nobody reads of it again.
    project.kith(&["run", "--once"]).ok();
    assert_eq!(stands(&project).len(), 70);
    ask(&project, "posts_looked_up");
    let told = asked(&project);
    assert!(told.as_str().unwrap().starts_with("140 asked about, 1 gone, 1 deleted"), "{told}");
    let after = stands(&project);
    let has = |post: &str, text: &str| after.iter().any(|row| *row == format!("{}/posts/{post}|{text}", server.base));
    assert_eq!(after.len(), 67, "{after:?}");
    assert!(has("268", "said otherwise"), "an edit at any age");
    assert!(!["264", "266", "142"].iter().any(|gone| after.iter().any(|row| row.contains(&format!("/posts/{gone}|")))), "{after:?}");
    // Of what is closed it says the same as of a wrong key: nothing follows.
    assert!(after.iter().any(|row| row.contains("/posts/144|")));
    assert_eq!(counted(&project).2, 0);
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn somebody_elses_page_in_the_community_s_place_deletes_nothing() {
    let server = Server::of("discourse_server.py");
    let project = project("discourse", &json!({ "server": server.base, "start_date": "2020-01-01" }), &["discourse:ada"]);
    ask(&project, "posts_looked_up");
    post(&format!("{}/test/away", server.base));
    let run = project.kith(&["run", "--once"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("compliance posts_looked_up"), "{}", run.stderr);
    assert_eq!(stands(&project).len(), 70);
}

/// A connector over `network_server.py`: 2 and 3 go, 5 and 6 are edited. What is asked about, gone, deleted; what stands in the CRM afterwards of a customer.
fn shipped(connector: &str, settings: impl Fn(&str) -> Json, handle: &str, told: &str, stand: &[&str]) {
    let server = Server::of("network_server.py");
    let project = project(connector, &settings(&server.base), &[handle]);
    for what in ["gone?n=2", "gone?n=3", "edit?n=5", "edit?n=6"] {
        post(&format!("{}/{what}", server.base));
    }
    ask(&project, if connector == "bluesky" { "posts_looked_up" } else { "comments_looked_up" });
    let said = asked(&project);
    assert_eq!(said.as_str().unwrap(), format!("{told}, since the first round"), "{connector}");
    let found: Vec<String> = stands(&project).iter().map(|row| row.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(found, stand, "{connector}");
    assert_eq!(counted(&project).2, 0, "{connector}");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn each_network_with_a_look_up_is_asked_what_still_stands() {
    shipped(
        "bluesky",
        |base| json!({ "server": base, "identifier": "shop.example", "app_password": "app-pass", "start_date": "2020-01-01" }),
        "bluesky:ada.example",
        "6 asked about, 2 gone, 2 deleted, 0 newer",
        &["6|post 6"],
    );
    shipped(
        "youtube",
        |base| json!({ "server": base, "api_key": "yt-key", "channel_id": "UCshop", "start_date": "2020-01-01" }),
        "youtube:user0",
        // Seven comments and six answers; an answer goes with its comment.
        "13 asked about, 4 gone, 4 deleted, 2 newer",
        &["c4|comment 4", "c6|said otherwise"],
    );
    let graph = |base: &str| format!("{base}/graph");
    shipped(
        "instagram",
        |base| json!({ "server": graph(base), "access_token": "page-token", "account_id": "88", "start_date": "2020-01-01" }),
        "instagram:user0",
        "7 asked about, 2 gone, 2 deleted, 0 newer",
        &["884|comment 4", "886|comment 6", "882|tagged 2", "884|tagged 4", "886|tagged 6"],
    );
    shipped(
        "facebook",
        |base| json!({ "server": graph(base), "page_token": "page-token", "page_id": "77", "start_date": "2020-01-01" }),
        "facebook:nobody",
        // Posts that tag the page are none that it may look up.
        "6 asked about, 2 gone, 2 deleted, 0 newer",
        &[],
    );
    shipped(
        "linkedin",
        |base| json!({ "server": format!("{base}/rest"), "access_token": "li-token", "organization": "urn:li:organization:5", "start_date": "2020-01-01" }),
        "linkedin:nobody",
        // What is edited is read again by the stream itself.
        "6 asked about, 2 gone, 2 deleted, 0 newer",
        &[],
    );
}

#[test]
fn what_each_stream_reads_alone_reaches_the_crm() {
    let graph = |base: &str| format!("{base}/graph");
    let x =
        |base: &str| json!({ "server": base, "bearer_token": "x-token", "user_id": "7", "queries": ["shop"], "start_date": "2020-01-01" });
    let youtube = |base: &str| json!({ "server": base, "api_key": "yt-key", "channel_id": "UCshop", "start_date": "2020-01-01" });
    let bluesky = |base: &str| json!({ "server": base, "identifier": "shop.example", "app_password": "app-pass", "queries": ["shop"], "accounts": ["ada.example"], "start_date": "2020-01-01" });
    let instagram =
        |base: &str| json!({ "server": graph(base), "access_token": "page-token", "account_id": "88", "start_date": "2020-01-01" });
    type Case<'a> = (&'a str, &'a str, &'a dyn Fn(&str) -> Json, &'a str, &'a [&'a str]);
    let cases: [Case<'_>; 9] = [
        // The third post of X is an edit of another one.
        (
            "x",
            "mentions",
            &x,
            "x:bob",
            &["1001|where is my order 1?", "1005|where is my order 5?", "1007|where is my order 7?", "999|where is my order 3?"],
        ),
        ("x", "search", &x, "x:ada", &["1002|where is my order 2?", "1004|where is my order 4?", "1006|where is my order 6?"]),
        ("youtube", "threads", &youtube, "youtube:user1", &["c1|comment 1", "c3|comment 3", "c5|comment 5", "c7|comment 7"]),
        (
            "youtube",
            "answers",
            &youtube,
            "youtube:user1",
            &["c9.c2|comment 9", "c9.c3|comment 9", "c9.c4|comment 9", "c9.c5|comment 9", "c9.c6|comment 9", "c9.c7|comment 9"],
        ),
        ("bluesky", "notifications", &bluesky, "bluesky:ada.example", &["2|post 2", "6|post 6"]),
        ("bluesky", "search", &bluesky, "bluesky:ada.example", &["2|post 2", "4|post 4", "6|post 6"]),
        ("bluesky", "feeds", &bluesky, "bluesky:ada.example", &["2|post 2", "4|post 4", "6|post 6"]),
        ("instagram", "comments", &instagram, "instagram:user0", &["882|comment 2", "884|comment 4", "886|comment 6"]),
        ("instagram", "tags", &instagram, "instagram:user0", &["882|tagged 2", "884|tagged 4", "886|tagged 6"]),
    ];
    for (connector, stream, settings, handle, expected) in cases {
        let server = Server::of("network_server.py");
        let project = project_with(connector, &settings(&server.base), &[handle], &format!("streams = \"{stream}\"\n"));
        project.kith(&["run", "--once"]).ok();
        let found: Vec<String> = stands(&project).iter().map(|row| row.rsplit('/').next().unwrap().to_owned()).collect();
        assert_eq!(found, expected, "{connector} {stream}");
        assert_eq!(counted(&project).2, 0, "{connector} {stream}");
    }
}

#[test]
fn what_a_network_allows_no_more_of_today_is_waited_for_over_starts() {
    let graph = |base: &str| format!("{base}/graph");
    type Case<'a> = (&'a str, &'a dyn Fn(&str) -> Json, &'a str);
    let cases: [Case<'_>; 6] = [
        ("x", &|base| json!({ "server": base, "bearer_token": "x-token", "user_id": "7", "start_date": "2020-01-01" }), "mentions"),
        ("youtube", &|base| json!({ "server": base, "api_key": "yt-key", "channel_id": "UCshop", "start_date": "2020-01-01" }), "threads"),
        (
            "bluesky",
            &|base| json!({ "server": base, "identifier": "shop.example", "app_password": "app-pass", "start_date": "2020-01-01" }),
            "notifications",
        ),
        (
            "facebook",
            &|base| json!({ "server": graph(base), "page_token": "page-token", "page_id": "77", "start_date": "2020-01-01" }),
            "tagged",
        ),
        (
            "instagram",
            &|base| json!({ "server": graph(base), "access_token": "page-token", "account_id": "88", "start_date": "2020-01-01" }),
            "tags",
        ),
        (
            "linkedin",
            &|base| json!({ "server": format!("{base}/rest"), "access_token": "li-token", "organization": "urn:li:organization:5", "start_date": "2020-01-01" }),
            "comments",
        ),
    ];
    for (connector, settings, stream) in cases {
        let server = Server::of("network_server.py");
        let project = project_with(connector, &settings(&server.base), &["x:nobody"], &format!("streams = \"{stream}\"\n"));
        project.kith(&["run", "--once"]).ok();
        let before = counted(&project);
        post(&format!("{}/spent", server.base));
        let waits = project.kith(&["run", "--once"]);
        assert!(waits.code == Some(1) && waits.stderr.contains("KITH-N023"), "{connector}: {}", waits.stderr);
        _ = project.kith(&["run", "--once"]);
        let out = Command::new("curl").args(["-sSf", &format!("{}/asked", server.base)]).output().unwrap();
        let asked: Vec<String> = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(asked.len(), 1, "{connector}: {asked:?}");
        assert_eq!(counted(&project), before, "{connector}");
    }
}
