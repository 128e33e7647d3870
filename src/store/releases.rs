//! Mappings that were released: their texts, and which was in force when.

use super::StoreError;
use crate::model::{Digest, IdentityId, Timestamp};
use std::sync::Arc;

/// A file that a mapping names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedText {
    /// Its path as the mapping writes it.
    pub written: String,
    /// Its path as it was read.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// What a release says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappingText {
    /// SHA-256 over the digests of mapping and model.
    pub hash: Digest,
    /// The mapping's digest, as decisions name it.
    pub mapping: Digest,
    /// The linkage model's.
    pub model: Option<Digest>,
    /// `mapping:`
    pub name: Arc<str>,
    /// The file.
    pub path: String,
    /// All of it.
    pub text: String,
    /// The files that it names.
    pub named: Vec<NamedText>,
}

/// How a mapping came into force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReleaseHow {
    /// The first mapping of a state folder is released by starting with it.
    FirstStart,
    /// Somebody released it.
    Released,
    /// Somebody went back to it.
    RolledBack,
    /// `[service] release = "on-start"`: the file was taken over at a start or reload.
    TakenOver,
}

impl ReleaseHow {
    /// As lists write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstStart => "first-start",
            Self::Released => "released",
            Self::RolledBack => "rolled-back",
            Self::TakenOver => "taken-over",
        }
    }
}

/// A mapping that came into force. It is until the next one does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// Its number, from 1.
    pub id: i64,
    /// What it says: [`MappingText::hash`].
    pub hash: Digest,
    /// The mapping's digest.
    pub mapping: Digest,
    /// The linkage model's.
    pub model: Option<Digest>,
    /// `mapping:`
    pub name: Arc<str>,
    /// How.
    pub how: ReleaseHow,
    /// Who.
    pub author: Arc<str>,
    /// Why, in the author's words.
    pub note: Option<Arc<str>>,
    /// Since when it is, or was, in force.
    pub at: Timestamp,
}

/// A mapping comes into force, with the settings and leaves that tell it.
#[derive(Clone, Debug)]
pub struct ReleaseStep {
    /// What it says.
    pub text: MappingText,
    /// How.
    pub how: ReleaseHow,
    /// Who.
    pub author: Arc<str>,
    /// Why.
    pub note: Option<Arc<str>>,
    /// Now.
    pub at: Timestamp,
    /// Settings to remember.
    pub settings: Vec<(String, String)>,
    /// Entries of the log.
    pub leaves: Vec<Vec<u8>>,
}

/// What the pipeline asks of a store about releases.
pub trait Releases: Send + Sync {
    /// *Release*: one transaction, durable when it returns.
    fn release(&self, step: ReleaseStep) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Every release, the newest first.
    fn releases(&self) -> impl Future<Output = Result<Vec<Release>, StoreError>> + Send;

    /// Marks accounts to be decided again, with the leaf that tells it. Returns how many there are of them.
    fn decide_again(&self, accounts: Vec<IdentityId>, leaf: Vec<u8>) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// What a release says.
    fn mapping_text(&self, hash: Digest) -> impl Future<Output = Result<Option<MappingText>, StoreError>> + Send;
}
