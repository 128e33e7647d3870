//! A project loaded from disk: configuration, target files and the active mapping, checked together.

use super::files::{read_bytes, read_text};
use super::{Environment, Global};
use crate::declare::config::{self, Config, NamedFile, Outline, ReleaseWhen, SourceKind, SourceSpec};
use crate::declare::connector::{self, TargetFile};
use crate::declare::manifest::{self, Compliance, Subject};
use crate::declare::mapping::{self, Rulebook, Surroundings};
use crate::declare::network;
use crate::declare::yaml;
use crate::diagnose::{Checked, Code, Diagnostic, Place, Problems, SourceFile};
use crate::model::Digest;
use crate::pipeline::{Clock as _, SystemClock, rulebook_of};
use crate::store::Release;
use crate::store::sqlite::releases;
use crate::wire::{caller, wsdl};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DRAFT: Code = Code("KITH-R065");
/// A network's duties that the mapping does not keep.
const UNKEPT: Code = Code("KITH-N079");
/// Deletions that arrive later than the network wants.
const LATE: Code = Code("KITH-N098");

/// A project without errors.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder that relative paths start at; empty for the working directory.
    pub folder: PathBuf,
    /// The configuration, overrides applied.
    pub config: Config,
    /// The target files, in the order of `config.targets`.
    pub targets: Vec<Arc<TargetFile>>,
    /// The active mapping with its linkage model.
    pub rulebook: Arc<Rulebook>,
    /// What mappings may refer to.
    pub surroundings: Surroundings,
    /// The mapping's file, where it says something else than what is in force.
    pub draft: Option<Draft>,
}

impl Project {
    /// Loads the configuration that the flags name and all that belongs to it, the mapping as its file stands. Every problem of every file is told.
    pub fn load(global: &Global, environment: &Environment) -> Checked<Self> {
        Self::with(global, environment, |_, _, file| (file, None))
    }

    /// As [`Project::load`], with the mapping that is in force: the one released last, else the file.
    pub fn in_force(global: &Global, environment: &Environment) -> Checked<Self> {
        Self::with(global, environment, in_force)
    }

    fn with(
        global: &Global,
        environment: &Environment,
        choose: impl FnOnce(&Config, &Surroundings, Checked<Rulebook>) -> (Checked<Rulebook>, Option<Draft>),
    ) -> Checked<Self> {
        let configured = configuration(&global.config, environment);
        let mut problems = configured.problems;
        let loaded = targets(&configured.outline, &mut problems);
        misplaced(configured.config.as_ref(), &configured.outline, &loaded, &mut problems);
        let surroundings = surroundings(&configured.outline, &loaded);
        let folder = config::project_folder(&global.config);
        let targets: Vec<Arc<TargetFile>> = loaded.into_iter().flatten().collect();
        let config = configured.config.map(|config| with_connectors(config, &mut problems));
        let file = configured.outline.mapping.map(|mapping| match yaml_at(&mapping.path, Some(&mapping.place)) {
            Ok(source) => rulebook(&mapping.path, &source, Some(&surroundings)),
            Err(problem) => Checked { value: None, problems: problem.into() },
        });
        let (rulebook, draft) = match (&config, file) {
            (Some(config), Some(file)) => choose(config, &surroundings, file),
            (None, Some(file)) => (file, None),
            (_, None) => (Checked { value: None, problems: Problems::default() }, None),
        };
        problems.0.extend(rulebook.problems.0);
        if let (Some(config), Some(rulebook)) = (&config, &rulebook.value) {
            stated_duties(config, rulebook, &mut problems);
            late_deletions(config, rulebook, &mut problems);
        }
        let rulebook = rulebook.value.map(Arc::new);
        let project = config.zip(rulebook).map(|(config, rulebook)| Self { folder, config, targets, rulebook, surroundings, draft });
        Checked::new(project, problems)
    }
}

/// A mapping's file that says something else than what is in force.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The file.
    pub path: String,
    /// The hash of what it says; else what is wrong with it.
    pub said: Result<Digest, Problems>,
    /// What is in force.
    pub in_force: Release,
}

