//! Settings of networks whose logins give a new refresh token each time: what the login changed is written back into the file that the settings came
//! from, before anything is asked with it, so that the next start has the token that is good. All that reads a source shares its login: streams that are
//! polled, live ones, what fills their gaps, and what asks what still stands.
//!
//! Between the network's answer and the file lies a moment; a machine that dies in it needs a new login, as with every client of such a login.

use crate::declare::config::{NetworkSource, SecretSource, SourceKind, SourceSpec};
use crate::declare::manifest::Connector;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::manifest::source::Login;
use crate::source::manifest::{Reader, SharedLogin};
use crate::store::log::replace_in;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const BAD_SETTINGS: Code = Code("KITH-N020");

/// A login with the settings that it changed. What the configuration gave stands here by its digest: what is given anew counts.
type Kept = ([u8; 32], Arc<SharedLogin>);

/// Logins that change settings, by source.
#[derive(Default)]
pub struct Rotated(Mutex<BTreeMap<Arc<str>, Kept>>);

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
        || connector.live.iter().any(|live| rotates(&live.stream.login))
        || connector.compliance.iter().any(|asked| rotates(&asked.login))
}

/// The file that changed settings go into.
///
/// # Errors
/// Where there is none.
pub(super) fn file(spec: &SourceSpec, network: &NetworkSource) -> Result<PathBuf, Diagnostic> {
    let place = || Place::Named(format!("[sources.{}]", spec.name));
    let SecretSource::File(path) = &network.settings.source else {
        let message = "the connector's login gives a new refresh token each time, and the settings come from no file that could keep it";
        let remedy = "write `settings = { file = \"…\" }`, a file that the service may replace";
        return Err(Diagnostic::error(BAD_SETTINGS, place(), message, remedy));
    };
    Ok(path.clone())
}

fn digest(given: &str) -> [u8; 32] {
    Sha256::digest(given.as_bytes()).into()
}

impl Rotated {
    /// The login of a source with these settings.
    pub(super) fn login(&self, source: &Arc<str>, given: &str) -> Arc<SharedLogin> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = digest(given);
        if let Some((_, login)) = known.get(source).filter(|(of, _)| *of == digest) {
            return login.clone();
        }
        let login = Arc::<SharedLogin>::default();
        known.insert(source.clone(), (digest, login.clone()));
        login
    }

    /// Keeps what a login of the reader made of the settings, where it did since it was asked last; before anything is asked with it again.
    ///
    /// # Errors
    /// As [`Rotated::keep`].
    pub(super) fn keep_of(&self, reader: &Reader, spec: &SourceSpec) -> Result<(), Diagnostic> {
        reader.take_changed_config().map_or(Ok(()), |_changed| self.keep(spec))
    }

    /// Keeps what logins made of a source's settings so far in their file. Nothing is written where other settings were given meanwhile.
    ///
    /// # Errors
    /// The file can't be replaced: this service goes on, and the next start has no login.
    pub(super) fn keep(&self, spec: &SourceSpec) -> Result<(), Diagnostic> {
        let SourceKind::Network(network) = &spec.kind else { return Ok(()) };
        let Some(given) = &network.settings.value else { return Ok(()) };
        let file = file(spec, network)?;
        // Whoever keeps later keeps what is newer: nobody's write overtakes another's.
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let login = known.get(&spec.name).filter(|(of, _)| *of == digest(given.expose()));
        let Some(changed) = login.and_then(|(_, login)| login.latest()) else { return Ok(()) };
        let (folder, name) = (file.parent().filter(|folder| !folder.as_os_str().is_empty()), file.file_name());
        let name = name.map(|name| name.to_string_lossy()).unwrap_or_default();
        replace_in(folder.unwrap_or(Path::new(".")), &name, format!("{}\n", changed.compact()).as_bytes(), 0o600).map_err(|error| {
            let message = format!("the login gave a new refresh token, and {} can't be replaced: {error}", file.display());
            let remedy = "let the service's account write to the file's folder, and log in anew before the next start";
            Diagnostic::error(BAD_SETTINGS, Place::Named(format!("[sources.{}]", spec.name)), message, remedy)
        })
    }
}
