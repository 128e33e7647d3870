//! Upserts a second through the SOAP target against PHP's `SoapServer`, beside a bare HTTP client that posts a fixed envelope and beside zeep, in one run:
//! one after the other, and eight at a time. Prints a table and writes JSON (`target/bench-soap.json`). Run: `cargo bench --bench soap`.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, over figures that it made itself"
)]

use kith::declare::config::{GivenSecret, Login, Secret, SecretSource, ServiceSpec};
use kith::declare::connector::{self, TargetFile};
use kith::deliver::{SoapTarget, Target as _};
use kith::diagnose::SourceFile;
use kith::model::{Delivery, DeliveryId, Digest, IdempotencyKey, Intended, OperationId, Personal, RecordKey, TargetId, WriteIntent};
use serde_json::json;
use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Failure = Box<dyn Error + Send + Sync>;

/// Calls of each measurement; the store of the server is small, so that its own time does not grow.
const CALLS: u32 = 160;
/// Measurements of each, in turns: a machine that is busy with something else is so for both, and the middle one of their shares tells.
const TURNS: usize = 41;
const RECORDS: u32 = 20;
const AT_ONCE: u32 = 8;

struct Server(Child, u16);

impl Drop for Server {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process_group};
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ended = kill_process_group(group, Signal::TERM);
        }
        drop(self.0.wait());
    }
}

fn server(folder: &Path, store: &Path) -> Result<Server, Failure> {
    use std::os::unix::process::CommandExt as _;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let child = Command::new("php")
        .args(["-S", &format!("127.0.0.1:{port}")])
        .arg(folder.join("php.php"))
        .env("KITH_STORE", store)
        .env("PHP_CLI_SERVER_WORKERS", "8")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let server = Server(child, port);
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(server);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("PHP does not start".into())
}

