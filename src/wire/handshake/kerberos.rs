//! Kerberos within SPNEGO (RFC 4178, RFC 4559), by the system's GSSAPI: tickets come from its cache, or from the keytab that
//! `KRB5_CLIENT_KTNAME` names. Kith never sees a password.

use super::Exchange;
use libgssapi::context::{ClientCtx, CtxFlags};
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_SPNEGO, GSS_NT_HOSTBASED_SERVICE};

/// The client's side of one login.
pub(super) struct Client(ClientCtx);

impl Client {
    /// For the principal `HTTP/host`.
    pub(super) fn new(host: &str) -> Result<Self, String> {
        let service = Name::new(format!("HTTP@{host}").as_bytes(), Some(GSS_NT_HOSTBASED_SERVICE)).map_err(|error| error.to_string())?;
        // Nobody is delegated to, and TLS says who the server is.
        Ok(Self(ClientCtx::new(None, service, CtxFlags::empty(), Some(GSS_MECH_SPNEGO))))
    }
}

impl Exchange for Client {
    fn next(&mut self, heard: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let said = self.0.step(heard, None).map_err(|error| error.to_string())?;
        Ok(said.map(|token| token.to_vec()).unwrap_or_default())
    }
}
