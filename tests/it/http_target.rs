//! Promise: over HTTP nothing is lost, nothing is written twice, and whoever asks to be left alone is; against servers that nobody here wrote.

use crate::support::cutting_proxy::{Cut, CuttingProxy};
use crate::support::nginx::{Nginx, Options};
use crate::support::scripted::{Answer as Say, Scripted, answer, json};
use crate::support::sent::{self, shown, write};
use crate::support::tinyproxy::Tinyproxy;
use crate::support::{self, free_port, have, wait_for};
use kith::declare::config::{GivenSecret, Login, ProxySpec, Secret, SecretSource, ServiceSpec};
use kith::declare::connector::{self, TargetFile};
use kith::deliver::{DeliveryError, HttpTarget, Settled, Target};
use kith::diagnose::SourceFile;
use kith::model::{Delivery, Value, WriteIntent};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A target file with one operation `note`; `more` are keys of it, `whole` of the file.
fn file(request: &str, more: &str, whole: &str) -> Arc<TargetFile> {
    let text = format!(
        "kith: 1\ntarget: t\nkind: http\n{whole}\noperations:\n  note:\n    record_key: [Network, Id]\n    on_delete: remove\n    request: {request}\n{more}\n    fields:\n      Network: {{ type: text }}\n      Id: {{ type: text }}\n      Body: {{ type: text }}\n      Seen: {{ type: time }}\n      Weight: {{ type: number }}\n"
    );
    let checked = connector::read(&Arc::new(SourceFile { name: "t.yaml".into(), text }));
    let problems: Vec<String> = checked.problems.0.iter().map(|p| format!("{} {}", p.code, p.message)).collect();
    assert!(checked.value.is_some() && problems.is_empty(), "{problems:?}");
    Arc::new(checked.value.unwrap())
}

/// PUT into nginx's store: what is idempotent by its method.
fn put() -> Arc<TargetFile> {
    file("{ method: PUT, path: '/store/{Network}/{key}.json', key_member: kith }", "", "")
}

/// The same, but settled by reading, as if a repeat could duplicate.
fn looked_up() -> Arc<TargetFile> {
    let look_up = "    settle: { look_up: { path: '/store/{Network}/{key}.json', json: { /kith: idempotency_key, /Body: Body } } }";
    file("{ method: PUT, path: '/store/{Network}/{key}.json', key_member: kith }", look_up, "")
}

/// POST without any way to settle.
fn post() -> Arc<TargetFile> {
    file("{ method: POST, path: /notes }", "    remove: { path: '/notes/{key}' }", "")
}

fn service(url: &str) -> ServiceSpec {
    ServiceSpec { timeout: Duration::from_secs(3), connect: Duration::from_secs(2), ..ServiceSpec::plain(url) }
}

fn secret(text: &str) -> GivenSecret {
    GivenSecret { source: SecretSource::Env("X".into()), value: Some(Secret::from_bytes(text.into()).unwrap()) }
}

fn delivery(id: &str, version: u8, intent: WriteIntent, body: Option<&str>) -> Delivery {
    let mut fields: Vec<(Arc<str>, Value)> = vec![("Network".into(), "x".into()), ("Id".into(), id.into())];
    if intent == WriteIntent::Write {
        fields.extend(body.map(|body| (Arc::from("Body"), Value::from(body))));
    } else if intent == WriteIntent::Blank {
        fields.push(("Body".into(), Value::Missing));
    }
    sent::delivery("note", id, version, intent, fields)
}

fn said(id: &str, version: u8, body: &str) -> Delivery {
    delivery(id, version, WriteIntent::Write, Some(body))
}

async fn shown_all(target: &HttpTarget, deliveries: &[Delivery]) -> Vec<String> {
    write(target, deliveries).await.answers.iter().map(shown).collect()
}

// ---------------------------------------------------------------------------------------------------------------- nginx

