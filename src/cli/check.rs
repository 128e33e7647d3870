//! `kith check`: every problem of every file, offline.

use super::files::{below, place, unreadable};
use super::project::{Project, against_wsdl, configuration, misplaced, rulebook, surroundings, targets, yaml_at};
use super::terminal::{counted, plural};
use super::{Exit, Session};
use crate::declare::config::{Outline, SourceKind};
use crate::declare::mapping::Surroundings;
use crate::declare::{config, connector, manifest, model, network, yaml};
use crate::diagnose::{Code, Diagnostic, Place, Problems};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const NO_KIND: Code = Code("KITH-C016");
/// A stream or projection that a source wants and its connector lacks, a webhook that it lacks or that is set up otherwise, a budget without prices, duties
/// that the mapping does not keep, deletions that come too late for them.
const TOGETHER: [&str; 5] = ["KITH-N030", "KITH-N050", "KITH-N077", "KITH-N079", "KITH-N098"];

/// Arguments of `check`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Files or folders; without one, the configuration and all connectors and mappings of its project
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    let mut checkup = Checkup { session, surroundings: None, done: Vec::new(), problems: Problems::default() };
    checkup.everything(&arguments.paths);
    let Checkup { done, problems, .. } = checkup;
    let (errors, warnings) = problems.counts();
    let terminal = &mut session.terminal;
    if terminal.is_json() {
        let files: Vec<String> = done.iter().map(|path| path.display().to_string()).collect();
        terminal.json(&json!({ "files": files, "errors": errors, "warnings": warnings, "problems": problems.to_json() }));
    } else {
        for problem in &problems.0 {
            let text = problem.render(terminal.look());
            terminal.data(&text);
            terminal.data("");
        }
        terminal.data(&format!("{} checked: {}", plural(done.len(), "file"), counted(&problems)));
        if let Some(first) = problems.0.first() {
            terminal.note(&format!("more about a code: kith explain {}", first.code));
        }
    }
    if errors > 0 { Exit::Wrong } else { Exit::Fine }
}

struct Checkup<'a> {
    session: &'a Session,
    /// What the configuration declares, where there is one.
    surroundings: Option<Surroundings>,
    /// Files that were looked into, each once.
    done: Vec<PathBuf>,
    problems: Problems,
}

