//! TLS as TDS 7.4 does it: the handshake travels in PRELOGIN packets, what follows does not.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto, version};

const HEADER: usize = 8;
/// Payload of one packet of the handshake.
const CHUNK: usize = 4088;

/// A socket whose bytes travel in PRELOGIN packets until the handshake is over.
pub struct Wrapped {
    inner: TcpStream,
    handshake: bool,
    header: Vec<u8>,
    remaining: usize,
    out: Vec<u8>,
    framed: Vec<u8>,
}

impl Wrapped {
    pub const fn new(inner: TcpStream) -> Self {
        Self { inner, handshake: true, header: Vec::new(), remaining: 0, out: Vec::new(), framed: Vec::new() }
    }

    pub fn handshake_over(&mut self) {
        self.handshake = false;
    }

    pub fn into_inner(self) -> TcpStream {
        self.inner
    }
}

impl AsyncRead for Wrapped {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if !this.handshake {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        while this.remaining == 0 {
            let mut byte = [0_u8; 1];
            let mut one = ReadBuf::new(&mut byte);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut one))?;
            if one.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.header.push(byte[0]);
            if this.header.len() == HEADER {
                this.remaining = usize::from(u16::from_be_bytes([this.header[2], this.header[3]])).saturating_sub(HEADER);
                this.header.clear();
            }
        }
        let mut part = buf.take(this.remaining);
        ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        this.remaining -= read;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wrapped {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        if !this.handshake {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        }
        this.out.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if !this.out.is_empty() {
            let out = std::mem::take(&mut this.out);
            let last = out.chunks(CHUNK).count() - 1;
            for (at, chunk) in out.chunks(CHUNK).enumerate() {
                let length = (chunk.len() + HEADER) as u16;
                this.framed.extend([0x12, u8::from(at == last)]);
                this.framed.extend(length.to_be_bytes());
                this.framed.extend([0, 0, 1, 0]);
                this.framed.extend(chunk);
            }
        }
        while !this.framed.is_empty() {
            let written = ready!(Pin::new(&mut this.inner).poll_write(cx, &this.framed))?;
            this.framed.drain(..written);
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// TLS 1.2 alone, as SQL Server does below TDS 8.0.
pub fn acceptor(dir: &Path) -> TlsAcceptor {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(dir.join("cert.pem")).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
