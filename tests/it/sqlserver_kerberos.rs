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
    use crate::support::kdc::{Kdc, environment};
    use crate::support::tds::Request;

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