impl Checkup<'_> {
    fn everything(&mut self, paths: &[PathBuf]) {
        let path = &self.session.global.config;
        let configured = configuration(path, &self.session.environment);
        let mut of_targets = Problems::default();
        let loaded = targets(&configured.outline, &mut of_targets);
        misplaced(configured.config.as_ref(), &configured.outline, &loaded, &mut of_targets);
        // Without a configuration a mapping can still be checked by itself.
        let readable = configured.config.is_some() || configured.outline != Outline::default();
        self.surroundings = readable.then(|| surroundings(&configured.outline, &loaded));
        if !paths.is_empty() {
            for path in paths {
                self.path(path);
            }
            return;
        }
        self.done.push(path.clone());
        self.problems.0.extend(configured.problems.0);
        self.problems.0.extend(of_targets.0);
        let folder = config::project_folder(path);
        let mut files: BTreeMap<PathBuf, Option<Place>> = BTreeMap::new();
        // Checked with the configuration already.
        self.done.extend(configured.outline.targets.iter().filter_map(|(_, file)| file.as_ref()).map(|file| file.path.clone()));
        self.done.dedup();
        for name in ["connectors", "mappings"] {
            let inside = folder.join(name);
            if inside.is_dir() {
                match below(&inside, &["yaml", "yml"]) {
                    Ok(found) => files.extend(found.into_iter().map(|path| (path, None))),
                    Err(problem) => self.problems.push(problem),
                }
            }
        }
        for spec in configured.config.iter().flat_map(|config| &config.sources) {
            let connector = match &spec.kind {
                SourceKind::Network(network) => Some(&network.connector),
                SourceKind::Webhook(hook) => Some(&hook.connector),
                SourceKind::File { .. } | SourceKind::Folder { .. } | SourceKind::Singer(_) => None,
            };
            for path in connector.into_iter().chain(spec.kind.records()) {
                files.entry(path.clone()).or_insert(Some(Place::Named(format!("[sources.{}]", spec.name))));
            }
        }
        if let Some(mapping) = configured.outline.mapping {
            files.insert(mapping.path, Some(mapping.place));
        }
        for (path, named) in files {
            self.yaml(&path, named.as_ref());
        }
        // What the configuration, its connectors and its mapping are to each other is seen where a service loads them.
        let together = Project::load(&self.session.global, &self.session.environment).problems;
        for problem in together.0.into_iter().filter(|problem| TOGETHER.contains(&problem.code.0)) {
            if !self.problems.0.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    /// A path of the command line.
    fn path(&mut self, path: &Path) {
        let kind = match std::fs::metadata(path) {
            Ok(kind) => kind,
            Err(error) => return self.problems.push(unreadable(path, &error)),
        };
        if kind.is_dir() {
            return match below(path, &["yaml", "yml", "toml"]) {
                Ok(found) => found.iter().for_each(|path| self.file(path)),
                Err(problem) => self.problems.push(problem),
            };
        }
        self.file(path);
    }

    fn file(&mut self, path: &Path) {
        if path.extension().is_some_and(|e| e == "toml") {
            if !self.once(path) {
                return;
            }
            let configured = configuration(path, &self.session.environment);
            self.problems.0.extend(configured.problems.0);
        } else {
            self.yaml(path, None);
        }
    }

    fn once(&mut self, path: &Path) -> bool {
        let new = !self.done.iter().any(|done| done == path);
        if new {
            self.done.push(path.to_path_buf());
        }
        new
    }

    /// A YAML file, by what it says it is.
    fn yaml(&mut self, path: &Path, named: Option<&Place>) {
        if !self.once(path) {
            return;
        }
        let source = match yaml_at(path, named) {
            Ok(source) => source,
            Err(problem) => return self.problems.push(problem),
        };
        let found = match yaml_kind(&source.text) {
            Some(YamlKind::Target) => {
                let checked = connector::read(&source);
                let mut problems = checked.problems;
                problems.0.extend(checked.value.as_ref().map(against_wsdl).unwrap_or_default().0);
                problems
            }
            Some(YamlKind::Mapping) => rulebook(path, &source, self.surroundings.as_ref()).problems,
            Some(YamlKind::Model) => model::read(&source, None).problems,
            Some(YamlKind::Network) => network::read(&source).problems,
            Some(YamlKind::Source) => manifest::read(&source).problems,
            Some(YamlKind::Records) => manifest::read_records(&source).problems,
            None => {
                let broken = yaml::read(&source).problems;
                if broken.has_errors() { broken } else { no_kind(path).into() }
            }
        };
        // A mapping tells the complaints about its model too: each is told once.
        for problem in found.0 {
            if !self.problems.0.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }
}

/// What a YAML file says it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum YamlKind {
    Target,
    Mapping,
    Model,
    Network,
    Source,
    Records,
}

/// By the first top-level key that names a format; works on files that are broken further down.
pub(super) fn yaml_kind(text: &str) -> Option<YamlKind> {
    text.lines().find_map(|line| match line.split_once(':')?.0 {
        "target" => Some(YamlKind::Target),
        "mapping" => Some(YamlKind::Mapping),
        "model" => Some(YamlKind::Model),
        "network" => Some(YamlKind::Network),
        "records" => Some(YamlKind::Records),
        // Airbyte's word; a mapping or target file never begins with it.
        "type" if line.contains("DeclarativeSource") => Some(YamlKind::Source),
        _ => None,
    })
}

fn no_kind(path: &Path) -> Diagnostic {
    Diagnostic::error(
        NO_KIND,
        place(path),
        "the file is neither a mapping, nor a linkage model, nor a target file, nor a source, nor a records file, nor about a network",
        "a mapping has the key `mapping`, a model `model`, a target file `target`, a records file `records`, one about a network `network` at the top, a source `type: DeclarativeSource`",
    )
}
