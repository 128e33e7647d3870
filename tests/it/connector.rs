//! Promise: a target file can be looked at, tried and corrected by hand before a service runs, and what a person sends by hand stands in the log.

use crate::support::soap_stacks::{Server, Stack};
use crate::support::{Project, free_port, have, root, wait_for};
use std::process::{Child, Command, Stdio};

const TARGET: &str = r#"kith: 1
target: crm
kind: soap
soap:
  wsdl: stack.wsdl
  port: CrmSoap11
  path: /crm
  every_call: { headers: { Session/Id: "{session}" } }
  session: { operation: Login, values: { User: "{user}", Password: "{password}" }, token: LoginResult }
operations:
  upsert:
    record_key: [Id]
    on_delete: keep
    soap:
      call: { operation: UpsertContact, record: Contact, values: { ExternalId: "{key}" }, proof: Id, created: { Created: "true" } }
      settle: repeat
    fields:
      Id: { type: text, at: ExternalId }
      Name: { type: text, at: LastName, required: true, max_length: 60 }
"#;

fn project(url: &str) -> Project {
    let project = Project::empty();
    project.write("connectors/crm.yaml", TARGET);
    project.write("connectors/stack.wsdl", std::fs::read(root().join("tests/support/soap/stacks/stack.wsdl")).unwrap());
    project.write("password", "s3cret&<>\n");
    for file in ["activities.ndjson", "customers.csv", "orders.csv"] {
        project.write(&format!("data/{file}"), "");
    }
    let targets = format!(
        "[targets.crm]\nconnector = \"connectors/crm.yaml\"\nurl = \"{url}\"\nuser = \"svc\"\npassword = {{ file = \"password\" }}\n\n[audit]"
    );
    project.edit("config/kith.toml", "[audit]", &targets);
    project
}

#[test]
fn a_target_file_is_checked_against_its_wsdl_without_a_network() {
    let project = project("http://127.0.0.1:9");
    let told = project.kith(&["connector", "check", "connectors/crm.yaml"]).ok().stdout;
    assert!(told.contains("upsert") && told.contains("0 errors, 0 warnings"), "{told}");
    for (from, to, code, says) in [
        ("at: LastName", "at: LastNam", "KITH-T025", "did you mean `LastName`?"),
        ("operation: UpsertContact", "operation: UpsertContacts", "KITH-T024", "`UpsertContact` is near"),
        ("values: { ExternalId: \"{key}\" }, ", "", "KITH-T025", "`ExternalId`"),
        (
            "Name: { type: text, at: LastName, required: true, max_length: 60 }",
            "Name: { type: text, at: Score, required: true }\n      L: { type: time, at: LastName }",
            "",
            "",
        ),
        ("max_length: 60", "max_length: 61", "KITH-T025", "60 characters"),
        ("Session/Id", "Sesion/Id", "KITH-T025", "Sesion"),
        ("wsdl: stack.wsdl", "wsdl: none.wsdl", "KITH-W001", "none.wsdl"),
    ] {
        project.write("connectors/crm.yaml", TARGET.replace(from, to));
        let ran = project.kith(&["connector", "check", "connectors/crm.yaml"]);
        assert!(ran.stdout.contains(code) && ran.stdout.contains(says), "{to}: {}", ran.stdout);
        let all = project.kith(&["check"]);
        assert!(all.stdout.contains(code), "{to}: kith check says it, too: {}", all.stdout);
    }
    project.write("connectors/crm.yaml", TARGET.replace("path: /crm", "path: /crm\n  sunset: 2020-01-01"));
    let told = project.kith(&["connector", "check", "connectors/crm.yaml"]).ok().stdout;
    assert!(told.contains("KITH-T026"), "{told}");
}

