//! Feeds whose hub the service subscribes at by itself (`WebSub`), against a hub that nobody here wrote: asked once, renewed before the lease ends, kept over
//! kills, changed with the secret, left with the topic.

use crate::service::{Running, scraped};
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, free_port, root, wait_for};
use serde_json::{Value as Json, json};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A python with Flask-WebSub; `None`, said loudly, where there is none.
fn python() -> Option<String> {
    let named = std::env::var("KITH_TEST_WEBSUB").ok();
    let beside = std::env::temp_dir().join("kith-websub/bin/python").display().to_string();
    let has =
        |python: &String| Command::new(python).args(["-c", "import flask_websub, celery"]).output().is_ok_and(|out| out.status.success());
    let found = named.into_iter().chain([beside, "python3".to_owned()]).find(has);
    if found.is_none() {
        assert!(std::env::var("CI").is_err(), "no python with flask_websub");
        let folder = std::env::temp_dir().join("kith-websub").display().to_string();
        eprintln!("SKIPPED: no python with Flask-WebSub (python3 -m venv {folder}; {folder}/bin/pip install 'flask-websub==0.4.*' celery)");
    }
    found
}

/// The hub of `hub_server.py`; it keeps its subscriptions over a kill.
struct Hub {
    python: String,
    port: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Hub {
    fn start() -> Option<Self> {
        let mut hub = Self { python: python()?, port: free_port(), folder: tempfile::tempdir().unwrap(), child: None };
        hub.begin();
        Some(hub)
    }

    fn begin(&mut self) {
        let mut command = Command::new(&self.python);
        command.arg(root().join("tests/support/hub_server.py")).arg(self.port.to_string()).arg(self.folder.path());
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        assert!((0..6).any(|_| wait_for(self.port)), "the hub does not listen: {}", log());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn say(&self) {
        let out = Command::new("curl").args(["-sSf", "-X", "POST", &self.url("/say")]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// What it was asked: the mode, the topic, the callback, the lease and the secret.
    fn asked(&self, mode: &str) -> Vec<Json> {
        let text = std::fs::read_to_string(self.folder.path().join("asked.ndjson")).unwrap_or_default();
        let all = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        all.filter(|asked| asked["mode"] == mode).collect()
    }

    /// Topic, callback and secret of each subscription that stands.
    fn stands(&self) -> Vec<[String; 3]> {
        let out = Command::new("curl").args(["-sSf", &self.url("/subscriptions")]).output().unwrap();
        serde_json::from_slice(&out.stdout).unwrap()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A project that takes the feeds of these topics from the hub.
fn project(hub: &Hub, port: u16, topics: &str, lease: u32) -> Project {
    let project = Project::empty();
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}C1,Ada Example,ada@blog.example,,,,,,,,standard\n"));
    project.write("data/orders.csv", ORDERS_HEADER);
    project.write("secret", "hub-secret-1");
    let table = format!(
        "[sources.blog]\nkind = \"webhook\"\nconnector = \"connectors/sources/rss.yaml\"\nwebhook = \"hub\"\nsecret = {{ file = \"secret\" }}\n\
         topics = \"{topics}\"\nhub = \"{}\"\ncallback = \"http://127.0.0.1:{port}/webhooks/blog\"\nlease_seconds = {lease}\n\
         [webhooks]\nlisten = \"127.0.0.1:{port}\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n",
        hub.url("/hub")
    );
    project.edit("config/kith.toml", "[sources.activities]\nkind = \"file\"\npath = \"data/activities.ndjson\"\n", &table);
    project.edit("config/kith.toml", "[service]\n", "[service]\npoll_seconds = 1\n");
    project
}

fn held(status: &Json) -> bool {
    let all = status["service"]["webhooks"][0]["subscriptions"].as_array();
    all.is_some_and(|all| !all.is_empty() && all.iter().all(|one| one["until"].is_string()))
}

fn received(count: u64) -> impl Fn(&Json) -> bool {
    move |status| status["received"] == count && status["conservation_gap"] == 0
}

#[test]
fn a_feed_is_subscribed_to_and_renewed_before_the_lease_ends_over_kills_and_a_change_of_the_secret() {
    let Some(hub) = Hub::start() else { return };
    let (port, feed) = (free_port(), hub.url("/feed.xml"));
    let project = project(&hub, port, &feed, 6);
    project.kith(&["check"]).ok();
    let service = Running::start(&project);
    service.until("subscribed", held);
    hub.say();
    service.until("delivered", received(1));
    // Three leases later it still stands, by the same callback.
    let began = std::time::Instant::now();
    service.until("renewed", |_| hub.asked("subscribe").len() >= 5);
    assert!(began.elapsed() > Duration::from_secs(9), "it is not asked before it must be: {:?}", hub.asked("subscribe"));
    let all = hub.asked("subscribe");
    let gap = |pair: &[Json]| pair[1]["at"].as_f64().unwrap() - pair[0]["at"].as_f64().unwrap();
    assert!(all.windows(2).all(|pair| gap(pair) > 2.5), "two thirds of six seconds: {all:?}");
    hub.say();
    service.until("still delivered", received(2));
    assert_eq!(hub.stands().len(), 1, "one subscription: {:?}", hub.stands());
    let callback = all[0]["callback"].as_str().unwrap().to_owned();
    assert!(callback.contains("/webhooks/blog?kith=") && all.iter().all(|asked| asked["callback"] == callback.as_str()), "{all:?}");

    // A longer lease; then the service is killed, and asks nobody when it is there again.
    project.edit("config/kith.toml", "lease_seconds = 6", "lease_seconds = 3600");
    project.kith(&["reload"]).ok();
    let long = |asked: &Json| asked["lease_seconds"] == "3600";
    service.until("a longer lease", |status| hub.asked("subscribe").last().is_some_and(long) && held(status));
    service.until("kept", |status| {
        status["service"]["webhooks"][0]["subscriptions"][0]["until"].as_str()
            > Some(&*(jiff::Timestamp::now() + Duration::from_secs(600)).to_string())
    });
    let asked = hub.asked("subscribe").len();
    drop(service);
    let service = Running::start(&project);
    let status = service.until("it stands", held);
    hub.say();
    service.until("delivered after a kill", received(3));
    assert_eq!(hub.asked("subscribe").len(), asked, "nobody was asked");
    let page = scraped(status["service"]["metrics"].as_str().unwrap());
    let until = page
        .lines()
        .find_map(|line| line.strip_prefix("kith_webhook_subscription_until_timestamp_seconds{source=\"blog\"} ")?.parse::<f64>().ok());
    assert!(until > Some(1.7e9), "{page}");
    let shown = project.kith(&["status"]).ok().stdout;
    assert!(shown.contains("subscribed") && shown.contains("holds until") && shown.contains("received"), "{shown}");

    // Another secret: the hub is told at once, and signs with it.
    project.write("second", "hub-secret-1");
    project.write("secret", "hub-secret-2");
    project.edit(
        "config/kith.toml",
        "secret = { file = \"secret\" }",
        "secret = { file = \"secret\" }\nsecond_secret = { file = \"second\" }",
    );
    project.kith(&["reload"]).ok();
    service.until("told", |_| hub.stands().iter().any(|[_, _, secret]| secret == "hub-secret-2"));
    assert_eq!(hub.stands().len(), 1);
    project.edit("config/kith.toml", "\nsecond_secret = { file = \"second\" }", "");
    project.kith(&["reload"]).ok();
    hub.say();
    service.until("signed anew", received(4));

    // A stranger without the callback's chance gets no answer, and changes nothing.
    let question = |more: &str| {
        let topic: String = feed.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let url = format!("http://127.0.0.1:{port}/webhooks/blog?hub.topic={topic}&hub.challenge=x{more}");
        let out = Command::new("curl").args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url]).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    for more in ["&hub.mode=subscribe&hub.lease_seconds=1", "&hub.mode=denied", "&hub.mode=unsubscribe&kith=0"] {
        assert_eq!(question(more), "404", "{more}");
    }
    assert!(held(&service.status()));
    assert_eq!(service.end(), Some(0));
    let log = std::fs::read_to_string(project.path("service.log")).unwrap();
    let chance = callback.split_once("kith=").unwrap().1;
    assert!(!log.contains("hub-secret") && !log.contains(chance), "{log}");
}

#[test]
fn a_topic_that_is_wanted_no_more_is_left_and_a_hub_that_fails_is_told_and_asked_again() {
    let Some(mut hub) = Hub::start() else { return };
    let port = free_port();
    let (feed, other) = (hub.url("/feed.xml"), hub.url("/other.xml"));
    let project = project(&hub, port, &format!("{feed}, {other}"), 3_600);
    let service = Running::start(&project);
    service.until("both", |status| held(status) && hub.stands().len() == 2);
    project.edit("config/kith.toml", &format!("{feed}, {other}"), &feed);
    project.kith(&["reload"]).ok();
    service.until("left", |_| hub.stands().len() == 1);
    assert_eq!((hub.stands()[0][0].clone(), hub.asked("unsubscribe").len()), (feed.clone(), 1));
    let asked = hub.asked("subscribe").len();

    // A hub that is away: what stands holds, what is new waits.
    hub.kill();
    project.edit("config/kith.toml", &feed, &format!("{feed}, {other}"));
    project.kith(&["reload"]).ok();
    let status = service.until("told", |status| status["service"]["down"].to_string().contains("KITH-N080"));
    assert!(status["service"]["webhooks"][0]["subscriptions"][0]["until"].is_string(), "{status}");
    let shown = project.kith(&["status"]).ok().stdout;
    assert!(shown.contains("NOT CONFIRMED") && shown.contains("subscription blog"), "{shown}");
    hub.begin();
    service.until("asked again", |status| held(status) && status["service"]["down"] == json!([]) && hub.stands().len() == 2);
    assert_eq!(hub.asked("subscribe").len(), asked + 1, "the one that was lacking");

    // One that denies.
    let forbidden = hub.url("/forbidden.xml");
    project.edit("config/kith.toml", &other, &forbidden);
    project.kith(&["reload"]).ok();
    service.until("denied", |status| status["service"]["down"].to_string().contains("KITH-N081"));
    assert_eq!(service.end(), Some(0));
}

#[test]
fn a_hub_that_can_not_be_used_is_told_with_its_place() {
    let Some(hub) = Hub::start() else { return };
    let project = project(&hub, free_port(), &hub.url("/feed.xml"), 3_600);
    let file = std::fs::read_to_string(project.path("config/kith.toml")).unwrap();
    let check = |from: &str, to: &str, code: &str| {
        assert!(file.contains(from), "{from}");
        project.write("config/kith.toml", file.replacen(from, to, 1));
        project.kith(&["check"]).fails(2, code);
    };
    let url = hub.url("/hub");
    check(&format!("hub = \"{url}\""), "hub = \"http://hub.example/\"", "KITH-C003");
    check(&format!("hub = \"{url}\""), "hub = \"http://localhost.example/\"", "KITH-C003");
    check(&format!("hub = \"{url}\"\n"), "", "KITH-C004");
    check("callback = ", "# callback = ", "KITH-C004");
    check("topics = ", "# topics = ", "KITH-C004");
    check("lease_seconds = 3600", "lease_seconds = 2", "KITH-C005");
    check("lease_seconds = 3600", "hub_proxy_user = \"x\"", "KITH-C004");
    check("connectors/sources/rss.yaml\"\nwebhook = \"hub\"", "connectors/sources/x.yaml\"\nwebhook = \"account_activity\"", "KITH-N050");
}

/// Without its source, and with the file's own again, which finds nothing.
fn without_source(project: &Project) {
    let file = std::fs::read_to_string(project.path("config/kith.toml")).unwrap();
    let (before, after) = file.split_once("[sources.blog]").unwrap();
    let (_, after) = after.split_once("[webhooks]").unwrap();
    project.write("data/activities.ndjson", "");
    let other = "[sources.activities]\nkind = \"file\"\npath = \"data/activities.ndjson\"\n";
    project.write("config/kith.toml", format!("{before}{other}[webhooks]{after}"));
}

/// What a delivery is answered that a hub sends after all.
fn delivered_to(port: u16) -> String {
    let url = format!("http://127.0.0.1:{port}/webhooks/blog?kith=x");
    let out = Command::new("curl").args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-d", "late", &url]).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_source_that_is_taken_out_is_unsubscribed_by_a_reload_and_by_a_restart() {
    let Some(mut hub) = Hub::start() else { return };
    for restart in [false, true] {
        let port = free_port();
        let project = project(&hub, port, &format!("{}, {}", hub.url("/feed.xml"), hub.url("/other.xml")), 3_600);
        let service = Running::start(&project);
        service.until("subscribed", |status| held(status) && hub.stands().len() == 2);
        let asked = hub.asked("unsubscribe").len();
        // The hub is away when the source goes: it is told, and asked again.
        hub.kill();
        without_source(&project);
        let service = if restart {
            drop(service);
            Running::start(&project)
        } else {
            project.kith(&["reload"]).ok();
            service
        };
        let told = |status: &Json| {
            let down = status["service"]["down"].to_string();
            down.contains("KITH-N080") && down.contains("subscription blog")
        };
        service.until("told", told);
        assert_eq!(delivered_to(port), "410", "nobody is there for what still comes");
        hub.begin();
        service.until("unsubscribed", |status| hub.stands().is_empty() && status["service"]["down"] == json!([]));
        assert_eq!(hub.asked("unsubscribe").len(), asked + 2, "each once");
        service.until("nothing of it is left", |_| delivered_to(port) == "404");
        let log = std::fs::read_to_string(project.path("service.log")).unwrap();
        assert!(log.contains("its hub is asked to end what it subscribed to"), "{log}");
        // It comes back as a new one.
        drop(service);
    }
}

#[test]
fn a_hub_that_leads_elsewhere_or_never_ends_is_told_and_not_followed() {
    use crate::support::scripted::{Answer, Scripted, answer};
    let inside = Scripted::start(vec![answer(202, "", "")]);
    let leads = format!("location: http://127.0.0.1:{}/hub\r\n", inside.port);
    let endless = Answer::Endless(b"HTTP/1.1 500 X\r\ncontent-type: text/plain\r\n\r\nno".to_vec());
    let drip = Answer::Drip(b"HTTP/1.1 503 X\r\ncontent-length: 40\r\n\r\n".to_vec(), Duration::from_millis(20));
    for said in
        [answer(307, &leads, ""), answer(301, &leads, ""), answer(200, "content-type: text/html\r\n", "<html>log in</html>"), endless, drip]
    {
        let taken_on = matches!(&said, Answer::Bytes(bytes) if bytes.starts_with(b"HTTP/1.1 200"));
        let hub = Scripted::start(vec![said]);
        let Some(real) = Hub::start() else { return };
        let port = free_port();
        let project = project(&real, port, "https://blog.example/feed.xml", 3_600);
        project.edit("config/kith.toml", &real.url("/hub"), &format!("http://127.0.0.1:{}/hub", hub.port));
        let service = Running::start(&project);
        if taken_on {
            // That it was taken on is no subscription: it must come and ask.
            service.until("asked", |_| !hub.requests().is_empty());
            std::thread::sleep(Duration::from_secs(1));
            assert!(!held(&service.status()));
        } else {
            service.until("told", |status| status["service"]["down"].to_string().contains("KITH-N080"));
        }
        assert_eq!(service.end(), Some(0));
        assert!(inside.requests().is_empty(), "{:?}", inside.requests());
    }
}

/// The source's hub from now on.
fn moved(project: &Project, from: &Hub, to: &Hub) {
    project.edit("config/kith.toml", &format!("hub = \"{}\"", from.url("/hub")), &format!("hub = \"{}\"", to.url("/hub")));
}

#[test]
fn a_hub_that_is_exchanged_for_another_is_told_by_a_reload_and_by_a_restart() {
    let (Some(mut old), Some(new)) = (Hub::start(), Hub::start()) else { return };
    for restart in [false, true] {
        let port = free_port();
        let project = project(&old, port, &old.url("/feed.xml"), 3_600);
        let service = Running::start(&project);
        service.until("subscribed", |status| held(status) && old.stands().len() == 1);
        let (asked, secret) = (old.asked("unsubscribe").len(), "hub-secret-1");
        // The old hub is away meanwhile: the new one serves, and the old one is told when it is there again.
        old.kill();
        moved(&project, &old, &new);
        // The new hub's own feed, which it can deliver.
        project.edit("config/kith.toml", &old.url("/feed.xml"), &format!("{}, {}", old.url("/feed.xml"), new.url("/feed.xml")));
        let service = if restart {
            drop(service);
            Running::start(&project)
        } else {
            project.kith(&["reload"]).ok();
            service
        };
        service.until("told", |status| {
            status["service"]["down"].to_string().contains("KITH-N080")
                && new.stands().iter().any(|[topic, _, with]| *topic == new.url("/feed.xml") && with == secret)
        });
        new.say();
        service.until("delivered", |status| status["received"].as_u64() > Some(0));
        old.begin();
        service.until("unsubscribed", |status| old.stands().is_empty() && status["service"]["down"] == json!([]));
        assert_eq!(old.asked("unsubscribe").len(), asked + 1, "once");
        assert_eq!(new.asked("unsubscribe").len(), 0);
        let log = std::fs::read_to_string(project.path("service.log")).unwrap();
        assert!(log.contains("the hub of before is asked to end") && log.contains("the hub of before ended a subscription"), "{log}");
        // A further start has nothing to tell anybody.
        drop(service);
        let service = Running::start(&project);
        service.until("there", held);
        assert_eq!(old.asked("unsubscribe").len(), asked + 1, "once");
        assert_eq!(service.end(), Some(0));
        without_hub_of(&new);
    }
}

/// A hub forgets what stands there.
fn without_hub_of(hub: &Hub) {
    let out = Command::new(&hub.python)
        .args(["-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('delete from hub'); c.commit()"])
        .arg(hub.folder.path().join("hub.sqlite"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_source_that_comes_back_before_its_hub_has_let_go_stays_subscribed() {
    let Some(mut hub) = Hub::start() else { return };
    let port = free_port();
    let project = project(&hub, port, &hub.url("/feed.xml"), 3_600);
    let service = Running::start(&project);
    service.until("subscribed", held);
    let with = std::fs::read_to_string(project.path("config/kith.toml")).unwrap();
    hub.kill();
    without_source(&project);
    project.kith(&["reload"]).ok();
    service.until("told", |status| status["service"]["down"].to_string().contains("KITH-N080"));
    project.write("config/kith.toml", with);
    project.kith(&["reload"]).ok();
    hub.begin();
    service.until("subscribed", |status| held(status) && status["service"]["down"] == json!([]));
    hub.say();
    service.until("delivered", received(1));
    assert_eq!((hub.stands().len(), hub.asked("unsubscribe").len()), (1, 0));
}
