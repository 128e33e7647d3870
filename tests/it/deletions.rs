//! A reviewer sees from the log alone which deletions and edits came late to the CRM and which still wait, by network and target.

use crate::kills::entries;
use crate::retention::{at, run_at};
use crate::rights::{drop_file, token, with_folder};
use crate::support::{CUSTOMERS_HEADER, Project, activity, deleted, edited, lines};
use serde_json::Value as Json;

/// Persons 1 and 2 are customers, person 3 is a stranger; the network wants changes within a day.
fn project() -> Project {
    let project = with_folder();
    let row = |n: u32| format!("C{n},Someone Else {n},,,,,,,,mastodon:{},\n", token(n));
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}{}{}", row(1), row(2)));
    let network = "kith: 1\nnetwork: mastodon\nas_of: 2026-11-28\ncites: [{ what: Terms, where: \"https://mastodon.example/terms\" }]\n\
        accepts: [provided_by_customer, public_profile]\ndeletions_within: 24h\n";
    project.write("own/mastodon.yaml", network);
    project.edit("mappings/retail.yaml", "  audience: [public]", "  duties: [../own/mastodon.yaml]\n  audience: [public]");
    project
}

fn post(person: u32, note: u32) -> Json {
    let mut post = activity("mastodon", &token(person), &token(person), "Name", note, "I said it");
    post["published"] = at(0).to_string().into();
    post["object"]["published"] = post["published"].clone();
    post
}

fn report(project: &Project, more: &[&str]) -> Json {
    project.kith(&[&["--format", "json", "audit", "deletions"], more].concat()).ok().json()
}

fn sum(report: &Json, target: Option<&str>) -> Vec<u64> {
    let line = report["sums"].as_array().unwrap().iter().find(|sum| sum["target"].as_str() == target).unwrap_or(&Json::Null).clone();
    ["deletions", "edits", "arrived", "waiting", "nothing_to_do", "late", "late_here"].map(|name| line[name].as_u64().unwrap_or(99)).into()
}

#[test]
fn what_came_late_and_what_still_waits_is_told_from_the_log_alone() {
    let project = project();
    let posts: Vec<Json> = [(1, 1), (1, 2), (2, 3), (2, 4), (3, 5)].map(|(person, note)| post(person, note)).into();
    drop_file(&project, "a.ndjson", lines(&posts).as_bytes());
    run_at(&project, at(0));
    let text = project.kith(&["audit", "deletions"]).ok();
    assert!(text.stderr.contains("tells of no deletion or edit"), "{}", text.stderr);

    // One in time, one that Kith is told of three days late, an edit in time, and one of somebody of whom nothing stands in the CRM.
    let changes = [
        deleted(&posts[0], &at(4).to_string()),
        deleted(&posts[1], &at(1).to_string()),
        edited(&posts[2], "I said something else", &at(4).to_string()),
        deleted(&posts[4], &at(4).to_string()),
    ];
    drop_file(&project, "b.ndjson", lines(&changes).as_bytes());
    run_at(&project, at(4));
    let told = report(&project, &[]);
    assert_eq!(sum(&told, Some("crm_db")), [2, 1, 3, 0, 0, 1, 0], "{told:#}");
    assert_eq!(sum(&told, None), [1, 0, 0, 0, 1, 0, 0], "{told:#}");
    let late = report(&project, &["--late"]);
    let listed = late["changes"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{late:#}");
    let one = &listed[0];
    assert_eq!(
        (&one["what"], &one["state"], &one["late"], &one["late_here"]),
        (&"deletion".into(), &"arrived".into(), &true.into(), &false.into())
    );
    assert_eq!((&one["within_seconds"], one["took_seconds"].as_i64().map(|s| (s + 1) / 86_400)), (&86_400.into(), Some(3)));
    // The entry that it names says so, without a word about who it was.
    let entry = &entries(&project)[usize::try_from(one["entry"].as_u64().unwrap()).unwrap()]["entry"];
    assert_eq!(
        (&entry["kind"], &entry["why"]["rule"], &entry["network"]),
        (&"source.read".into(), &"deletion-received".into(), &"mastodon".into())
    );
    let time = |text: &Json| text.as_str().unwrap().trim_start_matches("by ").parse::<jiff::Timestamp>().unwrap();
    let arrival = time(&entry["time"]);
    assert_eq!(time(&entry["why"]["record"]).duration_since(arrival).as_secs(), 86_400);
    assert!(!entry.to_string().contains(&token(1)), "{entry}");

    // The CRM is away for two days: what waits is late as soon as the log is.
    project.kith(&["pause", "crm_db"]).ok();
    drop_file(&project, "c.ndjson", lines(&[deleted(&posts[3], &at(5).to_string())]).as_bytes());
    run_at(&project, at(5));
    let told = report(&project, &[]);
    assert_eq!(sum(&told, Some("crm_db")), [3, 1, 3, 1, 0, 1, 0], "{told:#}");
    run_at(&project, at(7));
    let told = report(&project, &["--late"]);
    assert_eq!(sum(&told, Some("crm_db")), [3, 1, 3, 1, 0, 2, 1], "{told:#}");
    let states: Vec<&str> = told["changes"].as_array().unwrap().iter().map(|change| change["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["arrived", "waits"]);
    project.kith(&["resume", "crm_db"]).ok();
    run_at(&project, at(8));
    let told = report(&project, &[]);
    assert_eq!(sum(&told, Some("crm_db")), [3, 1, 4, 0, 0, 2, 1], "{told:#}");
    // A period is of what was received in it.
    let since = at(4) + jiff::SignedDuration::from_hours(1);
    let told = report(&project, &["--since", &since.to_string()]);
    assert_eq!(sum(&told, Some("crm_db")), [1, 0, 1, 0, 0, 1, 1], "{told:#}");

    let text = project.kith(&["audit", "deletions", "--late"]).ok().stdout;
    assert!(text.contains("mastodon in crm_db: 3 deletions and 1 edits: 4 arrived") && text.contains("late, told late"), "{text}");
    let page = project.path("deletions.html");
    project.kith(&["audit", "deletions", "--html", &page.display().to_string()]).ok();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("4 arrived, 0 wait") && !page.contains("https://"), "{page}");
    project.kith(&["audit", "verify"]).ok();
    assert_eq!(project.kith(&["--format", "json", "status"]).ok().json()["conservation_gap"], 0);
}