impl Draft {
    /// As a warning.
    pub(super) fn warning(&self) -> Diagnostic {
        let Release { hash, author, at, .. } = &self.in_force;
        let state = match &self.said {
            Ok(_) => "is a draft".to_owned(),
            Err(problems) => format!("is a draft that does not check ({} errors)", problems.counts().0),
        };
        let message = format!("the file {state}: in force is {}, since {} by {author}", short(hash), at.strftime("%Y-%m-%d %H:%M:%SZ"));
        let remedy = "`kith mapping preview` and `replay` show what it would do, `kith mapping release` puts it in force";
        Diagnostic::warning(DRAFT, Place::Path(self.path.clone()), message, remedy)
    }
}

/// A hash as people read it: twelve digits.
pub(super) fn short(hash: &Digest) -> String {
    hash.to_string().chars().take(12).collect()
}

/// What was released last, where the configuration wants releases and there is one; the file beside it is a draft where it says something else.
fn in_force(config: &Config, surroundings: &Surroundings, file: Checked<Rulebook>) -> (Checked<Rulebook>, Option<Draft>) {
    if config.service.release == ReleaseWhen::OnStart {
        return (file, None);
    }
    // Who needs the state meets its error on opening it; the doctor must come to examine it. A start compares under the folder's lock.
    let Ok(Some((release, text))) = releases::in_force(&config.service.state) else { return (file, None) };
    if file.value.as_ref().is_some_and(|file| file.hash() == release.hash) {
        return (file, None);
    }
    let said = file.into_result().map(|(rulebook, _warnings)| rulebook.hash());
    let draft = Draft { path: config.service.mapping.display().to_string(), said, in_force: release };
    (rulebook_of(&text, surroundings), Some(draft))
}

/// A source with its records file, where it has one.
fn with_records(spec: &mut SourceSpec, problems: &mut Problems) {
    let name = spec.name.clone();
    let Some((path, loaded)) = spec.kind.records_mut() else { return };
    match yaml_at(path, Some(&Place::Named(format!("[sources.{name}]")))) {
        Ok(file) => {
            let checked = manifest::read_records(&file);
            problems.0.extend(checked.problems.0);
            *loaded = checked.value.map(Arc::new);
        }
        Err(problem) => problems.push(problem),
    }
    if let SourceKind::Folder { rows: Some(rows), .. } = &spec.kind {
        problems.0.extend(rows.loaded.as_ref().and_then(|records| records.unfit(&name, rows.stream.as_deref())));
    }
}

/// The configuration with the connectors and records files of its sources.
fn with_connectors(config: Config, problems: &mut Problems) -> Config {
    let mut config = config;
    for spec in &mut config.sources {
        with_records(spec, problems);
        with_connector(spec, problems);
    }
    config
}

/// A source with its connector.
pub(super) fn with_connector(spec: &mut SourceSpec, problems: &mut Problems) {
    let name = spec.name.clone();
    let path = match &spec.kind {
        SourceKind::Network(network) => network.connector.clone(),
        SourceKind::Webhook(hook) => hook.connector.clone(),
        SourceKind::File { .. } | SourceKind::Folder { .. } | SourceKind::Singer(_) => return,
    };
    let connector = match yaml_at(&path, Some(&Place::Named(format!("[sources.{name}]")))) {
        Ok(file) => {
            let checked = manifest::read(&file);
            problems.0.extend(checked.problems.0);
            checked.value.map(Arc::new)
        }
        Err(problem) => return problems.push(problem),
    };
    match &mut spec.kind {
        SourceKind::Network(network) => {
            network.loaded = connector;
            problems.0.extend(network.loaded.iter().flat_map(|connector| connector.unfit(&name, &network.streams)));
            problems.0.extend(network.loaded.iter().filter_map(|connector| connector.unbudgeted(&name, network.budget.as_ref())));
            problems.0.extend(network.loaded.iter().flat_map(|connector| connector.asks_unknown(&name, &network.compliance)));
        }
        SourceKind::Webhook(hook) => {
            hook.loaded = connector;
            problems.0.extend(hook.unfit(&name));
        }
        SourceKind::File { .. } | SourceKind::Folder { .. } | SourceKind::Singer(_) => {}
    }
}

