//! A project whose customers, orders and targets stand on one SQL Server, set up by the very files that a DBA runs (`ops/sql/`).

#![allow(clippy::wildcard_enum_match_arm, reason = "a value in words, made for people who read a failure")]

use super::contract::peer_spec;
use super::sqlserver::{self, batch, try_batch};
use super::tds::{Param, SqlValue, TdsPeer};
use super::{Project, Slice, root};
use kith::declare::config::{ServerAddress, ServerAt, ServerSpec};
use kith::model::Value;
use kith::wire::tds;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

/// The server, and the project that uses it.
pub struct Site {
    pub spec: ServerSpec,
    pub peer: Option<TdsPeer>,
    pub project: Project,
    /// On a server that others use too, everything stands in a schema of this run.
    schema: Option<String>,
}

impl Site {
    /// On the peer, with the names as they are shipped.
    pub fn peer(slice: &Slice) -> Self {
        let peer = TdsPeer::start();
        Self::made(peer_spec(&peer), Some(peer), None, slice)
    }

    /// On the server that the environment names; `None` is told loudly.
    pub fn real(slice: &Slice) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let spec = sqlserver::spec()?;
        let schema = format!("kith_run_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        if let Err(fault) = try_batch(&spec, &format!("CREATE SCHEMA {schema}")) {
            eprintln!("SKIPPED: the login of {} may make no schema: {fault}", sqlserver::VARIABLE);
            return None;
        }
        Some(Self::made(spec, None, Some(schema), slice))
    }

    fn made(spec: ServerSpec, peer: Option<TdsPeer>, schema: Option<String>, slice: &Slice) -> Self {
        let project = Project::empty();
        project.write("data/activities.ndjson", &slice.activities);
        let site = Self { spec, peer, project, schema };
        for file in ["kith.sql", "social.sql", "service-request.sql"] {
            site.script(&fs::read_to_string(root().join("ops/sql").join(file)).unwrap());
        }
        // Text as it was typed, as in many an old CRM: dates of births in every form.
        site.table("dbo.Customer", "customer_id", &slice.customers);
        site.table("dbo.CustomerOrder", "order_number", &slice.orders);
        let target = fs::read_to_string(root().join("connectors/targets/sqlserver.yaml")).unwrap();
        let target = target.replace(
            "# sqlserver: { ledger: kith.DeliveryLedger, records: kith.RecordState }",
            "sqlserver: { ledger: kith.DeliveryLedger, records: kith.RecordState }",
        );
        site.project.write("connectors/targets/sqlserver.yaml", site.named(&target));
        site.configure(&site.spec);
        site
    }

    /// Writes the configuration anew, with the targets behind another port: a proxy's.
    pub fn deliver_through(&self, port: u16) {
        self.configure(&ServerSpec { address: ServerAddress { host: "127.0.0.1".into(), at: ServerAt::Port(port) }, ..self.spec.clone() });
    }

    fn configure(&self, targets: &ServerSpec) {
        let (read, write) = (self.server_toml(&self.spec), self.server_toml(targets));
        let table =
            |name: &str, key: &str| format!("kind = \"sqlserver\"\ntable = \"{}\"\nkey = \"{key}\"\npage = 500\n{read}", self.named(name));
        let config = format!(
            "[service]\nstate = \"state\"\nmapping = \"mappings/retail.yaml\"\n\n[sources.activities]\nkind = \"file\"\npath = \"data/activities.ndjson\"\n\n\
             [customers.crm]\n{}\n[related.crm_orders]\n{}\n[targets.crm_db]\nconnector = \"connectors/targets/sqlserver.yaml\"\n{write}\n\
             [targets.service_desk]\nconnector = \"connectors/targets/sqlserver.yaml\"\n{write}\n[audit]\norigin = \"kith.test/retail\"\n",
            table("dbo.Customer", "customer_id"),
            table("dbo.CustomerOrder", "order_number"),
        );
        self.project.write("config/kith.toml", config);
    }

    fn server_toml(&self, spec: &ServerSpec) -> String {
        sqlserver::project_toml(spec, &self.project.path("password"))
    }

    /// The names of this run.
    pub fn named(&self, text: &str) -> String {
        let Some(schema) = &self.schema else { return text.to_owned() };
        let mut out = text.replace("kith_writer", &format!("{schema}_writer"));
        for shipped in ["kith", "crm", "dbo"] {
            for (from, to) in [
                (format!("{shipped}."), format!("{schema}.")),
                (format!("N'{shipped}'"), format!("N'{schema}'")),
                (format!("CREATE SCHEMA {shipped}"), format!("CREATE SCHEMA {schema}")),
            ] {
                out = out.replace(&from, &to);
            }
        }
        out
    }

    /// Runs a file as `sqlcmd` does: batches between lines `GO`.
    fn script(&self, text: &str) {
        for part in self.named(text).split("\nGO\n") {
            let part = part.trim();
            let is_empty = part.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with("--"));
            if is_empty {
                continue;
            }
            // The peer has procedures as closures.
            let mut names = ["AddSocialServiceRequest", "BlankSocialServiceRequest"].into_iter();
            let name = names.find(|name| part.contains(&format!("CREATE PROCEDURE crm.{name}")));
            match (&self.peer, name) {
                (Some(peer), Some(name)) => procedure(peer, name),
                // A login that owns its schema does not need the role.
                (None, _) if part.contains("CREATE ROLE") || part.contains("GRANT ") => {
                    if let Err(fault) = try_batch(&self.spec, part) {
                        eprintln!("no role, or no right for it: {fault}");
                    }
                }
                _ => drop(batch(&self.spec, part)),
            }
        }
    }

    /// A table of the CRM's from a file of the sample data.
    fn table(&self, name: &str, key: &str, content: &[u8]) {
        let mut read = csv::Reader::from_reader(content);
        let header: Vec<String> = read.headers().unwrap().iter().map(str::to_owned).collect();
        let ty = |column: &str| if column == key { "nvarchar(40) NOT NULL PRIMARY KEY" } else { "nvarchar(200) NULL" };
        let columns: Vec<String> = header.iter().map(|column| format!("{column} {}", ty(column))).collect();
        self.sql(&format!("CREATE TABLE {name} ({})", columns.join(", ")));
        let literal = |cell: &str| if cell.is_empty() { "NULL".to_owned() } else { format!("N'{}'", cell.replace('\'', "''")) };
        let values: Vec<String> =
            read.records().map(|row| format!("({})", row.unwrap().iter().map(literal).collect::<Vec<_>>().join(", "))).collect();
        for part in values.chunks(500) {
            self.sql(&format!("INSERT INTO {name} ({}) VALUES {}", header.join(", "), part.join(", ")));
        }
    }

    /// Runs Transact-SQL; names are those of the shipped files.
    #[track_caller]
    pub fn sql(&self, sql: &str) {
        batch(&self.spec, &self.named(sql));
    }

    /// Rows, each as its values joined by `|`, sorted: as `Project::crm` shows those of SQLite.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let answered = batch(&self.spec, &self.named(sql));
        let shown = |value: &Value| match value {
            Value::Missing => "NULL".to_owned(),
            Value::Integer(number) => number.to_string(),
            Value::Number(number) => format!("{number:?}"),
            Value::Text(text) => text.to_string(),
            other => other.to_json().to_string(),
        };
        let row = |row: &tds::Row| row.iter().map(|cell| shown(&tds::read(cell))).collect::<Vec<_>>().join("|");
        let mut rows: Vec<String> = answered.iter().flat_map(|answered| &answered.rows).map(row).collect();
        rows.sort();
        rows
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.schema.is_none() {
            return;
        }
        let drops = [
            "DROP PROCEDURE crm.AddSocialServiceRequest",
            "DROP PROCEDURE crm.BlankSocialServiceRequest",
            "DROP TABLE crm.ServiceRequest",
            "DROP TABLE dbo.SocialProfile",
            "DROP TABLE dbo.SocialInteraction",
            "DROP TABLE dbo.SocialLead",
            "DROP TABLE dbo.Customer",
            "DROP TABLE dbo.CustomerOrder",
            "DROP TABLE kith.DeliveryLedger",
            "DROP TABLE kith.RecordState",
            "DROP SCHEMA kith",
            "DROP ROLE kith_writer",
        ];
        for sql in drops {
            // `DROP SCHEMA kith` has no point behind the name.
            let sql = self.named(sql).replace("DROP SCHEMA kith", &format!("DROP SCHEMA {}", self.schema.as_deref().unwrap_or_default()));
            if try_batch(&self.spec, &sql).is_err() {
                eprintln!("{sql}: it stays behind");
            }
        }
    }
}

