//! Scoring two tables, or one, by a Splink model: read, compared on all cores, written in one order.

use crate::diagnose::{Code, Diagnostic, Place, Problems};
use crate::splink::{Frame, FrameBuilder, FrameError, GivenFrequencies, Linker, Scores, Settings, Task};
use crate::wire::input::Watched;
use crate::wire::table::{Cells, Kind, TableError, TableWriter};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

const UNREADABLE: Code = Code("KITH-C012");
const BAD_TABLE: Code = Code("KITH-L024");

/// Batches that wait for the writer, for each thread: 2 × 131,072 pairs of some 60 bytes are 16 MB.
const AHEAD: usize = 2;

/// Reads tables for a model: name in `source_dataset` and CSV file, plain or gzip.
///
/// # Errors
/// Files that can't be read, columns that are missing, cells that are too long.
pub fn read_tables(settings: &Settings, tables: &[(&str, &Path)]) -> Result<Frame, Problems> {
    let mut builder = FrameBuilder::new(settings);
    for (name, path) in tables {
        read_table(&mut builder, settings, name, path)?;
    }
    Ok(builder.finish())
}

fn read_table(builder: &mut FrameBuilder, settings: &Settings, name: &str, path: &Path) -> Result<(), Problems> {
    let shown = path.display().to_string();
    let unreadable = |why: String| {
        Problems::from(Diagnostic::error(UNREADABLE, Place::Path(shown.clone()), why, "Give a CSV file in UTF-8, plain or gzip"))
    };
    let file = Watched::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut reader = csv::ReaderBuilder::new().has_headers(true).flexible(false).buffer_capacity(1 << 18).from_reader(file);
    let header = reader.headers().map_err(|_csv| unreadable("the header can't be read".into()))?.clone();
    let header: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
    let refused = |error: FrameError, line: u64| match error {
        FrameError::Columns(problems) => problems,
        FrameError::LongCell { .. } | FrameError::NoId { .. } | FrameError::TooMany => {
            Diagnostic::error(BAD_TABLE, Place::Line(shown.clone(), line), error.to_string(), "Correct the row, or leave the column out")
                .into()
        }
    };
    builder.table(settings, name, &header).map_err(|error| refused(error, 1))?;
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                let what = if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) {
                    "the row is not UTF-8"
                } else if matches!(error.kind(), csv::ErrorKind::UnequalLengths { .. }) {
                    "the row has another number of cells than the header"
                } else {
                    "the row can't be read"
                };
                return Err(Diagnostic::error(
                    BAD_TABLE,
                    Place::Line(shown.clone(), line),
                    what,
                    "Write the file again as RFC 4180 has it",
                )
                .into());
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        builder.push(|at| record.get(at)).map_err(|error| refused(error, line))?;
    }
}

/// Most values of a table of frequencies: 20 million of some 100 bytes are 2 GB.
const MOST_VALUES: usize = 20_000_000;

/// Reads a column's term frequencies: CSV, plain or gzip, with the columns `COLUMN` and `tf_COLUMN`.
///
/// # Errors
/// A file that can't be read, columns that are missing, a frequency that is none.
pub fn read_frequencies(column: &str, path: &Path) -> Result<GivenFrequencies, Problems> {
    let shown = path.display().to_string();
    let remedy = format!("Give a CSV file with the columns `{column}` and `tf_{column}`");
    let unreadable = |why: String| Problems::from(Diagnostic::error(UNREADABLE, Place::Path(shown.clone()), why, remedy.clone()));
    let file = Watched::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut reader = csv::ReaderBuilder::new().from_reader(file);
    let header = reader.headers().map_err(|_csv| unreadable("the header can't be read".into()))?.clone();
    let place = |name: &str| header.iter().position(|h| h.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name));
    let (Some(value), Some(frequency)) = (place(column), place(&format!("tf_{column}"))) else {
        return Err(unreadable("a column is missing".into()));
    };
    let mut given = GivenFrequencies { column: column.to_owned(), ..GivenFrequencies::default() };
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        let bad = |what: &str| Problems::from(Diagnostic::error(BAD_TABLE, Place::Line(shown.clone(), line), what, remedy.clone()));
        if !reader.read_record(&mut record).map_err(|_csv| bad("the row can't be read"))? {
            return Ok(given);
        }
        let share = record.get(frequency).and_then(|text| text.parse::<f64>().ok()).filter(|share| *share > 0.0 && *share <= 1.0);
        let (Some(text), Some(share)) = (record.get(value), share) else {
            return Err(bad("the frequency is no number above 0 and at most 1"));
        };
        if given.of.len() >= MOST_VALUES {
            return Err(bad("there are more than 20 million values"));
        }
        if given.of.insert(text.to_owned(), share).is_some() {
            return Err(bad("a value stands twice"));
        }
    }
}

