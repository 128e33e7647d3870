//! Entries and checkpoints leave: into files without loss or repeat whatever breaks, to a real syslog-ng over TCP and TLS, and what does not
//! leave is said.

use crate::support::python::python_with;
use crate::support::{Project, certificates, free_port, have, slice, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a syslog-ng takes messages by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Tcp,
    Tls,
    /// A socket `log` in its folder, as `/dev/log`.
    Socket,
}

/// A syslog-ng of its own, which writes what it gets into `got` of a folder, one JSON object a message.
struct SyslogNg {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl SyslogNg {
    fn start(by: By) -> Option<Self> {
        if !have("syslog-ng") {
            return None;
        }
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let at = |name: &str| dir.path().join(name).display().to_string();
        let transport = if by == By::Tls {
            certificates::make(dir.path(), "Logs CA", "DNS:localhost");
            format!(
                "transport(\"tls\") tls(key-file(\"{}\") cert-file(\"{}\") peer-verify(optional-untrusted))",
                at("key.pem"),
                at("cert.pem")
            )
        } else {
            "transport(\"tcp\")".to_owned()
        };
        let socket = if by == By::Socket { format!("unix-dgram(\"{}\");", at("log")) } else { String::new() };
        let config = format!(
            "@version: 3.38\noptions {{ stats-freq(0); log-msg-size(131072); create-dirs(no); }};\n\
             source s {{ syslog(ip(127.0.0.1) port({port}) flags(no-multi-line) {transport}); {socket} }};\n\
             destination d {{ file(\"{}\" template(\"${{MSGID}} ${{PRI}} ${{PROGRAM}} ${{MESSAGE}}\\n\") flush-lines(1)); }};\n\
             log {{ source(s); destination(d); flags(flow-control); }};\n",
            at("got")
        );
        fs::write(dir.path().join("conf"), config).unwrap();
        let child = Command::new("/usr/sbin/syslog-ng")
            .args(["-F", "--no-caps", "-f", &at("conf"), "-p", &at("pid"), "-R", &at("persist"), "-c", &at("ctl")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut started = Self { child, dir, port };
        if !wait_for(port) {
            started.child.kill().unwrap();
            let mut said = String::new();
            started.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("syslog-ng did not start: {said}");
        }
        Some(started)
    }

    /// The messages so far, once there are so many: message id and text.
    fn got(&self, at_least: usize) -> Vec<(String, String)> {
        let read = || fs::read_to_string(self.dir.path().join("got")).unwrap_or_default();
        for _ in 0..100 {
            if read().lines().count() >= at_least {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        read()
            .lines()
            .map(|line| {
                let mut parts = line.splitn(4, ' ');
                let mut next = || parts.next().unwrap_or_default().to_owned();
                let id = next();
                assert_eq!((next().as_str(), next().as_str()), ("110", "kith"), "{line}");
                (id, next().trim_start_matches('\u{feff}').to_owned())
            })
            .collect()
    }
}

impl Drop for SyslogNg {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn numbers(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["number"].as_u64().unwrap()).collect()
}

fn entries(project: &Project) -> u64 {
    let database = rusqlite::Connection::open(project.path("state/kith.db")).unwrap();
    u64::try_from(database.query_row("SELECT count(*) FROM leaf", (), |row| row.get::<_, i64>(0)).unwrap()).unwrap()
}

#[test]
fn a_file_gets_each_entry_once_whatever_a_crash_left_behind() {
    let project = Project::with(&slice(300));
    project.run_once();
    let export = ["audit", "export", "--out", "log.ndjson", "--cursor", "cursor"];
    let file = project.path("log.ndjson");
    project.kith(&[&export[..], &["--limit", "150"]].concat()).ok();
    assert_eq!(numbers(&file), (0..150).collect::<Vec<_>>());
    // Killed after writing and before the cursor: half a batch too much, the last line cut.
    let mut left = fs::read(&file).unwrap();
    left.extend_from_slice(b"{\"number\":150,\"entry\":{}}\n{\"numb");
    fs::write(&file, left).unwrap();
    project.kith(&export).ok();
    let all = numbers(&file);
    assert_eq!(all, (0..all.len() as u64).collect::<Vec<_>>());
    // The export itself is an entry, which the next one takes; that one says nothing, or the log would grow for ever.
    project.kith(&export).ok();
    let size = entries(&project);
    project.kith(&export).ok();
    project.kith(&export).ok();
    assert_eq!((entries(&project), numbers(&file).len() as u64), (size, size));
    let told = project.kith(&["--format", "json", "audit", "search", "--kind", "export.made"]).ok().stdout;
    assert!(told.contains("\"format\":\"ndjson\"") && told.lines().count() >= 2, "{told}");

    project.kith(&["audit", "export", "--as", "csv", "--out", "x", "--cursor", "cursor"]).fails(2, "cursor of its own");
    fs::write(&file, "short").unwrap();
    project.kith(&export).fails(1, "KITH-A028");
    for form in ["csv", "ndjson", "rfc5424", "ocsf", "cef"] {
        let out = project.kith(&["audit", "export", "--as", form, "--limit", "20"]).ok().stdout;
        assert_eq!(out.lines().count(), 20 + usize::from(form == "csv"), "{form}: {out}");
    }
    project.kith(&["audit", "export", "--syslog", "udp://x:1"]).fails(2, "no address");
    project.kith(&["audit", "export", "--out", "no/such/folder"]).fails(1, "KITH-A028");
}

/// OCSF's own schema, as the models that `ocsf-pydantic` makes of it.
const OCSF: &str = "import json, sys
from ocsf.events.application.api import APIActivity
for line in sys.stdin:
    APIActivity.model_validate(json.loads(line))
";

#[test]
fn events_for_a_siem_fit_the_schema_of_ocsf() {
    let Some(python) = python_with("ocsf.events.application.api") else { return };
    let project = Project::with(&slice(200));
    project.run_once();
    let events = project.kith(&["audit", "export", "--as", "ocsf"]).ok().stdout;
    assert!(events.lines().count() > 200);
    project.write("ocsf.ndjson", &events);
    let check = |text: &str| {
        project.write("ocsf.ndjson", text);
        let input = fs::File::open(project.path("ocsf.ndjson")).unwrap();
        Command::new(&python).args(["-c", OCSF]).stdin(input).output().unwrap()
    };
    let said = check(&events);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(!check(&events.replacen("\"metadata\"", "\"metadatum\"", 1)).status.success(), "the schema refuses what is none");
}

#[test]
fn syslog_ng_gets_every_entry_over_tcp_and_tls_and_repeats_carry_the_same_number() {
    for by in [By::Tcp, By::Tls] {
        let tls = by == By::Tls;
        let Some(server) = SyslogNg::start(by) else { return };
        let project = Project::with(&slice(300));
        project.run_once();
        let size = usize::try_from(entries(&project)).unwrap();
        let address = format!("{}://localhost:{}", if tls { "tls" } else { "tcp" }, server.port);
        let ca = server.dir.path().join("ca.pem").display().to_string();
        let mut export = vec!["audit", "export", "--as", "ndjson", "--syslog", &address, "--cursor", "cursor"];
        if tls {
            export.extend(["--ca-file", &ca]);
        }
        project.kith(&export).ok();
        let got = server.got(size);
        let ids: Vec<usize> = got.iter().map(|(id, _)| id.parse().unwrap()).collect();
        assert_eq!(ids, (0..size).collect::<Vec<_>>(), "in order, none lost, none twice");
        for (id, text) in &got {
            let entry: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{id}: {e}: {text}"));
            assert_eq!(entry["number"].to_string(), *id);
        }
        // Nobody answers: nothing is taken as sent; when somebody does, it goes on, and every number arrives.
        drop(server);
        project.kith(&export).fails(1, "KITH-A028");
        let cursor: Value = serde_json::from_str(&fs::read_to_string(project.path("cursor")).unwrap()).unwrap();
        assert_eq!(cursor["next"], size);
        if tls {
            project.kith(&["audit", "export", "--syslog", &address]).fails(2, "no address");
        }
    }
}

#[test]
fn checkpoints_leave_for_a_folder_and_a_syslog_server_and_hold_the_log_to_them() {
    let project = Project::with(&slice(300));
    let server = SyslogNg::start(By::Tcp);
    let syslog = server.as_ref().map_or_else(String::new, |s| format!("syslog = \"tcp://127.0.0.1:{}\"\n", s.port));
    project.edit(
        "config/kith.toml",
        "origin = \"kith.test/retail\"\n",
        &format!("origin = \"kith.test/retail\"\ncheckpoints_to = \"away\"\n{syslog}"),
    );
    project.run_once();
    let said = project.kith(&["audit", "verify"]).ok().stdout;
    assert!(said.contains("checkpoints leave to") && said.contains("the last one over"), "{said}");
    let file = fs::read_dir(project.path("away")).unwrap().next().unwrap().unwrap().path();
    let kept = file.to_str().unwrap();
    let said = project.kith(&["--format", "json", "audit", "verify", "--trusted", kept]).ok().json();
    assert_eq!(said["trusted_size"], said["size"], "the last checkpoint of the run left: {said}");
    if let Some(server) = &server {
        let got = server.got(1);
        let last: Value = serde_json::from_str(&got.last().unwrap().1).unwrap();
        assert_eq!(last["size"], said["size"]);
        fs::write(project.path("from-syslog"), last["checkpoint"].as_str().unwrap()).unwrap();
        project.kith(&["audit", "verify", "--trusted", "from-syslog"]).ok();
    }
    project.run_once();
    let again = project.kith(&["--format", "json", "audit", "verify", "--trusted", kept]).ok().json();
    assert!(again["trusted_checkpoints"].as_u64() > said["trusted_checkpoints"].as_u64(), "the file is added to: {again}");

    // Somebody with the signing key writes another history: alone the log holds, against what left it does not.
    let forged = Project::with(&slice(200));
    crate::kills::with_keys_of(&forged, &project);
    forged.run_once();
    forged.run_once();
    let key = ["--key", "state/keys/log.pub"];
    forged.kith(&[&["audit", "verify", "--log", "state/log"], &key[..]].concat()).ok();
    forged.kith(&[&["audit", "verify", "--log", "state/log", "--trusted", kept], &key[..]].concat()).fails(3, "KITH-A008");
}

#[test]
fn a_checkpoint_that_can_not_leave_is_told_and_deliveries_go_on() {
    let project = Project::with(&slice(200));
    project.write("away", "a file where a folder should be");
    project.edit("config/kith.toml", "origin = \"kith.test/retail\"\n", "origin = \"kith.test/retail\"\ncheckpoints_to = \"away\"\n");
    let ran = project.kith(&["run", "--once"]).ok();
    assert!(ran.stderr.contains("KITH-A027"), "{}", ran.stderr);
    let said = project.kith(&["audit", "verify"]).ok().stdout;
    assert!(said.contains("none left yet") && said.contains("not against someone with the signing key"), "{said}");
    assert!(!project.crm("SELECT ActivityID FROM SocialInteraction").is_empty());
    let plain = Project::with(&slice(50));
    plain.edit("config/kith.toml", "origin = \"kith.test/retail\"\n", "origin = \"kith.test/retail\"\nsyslog = \"none\"\n");
    plain.run_once();
    assert!(plain.kith(&["audit", "verify"]).ok().stdout.contains("no checkpoint leaves this machine"));
    plain.edit("config/kith.toml", "\"none\"", "\"tls://logs:6514\"");
    plain.kith(&["check"]).fails(2, "syslog_ca_file");
}

#[test]
fn this_machine_s_own_syslog_gets_checkpoints_too() {
    let Some(server) = SyslogNg::start(By::Socket) else { return };
    let project = Project::with(&slice(100));
    let socket = server.dir.path().join("log");
    let syslog = format!("origin = \"kith.test/retail\"\nsyslog = \"unix://{}\"\n", socket.display());
    project.edit("config/kith.toml", "origin = \"kith.test/retail\"\n", &syslog);
    project.run_once();
    let last: Value = serde_json::from_str(&server.got(1).last().unwrap().1).unwrap();
    fs::write(project.path("from-syslog"), last["checkpoint"].as_str().unwrap()).unwrap();
    let said = project.kith(&["audit", "verify", "--trusted", "from-syslog"]).ok().stdout;
    assert!(said.contains("unless it forwards them"), "{said}");
    // Named, and not there: told. Not wanted: nothing is sent.
    project.edit("config/kith.toml", &socket.display().to_string(), "/nowhere/log");
    assert!(project.kith(&["run", "--once"]).ok().stderr.contains("KITH-A027"));
    project.edit("config/kith.toml", "\"unix:///nowhere/log\"", "\"none\"");
    assert!(project.kith(&["audit", "verify"]).ok().stdout.contains("no checkpoint leaves this machine"));
}

#[test]
fn what_a_witness_cosigned_comes_into_the_log_and_its_proofs() {
    let project = Project::with(&slice(200));
    project.edit("config/kith.toml", "origin = \"kith.test/retail\"\n", "origin = \"kith.test/retail\"\nwitnesses = \"witnessed\"\n");
    project.run_once();
    let key = "state/keys/log.pub";
    project
        .kith(&["audit", "witness", "--log", "state/log", "--key", key, "--state", "w", "--name", "witness.example", "--to", "witnessed"])
        .ok();
    project.run_once();
    let names: BTreeSet<String> =
        fs::read_dir(project.path("state/log/cosigned")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.contains("witness.example.cosigned"), "{names:?}");
    let told = project.kith(&["--format", "json", "audit", "search", "--kind", "checkpoint.cosigned"]).ok().stdout;
    assert!(told.contains("witness.example"), "{told}");
    project.kith(&["audit", "prove", "2", "--out", "p"]).ok();
    let held = project.kith(&["audit", "verify-proof", "p", "--key", key, "--witness-key", "w/witness.pub"]).ok().stdout;
    assert!(held.contains("cosigned by witness.example"), "{held}");
}
