//! A project in a temporary folder, and the built binary run on it as a user would.

#![allow(dead_code, reason = "each test module uses what it needs")]

pub mod certificates;
pub mod clock;
pub mod contract;
pub mod crm;
pub mod cutting_proxy;
#[cfg(feature = "kerberos")]
pub mod kdc;
pub mod nginx;
pub mod python;
pub mod receiver;
pub mod scripted;
pub mod sent;
pub mod soap_stacks;
pub mod sqlserver;
pub mod sqlserver_site;
pub mod tds;
pub mod tds_cutter;
pub mod tinyproxy;

use flate2::read::MultiGzDecoder;
use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a sample file, unpacked.
pub fn sample(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    MultiGzDecoder::new(fs::File::open(root().join("tests/data/retail").join(name)).unwrap()).read_to_end(&mut out).unwrap();
    out
}

/// A port of loopback that nobody uses now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens there; false after ten seconds.
pub fn wait_for(port: u16) -> bool {
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    false
}

/// Whether a server is installed. Where it is not, the test is skipped loudly; in CI, which installs it, that is a failure.
pub fn have(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).is_file()));
    if !found {
        eprintln!("SKIPPED: `{program}` is not installed");
        assert!(std::env::var_os("CI").is_none(), "`{program}` is not installed, and CI needs it");
    }
    found
}

/// Random numbers that a seed repeats (`SplitMix64`).
pub struct Seed(pub u64);

impl Seed {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

pub struct Project {
    pub dir: tempfile::TempDir,
}

pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn fails(self, code: i32, says: &str) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(self.stderr.contains(says) || self.stdout.contains(says), "no {says}\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The last JSON object on stdout.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let last = self.stdout.lines().rev().find(|l| l.starts_with('{')).unwrap_or_else(|| panic!("no JSON object in:\n{}", self.stdout));
        serde_json::from_str(last).or_else(|_| serde_json::from_str(&self.stdout)).unwrap_or_else(|e| panic!("{e}:\n{}", self.stdout))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The first `lines` activity lines and the customers that matter for them, with every tenth other one.
pub struct Slice {
    pub activities: Vec<u8>,
    pub customers: Vec<u8>,
    pub orders: Vec<u8>,
}

pub fn slice(lines: usize) -> Slice {
    let all = sample("activities.ndjson.gz");
    let activities: Vec<u8> = all.split_inclusive(|b| *b == b'\n').take(lines).flatten().copied().collect();
    let truth = String::from_utf8(sample("truth.csv.gz")).unwrap();
    let wanted: HashSet<&str> = truth.lines().take(lines).filter_map(|l| l.split(',').nth(1)).filter(|c| !c.is_empty()).collect();
    let keep = |line: &str, at: usize, id: Option<&str>| {
        line.is_empty() || at == 0 || at.is_multiple_of(10) || id.is_some_and(|id| wanted.contains(id))
    };
    let filter = |name: &str, column: usize| {
        let text = String::from_utf8(sample(name)).unwrap();
        text.split_inclusive('\n')
            .enumerate()
            .filter(|(at, l)| keep(l, *at, l.split(',').nth(column)))
            .map(|(_, l)| l)
            .collect::<String>()
            .into_bytes()
    };
    Slice { activities, customers: filter("customers.csv.gz", 0), orders: filter("orders.csv.gz", 1) }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else if let Err(error) = fs::copy(entry.path(), target) {
            panic!("{error}")
        }
    }
}

/// A configuration like the quickstart's, over plain files in `data/`.
pub const CONFIG: &str = r#"[service]
state = "state"
mapping = "mappings/retail.yaml"

[sources.activities]
kind = "file"
path = "data/activities.ndjson"

[customers.crm]
kind = "csv"
path = "data/customers.csv"

[related.crm_orders]
kind = "csv"
path = "data/orders.csv"

[targets.crm_db]
connector = "connectors/targets/sqlite.yaml"
path = "crm/crm.db"

[targets.service_desk]
connector = "connectors/targets/ndjson.yaml"
path = "crm/service-desk.ndjson"

[audit]
origin = "kith.test/retail"
"#;

impl Project {
    /// The shipped mappings and connectors, with no data yet.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&root().join("mappings"), &dir.path().join("mappings"));
        copy(&root().join("connectors"), &dir.path().join("connectors"));
        let project = Self { dir };
        project.write("config/kith.toml", CONFIG);
        fs::create_dir_all(project.path("data")).unwrap();
        project
    }

