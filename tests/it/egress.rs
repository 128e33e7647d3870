//! With every kind of source at once, and a notice, nothing leaves the machine but to where the configuration names: as the kernel is asked for it, by the
//! service, by its threads and by the tap that it starts.

use crate::compliance::Server as Network;
use crate::streams::{NUMBERED, Server as Stream, connector};
use crate::support::receiver::{KEY, Receiver, hook};
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, free_port, have, wait_for};
use crate::webhooks::openssl;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A tap that asks somebody of its own, which nothing of Kith's configuration names.
const TAP: &str = r#"#!/bin/sh
python3 - "$@" <<'END'
import json, os, socket
assert not [name for name in os.environ if "proxy" in name.lower() or name.startswith("KITH")], "the service's environment came along"
socket.create_connection(("127.0.0.1", PORT)).close()
record = {"url": "https://helpdesk.example/t/1", "author_id": 1, "author_name": "Name", "text": "where is it?", "created_at": "2026-09-01T10:00:00Z", "public": True}
print(json.dumps({"type": "RECORD", "stream": "tickets", "record": record}))
print(json.dumps({"type": "STATE", "value": {"next": 2}}))
END
"#;

const ESCALATION: &str = "  - { id: escalation, for: activity, when: { decision: linked }, to: on_call, operation: escalate, fields: { Network: network, ActivityID: object.id, \
    CustomerID: customer_id, PostURL: object.url, Topic: topic } }\n";

fn sources(hooks: u16) -> String {
    format!(
        r#"[webhooks]
listen = "127.0.0.1:{hooks}"

[sources.x]
kind = "network"
connector = "connectors/sources/x.yaml"
settings = {{ file = "x.json" }}
streams = "mentions"
every_seconds = 1
compliance = "posts_looked_up, accounts"

[sources.live]
kind = "network"
connector = "connectors/live.yaml"
settings = {{ file = "live.json" }}
streams = "things_live"
every_seconds = 1

[sources.instagram]
kind = "webhook"
connector = "connectors/sources/instagram.yaml"
webhook = "comments"
secret = {{ file = "secret" }}
verify_token = {{ file = "secret" }}

[sources.helpdesk]
kind = "singer"
command = "tap.sh"
settings = {{ file = "tap.json" }}
records = "connectors/records/helpdesk.yaml"
every_seconds = 3600

"#
    )
}

