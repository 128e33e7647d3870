//! A linkage model as lines, so that the log can say what differs between two.

use super::read::canonical;
use crate::resolve::{Compared, Model};

/// What the model says, its canonical form line by line; of a Splink model, its settings.
pub fn text(model: &Model) -> String {
    let settings = model.comparisons.iter().find_map(|comparison| match &comparison.compared {
        Compared::Sql { settings, .. } => Some(settings),
        Compared::Field { .. } | Compared::NameAndHandle { .. } | Compared::HandleReuse { .. } => None,
    });
    let said = settings.map_or_else(|| canonical(model), |settings| serde_json::from_str(&settings.file.text).unwrap_or_default());
    // A JSON value can always be written as text.
    serde_json::to_string_pretty(&said).unwrap_or_default()
}
