//! Promise: logins that are a conversation work with an acceptor that nobody here wrote (pyspnego): NTLM holds for a connection, what is
//! sent waits for it, senders side by side do not disturb each other, and a refused login is told as one.

use crate::support::{free_port, have, root, wait_for};
use kith::declare::config::{Auth, GivenSecret, Login, Secret, SecretSource, ServiceSpec};
use kith::diagnose::Code;
use kith::wire::http::{Reply, Request};
use kith::wire::session::{Session, SessionError};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The gate, stopped when dropped.
struct Gate {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Gate {
    /// `None`, said loudly, where pyspnego is not installed.
    fn start(mode: &str) -> Option<Self> {
        let has = have("python3") && Command::new("python3").args(["-c", "import spnego"]).output().is_ok_and(|out| out.status.success());
        if !has {
            eprintln!("SKIPPED: there is no python3 with pyspnego");
            assert!(std::env::var_os("CI").is_none(), "CI needs pyspnego");
            return None;
        }
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        std::fs::write(dir.path().join("users"), "CRM:svc_kith:p\u{e4}ss \u{20ac}\n").unwrap();
        let child = Command::new("python3")
            .arg(root().join("tests/support/spnego_gate.py"))
            .args([&port.to_string(), "ntlm"])
            .arg(dir.path().join("log"))
            .arg(mode)
            .env("NTLM_USER_FILE", dir.path().join("users"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        assert!(wait_for(port), "the gate does not start");
        Some(Self { child, port, dir })
    }

    fn session(&self, user: &str, password: &str) -> Session {
        let password = GivenSecret { source: SecretSource::Env("X".into()), value: Some(Secret::from_bytes(password.into()).unwrap()) };
        let spec = ServiceSpec {
            auth: Some(Auth::Ntlm),
            login: Login::Basic { user: user.into(), password },
            timeout: Duration::from_secs(20),
            ..ServiceSpec::plain(format!("http://127.0.0.1:{}", self.port))
        };
        Session::new(spec, 1 << 20)
    }

    /// Status, whether somebody is known, and bytes of each request, in order.
    fn log(&self) -> Vec<(u64, bool, u64)> {
        let text = std::fs::read_to_string(PathBuf::from(self.dir.path()).join("log")).unwrap_or_default();
        let line = |line: &str| {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            (json["status"].as_u64().unwrap(), !json["user"].is_null(), json["bytes"].as_u64().unwrap())
        };
        text.lines().map(line).collect()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn send(session: &Session, body: &str) -> Result<Reply, SessionError> {
    let authorization = session.authorization().await?;
    assert!(authorization.is_none(), "the password stands in no header");
    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    session.send(Request { method: "POST", url: format!("{}/x", session.spec.url), headers, authorization, body: Some(body.into()) }).await
}

fn heard(reply: &Reply) -> (String, String) {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    (json["user"].as_str().unwrap_or_default().to_owned(), json["body"].as_str().unwrap().to_owned())
}

const PASSWORD: &str = "p\u{e4}ss \u{20ac}";

#[tokio::test]
async fn ntlm_holds_for_a_connection_and_what_is_sent_waits_for_it() {
    let Some(gate) = Gate::start("") else { return };
    let session = gate.session(r"CRM\svc_kith", PASSWORD);
    for body in ["one", "two", "three"] {
        assert_eq!(heard(&send(&session, body).await.unwrap()), (r"CRM\svc_kith".into(), body.into()));
    }
    // One conversation: nothing of the content before the server has asked, then none of it twice.
    assert_eq!(gate.log(), [(401, false, 0), (200, true, 3), (200, true, 3), (200, true, 5)]);
}

#[tokio::test]
async fn a_connection_that_ended_is_made_anew() {
    let Some(gate) = Gate::start("once") else { return };
    let session = gate.session(r"CRM\svc_kith", PASSWORD);
    for body in ["one", "two", "three"] {
        assert_eq!(heard(&send(&session, body).await.unwrap()).1, body);
    }
    assert_eq!(gate.log().iter().filter(|(status, ..)| *status == 200).count(), 3, "none arrives twice");
}

#[tokio::test]
async fn senders_side_by_side_have_a_connection_each() {
    let Some(gate) = Gate::start("") else { return };
    let session = Arc::new(gate.session(r"CRM\svc_kith", PASSWORD));
    let tasks: Vec<_> = (0..8)
        .map(|sender| {
            let session = session.clone();
            tokio::spawn(async move {
                for turn in 0..5 {
                    let body = format!("{sender} {turn}");
                    assert_eq!(heard(&send(&session, &body).await.unwrap()), (r"CRM\svc_kith".into(), body));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let log = gate.log();
    assert_eq!(log.iter().filter(|(status, ..)| *status == 200).count(), 40);
    assert!(log.iter().filter(|(status, ..)| *status == 401).count() <= 40, "a login a request at most");
}

#[tokio::test]
async fn a_wrong_password_or_user_is_a_refused_login() {
    let Some(gate) = Gate::start("") else { return };
    for (user, password) in [(r"CRM\svc_kith", "wrong"), (r"CRM\nobody", PASSWORD)] {
        let session = gate.session(user, password);
        for _ in 0..2 {
            assert_eq!(send(&session, "one").await.unwrap().status, 401);
        }
    }
    assert!(gate.log().iter().all(|(status, known, _)| *status == 401 && !known));
}

#[tokio::test]
async fn a_server_that_closes_between_challenge_and_answer_gets_nothing_for_sure() {
    let Some(gate) = Gate::start("deaf") else { return };
    let session = gate.session(r"CRM\svc_kith", PASSWORD);
    assert!(matches!(send(&session, "one").await, Err(SessionError::Unavailable { code: Code("KITH-D012"), .. })));
    let log = gate.log();
    assert!(log.len() <= 8 && log.iter().all(|(status, known, _)| *status == 401 && !known), "{log:?}");
}

#[tokio::test]
async fn a_server_that_asks_nobody_gets_the_call_once() {
    let Some(gate) = Gate::start("open") else { return };
    let session = gate.session(r"CRM\svc_kith", PASSWORD);
    assert_eq!(heard(&send(&session, "one").await.unwrap()), (String::new(), "one".into()));
    assert_eq!(gate.log().iter().filter(|(.., bytes)| *bytes > 0).count(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_has_got_nothing() {
    let Some(gate) = Gate::start("") else { return };
    let session = gate.session(r"CRM\svc_kith", PASSWORD);
    drop(gate);
    assert!(matches!(send(&session, "one").await, Err(SessionError::Unavailable { .. })));
}
