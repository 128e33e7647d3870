//! Releases: which mapping is in force, how another one comes into force, and what the log is told of it. A changed file is a draft: it delivers
//! nothing until somebody releases it.

use super::control::{self, Answer, Request};
use super::leaves::{Scribe, WhoAsks, config_digest};
use super::line_diff::line_diff;
use super::supervise::Reloaded;
use super::{Clock, Fault, Parts, RunError, Service, asked, roles};
use crate::declare::config::ReleaseWhen;
use crate::declare::mapping::{self, Rulebook, Surroundings, describe};
use crate::declare::model;
use crate::diagnose::{Checked, Code, Problems, SourceFile};
use crate::model::Digest;
use crate::store::{MappingText, NamedText, Release, ReleaseHow, ReleaseStep, Releases, Store};
use std::collections::BTreeSet;
use std::sync::Arc;

const NOT_RELEASED: Code = Code("KITH-R066");
const NO_SUCH_RELEASE: Code = Code("KITH-R068");

/// The least digits that name a release: with 10,000 of them four would name several.
const LEAST_DIGITS: usize = 6;

/// How the service's answer to a release says which one is in force.
pub const IN_FORCE: &str = "the mapping in force is ";

/// Settings to remember, and entries to write.
type Changed = (Vec<(String, String)>, Vec<Vec<u8>>);

/// Somebody wants a mapping in force.
#[derive(Clone, Debug)]
pub(super) struct ReleaseOrder {
    /// Released, or rolled back.
    pub rollback: bool,
    /// The hash, whole or its first digits.
    pub hash: String,
    /// Why.
    pub note: Option<Arc<str>>,
    /// Who asked; none where the command itself holds the folder.
    pub asker: Option<WhoAsks>,
    /// What they are called.
    pub account: Arc<str>,
}

/// A note is a sentence: it stands in lists and in the log.
pub const MAX_NOTE: usize = 500;

/// Whether a note is one line of 1 to [`MAX_NOTE`] bytes.
pub fn is_note(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NOTE && !text.chars().any(char::is_control)
}

/// What a release of this mapping keeps.
pub fn text_of(rulebook: &Rulebook) -> MappingText {
    let named = rulebook.named.iter().map(|(written, file)| NamedText {
        written: written.to_string(),
        path: file.name.clone(),
        text: file.text.clone(),
    });
    MappingText {
        hash: rulebook.hash(),
        mapping: rulebook.digest,
        model: rulebook.matching.model.as_ref().map(|model| model.digest),
        name: rulebook.name.clone(),
        path: rulebook.source.name.clone(),
        text: rulebook.source.text.clone(),
        named: named.collect(),
    }
}

/// A released mapping, checked against what the configuration has now.
pub fn rulebook_of(text: &MappingText, surroundings: &Surroundings) -> Checked<Rulebook> {
    let short = text.hash.to_string().get(..12).unwrap_or_default().to_owned();
    let file = |path: &str, text: &str| Arc::new(SourceFile { name: format!("{path} (as released, {short})"), text: text.to_owned() });
    let named = |written: &str| {
        let found = text.named.iter().find(|named| named.written == written);
        found.map(|named| file(&named.path, &named.text)).ok_or_else(|| "it is no part of this release".to_owned())
    };
    mapping::read(&file(&text.path, &text.text), &named, Some(surroundings))
}

/// The release that these digits name: of a release's hash, or of a mapping's digest where only one release has it.
///
/// # Errors
/// A fault where there is none, or several.
pub fn find_release(releases: &[Release], digits: &str) -> Result<Digest, Box<Fault>> {
    let digits = digits.to_ascii_lowercase();
    let fault = |message: String| {
        Box::new(Fault {
            code: NO_SUCH_RELEASE.0,
            place: "argument HASH".into(),
            message,
            remedy: "`kith mapping releases` lists them; give so many digits that only one begins with them".into(),
        })
    };
    if digits.len() < LEAST_DIGITS {
        return Err(fault(format!("a release is named by at least {LEAST_DIGITS} digits of its hash")));
    }
    let named = |release: &&Release| release.hash.to_string().starts_with(&digits) || release.mapping.to_string().starts_with(&digits);
    let found: BTreeSet<Digest> = releases.iter().filter(named).map(|release| release.hash).collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(fault(format!("no release has the hash {digits}"))),
        (Some(_), Some(_)) => Err(fault(format!("several releases have a hash that begins with {digits}"))),
    }
}