#[test]
fn a_call_by_hand_is_shown_first_then_sent_once_and_stands_in_the_log() {
    let Some(server) = Server::start(Stack::Php) else { return };
    let project = project(&server.url());
    let call = ["connector", "call", "crm", "upsert", "--field", "Id=1", "--field", "Name=Rossi & Söhne"];
    let dry = project.kith(&[&call[..], &["--dry-run"]].concat()).ok();
    assert!(dry.stdout.contains("<n1:LastName>Rossi &amp; Söhne</n1:LastName>") && dry.stdout.contains("‹session›"), "{}", dry.stdout);
    assert!(!dry.stdout.contains("s3cret") && server.store().is_null(), "nothing was sent");
    assert!(!project.path("state").exists(), "and nothing was written");
    let sent = project.kith(&call).ok();
    assert!(sent.stdout.starts_with("inserted") && sent.stdout.contains("UpsertContactResponse/Id: C00001"), "{}", sent.stdout);
    assert_eq!(project.kith(&[&["--format", "json"], &call[..]].concat()).ok().json()["outcome"], "updated");
    assert_eq!(server.store()["writes"], 2);
    let log = project.kith(&["--format", "json", "audit", "search"]).ok().stdout;
    let kinds = |kind: &str| log.matches(&format!("\"{kind}\"")).count();
    assert!(kinds("write.intended") >= 2 && kinds("write.receipt") >= 2 && log.contains("kith connector call"), "{log}");
    // Refused by the service, refused before it leaves, and an operation of the WSDL alone.
    let bad = project.kith(&["connector", "call", "crm", "upsert", "--field", "Id=2", "--field", "Name=BAD"]);
    assert_eq!(bad.code, Some(1));
    assert!(bad.stdout.contains("KITH-D060") && bad.stdout.contains("CrmFault/Code: BAD_NAME"), "{}", bad.stdout);
    project.kith(&["connector", "call", "crm", "upsert", "--field", "Id=3"]).fails(1, "KITH-D006");
    project.kith(&["connector", "call", "crm", "upsert", "--field", "Nmae=x"]).fails(2, "did you mean `Name`?");
    project.kith(&["connector", "call", "crn", "upsert"]).fails(2, "did you mean `crm`?");
    let found =
        project.kith(&["connector", "call", "crm", "FindContacts", "--field", "Query=", "--field", "Offset=0", "--field", "Limit=5"]).ok();
    assert!(found.stdout.contains("FindContactsResponse/Total: 1") && found.stdout.contains("LastName: Rossi & Söhne"), "{}", found.stdout);
    project.kith(&["audit", "verify"]).ok();
}

struct Files(Child);

impl Drop for Files {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_wsdl_is_brought_with_all_that_it_imports_and_leads_nowhere_else() {
    if !have("python3") {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let text = std::fs::read_to_string(root().join("tests/support/soap/stacks/stack.wsdl")).unwrap();
    let (start, end) = (text.find("<xsd:schema").unwrap(), text.find("</xsd:schema>").unwrap() + "</xsd:schema>".len());
    let schema = text[start..end].replacen(
        "<xsd:schema",
        "<xsd:schema xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:tns=\"urn:example:stack:v1\"",
        1,
    );
    let import = |location: &str| {
        let import = format!("<xsd:schema><xsd:import namespace=\"urn:example:stack:v1\" schemaLocation=\"{location}\"/></xsd:schema>");
        format!("{}{import}{}", &text[..start], &text[end..])
    };
    std::fs::create_dir(dir.path().join("types")).unwrap();
    std::fs::write(dir.path().join("types/all.xsd"), schema).unwrap();
    std::fs::write(dir.path().join("crm.wsdl"), import("types/all.xsd")).unwrap();
    std::fs::write(dir.path().join("astray.wsdl"), import("http://schemas.example.invalid/all.xsd")).unwrap();
    let server = Command::new("python3")
        .args(["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1", "--directory"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _server = Files(server);
    assert!(wait_for(port));
    let project = Project::empty();
    let url = |name: &str| format!("http://127.0.0.1:{port}/{name}");
    let told = project.kith(&["connector", "vendor-wsdl", &url("crm.wsdl"), "--out", "wsdl"]).ok().stdout;
    assert!(told.contains("service Stack, port CrmSoap11") && told.contains("all.xsd"), "{told}");
    let brought = std::fs::read_to_string(project.path("wsdl/crm.wsdl")).unwrap();
    assert!(brought.contains("schemaLocation=\"all.xsd\"") && project.path("wsdl/all.xsd").exists(), "{brought}");
    project.kith(&["connector", "vendor-wsdl", &url("crm.wsdl"), "--out", "wsdl"]).fails(2, "KITH-C017");
    project.kith(&["connector", "vendor-wsdl", &url("astray.wsdl"), "--out", "other"]).fails(1, "schemas.example.invalid");
    project.kith(&["connector", "vendor-wsdl", &url("types/"), "--out", "other"]).fails(1, "KITH-C021");
    project.kith(&["connector", "vendor-wsdl", "ftp://x/y", "--out", "other"]).fails(1, "KITH-C021");
    assert!(!project.path("other").exists());
}
