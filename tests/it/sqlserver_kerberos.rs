//! Promise: with `windows_login = "kerberos"` a login shows the service's ticket and no password; without a ticket, or in a program that was built without
//! Kerberos, it says so.
//!
//! The ticket is one of MIT's KDC, on loopback (`cargo nextest run --features kerberos -E 'test(kerberos)'`; Debian: krb5-kdc, krb5-admin-server,
//! krb5-user, libkrb5-dev, clang).

use crate::support::slice;
use crate::support::sqlserver_site::Site;

/// A site whose targets log in by Kerberos.
fn site() -> Site {
    let site = Site::peer(&slice(1));
    let config = std::fs::read_to_string(site.project.path("config/kith.toml")).unwrap();
    let (before, targets) = config.split_once("[targets.crm_db]").unwrap();
    let kept: Vec<&str> = targets.lines().filter(|line| !line.starts_with("password")).collect();
    let targets = kept.join("\n").replace(&format!("user = \"{}\"", site.peer.as_ref().unwrap().user()), "windows_login = \"kerberos\"");
    let targets = targets.replace("server = \"127.0.0.1:", "server = \"localhost:");
    site.project.write("config/kith.toml", format!("{before}[targets.crm_db]{targets}\n"));
    site.project.kith(&["check"]).ok();
    site
}

#[cfg(not(feature = "kerberos"))]
#[test]
fn without_the_feature_a_kerberos_login_says_so() {
    let site = site();
    site.peer.as_ref().unwrap().forget();
    site.project.kith(&["doctor"]).fails(1, "was built without the feature `kerberos`");
    let told = site.project.kith(&["doctor"]);
    assert!(format!("{}{}", told.stdout, told.stderr).contains("KITH-D040"), "{}{}", told.stdout, told.stderr);
}

#[cfg(feature = "kerberos")]
mod with_a_kdc {
    use super::site;
    use crate::support::tds::Request;
    use crate::support::{free_port, have, wait_for};
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    const REALM: &str = "KITH.TEST";

    /// MIT's KDC with a user `svc-kith` and the service of a SQL Server; stopped when dropped.
    struct Kdc {
        dir: tempfile::TempDir,
        child: Child,
    }

    impl Drop for Kdc {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn environment(dir: &Path) -> [(&'static str, String); 4] {
        let path = |name: &str| dir.join(name).display().to_string();
        [
            ("KRB5_CONFIG", path("krb5.conf")),
            ("KRB5_KDC_PROFILE", path("kdc.conf")),
            ("KRB5CCNAME", format!("FILE:{}", path("tickets"))),
            ("KRB5_CLIENT_KTNAME", path("none.keytab")),
        ]
    }

    impl Kdc {
        /// `None`, said loudly, where it is not installed.
        fn start(services: &[String]) -> Option<Self> {
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
                let path =
                    ["/usr/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(program)).into_iter().find(|p| p.exists()).unwrap();
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

        fn ticket(&self) {
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

    #[test]
    fn a_kerberos_login_shows_a_ticket_and_without_one_says_so() {
        let site = site();
        let peer = site.peer.as_ref().unwrap();
        let Some(kdc) = Kdc::start(&[format!("MSSQLSvc/localhost:{}", peer.port())]) else { return };
        let doctor = || {
            let ran = site.project.command(&["doctor"]).envs(environment(kdc.dir.path())).output().unwrap();
            format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
        };
        peer.forget();
        let told = doctor();
        assert!(told.contains("KITH-D040") && told.contains("there is no Kerberos ticket for MSSQLSvc/localhost:"), "{told}");
        kdc.ticket();
        peer.forget();
        // The peer reads the token and refuses it, as a server does that does not know the user.
        let told = doctor();
        assert!(told.contains("KITH-D040") && told.contains("18456"), "{told}");
        let recorded = peer.recorded();
        let tokens = recorded.iter().filter_map(|r| if let Request::Login { token, user, .. } = r { Some((token, user)) } else { None });
        let mut shown = tokens.filter(|(token, _)| !token.is_empty());
        let (token, user) = shown.next().expect("a login with a token");
        // RFC 2743 §3.1: a token of Kerberos, by its object identifier 1.2.840.113554.1.2.2, with an AP-REQ (RFC 4121 §4.1).
        let kerberos = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00];
        assert_eq!(token[0], 0x60);
        assert!(token.windows(kerberos.len()).any(|part| part == kerberos), "{token:02x?}");
        assert!(user.is_empty(), "no name goes beside it: {user}");
    }
}
