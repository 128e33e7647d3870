//! `kith test`: the tests inside mapping files, and what they never exercise.

use super::check::{YamlKind, yaml_kind};
use super::files::{below, unreadable};
use super::project::{around, rulebook, yaml_at};
use super::terminal::plural;
use super::{Exit, Session, Terminal};
use crate::declare::config;
use crate::declare::mapping::{Coverage, Covered, Failure, Rulebook, Surroundings, TestResult, TestRun, run_tests};
use crate::diagnose::{Code, Diagnostic, Place, Problems};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TEST_FAILED: Code = Code("KITH-M040");

/// Arguments of `test`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Mappings, or folders that hold some; without one, the active mapping and all others of the project
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// A mapping whose tests ran.
struct Tested {
    rulebook: Rulebook,
    run: TestRun,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    let mut problems = Problems::default();
    let (mappings, surroundings) = selected(&arguments.paths, session, &mut problems);
    let mut tested = Vec::new();
    for (path, named) in mappings {
        match yaml_at(&path, named.as_ref()) {
            Ok(source) => {
                let checked = rulebook(&path, &source, surroundings.as_ref());
                // Warnings are for `check`.
                if checked.problems.has_errors() {
                    problems.0.extend(checked.problems.0);
                }
                tested.extend(checked.value.map(|rulebook| Tested { run: run_tests(&rulebook), rulebook }));
            }
            Err(problem) => problems.push(problem),
        }
    }
    let (all, failed) = (tested.iter().map(|t| t.run.results.len()).sum::<usize>(), tested.iter().map(|t| t.run.failed()).sum::<usize>());
    let terminal = &mut session.terminal;
    if terminal.is_json() {
        let mappings: Vec<Json> = tested.iter().map(Tested::to_json).collect();
        terminal.json(&json!({ "mappings": mappings, "passed": all - failed, "failed": failed, "problems": problems.to_json() }));
    } else {
        for one in &tested {
            one.tell(terminal);
        }
        if !tested.is_empty() {
            terminal.data(&format!("{}: {} passed, {failed} failed", plural(all, "test"), all - failed));
        }
        terminal.problems(&problems);
    }
    if problems.has_errors() {
        Exit::Wrong
    } else if failed > 0 {
        Exit::Failed
    } else {
        Exit::Fine
    }
}

/// The mappings to test, each with the place where it is named, and what they may refer to.
fn selected(paths: &[PathBuf], session: &Session, problems: &mut Problems) -> (Vec<(PathBuf, Option<Place>)>, Option<Surroundings>) {
    let (outline, surroundings) = around(&session.global.config, &session.environment);
    let mut selected: Vec<(PathBuf, Option<Place>)> = Vec::new();
    let mut folders = Vec::new();
    if paths.is_empty() {
        selected.extend(outline.mapping.map(|named| (named.path, Some(named.place))));
        folders.push(config::project_folder(&session.global.config).join("mappings"));
        if selected.is_empty() && !folders.iter().all(|f| f.is_dir()) {
            problems.0.extend(super::project::configuration(&session.global.config, &session.environment).problems.0);
        }
    }
    for path in paths {
        match std::fs::metadata(path) {
            Ok(kind) if kind.is_dir() => folders.push(path.clone()),
            Ok(_) => selected.push((path.clone(), None)),
            Err(error) => problems.push(unreadable(path, &error)),
        }
    }
    for folder in folders.iter().filter(|f| f.is_dir()) {
        match below(folder, &["yaml", "yml"]) {
            Ok(found) => {
                for path in found {
                    if !selected.iter().any(|(other, _)| *other == path) && is_mapping(&path) {
                        selected.push((path, None));
                    }
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    (selected, surroundings)
}

/// A file that can't be read is told when it is read as a mapping.
fn is_mapping(path: &Path) -> bool {
    yaml_at(path, None).map_or(true, |source| yaml_kind(&source.text) == Some(YamlKind::Mapping))
}

impl Tested {
    fn tell(&self, terminal: &mut Terminal) {
        let Self { rulebook, run } = self;
        terminal.data(&format!("{}: {}", rulebook.source.name, plural(run.results.len(), "test")));
        for result in &run.results {
            let mark = if result.failures.is_empty() { "ok    " } else { "FAILED" };
            terminal.data(&format!("  {mark} {}", result.name));
        }
        for (result, failure) in run.results.iter().flat_map(|r| r.failures.iter().map(move |f| (r, f))) {
            let text = diagnostic(result, failure).render(terminal.look());
            terminal.data("");
            terminal.data(&text);
        }
        let (exercised, all) = run.coverage.totals();
        terminal.data(&format!("\n  exercised: {exercised} of {all} rules, levels and delivered fields"));
        for line in never(&run.coverage) {
            terminal.data(&format!("    never {line}"));
        }
        terminal.data("");
    }

    fn to_json(&self) -> Json {
        let Self { rulebook, run } = self;
        json!({
            "file": rulebook.source.name,
            "mapping": &*rulebook.name,
            "digest": rulebook.digest.to_string(),
            "tests": run.results.iter().map(result_json).collect::<Vec<_>>(),
            "coverage": coverage_json(&run.coverage),
        })
    }
}

fn diagnostic(result: &TestResult, failure: &Failure) -> Diagnostic {
    let message = format!("{}: expected {}, came {}", failure.what, failure.expected, failure.actual);
    let remedy = format!("all that came: {}; correct the mapping, or the expectation", result.outcome);
    Diagnostic::error(TEST_FAILED, failure.place.clone(), message, remedy).related(result.place.clone(), "of this test")
}

/// What no test exercised, a line a group.
fn never(coverage: &Coverage) -> Vec<String> {
    let names = |covered: &[Covered]| -> Vec<Arc<str>> { covered.iter().filter(|c| c.tests == 0).map(|c| c.name.clone()).collect() };
    let group = |what: String, covered: &[Covered]| {
        let names = names(covered);
        (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")))
    };
    let levels = coverage.levels.iter().filter_map(|(name, covered)| group(format!("level of {name}"), covered));
    let fields = coverage.fields.iter().filter_map(|(name, covered)| group(format!("delivered by {name}"), covered));
    group("rule".to_owned(), &coverage.rules).into_iter().chain(levels).chain(fields).collect()
}

fn result_json(result: &TestResult) -> Json {
    let failure = |f: &Failure| json!({ "what": f.what, "expected": f.expected, "actual": f.actual, "place": f.place.to_json() });
    json!({
        "name": &*result.name,
        "passed": result.failures.is_empty(),
        "place": result.place.to_json(),
        "outcome": result.outcome,
        "failures": result.failures.iter().map(failure).collect::<Vec<_>>(),
    })
}

fn coverage_json(coverage: &Coverage) -> Json {
    let counts = |covered: &[Covered]| Json::Object(covered.iter().map(|c| (c.name.to_string(), json!(c.tests))).collect());
    let groups = |groups: &[(Arc<str>, Vec<Covered>)]| {
        Json::Object(groups.iter().map(|(name, covered)| (name.to_string(), counts(covered))).collect())
    };
    let (exercised, all) = coverage.totals();
    json!({
        "exercised": exercised,
        "all": all,
        "rules": counts(&coverage.rules),
        "levels": groups(&coverage.levels),
        "fields": groups(&coverage.fields),
    })
}
