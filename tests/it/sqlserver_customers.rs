//! Promise: customers of a SQL Server come whole and exactly, page by page, or not at all; what changed and what is gone is found.
//!
//! Each test runs on the TDS peer, and again on the server that `KITH_TEST_SQLSERVER_URL` names.

use crate::support::contract::peer_spec;
use crate::support::sqlserver::{self, batch};
use crate::support::tds::{Fault, Request, Rule, TdsPeer};
use crate::support::{ORDERS_HEADER, Project, activity, lines, slice};
use kith::cli::{Environment, Format, Global, Project as Loaded};
use kith::customers::{Before, CustomersError, Mark, ReadRow, ReadSummary, look, mark, read_related, read_since};
use kith::declare::config::{Changes, ServerRows, ServerSpec, SqliteRows, TableKind, TableSpec};
use kith::model::{CustomerId, Value};
use kith::normalize::{Cleaner, CustomerFields, Extract, Field};
use kith::pipeline::{Clock, Parts, RunOptions, Service, Unseen, WhoAsks};
use kith::store::log::InstallationKeys;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A server and a table of this test alone.
struct Place {
    spec: ServerSpec,
    peer: Option<TdsPeer>,
    table: String,
}

impl Place {
    fn sql(&self, sql: &str) {
        batch(&self.spec, &sql.replace("{t}", &self.table));
    }

    fn rows(&self, changes: Changes) -> TableSpec {
        self.of(SqliteRows::Table(self.table.as_str().into()), changes)
    }

    fn of(&self, rows: SqliteRows, changes: Changes) -> TableSpec {
        let number = |n| NonZeroU32::new(n).unwrap();
        let rows = ServerRows { server: self.spec.clone(), rows, key: "Id".into(), changes, page: number(100), every_minutes: number(15) };
        TableSpec { name: "crm".into(), kind: TableKind::SqlServer(Box::new(rows)) }
    }