fn project(network: &Network, stream: &Stream, hooks: u16, tap: u16) -> Project {
    let project = Project::empty();
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}C1,Somebody,,,,,,,,x:user1,standard\n"));
    project.write("data/orders.csv", ORDERS_HEADER);
    project.edit("config/kith.toml", "[sources.activities]\nkind = \"file\"\npath = \"data/activities.ndjson\"\n", &sources(hooks));
    project.edit("config/kith.toml", "[service]\n", "[service]\npoll_seconds = 1\n");
    project.edit("mappings/retail.yaml", "\ntests:", &format!("\n{ESCALATION}\ntests:"));
    let x = json!({ "server": network.base, "bearer_token": "x-token", "user_id": "7", "start_date": "2020-01-01" });
    project.write("x.json", x.to_string());
    project.write("live.json", json!({ "base_url": stream.base(), "live_url": stream.base(), "path": "numbered" }).to_string());
    project.write("connectors/live.yaml", connector(NUMBERED));
    project.write("secret", "meta-app-secret");
    project.write("webhook.key", format!("{KEY}\n"));
    project.write("tap.json", "{}");
    project.write("tap.sh", TAP.replace("PORT", &tap.to_string()));
    std::fs::set_permissions(project.path("tap.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    project
}

#[test]
fn nothing_leaves_but_what_the_configuration_names_with_every_kind_of_source_at_once() {
    if !have("strace") {
        return;
    }
    let Some(stream) = Stream::start() else { return };
    let network = Network::start();
    network.gone(&json!({ "101": "deleted" }), &json!({}));
    stream.post("/say?n=3");
    // Whom the tap asks, and nobody else.
    let asked = TcpListener::bind("127.0.0.1:0").unwrap();
    let tap = asked.local_addr().unwrap().port();
    let hooks = free_port();
    let project = project(&network, &stream, hooks, tap);
    let receiver = Receiver::webhook(&project, &[]);
    let config = std::fs::read_to_string(project.path("config/kith.toml")).unwrap();
    let target = format!("\n[targets.on_call]\nconnector = \"connectors/targets/notify.yaml\"\n{}", hook(receiver.port, ""));
    project.write("config/kith.toml", config + &target);
    project.kith(&["check"]).ok();

    let trace = project.path("trace");
    let mut service = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_kith"))
        .arg("run")
        .current_dir(project.path(""))
        // A proxy of the environment would be one more place to reach: nobody reads it, nor is it handed on.
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("http_proxy", "http://127.0.0.1:9")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(project.path("service.log")).unwrap())
        .spawn()
        .unwrap();
    let log = || std::fs::read_to_string(project.path("service.log")).unwrap();
    let listens = (0..12).any(|_| wait_for(hooks));
    if log().contains("ptrace") {
        _ = service.wait();
        eprintln!("SKIPPED: processes can't be traced here");
        return;
    }
    assert!(listens, "{}", log());
    let comment = json!({ "object": "instagram", "entry": [{ "id": "1784", "time": 1_790_000_000, "changes": [{ "field": "comments",
        "value": { "id": "c1", "text": "hello", "from": { "id": "u1", "username": "handle1" }, "media": { "id": "m1" } } }] }] });
    project.write("body", comment.to_string());
    let signed = format!("X-Hub-Signature-256: sha256={}", openssl("sha256", "meta-app-secret", &project.path("body"), false));
    let body = format!("@{}", project.path("body").display());
    let url = format!("http://127.0.0.1:{hooks}/webhooks/instagram");
    let out = Command::new("curl")
        .args(["-sS", "-X", "POST", "-H", &signed, "--data-binary", &body, "-w", "%{http_code}", &url])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "200", "{}", log());

    // Six posts and a Delete of one of X, three events, a comment, and what the tap gave; a notice of what was linked.
    let start = Instant::now();
    let all_is_there = |status: &Json| {
        let done = |name: &str| {
            status["service"]["compliance"]
                .as_array()
                .is_some_and(|all| all.iter().any(|of| of["question"] == name && of["ended"].is_string()))
        };
        let connected = status["service"]["streams"].as_array().is_some_and(|all| all.iter().any(|of| of["connected_since"].is_string()));
        status["received"].as_u64() >= Some(12)
            && connected
            && done("x/posts_looked_up")
            && done("x/accounts")
            && !receiver.got().is_empty()
    };
    loop {
        let status = project.kith(&["--format", "json", "status"]);
        let status = if status.code == Some(0) { status.json() } else { Json::Null };
        if all_is_there(&status) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(170), "{status:#}\n{}", log());
        std::thread::sleep(Duration::from_millis(200));
    }
    // strace ends when what it traces does, and keeps signals to itself.
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", service.id())).unwrap();
    let traced = rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(traced, rustix::process::Signal::TERM).unwrap();
    assert!(service.wait().unwrap().success(), "{}", log());
    let (mut connection, _) = asked.accept().unwrap();
    assert_eq!(connection.read(&mut [0; 1]).unwrap(), 0, "the tap was there");

    let seen = std::fs::read_to_string(&trace).unwrap();
    let of_the_internet = || seen.lines().filter(|line| line.contains("sin_port") || line.contains("sin6_port"));
    let port = |line: &str| line.split_once("htons(")?.1.split_once(')')?.0.parse::<u16>().ok();
    let reached: BTreeSet<u16> = of_the_internet().filter_map(port).collect();
    let of_address = |base: &str| base.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let named = BTreeSet::from([of_address(&network.base), of_address(&stream.base()), receiver.port, tap]);
    assert_eq!(reached, named, "{seen}");
    let elsewhere: Vec<&str> = of_the_internet().filter(|line| !line.contains("\"127.0.0.1\"")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}
