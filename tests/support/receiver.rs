//! Receivers of notices: a webhook that checks signatures without a line of Kith, and aiosmtpd, a mail server that nobody here wrote.

use super::{Project, free_port, root, wait_for};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A server of ours on loopback, stopped when dropped; what it got.
pub struct Receiver {
    child: Child,
    pub port: u16,
    out: std::path::PathBuf,
}

impl Receiver {
    pub fn webhook(project: &Project, answers: &[&str]) -> Self {
        let (port, out) = (free_port(), project.path("hook.out"));
        let mut command = Command::new("python3");
        command.arg(root().join("tests/support/webhook_receiver.py")).arg(port.to_string()).arg(&out).arg(KEY).args(answers);
        Self::started(command, port, out)
    }

    /// `None`, said loudly, where aiosmtpd is not installed.
    pub fn mail(project: &Project, (certificate, key): (&Path, &Path), answers: &[&str]) -> Option<Self> {
        let python = python_with_aiosmtpd()?;
        let (port, out) = (free_port(), project.path("mail.out"));
        let mut command = Command::new(python);
        command.arg(root().join("tests/support/smtp_receiver.py")).arg(port.to_string()).arg(&out).arg(certificate).arg(key).args(answers);
        Some(Self::started(command, port, out))
    }

    fn started(mut command: Command, port: u16, out: std::path::PathBuf) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let receiver = Self { child, port, out };
        assert!(wait_for(port), "the receiver does not listen");
        receiver
    }

    pub fn got(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.out).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// How often it was told that an alarm of this name `began` or `ended`.
    pub fn alarms(&self, name: &str, state: &str) -> usize {
        let got = self.got();
        let notices = got.iter().flat_map(|request| request["body"]["notices"].as_array().cloned().unwrap_or_default());
        let found = notices.filter(|notice| notice["kind"] == "alarm" && notice["fields"]["State"] == state);
        found.filter(|notice| notice["fields"]["Title"].as_str().is_some_and(|title| title.contains(name))).count()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn python_with_aiosmtpd() -> Option<String> {
    let named = std::env::var("KITH_TEST_AIOSMTPD").ok();
    let beside = std::env::temp_dir().join("kith-aiosmtpd/bin/python").display().to_string();
    let found = named
        .into_iter()
        .chain([beside, "python3".to_owned()])
        .find(|python| Command::new(python).args(["-c", "import aiosmtpd"]).output().is_ok_and(|out| out.status.success()));
    if found.is_none() {
        assert!(std::env::var("CI").is_err(), "no python with aiosmtpd");
        let folder = std::env::temp_dir().join("kith-aiosmtpd").display().to_string();
        eprintln!("SKIPPED: no python with aiosmtpd (python3 -m venv {folder}; {folder}/bin/pip install aiosmtpd)");
    }
    found
}

/// The configuration of a target that is told there; the key lies in `webhook.key`.
pub fn hook(port: u16, more: &str) -> String {
    format!("url = \"http://127.0.0.1:{port}/hook\"\nsigning_key = {{ file = \"webhook.key\" }}\n{more}")
}