/// Duties that connectors state, and the mapping does not keep: what a network asks may be left out, but not unnoticed.
fn stated_duties(config: &Config, rulebook: &Rulebook, problems: &mut Problems) {
    let mut told = BTreeSet::new();
    for spec in &config.sources {
        let (connector, path) = match &spec.kind {
            SourceKind::Network(network) => (&network.loaded, &network.connector),
            SourceKind::Webhook(hook) => (&hook.loaded, &hook.connector),
            SourceKind::File { .. } | SourceKind::Folder { .. } | SourceKind::Singer(_) => continue,
        };
        let Some(connector) = connector else { continue };
        let Some(stated) = &connector.duties else { continue };
        let path = path.parent().unwrap_or(Path::new("")).join(&**stated);
        if !told.insert(path.clone()) {
            continue;
        }
        let place = Place::Named(format!("[sources.{}]", spec.name));
        let checked = match yaml_at(&path, Some(&place)) {
            Ok(file) => network::read(&file),
            Err(mut problem) => {
                problem.code = UNKEPT;
                problems.push(problem);
                continue;
            }
        };
        problems.0.extend(checked.problems.0);
        let Some((file, _tree)) = checked.value else { continue };
        let stated = file.duties;
        if connector.network.is_some_and(|network| network != stated.network) {
            let message = format!("the connector states the duties of `{}`, and reads another network", stated.network);
            problems.push(Diagnostic::error(UNKEPT, place, message, "Name the file of its own network under `metadata.kith.duties`"));
            continue;
        }
        let remedy = format!("Name `{}` under `policy.duties` of the mapping, by its path from the mapping's folder", path.display());
        match rulebook.policy.duties.iter().find(|kept| kept.network == stated.network) {
            Some(kept) if kept.said == stated.said => {}
            Some(kept) => {
                let (network, theirs, ours) = (stated.network, &stated.as_of, &kept.as_of);
                let message =
                    format!("the mapping keeps other duties of `{network}`, as of {ours}, than the connector states, as of {theirs}");
                problems.push(Diagnostic::warning(UNKEPT, place, message, remedy));
            }
            None => {
                let message = format!("the mapping does not keep the duties of `{}` that the connector states", stated.network);
                problems.push(Diagnostic::warning(UNKEPT, place, message, remedy));
            }
        }
    }
}

/// Tells sources that don't ask what still stands as often as the network wants deletions to arrive, though their connector knows how to ask.
fn late_deletions(config: &Config, rulebook: &Rulebook, problems: &mut Problems) {
    for spec in &config.sources {
        let SourceKind::Network(source) = &spec.kind else { continue };
        let Some(connector) = &source.loaded else { continue };
        let Some(on) = spec.network.or(connector.network) else { continue };
        let Some(within) = rulebook.policy.deletions_within(on) else { continue };
        let of_objects = |asked: &&Arc<Compliance>| asked.about == Subject::Objects;
        let known: Vec<&str> = connector.compliance.iter().filter(of_objects).map(|asked| &*asked.name).collect();
        if known.is_empty() {
            continue;
        }
        let place = Place::Named(format!("[sources.{}]", spec.name));
        let wants = format!("`{on}` wants deletions to arrive within {}", time_of(within));
        if !connector.compliance_of(&source.compliance).any(|asked| of_objects(&asked)) {
            let message = format!("{wants}, and nothing asks which of the posts that were read still stand");
            let remedy = format!("Write `compliance`, with one of {}", known.join(", "));
            problems.push(Diagnostic::warning(LATE, place, message, remedy));
        } else if source.compliance_every > within {
            let message = format!("{wants}, and it is asked which posts still stand every {}", time_of(source.compliance_every));
            problems.push(Diagnostic::warning(LATE, place, message, "Write a `compliance_hours` that is shorter"));
        }
    }
}

/// A time for people, in hours where it has some.
fn time_of(time: Duration) -> String {
    let (minutes, hours) = (time.as_secs() / 60, time.as_secs() / 3_600);
    if hours == 0 { format!("{minutes} minutes") } else { format!("{hours} hours") }
}

/// The configuration as far as it could be read.
#[derive(Debug)]
pub(super) struct Configured {
    pub config: Option<Config>,
    pub outline: Outline,
    pub problems: Problems,
}

/// Reads and checks a configuration file.
pub(super) fn configuration(path: &Path, environment: &Environment) -> Configured {
    let file = match read_text(path) {
        Ok(file) => file,
        Err(mut problem) => {
            problem.remedy.push_str("; `kith init DIR` writes a sample project, `--config FILE` names another configuration");
            return Configured { config: None, outline: Outline::default(), problems: problem.into() };
        }
    };
    let folder = config::project_folder(path);
    let overrides = environment.overrides();
    let checked = config::check(&file.name, &file.text, &overrides, &folder);
    let outline = config::outline(&file.name, &file.text, &overrides, &folder);
    Configured { config: checked.value, outline, problems: checked.problems }
}

