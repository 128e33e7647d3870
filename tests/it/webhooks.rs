//! Webhooks from end to end: networks ask and deliver as their documentation says, signed by other programs (Python's hmac, openssl); who can't sign gets a
//! status; what was answered 200 is in the CRM once, whatever is killed; the listener in a DMZ connects to nobody and can't read what it keeps.

use crate::kills::Moments;
use crate::service::scraped;
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, certificates, free_port, have, root, wait_for};
use serde_json::{Value as Json, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SECRET: &str = "meta-app-secret";
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that is stopped by its own number.
struct Running(Child);

impl Running {
    fn kill(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }

    /// SIGTERM, and its end in good order.
    fn end(self) {
        assert!(self.ended());
    }

    fn ended(mut self) -> bool {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap().success()
    }

    fn waited(mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A project with fifty customers who are known by their handles on Instagram, and no source yet.
fn project() -> Project {
    let project = Project::empty();
    let row = |n: u32| format!("C{n},Someone Else,,,,,,,,instagram:handle{n},standard\n");
    project.write("data/customers.csv", CUSTOMERS_HEADER.to_owned() + &(0..50).map(row).collect::<String>());
    project.write("data/orders.csv", ORDERS_HEADER);
    project.write("secret", SECRET);
    project.write("token", "agreed");
    project
}

/// With these tables in the place of its source.
fn with_sources(project: &Project, tables: &str) {
    project.edit("config/kith.toml", "[sources.activities]\nkind = \"file\"\npath = \"data/activities.ndjson\"\n", tables);
}

fn source(name: &str, connector: &str, webhook: &str, more: &str) -> String {
    let connector = if connector.contains('/') { connector.to_owned() } else { format!("connectors/sources/{connector}.yaml") };
    format!(
        "[sources.{name}]\nkind = \"webhook\"\nconnector = \"{connector}\"\nwebhook = \"{webhook}\"\nsecret = {{ file = \"secret\" }}\n{more}\n"
    )
}

fn instagram() -> String {
    source("instagram", "instagram", "comments", "verify_token = { file = \"token\" }\n")
}

/// A service that takes webhooks at a port.
fn serving(project: &Project, port: u16) -> Running {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(project.path("service.log")).unwrap();
    let service = project.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let service = Running(service);
    assert!((0..12).any(|_| wait_for(port)), "{}", std::fs::read_to_string(project.path("service.log")).unwrap());
    service
}

/// What `curl` says: the status, and the content.
fn curl(args: &[&str]) -> (u16, String) {
    let out = Command::new("curl").args(["-sS", "--max-time", "60", "-w", "\n%{http_code}"]).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let (content, status) = text.rsplit_once('\n').unwrap_or_default();
    (status.parse().unwrap_or(0), content.to_owned())
}

/// A signature by openssl: the digest in hexadecimal, or its bytes in base64.
pub fn openssl(method: &str, secret: &str, file: &Path, base64: bool) -> String {
    let out = Command::new("openssl").args(["dgst", &format!("-{method}"), "-hmac", secret, "-binary"]).arg(file).output().unwrap();
    assert!(out.status.success() && !out.stdout.is_empty());
    if base64 {
        use base64::Engine as _;
        return base64::engine::general_purpose::STANDARD.encode(out.stdout);
    }
    out.stdout.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Delivers a body as a network does that signs by openssl.
fn deliver(project: &Project, url: &str, scheme: &str, body: &str) -> u16 {
    project.write("body", body);
    let file = project.path("body");
    let header = match scheme {
        "meta" => format!("X-Hub-Signature-256: sha256={}", openssl("sha256", SECRET, &file, false)),
        "x" => format!("x-twitter-webhooks-signature: sha256={}", openssl("sha256", SECRET, &file, true)),
        method => format!("X-Hub-Signature: {method}={}", openssl(method, SECRET, &file, false)),
    };
    curl(&["-X", "POST", "-H", &header, "--data-binary", &format!("@{}", file.display()), url]).0
}

/// Received, parked, and the gap between the two sides of the sum.
fn counted(project: &Project) -> (i64, i64, i64) {
    fn find(value: &Json, name: &str) -> Option<i64> {
        match value {
            Json::Object(members) => {
                members.get(name).and_then(Json::as_i64).or_else(|| members.values().find_map(|inner| find(inner, name)))
            }
            Json::Array(items) => items.iter().find_map(|inner| find(inner, name)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        }
    }
    let status = project.kith(&["status", "--format", "json"]).ok().json();
    let sum = |name: &str| find(&status, name).unwrap_or_else(|| panic!("no {name} in {status}"));
    (sum("received"), sum("parked"), sum("conservation_gap"))
}

/// Waits until a service has received so much.
fn wait_received(project: &Project, wanted: i64) {
    let began = Instant::now();
    while counted(project).0 < wanted {
        assert!(
            began.elapsed() < PATIENCE,
            "{:?} of {wanted}: {}",
            counted(project),
            std::fs::read_to_string(project.path("service.log")).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn dates() -> String {
    jiff::Timestamp::from_second(1_790_000_000).unwrap().strftime("%a %b %d %H:%M:%S +0000 %Y").to_string()
}

fn facebook(verb: &str, comment: &str, text: &str, time: i64) -> String {
    let value = json!({ "item": "comment", "verb": verb, "comment_id": comment, "post_id": "77_1", "parent_id": "77_1", "created_time": 1_790_000_000,
        "from": { "id": "501", "name": "Ada Example" }, "message": text });
    json!({ "object": "page", "entry": [{ "id": "77", "time": time, "changes": [{ "field": "feed", "value": value }] }] }).to_string()
}

#[test]
fn networks_ask_and_deliver_as_their_documentation_says() {
    if !have("openssl") || !have("curl") {
        return;
    }
    let (project, port) = (project(), free_port());
    let token = "verify_token = { file = \"token\" }\n";
    let tables = [
        source("page", "facebook", "page", token),
        instagram(),
        source("x", "x", "account_activity", ""),
        source("blog", "rss", "hub", "topics = \"https://blog.example/feed.xml\"\n"),
        source("news", "atom", "hub", ""),
    ];
    with_sources(&project, &format!("{}[webhooks]\nlisten = \"127.0.0.1:{port}\"\n", tables.concat()));
    project.kith(&["check"]).ok();
    let service = serving(&project, port);
    let at = |name: &str| format!("http://127.0.0.1:{port}/webhooks/{name}");

    // Questions.
    let asked = |name: &str, query: &str| curl(&[&format!("{}?{query}", at(name))]);
    assert_eq!(asked("page", "hub.mode=subscribe&hub.verify_token=agreed&hub.challenge=1158201444"), (200, "1158201444".into()));
    assert_eq!(asked("page", "hub.mode=subscribe&hub.verify_token=other&hub.challenge=1").0, 404);
    project.write("body", "nonce-1");
    let token = openssl("sha256", SECRET, &project.path("body"), true);
    assert_eq!(asked("x", "crc_token=nonce-1"), (200, format!("{{\"response_token\":\"sha256={token}\"}}")));
    let topic = |mode: &str, feed: &str| {
        format!("hub.mode={mode}&hub.topic=https%3A%2F%2Fblog.example%2F{feed}&hub.challenge=abc&hub.lease_seconds=864000")
    };
    assert_eq!(asked("blog", &topic("subscribe", "feed.xml")), (200, "abc".into()));
    assert_eq!(asked("blog", &topic("subscribe", "other.xml")).0, 404);
    assert_eq!(asked("blog", &topic("unsubscribe", "feed.xml")).0, 404);

    // Deliveries: said, edited, taken back.
    assert_eq!(deliver(&project, &at("page"), "meta", &facebook("add", "77_1_1", "where is my order?", 1_790_000_001)), 200);
    assert_eq!(deliver(&project, &at("page"), "meta", &facebook("edited", "77_1_1", "where is my parcel?", 1_790_000_100)), 200);
    assert_eq!(deliver(&project, &at("page"), "meta", &facebook("add", "77_1_2", "never mind", 1_790_000_002)), 200);
    assert_eq!(deliver(&project, &at("page"), "meta", &facebook("remove", "77_1_2", "", 1_790_000_200)), 200);
    // What is no comment is not taken.
    let like = json!({ "object": "page", "entry": [{ "id": "77", "time": 1_790_000_003, "changes": [{ "field": "feed", "value": { "item": "reaction", "verb": "add", "from": { "id": "9" } } }] }] });
    assert_eq!(deliver(&project, &at("page"), "meta", &like.to_string()), 200);
    let value = |n: u32| json!({ "id": format!("c{n}"), "from": { "id": "1", "username": "handle1" }, "text": format!("hello {n}"), "media": { "id": "m" } });
    let in_changes = json!({ "id": "88", "time": 1_790_000_000, "changes": [{ "field": "comments", "value": value(1) }] });
    let beside = json!({ "id": "88", "time": 1_790_000_000, "field": "comments", "value": value(2) });
    assert_eq!(
        deliver(&project, &at("instagram"), "meta", &json!({ "object": "instagram", "entry": [in_changes, beside] }).to_string()),
        200
    );
    let user = json!({ "id_str": "31", "screen_name": "bob", "name": "Bob", "description": "hi", "location": "Graz", "protected": false });
    let tweet = |id: &str, more: Json| {
        let mut tweet = json!({ "id_str": id, "created_at": dates(), "text": "@shop hello", "user": user });
        tweet.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        tweet
    };
    let events = json!([
        tweet("9001", json!({})),
        tweet("9002", json!({ "retweeted_status": { "id_str": "1" } })),
        tweet("9003", json!({ "edit_history": { "initial_tweet_id": "9001", "edit_tweet_ids": ["9001", "9003"] } })),
        tweet("9004", json!({}))
    ]);
    assert_eq!(deliver(&project, &at("x"), "x", &json!({ "for_user_id": "7", "tweet_create_events": events }).to_string()), 200);
    let gone = json!({ "for_user_id": "7", "tweet_delete_events": [{ "status": { "id": "9004", "user_id": "31" }, "timestamp_ms": "1790000500123" }] });
    assert_eq!(deliver(&project, &at("x"), "x", &gone.to_string()), 200);
    let rss = |items: &str| {
        format!(
            "<?xml version=\"1.0\"?><rss version=\"2.0\" xmlns:atom=\"http://www.w3.org/2005/Atom\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><channel><title>B</title><link>https://blog.example/</link><atom:link rel=\"hub\" href=\"https://hub.example/\"/><atom:link rel=\"self\" href=\"https://blog.example/feed.xml\"/>{items}</channel></rss>"
        )
    };
    let item = |n: u32| {
        format!(
            "<item><title>Entry {n}</title><link>https://blog.example/{n}</link><guid>https://blog.example/{n}</guid><pubDate>Mon, 21 Sep 2026 10:00:0{n} GMT</pubDate><dc:creator>Ada</dc:creator><description>text</description></item>"
        )
    };
    for method in ["sha1", "sha256", "sha384", "sha512"] {
        // The same body by another method is the same delivery.
        assert_eq!(deliver(&project, &at("blog"), method, &rss(&(item(1) + &item(2)))), 200, "{method}");
    }
    assert_eq!(deliver(&project, &at("blog"), "sha256", &rss(&item(3))), 200, "a list of one");
    let atom = "<feed xmlns=\"http://www.w3.org/2005/Atom\"><id>urn:f</id><link rel=\"self\" href=\"https://news.example/atom.xml\"/><entry><id>urn:e:1</id><title>E</title><updated>2026-09-21T10:00:00Z</updated><link href=\"https://news.example/1\"/><author><name>Eve</name></author><content type=\"html\">x</content></entry></feed>";
    assert_eq!(deliver(&project, &at("news"), "sha256", atom), 200);

    // 4 of the page, 2 comments, 3 posts and a deletion on X, 3 and 1 entries.
    wait_received(&project, 14);
    service.end();
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (14, 0, 0), "{}", std::fs::read_to_string(project.path("service.log")).unwrap());
    let bodies = project.crm("SELECT Body FROM SocialInteraction WHERE Network = 'instagram'");
    assert_eq!(bodies, ["hello 1", "hello 2"], "the customer's comments are in the CRM");
    let people = project.kith(&["link", "list", "--format", "csv"]).ok().stdout;
    for account in [
        "https://www.facebook.com/501",
        "https://x.com/i/user/31",
        "https://blog.example/feed.xml#Ada",
        "https://news.example/atom.xml#Eve",
    ] {
        assert!(people.contains(account), "no {account} in {people}");
    }
    let log = std::fs::read_to_string(project.path("service.log")).unwrap();
    for private in ["Ada Example", "where is my", "handle1", SECRET, "agreed"] {
        assert!(!log.contains(private), "{private} in {log}");
    }
}

/// Bytes sent as they are; what comes back until the other side closes.
fn raw(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A connector of Standard Webhooks, such as a company's own systems send them.
const OWN: &str = r#"type: DeclarativeSource
version: 7.0.0
check: { type: CheckStream, stream_names: [none] }
streams:
  - { type: DeclarativeStream, name: none, retriever: { type: SimpleRetriever, requester: { type: HttpRequester, url_base: "https://x.example" }, record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [] } } } }
metadata:
  kith:
    network: discourse
    webhooks:
      posts:
        scheme: standard
        take:
          - records: posts.*
            activity:
              type: "'Create'"
              id: "'https://x.example/p/' + string(record.id) + '#create'"
              published: "record.at"
              to: "['https://www.w3.org/ns/activitystreams#Public']"
              actor: { type: "'Person'", id: "record.by", name: "record.within[0].forum" }
              object: { type: "'Note'", id: "'https://x.example/p/' + string(record.id)", content: "record.text" }
"#;

/// Signs as Standard Webhooks does, by Python.
fn standard(project: &Project, url: &str, id: &str, shift: i64, body: &str) -> u16 {
    project.write("body", body);
    let program = "import base64,hashlib,hmac,sys,time\nkey,id,shift,path=sys.argv[1:]\nat=str(int(time.time())+int(shift))\n\
        m=hmac.new(base64.b64decode(key[6:]),id.encode()+b'.'+at.encode()+b'.'+open(path,'rb').read(),hashlib.sha256)\nprint(at, base64.b64encode(m.digest()).decode())";
    let out = Command::new("python3").args(["-c", program, STANDARD, id, &shift.to_string()]).arg(project.path("body")).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let (at, signature) = text.trim().split_once(' ').unwrap();
    let headers = [format!("webhook-id: {id}"), format!("webhook-timestamp: {at}"), format!("webhook-signature: v1,AAAA v1,{signature}")];
    let file = format!("@{}", project.path("body").display());
    curl(&["-H", &headers[0], "-H", &headers[1], "-H", &headers[2], "--data-binary", &file, url]).0
}

#[test]
fn who_cannot_sign_or_sends_too_much_gets_a_status_and_nothing_is_taken() {
    if !have("openssl") || !have("curl") {
        return;
    }
    let (project, port) = (project(), free_port());
    project.write("connectors/own.yaml", OWN);
    project.write("old", "an-older-secret");
    project.write("own-secret", STANDARD);
    let own = source("own", "connectors/own.yaml", "posts", "").replace("file = \"secret\"", "file = \"own-secret\"");
    let tables = instagram() + "second_secret = { file = \"old\" }\n" + &own;
    with_sources(&project, &format!("{tables}[webhooks]\nlisten = \"127.0.0.1:{port}\"\nbody_kb = 64\n"));
    let service = serving(&project, port);
    let url = format!("http://127.0.0.1:{port}/webhooks/instagram");
    let comment = |n: u32, text: &str| {
        json!({ "object": "instagram", "entry": [{ "id": "88", "time": 1_790_000_000, "changes": [{ "field": "comments", "value": { "id": format!("c{n}"), "from": { "id": "1", "username": "handle1" }, "text": text, "media": { "id": "m" } } }] }] }).to_string()
    };

    // Wrong, changed, missing, malformed, twice.
    let good = comment(1, "hello");
    project.write("body", &good);
    let file = format!("@{}", project.path("body").display());
    let signature = openssl("sha256", SECRET, &project.path("body"), false);
    let post = |header: &str, body: &str| curl(&["-H", header, "-H", "Content-Type: application/json", "--data-binary", body, &url]);
    for header in [
        "X-Other: 1".to_owned(),
        format!("X-Hub-Signature-256: {signature}"),
        "X-Hub-Signature-256: sha256=".to_owned(),
        format!("X-Hub-Signature-256: sha256={}", openssl("sha256", "another secret", &project.path("body"), false)),
        format!("X-Hub-Signature: sha256={signature}"),
        format!("X-Hub-Signature-256: sha256={}", "0".repeat(64)),
    ] {
        assert_eq!(post(&header, &file), (401, String::new()), "{header}");
    }
    let right = format!("X-Hub-Signature-256: sha256={signature}");
    assert_eq!(post(&right, &good.replace("hello", "hellp")), (401, String::new()), "a changed byte");
    let twice = curl(&["-H", &right, "-H", &right, "--data-binary", &file, &url]);
    assert_eq!(twice.0, 401, "two signatures");
    // Right, by either secret; and again.
    assert_eq!(post(&right, &file), (200, String::new()));
    project.write("body", comment(2, "hello again"));
    let older = format!("X-Hub-Signature-256: sha256={}", openssl("sha256", "an-older-secret", &project.path("body"), false));
    for _ in 0..3 {
        assert_eq!(post(&older, &file).0, 200, "the same again is known, and taken once");
    }

    // Other methods, other paths, too much.
    assert_eq!(curl(&["-X", "PUT", "-d", "x", &url]), (405, String::new()));
    assert_eq!(curl(&["-X", "DELETE", &url]).0, 405);
    for path in
        ["", "webhooks", "webhooks/", "webhooks/other", "webhooks/instagram/x", "drain/instagram", "../webhooks/instagram%00", "metrics"]
    {
        assert_eq!(curl(&["--path-as-is", "-d", "x", &format!("http://127.0.0.1:{port}/{path}")]), (404, String::new()), "{path}");
    }
    assert_eq!(curl(&[&url]), (404, String::new()), "a GET that asks nothing");
    project.write("long", comment(3, &"x".repeat(65 * 1024)));
    let long = format!("@{}", project.path("long").display());
    let of_long = format!("X-Hub-Signature-256: sha256={}", openssl("sha256", SECRET, &project.path("long"), false));
    assert_eq!(post(&of_long, &long), (413, String::new()));
    assert_eq!(curl(&["-H", "Transfer-Encoding: chunked", "-H", &of_long, "--data-binary", &long, &url]).0, 413, "its length not told");
    let many = "X-A: 1\r\n".repeat(200);
    assert!(raw(port, format!("POST /webhooks/instagram HTTP/1.1\r\nHost: x\r\n{many}\r\n").as_bytes()).starts_with("HTTP/1.1 431"));
    let wide = "y".repeat(40_000);
    let answer = raw(port, format!("GET /webhooks/instagram?{wide} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    for wrong in [&b"\xff\xfe\x00\r\n\r\n"[..], b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let answer = raw(port, &[wrong, b"\r\n\r\n"].concat());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }

    // Slow ones are given up, while others are answered.
    let slow: Vec<_> = [
        &b"POST /webhooks/instagram HTTP/1.1\r\nHost:"[..],
        b"POST /webhooks/instagram HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{\"entry\":",
    ]
    .into_iter()
    .map(|bytes| std::thread::spawn(move || raw(port, bytes)))
    .collect();
    project.write("body", &good);
    assert_eq!(post(&right, &file).0, 200);
    let ended: Vec<String> = slow.into_iter().map(|slow| slow.join().unwrap()).collect();
    assert!(ended[0].is_empty() || ended[0].starts_with("HTTP/1.1 408"), "{}", ended[0]);
    assert!(ended[1].starts_with("HTTP/1.1 408"), "{}", ended[1]);

    // Standard Webhooks: late, early, and the same id again with another time.
    let own = format!("http://127.0.0.1:{port}/webhooks/own");
    let posts = json!({ "forum": "Shop", "posts": [{ "id": 1, "by": "https://x.example/u/1", "text": "hi", "at": "2026-09-21T10:00:00Z" }, { "id": 2, "text": "from nobody", "at": "2026-09-21T10:00:00Z" }] }).to_string();
    assert_eq!(standard(&project, &own, "msg_1", -3_000, &posts), 401, "late");
    assert_eq!(standard(&project, &own, "msg_1", 3_000, &posts), 401, "early");
    assert_eq!(standard(&project, &own, "msg_1", -100, &posts), 200);
    assert_eq!(standard(&project, &own, "msg_1", 0, &posts), 200, "sent again");
    // Signed, and no JSON: parked, and what comes behind goes on.
    assert_eq!(standard(&project, &own, "msg_2", 0, "no JSON"), 200);
    assert_eq!(standard(&project, &own, "msg_3", 0, &posts.replace("\"id\":1", "\"id\":3")), 200);

    // 2 comments, 2 posts, a body and 2 posts from nobody.
    wait_received(&project, 7);
    service.end();
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (7, 3, 0), "{}", std::fs::read_to_string(project.path("service.log")).unwrap());
    let letters = project.kith(&["dead-letter", "list"]).ok().stdout;
    assert!(letters.contains("KITH-I070"), "{letters}");
    assert!(std::fs::read_to_string(project.path("service.log")).unwrap().contains("KITH-N055"));
}

/// Sends comments by the Python client; what it says.
fn sender(url: &str, prefix: &str, count: u32, at_once: u32) -> Child {
    Command::new("python3")
        .arg(root().join("tests/support/webhook_sender.py"))
        .args([url, SECRET, prefix, &count.to_string(), &at_once.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn said(child: Child) -> Json {
    let out = child.wait_with_output().unwrap();
    serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out.stdout)))
}

/// The comments that are in the CRM.
fn in_the_crm(project: &Project) -> Vec<String> {
    project.crm("SELECT Body FROM SocialInteraction WHERE Network = 'instagram'")
}

fn expected(prefix: &str, count: u32) -> Vec<String> {
    let mut all: Vec<String> = (0..count).map(|n| format!("said {prefix}{n}")).collect();
    all.sort();
    all
}

#[test]
fn a_thousand_at_once_are_all_answered_and_kept_once() {
    let (project, port) = (project(), free_port());
    with_sources(&project, &format!("{}[webhooks]\nlisten = \"127.0.0.1:{port}\"\n", instagram()));
    let service = serving(&project, port);
    let told = said(sender(&format!("http://127.0.0.1:{port}/webhooks/instagram"), "k", 1_000, 1_000));
    eprintln!("a thousand at once: {told}");
    // A machine that is busy with something else may lose a connection; then it is sent again. Nothing is refused.
    let mut statuses = told["statuses"].as_object().unwrap().clone();
    assert_eq!(statuses.remove("200"), Some(json!(1_000)));
    statuses.remove("none");
    assert!(statuses.is_empty(), "{told}");
    wait_received(&project, 1_000);
    service.end();
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (1_000, 0, 0));
    assert_eq!(in_the_crm(&project), expected("k", 1_000));
}

/// Connects, sends these bytes, does something, sends the rest; what comes back.
fn halved(port: u16, request: &str, between: impl FnOnce()) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (first, rest) = request.split_at(request.len() - 10);
    stream.write_all(first.as_bytes()).unwrap();
    between();
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A request of Meta, signed with a secret.
fn signed(project: &Project, secret: &str, body: &str) -> String {
    project.write("body", body);
    let signature = openssl("sha256", secret, &project.path("body"), false);
    format!(
        "POST /webhooks/instagram HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256={signature}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn comment(n: u32, text: &str) -> String {
    json!({ "object": "instagram", "entry": [{ "id": "88", "time": 1_790_000_000, "changes": [{ "field": "comments", "value": { "id": format!("c{n}"), "from": { "id": "1", "username": "handle1" }, "text": text, "media": { "id": "m" } } }] }] }).to_string()
}

#[test]
fn a_secret_is_changed_by_reloads_and_nobody_is_turned_away_meanwhile() {
    if !have("openssl") || !have("curl") {
        return;
    }
    let (project, port) = (project(), free_port());
    project.write("own-secret", STANDARD);
    project.write("connectors/own.yaml", OWN);
    let own = source("own", "connectors/own.yaml", "posts", "").replace("file = \"secret\"", "file = \"own-secret\"");
    with_sources(&project, &format!("{}{own}[webhooks]\nlisten = \"127.0.0.1:{port}\"\n", instagram()));
    let service = serving(&project, port);
    let status = |secret: &str, n: u32| raw(port, signed(&project, secret, &comment(n, "hello")).as_bytes())[9..12].to_owned();
    assert_eq!((status(SECRET, 1), status("the-new-one", 2)), ("200".into(), "401".into()));
    // A thousand come while the files change again and again; one is in the middle of its body.
    let sending = sender(&format!("http://127.0.0.1:{port}/webhooks/instagram"), "r", 1_000, 4);
    let reload = |text: &str, more: &str| {
        project.edit("config/kith.toml", text, more);
        project.kith(&["reload"]).ok();
    };
    project.write("second", "the-new-one");
    let slow = halved(port, &signed(&project, SECRET, &comment(3, "slow")), || {
        reload("secret = { file = \"secret\" }\n", "secret = { file = \"secret\" }\nsecond_secret = { file = \"second\" }\n");
    });
    assert!(slow.starts_with("HTTP/1.1 200"), "{slow}");
    assert_eq!((status(SECRET, 4), status("the-new-one", 5)), ("200".into(), "200".into()), "both");
    for _ in 0..3 {
        reload("listen = \"127.0.0.1", "body_kb = 2048\nlisten = \"127.0.0.1");
        reload("body_kb = 2048\n", "");
    }
    let told = said(sending);
    let mut statuses = told["statuses"].as_object().unwrap().clone();
    // A changed `[webhooks]` opens the address anew: who is cut off there comes again.
    statuses.remove("none");
    assert_eq!(json!(statuses), json!({ "200": 1_000 }), "{told}");
    // What a file holds is read anew, although nothing else changed.
    project.write("secret", "the-new-one");
    reload("\nsecond_secret = { file = \"second\" }", "");
    assert_eq!((status(SECRET, 6), status("the-new-one", 7)), ("401".into(), "200".into()), "the new one alone");
    // One source whose secret can't be used is told, and shuts no other one's door.
    project.write("own-secret", "no secret of Standard Webhooks");
    project.kith(&["reload"]).ok();
    let began = Instant::now();
    let down = || project.kith(&["status", "--format", "json"]).ok().json()["service"]["down"].to_string();
    while !down().contains("KITH-N050") {
        assert!(began.elapsed() < PATIENCE, "{}", down());
    }
    assert!(down().contains("webhook own"), "{}", down());
    assert_eq!(status("the-new-one", 8), "200");
    project.write("own-secret", STANDARD);
    project.kith(&["reload"]).ok();
    while down() != "[]" {
        assert!(began.elapsed() < PATIENCE, "{}", down());
    }
    let own = format!("http://127.0.0.1:{port}/webhooks/own");
    let posts =
        json!({ "forum": "Shop", "posts": [{ "id": 1, "by": "https://x.example/u/1", "text": "hi", "at": "2026-09-21T10:00:00Z" }] });
    assert_eq!(standard(&project, &own, "msg_1", 0, &posts.to_string()), 200);
    wait_received(&project, 1_007);
    service.end();
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (1_007, 0, 0));
}

/// The value of a metric of a source.
fn metric(page: &str, name: &str, labels: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(&format!("{name}{{{labels}}} "))?.parse().ok())
}

#[test]
fn how_webhooks_stand_is_measured_and_shown_without_naming_anybody() {
    if !have("openssl") || !have("curl") {
        return;
    }
    let (project, port) = (project(), free_port());
    let more = "[metrics]\nlisten = \"127.0.0.1:0\"\n";
    with_sources(&project, &format!("{}[webhooks]\nlisten = \"127.0.0.1:{port}\"\nbody_kb = 64\n{more}", instagram()));
    let service = serving(&project, port);
    let standing = || project.kith(&["status", "--format", "json"]).ok().json()["service"].clone();
    let began = Instant::now();
    let address = loop {
        if let Some(address) = standing()["metrics"].as_str() {
            break address.to_owned();
        }
        assert!(began.elapsed() < PATIENCE);
    };
    project.kith(&["pause", "instagram"]).ok();
    let send = |secret: &str, n: u32, text: &str| raw(port, signed(&project, secret, &comment(n, text)).as_bytes())[9..12].to_owned();
    assert_eq!(send(SECRET, 1, "a"), "200");
    assert_eq!(send(SECRET, 2, "b"), "200");
    assert_eq!(send("wrong", 3, "c"), "401");
    assert_eq!(send(SECRET, 4, &"x".repeat(70_000)), "413");
    assert!(raw(port, b"POST /webhooks/instagram HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").starts_with("HTTP/1.1 401"));
    let page = scraped(&address);
    let of = "source=\"instagram\"";
    assert_eq!(metric(&page, "kith_webhook_received_total", of), Some(2.0), "{page}");
    for reason in ["signature", "too-long", "unsigned"] {
        assert_eq!(metric(&page, "kith_webhook_refused_total", &format!("{of},reason=\"{reason}\"")), Some(1.0), "{reason}: {page}");
    }
    assert!(metric(&page, "kith_webhook_spool_bytes", of) > Some(300.0), "{page}");
    assert!(metric(&page, "kith_webhook_undrained_seconds", of) > Some(0.0), "{page}");
    assert_eq!(metric(&page, "kith_webhook_drained_total", of), Some(0.0), "{page}");
    let shown = project.kith(&["status"]).ok().stdout;
    let line = shown.lines().find(|line| line.trim_start().starts_with("webhook")).unwrap_or_else(|| panic!("{shown}"));
    assert!(line.contains("2 received") && line.contains("KB wait, since") && line.contains("signature 1"), "{line}");
    project.kith(&["resume", "instagram"]).ok();
    wait_received(&project, 2);
    while standing()["webhooks"][0]["drained"] != 2 {
        assert!(began.elapsed() < PATIENCE, "{}", standing());
    }
    let page = scraped(&address);
    assert_eq!(
        (metric(&page, "kith_webhook_spool_bytes", of), metric(&page, "kith_webhook_undrained_seconds", of)),
        (Some(0.0), Some(0.0)),
        "{page}"
    );
    assert!(!page.contains("handle1") && !shown.contains("handle1"));
    service.end();
}

#[test]
fn a_paused_source_takes_until_its_spool_is_full_and_loses_nothing() {
    let (project, port) = (project(), free_port());
    with_sources(&project, &format!("{}[webhooks]\nlisten = \"127.0.0.1:{port}\"\nspool_mb = 1\n", instagram()));
    let service = serving(&project, port);
    project.kith(&["pause", "instagram"]).ok();
    let url = format!("http://127.0.0.1:{port}/webhooks/instagram");
    let long = |n: u32| {
        json!({ "object": "instagram", "more": "x".repeat(200_000), "entry": [{ "id": "88", "time": 1_790_000_000, "changes": [{ "field": "comments", "value": { "id": format!("c{n}"), "from": { "id": "1", "username": "handle1" }, "text": format!("t{n}"), "media": { "id": "m" } } }] }] }).to_string()
    };
    let answers: Vec<u16> = (0..8).map(|n| deliver(&project, &url, "meta", &long(n))).collect();
    assert_eq!(answers, [200, 200, 200, 200, 200, 503, 503, 503]);
    assert_eq!(counted(&project).0, 0);
    project.kith(&["resume", "instagram"]).ok();
    wait_received(&project, 5);
    let began = Instant::now();
    while deliver(&project, &url, "meta", &long(5)) != 200 {
        assert!(began.elapsed() < PATIENCE);
    }
    wait_received(&project, 6);
    service.end();
}

/// A listener in a DMZ, and the service inside that drains it.
struct Site {
    inside: Project,
    dmz: Project,
    port: u16,
    drain: u16,
}

impl Site {
    fn new() -> Option<Self> {
        if !have("age-keygen") || !have("curl") || !have("openssl") {
            return None;
        }
        let (inside, dmz, port, drain) = (project(), Project::empty(), free_port(), free_port());
        let key = Command::new("age-keygen").output().unwrap().stdout;
        inside.write("drain-key", &key);
        inside.write("drain-secret", "0123456789abcdef0123456789abcdef");
        let text = String::from_utf8(key).unwrap();
        let public = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
        let table = format!(
            "[sources.instagram]\nkind = \"webhook\"\nconnector = \"connectors/sources/instagram.yaml\"\nwebhook = \"comments\"\n\
             drain = \"http://127.0.0.1:{drain}\"\ndrain_secret = {{ file = \"drain-secret\" }}\ndrain_key = {{ file = \"drain-key\" }}\n"
        );
        with_sources(&inside, &table);
        inside.edit("config/kith.toml", "[service]\n", "[service]\npoll_seconds = 1\n");
        dmz.write("secret", SECRET);
        dmz.write("token", "agreed");
        dmz.write("drain-secret", "0123456789abcdef0123456789abcdef\n");
        dmz.write(
            "config/kith.toml",
            format!(
                "{}[webhooks]\nlisten = \"127.0.0.1:{port}\"\nspool = \"spool\"\ndrain_listen = \"127.0.0.1:{drain}\"\n\
                 drain_secret = {{ file = \"drain-secret\" }}\nrecipient = \"{public}\"\n",
                instagram()
            ),
        );
        Some(Self { inside, dmz, port, drain })
    }

    fn outside(&self, before: &[&str]) -> Running {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dmz.path("service.log")).unwrap();
        let kith = self.dmz.command(&["serve", "--only", "webhooks"]);
        let mut command = match before {
            [] => kith,
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(kith.get_program()).args(kith.get_args()).current_dir(self.dmz.path("")).stdin(Stdio::null());
                command
            }
        };
        let dmz = Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let up = (0..12).any(|_| wait_for(self.port)) && wait_for(self.drain);
        assert!(up, "{}", std::fs::read_to_string(self.dmz.path("service.log")).unwrap());
        dmz
    }

    fn run_inside(&self) -> Running {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.inside.path("service.log")).unwrap();
        Running(self.inside.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/webhooks/instagram", self.port)
    }

    /// Files with deliveries that wait outside.
    fn waiting(&self) -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(self.dmz.path("spool/instagram")).unwrap();
        let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|ending| ending == "spool"));
        files.map(|path| std::fs::read(path).unwrap()).collect()
    }
}

