//! Promise: a target file for a table of a SQL Server is written from its catalogue, is right as it stands, and delivers; and an operation called by hand
//! shows what it would run, runs it, and tells what became of the record.
//!
//! Each test runs on the TDS peer, and again on the server that `KITH_TEST_SQLSERVER_URL` names.

use crate::support::slice;
use crate::support::sqlserver_site::Site;
use crate::support::tds::Request;

fn everywhere(lines: usize, test: impl Fn(&Site)) {
    let slice = slice(lines);
    test(&Site::peer(&slice));
    if let Some(site) = Site::real(&slice) {
        test(&site);
    }
}

const CALL: [&str; 12] = [
    "connector",
    "call",
    "crm_db",
    "upsert_interaction",
    "--field",
    "Network=x",
    "--field",
    "ActivityID=a1",
    "--field",
    "CustomerID=C1",
    "--field",
    "Body=It's 😀",
];

#[test]
fn a_call_by_hand_shows_its_statements_and_then_runs_them() {
    everywhere(1, |site| {
        let project = &site.project;
        let rows = || site.rows("SELECT Network, ActivityID, CustomerID, Body, Topic FROM dbo.SocialInteraction");
        let ledger = || site.rows("SELECT CAST(outcome AS int) FROM kith.DeliveryLedger");
        let dry = project.kith(&[&["--format", "json"], &CALL[..], &["--dry-run"]].concat()).ok().json();
        let steps: Vec<&str> = dry["requests"].as_array().unwrap().iter().map(|step| step.as_str().unwrap()).collect();
        assert_eq!((rows(), ledger()), (Vec::<String>::new(), Vec::new()), "a dry run writes nothing");
        let shown = steps.join("\n\n");
        for wanted in ["CREATE TABLE #kith_", "BEGIN TRANSACTION; SELECT", "N'It''s 😀'", "INSERT INTO ", "COMMIT TRANSACTION"] {
            assert!(shown.contains(wanted), "{wanted}:\n{shown}");
        }
        assert!(!shown.contains("pass}word"), "no secret is shown");

        if let Some(peer) = &site.peer {
            peer.forget();
        }
        let sent = project.kith(&CALL).ok();
        assert!(sent.stdout.starts_with("inserted") && sent.stdout.contains("Body: · → \"It's 😀\""), "{}", sent.stdout);
        assert_eq!((rows(), ledger()), (vec!["x|a1|C1|It's 😀|NULL".to_owned()], vec!["1".to_owned()]));
        if let Some(peer) = &site.peer {
            // What was shown is what was sent, to the letter and in this order.
            let recorded = peer.recorded();
            let sent = recorded.iter().filter_map(|r| if let Request::Batch(text) = r { Some(text.as_str()) } else { None });
            let mut sent = sent.skip_while(|text| !text.starts_with("CREATE TABLE #"));
            for step in steps.iter().filter(|step| !step.starts_with("INSERT BULK")) {
                assert!(sent.any(|text| text == *step), "shown and not sent in this place:\n{step}\n{recorded:#?}");
            }
            let loads: Vec<&str> = steps.iter().filter(|step| step.starts_with("INSERT BULK")).copied().collect();
            let loaded = recorded.iter().filter(|r| matches!(r, Request::Bulk { .. }));
            assert_eq!(loaded.count(), loads.len(), "{loads:#?}");
        }

        // The same again is the same delivery; another text is a change, and shown before as one.
        let again = project.kith(&CALL).ok();
        assert!(again.stdout.starts_with("unchanged"), "{}", again.stdout);
        let dry = project.kith(&[&CALL[..], &["--dry-run"]].concat()).ok();
        assert!(dry.stdout.contains("holds this very delivery"), "{}", dry.stdout);
        let mut other = CALL;
        other[11] = "Body=two";
        let dry = project.kith(&[&other[..], &["--dry-run"]].concat()).ok();
        assert!(dry.stdout.contains("UPDATE t SET ") && dry.stdout.contains("kith_rows_1"), "{}", dry.stdout);
        let changed = project.kith(&other).ok();
        assert!(changed.stdout.contains("Body: \"It's 😀\" → \"two\""), "{}", changed.stdout);

        // What can't be is said before anything is sent.
        other[11] = "Body=";
        let long = format!("Body={}", "x".repeat(4_001));
        let mut too_long = other;
        too_long[11] = &long;
        project.kith(&too_long).fails(1, "KITH-D004");
        project.kith(&[&too_long[..], &["--dry-run"]].concat()).fails(1, "KITH-D004");
        // A record that goes, and a procedure.
        let remove = project.kith(&[&CALL[..10], &["--intent", "remove"]].concat()).ok();
        assert!(remove.stdout.starts_with("removed"), "{}", remove.stdout);
        assert_eq!(rows(), Vec::<String>::new());
        let ticket = [
            "connector",
            "call",
            "service_desk",
            "create_service_request",
            "--field",
            "ContactId=C1",
            "--field",
            "PostURL=https://x.example/1",
            "--field",
            "Priority=1",
        ];
        let dry = project.kith(&[&ticket[..], &["--dry-run"]].concat()).ok();
        for wanted in
            ["AddSocialServiceRequest] @ContactId = ", " int = CAST(@P", "@P1 = N'C1'", "(idempotency_key, outcome) VALUES (@P1, @P2)"]
        {
            assert!(dry.stdout.contains(wanted), "{wanted}:\n{}", dry.stdout);
        }
        project.kith(&ticket).ok();
        assert_eq!(site.rows("SELECT ContactId, Priority FROM crm.ServiceRequest"), ["C1|1"]);
        let log = project.kith(&["--format", "json", "audit", "search", "--limit", "1000"]).ok().stdout;
        assert!(!log.contains("It's 😀"), "values stand sealed alone");
        project.kith(&["audit", "verify"]).ok();
    });
}