/// The target files that a configuration names, in its order; `None` where one has errors.
pub(super) fn targets(outline: &Outline, problems: &mut Problems) -> Vec<Option<Arc<TargetFile>>> {
    let mut read: Vec<(&Path, Option<Arc<TargetFile>>)> = Vec::new();
    let mut loaded = Vec::new();
    for (_, file) in &outline.targets {
        let Some(NamedFile { path, place }) = file else {
            loaded.push(None);
            continue;
        };
        if let Some((_, target)) = read.iter().find(|(other, _)| *other == path.as_path()) {
            loaded.push(target.clone());
            continue;
        }
        let target = match yaml_at(path, Some(place)) {
            Ok(source) => {
                let checked = connector::read(&source);
                problems.0.extend(checked.problems.0);
                let fits = checked.value.as_ref().map(against_wsdl).unwrap_or_default();
                let broken = fits.has_errors();
                problems.0.extend(fits.0);
                checked.value.filter(|_| !broken).map(Arc::new)
            }
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        read.push((path, target.clone()));
        loaded.push(target);
    }
    loaded
}

/// Where a target file of kind soap does not fit its WSDL, and when its vendor switches it off.
pub(super) fn against_wsdl(file: &TargetFile) -> Problems {
    let Some(service) = &file.soap else { return Problems::default() };
    let Checked { value, problems } = wsdl::load(&caller::wsdl_path(file, service));
    // What the WSDL holds beside the operations that are used is not the reader's affair.
    let Some(contract) = value else { return problems };
    let mut found = caller::check(file, &contract);
    let today = SystemClock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    found.0.extend(caller::sunset(file, today));
    found
}

/// Tells where a target's place does not fit the kind of its file.
pub(super) fn misplaced(config: Option<&Config>, outline: &Outline, loaded: &[Option<Arc<TargetFile>>], problems: &mut Problems) {
    let specs = config.map(|config| config.targets.as_slice()).unwrap_or_default();
    for ((spec, (_, named)), file) in specs.iter().zip(&outline.targets).zip(loaded) {
        if let (Some(named), Some(file)) = (named, file) {
            problems.0.extend(file.misplaced(spec, &named.place));
            let told = config.is_some_and(|config| config.alarms.to.contains(&spec.name));
            problems.0.extend(told.then(|| file.tells_nobody(spec, &named.place)).flatten());
        }
    }
}

/// What mappings may refer to.
pub(super) fn surroundings(outline: &Outline, loaded: &[Option<Arc<TargetFile>>]) -> Surroundings {
    let operations = |target: &Option<Arc<TargetFile>>| target.as_ref().map(|t| t.operations.clone());
    Surroundings {
        customers: outline.customers.clone(),
        related: outline.related.clone(),
        targets: outline.targets.iter().zip(loaded).map(|((name, _), target)| (name.clone(), operations(target))).collect(),
    }
}

/// What a configuration declares for mappings, its own problems aside. Without a readable configuration there are no surroundings: a
/// mapping is then checked by itself.
pub(super) fn around(path: &Path, environment: &Environment) -> (Outline, Option<Surroundings>) {
    let configured = configuration(path, environment);
    let readable = configured.config.is_some() || configured.outline != Outline::default();
    let loaded = targets(&configured.outline, &mut Problems::default());
    let surroundings = readable.then(|| surroundings(&configured.outline, &loaded));
    (configured.outline, surroundings)
}

/// A mapping with its linkage model, which is read from beside it.
pub(super) fn rulebook(path: &Path, source: &Arc<SourceFile>, surroundings: Option<&Surroundings>) -> Checked<Rulebook> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let model = |name: &str| yaml_at(&folder.join(name), None).map_err(|problem| problem.message);
    mapping::read(source, &model, surroundings)
}

/// A YAML file; where it can't be read, the complaint points to where it was named.
pub(super) fn yaml_at(path: &Path, named: Option<&Place>) -> Result<Arc<SourceFile>, Diagnostic> {
    let bytes = read_bytes(path).map_err(|mut problem| {
        if let Some(place) = named {
            problem.message = format!("{}: {}", path.display(), problem.message);
            problem.place = place.clone();
        }
        problem
    })?;
    yaml::decode(&path.display().to_string(), &bytes)
}
