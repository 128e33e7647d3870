//! Which mapping is in force and whether its file is a draft, for `kith status`.

use crate::cli::page::line;
use crate::cli::project::{Draft, rulebook, short, yaml_at};
use crate::declare::config::{Config, ReleaseWhen};
use crate::declare::connector::TargetFile;
use crate::declare::mapping::Surroundings;
use crate::store::sqlite::releases;
use crate::store::{Release, StoreError};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// The release in force, and the file beside it where that says something else.
pub(in crate::cli) struct MappingStanding {
    release: Release,
    draft: Option<Draft>,
    when: ReleaseWhen,
}

impl MappingStanding {
    /// From the state folder and the files as they stand; `None` before the first start.
    pub fn read(config: &Config, files: &[Option<Arc<TargetFile>>]) -> Result<Option<Self>, StoreError> {
        let Some((release, _)) = releases::in_force(&config.service.state)? else { return Ok(None) };
        let names = |tables: &[crate::declare::config::TableSpec]| tables.iter().map(|table| table.name.clone()).collect();
        let operations = |file: &Option<Arc<TargetFile>>| file.as_ref().map(|file| file.operations.clone());
        let surroundings = Surroundings {
            customers: names(&config.customers),
            related: names(&config.related),
            targets: config.targets.iter().zip(files).map(|(spec, file)| (spec.name.clone(), operations(file))).collect(),
        };
        let path = &config.service.mapping;
        let said = yaml_at(path, None)
            .map_err(Into::into)
            .and_then(|source| rulebook(path, &source, Some(&surroundings)).into_result().map(|(rulebook, _warnings)| rulebook.hash()));
        let same = said.as_ref().is_ok_and(|hash| *hash == release.hash);
        let draft = (!same).then(|| Draft { path: path.display().to_string(), said, in_force: release.clone() });
        Ok(Some(Self { release, draft, when: config.service.release }))
    }

    /// For people.
    pub fn page(&self, out: &mut String) {
        let Release { hash, name, how, author, note, at, .. } = &self.release;
        let note = note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
        let since = at.strftime("%Y-%m-%dT%H:%M:%SZ");
        line(out, format_args!("  {:<12}{name} {} in force since {since}, {} by {author}{note}", "mapping", short(hash), how.name()));
        let Some(Draft { path, said, .. }) = &self.draft else { return };
        match (said, self.when) {
            (Ok(hash), ReleaseWhen::Named) => line(
                out,
                format_args!("  {:<12}{path} says something else ({}) and delivers nothing: `kith mapping release`", "DRAFT", short(hash)),
            ),
            (Ok(hash), ReleaseWhen::OnStart) => {
                line(
                    out,
                    format_args!("  {:<12}{path} says something else ({}): the next start or reload takes it over", "DRAFT", short(hash)),
                );
            }
            (Err(problems), _) => {
                let first = problems.0.first().map_or_else(String::new, |problem| format!(", {} first", problem.code));
                let errors = problems.counts().0;
                line(out, format_args!("  {:<12}{path} does not check ({errors} errors{first}): `kith check`", "DRAFT"));
            }
        }
    }

    /// For programs.
    pub fn json(&self) -> Json {
        let Release { hash, mapping, name, how, author, note, at, .. } = &self.release;
        let draft = self.draft.as_ref().map(|draft| match &draft.said {
            Ok(hash) => json!({ "path": draft.path, "checks": true, "hash": hash.to_string() }),
            Err(problems) => {
                let codes: Vec<&str> = problems.0.iter().map(|problem| problem.code.0).collect();
                json!({ "path": draft.path, "checks": false, "codes": codes })
            }
        });
        json!({ "hash": hash.to_string(), "mapping": mapping.to_string(), "name": &**name, "how": how.name(), "by": &**author,
            "note": note.as_deref(), "since": at.to_string(), "draft": draft })
    }
}