/// What scoring came to.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Scored {
    /// Pairs, by the blocking rule that they are charged to.
    pub pairs: Vec<u64>,
}

/// Scores all pairs on some threads and gives each batch in order: the same batches on any number of threads.
///
/// # Errors
/// The first error of `each`; the threads end then.
pub fn score_all<E>(linker: &Linker<'_>, threads: usize, mut each: impl FnMut(Task, &Scores) -> Result<(), E>) -> Result<Scored, E> {
    let tasks = linker.tasks();
    let threads = threads.clamp(1, tasks.len().max(1));
    let mut scored = Scored { pairs: vec![0; linker.blocks().len()] };
    std::thread::scope(|scope| {
        // Task n is thread n mod threads' work; tasks are of one size, and taking turns keeps the order without a queue.
        let mut lines = Vec::with_capacity(threads);
        for first in 0..threads {
            let (send, receive) = mpsc::sync_channel::<Scores>(AHEAD);
            // Batches that were read come back: their memory is warm, and fresh pages cost as much as a tenth of the scoring.
            let (give_back, returned) = mpsc::channel::<Scores>();
            let tasks = &tasks;
            scope.spawn(move || {
                let mut worker = linker.worker();
                for task in tasks.iter().skip(first).step_by(threads) {
                    let mut scores = returned.try_recv().unwrap_or_default();
                    linker.score(*task, &mut worker, &mut scores);
                    if send.send(scores).is_err() {
                        return;
                    }
                }
            });
            lines.push((receive, give_back));
        }
        for (task, (line, give_back)) in tasks.iter().zip(lines.iter().cycle()) {
            let Ok(scores) = line.recv() else { break };
            if let Some(count) = scored.pairs.get_mut(task.rule) {
                *count += u64::try_from(scores.left.len()).unwrap_or(0);
            }
            each(*task, &scores)?;
            // A thread that has ended needs no memory.
            let _ended = give_back.send(scores);
        }
        Ok(scored)
    })
}

/// One column of the result.
#[derive(Clone, Debug)]
enum Column {
    Weight,
    Probability,
    Table(bool),
    Id(bool),
    Gamma(usize),
    Frequency(Arc<str>, bool),
    Factor(usize),
    Adjustment(usize),
    Rule,
}

/// Writes scored pairs as Splink names and orders the columns.
#[derive(Debug)]
pub struct PairWriter<'l, 'f> {
    linker: &'l Linker<'f>,
    columns: Vec<Column>,
    writer: TableWriter,
    rules: Vec<String>,
}

