//! A real nginx on loopback: a store of documents (`WebDAV` PUT, GET, DELETE), with limits, logins and TLS where a test wants them.

use super::{certificates, free_port, have, wait_for};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// `limit_req` for everything below `/store/`: `5r/s`. Beyond it 429 with `Retry-After: 1`.
    pub limit: Option<&'static str>,
    /// A certificate of a company's own authority ([`Nginx::ca_file`]).
    pub tls: bool,
    /// User and password for everything below `/store/`.
    pub login: Option<(&'static str, &'static str)>,
}

/// Stopped when dropped.
pub struct Nginx {
    child: Child,
    pub dir: tempfile::TempDir,
    pub port: u16,
    tls: bool,
}

/// A line of the access log.
#[derive(Clone, Debug)]
pub struct Access {
    pub seconds: f64,
    pub method: String,
    pub uri: String,
    pub status: u16,
    pub idempotency_key: String,
    pub user_agent: String,
}

impl Nginx {
    /// `None`, said loudly, where nginx is not installed.
    pub fn start(options: Options) -> Option<Self> {
        if !have("nginx") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        fs::create_dir(dir.path().join("store")).unwrap();
        fs::create_dir(dir.path().join("tmp")).unwrap();
        let port = free_port();
        let (zone, limit) = match options.limit {
            Some(rate) => (
                format!("limit_req_zone $server_name zone=z:1m rate={rate};"),
                "limit_req zone=z; limit_req_status 429; error_page 429 = @limited;",
            ),
            None => (String::new(), ""),
        };
        let tls = if options.tls {
            certificates::make(dir.path(), "Kith test authority", "DNS:localhost");
            format!("ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem;")
        } else {
            String::new()
        };
        let login = match options.login {
            Some((user, password)) => {
                fs::write(dir.path().join("users"), format!("{user}:{{PLAIN}}{password}\n")).unwrap();
                format!("auth_basic kith; auth_basic_user_file {at}/users;")
            }
            None => String::new(),
        };
        let ssl = if options.tls { "ssl" } else { "" };
        fs::write(
            dir.path().join("nginx.conf"),
            format!(
                r#"daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;
events {{ worker_connections 256; }}
http {{
  client_body_temp_path {at}/tmp; proxy_temp_path {at}/tmp; fastcgi_temp_path {at}/tmp; uwsgi_temp_path {at}/tmp; scgi_temp_path {at}/tmp;
  log_format kith '$msec|$request_method|$uri|$status|$http_idempotency_key|$http_user_agent';
  access_log {at}/access.log kith;
  types {{ }} default_type application/json;
  {zone}
  server {{
    listen 127.0.0.1:{port} {ssl}; server_name nginx; {tls} client_max_body_size 64k;
    location = /health {{ return 200 "{{}}"; }}
    location /moved/ {{ return 302 http://127.0.0.1:{port}/store/; }}
    location /store/ {{ root {at}; dav_methods PUT DELETE; create_full_put_path on; {limit} {login} }}
    location @limited {{ add_header Retry-After 1 always; return 429; }}
  }}
}}"#
            ),
        )
        .unwrap();
        let mut command = Command::new("nginx");
        command.args(["-e", &format!("{at}/error.log"), "-p", &at, "-c", &format!("{at}/nginx.conf")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { child, dir, port, tls: options.tls };
        assert!(wait_for(port), "nginx does not start: {}", fs::read_to_string(nginx.dir.path().join("error.log")).unwrap_or_default());
        Some(nginx)
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        // The certificate is for the name.
        if self.tls { format!("https://localhost:{}", self.port) } else { format!("http://127.0.0.1:{}", self.port) }
    }

    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Every document below `/store/`: its path there, and its JSON.
    pub fn documents(&self) -> Vec<(String, serde_json::Value)> {
        fn walk(folder: &std::path::Path, prefix: &str, into: &mut Vec<(String, serde_json::Value)>) {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), &format!("{name}/"), into)
                } else {
                    into.push((name, serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap()))
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.dir.path().join("store"), "", &mut found);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// What nginx saw, in its order.
    pub fn accesses(&self) -> Vec<Access> {
        // nginx writes its line after the answer has left: wait until nothing more comes.
        let read = || fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        let mut text = read();
        loop {
            std::thread::sleep(std::time::Duration::from_millis(100));
            let later = read();
            if later == text {
                break;
            }
            text = later;
        }
        let read = |line: &str| {
            let parts: Vec<&str> = line.split('|').collect();
            Access {
                seconds: parts[0].parse().unwrap(),
                method: parts[1].into(),
                uri: parts[2].into(),
                status: parts[3].parse().unwrap(),
                idempotency_key: parts[4].into(),
                user_agent: parts[5].into(),
            }
        };
        text.lines().map(read).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