fn file(folder: &Path) -> Result<Arc<TargetFile>, Failure> {
    let text = format!(
        "kith: 1
target: t
kind: soap
soap:
  wsdl: {}
  port: CrmSoap11
  path: /crm
  every_call: {{ headers: {{ Session/Id: \"{{session}}\" }} }}
  session: {{ operation: Login, values: {{ User: \"{{user}}\", Password: \"{{password}}\" }}, token: LoginResult }}
operations:
  upsert:
    record_key: [Id]
    on_delete: keep
    soap:
      call: {{ operation: UpsertContact, record: Contact, values: {{ ExternalId: \"{{Id}}\" }}, proof: Id }}
      settle: repeat
    fields:
      Id: {{ type: text, at: ExternalId }}
      Name: {{ type: text, at: LastName, required: true }}
      First: {{ type: text, at: FirstName }}
      Email: {{ type: text }}
",
        folder.join("stack.wsdl").display()
    );
    let checked = connector::read(&Arc::new(SourceFile { name: "t.yaml".into(), text }));
    checked.value.map(Arc::new).ok_or_else(|| "the target file of the benchmark is not right".into())
}

fn delivery(n: u32) -> Intended {
    let fields = [
        ("Id", format!("k{}", n % RECORDS)),
        ("Name", "Rossi & Söhne".into()),
        ("First", "Ada".into()),
        ("Email", "ada@example.com".into()),
    ];
    let mut key = [0; 32];
    key.iter_mut().zip(n.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
    let delivery = Delivery {
        id: DeliveryId(n.into()),
        entry: "bench".into(),
        target: TargetId("t".into()),
        operation: OperationId("upsert".into()),
        intent: WriteIntent::Write,
        record: RecordKey("[]".into()),
        idempotency: IdempotencyKey(Digest(key)),
        payload: Personal::new(fields.into_iter().map(|(name, value)| (name.into(), value.as_str().into())).collect()),
        expects: None,
        attempt: 1,
    };
    Intended::mint(delivery, 1)
}

/// Calls a second.
async fn measured<F, W>(at_once: u32, one: F) -> Result<f64, Failure>
where
    F: Fn(u32) -> W + Clone + Send + 'static,
    W: Future<Output = Result<(), Failure>> + Send,
{
    let started = Instant::now();
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..at_once {
        let one = one.clone();
        lanes.spawn(async move {
            let mut n = lane;
            while n < CALLS {
                one(n).await?;
                n += at_once;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(done) = lanes.join_next().await {
        done??;
    }
    Ok(f64::from(CALLS) / started.elapsed().as_secs_f64())
}

async fn kith(target: SoapTarget, at_once: u32) -> Result<f64, Failure> {
    measured(at_once, move |n| {
        let target = target.clone();
        async move {
            let written = target.write(&[delivery(n)]).await;
            match written.answers.first() {
                Some(Ok(_)) => Ok(()),
                other => Err(format!("{other:?}").into()),
            }
        }
    })
    .await
}

/// The median.
fn middle(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

async fn bare(client: reqwest::Client, url: String, session: String, at_once: u32) -> Result<f64, Failure> {
    let envelope = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:n=\"urn:example:stack:v1\"><s:Header><n:Session><n:Id>{session}</n:Id></n:Session></s:Header><s:Body><n:UpsertContact><n:ExternalId>k1</n:ExternalId><n:Contact><n:ExternalId>k1</n:ExternalId><n:LastName>Rossi &amp; Söhne</n:LastName><n:FirstName>Ada</n:FirstName><n:Email>ada@example.com</n:Email></n:Contact></n:UpsertContact></s:Body></s:Envelope>"
    );
    measured(at_once, move |_| {
        let request = client
            .post(&url)
            .header("content-type", "text/xml; charset=utf-8")
            .header("soapaction", "\"urn:example:stack:v1#UpsertContact\"")
            .body(envelope.clone());
        async move {
            let reply = request.send().await?;
            let (status, text) = (reply.status(), reply.text().await?);
            if status.is_success() && text.contains("UpsertContactResponse") {
                Ok(())
            } else {
                Err(format!("HTTP {status}: {text}").into())
            }
        }
    })
    .await
}

const ZEEP: &str = r"
import sys, time, zeep
from zeep import xsd
wsdl, url, session, calls = sys.argv[1:5]
client = zeep.Client(wsdl)
service = client.create_service('{urn:example:stack:v1}CrmSoap11', url)
header = client.get_element('{urn:example:stack:v1}Session')(Id=session)
def one(n):
    service.UpsertContact(ExternalId='k%d' % (n % 20), Contact={'ExternalId': 'k%d' % (n % 20), 'LastName': 'Rossi & Söhne', 'FirstName': 'Ada', 'Email': ['ada@example.com']}, _soapheaders=[header])
one(0)
started = time.time()
for n in range(int(calls)): one(n)
print(int(calls) / (time.time() - started))
";

fn zeep(folder: &Path, url: &str, session: &str) -> Option<f64> {
    let output = Command::new("python3")
        .args(["-c", ZEEP, &folder.join("stack.wsdl").display().to_string(), url, session, "400"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn main() -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/support/soap/stacks");
    let store = tempfile::tempdir()?;
    let server = server(&folder, store.path())?;
    let url = format!("http://127.0.0.1:{}", server.1);
    let password = GivenSecret { source: SecretSource::Env("X".into()), value: Secret::from_bytes(b"s3cret&<>".to_vec()).ok() };
    let spec = ServiceSpec { login: Login::Basic { user: "svc".into(), password }, ..ServiceSpec::plain(&url) };
    let target = SoapTarget::new(spec, file(&folder)?).ok_or("the target file is of another kind")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // The first call logs in and reads the WSDL; its session serves the others, too.
    runtime.block_on(async { target.write(&[delivery(0)]).await });
    let held: serde_json::Value = serde_json::from_slice(&std::fs::read(store.path().join("store.json"))?)?;
    let session = held.pointer("/sessions/0").and_then(|s| s.as_str()).ok_or("there is no session")?.to_owned();
    let address = format!("{url}/crm");
    let mut rows = Vec::new();
    for at_once in [1, AT_ONCE] {
        let client = reqwest::Client::builder().no_proxy().http1_only().tls_certs_only([]).build()?;
        let (mut ours, mut theirs, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for turn in 0..TURNS {
            // Whoever goes first finds the server as the other left it: they take turns in that, too.
            let mut of_kith = None;
            if turn % 2 == 0 {
                of_kith = Some(runtime.block_on(kith(target.clone(), at_once))?);
            }
            let of_bare = runtime.block_on(bare(client.clone(), address.clone(), session.clone(), at_once))?;
            let of_kith = match of_kith {
                Some(rate) => rate,
                None => runtime.block_on(kith(target.clone(), at_once))?,
            };
            shares.push(of_kith / of_bare);
            ours.push(of_kith);
            theirs.push(of_bare);
        }
        rows.push((at_once, middle(ours), middle(theirs), middle(shares)));
    }
    let zeep = zeep(&folder, &address, &session);
    println!("upserts a second against PHP's SoapServer (the median of {TURNS} × {CALLS} calls, in turns)");
    println!("{:<12}{:>10}{:>10}{:>10}", "at once", "kith", "bare", "share");
    for (at_once, ours, theirs, share) in &rows {
        println!("{at_once:<12}{ours:>10.0}{theirs:>10.0}{:>9.0}%", 100.0 * share);
    }
    match zeep {
        Some(zeep) => println!("{:<12}{zeep:>10.0}", "zeep, 1"),
        None => println!("zeep is not installed"),
    }
    let told: Vec<_> = rows
        .iter()
        .map(|(at_once, ours, theirs, share)| json!({ "at_once": at_once, "kith": ours, "bare": theirs, "share": share }))
        .collect();
    std::fs::create_dir_all(root.join("target"))?;
    std::fs::write(root.join("target/bench-soap.json"), json!({ "calls": CALLS, "turns": TURNS, "rows": told, "zeep": zeep }).to_string())?;
    Ok(())
}
