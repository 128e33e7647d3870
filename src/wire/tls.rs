//! TLS over a connection of our own: what the HTTP client does for its own connections.

use std::io;
use std::path::Path;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Trusts the certificates of a PEM file, and nobody else.
///
/// # Errors
/// Where the file can't be read or has no certificate.
pub fn trusting(ca_file: &Path) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(io::Error::other)? {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file of trusted certificates holds none"));
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// Trusts whom the system trusts.
///
/// # Errors
/// Where the system's certificates can't be used.
pub fn of_the_system() -> io::Result<ClientConfig> {
    use rustls_platform_verifier::ConfigVerifierExt as _;
    ClientConfig::with_platform_verifier().map_err(io::Error::other)
}