#[test]
fn a_listener_in_a_dmz_keeps_what_it_cannot_read_and_is_drained_by_who_knows_the_secret() {
    let Some(site) = Site::new() else { return };
    site.dmz.kith(&["serve", "--only", "webhooks", "--check"]).ok();
    let dmz = site.outside(&[]);
    assert_eq!(said(sender(&site.url(), "d", 20, 4))["statuses"], json!({ "200": 20 }));
    assert_eq!(curl(&[&format!("{}?hub.mode=subscribe&hub.verify_token=agreed&hub.challenge=7", site.url())]), (200, "7".into()));

    // On disk: in the age format, which its own program opens with the key that is inside alone.
    let file = site.waiting().concat();
    assert!(!file.windows(5).any(|part| part == b"said " || part == b"handl"));
    let length = usize::try_from(u32::from_be_bytes(file[..4].try_into().unwrap())).unwrap();
    site.dmz.write("one.age", &file[22..12 + length]);
    let out = Command::new("age").arg("-d").arg("-i").arg(site.inside.path("drain-key")).arg(site.dmz.path("one.age")).output().unwrap();
    assert!(String::from_utf8_lossy(&out.stdout).contains("said d"), "{}", String::from_utf8_lossy(&out.stderr));

    // Each door is its own; nobody is let in without the secret.
    let drain = format!("http://127.0.0.1:{}/drain/instagram", site.drain);
    assert_eq!(curl(&[&drain]), (401, String::new()));
    assert_eq!(curl(&["-X", "POST", "-d", "1/1", &format!("{drain}/acknowledge")]), (401, String::new()));
    assert_eq!(curl(&["-X", "DELETE", &drain]).0, 405);
    assert_eq!(curl(&[&format!("http://127.0.0.1:{}/webhooks/instagram", site.drain)]).0, 404);
    assert_eq!(curl(&[&format!("http://127.0.0.1:{}/drain/instagram", site.port)]).0, 404);
    // A request that is signed as the documentation says, by Python; the same again is refused.
    let program = "import hashlib,hmac,sys,time\nkey,method,path,chance,shift=sys.argv[1:]\nat=str(int(time.time())+int(shift))\n\
        p=[b'kith/v1/drain/request',method.encode(),path.encode(),at.encode(),chance.encode(),b'']\n\
        print(at, hmac.new(key.encode(), b''.join(len(x).to_bytes(8,'big')+x for x in p), hashlib.sha256).hexdigest())";
    let ask = |secret: &str, chance: &str, shift: &str| {
        let out = Command::new("python3").args(["-c", program, secret, "GET", "/drain/instagram", chance, shift]).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let (at, signature) = text.trim().split_once(' ').unwrap();
        [format!("kith-time: {at}"), format!("kith-chance: {chance}"), format!("kith-signature: {signature}")]
    };
    let get = |headers: &[String; 3]| curl(&["-o", "/dev/null", "-H", &headers[0], "-H", &headers[1], "-H", &headers[2], &drain]).0;
    let right = ask("0123456789abcdef0123456789abcdef", &"a".repeat(32), "0");
    assert_eq!((get(&right), get(&right)), (200, 401), "once");
    assert_eq!(get(&ask("0123456789abcdef0123456789abcdeg", &"b".repeat(32), "0")), 401, "another secret");
    assert_eq!(get(&ask("0123456789abcdef0123456789abcdef", &"c".repeat(32), "-400")), 401, "late");
    assert_eq!(get(&ask("0123456789abcdef0123456789abcdef", "short", "0")), 401, "no chance");

    // The service inside: another secret, another key, then the right ones.
    site.inside.write("drain-secret", "another-secret-another-secret-00");
    site.inside.kith(&["run", "--once"]).fails(1, "KITH-N053");
    site.inside.write("drain-secret", "0123456789abcdef0123456789abcdef");
    let key = std::fs::read(site.inside.path("drain-key")).unwrap();
    site.inside.write("drain-key", Command::new("age-keygen").output().unwrap().stdout);
    site.inside.kith(&["run", "--once"]).fails(1, "KITH-N054");
    assert_eq!(counted(&site.inside).0, 0);
    site.inside.write("drain-key", key);
    site.inside.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&site.inside), (20, 0, 0));
    assert_eq!(in_the_crm(&site.inside), expected("d", 20));
    assert!(site.waiting().is_empty(), "what is stored is let go");
    dmz.end();
    site.inside.kith(&["run", "--once"]).fails(1, "KITH-N053");
    let log = std::fs::read_to_string(site.dmz.path("service.log")).unwrap();
    for private in ["said d", "handle1", SECRET, "agreed", "0123456789abcdef"] {
        assert!(!log.contains(private), "{private} in {log}");
    }
}

