//! A Kerberos realm of one test: MIT's KDC on loopback (Debian: krb5-kdc, krb5-admin-server, krb5-user).

use super::{free_port, have, wait_for};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const REALM: &str = "KITH.TEST";

/// MIT's KDC with a user `svc-kith` and services; stopped when dropped.
pub struct Kdc {
    pub dir: tempfile::TempDir,
    child: Child,
}

impl Drop for Kdc {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// What programs that take tickets of it need to know.
pub fn environment(dir: &Path) -> [(&'static str, String); 5] {
    let path = |name: &str| dir.join(name).display().to_string();
    [
        ("KRB5_CONFIG", path("krb5.conf")),
        ("KRB5_KDC_PROFILE", path("kdc.conf")),
        ("KRB5CCNAME", format!("FILE:{}", path("tickets"))),
        ("KRB5_CLIENT_KTNAME", path("none.keytab")),
        ("KRB5_KTNAME", path("services.keytab")),
    ]
}

impl Kdc {
    /// `None`, said loudly, where it is not installed.
    pub fn start(services: &[String]) -> Option<Self> {
        if !["krb5kdc", "kdb5_util", "kadmin.local", "kinit"].iter().all(|program| have(program)) {
            return None;
        }
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let at = dir.path().display();
        std::fs::write(
            dir.path().join("krb5.conf"),
            format!(
                "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n dns_canonicalize_hostname = false\n rdns = false\n\
                 [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n[domain_realm]\n localhost = {REALM}\n"
            ),
        )
        .unwrap();
        std::fs::write(
            dir.path().join("kdc.conf"),
            format!(
                "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n[realms]\n {REALM} = {{\n  database_name = {at}/principal\n  \
                 key_stash_file = {at}/stash\n  acl_file = {at}/acl\n  max_life = 1h\n }}\n[logging]\n kdc = FILE:{at}/kdc.log\n"
            ),
        )
        .unwrap();
        let run = |program: &str, args: &[&str]| {
            let path = ["/usr/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(program)).into_iter().find(|p| p.exists()).unwrap();
            let output = Command::new(path).args(args).envs(environment(dir.path())).output().unwrap();
            assert!(
                output.status.success(),
                "{program}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        };
        run("kdb5_util", &["create", "-s", "-r", REALM, "-P", "master"]);
        run("kadmin.local", &["-r", REALM, "-q", "addprinc -pw s3cret svc-kith"]);
        for service in services {
            run("kadmin.local", &["-r", REALM, "-q", &format!("addprinc -randkey {service}")]);
            run("kadmin.local", &["-r", REALM, "-q", &format!("ktadd -norandkey -k {at}/services.keytab {service}")]);
        }
        let child = Command::new("/usr/sbin/krb5kdc")
            .args(["-n", "-r", REALM])
            .envs(environment(dir.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let kdc = Self { dir, child };
        assert!(wait_for(port), "the KDC does not start");
        Some(kdc)
    }

    pub fn ticket(&self) {
        use std::io::Write as _;
        let mut kinit = Command::new("kinit")
            .arg("svc-kith")
            .envs(environment(self.dir.path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        kinit.stdin.take().unwrap().write_all(b"s3cret\n").unwrap();
        assert!(kinit.wait().unwrap().success());
    }
}
