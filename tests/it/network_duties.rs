//! What a network asks stands in the connector's file, and nobody leaves it out of the mapping unnoticed.

use crate::manifests::Server;
use crate::support::{Project, root, slice};
use serde_json::json;
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
    project.edit("mappings/retail.yaml", "  audience: [public]", "  duties: [../own/networks/x.yaml]\n  audience: [public]");
    let kept = project.kith(&["check"]).ok();
    assert!(!(kept.stdout + &kept.stderr).contains("KITH-N079"));
    let described = project.kith(&["mapping", "describe", "mappings/retail.yaml"]).ok().stdout;
    assert!(described.contains("what is deleted or changed there is so in the CRM within 1 day"), "{described}");
    // A copy that says something else is not what the connector states; another day of comparing is.
    let file = fs::read_to_string(project.path("own/networks/x.yaml")).unwrap();
    project.write(
        "own/networks/mine.yaml",
        file.replace("as_of: 2026-11-27", "as_of: 2026-11-01").replace("deletions_within: 24h", "deletions_within: 48h"),
    );
    project.edit("mappings/retail.yaml", "../own/networks/x.yaml", "../own/networks/mine.yaml");
    told("the mapping keeps other duties of `x`, as of 2026-11-01, than the connector states, as of 2026-11-27");
    project.write("own/networks/mine.yaml", file.replace("as_of: 2026-11-27", "as_of: 2026-11-01"));
    let kept = project.kith(&["check"]).ok();
    assert!(!(kept.stdout + &kept.stderr).contains("KITH-N079"));
    project.edit("own/sources/x.yaml", "../networks/x.yaml", "../networks/linkedin.yaml");
    project.kith(&["check"]).fails(2, "the connector states the duties of `linkedin`, and reads another network");
    project.edit("own/sources/x.yaml", "../networks/linkedin.yaml", "../networks/none.yaml");
    project.kith(&["check"]).fails(2, "none.yaml");
}
