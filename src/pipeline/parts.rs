//! What a service is made of: everything checked, nothing opened.

use crate::declare::config::{Config, TargetSpec};
use crate::declare::connector::TargetFile;
use crate::declare::mapping::Rulebook;
use crate::store::log::InstallationKeys;
use std::sync::Arc;

/// The checked parts of a project.
#[derive(Clone, Debug)]
pub struct Parts {
    /// `kith.toml`.
    pub config: Config,
    /// The active mapping.
    pub rulebook: Arc<Rulebook>,
    /// Targets with their files, in the configuration's order.
    pub targets: Vec<(TargetSpec, Arc<TargetFile>)>,
    /// The installation's keys.
    pub keys: InstallationKeys,
}