#[tokio::test]
async fn a_record_is_made_changed_and_removed_in_a_real_store() {
    let Some(nginx) = Nginx::start(Options::default()) else { return };
    let target = HttpTarget::new(service(&nginx.url()), put());
    assert!(target.check().await.0.is_empty());
    let batch = [said("https://n/1", 1, "first"), said("https://n/2", 1, "other"), said("https://n/1", 2, "second")];
    let written = write(&target, &batch).await;
    assert_eq!(written.answers.iter().map(shown).collect::<Vec<_>>(), ["inserted", "inserted", "updated"]);
    let changes = &written.answers[0].as_ref().unwrap().changes;
    assert_eq!(changes.iter().map(|c| &*c.field).collect::<Vec<_>>(), ["Network", "Id", "Body"]);
    assert!(written.answers[2].as_ref().unwrap().changes.is_empty(), "what stood there before is not known");
    let bodies: Vec<_> = nginx.documents().iter().map(|(_, d)| (d["Id"].clone(), d["Body"].clone())).collect();
    assert!(bodies.contains(&(json!("https://n/1"), json!("second"))) && bodies.len() == 2, "{bodies:?}");
    let withdrawals = [
        delivery("https://n/1", 3, WriteIntent::Keep, None),
        delivery("https://n/1", 3, WriteIntent::Blank, None),
        delivery("https://n/2", 3, WriteIntent::Remove, None),
        delivery("https://n/2", 4, WriteIntent::Remove, None),
    ];
    assert_eq!(shown_all(&target, &withdrawals).await, ["kept", "blanked", "removed", "unchanged"]);
    let documents = nginx.documents();
    assert_eq!((documents.len(), &documents[0].1["Body"]), (1, &json!(null)));
    let seen = nginx.accesses();
    assert_eq!(seen.iter().map(|a| a.method.as_str()).collect::<Vec<_>>(), ["GET", "PUT", "PUT", "PUT", "PUT", "DELETE", "DELETE"]);
    assert_eq!(seen[1].idempotency_key.len(), 64);
    assert!(seen.iter().all(|a| a.user_agent == concat!("kith/", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn a_value_in_the_path_is_one_segment_whatever_stands_in_it() {
    let server = Scripted::start(vec![json(201, &json!({}))]);
    let target = HttpTarget::new(service(&server.url()), file("{ method: PUT, path: '/n/{Network}/{Id}?v={key}' }", "", ""));
    for id in ["a/b", "../../etc", "a b?c#d", "100%", "ünï", "a;b=c&d", "%2e%2e"] {
        assert_eq!(shown_all(&target, &[said(id, 1, "x")]).await, ["inserted"], "{id}");
    }
    for id in [".", ".."] {
        assert_eq!(shown_all(&target, &[said(id, 1, "x")]).await, ["refused KITH-D020"], "{id}");
    }
    let paths: Vec<String> = server.requests().iter().map(|r| r.split([' ', '?']).nth(1).unwrap().to_owned()).collect();
    assert_eq!(
        paths,
        [
            "/n/x/a%2Fb",
            "/n/x/..%2F..%2Fetc",
            "/n/x/a%20b%3Fc%23d",
            "/n/x/100%25",
            "/n/x/%C3%BCn%C3%AF",
            "/n/x/a%3Bb%3Dc%26d",
            "/n/x/%252e%252e"
        ]
    );
}

#[tokio::test]
async fn a_real_limit_is_honoured_and_the_rest_is_not_even_sent() {
    let Some(nginx) = Nginx::start(Options { limit: Some("2r/s"), ..Options::default() }) else { return };
    let target = HttpTarget::new(service(&nginx.url()), put());
    let batch: Vec<_> = (0..5).map(|n| said(&format!("n{n}"), 1, "x")).collect();
    let written = write(&target, &batch).await;
    assert_eq!(shown(&written.answers[0]), "inserted");
    for answer in &written.answers[1..] {
        let Err(DeliveryError::Throttled { wait, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(*wait, Some(Duration::from_secs(1)));
    }
    assert_eq!(nginx.accesses().iter().filter(|a| a.method == "PUT").count(), 2, "one was taken, one was refused, three stayed here");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(shown_all(&target, &batch[1..2]).await, ["inserted"]);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let Some(nginx) = Nginx::start(Options::default()) else { return };
    let target = HttpTarget::new(service(&format!("{}/moved", nginx.url())), put());
    assert_eq!(shown_all(&target, &[said("1", 1, "x")]).await, ["refused KITH-D019"]);
    assert!(nginx.documents().is_empty());
}

#[tokio::test]
async fn only_the_company_s_own_authority_is_trusted() {
    let Some(nginx) = Nginx::start(Options { tls: true, ..Options::default() }) else { return };
    let with = |ca: Option<std::path::PathBuf>| HttpTarget::new(ServiceSpec { ca_file: ca, ..service(&nginx.url()) }, put());
    assert_eq!(shown_all(&with(Some(nginx.ca_file())), &[said("1", 1, "x")]).await, ["inserted"]);
    let without = shown_all(&with(None), &[said("2", 1, "x")]).await;
    assert!(matches!(without[0].as_str(), "unavailable KITH-D012" | "unavailable KITH-D022"), "{without:?}");
    let other = Nginx::start(Options { tls: true, ..Options::default() }).unwrap();
    assert_eq!(shown_all(&with(Some(other.ca_file())), &[said("2", 1, "x")]).await, ["unavailable KITH-D012"]);
    assert_eq!(shown_all(&with(Some("/nowhere/ca.pem".into())), &[said("2", 1, "x")]).await, ["unavailable KITH-D022"]);
    assert_eq!(nginx.documents().len(), 1);
}

#[tokio::test]
async fn a_basic_login_is_sent_and_a_wrong_one_blames_no_record() {
    let Some(nginx) = Nginx::start(Options { login: Some(("kith", "pässword")), ..Options::default() }) else { return };
    let with = |password: &str| {
        let login = Login::Basic { user: "kith".into(), password: secret(password) };
        HttpTarget::new(ServiceSpec { login, ..service(&nginx.url()) }, put())
    };
    assert_eq!(shown_all(&with("pässword"), &[said("1", 1, "x")]).await, ["inserted"]);
    let wrong = with("wrong-s3cret");
    let written = write(&wrong, &[said("2", 1, "x"), said("3", 1, "x")]).await;
    assert_eq!(written.answers.iter().map(shown).collect::<Vec<_>>(), ["login_expired KITH-D016", "login_expired KITH-D016"]);
    let Err(DeliveryError::Unavailable { .. }) = wrong.login().await else { panic!("it can't be renewed") };
    let kept = written.exchanges[0].as_ref().unwrap();
    assert!(kept.request.reveal().contains("authorization: ‹hidden›"));
    assert!(!kept.request.reveal().contains("a2l0a"), "{}", kept.request.reveal());
    assert!(!format!("{wrong:?} {written:?}").contains("s3cret"));
}

// ---------------------------------------------------------------------------------------------------------------- lost answers

#[tokio::test]
async fn a_lost_answer_is_settled_by_what_stands_in_the_store() {
    let Some(nginx) = Nginx::start(Options::default()) else { return };
    let cut = |pattern: fn(u64) -> Cut| CuttingProxy::start(nginx.port, pattern);
    let first = |cut: Cut| move |n: u64| if n == 0 { cut } else { Cut::Never };
    let (one, two) = (said("1", 1, "first"), said("1", 2, "second"));

    let proxy = CuttingProxy::start(nginx.port, first(Cut::AfterRequest));
    let target = HttpTarget::new(service(&proxy.url()), looked_up());
    assert_eq!(shown_all(&target, std::slice::from_ref(&one)).await, ["outcome_unknown KITH-D009"]);
    assert!(matches!(target.settle(&one).await.unwrap(), Settled::Delivered(receipt) if receipt.delivery == one.id));

    // The newer version was lost on its way: that the older stands there does not count.
    let proxy = CuttingProxy::start(nginx.port, first(Cut::BeforeRequest));
    let target = HttpTarget::new(service(&proxy.url()), looked_up());
    assert_eq!(shown_all(&target, std::slice::from_ref(&two)).await, ["outcome_unknown KITH-D009"]);
    assert_eq!(target.settle(&two).await.unwrap(), Settled::NotThere);
    assert_eq!(shown_all(&target, std::slice::from_ref(&two)).await, ["updated"]);
    assert!(matches!(target.settle(&two).await.unwrap(), Settled::Delivered(_)));

    let gone = delivery("1", 3, WriteIntent::Remove, None);
    let proxy = CuttingProxy::start(nginx.port, first(Cut::InAnswer(10)));
    let target = HttpTarget::new(service(&proxy.url()), looked_up());
    assert_eq!(target.settle(&gone).await.err().map(|e| e.class().name()), Some("unavailable"), "a look-up may be lost too");
    assert_eq!(target.settle(&gone).await.unwrap(), Settled::NotThere);
    assert_eq!(shown_all(&target, std::slice::from_ref(&gone)).await, ["removed"]);
    assert!(matches!(target.settle(&gone).await.unwrap(), Settled::Delivered(_)));

    let proxy = cut(|_| Cut::AfterRequest);
    assert_eq!(HttpTarget::new(service(&proxy.url()), put()).settle(&one).await.unwrap(), Settled::Repeatable);
    let Settled::Undecidable { code, .. } = HttpTarget::new(service(&proxy.url()), post()).settle(&one).await.unwrap() else { panic!() };
    assert_eq!(code.0, "KITH-D021");
}

#[tokio::test]
async fn through_a_proxy_that_cuts_at_random_the_store_ends_equal_and_nothing_is_sent_twice_in_vain() {
    let Some(nginx) = Nginx::start(Options::default()) else { return };
    let seed = std::env::var("KITH_TEST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(20_261_121);
    let proxy = CuttingProxy::seeded(nginx.port, seed, 25);
    let target = HttpTarget::new(service(&proxy.url()), looked_up());
    let mut wanted = BTreeMap::new();
    let mut unknown = 0;
    for version in 1..=2_u8 {
        for n in 0..40 {
            let one = said(&format!("n{n}"), version, &format!("{n} in version {version}"));
            wanted.insert(format!("n{n}"), format!("{n} in version {version}"));
            let mut attempts = 0;
            loop {
                attempts += 1;
                assert!(attempts < 50, "seed {seed}");
                match &write(&target, std::slice::from_ref(&one)).await.answers[0] {
                    Ok(_) => break,
                    Err(DeliveryError::OutcomeUnknown { .. }) => unknown += 1,
                    Err(error) => panic!("seed {seed}: {error}"),
                }
                let settled = loop {
                    match target.settle(&one).await {
                        Ok(settled) => break settled,
                        Err(DeliveryError::Unavailable { .. }) => {}
                        Err(error) => panic!("seed {seed}: {error}"),
                    }
                };
                match &settled {
                    Settled::Delivered(_) => break,
                    Settled::NotThere => {}
                    Settled::Repeatable | Settled::Undecidable { .. } => panic!("seed {seed}: {settled:?}"),
                }
            }
        }
    }
    let stands: BTreeMap<String, String> =
        nginx.documents().iter().map(|(_, d)| (d["Id"].as_str().unwrap().into(), d["Body"].as_str().unwrap().into())).collect();
    assert_eq!(stands, wanted, "seed {seed}");
    assert!(unknown > 10, "seed {seed}: only {unknown} answers were lost");
    // What arrived was recognised: no key was sent a second time.
    let mut sent: BTreeMap<String, u32> = BTreeMap::new();
    for access in nginx.accesses().iter().filter(|a| a.method == "PUT") {
        *sent.entry(access.idempotency_key.clone()).or_default() += 1;
    }
    assert!(sent.len() == 80 && sent.values().all(|n| *n == 1), "seed {seed}: {sent:?}");
}

#[tokio::test]
async fn whoever_is_not_there_got_nothing() {
    let port = free_port();
    let target = HttpTarget::new(service(&format!("http://127.0.0.1:{port}")), post());
    let written = write(&target, &[said("1", 1, "x"), said("2", 1, "x")]).await;
    assert_eq!(written.answers.iter().map(shown).collect::<Vec<_>>(), ["unavailable KITH-D012", "unavailable KITH-D012"]);
    let target = HttpTarget::new(service("http://no-such-host.invalid"), post());
    assert_eq!(shown_all(&target, &[said("1", 1, "x")]).await, ["unavailable KITH-D012"]);
    assert_eq!(target.check().await.0[0].code.0, "KITH-D012");
}

// ---------------------------------------------------------------------------------------------------------------- hostile answers

#[tokio::test]
async fn no_hostile_answer_is_a_success_or_a_panic() {
    let ok = |headers: &str, body: &str| Say::Bytes(format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}").into_bytes());
    let hostile = [
        ("nothing", Say::Close),
        ("silence", Say::Silence(Duration::from_secs(30))),
        ("garbage", Say::Bytes(vec![0xff, 0x00, 0x17, b'\n', b'\r', 0x80])),
        ("half a head", Say::Bytes(b"HTTP/1.1 200 O".to_vec())),
        ("too short", ok("content-length: 100\r\n", "{\"id\":1")),
        ("broken chunks", ok("transfer-encoding: chunked\r\n", "zz\r\n{}\r\n")),
        ("two lengths", ok("content-length: 2\r\ncontent-length: 5\r\n", "{}")),
        ("endless", Say::Endless(b"HTTP/1.1 200 OK\r\n\r\n{\"a\":\"".to_vec())),
        ("slow", Say::Drip(b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n{}".to_vec(), Duration::from_millis(200))),
        ("endless head", Say::Endless(b"HTTP/1.1 200 OK\r\nx: ".to_vec())),
        ("a page", ok("content-type: text/html\r\ncontent-length: 13\r\n", "<html></html>")),
        ("a status of its own", Say::Bytes(b"HTTP/1.1 999 Request denied\r\ncontent-length: 0\r\n\r\n".to_vec())),
        ("a gateway", answer(502, "content-type: text/html\r\n", "<html>Bad Gateway</html>")),
        ("a stack trace", answer(500, "", "java.lang.NullPointerException")),
    ];
    let started = Instant::now();
    let mut checks = tokio::task::JoinSet::new();
    for (what, say) in hostile {
        checks.spawn(async move {
            let server = Scripted::start(vec![say]);
            let target = HttpTarget::new(service(&server.url()), post());
            let written = write(&target, &[said("1", 1, "x")]).await;
            assert_eq!(shown(&written.answers[0]), "outcome_unknown KITH-D009", "{what}");
            let kept = written.exchanges[0].as_ref().unwrap();
            assert!(kept.request.reveal().contains("POST ") && kept.request.reveal().ends_with(r#""Network":"x"}"#), "{what}");
            assert!(kept.answer.reveal().len() <= kith::deliver::Exchange::LONGEST, "{what}");
        });
    }
    while let Some(done) = checks.join_next().await {
        done.unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(60), "the whole-request timeout holds: {:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_is_silent_is_not_asked_for_a_whole_batch() {
    let batch: Vec<_> = (0..6).map(|n| said(&n.to_string(), 1, "x")).collect();
    let server = Scripted::start(vec![Say::Silence(Duration::from_secs(9))]);
    let target = HttpTarget::new(ServiceSpec { timeout: Duration::from_millis(400), ..service(&server.url()) }, post());
    let shown = shown_all(&target, &batch).await;
    assert_eq!(shown[0], "outcome_unknown KITH-D009");
    assert!(shown[1..].iter().all(|s| s == "unavailable KITH-D018"), "{shown:?}");
    assert_eq!(server.requests().len(), 1);
    // One that cuts the connection costs no time, and the next may hold.
    let server = Scripted::start(vec![Say::Close, Say::Close, Say::Close, answer(201, "", "")]);
    let target = HttpTarget::new(service(&server.url()), post());
    let shown = shown_all(&target, &batch).await;
    assert_eq!(shown[2..4], ["outcome_unknown KITH-D009", "inserted"]);
}

#[tokio::test]
async fn a_window_that_is_used_up_is_told_although_all_went_well() {
    let limits = "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 2026-11-21T12:00:30Z\r\ndate: Sat, 21 Nov 2026 12:00:00 GMT\r\n";
    let server = Scripted::start(vec![answer(201, limits, "")]);
    let target = HttpTarget::new(service(&server.url()), put());
    let written = write(&target, &[said("1", 1, "x"), said("2", 1, "x")]).await;
    assert_eq!(written.answers.iter().map(shown).collect::<Vec<_>>(), ["inserted", "throttled KITH-D015"]);
    let pause = written.pause.unwrap();
    assert_eq!((pause.wait, &*pause.said), (Duration::from_secs(30), "x-ratelimit-remaining: 0"));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_rules_of_the_file_decide_before_the_built_in_ones() {
    let rules = "answers: [{ status: 409, json: { /error/code: exists }, is: unchanged }, { status: 200, json: { /ok: 'false' }, is: refused }, { status: 418, is: throttled }]";
    let says = [
        json(409, &json!({ "error": { "code": "exists" } })),
        json(409, &json!({ "error": { "code": "locked" } })),
        json(200, &json!({ "ok": false })),
        json(418, &json!({})),
    ];
    let server = Scripted::start(says.to_vec());
    let target = HttpTarget::new(service(&server.url()), file("{ path: /n }", "    remove: { path: '/n/{key}' }", rules));
    let batch: Vec<_> = (0..5).map(|n| said(&n.to_string(), 1, "x")).collect();
    let told = shown_all(&target, &batch).await;
    assert_eq!(told, ["unchanged", "refused KITH-D013", "refused KITH-D013", "throttled KITH-D015", "throttled KITH-D015"]);
}

// ---------------------------------------------------------------------------------------------------------------- batches

fn batched(more: &str) -> Arc<TargetFile> {
    let more = format!("    remove: {{ path: '/n/{{key}}' }}\n    batch: {{ path: /batch, records: items, {more} }}");
    file("{ path: /n, key_member: kith }", &more, "")
}

#[tokio::test]
async fn results_inside_a_batch_are_read_one_by_one() {
    let batch: Vec<_> = (0..4).map(|n| said(&n.to_string(), 1, "x")).collect();
    let results = json!({ "results": [{ "status": 201 }, { "status": 422 }, { "status": 503 }, {}] });
    let server = Scripted::start(vec![json(207, &results)]);
    let target = HttpTarget::new(service(&server.url()), batched("results: /results, status: /status"));
    let written = write(&target, &batch).await;
    assert_eq!(
        written.answers.iter().map(shown).collect::<Vec<_>>(),
        ["inserted", "refused KITH-D013", "unavailable KITH-D018", "outcome_unknown KITH-D009"]
    );
    let kept = written.exchanges[1].as_ref().unwrap();
    assert!(kept.request.reveal().contains(r#""Id":"1""#) && !kept.request.reveal().contains(r#""Id":"2""#), "only this record's part");
    assert!(kept.answer.reveal().ends_with(r#"{"status":422}"#), "{}", kept.answer.reveal());
    let sent: serde_json::Value = serde_json::from_str(server.requests()[0].split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(sent["items"].as_array().unwrap().len(), 4);

    // A list of another length can't be aligned: nobody is delivered by luck.
    let server = Scripted::start(vec![json(200, &json!({ "results": [{ "status": 201 }] }))]);
    let target = HttpTarget::new(service(&server.url()), batched("results: /results, status: /status"));
    assert_eq!(shown_all(&target, &batch).await, ["outcome_unknown KITH-D009"; 4]);

    let by = "results: /results, status: /status, by: { member: /id, is: Id }";
    let results = json!({ "results": [{ "id": 3, "status": 200 }, { "id": "0", "status": 409 }, { "id": "9", "status": 200 }, { "id": "1", "status": 200 }, { "id": "1", "status": 400 }] });
    let server = Scripted::start(vec![json(200, &results)]);
    let target = HttpTarget::new(service(&server.url()), batched(by));
    let told = shown_all(&target, &batch).await;
    assert_eq!(told, ["refused KITH-D013", "outcome_unknown KITH-D009", "outcome_unknown KITH-D009", "updated"]);
}

#[tokio::test]
async fn a_batch_that_is_refused_as_a_whole_says_so() {
    let batch: Vec<_> = (0..3).map(|n| said(&n.to_string(), 1, "x")).collect();
    for status in [400, 413, 422] {
        let server = Scripted::start(vec![answer(status, "", "no")]);
        let target = HttpTarget::new(service(&server.url()), batched("results: /results, status: /status"));
        assert_eq!(shown_all(&target, &batch).await, ["batch_refused KITH-D014"; 3], "{status}");
        assert_eq!(shown_all(&target, &batch[..1]).await, ["refused KITH-D013"], "{status}: alone, it is at fault");
    }
    for (say, told) in [
        (answer(429, "retry-after: 5\r\n", ""), "throttled KITH-D015"),
        (answer(200, "content-type: application/json\r\n", "{\"results\":[{"), "outcome_unknown KITH-D009"),
        (answer(500, "", ""), "outcome_unknown KITH-D009"),
        (Say::Close, "outcome_unknown KITH-D009"),
    ] {
        let server = Scripted::start(vec![say]);
        let target = HttpTarget::new(service(&server.url()), batched("results: /results, status: /status"));
        assert_eq!(shown_all(&target, &batch).await, [told; 3]);
    }
    // Without `results`, all are written or none.
    let server = Scripted::start(vec![answer(200, "", "")]);
    let target = HttpTarget::new(service(&server.url()), batched("at_most: 2"));
    assert_eq!(shown_all(&target, &batch).await, ["updated"; 3]);
    assert_eq!(server.requests().len(), 2, "two and one");
    // One record twice in a batch: the newer comes in a request of its own, after the older.
    let again = [said("1", 1, "a"), said("1", 2, "b")];
    assert_eq!(shown_all(&target, &again).await, ["updated"; 2]);
    assert_eq!(server.requests().len(), 4);
}

// ---------------------------------------------------------------------------------------------------------------- proxies and logins

/// Stopped when dropped.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

#[tokio::test]
async fn a_corporate_proxy_with_a_login_is_gone_through() {
    let Some(proxy) = Tinyproxy::start() else { return };
    let (Some(plain), Some(tls)) = (Nginx::start(Options::default()), Nginx::start(Options { tls: true, ..Options::default() })) else {
        return;
    };
    for nginx in [&plain, &tls] {
        let with = |login: Option<(&str, &str)>| {
            let login = login.map(|(user, password)| (Arc::from(user), secret(password)));
            let through = Some(ProxySpec { url: format!("http://127.0.0.1:{}", proxy.port), login });
            let ca_file = Some(tls.ca_file());
            HttpTarget::new(ServiceSpec { proxy: through, ca_file, ..service(&nginx.url()) }, put())
        };
        assert_eq!(shown_all(&with(Some(("kith", "pr0xy"))), &[said("1", 1, "x")]).await, ["inserted"]);
        assert_eq!(nginx.documents().len(), 1);
        for wrong in [None, Some(("kith", "no"))] {
            let told = shown_all(&with(wrong), &[said("2", 1, "x")]).await;
            // For plain HTTP tinyproxy may answer 401 in place of 407.
            assert!(matches!(told[0].as_str(), "unavailable KITH-D012" | "login_expired KITH-D016"), "{told:?}");
        }
        assert_eq!(nginx.documents().len(), 1, "nothing went through without the login");
    }
    let seen = proxy.log();
    assert!(seen.contains("CONNECT localhost") && seen.contains("PUT http://127.0.0.1"), "{seen}");
}

/// `oidc-provider` from npm, installed once into the target folder.
fn oidc() -> Option<(Started, u16, u16)> {
    if !have("node") || !have("npm") {
        return None;
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("oidc");
    std::fs::create_dir_all(&folder).unwrap();
    if !folder.join("node_modules/oidc-provider").is_dir() {
        let mut npm = Command::new("npm");
        npm.current_dir(&folder).args(["install", "--no-audit", "--no-fund", "--silent", "--prefix", ".", "oidc-provider@8.8.1"]);
        if !npm.status().is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: npm can't install oidc-provider");
            assert!(std::env::var_os("CI").is_none(), "npm can't install oidc-provider, and CI needs it");
            return None;
        }
    }
    std::fs::copy(support::root().join("tests/support/oidc.mjs"), folder.join("oidc.mjs")).unwrap();
    let (port, store) = (free_port(), free_port());
    let mut node = Command::new("node");
    node.current_dir(&folder).args(["oidc.mjs", &port.to_string(), &store.to_string()]);
    let started = Started(node.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    assert!(wait_for(port) && wait_for(store), "the provider does not start");
    Some((started, port, store))
}

#[tokio::test]
async fn a_token_of_a_real_provider_is_renewed_when_it_runs_out() {
    let Some((_started, port, store)) = oidc() else { return };
    let with = |client_secret: &str| {
        let login = Login::ClientCredentials {
            token_url: format!("http://127.0.0.1:{port}/token"),
            client_id: "kith".into(),
            client_secret: secret(client_secret),
            scope: Some("write".into()),
        };
        HttpTarget::new(ServiceSpec { login, ..service(&format!("http://127.0.0.1:{store}")) }, put())
    };
    let target = with("s3cr3t: with % signs+");
    assert_eq!(shown_all(&target, &[said("1", 1, "x"), said("2", 1, "x")]).await, ["inserted", "inserted"]);
    // Tokens of this provider live for two seconds: a new one is asked for ahead of that.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(shown_all(&target, &[said("1", 2, "y")]).await, ["updated"]);
    assert!(target.login().await.is_ok());
    assert_eq!(shown_all(&target, &[said("3", 1, "x")]).await, ["inserted"]);
    let wrong = with("wrong");
    let written = write(&wrong, &[said("4", 1, "x")]).await;
    assert_eq!(shown(&written.answers[0]), "unavailable KITH-D016");
    assert_eq!(wrong.login().await.unwrap_err().code().0, "KITH-D016");
}

#[tokio::test]
async fn a_token_that_the_service_ends_is_renewed_once_and_no_more() {
    let tokens = Scripted::start(vec![
        json(200, &json!({ "access_token": "first-t0ken", "token_type": "Bearer", "expires_in": 3600 })),
        json(200, &json!({ "access_token": "second-t0ken", "token_type": "Bearer" })),
    ]);
    let server = Scripted::start(vec![answer(201, "", ""), answer(401, "", "ended: first-t0ken"), answer(401, "", "")]);
    let login = Login::ClientCredentials { token_url: tokens.url(), client_id: "kith".into(), client_secret: secret("s"), scope: None };
    let target = HttpTarget::new(ServiceSpec { login, ..service(&server.url()) }, put());
    let written = write(&target, &[said("1", 1, "x"), said("2", 1, "x")]).await;
    assert_eq!(written.answers.iter().map(shown).collect::<Vec<_>>(), ["inserted", "login_expired KITH-D016"]);
    let kept = written.exchanges[1].as_ref().unwrap();
    assert!(kept.answer.reveal().ends_with("ended: ‹hidden›"), "{}", kept.answer.reveal());
    target.login().await.unwrap();
    // A token that was never taken: asking for another at once would go on for ever.
    assert_eq!(shown_all(&target, &[said("2", 1, "x")]).await, ["unavailable KITH-D016"]);
    assert!(server.requests()[2].contains("authorization: Bearer second-t0ken"));
    assert_eq!(tokens.requests().len(), 2);
}

// ---------------------------------------------------------------------------------------------------------------- the whole service

/// The sample project, its CRM a service behind `url`.
/// The sample project with its CRM behind HTTP.
pub fn project(url: &str, extra: &str) -> support::Project {
    let project = support::Project::with(&support::slice(300));
    project.edit(
        "config/kith.toml",
        "connector = \"connectors/targets/sqlite.yaml\"\npath = \"crm/crm.db\"",
        &format!("connector = \"connectors/targets/store.yaml\"\nurl = \"{url}\"\n{extra}"),
    );
    let sqlite = std::fs::read_to_string(support::root().join("connectors/targets/sqlite.yaml")).unwrap();
    let http = sqlite.lines().map(|line| match line.trim().strip_prefix("table: ") {
        Some(table) => format!("    request: {{ method: PUT, path: '/store/{table}/{{key}}.json', key_member: kith }}\n"),
        None => format!("{}\n", line.replace("kind: sqlite", "kind: http")),
    });
    let schedule = "retry: { first: 10ms, longest: 100ms }\nbreaker: { first: 10ms, longest: 100ms }\n";
    project.write("connectors/targets/store.yaml", http.collect::<String>() + schedule);
    project
}

#[test]
fn a_run_delivers_into_a_service_and_a_second_one_sends_nothing() {
    let Some(nginx) = Nginx::start(Options { login: Some(("kith", "s3cret")), ..Options::default() }) else { return };
    let project = project(&nginx.url(), "user = \"kith\"\npassword = { file = \"config/password\" }");
    project.write("config/password", "s3cret\n");
    project.kith(&["check"]).ok();
    project.run_once();
    let documents = nginx.documents();
    assert!(documents.len() > 100, "{}", documents.len());
    assert!(documents.iter().all(|(path, d)| path.starts_with("Social") && d["kith"].as_str().is_some_and(|k| k.len() == 64)));
    let sent = nginx.accesses().len();
    project.run_once();
    assert_eq!((nginx.documents(), nginx.accesses().len()), (documents, sent));
    let log = project.kith(&["status"]).ok();
    assert!(!log.stdout.contains("s3cret") && !log.stderr.contains("s3cret"));
}

#[test]
fn a_run_whose_answers_are_lost_ends_with_the_documents_of_one_whose_are_not() {
    let (Some(calm), Some(stormy)) = (Nginx::start(Options::default()), Nginx::start(Options::default())) else { return };
    project(&calm.url(), "").run_once();
    let proxy = CuttingProxy::seeded(stormy.port, 7, 30);
    let lossy = project(&proxy.url(), "");
    let mut passes = 0;
    // A pass ends where nothing more can be sent now: the breaker may rest.
    while lossy.run_once()["totals"]["deliveries"].as_object().unwrap().keys().any(|state| !state.ends_with(": delivered")) {
        passes += 1;
        assert!(passes < 20, "it does not end");
        std::thread::sleep(Duration::from_millis(200));
    }
    let bare = |nginx: &Nginx| -> Vec<_> {
        let strip = |(path, mut d): (String, serde_json::Value)| {
            d.as_object_mut().unwrap().remove("kith");
            (path, d)
        };
        nginx.documents().into_iter().map(strip).collect()
    };
    assert_eq!(bare(&stormy), bare(&calm));
    assert!(proxy.counts().1 > 30, "{:?}", proxy.counts());
    eprintln!("{} passes; requests and cuts: {:?}", passes + 1, proxy.counts());
}

#[test]
fn a_place_that_does_not_fit_the_kind_is_told_with_both_files() {
    let project = support::Project::empty();
    project.edit("config/kith.toml", "connectors/targets/ndjson.yaml", "connectors/targets/http.yaml");
    project.kith(&["check"]).fails(2, "KITH-T013");
    project.edit("config/kith.toml", "path = \"crm/service-desk.ndjson\"", "url = \"https://kith:pass@desk.example\"");
    project.kith(&["check"]).fails(2, "KITH-C008");
    project.edit("config/kith.toml", "https://kith:pass@desk.example", "https://desk.example/api/");
    project.kith(&["check"]).ok();
}