    pub fn with(slice: &Slice) -> Self {
        let project = Self::empty();
        project.write("data/activities.ndjson", &slice.activities);
        project.write("data/customers.csv", &slice.customers);
        project.write("data/orders.csv", &slice.orders);
        project
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Adds to a file that a service may be reading: whoever writes it whole shows it empty for a moment.
    pub fn append(&self, relative: &str, content: impl AsRef<[u8]>) {
        let mut file = fs::OpenOptions::new().append(true).open(self.path(relative)).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    /// Changes a file by replacing a text that must be there.
    #[track_caller]
    pub fn edit(&self, relative: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(relative)).unwrap();
        assert!(text.contains(from), "{relative} does not contain {from:?}");
        self.write(relative, text.replace(from, to));
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kith"));
        command.current_dir(self.dir.path()).args(args).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KITH__")) {
            command.env_remove(name);
        }
        command
    }

    pub fn kith(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn run_once(&self) -> serde_json::Value {
        self.kith(&["--format", "json", "run", "--once"]).ok().json()
    }

    /// Rows of a query on the SQLite CRM, each as its values joined by `|`, sorted.
    pub fn crm(&self, sql: &str) -> Vec<String> {
        // The CRM comes into being with the first write.
        if !self.path("crm/crm.db").exists() {
            return Vec::new();
        }
        let db = rusqlite::Connection::open_with_flags(self.path("crm/crm.db"), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut statement = match db.prepare(sql) {
            Ok(statement) => statement,
            // A service that runs has made the file and not yet its tables.
            Err(error) if error.to_string().contains("no such table") => return Vec::new(),
            Err(error) => panic!("{error}\n{sql}"),
        };
        let columns = statement.column_count();
        let mut rows: Vec<String> = statement
            .query_map([], |row| {
                (0..columns)
                    .map(|i| {
                        row.get_ref(i).map(|v| match v {
                            rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                            rusqlite::types::ValueRef::Integer(i) => i.to_string(),
                            rusqlite::types::ValueRef::Real(r) => format!("{r:?}"),
                            rusqlite::types::ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
                            rusqlite::types::ValueRef::Blob(b) => format!("{b:02x?}"),
                        })
                    })
                    .collect::<Result<Vec<_>, _>>()
                    .map(|v| v.join("|"))
            })
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        rows.sort();
        rows
    }
}

/// An activity line, with what a test wants to say.
pub fn activity(network: &str, user: &str, handle: &str, name: &str, note: u32, content: &str) -> serde_json::Value {
    let base = format!("https://{network}.example");
    serde_json::json!({
        "@context": "https://www.w3.org/ns/activitystreams", "type": "Create", "id": format!("{base}/activities/{note}"), "generator": network,
        "actor": { "type": "Person", "id": format!("{base}/users/{user}"), "preferredUsername": handle, "name": name },
        "published": "2026-09-01T10:00:00Z", "to": ["https://www.w3.org/ns/activitystreams#Public"],
        "object": { "type": "Note", "id": format!("{base}/notes/{note}"), "url": format!("{base}/@{handle}/{note}"), "content": content,
                    "published": "2026-09-01T10:00:00Z", "attributedTo": format!("{base}/users/{user}") }
    })
}

/// The same note, edited later.
pub fn edited(create: &serde_json::Value, content: &str, at: &str) -> serde_json::Value {
    let mut update = create.clone();
    update["type"] = "Update".into();
    update["id"] = format!("{}/u-{at}", create["id"].as_str().unwrap()).into();
    update["published"] = at.into();
    update["object"]["content"] = content.into();
    update["object"]["updated"] = at.into();
    update
}

/// The same note, deleted later.
pub fn deleted(create: &serde_json::Value, at: &str) -> serde_json::Value {
    let mut delete = create.clone();
    delete["type"] = "Delete".into();
    delete["id"] = format!("{}/d", create["id"].as_str().unwrap()).into();
    delete["published"] = at.into();
    delete["object"] = serde_json::json!({ "type": "Tombstone", "id": create["object"]["id"], "deleted": at });
    delete
}

pub fn lines(values: &[serde_json::Value]) -> String {
    values.iter().map(|v| format!("{v}\n")).collect()
}

pub const CUSTOMERS_HEADER: &str = "customer_id,name,email,phone,company,city,postcode,country,birth_date,known_handles,segment\n";
pub const ORDERS_HEADER: &str = "order_number,customer_id,ordered_on,total,currency,status\n";
