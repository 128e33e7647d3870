//! `kith match score`: two tables, or one, scored by a Splink model.

use crate::cli::files::read_text;
use crate::cli::page::line;
use crate::cli::run::grouped;
use crate::cli::{Exit, Session};
use crate::diagnose::{Code, Diagnostic, Place, Problems};
use crate::pipeline::scoring::{PairWriter, Scored, read_frequencies, read_tables, score_all};
use crate::splink::{GivenFrequencies, LinkType, Linker, Settings};
use crate::wire::table::TableError;
use serde_json::json;
use std::path::{Path, PathBuf};

const ARGUMENT: Code = Code("KITH-C015");
const UNWRITABLE: Code = Code("KITH-C018");

/// Arguments of `match score`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The model: the settings JSON that Splink 4 or 5 saved
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// The first table: CSV, plain or gzip; an empty cell is null
    #[arg(long, value_name = "FILE", requires = "right", conflicts_with = "dedupe")]
    pub left: Option<PathBuf>,
    /// The second table
    #[arg(long, value_name = "FILE", requires = "left")]
    pub right: Option<PathBuf>,
    /// One table whose records are compared with each other
    #[arg(long, value_name = "FILE", required_unless_present = "left")]
    pub dedupe: Option<PathBuf>,
    /// Where the pairs go: Parquet where the name ends in .parquet, else CSV
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Threads; without it, as many as there are cores. The result is the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Term frequencies from a file instead of counting the tables' own: CSV with the columns COLUMN and `tf_COLUMN`, as Splink registers them
    #[arg(long, value_name = "COLUMN=FILE")]
    pub frequencies: Vec<String>,
    /// The first table's name in the result, as Splink's `input_table_aliases`
    #[arg(long, value_name = "NAME", default_value = "__splink__input_table_0")]
    pub left_name: String,
    /// The second table's name in the result
    #[arg(long, value_name = "NAME", default_value = "__splink__input_table_1")]
    pub right_name: String,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    match scored(arguments) {
        Ok(report) => {
            told(arguments, &report, session);
            Exit::Fine
        }
        Err(Failure { problems, exit }) => {
            session.terminal.problems(&problems);
            exit
        }
    }
}

struct Report {
    scored: Scored,
    /// For each rule: its SQL, candidates, largest block.
    rules: Vec<(String, u64, usize)>,
    records: usize,
    warnings: Problems,
}

struct Failure {
    problems: Problems,
    exit: Exit,
}

fn wrong(problems: Problems) -> Failure {
    Failure { problems, exit: Exit::Wrong }
}

fn unwritable(path: &Path, error: &TableError) -> Failure {
    let why = match error {
        TableError::Io(io) => format!("the file can't be written: {}", io.kind()),
        TableError::Csv(_) | TableError::Parquet(_) => "the file can't be written".into(),
    };
    let problem = Diagnostic::error(UNWRITABLE, Place::Path(path.display().to_string()), why, "Give a path in a folder that you may write");
    Failure { problems: problem.into(), exit: Exit::Failed }
}

