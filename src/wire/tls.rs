//! TLS over a connection of our own: what the HTTP client does for its own connections.

use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Whom a connection trusts.
#[derive(Clone)]
pub struct Trust(TlsConnector);

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

impl Trust {
    /// The certificates of a PEM file, and nobody else.
    ///
    /// # Errors
    /// Where the file can't be read or has no certificate.
    pub fn of_file(ca_file: &Path) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca_file).map_err(io::Error::other)? {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        if roots.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file of trusted certificates holds none"));
        }
        Ok(Self(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()).into()))
    }

    /// Whom the system trusts.
    ///
    /// # Errors
    /// Where the system's certificates can't be used.
    pub fn of_the_system() -> io::Result<Self> {
        use rustls_platform_verifier::ConfigVerifierExt as _;
        Ok(Self(Arc::new(ClientConfig::with_platform_verifier().map_err(io::Error::other)?).into()))
    }

    /// TLS with this host, over a connection to it.
    ///
    /// # Errors
    /// Where the name is none, or the other side is not believed.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}
