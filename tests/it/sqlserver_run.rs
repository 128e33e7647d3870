//! Promise: with the files as they are shipped, the built program reads customers and orders from a SQL Server and writes profiles, interactions, leads
//! and service requests into it, as it does from and into plain files; a second run writes nothing.
//!
//! Each test runs on the TDS peer, and again on the server that `KITH_TEST_SQLSERVER_URL` names.

use crate::support::sqlserver_site::Site;
use crate::support::tds::Request;
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, Slice, activity, deleted, edited, lines, slice};
use serde_json::Value;
use std::collections::BTreeSet;

const PROFILES: &str = "SELECT CustomerID, Network, Handle, Basis, LinkedBy, MatchWeight FROM";
const INTERACTIONS: &str = "SELECT CustomerID, Network, ActivityID, ConversationID, InReplyTo, Audience, PostURL, Body, Topic, Priority, OrderNumber, MappingHash FROM";
const LEADS: &str = "SELECT Network, PostURL, Topic FROM";

/// Requests of deliveries that change something.
fn writes(requests: &[Request]) -> Vec<String> {
    const WORDS: [&str; 7] = ["INSERT INTO ", "UPDATE t ", "UPDATE #", "DELETE ", "CREATE TABLE", "bulk rows", "EXEC @kith_code"];
    // A question about rights names them too.
    let text = requests.iter().map(Request::text).filter(|text| !text.contains("HAS_PERMS_BY_NAME"));
    text.filter(|text| WORDS.iter().any(|word| text.contains(word))).collect()
}

fn everywhere(test: impl Fn(&Site)) {
    let slice = slice(400);
    test(&Site::peer(&slice));
    if let Some(site) = Site::real(&slice) {
        test(&site);
    }
}