fn refused(message: impl Into<String>, remedy: &str) -> RunError {
    RunError::Fault(Fault { code: NOT_RELEASED.0, place: "the mapping".into(), message: message.into(), remedy: remedy.into() })
}

impl Service {
    /// What these parts change against what was last in force: settings to remember, entries to write.
    async fn changes(&self, scribe: &Scribe, parts: &Parts, order: Option<&ReleaseOrder>) -> Result<Changed, RunError> {
        let now = self.clock.now();
        let asker = order.and_then(|order| order.asker.as_ref());
        let mapping = parts.rulebook.digest.to_string();
        let config = config_digest(&parts.config).to_string();
        let (mut settings, mut leaves) = (Vec::new(), Vec::new());
        let before = self.store.setting("mapping").await?;
        let text = describe(&parts.rulebook);
        if before.as_ref() != Some(&mapping) {
            let text_before = self.store.setting("mapping_text").await?.unwrap_or_default();
            leaves.push(scribe.mapping_changed(before.as_deref(), line_diff(&text_before, &text, true), asker, now)?);
        }
        settings.push(("mapping_text".into(), text));
        settings.push(("mapping".into(), mapping));
        let before = self.store.setting("config").await?;
        // As Rust prints it: where secrets come from, and never one of them.
        let text = format!("{:#?}", parts.config);
        if before.as_ref() != Some(&config) {
            let text_before = self.store.setting("config_text").await?;
            let diff = text_before.map(|text_before| line_diff(&text_before, &text, false));
            leaves.push(scribe.config_changed(&parts.config, before.as_deref(), diff, now)?);
        }
        settings.push(("config_text".into(), text));
        settings.push(("config".into(), config));
        if let Some(model) = &parts.rulebook.matching.model {
            let (before, digest, text) = (self.store.setting("model").await?, model.digest.to_string(), model::text(model));
            if before.as_ref() != Some(&digest) {
                let text_before = self.store.setting("model_text").await?;
                let diff = text_before.map(|text_before| line_diff(&text_before, &text, false));
                leaves.push(scribe.model_changed(model.digest, before.as_deref(), diff, asker, now)?);
            }
            settings.push(("model_text".into(), text));
            settings.push(("model".into(), digest));
        }
        Ok((settings, leaves))
    }

    /// How the mapping of these parts comes into force; `None` where it is already.
    async fn comes_by(&self, scribe: &Scribe, parts: &Parts, order: Option<&ReleaseOrder>) -> Result<Option<ReleaseHow>, RunError> {
        let newest = self.store.releases().await?.into_iter().next();
        let hash = parts.rulebook.hash();
        let same = newest.as_ref().is_some_and(|newest| newest.hash == hash);
        match (&newest, order) {
            (_, Some(_)) if same => {
                Err(refused("it is in force already", "there is nothing to do; comments, layout and tests alone make no other release"))
            }
            (_, Some(order)) if order.rollback => Ok(Some(ReleaseHow::RolledBack)),
            (_, Some(_)) => Ok(Some(ReleaseHow::Released)),
            (None, None) => Ok(Some(ReleaseHow::FirstStart)),
            (Some(_), None) if same => Ok(None),
            (Some(_), None) if parts.config.service.release == ReleaseWhen::OnStart => Ok(Some(ReleaseHow::TakenOver)),
            (Some(newest), None) => {
                tracing::debug!(user = %scribe.user(), "another release came between");
                let message = format!("{} released another one meanwhile", newest.author);
                Err(refused(message, "start, or reload, again: then it is the one that is in force"))
            }
        }
    }

    /// Makes these parts the ones in force: what they change, and a release where the mapping is another one, are durable and told together. `also` is
    /// written with them.
    pub(super) async fn enter(&self, scribe: &Scribe, parts: &Parts, order: Option<&ReleaseOrder>, also: Changed) -> Result<(), RunError> {
        let comes = self.comes_by(scribe, parts, order).await?;
        let (mut settings, mut leaves) = also;
        let (changed, told) = self.changes(scribe, parts, order).await?;
        settings.extend(changed);
        let now = self.clock.now();
        if let Some(order) = order {
            leaves.push(scribe.released(&parts.rulebook, order, now)?);
        }
        leaves.extend(told);
        scribe.keep_parts(&*self.store).await?;
        let Some(how) = comes else { return Ok(self.store.set(settings, leaves).await?) };
        let text = text_of(&parts.rulebook);
        let author = order.map_or_else(|| scribe.user(), |order| order.account.clone());
        let note = order.and_then(|order| order.note.clone());
        tracing::info!(mapping = %text.hash, how = how.name(), "another mapping comes into force");
        Ok(self.store.release(ReleaseStep { text, how, author, note, at: now, settings, leaves }).await?)
    }

