//! Backups beside a running service, and keys that are kept elsewhere: made first, told to the log, and only then given their name.

use super::asked::{Reached, reach};
use super::control::{Answer, Request};
use super::leaves::WhoAsks;
use super::{Clock, Fault, Parts, RunError};
use crate::model::{Digest, Timestamp};
use crate::store::Store;
use crate::store::backup::{BackupError, Making, Recipients};
use crate::store::log::InstallationKeys;
use std::path::Path;
use std::sync::Arc;

/// The setting that tells the last backup: how many entries it has, when it was made, its SHA-256.
pub const BACKED_UP: &str = "backup_made";
/// The setting that tells which keys were seen in an escrow, and when.
pub const KEYS_CONFIRMED: &str = "keys_confirmed";

impl From<BackupError> for RunError {
    fn from(error: BackupError) -> Self {
        Self::Fault(Fault::of(error.diagnostic()))
    }
}

/// Makes a backup of the state folder, whether or not a service runs.
///
/// # Errors
/// When it can't be made, or the log can't be told: then there is no file with a backup's name.
pub async fn make_backup(
    parts: &Parts,
    who: &WhoAsks,
    clock: &Arc<dyn Clock>,
    to: &Path,
    recipients: Recipients,
) -> Result<Making, RunError> {
    let (state, to, now) = (parts.config.service.state.clone(), to.to_owned(), clock.now());
    let (key, master) = (parts.keys.log.clone(), parts.keys.master.id());
    let making = tokio::task::spawn_blocking(move || Making::make(&state, &to, &recipients, &key, master, now));
    let making = making.await.map_err(RunError::Task)??;
    let request = Request::RecordBackup { file: making.digest.to_string(), size: making.manifest.entries, user: who.user.to_string() };
    match tell(parts, who, clock, &request).await {
        Ok(()) => {
            making.finish()?;
            Ok(making)
        }
        Err(error) => {
            making.forget();
            Err(error)
        }
    }
}

/// Which keys are meant: their ids, and no part of them.
pub fn fingerprint(keys: &InstallationKeys) -> String {
    let hash = keys.hash.digest("kith/v1/keys/confirmed", b"");
    format!("{} {} {}", keys.master.id(), keys.log.verifier().id(), hash.short())
}

/// Tells the log that the keys in force left, sealed, or that they were found in such a file; then it is remembered that they are kept elsewhere.
///
/// # Errors
/// When that is not possible.
pub async fn record_keys(parts: &Parts, who: &WhoAsks, clock: &Arc<dyn Clock>, file: Digest, confirmed: bool) -> Result<(), RunError> {
    let keys = confirmed.then(|| fingerprint(&parts.keys));
    tell(parts, who, clock, &Request::RecordKeys { file: file.to_string(), keys, user: who.user.to_string() }).await
}

async fn tell(parts: &Parts, who: &WhoAsks, clock: &Arc<dyn Clock>, request: &Request) -> Result<(), RunError> {
    let Reached::Ours(service) = reach(parts, who, clock, request).await? else { return Ok(()) };
    service.desk(&Arc::default()).record_kept(request, None).await?;
    service.integrate().await
}

impl super::asked::Desk {
    /// Backups and keys that are kept elsewhere.
    pub(super) async fn record_kept(&self, request: &Request, asker: Option<&WhoAsks>) -> Result<Answer, RunError> {
        let digest = |text: &str| {
            let refused = || RunError::Refused { code: "KITH-R010".into(), reason: "a digest has 64 hexadecimal digits".into() };
            Digest::from_hex(text).ok_or_else(refused)
        };
        let now: Timestamp = self.clock.now();
        #[expect(clippy::wildcard_enum_match_arm, reason = "the two requests that this is asked for")]
        let (setting, leaf) = match request {
            Request::RecordBackup { file, size, .. } => {
                let leaf = self.scribe.backed_up(digest(file)?, *size, asker, now)?;
                (Some((BACKED_UP.to_owned(), format!("{size} {now} {file}"))), leaf)
            }
            Request::RecordKeys { file, keys, .. } => {
                let confirmed = keys.as_ref().map(|keys| (KEYS_CONFIRMED.to_owned(), format!("{keys} {now}")));
                (confirmed, self.scribe.keys_escrowed(digest(file)?, asker, now)?)
            }
            other => {
                debug_assert!(false, "{other:?} is another's");
                return Ok(Answer::Done);
            }
        };
        self.store.set(setting.into_iter().collect(), vec![leaf]).await?;
        Ok(Answer::Done)
    }
}