impl<'l, 'f> PairWriter<'l, 'f> {
    /// Makes the file.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn create(linker: &'l Linker<'f>, path: &Path) -> Result<Self, TableError> {
        let settings = linker.settings();
        let [factor, frequency, gamma] = &settings.prefixes;
        let mut columns: Vec<(Arc<str>, Column)> =
            vec![("match_weight".into(), Column::Weight), ("match_probability".into(), Column::Probability)];
        let sides = [("_l", false), ("_r", true)];
        if linker.frame().tables() > 1 {
            columns.extend(sides.map(|(end, right)| (format!("{}{end}", settings.source_dataset).into(), Column::Table(right))));
        }
        columns.extend(sides.map(|(end, right)| (format!("{}{end}", settings.unique_id).into(), Column::Id(right))));
        for (number, comparison) in settings.comparisons.iter().enumerate() {
            columns.push((format!("{gamma}{}", comparison.name).into(), Column::Gamma(number)));
            if !settings.intermediate {
                continue;
            }
            for term in comparison.levels.iter().filter_map(|level| level.term.as_ref()) {
                for (end, right) in sides {
                    let name: Arc<str> = format!("{frequency}{}{end}", term.column).into();
                    if !columns.iter().any(|(known, _)| *known == name) {
                        columns.push((name, Column::Frequency(term.column.clone(), right)));
                    }
                }
            }
            columns.push((format!("{factor}{}", comparison.name).into(), Column::Factor(number)));
            if comparison.levels.iter().any(|level| level.term.is_some()) {
                columns.push((format!("{factor}{frequency}adj_{}", comparison.name).into(), Column::Adjustment(number)));
            }
        }
        columns.push(("match_key".into(), Column::Rule));
        let kind = |column: &Column| match column {
            Column::Weight | Column::Probability | Column::Frequency(..) | Column::Factor(_) | Column::Adjustment(_) => Kind::Number,
            Column::Gamma(_) => Kind::Small,
            Column::Table(_) | Column::Id(_) | Column::Rule => Kind::Text,
        };
        let written: Vec<(Arc<str>, Kind)> = columns.iter().map(|(name, column)| (name.clone(), kind(column))).collect();
        let writer = TableWriter::create(path, &written)?;
        let rules = (0..linker.blocks().len()).map(|rule| rule.to_string()).collect();
        Ok(Self { linker, columns: columns.into_iter().map(|(_, column)| column).collect(), writer, rules })
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn write(&mut self, task: Task, scores: &Scores) -> Result<(), TableError> {
        if scores.left.is_empty() {
            return Ok(());
        }
        let (linker, frame) = (self.linker, self.linker.frame());
        let rows = |right: bool| if right { &scores.right } else { &scores.left };
        let gammas = |number: usize| scores.gammas.get(number).map(Vec::as_slice).unwrap_or_default();
        let cells: Vec<Cells<'_>> = self
            .columns
            .iter()
            .map(|column| match column {
                Column::Weight => Cells::Number(scores.weights.iter().map(|w| Some(*w)).collect()),
                Column::Probability => Cells::Number(scores.probabilities.iter().map(|p| Some(*p)).collect()),
                Column::Table(right) => Cells::Text(rows(*right).iter().map(|row| frame.table(*row)).collect()),
                Column::Id(right) => Cells::Text(rows(*right).iter().map(|row| frame.id(*row)).collect()),
                Column::Gamma(number) => Cells::Small(gammas(*number).iter().map(|gamma| i32::from(*gamma)).collect()),
                Column::Frequency(name, right) => Cells::Number(linker.frequencies(name, rows(*right))),
                Column::Factor(number) => {
                    Cells::Number(gammas(*number).iter().map(|gamma| Some(libm::exp2(linker.bits(*number, *gamma)))).collect())
                }
                Column::Adjustment(number) => {
                    let pairs = scores.left.iter().zip(&scores.right).zip(gammas(*number));
                    Cells::Number(pairs.map(|((l, r), gamma)| Some(libm::exp2(linker.adjustment(*number, *gamma, *l, *r)))).collect())
                }
                Column::Rule => Cells::Text(vec![self.rules.get(task.rule).map_or("", String::as_str); scores.left.len()]),
            })
            .collect();
        self.writer.rows(&cells)
    }

    /// Writes the end.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn finish(self) -> Result<(), TableError> {
        self.writer.finish()
    }
}
