//! Settings of networks whose logins give a new refresh token each time: what the login changed is written back into the file that the settings came
//! from, before anything is asked with it, so that the next start has the token that is good.
//!
//! Between the network's answer and the file lies a moment; a machine that dies in it needs a new login, as with every client of such a login.

use crate::declare::config::{NetworkSource, SecretSource, SourceSpec};
use crate::declare::manifest::Connector;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::manifest::Json;
use crate::manifest::source::Login;
use crate::store::log::replace_in;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const BAD_SETTINGS: Code = Code("KITH-N020");

/// Settings as a login made them of what the configuration gave, which stands here by its digest: what is given anew counts.
type Changed = ([u8; 32], Json);

/// Settings that logins changed, by source.
#[derive(Default)]
pub struct Rotated(Mutex<BTreeMap<Arc<str>, Changed>>);

impl std::fmt::Debug for Rotated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rotated")
    }
}

/// Whether a login of the connector changes its settings.
pub(super) fn rotates(connector: &Connector) -> bool {
    let rotates = |login: &Login| matches!(login, Login::OAuth(oauth) if oauth.rotation.is_some());
    // What a template's streams log in by is known when they are made; that it rotates, its text says.
    let made = connector.source.dynamic.iter().any(|dynamic| dynamic.template.compact().contains("refresh_token_updater"));
    let asked = connector.source.dynamic.iter().filter_map(|dynamic| dynamic.listed.asked());
    made || connector.source.streams.iter().chain(asked).any(|stream| rotates(&stream.login))
        || connector.compliance.iter().any(|asked| rotates(&asked.login))
}

/// The file that changed settings go into.
///
/// # Errors
/// Where there is none, or a live stream of the same source would use the login beside.
pub(super) fn file(spec: &SourceSpec, network: &NetworkSource, connector: &Connector) -> Result<PathBuf, Diagnostic> {
    let place = || Place::Named(format!("[sources.{}]", spec.name));
    let SecretSource::File(path) = &network.settings.source else {
        let message = "the connector's login gives a new refresh token each time, and the settings come from no file that could keep it";
        let remedy = "write `settings = { file = \"…\" }`, a file that the service may replace";
        return Err(Diagnostic::error(BAD_SETTINGS, place(), message, remedy));
    };
    if connector.live_of(&network.streams).next().is_some() {
        let message = "the connector's login gives a new refresh token each time, which a live stream and polled ones can't share";
        let remedy = "name either live or polled streams in `streams`, or use a login whose refresh token stays";
        return Err(Diagnostic::error(BAD_SETTINGS, place(), message, remedy));
    }
    Ok(path.clone())
}

fn digest(given: &str) -> [u8; 32] {
    Sha256::digest(given.as_bytes()).into()
}

impl Rotated {
    /// What a login made of these settings, where one did since the service started.
    pub(super) fn since(&self, source: &str, given: &str) -> Option<Json> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(source).filter(|(of, _)| *of == digest(given)).map(|(_, changed)| changed.clone())
    }

    /// Keeps what a login made of these settings: for this service, and in the file.
    ///
    /// # Errors
    /// The file can't be replaced: this service goes on, and the next start has no login.
    pub(super) fn keep(&self, spec: &SourceSpec, given: &str, changed: &Json, file: &Path) -> Result<(), Diagnostic> {
        let kept = (digest(given), changed.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(spec.name.clone(), kept);
        let (folder, name) = (file.parent().filter(|folder| !folder.as_os_str().is_empty()), file.file_name());
        let name = name.map(|name| name.to_string_lossy()).unwrap_or_default();
        replace_in(folder.unwrap_or(Path::new(".")), &name, format!("{}\n", changed.compact()).as_bytes(), 0o600).map_err(|error| {
            let message = format!("the login gave a new refresh token, and {} can't be replaced: {error}", file.display());
            let remedy = "let the service's account write to the file's folder, and log in anew before the next start";
            Diagnostic::error(BAD_SETTINGS, Place::Named(format!("[sources.{}]", spec.name)), message, remedy)
        })
    }
}