/// The sample procedures of `ops/sql/service-request.sql`, as the peer has procedures.
fn procedure(peer: &TdsPeer, name: &str) {
    let optional = |name: &str, ty: &str| Param::input(name, ty).or(SqlValue::Null);
    let mut parameters =
        vec![Param::input("@PostURL", "varchar(1600)"), optional("@Abstract", "nvarchar(250)"), optional("@DeliveryKey", "char(64)")];
    if name.starts_with("Blank") {
        peer.procedure(&format!("crm.{name}"), parameters, |call| {
            let there = call.sql("SELECT 1 AS x FROM crm.ServiceRequest WHERE PostURL = @PostURL")?;
            call.sql("UPDATE crm.ServiceRequest SET Abstract = @Abstract WHERE PostURL = @PostURL")?;
            Ok(i32::from(there.is_empty()))
        });
        return;
    }
    parameters.extend([Param::input("@ContactId", "nvarchar(64)"), optional("@Priority", "int"), optional("@OrderNumber", "nvarchar(64)")]);
    peer.procedure(&format!("crm.{name}"), parameters, |call| {
        if !call.sql("SELECT 1 AS x FROM crm.ServiceRequest WHERE PostURL = @PostURL AND DeliveryKey = @DeliveryKey")?.is_empty() {
            return Ok(1);
        }
        if !call.sql("SELECT 1 AS x FROM crm.ServiceRequest WHERE PostURL = @PostURL AND Closed = 1")?.is_empty() {
            return Ok(2);
        }
        let there = call.sql("SELECT 1 AS x FROM crm.ServiceRequest WHERE PostURL = @PostURL")?;
        call.sql(if there.is_empty() {
            "INSERT INTO crm.ServiceRequest (ContactId, Abstract, PostURL, Priority, OrderNumber, DeliveryKey) \
             VALUES (@ContactId, @Abstract, @PostURL, @Priority, @OrderNumber, @DeliveryKey)"
        } else {
            "UPDATE crm.ServiceRequest SET ContactId = @ContactId, Abstract = @Abstract, Priority = @Priority, OrderNumber = @OrderNumber, \
             DeliveryKey = @DeliveryKey WHERE PostURL = @PostURL"
        })?;
        Ok(0)
    });
}
