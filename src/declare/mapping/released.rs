//! A mapping as one thing that is released: the file, the files that it names, and one hash over what they say.

use super::{Rulebook, Surroundings, read};
use crate::declare::config::Config;
use crate::declare::connector::TargetFile;
use crate::diagnose::Checked;
use crate::model::Digest;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

impl Rulebook {
    /// SHA-256 over the digests of mapping and linkage model: what decides and delivers, not how it is laid out. Two files with the same hash are the
    /// same release.
    pub fn hash(&self) -> Digest {
        let mut hash = Sha256::new();
        // A version in front: a later form can't be mistaken for this one.
        hash.update(b"kith-release-v1\n");
        hash.update(self.digest.0);
        hash.update(self.matching.model.as_ref().map_or([0; 32], |model| model.digest.0));
        Digest(hash.finalize().into())
    }

    /// The same texts, checked against other surroundings.
    pub fn again(&self, surroundings: &Surroundings) -> Checked<Self> {
        let named = |path: &str| {
            let found = self.named.iter().find(|(name, _)| **name == *path);
            found.map(|(_, text)| text.clone()).ok_or_else(|| "it is no part of this release".to_owned())
        };
        read(&self.source, &named, Some(surroundings))
    }
}

impl Surroundings {
    /// What a checked configuration and its target files, in its order, have for mappings.
    pub fn of<'a>(config: &Config, targets: impl IntoIterator<Item = &'a Arc<TargetFile>>) -> Self {
        let names = |tables: &[crate::declare::config::TableSpec]| tables.iter().map(|table| table.name.clone()).collect();
        Self {
            customers: names(&config.customers),
            related: names(&config.related),
            targets: config.targets.iter().zip(targets).map(|(spec, file)| (spec.name.clone(), Some(file.operations.clone()))).collect(),
        }
    }
}
