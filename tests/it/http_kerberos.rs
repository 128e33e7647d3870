//! Promise: with `auth = "negotiate"` a service is shown a ticket of the system's Kerberos, in SPNEGO, and an acceptor that nobody here wrote
//! (pyspnego on MIT's GSSAPI) knows who is there; without a ticket Kith says so, and sends nothing.
//!
//! `cargo nextest run --features kerberos -E 'test(kerberos)'`; besides the KDC it needs `pip install pyspnego gssapi krb5`.

use crate::support::kdc::{Kdc, environment};
use crate::support::{CONFIG, Project, free_port, have, root, wait_for};
use std::process::{Command, Stdio};

#[test]
fn a_service_is_shown_a_kerberos_ticket_and_without_one_kith_says_so() {
    let modules = ["-c", "import spnego, gssapi, krb5"];
    if !have("python3") || !Command::new("python3").args(modules).output().is_ok_and(|out| out.status.success()) {
        eprintln!("SKIPPED: there is no python3 with pyspnego, gssapi and krb5");
        assert!(std::env::var_os("CI").is_none(), "CI needs them");
        return;
    }
    let Some(kdc) = Kdc::start(&["HTTP/localhost".to_owned()]) else { return };
    let (port, log) = (free_port(), kdc.dir.path().join("log"));
    let mut gate = Command::new("python3")
        .arg(root().join("tests/support/spnego_gate.py"))
        .args([&port.to_string(), "negotiate"])
        .arg(&log)
        .envs(environment(kdc.dir.path()))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    assert!(wait_for(port), "the gate does not start");
    let project = Project::empty();
    std::fs::create_dir_all(project.path("wsdl")).unwrap();
    std::fs::copy(root().join("tests/support/soap/stacks/stack.wsdl"), project.path("wsdl/stack.wsdl")).unwrap();
    project.write(
        "crm.yaml",
        "kith: 1
target: crm
kind: soap
soap: { wsdl: wsdl/stack.wsdl, port: CrmSoap11, path: /crm }
operations:
  upsert:
    record_key: [Id]
    on_delete: { blank: [First] }
    soap: { call: { operation: UpsertContact, record: Contact, proof: Id }, settle: repeat }
    fields:
      Id: { type: text, at: /ExternalId }
      Name: { type: text, at: LastName, required: true }
      First: { type: text, at: FirstName }
",
    );
    project.write(
        "config/kith.toml",
        format!("{CONFIG}\n[targets.crm]\nconnector = \"crm.yaml\"\nurl = \"http://localhost:{port}\"\nauth = \"negotiate\"\n"),
    );
    let call = || {
        let ran = project.command(&["connector", "call", "crm", "upsert", "--field", "Id=a", "--field", "Name=Ada"]);
        let ran = { ran }.envs(environment(kdc.dir.path())).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
    };
    let told = call();
    assert!(told.contains("KITH-D016") && told.contains("Negotiate"), "{told}");
    assert!(!log.exists(), "nothing was sent");
    kdc.ticket();
    // The gate is no CRM: what it answers is not understood, and it knows who asked.
    let told = call();
    assert!(told.contains("KITH-D017") || told.contains("KITH-D009"), "{told}");
    let heard = std::fs::read_to_string(&log).unwrap();
    let first: serde_json::Value = serde_json::from_str(heard.lines().next().unwrap()).unwrap();
    assert_eq!((first["status"].as_u64(), first["user"].as_str()), (Some(200), Some("svc-kith@KITH.TEST")), "{heard}");
    assert!(first["bytes"].as_u64().unwrap() > 100, "a ticket is enough: the request goes with it");
    let _killed = gate.kill();
    let _ended = gate.wait();
}
