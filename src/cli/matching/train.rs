//! `kith match train`: a mapping's model trained without labels, written beside it with its provenance.

use crate::cli::opened::{Keys, parts, runtime, who};
use crate::cli::page::line;
use crate::cli::project::{rulebook, yaml_at};
use crate::cli::run::grouped;
use crate::cli::{Exit, Session};
use crate::declare::model::{self, Provenance};
use crate::declare::yaml;
use crate::diagnose::{Code, Diagnostic, Place, SourceFile};
use crate::pipeline::training::{Training, train_mapping};
use crate::pipeline::{Clock, SystemClock};
use crate::resolve::{Model, TrainOptions};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ARGUMENT: Code = Code("KITH-C015");
const UNWRITABLE: Code = Code("KITH-C018");
const NOT_IN_SQL: Code = Code("KITH-L025");

/// Arguments of `match train`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The mapping whose model is trained
    pub mapping: PathBuf,
    /// Where the trained model goes; without it, beside the model as NAME.trained.yaml
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the trained model as Splink's settings JSON as well; where it counts term frequencies, those of each FIELD beside it as NAME.FIELD.csv
    #[arg(long, value_name = "FILE")]
    pub splink: Option<PathBuf>,
    /// What random pairs and the order of identities follow from: the same seed gives the same model, bit for bit
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Random pairs for u, and pairs of one session at most
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub pairs: u64,
    /// The share of the true links that the mapping's exact rules find, above 0 and at most 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.6)]
    pub recall: f64,
    /// The day that the model says it was trained on; without it, today
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<String>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    trained(arguments, session).unwrap_or_else(|exit| exit)
}

fn problem(session: &mut Session, code: Code, place: Place, message: impl Into<String>, remedy: &str, exit: Exit) -> Exit {
    session.terminal.problem(&Diagnostic::error(code, place, message, remedy));
    exit
}

fn trained(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    if !(arguments.recall > 0.0 && arguments.recall <= 1.0) {
        let place = Place::Named("argument --recall".into());
        return Err(problem(session, ARGUMENT, place, "the recall must lie above 0 and not above 1", "Write 0.6", Exit::Wrong));
    }
    let (project, mut parts) = parts(session, Keys::Borrowed)?;
    let told = |session: &mut Session, problem: Diagnostic| {
        session.terminal.problem(&problem);
        Exit::Wrong
    };
    let source = yaml_at(&arguments.mapping, None).map_err(|p| told(session, p))?;
    let rules = rulebook(&arguments.mapping, &source, Some(&project.surroundings)).into_result().map_err(|problems| {
        session.terminal.problems(&problems);
        Exit::Wrong
    })?;
    parts.rulebook = Arc::new(rules.0);
    let named = yaml::read(&source).value.and_then(|tree| tree.get("match")?.get("model")?.shared_text());
    let (Some(name), Some(model)) = (named, parts.rulebook.matching.model.clone()) else {
        let place = Place::Path(arguments.mapping.display().to_string());
        let (message, remedy) = if parts.rulebook.matching.model.is_some() {
            ("the mapping names a model of Splink's, which Splink trains", "Train it there, or name a model of Kith's")
        } else {
            ("the mapping names no model that could be trained", "Name one under `match`")
        };
        return Err(problem(session, ARGUMENT, place, message, remedy, Exit::Wrong));
    };
    let path = arguments.mapping.parent().unwrap_or(Path::new("")).join(&*name);
    let file = yaml_at(&path, None).map_err(|p| told(session, p))?;
    let who = who(session, &parts.config);
    let options = TrainOptions { seed: arguments.seed, pairs: arguments.pairs, recall: arguments.recall };
    let runtime = runtime(session)?;
    let training =
        runtime.block_on(train_mapping(parts, who, Arc::new(SystemClock), options, arguments.splink.is_some())).map_err(|error| {
            session.terminal.problem(&error.diagnostic());
            Exit::Failed
        })?;
    let Some(training) = training else {
        let place = Place::Path(arguments.mapping.display().to_string());
        return Err(problem(
            session,
            ARGUMENT,
            place,
            "there is nobody to train on",
            "Give sources and customers with records",
            Exit::Failed,
        ));
    };
    let date = arguments.date.clone().unwrap_or_else(|| SystemClock.now().to_string().chars().take(10).collect());
    let from = Provenance {
        date,
        seed: arguments.seed,
        data: training.data.to_string(),
        recall: arguments.recall.to_string(),
        seen: training.trained.seen,
        untrained: training.trained.untrained(),
    };
    let out = arguments.out.clone().unwrap_or_else(|| path.with_extension("trained.yaml"));
    let text = model::retrained(&file, &model, &training.trained, &from).unwrap_or_default();
    let written = Arc::new(SourceFile { name: out.display().to_string(), text });
    // What is written is read again as any model is: nothing goes to disk that `kith check` would refuse.
    let again = model::read(&written, None).into_result().map_err(|problems| {
        session.terminal.problems(&problems);
        Exit::Failed
    })?;
    write(session, &out, written.text.as_bytes())?;
    let mut exit = Exit::Fine;
    if let Some(to) = &arguments.splink {
        exit = export(session, &again.0, &training, to)?;
    }
    report(session, &training, &again.0, &out);
    Ok(exit)
}

