//! A private authority and a certificate of it, by the `openssl` program.

use std::fs;
use std::path::Path;
use std::process::Command;

/// `ca.pem`, `cert.pem` and `key.pem` in a folder: an authority of this name, and a certificate that it signed for these names (`DNS:localhost`).
pub fn make(dir: &Path, authority: &str, names: &str) {
    let openssl = |args: &[&str]| {
        let output = Command::new("openssl").current_dir(dir).args(args).output().expect("the openssl program");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    fs::write(dir.join("ext"), format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")).unwrap();
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let subject = format!("/CN={authority}");
    openssl(&[&["req", "-x509", "-days", "2", "-subj", &subject, "-keyout", "ca.key", "-out", "ca.pem"][..], &new[..]].concat());
    openssl(&[&["req", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem"][..], &new[..]].concat());
    openssl(&[
        "x509",
        "-req",
        "-in",
        "request.pem",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "ext",
        "-out",
        "cert.pem",
    ]);
}
