//! NTLM version 2 (MS-NLMP), by the `sspi` crate's own implementation: the same on every system.

use super::Exchange;
use crate::declare::config::Secret;
use sspi::{
    AuthIdentity, AuthIdentityBuffers, BufferType, ClientRequestFlags, CredentialUse, DataRepresentation, Ntlm, SecurityBuffer,
    SecurityStatus, Sspi as _, SspiImpl as _, Username,
};

/// The client's side of one login.
pub(super) struct Client {
    ntlm: Ntlm,
    handle: Option<AuthIdentityBuffers>,
    service: String,
}

impl Client {
    /// `DOMAIN\user`, `user@domain.example` or a user alone.
    pub(super) fn new(user: &str, password: &Secret, host: &str) -> Result<Self, String> {
        let mut ntlm = Ntlm::new();
        let username = Username::parse(user).map_err(|error| format!("the user's name can't be used: {error}"))?;
        let identity = AuthIdentity { username, password: password.expose().to_owned().into() };
        let acquired = ntlm.acquire_credentials_handle().with_credential_use(CredentialUse::Outbound).with_auth_data(&identity);
        let handle = acquired.execute(&mut ntlm).map_err(|error| error.description)?.credentials_handle;
        Ok(Self { ntlm, handle, service: format!("HTTP/{host}") })
    }
}

impl Exchange for Client {
    fn next(&mut self, heard: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let mut input = [SecurityBuffer::new(heard.unwrap_or_default().to_vec(), BufferType::Token)];
        let mut output = [SecurityBuffer::new(Vec::new(), BufferType::Token)];
        let mut builder = self
            .ntlm
            .initialize_security_context()
            .with_credentials_handle(&mut self.handle)
            .with_context_requirements(ClientRequestFlags::ALLOCATE_MEMORY)
            .with_target_data_representation(DataRepresentation::Native)
            .with_target_name(&self.service)
            .with_input(&mut input)
            .with_output(&mut output);
        let status = {
            let mut result = self.ntlm.initialize_security_context_impl(&mut builder).map_err(|error| error.description)?;
            result.resolve_to_result().map_err(|error| error.description)?.status
        };
        if matches!(status, SecurityStatus::CompleteAndContinue | SecurityStatus::CompleteNeeded) {
            self.ntlm.complete_auth_token(&mut output).map_err(|error| error.description)?;
        }
        let [SecurityBuffer { buffer, .. }] = output;
        Ok(buffer)
    }
}
