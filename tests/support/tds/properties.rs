//! `SERVERPROPERTY`, `DATABASEPROPERTYEX`, `HAS_PERMS_BY_NAME` and their kin.

use super::shared::{Facts, Shared};
use rusqlite::types::Value;
use std::sync::Mutex;

/// What `@@VERSION` says.
pub const VERSION: &str = "Microsoft SQL Server 2022 (RTM) - 16.0.1000.6 (X64) \n\tTDS peer of Kith's tests";

pub fn property(shared: &Shared, facts: &Mutex<Facts>, name: &str, arguments: &[Option<String>]) -> Value {
    let argument = |at: usize| arguments.get(at).cloned().flatten().unwrap_or_default();
    let lower = |at: usize| argument(at).to_lowercase();
    let text = |t: &str| Value::Text(t.to_owned());
    let database = &shared.settings.database;
    match name {
        "serverproperty" => match lower(0).as_str() {
            "productversion" => text("16.0.1000.6"),
            "productmajorversion" => text("16"),
            "productlevel" => text("RTM"),
            "edition" => text("Developer Edition (64-bit)"),
            "engineedition" => text("3"),
            "servername" | "machinename" => text(super::tokens::SERVER),
            "collation" => text(super::catalogue::COLLATION_NAME),
            "isintegratedsecurityonly" | "isclustered" => text("0"),
            _ => Value::Null,
        },
        "connectionproperty" => match lower(0).as_str() {
            "net_transport" => text("TCP"),
            "protocol_type" => text("TSQL"),
            "auth_scheme" => text("SQL"),
            _ => Value::Null,
        },
        "databasepropertyex" if [database.as_str(), "tempdb", "master"].iter().any(|d| argument(0).eq_ignore_ascii_case(d)) => {
            match lower(1).as_str() {
                "collation" => text(super::catalogue::COLLATION_NAME),
                "status" => text("ONLINE"),
                "updateability" => text("READ_WRITE"),
                "recovery" => text("FULL"),
                "useraccess" => text("MULTI_USER"),
                _ => Value::Null,
            }
        }
        "collationproperty" => match lower(1).as_str() {
            "codepage" => text(if argument(0).to_uppercase().contains("UTF8") { "65001" } else { "1252" }),
            "lcid" => text("1033"),
            "version" => text("0"),
            "comparisonstyle" => text(if argument(0).to_uppercase().contains("_CI_") { "196609" } else { "0" }),
            _ => Value::Null,
        },
        "db_name" => match arguments.first() {
            None => text(database),
            Some(_) => {
                if argument(0) == "5" {
                    text(database)
                } else {
                    Value::Null
                }
            }
        },
        "db_id" => match arguments.first() {
            None => Value::Integer(5),
            Some(_) if argument(0).eq_ignore_ascii_case(database) => Value::Integer(5),
            Some(_) => Value::Null,
        },
        "has_perms_by_name" => {
            let denied = shared.denied.lock().map(|d| d.clone()).unwrap_or_default();
            let (object, permission) = (argument(0).replace(['[', ']'], "").to_lowercase(), argument(2).to_uppercase());
            Value::Integer(i64::from(!denied.contains(&(object, permission))))
        }
        "objectproperty" | "objectpropertyex" => {
            let id: i64 = argument(0).parse().unwrap_or(0);
            let catalogue = shared.catalogue();
            let Some(table) = catalogue.tables().find(|t| t.object_id == id) else { return Value::Null };
            let has = |yes: bool| Value::Integer(i64::from(yes));
            match lower(1).as_str() {
                "istable" | "isusertable" => has(table.kind == super::catalogue::Kind::Table),
                "isview" => has(table.kind == super::catalogue::Kind::View),
                "tablehasidentity" => has(table.columns.iter().any(|c| c.identity.is_some())),
                "tablehasprimarykey" => has(table.keys.iter().any(|k| k.kind == super::catalogue::KeyKind::Primary)),
                _ => Value::Null,
            }
        }
        "columnproperty" => {
            let id: i64 = argument(0).parse().unwrap_or(0);
            let catalogue = shared.catalogue();
            let column = catalogue.tables().find(|t| t.object_id == id).and_then(|t| t.columns.get(t.position(&argument(1))?).cloned());
            let Some(column) = column else { return Value::Null };
            let has = |yes: bool| Value::Integer(i64::from(yes));
            match lower(2).as_str() {
                "isidentity" => has(column.identity.is_some()),
                "iscomputed" => has(column.computed.is_some()),
                "allowsnull" => has(column.nullable),
                _ => Value::Null,
            }
        }
        "is_member" | "is_rolemember" | "is_srvrolemember" => Value::Integer(i64::from(lower(0) == "public")),
        "has_dbaccess" => Value::Integer(i64::from(facts.lock().is_ok() && argument(0).eq_ignore_ascii_case(database))),
        _ => Value::Null,
    }
}