fn scored(arguments: &Arguments) -> Result<Report, Failure> {
    let file = read_text(&arguments.model).map_err(|problem| wrong(problem.into()))?;
    let (settings, warnings) = Settings::read(&file).into_result().map_err(wrong)?;
    let mut tables: Vec<(&str, &Path)> = match (&arguments.dedupe, &arguments.left, &arguments.right) {
        (Some(one), _, _) => vec![(&*arguments.left_name, one)],
        (None, Some(left), Some(right)) => vec![(&*arguments.left_name, left), (&*arguments.right_name, right)],
        (None, ..) => Vec::new(),
    };
    let fits = match settings.link_type {
        LinkType::DedupeOnly => tables.len() == 1,
        LinkType::LinkOnly | LinkType::LinkAndDedupe => tables.len() == 2,
    };
    if !fits {
        let remedy = if tables.len() == 1 { "Give two tables with --left and --right" } else { "Give one table with --dedupe" };
        let problem = Diagnostic::error(
            ARGUMENT,
            Place::Named("argument --model".into()),
            "the model's `link_type` asks for another number of tables",
            remedy,
        );
        return Err(wrong(problem.into()));
    }
    if tables.len() == 2 && arguments.left_name == arguments.right_name {
        let place = Place::Named("argument --right-name".into());
        return Err(wrong(Diagnostic::error(ARGUMENT, place, "both tables have one name", "Give each its own").into()));
    }
    // Of two tables that are only linked, Splink takes the one whose name comes first as the left side.
    tables.sort_by_key(|(name, _)| *name);
    let frame = read_tables(&settings, &tables).map_err(wrong)?;
    let given = arguments.frequencies.iter().map(|given| frequencies(given, &settings)).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let linker = Linker::with_frequencies(&settings, &frame, &given);
    let threads = arguments.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let mut writer = PairWriter::create(&linker, &arguments.out).map_err(|error| unwritable(&arguments.out, &error))?;
    let scored =
        score_all(&linker, threads, |task, scores| writer.write(task, scores)).map_err(|error| unwritable(&arguments.out, &error))?;
    writer.finish().map_err(|error| unwritable(&arguments.out, &error))?;
    let rules = linker.blocks().into_iter().enumerate().map(|(at, (candidates, largest))| {
        (settings.blocking.get(at).map_or_else(|| "1=1".to_owned(), |rule| rule.sql.to_string()), candidates, largest)
    });
    Ok(Report { scored, rules: rules.collect(), records: frame.len(), warnings })
}

/// Reads `COLUMN=FILE`.
fn frequencies(given: &str, settings: &Settings) -> Result<GivenFrequencies, Problems> {
    let refused = |message: String, remedy: &str| {
        Problems::from(Diagnostic::error(ARGUMENT, Place::Named("argument --frequencies".into()), message, remedy))
    };
    let Some((column, path)) = given.split_once('=') else {
        return Err(refused("a column and a file are wanted".into(), "Write `--frequencies city=model.city.csv`"));
    };
    let mut counted = settings.comparisons.iter().flat_map(|comparison| &comparison.levels).filter_map(|level| level.term.as_ref());
    if !counted.any(|term| term.column.eq_ignore_ascii_case(column)) {
        return Err(refused(format!("the model counts no frequencies of `{column}`"), "Name a `tf_adjustment_column` of the model"));
    }
    read_frequencies(column, Path::new(path))
}

fn told(arguments: &Arguments, report: &Report, session: &mut Session) {
    for warning in &report.warnings.0 {
        session.terminal.problem(warning);
    }
    let total: u64 = report.scored.pairs.iter().sum();
    let rules = report.rules.iter().zip(&report.scored.pairs);
    if session.terminal.is_json() {
        let rules: Vec<_> = rules
            .map(|((sql, candidates, largest), pairs)| json!({ "rule": sql, "pairs": pairs, "candidates": candidates, "largest_block": largest }))
            .collect();
        session
            .terminal
            .json(&json!({ "records": report.records, "pairs": total, "rules": rules, "out": arguments.out.display().to_string() }));
        return;
    }
    let mut page = String::new();
    line(&mut page, format_args!("{:>13}  {:>13}  {:>13}  blocking rule", "pairs", "candidates", "largest block"));
    for ((sql, candidates, largest), pairs) in rules {
        let largest = u64::try_from(*largest).unwrap_or(u64::MAX);
        line(&mut page, format_args!("{:>13}  {:>13}  {:>13}  {sql}", grouped(*pairs), grouped(*candidates), grouped(largest)));
    }
    let records = u64::try_from(report.records).unwrap_or(u64::MAX);
    line(&mut page, format_args!("\n{} pairs of {} records in {}", grouped(total), grouped(records), arguments.out.display()));
    session.terminal.data(&page);
}