    /// 10,050 customers.
    fn many(&self) {
        self.sql("CREATE TABLE {t} (Id int NOT NULL PRIMARY KEY, Name nvarchar(40) NULL, Seen datetime2(3) NULL)");
        let ids: Vec<i32> = (1..=10_050).collect();
        for part in ids.chunks(500) {
            let values: Vec<String> = part.iter().map(|id| format!("({id}, N'name {id}', '2026-01-01T00:00:00')")).collect();
            self.sql(&format!("INSERT INTO {{t}} (Id, Name, Seen) VALUES {}", values.join(", ")));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that failed before it made the table has nothing to drop.
        if self.peer.is_none() && sqlserver::try_batch(&self.spec, &format!("DROP TABLE {}", self.table)).is_err() {
            eprintln!("{} stays behind", self.table);
        }
    }
}

fn everywhere(test: impl Fn(&Place)) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let table = || format!("dbo.KithCustomers_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let peer = TdsPeer::start();
    test(&Place { spec: peer_spec(&peer), peer: Some(peer), table: table() });
    if let Some(spec) = sqlserver::spec() {
        test(&Place { spec, peer: None, table: table() });
    }
}

fn fields(columns: &[&str]) -> CustomerFields {
    let field = |(at, name): (usize, &&str)| Field {
        name: (*name).into(),
        from: vec![at],
        extract: Extract::Clean(Cleaner::Text),
        optional: false,
    };
    CustomerFields {
        related: Vec::new(),
        key: "Id".into(),
        merged_into: None,
        columns: columns.iter().map(|name| Arc::from(*name)).collect(),
        fields: columns.iter().enumerate().map(field).collect(),
    }
}

#[derive(Default)]
struct Got {
    customers: BTreeMap<String, (Vec<Value>, [u8; 16])>,
    unchanged: Vec<String>,
    parked: Vec<String>,
}

type Read = (Got, Result<(ReadSummary, Option<Mark>), CustomersError>);

fn get(spec: &TableSpec, columns: &[&str], before: Option<(&Mark, &Got)>) -> Read {
    let mut got = Got::default();
    let digest = |id: &CustomerId| before.and_then(|(_, known)| known.customers.get(id.as_str())).map(|(_, digest)| *digest);
    let since = before.map(|(mark, _)| Before { mark, digest: &digest });
    let result = read_since(spec, &fields(columns), 64, since.as_ref(), &mut |rows| {
        for row in rows {
            match row {
                ReadRow::Customer(read) => {
                    let id = read.customer.id.as_str().to_owned();
                    assert!(got.customers.insert(id, (read.customer.raw.reveal().clone(), read.digest)).is_none(), "a customer came twice");
                }
                ReadRow::Unchanged(id) => got.unchanged.push(id.as_str().to_owned()),
                ReadRow::Parked(row) => {
                    got.parked.push(format!("{} {}", row.reason.code, row.customer.map_or("?".into(), |id| id.as_str().to_owned())))
                }
            }
        }
    });
    (got, result)
}

#[test]
fn every_type_comes_exactly() {
    everywhere(|place| {
        place.sql(
            "CREATE TABLE {t} (Id uniqueidentifier NOT NULL PRIMARY KEY, A bigint NULL, B decimal(28, 10) NULL, C money NULL, D date NULL, E datetime2(7) NULL, \
             F bit NULL, G nvarchar(max) NULL, H nchar(6) NULL, I float NULL, J datetimeoffset(3) NULL, K varbinary(4) NULL, L time(3) NULL)",
        );
        place.sql(
            "INSERT INTO {t} VALUES ('6F9619FF-8B86-D011-B42D-00C04FC964FF', -9223372036854775808, CAST('123456789012345678.0123456789' AS decimal(28, 10)), CAST('922337203685477.5807' AS money), \
             '0001-01-01', '9999-12-31T23:59:59.9999999', 1, N'Zoë 🎉', N'ab', 0.1, '2026-01-31T23:30:00.125+02:00', NULL, '23:59:59.999')",
        );
        place.sql("INSERT INTO {t} (Id, K) VALUES ('7F9619FF-8B86-D011-B42D-00C04FC964FF', 0x0102)");
        let columns = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"];
        let (got, summary) = get(&place.rows(Changes::Compared), &columns, None);
        assert_eq!(summary.unwrap().0.rows, 2);
        assert_eq!(got.parked, ["KITH-U024 7f9619ff-8b86-d011-b42d-00c04fc964ff"]);
        let values = &got.customers["6f9619ff-8b86-d011-b42d-00c04fc964ff"].0;
        let text = Value::text;
        let wanted = [
            Value::Integer(i64::MIN),
            text("123456789012345678.0123456789"),
            text("922337203685477.5807"),
            text("0001-01-01"),
            text("9999-12-31T23:59:59.9999999"),
            Value::Integer(1),
            text("Zoë 🎉"),
            text("ab"),
            Value::Number(0.1),
            text("2026-01-31T21:30:00.125Z"),
            Value::Missing,
            text("23:59:59.999"),
        ];
        assert_eq!(values[..], wanted);
    });
}

#[test]
fn a_cut_connection_is_made_again_and_the_page_asked_again() {
    everywhere(|place| {
        place.many();
        let spec = place.rows(Changes::Compared);
        let (whole, summary) = get(&spec, &["Name"], None);
        let summary = summary.unwrap().0;
        assert_eq!((whole.customers.len(), summary.rows, summary.parked), (10_050, 10_050, 0));
        let Some(peer) = &place.peer else { return };
        for fault in [Fault::CutWithin, Fault::CutBefore, Fault::error(1205)] {
            peer.fail(Rule::new("SELECT TOP (100)", fault).after(40));
        }
        let (again, resumed) = get(&spec, &["Name"], None);
        assert_eq!(resumed.unwrap().0, summary);
        assert_eq!(again.customers, whole.customers);
        assert_eq!(peer.fired().len(), 3);
        // A read that does not come to its end is no update.
        peer.fail(Rule::new("SELECT TOP (100)", Fault::error(229)).after(40));
        let (half, failed) = get(&spec, &["Name"], None);
        assert!(half.customers.len() < 10_050);
        assert_eq!(failed.unwrap_err().code().0, "KITH-U015");
    });
}

#[test]
fn only_what_changed_is_read_again_and_what_is_gone_is_noticed() {
    everywhere(|place| {
        place.many();
        let spec = place.rows(Changes::Column("Seen".into()));
        let (first, summary) = get(&spec, &["Name"], None);
        let (summary, mark_then) = summary.unwrap();
        let mark_then = mark_then.unwrap();
        assert!(mark(&spec).unwrap().unwrap().is_as(&mark_then));
        // Everything is as old as the newest: the overlap has all of it.
        place.sql("UPDATE {t} SET Seen = '2020-01-01T00:00:00' WHERE Id <> 77");
        place.sql("UPDATE {t} SET Seen = '2026-02-01T00:00:00', Name = N'other' WHERE Id = 77");
        place.sql("DELETE FROM {t} WHERE Id = 5000");
        place.sql("INSERT INTO {t} (Id, Name, Seen) VALUES (20000, N'late', '2019-01-01T00:00:00')");
        assert!(!mark(&spec).unwrap().unwrap().is_as(&mark_then));
        if let Some(peer) = &place.peer {
            peer.forget();
        }
        let (second, then) = get(&spec, &["Name"], Some((&mark_then, &first)));
        let (then, _) = then.unwrap();
        assert_eq!(second.customers.keys().collect::<Vec<_>>(), ["20000", "77"]);
        assert_eq!(second.customers["77"].0, [Value::text("other")]);
        assert_eq!(second.unchanged.len(), 10_048);
        assert!(!second.unchanged.contains(&"5000".to_owned()));
        assert_ne!(then.digest, summary.digest);
        // The digest is that of a whole read.
        let (_, whole) = get(&spec, &["Name"], None);
        assert_eq!(whole.unwrap().0.digest, then.digest);
        let Some(peer) = &place.peer else { return };
        let fetched = peer.recorded().iter().filter(|r| r.text().contains("[Name]") && r.text().contains("TOP (200)")).count();
        assert_eq!(fetched, 2, "only the pages with something new are fetched");
    });
}

#[test]
fn rows_without_a_usable_key_stand_aside() {
    everywhere(|place| {
        place.sql("CREATE TABLE {t} (Id nvarchar(20) NULL, Name nvarchar(40) NULL)");
        let values: Vec<String> = (0..150).map(|at| format!("(N'k{at:04}', N'n')")).collect();
        place.sql(&format!("INSERT INTO {{t}} VALUES {}", values.join(", ")));
        place.sql("INSERT INTO {t} VALUES (NULL, N'nobody'), (N'k0099', N'twin'), (N'k0010', N'twin'), (N' ', N'blank')");
        let query = SqliteRows::Query(format!("SELECT Id, Name FROM {}", place.table).into());
        for spec in [place.rows(Changes::Compared), place.of(query, Changes::Compared)] {
            let (mut got, summary) = get(&spec, &["Name"], None);
            got.parked.sort();
            assert_eq!(got.customers.len(), 150);
            assert_eq!(got.parked, ["KITH-U022 ?", "KITH-U022 ?", "KITH-U023 k0010", "KITH-U023 k0099"]);
            assert_eq!(summary.unwrap().0.rows, 154);
        }
        let looked = look(&place.rows(Changes::Compared)).unwrap().unwrap();
        assert!(looked.nullable && looked.unique != Some(true) && looked.rows == 154);
        let (related, parked, summary) = read_related(&place.rows(Changes::Compared), "Id", 3).unwrap();
        assert_eq!((related.customers(), parked.len(), summary.rows), (150, 2, 154));
    });
}

#[test]
fn what_can_not_be_read_is_told_with_a_code() {
    everywhere(|place| {
        place.sql("CREATE TABLE {t} (Id int NOT NULL PRIMARY KEY, Name nvarchar(40) NULL, Score float NULL)");
        let code = |spec: &TableSpec| get(spec, &["Name"], None).1.unwrap_err().code().0;
        let with = |change: &dyn Fn(&mut ServerRows)| {
            let mut spec = place.rows(Changes::Compared);
            if let TableKind::SqlServer(rows) = &mut spec.kind {
                change(rows);
            }
            spec
        };
        assert_eq!(code(&with(&|rows| rows.rows = SqliteRows::Table("dbo.Nobody".into()))), "KITH-U014");
        assert_eq!(code(&with(&|rows| rows.rows = SqliteRows::Query("DELETE FROM x".into()))), "KITH-U010");
        assert_eq!(code(&with(&|rows| rows.rows = SqliteRows::Query("SELECT a FROM dbo.Nobody".into()))), "KITH-U014");
        assert_eq!(code(&with(&|rows| rows.key = "Score".into())), "KITH-U016");
        assert_eq!(code(&with(&|rows| rows.key = "Idd".into())), "KITH-U007");
        assert_eq!(code(&with(&|rows| rows.changes = Changes::Column("Name".into()))), "KITH-U018");
        assert_eq!(code(&with(&|rows| rows.changes = Changes::Tracking)), "KITH-U018");
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let away = kith::declare::config::ServerAddress::parse(&format!("127.0.0.1:{nobody}")).unwrap();
        assert_eq!(code(&with(&|rows| rows.server.address = away.clone())), "KITH-U011");
        let wrong = sqlserver::server("127.0.0.1", place.spec.address.at.clone(), "x", "nobody", "wrong").login;
        assert_eq!(code(&with(&|rows| rows.server.login = wrong.clone())), "KITH-U012");
    });
}

#[test]
fn the_service_decides_as_from_a_file_and_the_guard_and_the_doctor_stand() {
    everywhere(|place| {
        let slice = slice(200);
        let text = String::from_utf8(slice.customers.clone()).unwrap();
        let from_file = Project::with(&slice);
        from_file.run_once();
        let project = Project::with(&slice);
        let mut table = csv::Reader::from_reader(text.as_bytes());
        let header: Vec<String> = table.headers().unwrap().iter().map(str::to_owned).collect();
        let columns: Vec<String> = header
            .iter()
            .map(|name| {
                if name == "customer_id" {
                    format!("{name} nvarchar(40) NOT NULL PRIMARY KEY")
                } else {
                    format!("{name} nvarchar(200) NULL")
                }
            })
            .collect();
        place.sql(&format!("CREATE TABLE {{t}} ({})", columns.join(", ")));
        let literal = |cell: &str| if cell.is_empty() { "NULL".to_owned() } else { format!("N'{}'", cell.replace('\'', "''")) };
        let values: Vec<String> =
            table.records().map(|row| format!("({})", row.unwrap().iter().map(literal).collect::<Vec<_>>().join(", "))).collect();
        for part in values.chunks(200) {
            place.sql(&format!("INSERT INTO {{t}} ({}) VALUES {}", header.join(", "), part.join(", ")));
        }
        let server = sqlserver::project_toml(&place.spec, &project.path("password"));
        let keys = format!("kind = \"sqlserver\"\ntable = \"{}\"\nkey = \"customer_id\"\npage = 1000\n{server}", place.table);
        project.edit("config/kith.toml", "kind = \"csv\"\npath = \"data/customers.csv\"\n", &keys);
        project.kith(&["doctor"]).ok();
        project.run_once();
        let links = "SELECT CustomerID, Network, Handle, MatchWeight FROM SocialProfile";
        let same = |project: &Project| project.crm(links);
        assert_eq!(same(&project), same(&from_file));
        // A read that ends in the middle retires nobody, even where the guard would let it.
        if let Some(peer) = &place.peer {
            peer.fail(Rule::new("SELECT TOP (1000)", Fault::error(229)).after(2));
            project.kith(&["run", "--once"]).fails(1, "KITH-U015");
            project.run_once();
            assert_eq!(same(&project), same(&from_file));
        }
        place.sql("DELETE FROM {t} WHERE customer_id > (SELECT MIN(customer_id) FROM {t})");
        project.kith(&["run", "--once"]).fails(1, "KITH-U030");
        place.sql("DROP TABLE {t}");
        project.kith(&["doctor"]).fails(1, "KITH-U014");
        place.sql("CREATE TABLE {t} (Id int NULL)");
    });
}

/// Two minutes each second, so that a server is asked often.
struct Hurried(std::time::Instant, kith::model::Timestamp);

impl Clock for Hurried {
    fn now(&self) -> kith::model::Timestamp {
        self.1.checked_add(self.0.elapsed() * 120).unwrap()
    }
}

#[test]
fn a_running_service_takes_in_what_changes_on_the_server() {
    everywhere(|place| {
        let rows = "customer_id nvarchar(40) NOT NULL PRIMARY KEY, name nvarchar(80) NULL, email nvarchar(80) NULL, phone nvarchar(40) NULL, \
                    company nvarchar(80) NULL, city nvarchar(80) NULL, postcode nvarchar(20) NULL, country nvarchar(20) NULL, \
                    birth_date date NULL, known_handles nvarchar(200) NULL, segment nvarchar(20) NULL, version rowversion NOT NULL";
        place.sql(&format!("CREATE TABLE {{t}} ({rows})"));
        let values: Vec<String> = (1..=60).map(|n| format!("(N'C{n:03}', N'Somebody {n}')")).collect();
        place.sql(&format!("INSERT INTO {{t}} (customer_id, name) VALUES {}", values.join(", ")));
        place.sql("UPDATE {t} SET known_handles = N'linkedin:@ben_thorn' WHERE customer_id = N'C001'");
        let project = Project::empty();
        let says = |user: &str, handle: &str, note| activity("linkedin", user, handle, handle, note, "grazie");
        project.write("data/activities.ndjson", lines(&[says("u1", "ben_thorn", 1), says("u2", "ada_rossi", 2)]));
        project.write("data/orders.csv", ORDERS_HEADER);
        project.edit("mappings/retail.yaml", "relink: 1 %", "relink: 100 %");
        let keys = format!(
            "kind = \"sqlserver\"\ntable = \"{}\"\nkey = \"customer_id\"\nchanges = \"version\"\nevery_minutes = 1\npage = 1000\n{}",
            place.table,
            sqlserver::project_toml(&place.spec, &project.path("password"))
        );
        project.edit("config/kith.toml", "kind = \"csv\"\npath = \"data/customers.csv\"\n", &keys);
        project.edit("config/kith.toml", "[service]\n", "[service]\npoll_seconds = 1\n");
        let environment = Environment::of(&[], "tester");
        let global = Global { config: project.path("config/kith.toml"), format: Format::Human, verbose: 0, quiet: true };
        let loaded = Loaded::load(&global, &environment).into_result().unwrap_or_else(|problems| panic!("{problems:?}")).0;
        let mut config = loaded.config;
        for secret in config.customers.iter_mut().flat_map(TableSpec::secrets_mut) {
            secret.value = Some(environment.secret(&secret.source).unwrap());
        }
        std::fs::create_dir_all(&config.service.state).unwrap();
        let parts = Parts {
            rulebook: loaded.rulebook,
            targets: config.targets.iter().cloned().zip(loaded.targets).collect(),
            keys: InstallationKeys::for_one_process("kith.test/retail").unwrap(),
            config,
        };
        let who = WhoAsks { user: "tester".into(), role: kith::audit::Role::Operator };
        let clock = Arc::new(Hurried(std::time::Instant::now(), kith::model::Timestamp::now()));
        let service = Service::open(parts, who, clock, Arc::new(Unseen)).unwrap();
        let (stop, stops) = tokio::sync::watch::channel(false);
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(service.run(&RunOptions::default(), stops))
        });
        let profiles = |wanted: &[&str]| {
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
            loop {
                let found = project.crm("SELECT CustomerID, Handle FROM SocialProfile");
                if found == wanted {
                    break;
                }
                assert!(std::time::Instant::now() < deadline, "{found:?} instead of {wanted:?}");
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        };
        profiles(&["C001|ben_thorn"]);
        if let Some(peer) = &place.peer {
            peer.forget();
        }
        place.sql("UPDATE {t} SET known_handles = N'linkedin:@ada_rossi' WHERE customer_id = N'C002'");
        profiles(&["C001|ben_thorn", "C002|ada_rossi"]);
        place.sql("DELETE FROM {t} WHERE customer_id = N'C001'");
        profiles(&["C002|ada_rossi"]);
        stop.send(true).unwrap();
        running.join().unwrap().unwrap();
        let Some(peer) = &place.peer else { return };
        let read: Vec<String> = peer.recorded().iter().map(Request::text).filter(|text| text.contains("q.[known_handles]")).collect();
        assert_eq!(read.len(), 1, "one row was fetched once: {read:#?}");
        assert!(read[0].contains("[version] >= 0x"), "{}", read[0]);
    });
}

