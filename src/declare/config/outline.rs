//! What a configuration names, whatever else is wrong with it.

use super::check::{MAX_TABLES, find, text_of};
use super::keys::{self, Key, Section};
use super::layers::{self, Data, Node};
use crate::diagnose::{Place, Problems};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file, and where the configuration names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedFile {
    /// The file, relative to the working directory or absolute.
    pub path: PathBuf,
    /// Where it is named.
    pub place: Place,
}

/// What a configuration names, read as far as it can be read: good enough to check the files beside it although it has problems of its
/// own, which [`check`](super::check()) tells.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outline {
    /// Names of `[customers.NAME]`.
    pub customers: Vec<Arc<str>>,
    /// Names of `[related.NAME]`.
    pub related: Vec<Arc<str>>,
    /// Names of `[targets.NAME]`, each with its target file and where the configuration names it.
    pub targets: Vec<(Arc<str>, Option<NamedFile>)>,
    /// The active mapping and where the configuration names it.
    pub mapping: Option<NamedFile>,
}

/// Reads what a configuration names; see [`check`](super::check()) for the arguments. No complaint is told here.
pub fn outline(name: &str, text: &str, environment: &[(String, String)], project: &Path) -> Outline {
    let layered = layers::read(name, text, environment, &mut Problems::default());
    let members = |section: &Section| match find(&layered.root, section.name).map(|node| &node.data) {
        Some(Data::Table(members)) => members.iter().take(MAX_TABLES).collect(),
        Some(Data::Text(_) | Data::Integer(_) | Data::Switch(_) | Data::Other(_)) | None => Vec::new(),
    };
    let names = |section: &Section| members(section).into_iter().map(|(name, _)| name.as_str().into()).collect();
    let path_of = |members: &[(String, Node)], key: &Key| {
        let node = find(members, key.name)?;
        text_of(node).filter(|text| !text.trim().is_empty()).map(|text| NamedFile { path: project.join(text), place: node.place.clone() })
    };
    let target = |(name, node): &(String, Node)| {
        let file = match &node.data {
            Data::Table(members) => path_of(members, &keys::CONNECTOR),
            Data::Text(_) | Data::Integer(_) | Data::Switch(_) | Data::Other(_) => None,
        };
        (Arc::from(name.as_str()), file)
    };
    let service = match find(&layered.root, keys::SERVICE.name).map(|node| &node.data) {
        Some(Data::Table(members)) => members.as_slice(),
        Some(Data::Text(_) | Data::Integer(_) | Data::Switch(_) | Data::Other(_)) | None => &[],
    };
    Outline {
        customers: names(&keys::CUSTOMERS),
        related: names(&keys::RELATED),
        targets: members(&keys::TARGETS).into_iter().map(target).collect(),
        mapping: path_of(service, &keys::MAPPING),
    }
}
