//! Each alarm of the service is driven by what it is about, from the outside with the binary, and is told when it begins and when it has ended.
//! (`BreakerOpen`: `bad_day.rs`, `notify.rs`.) The service lives by a clock that is twenty times as fast.

use crate::bad_input::may_mount;
use crate::review;
use crate::support::clock::FasterClock;
use crate::support::receiver::{KEY, Receiver, hook};
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, deleted, free_port, have, lines, wait_for};
use serde_json::Value;
use std::fs;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A service desk that takes one token and answers 401 to every other; 404 to whoever looks for what is there.
const DESK: &str = r#"
import http.server, sys
class Desk(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        good = self.headers.get("authorization") == "Bearer " + sys.argv[2]
        self.send_response(401 if not good else 404 if self.command == "GET" else 201)
        self.send_header("content-length", "0")
        self.end_headers()
    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Desk).serve_forever()
"#;

/// A child that ends with its test.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn told(receiver: &Receiver, project: &Project, names: &[&str], state: &str) {
    for name in names {
        until_told(receiver, project, (name, state), 1);
    }
}

/// At least so often.
fn until_told(receiver: &Receiver, project: &Project, (name, state): (&str, &str), times: usize) {
    let started = Instant::now();
    while receiver.alarms(name, state) < times {
        let log = || fs::read_to_string(project.path("service.log")).unwrap_or_default() + &project.kith(&["status"]).stdout;
        assert!(started.elapsed() < Duration::from_secs(300), "not told that {name} {state} {times} times:\n{}", log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn configure(project: &Project, receiver: &Receiver) {
    project.write("webhook.key", format!("{KEY}\n"));
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
    let more = format!(
        "\n[targets.on_call]\nconnector = \"connectors/targets/notify.yaml\"\n{}\n[alarms]\nto = \"on_call\"\nafter_seconds = 1\nreview_backlog = 1\n",
        hook(receiver.port, "")
    );
    project.write("config/kith.toml", config + &more);
}

fn started(project: &Project, command: &mut Command) -> Guarded {
    let log = fs::File::create(project.path("service.log")).unwrap();
    Guarded(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

#[test]
fn what_people_have_to_settle_is_told_when_it_begins_and_when_it_has_ended() {
    let Some(clock) = FasterClock::installed(20) else { return };
    // Three accounts that only a person can decide about, and customers enough for a guard.
    let project = review::waiting_cases(3);
    let receiver = Receiver::webhook(&project, &[]);
    configure(&project, &receiver);
    let customers = fs::read_to_string(project.path("data/customers.csv")).unwrap();
    let more = |n: u32| format!("M{n},Someone Else,,,,,,,,instagram:handle{n},gold\n");
    let whole = customers + &(0..100).map(more).collect::<String>();
    project.write("data/customers.csv", &whole);
    // A desk that does not know our token.
    let desk = free_port();
    let _desk = Guarded(Command::new("python3").args(["-c", DESK, &desk.to_string(), "the new one"]).spawn().unwrap());
    assert!(wait_for(desk));
    project.write("desk.token", "the old one\n");
    project.edit("config/kith.toml", "connectors/targets/ndjson.yaml", "connectors/targets/http.yaml");
    project.edit(
        "config/kith.toml",
        "path = \"crm/service-desk.ndjson\"",
        &format!("url = \"http://127.0.0.1:{desk}\"\ntoken = {{ file = \"desk.token\" }}"),
    );
    // A place for checkpoints that is none.
    project.edit("config/kith.toml", "[audit]\n", "[audit]\ncheckpoints_to = \"checkpoints\"\n");
    project.write("checkpoints", "a file");
    let _service = started(&project, clock.hold(&mut project.command(&["run"])));
    // The desk hears of what is new alone.
    let recent = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1)).to_string();
    let said = |n: u32| {
        let mut said = activity("instagram", &format!("u{n}"), &format!("handle{n}"), "x", 900 + n, "my order arrived broken");
        said["published"] = recent.clone().into();
        said["object"]["published"] = recent.clone().into();
        said
    };
    let log = fs::read_to_string(project.path("data/activities.ndjson")).unwrap() + &lines(&(0..2).map(said).collect::<Vec<_>>());
    project.write("data/activities.ndjson", log);
    told(&receiver, &project, &["ReviewBacklog", "LoginRefused", "LogDoesNotLeave", "PartFails"], "began");

    // Half a customers file; a counter that somebody changed behind our back.
    project.write("data/customers.csv", whole.lines().take(50).map(|line| format!("{line}\n")).collect::<String>());
    let counter = |change: &str| {
        let state = rusqlite::Connection::open(project.path("state/kith.db")).unwrap();
        state.busy_timeout(Duration::from_secs(60)).unwrap();
        state.execute(&format!("UPDATE source_day SET received = received {change}"), []).unwrap()
    };
    counter("+ 1");
    told(&receiver, &project, &["PassWaits", "ConservationGap"], "began");
    let page = project.kith(&["status"]).stdout;
    assert!(page.contains("GUARD") && page.contains("kith approve"), "{page}");

    // Each is settled as its page in the runbook says.
    counter("- 1");
    fs::remove_file(project.path("checkpoints")).unwrap();
    project.write("desk.token", "the new one\n");
    project.kith(&["reload"]).ok();
    let status = project.kith(&["--format", "json", "status"]).json();
    let pass = status["guarded"].as_array().unwrap().iter().find(|pass| pass["state"] == "waits").unwrap()["pass"].to_string();
    project.kith(&["reject", &pass]).ok();
    project.write("data/customers.csv", &whole);
    for n in 0..3 {
        let account = format!("https://mastodon.example/users/u{n}");
        project.kith(&["review", "decide", "mastodon", &account, "--none", "--reason", "neither of them"]).ok();
    }
    told(&receiver, &project, &["ReviewBacklog", "LoginRefused", "LogDoesNotLeave", "PartFails", "PassWaits", "ConservationGap"], "ended");
    let all: Vec<Value> = receiver.got();
    assert!(!all.iter().any(|notice| notice.to_string().contains("Ottavio")), "no personal data in an alarm");
}

#[test]
fn what_stops_the_machine_is_told_too() {
    let Some(clock) = FasterClock::installed(20) else { return };
    if !may_mount() {
        return;
    }
    let project = Project::empty();
    project.write("data/customers.csv", CUSTOMERS_HEADER.to_owned() + "C1,Someone Else,,,,,,,,instagram:handle1,standard\n");
    project.write("data/orders.csv", ORDERS_HEADER);
    let said = |n: u32| activity("instagram", "u1", "handle1", "x", n, "my order arrived broken");
    project.write("data/activities.ndjson", lines(&[said(1)]));
    let receiver = Receiver::webhook(&project, &[]);
    configure(&project, &receiver);
    // Small disks: one for the state, one for the log in it. What is laid over the checkpoint
    // lies there before anybody can write again, or a quick log has signed the next one.
    let script = r#"mkdir -m 700 state && mount -t tmpfs -o size=128m,mode=700 none state
        mkdir -m 700 state/log && mount -t tmpfs -o size=64m,mode=700 none state/log
        "$KITH" run & service=$!
        while [ ! -e stop ]; do
            if [ -e fill-state ]; then rm fill-state; dd if=/dev/zero of=state/filler bs=64k 2>/dev/null || true; fi
            if [ -e empty ]; then rm -f empty state/filler; fi
            if [ -e freeze-log ]; then mount -o remount,ro state/log && rm freeze-log || true; fi
            if [ -e thaw-log ]; then rm thaw-log; mount --bind unreadable state/log/checkpoint; mount -o remount,rw state/log; fi
            if [ -e mend ]; then umount state/log/checkpoint && rm mend || true; fi
            if [ -e ruin ]; then rm ruin; for f in state/kith.db state/kith.db-wal; do
                dd if=/dev/zero of=$f bs=4k count=$(($(stat -c %s $f) / 4096)) conv=notrunc 2>/dev/null; done; fi
            sleep 2
        done
        kill -9 $service"#;
    // Nobody opens a socket as a file.
    let _unreadable = UnixListener::bind(project.path("unreadable")).unwrap();
    let mut machine = Command::new("unshare");
    machine.args(["-rm", "sh", "-ec", script]);
    machine.env("KITH", env!("CARGO_BIN_EXE_kith")).current_dir(project.dir.path());
    let mut service = started(&project, clock.hold(&mut machine));
    told(&receiver, &project, &["DiskIsFillingUp"], "began");
    let more = |n: u32, posts: u32| {
        let log =
            fs::read_to_string(project.path("data/activities.ndjson")).unwrap() + &lines(&(n..n + posts).map(said).collect::<Vec<_>>());
        project.write("data/activities.ndjson", log);
    };
    // The log can't be written; when it can again, its checkpoint can't be read.
    project.write("freeze-log", "");
    more(100, 40);
    told(&receiver, &project, &["DiskIsFull"], "began");
    project.write("thaw-log", "");
    told(&receiver, &project, &["LogStopped"], "began");
    project.write("mend", "");
    told(&receiver, &project, &["LogStopped", "DiskIsFull"], "ended");
    project.write("fill-state", "");
    // More than the write-ahead log has room for already.
    more(1_000, 4_000);
    until_told(&receiver, &project, ("DiskIsFull", "began"), 2);
    project.write("empty", "");
    until_told(&receiver, &project, ("DiskIsFull", "ended"), 2);
    project.write("ruin", "");
    more(9_000, 40);
    told(&receiver, &project, &["StoreUnreadable"], "began");
    project.write("stop", "");
    service.0.wait().unwrap();
}

/// The alarm about a deletion that waits for a target that is away, and one that is parked: before the network's time is over.
#[test]
fn a_deletion_that_does_not_arrive_is_told_while_there_is_time() {
    let project = Project::empty();
    project.write("data/customers.csv", CUSTOMERS_HEADER.to_owned() + "C1,Someone Else,,,,,,,,x:handle1,standard\n");
    project.write("data/orders.csv", ORDERS_HEADER);
    // The shortest time that a network may give: four fifths of it are 48 s.
    let duties = "kith: 1\nnetwork: x\nas_of: 2026-11-28\ncites: [{ what: Policy, where: \"https://x.example\" }]\n\
        accepts: [provided_by_customer, public_profile]\ndeletions_within: 1min\n";
    project.write("connectors/networks/hasty.yaml", duties);
    project.edit("mappings/retail.yaml", "  audience: [public]", "  duties: [../connectors/networks/hasty.yaml]\n  audience: [public]");
    let receiver = Receiver::webhook(&project, &[]);
    configure(&project, &receiver);
    let metrics = free_port();
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
    project.write("config/kith.toml", format!("{config}\n[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n"));
    let said = activity("x", "u1", "handle1", "x", 1, "my order arrived broken");
    project.write("data/activities.ndjson", lines(std::slice::from_ref(&said)));
    project.run_once();
    assert_eq!(project.crm("SELECT count(*) FROM SocialInteraction"), ["1"]);

    // A folder in place of the CRM: it is away.
    fs::rename(project.path("crm/crm.db"), project.path("crm/aside")).unwrap();
    fs::create_dir(project.path("crm/crm.db")).unwrap();
    project.write("data/activities.ndjson", lines(&[said.clone(), deleted(&said, "2026-09-02T10:00:00Z")]));
    let _service = started(&project, &mut project.command(&["run"]));
    until_told(&receiver, &project, ("DeletionLate", "began"), 1);
    let status = project.kith(&["--format", "json", "status"]).ok().json();
    let change = &status["totals"]["changes"][0];
    assert_eq!(
        (&change["network"], &change["target"], &change["waiting"], &change["parked"]),
        (&"x".into(), &"crm_db".into(), &1.into(), &0.into())
    );
    let page = project.kith(&["status"]).ok().stdout;
    assert!(page.contains("1 deletions and edits on x have not arrived in crm_db"), "{page}");
    let out = Command::new("curl").args(["-sSf", &format!("http://127.0.0.1:{metrics}/metrics")]).output().unwrap();
    let scraped = String::from_utf8(out.stdout).unwrap();
    let age =
        scraped.lines().find_map(|line| line.strip_prefix("kith_oldest_waiting_change_age_seconds{network=\"x\",target=\"crm_db\"} "));
    assert!(age.is_some_and(|age| age.parse::<f64>().unwrap() >= 40.0), "{scraped}");
    assert!(scraped.contains("kith_change_deadline_seconds{network=\"x\"} 60\n"), "{scraped}");

    // It is back.
    fs::remove_dir(project.path("crm/crm.db")).unwrap();
    fs::rename(project.path("crm/aside"), project.path("crm/crm.db")).unwrap();
    until_told(&receiver, &project, ("DeletionLate", "ended"), 1);
    assert_eq!(project.crm("SELECT count(*) FROM SocialInteraction"), ["0"]);
    assert!(!receiver.got().iter().any(|notice| notice.to_string().contains("handle1")), "no personal data in an alarm");
}

#[test]
fn a_stream_that_is_silent_and_a_webhook_that_nobody_drains_are_told() {
    let Some(clock) = FasterClock::installed(40) else { return };
    if !have("age-keygen") {
        return;
    }
    let project = review::waiting_cases(1);
    let receiver = Receiver::webhook(&project, &[]);
    configure(&project, &receiver);
    // Nobody is at either address.
    project.write("drain-key", Command::new("age-keygen").output().unwrap().stdout);
    project.write("drain-secret", "0123456789abcdef0123456789abcdef");
    project.write("settings.json", r#"{ "server": "http://127.0.0.1:1", "access_token": "x", "start_date": "2020-01-01" }"#);
    let more = "\n[sources.page]\nkind = \"webhook\"\nconnector = \"connectors/sources/instagram.yaml\"\nwebhook = \"comments\"\n\
        drain = \"http://127.0.0.1:1\"\ndrain_secret = { file = \"drain-secret\" }\ndrain_key = { file = \"drain-key\" }\n\
        [sources.social]\nkind = \"network\"\nconnector = \"connectors/sources/mastodon.yaml\"\nsettings = { file = \"settings.json\" }\nstreams = \"mentions_live\"\n";
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
    project.write("config/kith.toml", config + more);
    let _service = started(&project, clock.hold(&mut project.command(&["run"])));
    told(&receiver, &project, &["WebhookNotDrained", "StreamSilent"], "began");
}
