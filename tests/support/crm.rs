//! CRMs that speak SOAP, on PHP's `SoapServer`, each from the WSDL that its connector ships (`tests/support/soap/`).

use super::{free_port, have, root, wait_for};
use serde_json::Value as Json;
use std::fs;
use std::process::{Child, Command, Stdio};

/// What all of them take for a login.
pub const PASSWORD: &str = "s3cret&<>\"ü";

/// Stopped when dropped.
pub struct Crm {
    child: Child,
    pub dir: tempfile::TempDir,
    pub port: u16,
}

impl Crm {
    /// `server` is a file of `tests/support/soap/`. `None`, said loudly, where PHP or its SOAP extension is not installed.
    pub fn start(server: &str) -> Option<Self> {
        if !have("php") || !has_soap() {
            return None;
        }
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let log = fs::File::create(dir.path().join("php.log")).unwrap();
        let child = Command::new("php")
            .args(["-n", "-d", "extension=soap", "-d", "extension=dom"])
            .args(["-S", &format!("127.0.0.1:{port}")])
            .arg(root().join("tests/support/soap").join(server))
            .env("KITH_STORE", dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let crm = Self { child, dir, port };
        assert!(wait_for(port), "PHP does not start:\n{}", crm.complaints());
        Some(crm)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Puts records into it.
    pub fn seed(&self, store: &Json) {
        fs::write(self.dir.path().join("store.json"), store.to_string()).unwrap();
    }

    /// Everything that it holds.
    pub fn store(&self) -> Json {
        fs::read(self.dir.path().join("store.json")).map_or(Json::Null, |text| serde_json::from_slice(&text).unwrap())
    }

    /// The records of one kind, those that were deleted aside.
    pub fn records(&self, kind: &str) -> Vec<Json> {
        let all = self.store();
        let records: Vec<Json> = match &all[kind] {
            Json::Object(map) => map.values().cloned().collect(),
            Json::Array(list) => list.clone(),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Vec::new(),
        };
        records.into_iter().filter(|record| record["deleted"] != "1").collect()
    }

    /// What the next requests shall meet, logins aside.
    pub fn meet(&self, faults: &[&str]) {
        fs::write(self.dir.path().join("faults.json"), serde_json::to_string(faults).unwrap()).unwrap();
    }

    /// Faults that no request has met yet.
    pub fn left(&self) -> usize {
        let text = fs::read_to_string(self.dir.path().join("faults.json")).unwrap_or_default();
        serde_json::from_str::<Vec<String>>(&text).unwrap_or_default().len()
    }

    /// Each request: operation, headers, envelope.
    pub fn calls(&self) -> Vec<Json> {
        let text = fs::read_to_string(self.dir.path().join("calls.ndjson")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How many requests called this operation.
    pub fn called(&self, operation: &str) -> usize {
        self.calls().iter().filter(|call| call["operation"] == operation).count()
    }

    /// What PHP complained about: a server that is wrong must not pass for a CRM.
    pub fn complaints(&self) -> String {
        let log = fs::read_to_string(self.dir.path().join("php.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("PHP ") && !line.contains("Development Server")).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Crm {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Whether PHP can load its SOAP extension; in CI that it can't is a failure.
fn has_soap() -> bool {
    let asked = Command::new("php")
        .args(["-n", "-d", "extension=soap", "-d", "extension=dom", "-r", "exit(class_exists('SoapServer') ? 0 : 1);"])
        .status();
    let there = asked.is_ok_and(|status| status.success());
    if !there {
        eprintln!("SKIPPED: php-soap or php-xml is not installed");
        assert!(std::env::var_os("CI").is_none(), "php-soap or php-xml is not installed, and CI needs it");
    }
    there
}