#[test]
fn a_target_file_is_written_from_the_catalogue_and_delivers() {
    everywhere(200, |site| {
        let project = &site.project;
        let table = site.named("dbo.SocialProfile");
        let init = ["connector", "init", "sqlserver", "--target", "crm_db", "--table", &table, "--out", "connectors/fresh.yaml"];
        project.kith(&init).ok();
        project.kith(&init).fails(1, "KITH-C018");
        project.kith(&["check", "connectors/fresh.yaml"]).ok();
        project.kith(&["connector", "check", "connectors/fresh.yaml"]).ok();
        project.kith(&["connector", "init", "sqlserver", "--target", "crm_db", "--table", "dbo.KithNoSuchTable"]).fails(1, "KITH-D003");
        // Its ledger stands where this run has it.
        let file = std::fs::read_to_string(project.path("connectors/fresh.yaml")).unwrap();
        let file = file.replace(
            "kind: sqlserver\n",
            &site.named("kind: sqlserver\nsqlserver: { ledger: kith.DeliveryLedger, records: kith.RecordState }\n"),
        );
        assert!(file.contains("record_key: [CustomerID, Network, Handle]"), "{file}");
        // What is taken back goes, as the mapping's own target has it.
        let file = file.replace("on_delete: keep  ", "on_delete: remove");
        project.write("connectors/fresh.yaml", &file);
        let config = std::fs::read_to_string(project.path("config/kith.toml")).unwrap();
        let (_, crm) = config.split_once("[targets.crm_db]").unwrap();
        let (crm, _) = crm.split_once("[targets.service_desk]").unwrap();
        let fresh = crm.replace("connectors/targets/sqlserver.yaml", "connectors/fresh.yaml");
        project.edit("config/kith.toml", "[audit]", &format!("[targets.fresh]{fresh}\n[audit]"));
        project.edit("mappings/retail.yaml", "to: crm_db\n    operation: upsert_profile", "to: fresh\n    operation: upsert_socialprofile");
        project.kith(&["check"]).ok();
        project.kith(&["doctor"]).ok();
        let run = project.run_once();
        assert_eq!(run["conservation_gap"], 0);
        let delivered = run["totals"]["deliveries"]["fresh: delivered"].as_u64().unwrap();
        assert!(delivered > 20, "{run}");
        assert_eq!(site.rows("SELECT CAST(COUNT(*) AS int) FROM dbo.SocialProfile"), [delivered.to_string()]);
    });
}