/// nginx with a certificate of a company's own authority (`ca.pem` in its folder) before a port.
struct Before {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Before {
    fn start(inner: u16) -> Option<Self> {
        if !have("nginx") {
            return None;
        }
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        certificates::make(dir.path(), "Kith test authority", "DNS:localhost");
        let at = dir.path().display();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\nevents {{ worker_connections 256; }}\nhttp {{\n\
             client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; access_log {at}/access.log;\n\
             server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem;\n\
             location /drain/ {{ proxy_pass http://127.0.0.1:{inner}; }} }}\n}}\n"
        );
        std::fs::write(dir.path().join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-e", &format!("{at}/error.log"), "-p", &at.to_string(), "-c", &format!("{at}/nginx.conf")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let before = Self { child, dir, port };
        assert!((0..6).any(|_| wait_for(port)), "nginx does not start");
        Some(before)
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn over_tls_of_a_company_the_listener_outside_is_drained_and_a_killed_drain_loses_nothing() {
    let Some(site) = Site::new() else { return };
    let Some(nginx) = Before::start(site.drain) else { return };
    let dmz = site.outside(&[]);
    let url = format!("https://localhost:{}", nginx.port);
    site.inside.edit("config/kith.toml", &format!("http://127.0.0.1:{}", site.drain), &url);
    assert_eq!(said(sender(&site.url(), "t", 50, 4))["statuses"], json!({ "200": 50 }));
    // The authority is not one of the system's; another one; then the right one, and another secret.
    site.inside.kith(&["run", "--once"]).fails(1, "KITH-N053");
    let other = tempfile::tempdir().unwrap();
    certificates::make(other.path(), "Another authority", "DNS:localhost");
    std::fs::copy(other.path().join("ca.pem"), site.inside.path("ca.pem")).unwrap();
    site.inside.edit("config/kith.toml", "drain_key = ", "drain_ca_file = \"ca.pem\"\ndrain_key = ");
    site.inside.kith(&["run", "--once"]).fails(1, "KITH-N053");
    assert!(!std::fs::read_to_string(nginx.dir.path().join("access.log")).unwrap().contains("/drain/"), "nothing was asked of a stranger");
    std::fs::copy(nginx.dir.path().join("ca.pem"), site.inside.path("ca.pem")).unwrap();
    site.inside.write("drain-secret", "another-secret-another-secret-00");
    let told = site.inside.kith(&["run", "--once"]).fails(1, "KITH-N053");
    assert!(told.stderr.contains("401"), "{}", told.stderr);
    site.inside.write("drain-secret", "0123456789abcdef0123456789abcdef");
    assert_eq!(counted(&site.inside).0, 0);
    assert!(!site.waiting().is_empty(), "nothing was let go");
    // Killed in the middle, again and again, while more comes.
    let mut moments = Moments(20_261_129);
    let sending = sender(&site.url(), "u", 300, 4);
    let mut inside = site.run_inside();
    for _ in 0..kills().min(8) {
        std::thread::sleep(Duration::from_millis(100 + moments.below(1_200)));
        inside.kill();
        inside = site.run_inside();
    }
    assert_eq!(said(sending)["statuses"]["200"], 300);
    wait_received(&site.inside, 350);
    let began = Instant::now();
    let standing = || site.inside.kith(&["status", "--format", "json"]).ok().json()["service"]["webhooks"][0].clone();
    while !(standing()["outside"] == true && standing()["looked"].is_string() && standing()["oldest"].is_null()) {
        assert!(began.elapsed() < PATIENCE, "{}", standing());
    }
    assert!(site.inside.kith(&["status"]).ok().stdout.contains("fetched from outside, reached last at"));
    assert!(inside.ended());
    assert_eq!(counted(&site.inside), (350, 0, 0));
    let mut wanted = [expected("t", 50), expected("u", 300)].concat();
    wanted.sort();
    site.inside.kith(&["run", "--once"]).ok();
    assert_eq!(in_the_crm(&site.inside), wanted);
    assert!(site.waiting().is_empty());
    dmz.end();
}

#[test]
fn a_listener_that_runs_alone_is_measured_and_takes_over_other_secrets_while_it_runs() {
    let Some(site) = Site::new() else { return };
    let metrics = free_port();
    let file =
        std::fs::read_to_string(site.dmz.path("config/kith.toml")).unwrap() + &format!("[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n");
    site.dmz.write("config/kith.toml", &file);
    site.dmz.kith(&["serve", "--only", "webhooks", "--check"]).ok();
    let dmz = site.outside(&[]);
    let log = || std::fs::read_to_string(site.dmz.path("service.log")).unwrap();
    let hang_up = |word: &str| {
        let (before, began) = (log().matches(word).count(), Instant::now());
        let id = rustix::process::Pid::from_child(&dmz.0);
        rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
        while log().matches(word).count() == before {
            assert!(began.elapsed() < PATIENCE, "{word}: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let status = |secret: &str, n: u32| raw(site.port, signed(&site.dmz, secret, &comment(n, "hello")).as_bytes())[9..12].to_owned();
    assert_eq!((status(SECRET, 1), status("new", 2)), ("200".into(), "401".into()));
    let page = scraped(&format!("http://127.0.0.1:{metrics}/metrics"));
    let of = "source=\"instagram\"";
    assert_eq!(metric(&page, "kith_webhook_received_total", of), Some(1.0), "{page}");
    assert_eq!(metric(&page, "kith_webhook_refused_total", &format!("{of},reason=\"signature\"")), Some(1.0), "{page}");
    assert!(metric(&page, "kith_webhook_spool_bytes", of) > Some(300.0), "{page}");

    // Files that are wrong, or that change what holds for life, change nothing.
    site.dmz.write("config/kith.toml", file.replace("webhook = \"comments\"", "webhook = \"other\""));
    hang_up("KITH-N050");
    site.dmz.write("config/kith.toml", file.replace("body_kb", "x").replace("spool = \"spool\"", "spool = \"elsewhere\""));
    hang_up("KITH-R032");
    site.dmz.write("config/kith.toml", &file);
    site.dmz.write("drain-secret", "short");
    hang_up("drain_secret` has less");
    assert_eq!((status(SECRET, 3), status("new", 4)), ("200".into(), "401".into()));
    site.inside.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&site.inside).0, 2);

    // The network's secret and the one of both sides.
    site.dmz.write("secret", "new");
    site.dmz.write("drain-secret", "fedcba9876543210fedcba9876543210");
    hang_up("the new files are in force");
    assert_eq!((status(SECRET, 5), status("new", 6)), ("401".into(), "200".into()));
    site.inside.kith(&["run", "--once"]).fails(1, "KITH-N053");
    site.inside.write("drain-secret", "fedcba9876543210fedcba9876543210");
    site.inside.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&site.inside), (3, 0, 0));
    assert_eq!(log().matches("the new files are in force").count(), 1);
    dmz.end();
}

#[test]
fn the_listener_in_a_dmz_connects_to_nobody() {
    if !have("strace") {
        return;
    }
    let Some(site) = Site::new() else { return };
    let trace = site.dmz.path("trace");
    let trace_file = trace.display().to_string();
    let dmz = site.outside(&["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg,socket", "-o", &trace_file]);
    if std::fs::read_to_string(site.dmz.path("service.log")).unwrap().contains("ptrace") {
        eprintln!("SKIPPED: processes can't be traced here");
        return;
    }
    assert_eq!(said(sender(&site.url(), "t", 10, 2))["statuses"], json!({ "200": 10 }));
    site.inside.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&site.inside).0, 10);
    // strace ends when what it traces does, and keeps signals to itself.
    let strace = dmz.0.id();
    let children = std::fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap();
    let traced = rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(traced, rustix::process::Signal::TERM).unwrap();
    assert!(dmz.waited());
    let seen = std::fs::read_to_string(&trace).unwrap();
    assert!(seen.contains("socket("), "the trace has what it is to have: {seen}");
    // Not even to the system's own sockets: the unit forbids the call.
    let reached: Vec<&str> =
        seen.lines().filter(|line| line.contains("connect(") || line.contains("sin_addr") && line.contains("send")).collect();
    assert!(reached.is_empty(), "{reached:?}");
}

#[test]
fn a_machine_in_a_dmz_holds_nothing_but_what_it_needs() {
    let Some(site) = Site::new() else { return };
    let file = std::fs::read_to_string(site.dmz.path("config/kith.toml")).unwrap();
    let check = |text: &str, code: &str| {
        site.dmz.write("config/kith.toml", text);
        site.dmz.kith(&["serve", "--only", "webhooks", "--check"]).fails(2, code);
    };
    check(&format!("{file}[targets.crm]\nconnector = \"x.yaml\"\npath = \"crm.db\"\n"), "KITH-C010");
    check(&format!("{file}[service]\nmapping = \"x\"\n"), "KITH-C010");
    check(&file.replace("recipient = ", "# recipient = "), "KITH-C004");
    check(&file.replace("drain_secret = ", "# drain_secret = "), "KITH-C004");
    check(&file.replace("drain_secret = { file = \"drain-secret\" }", "drain_secret = \"0123456789\""), "KITH-C008");
    check(&file.replace("webhook = \"comments\"", "webhook = \"other\""), "KITH-N050");
    check(&file.replace("verify_token = ", "# verify_token = "), "KITH-N050");
    check(&file.replace("127.0.0.1:", "dmz:"), "KITH-C003");
    let key = std::fs::read_to_string(site.inside.path("drain-key")).unwrap();
    let secret_key = key.lines().find(|line| line.starts_with("AGE-SECRET")).unwrap();
    let public = file.lines().find_map(|line| line.strip_prefix("recipient = \"")).unwrap().trim_end_matches('"').to_owned();
    site.dmz.write("config/kith.toml", file.replace(&public, secret_key));
    let told = site.dmz.kith(&["serve", "--only", "webhooks"]).fails(1, "KITH-N050");
    assert!(!told.stderr.contains(secret_key));
    site.dmz.write("config/kith.toml", &file);
    site.dmz.write("drain-secret", "short");
    site.dmz.kith(&["serve", "--only", "webhooks"]).fails(1, "KITH-N050");
    // Inside: what belongs outside has no place, and a source that is taken here needs a listener.
    site.inside.edit("config/kith.toml", "drain_key = ", "secret = { file = \"secret\" }\ndrain_key = ");
    site.inside.kith(&["check"]).fails(2, "KITH-C010");
    site.inside.edit("config/kith.toml", "secret = { file = \"secret\" }\ndrain_key = ", "drain_key = ");
    let inside = std::fs::read_to_string(site.inside.path("config/kith.toml")).unwrap();
    site.inside.write("config/kith.toml", format!("{inside}[webhooks]\nrecipient = \"{public}\"\n"));
    site.inside.kith(&["check"]).fails(2, "KITH-C010");
    let start = inside.find("[sources.instagram]").unwrap();
    let end = start + inside[start..].find("\n[").unwrap() + 1;
    site.inside.write("config/kith.toml", format!("{}{}{}", &inside[..start], instagram(), &inside[end..]));
    site.inside.kith(&["check"]).fails(2, "KITH-C004");
}

/// Kills of either side while a network delivers.
fn kills() -> u64 {
    std::env::var("KITH_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}

#[test]
fn whichever_side_is_killed_what_was_answered_is_in_the_crm_once() {
    let Some(site) = Site::new() else { return };
    let seed = std::env::var("KITH_TEST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(20_261_128);
    let mut moments = Moments(seed);
    // How long an undisturbed hundred takes is what the moments are drawn from.
    let (mut dmz, mut inside) = (site.outside(&[]), site.run_inside());
    let began = Instant::now();
    said(sender(&site.url(), "w", 100, 4));
    wait_received(&site.inside, 100);
    let span = u64::try_from(began.elapsed().as_millis()).unwrap().clamp(200, 5_000);
    let (count, mut done) = (300, 0);
    let mut sending = sender(&site.url(), "k", count, 6);
    let mut sent = 0;
    let mut rounds = vec![count];
    while done < kills() {
        std::thread::sleep(Duration::from_millis(moments.below(span)));
        let which = moments.below(3);
        if which != 1 {
            dmz.kill();
        }
        if which != 0 {
            inside.kill();
        }
        if which != 1 {
            dmz = site.outside(&[]);
        }
        if which != 0 {
            inside = site.run_inside();
        }
        done += 1;
        if sending.try_wait().unwrap().is_some() && done < kills() {
            sent += 1;
            rounds.push(count);
            sending = sender(&site.url(), &format!("k{sent}x"), count, 6);
        }
    }
    let told = said(sending);
    eprintln!("seed {seed}: {done} kills within {span} ms each, {} senders, the last: {told}", rounds.len());
    let all = 100 + i64::from(rounds.iter().sum::<u32>());
    wait_received(&site.inside, all);
    // It tells at its end that nobody was outside for a while.
    inside.ended();
    dmz.end();
    assert_eq!(site.inside.kith(&["run", "--once"]).code, Some(1), "nobody is outside any more");
    assert_eq!(counted(&site.inside), (all, 0, 0), "seed {seed}");
    let mut wanted = [expected("w", 100), expected("k", count)].concat();
    wanted.extend((1..=sent).flat_map(|n| expected(&format!("k{n}x"), count)));
    wanted.sort();
    assert_eq!(in_the_crm(&site.inside), wanted, "seed {seed}");
    assert!(site.waiting().is_empty());
}
