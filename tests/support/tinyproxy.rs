//! A real tinyproxy on loopback that wants a login: user `kith`, password `pr0xy`.

use super::{free_port, have, wait_for};
use std::process::{Child, Command, Stdio};

/// Stopped when dropped.
pub struct Tinyproxy {
    child: Child,
    dir: tempfile::TempDir,
    pub port: u16,
}

impl Tinyproxy {
    /// `None`, said loudly, where it is not installed.
    pub fn start() -> Option<Self> {
        if !have("tinyproxy") {
            return None;
        }
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let log = dir.path().join("log");
        let config = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 20\nAllow 127.0.0.1\nBasicAuth kith pr0xy\nLogFile \"{}\"\nLogLevel Connect\n",
            log.display()
        );
        std::fs::write(dir.path().join("conf"), config).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(dir.path().join("conf")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let proxy = Self { child, dir, port };
        assert!((0..6).any(|_| wait_for(port)), "tinyproxy does not listen");
        Some(proxy)
    }

    /// Keys of a source that goes through it, with the password in the project's file `proxy-password`.
    pub fn keys(&self) -> String {
        format!("proxy = \"http://127.0.0.1:{}\"\nproxy_user = \"kith\"\nproxy_password = {{ file = \"proxy-password\" }}\n", self.port)
    }

    /// What it saw.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