#[test]
fn a_run_from_and_into_a_server_is_one_from_and_into_files() {
    let files = Project::with(&slice(400));
    let expected = files.run_once();
    let desk: Vec<Value> = std::fs::read_to_string(files.path("crm/service-desk.ndjson"))
        .unwrap_or_default()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    everywhere(|site| {
        let project = &site.project;
        project.kith(&["check"]).ok();
        project.kith(&["doctor"]).ok();
        // Before: everything is new, and nothing is written.
        let plan = project.kith(&["--format", "json", "plan", "--show", "100000"]).ok().json();
        let effects = |plan: &Value, effect: &str| plan["writes"].as_array().unwrap().iter().filter(|w| w["effect"] == effect).count();
        assert_eq!(site.rows("SELECT CAST(COUNT(*) AS int) FROM kith.DeliveryLedger"), ["0"], "a plan writes nothing");
        assert!(effects(&plan, "inserted") > 100, "{plan}");
        assert_eq!(effects(&plan, "refused"), 0, "{plan}");

        let run = project.run_once();
        for sum in ["received", "decisions", "delivered", "parked", "dropped", "in_flight", "conservation_gap"] {
            assert_eq!(run[sum], expected[sum], "{sum}");
        }
        let both = |columns: &str, table: &str| {
            assert_eq!(site.rows(&format!("{columns} dbo.{table}")), files.crm(&format!("{columns} {table}")), "{table}");
        };
        both(PROFILES, "SocialProfile");
        both(INTERACTIONS, "SocialInteraction");
        both(LEADS, "SocialLead");
        let requests = site.rows("SELECT ContactId, PostURL FROM crm.ServiceRequest");
        let shown =
            |line: &Value| format!("{}|{}", line["fields"]["ContactId"].as_str().unwrap(), line["fields"]["PostURL"].as_str().unwrap());
        assert_eq!(requests, desk.iter().map(shown).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
        let deliveries: u64 = run["totals"]["deliveries"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(site.rows("SELECT CAST(COUNT(*) AS int) FROM kith.DeliveryLedger"), [deliveries.to_string()], "each delivery once");

        // Again: nothing is sent that could write, and no row is touched.
        let version = || site.rows("SELECT ActivityID, CAST(RowVer AS varbinary(8)) FROM dbo.SocialInteraction");
        let before = version();
        if let Some(peer) = &site.peer {
            peer.forget();
        }
        let plan = project.kith(&["--format", "json", "plan", "--exit-code"]).ok().json();
        assert_eq!(plan["writes"].as_array().map(Vec::len), Some(0), "{plan}");
        let again = project.run_once();
        assert_eq!(again["totals"]["deliveries"], run["totals"]["deliveries"]);
        assert_eq!(version(), before);
        if let Some(peer) = &site.peer {
            assert_eq!(writes(&peer.recorded()), Vec::<String>::new());
        }
        project.kith(&["audit", "verify"]).ok();
    });
}

const ADA: &str = "C1,Ada Rossi,ada@rossi.example,,,Lecce,,IT,,linkedin:@ada_rossi,gold\n";

/// One customer, and what she said.
fn ada(said: &[Value]) -> Slice {
    Slice {
        activities: lines(said).into_bytes(),
        customers: format!("{CUSTOMERS_HEADER}{ADA}").into_bytes(),
        orders: format!("{ORDERS_HEADER}4711,C1,2026-08-01,9.90,EUR,shipped\n").into_bytes(),
    }
}

#[test]
fn edits_on_both_sides_and_a_deletion_are_planned_and_written() {
    let first = activity("linkedin", "u1", "ada_rossi", "Ada R.", 1, "My order 4711 arrived broken");
    let second = edited(&first, "My order 4711 arrived broken, twice", "2026-09-02T10:00:00Z");
    let third = edited(&first, "grazie", "2026-09-03T10:00:00Z");
    let gone = deleted(&first, "2026-09-04T10:00:00Z");
    let slice = ada(std::slice::from_ref(&first));
    let test = |site: &Site| {
        let project = &site.project;
        let says =
            |said: &[&Value]| project.write("data/activities.ndjson", said.iter().map(|line| format!("{line}\n")).collect::<String>());
        let row = || site.rows("SELECT Body, Topic, Priority, OrderNumber FROM dbo.SocialInteraction");
        let request = || site.rows("SELECT ContactId, Abstract FROM crm.ServiceRequest");
        project.run_once();
        assert_eq!(row(), ["My order 4711 arrived broken|complaint|1|4711"]);
        assert_eq!(request(), ["C1|My order 4711 arrived broken"]);

        // The CRM's people file it elsewhere; then the post is edited.
        site.sql("UPDATE dbo.SocialInteraction SET Topic = N'praise'");
        says(&[&first, &second]);
        let plan = project.kith(&["--format", "json", "plan"]).ok().json();
        let planned: Vec<&Value> = plan["writes"].as_array().unwrap().iter().filter(|w| w["entry"] == "interaction").collect();
        assert_eq!(planned.len(), 1, "{plan}");
        assert_eq!(planned[0]["effect"], "updated");
        let change = &planned[0]["changes"][0];
        assert_eq!(planned[0]["changes"].as_array().unwrap().len(), 1, "what the CRM changed is no change of ours: {plan}");
        assert_eq!(
            (&change["field"], &change["before"], &change["after"]),
            (&"Body".into(), &"My order 4711 arrived broken".into(), &"My order 4711 arrived broken, twice".into())
        );
        assert_eq!(row(), ["My order 4711 arrived broken|praise|1|4711"], "a plan writes nothing");
        project.run_once();
        assert_eq!(row(), ["My order 4711 arrived broken, twice|praise|1|4711"]);
        assert_eq!(request(), ["C1|My order 4711 arrived broken, twice"]);

        // Now both changed the topic: the CRM's stays, the rest follows.
        says(&[&first, &second, &third]);
        project.run_once();
        assert_eq!(row(), ["grazie|praise|3|NULL"]);

        says(&[&first, &second, &third, &gone]);
        project.run_once();
        assert_eq!(row(), Vec::<String>::new());
        assert_eq!(request(), ["C1|NULL"], "the request stays, the person's words go");
        project.kith(&["audit", "verify"]).ok();
    };
    test(&Site::peer(&slice));
    if let Some(site) = Site::real(&slice) {
        test(&site);
    }
}

#[test]
fn the_doctor_compares_the_files_with_the_live_catalogue() {
    let slice = ada(&[]);
    let test = |site: &Site| {
        let doctor = |says: &[&str]| {
            let ran = site.project.kith(&["doctor"]);
            let told = format!("{}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.code, Some(1), "{told}");
            for word in says {
                assert!(told.contains(word), "{word}:\n{told}");
            }
        };
        site.project.kith(&["doctor"]).ok();
        site.sql("ALTER TABLE dbo.SocialInteraction DROP COLUMN Priority");
        doctor(&["KITH-D003", "no column `Priority`"]);
        site.sql("ALTER TABLE dbo.SocialInteraction ADD Priority int NULL");
        site.project.kith(&["doctor"]).ok();
        if let Some(peer) = &site.peer {
            peer.deny("dbo.SocialLead", "INSERT");
            doctor(&["KITH-D042", "lacks the right INSERT on dbo.SocialLead", "GRANT INSERT ON"]);
        }
        site.sql("DROP TABLE kith.DeliveryLedger");
        doctor(&["KITH-D055", "ops/sql/kith.sql"]);
    };
    test(&Site::peer(&slice));
    if let Some(site) = Site::real(&slice) {
        test(&site);
    }
}