/// `KITH_TEST_SQLSERVER_URL=… cargo nextest run --release --run-ignored only speed_of_a_whole_read --no-capture`
#[test]
#[ignore = "a measurement: a million rows on the server that KITH_TEST_SQLSERVER_URL names"]
fn speed_of_a_whole_read() {
    let Some(spec) = sqlserver::spec() else { return };
    let place = Place { spec, peer: None, table: format!("dbo.KithSpeed_{}", std::process::id()) };
    place.sql("CREATE TABLE {t} (Id int NOT NULL PRIMARY KEY, Name nvarchar(80) NULL, Mail nvarchar(120) NULL, Seen datetime2(3) NULL)");
    for start in (0..1_000_000).step_by(1_000) {
        let values: Vec<String> = (start..start + 1_000)
            .map(|id| format!("({id}, N'name of {id}', N'customer.{id}@example.org', '2026-01-01T00:00:00')"))
            .collect();
        place.sql(&format!("INSERT INTO {{t}} VALUES {}", values.join(", ")));
    }
    for changes in [Changes::Compared, Changes::Column("Seen".into())] {
        let mut spec = place.rows(changes);
        if let TableKind::SqlServer(rows) = &mut spec.kind {
            rows.page = NonZeroU32::new(5_000).unwrap();
        }
        let began = std::time::Instant::now();
        let (got, read) = get(&spec, &["Name", "Mail"], None);
        assert_eq!(got.customers.len(), 1_000_000);
        eprintln!("whole read: {:.0} rows/s", 1e6 / began.elapsed().as_secs_f64());
        let mark = read.unwrap().1.unwrap();
        place.sql("UPDATE {t} SET Seen = '2025-01-01T00:00:00'");
        let began = std::time::Instant::now();
        let (_, read) = get(&spec, &["Name", "Mail"], Some((&mark, &got)));
        read.unwrap();
        eprintln!("next read: {:.1} s", began.elapsed().as_secs_f64());
    }
}