fn export(session: &mut Session, model: &Model, training: &Training, to: &Path) -> Result<Exit, Exit> {
    match model::splink(model, training.customers) {
        Ok(exported) => {
            let text = serde_json::to_string_pretty(&exported.settings).unwrap_or_default();
            write(session, to, text.as_bytes())?;
            for field in &exported.counted {
                let values = training.frequencies.reveal().get(field).map(Vec::as_slice).unwrap_or_default();
                let table = frequency_table(field, values).map_err(|_csv| Exit::Failed)?;
                write(session, &to.with_extension(format!("{field}.csv")), &table)?;
            }
            Ok(Exit::Fine)
        }
        Err(cannot) => {
            for what in cannot {
                let place = Place::Path(to.display().to_string());
                problem(session, NOT_IN_SQL, place, what, "Splink would score otherwise: the JSON was not written", Exit::Failed);
            }
            Ok(Exit::Failed)
        }
    }
}

/// A field's term frequencies as Splink's `register_term_frequency_lookup` takes them.
fn frequency_table(field: &str, values: &[(Arc<str>, f64)]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([field, &format!("tf_{field}")])?;
    for (value, frequency) in values {
        writer.write_record([&**value, &format!("{frequency:?}")])?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn write(session: &mut Session, to: &Path, bytes: &[u8]) -> Result<(), Exit> {
    std::fs::write(to, bytes).map_err(|error| {
        let place = Place::Path(to.display().to_string());
        problem(
            session,
            UNWRITABLE,
            place,
            format!("the file can't be written: {}", error.kind()),
            "Give a path in a folder that you may write",
            Exit::Failed,
        )
    })
}

fn report(session: &mut Session, training: &Training, model: &Model, out: &Path) {
    let trained = &training.trained;
    let untrained = trained.untrained();
    if session.terminal.is_json() {
        let sessions: Vec<Json> = trained
            .sessions
            .iter()
            .map(|s| json!({ "rule": &*s.rule, "pairs": s.pairs, "patterns": s.patterns, "changes": s.changes, "converged": s.converged, "share": s.share, "trained": s.trained.iter().map(|t| &**t).collect::<Vec<_>>() }))
            .collect();
        let comparisons: Vec<Json> = trained
            .comparisons
            .iter()
            .map(|c| json!({ "comparison": &*c.name, "known": c.known, "rivals": c.rivals, "levels": c.levels.iter().map(|l| json!({ "level": &*l.label, "m": l.m, "u": l.u, "counted": l.exact })).collect::<Vec<_>>() }))
            .collect();
        session.terminal.json(&json!({ "out": out.display().to_string(), "data": training.data.to_string(), "share": trained.share, "model": model.digest.to_string(), "sessions": sessions, "comparisons": comparisons, "untrained": untrained }));
        return;
    }
    let mut page = String::new();
    let number = |n: usize| grouped(u64::try_from(n).unwrap_or(u64::MAX));
    line(&mut page, format_args!("{} identities, {} customers", number(trained.seen.0), number(trained.seen.1)));
    for s in &trained.sessions {
        let how = if s.converged { "converged" } else { "NOT converged" };
        let last = s.changes.last().copied().unwrap_or(0.0);
        line(
            &mut page,
            format_args!(
                "\nblocked on {}: {} pairs, {} patterns, {how} after {} rounds (last change {last:.6}), {:.2} % match",
                s.rule,
                grouped(s.pairs),
                number(s.patterns),
                s.changes.len(),
                s.share * 100.0
            ),
        );
        let changes: Vec<String> = s.changes.iter().map(|change| format!("{change:.4}")).collect();
        line(&mut page, format_args!("  changes  {}", changes.join(" ")));
        line(&mut page, format_args!("  trained  {}", s.trained.iter().map(|t| &**t).collect::<Vec<_>>().join(", ")));
    }
    // A u is often a few in a billion.
    let shown = |value: Option<f64>| match value {
        None => "not trained".to_owned(),
        Some(v) if v < 1e-4 => format!("{v:.2e}"),
        Some(v) => format!("{v:.7}"),
    };
    for comparison in &trained.comparisons {
        line(&mut page, format_args!("\n{}", comparison.name));
        let from = |pairs: Option<u64>, known: &str, else_from: &str| {
            pairs.map_or_else(|| else_from.to_owned(), |pairs| format!("{} {known}", grouped(pairs)))
        };
        let m = from(comparison.known, "pairs that certain rules know", "EM");
        let u = from(comparison.rivals, "others in the blocks of whom they know", "random pairs");
        line(&mut page, format_args!("  m from {m}; u from {u}"));
        for level in &comparison.levels {
            let how = if level.exact { "  (u counted)" } else { "" };
            let bits = level.m.zip(level.u).map_or_else(String::new, |(m, u)| format!("{:+.2} bits", libm::log2(m / u)));
            line(&mut page, format_args!("  {:<46}  m {:>11}  u {:>11}  {bits:>11}{how}", level.label, shown(level.m), shown(level.u)));
        }
    }
    if let Some(share) = trained.share {
        line(
            &mut page,
            format_args!("\n{:.1} % of the identities belong to a customer, by the exact rules and the stated recall", share * 100.0),
        );
    }
    if !untrained.is_empty() {
        line(&mut page, format_args!("\nnot trained, kept as they were:\n  {}", untrained.join("\n  ")));
    }
    line(&mut page, format_args!("\nwritten to {}", out.display()));
    session.terminal.data(&page);
}