    /// The mapping that is asked for, checked against what runs. A release takes the file as it was read for it, a rollback the store's text.
    pub(super) async fn ordered(&self, order: &ReleaseOrder, read: Option<&Rulebook>) -> Result<Rulebook, Problems> {
        let surroundings = Surroundings::of(&self.parts.config, self.parts.targets.iter().map(|(_, file)| file));
        let told = |error: RunError| Problems::from(error.diagnostic());
        if order.note.as_deref().is_some_and(|note| !is_note(note)) {
            return Err(told(refused(format!("a note is one line of 1 to {MAX_NOTE} bytes"), "say in a sentence why the mapping changes")));
        }
        let checked = match read {
            Some(read) if read.hash().to_string() != order.hash => {
                let message = "the service reads another text than the one that was checked";
                return Err(told(refused(message, "save all files, and release it again")));
            }
            Some(read) => read.again(&surroundings),
            None => {
                let releases = self.store.releases().await.map_err(|error| told(error.into()))?;
                let hash = find_release(&releases, &order.hash).map_err(|fault| told(RunError::Fault(*fault)))?;
                let text = self.store.mapping_text(hash).await.map_err(|error| told(error.into()))?;
                let Some(text) = text else {
                    return Err(told(refused("its text is not there", "`kith doctor --store` examines the state folder")));
                };
                rulebook_of(&text, &surroundings)
            }
        };
        checked.into_result().map(|(rulebook, _warnings)| rulebook)
    }
}

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct ReleaseAsk {
    /// Back to an earlier release, or the file.
    pub rollback: bool,
    /// The whole hash of the file's mapping; for a rollback the first digits do.
    pub hash: String,
    /// Why, in a line.
    pub note: Option<String>,
}

/// Asks the running service for a release or rollback; `None` where none runs.
///
/// # Errors
/// When the service refuses to answer, or does not.
pub async fn ask_release(state: &std::path::Path, ask: &ReleaseAsk, user: &str) -> Result<Option<Reloaded>, RunError> {
    let ReleaseAsk { rollback, hash, note } = ask.clone();
    let request = Request::Release { hash, rollback, note, user: user.to_owned() };
    match control::ask(state, &request).await.map_err(RunError::Control)? {
        None => Ok(None),
        Some(Answer::Reloaded { reloaded }) => Ok(Some(reloaded)),
        Some(Answer::Refused { code, reason }) => Err(RunError::Refused { code, reason }),
        Some(_) => Err(RunError::Refused { code: "KITH-R010".into(), reason: "the service answered something else".into() }),
    }
}

/// Releases, or goes back, where no service runs. The rulebook of `parts` is the one that is released; of a rollback it is not looked at.
///
/// # Errors
/// Problems where the role does not allow it, the text does not check, or the folder can't be had.
pub async fn release_here(parts: Parts, who: WhoAsks, ask: &ReleaseAsk, clock: Arc<dyn Clock>) -> Result<Digest, Problems> {
    let told = |error: RunError| Problems::from(error.diagnostic());
    let ReleaseAsk { rollback, hash, note } = ask.clone();
    let request = Request::Release { hash: hash.clone(), rollback, note: note.clone(), user: who.user.to_string() };
    roles::permit(&parts.config.roles, &who.user, who.role, &request).map_err(told)?;
    let read = parts.rulebook.clone();
    let service = asked::open_soon(&parts, &who, &clock).await.map_err(told)?;
    let order = ReleaseOrder { rollback, hash, note: note.map(Into::into), asker: None, account: who.user.clone() };
    let rulebook = Arc::new(service.ordered(&order, (!rollback).then_some(&*read)).await?);
    let released = rulebook.hash();
    let scribe = Scribe::new(service.store.ring().clone(), who, rulebook.clone());
    let parts = Parts { rulebook, ..parts };
    service.enter(&scribe, &parts, Some(&order), Changed::default()).await.map_err(told)?;
    service.integrate().await.map_err(told)?;
    Ok(released)
}
