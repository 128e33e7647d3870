//! What trying a draft needs: the draft, the mapping in force, the CRM's customers as each of them sees them, and the recorded people.

use crate::cli::opened::{WhichMapping, borrow_secrets, parts_if_state, project_with, reader_of};
use crate::cli::project::{rulebook, yaml_at};
use crate::cli::{Exit, Session};
use crate::declare::mapping::Rulebook;
use crate::pipeline::{Parts, RunError, Side, read_permitted};
use crate::store::sqlite::SqliteReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A draft to be tried.
pub(super) struct Tried {
    /// With the mapping in force.
    pub parts: Parts,
    /// The draft.
    pub draft: Arc<Rulebook>,
    /// The recorded people.
    pub reader: SqliteReader,
}

impl Tried {
    /// Reads a mapping; without a file the one that the configuration names.
    pub fn open(file: Option<&Path>, session: &mut Session) -> Result<Self, Exit> {
        let project = project_with(session, WhichMapping::InForce)?;
        let path: PathBuf = file.map_or_else(|| project.config.service.mapping.clone(), Path::to_path_buf);
        let source = yaml_at(&path, None).map_err(|problem| {
            session.terminal.problem(&problem);
            Exit::Wrong
        })?;
        let (draft, warnings) = rulebook(&path, &source, Some(&project.surroundings)).into_result().map_err(|problems| {
            session.terminal.problems(&problems);
            Exit::Wrong
        })?;
        session.terminal.problems(&warnings);
        let (_, mut parts) = parts_if_state(project, session)?;
        let reader = reader_of(session, &parts)?;
        borrow_secrets(&mut parts.config, &session.environment).map_err(|problem| {
            session.terminal.problem(&problem);
            Exit::Failed
        })?;
        Ok(Self { parts, draft: Arc::new(draft), reader })
    }

    /// A mapping with the customers as it sees them.
    pub fn side(&self, rulebook: &Arc<Rulebook>, session: &mut Session) -> Result<Side, Exit> {
        let suppressed = self.reader.suppressed_customers().map_err(|error| failed(session, &error.into()))?;
        let known = read_permitted(&self.parts.config, rulebook, suppressed, self.parts.keys.hash.clone());
        Ok(Side { rulebook: rulebook.clone(), known: known.map_err(|error| failed(session, &error))? })
    }
}

pub(super) fn failed(session: &mut Session, error: &RunError) -> Exit {
    session.terminal.problem(&error.diagnostic());
    Exit::Failed
}
