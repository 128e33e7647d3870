//! Splink's settings JSON, versions 4 and 5, to a checked model: every complaint with its place in the file and inside the SQL.

use super::condition::{Cells, KeyOf, Node, exact_column};
use super::locate::{Step, span, within};
use super::sql::{self, Columns, Equality, Fault, Naming, Side};
use crate::diagnose::{Checked, Code, Diagnostic, Place, Problems, SourceFile, Span};
use serde_json::Value as Json;
use std::sync::Arc;

const NO_MODEL: Code = Code("KITH-L020");
const SQL: Code = Code("KITH-L021");
const LEVELS: Code = Code("KITH-L022");

/// Largest model file: 4 MiB. The largest that we know of has 100 KiB.
const MOST_BYTES: usize = 4 << 20;

/// The m or u of a level that training never saw, as Splink has it.
const NOT_OBSERVED: f64 = 1e-6;

/// Most comparisons, levels of one, and blocking rules: a gamma and a match key are bytes.
const MOST: usize = 100;

/// Which records are compared with which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkType {
    /// The records of one table with each other.
    DedupeOnly,
    /// The records of one table with those of another.
    LinkOnly,
    /// All records of two tables with each other.
    LinkAndDedupe,
}

/// A term-frequency adjustment of a level.
#[derive(Clone, PartialEq, Debug)]
pub struct TermAdjustment {
    /// The column that is counted.
    pub column: Arc<str>,
    /// Its number among the model's columns.
    pub(super) number: usize,
    /// How much of the adjustment counts, 0 to 1.
    pub weight: f64,
    /// Frequencies below this count as this.
    pub least: f64,
    /// The u of the level that compares the column exactly.
    pub u: f64,
}

/// A comparison level that is not the null level.
#[derive(Clone, PartialEq, Debug)]
pub struct Level {
    /// What people read.
    pub label: Arc<str>,
    /// Its probability among matches; 0 to 1.
    pub m: f64,
    /// Its probability among others; 0 to 1.
    pub u: f64,
    /// Whether the file had no m, and this is Splink's default.
    pub m_missing: bool,
    /// Whether the file had no u, and this is Splink's default.
    pub u_missing: bool,
    /// Splink's `comparison_vector_value`: 0 for ELSE, higher is more alike.
    pub gamma: i8,
    /// The term-frequency adjustment.
    pub term: Option<TermAdjustment>,
    /// Position in the file's list of levels.
    pub position: usize,
    pub(super) node: Option<Node>,
}

/// A comparison.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// `output_column_name`.
    pub name: Arc<str>,
    /// The levels in the file's order, null levels aside; the last one is ELSE.
    pub levels: Vec<Level>,
    /// Conditions in the file's order; `None` is the null level.
    pub(super) order: Vec<(Node, Option<usize>)>,
}

/// A blocking rule.
#[derive(Clone, PartialEq, Debug)]
pub struct BlockingRule {
    /// Its SQL.
    pub sql: Arc<str>,
    /// What both sides must agree on.
    pub equalities: Vec<Equality>,
    /// What must hold besides.
    pub(super) rest: Vec<Node>,
    /// Columns whose members stand for the record one by one, by number.
    pub(super) exploded: Vec<usize>,
}

/// A Splink model.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file that it is from.
    pub file: Arc<SourceFile>,
    /// Which records are compared.
    pub link_type: LinkType,
    /// `probability_two_random_records_match`.
    pub prior: f64,
    /// The column that names a record.
    pub unique_id: Arc<str>,
    /// The column that names a table.
    pub source_dataset: Arc<str>,
    /// Whether Bayes factors and term frequencies are written beside the scores.
    pub intermediate: bool,
    /// Prefixes of the columns for Bayes factors, term frequencies and gammas.
    pub prefixes: [Arc<str>; 3],
    /// The blocking rules.
    pub blocking: Vec<BlockingRule>,
    /// The comparisons.
    pub comparisons: Vec<Comparison>,
    pub(super) columns: Columns,
    /// The first place of each column, by number.
    pub(super) places: Vec<Place>,
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        self.file.text == other.file.text
    }
}

struct Reader<'a> {
    file: &'a Arc<SourceFile>,
    problems: Problems,
    columns: Columns,
    places: Vec<Place>,
}

impl Settings {
    /// Reads a model.
    pub fn read(file: &Arc<SourceFile>) -> Checked<Self> {
        let mut reader = Reader { file, problems: Problems::default(), columns: Columns::default(), places: Vec::new() };
        let value = reader.settings();
        Checked::new(value, reader.problems)
    }

    /// The names of the columns that the model reads.
    pub fn columns(&self) -> impl Iterator<Item = &Arc<str>> {
        self.columns.names.iter()
    }

    /// The place where the model first names a column.
    pub fn place_of(&self, column: &str) -> Place {
        let at = self.columns.names.iter().position(|name| name.eq_ignore_ascii_case(column));
        at.and_then(|at| self.places.get(at)).cloned().unwrap_or_else(|| Place::Path(self.file.name.clone()))
    }

    /// The place of a key of the model.
    pub fn place_of_key(&self, key: &str) -> Place {
        Place::InFile(self.file.clone(), span(&self.file.text, &[Step::Key(key)]))
    }

    /// The columns that blocking rules, comparisons and term frequencies read on a side, in the order of the model's columns.
    pub fn read_on(&self, side: Side) -> Vec<Arc<str>> {
        let of_rule = |rule: &BlockingRule| {
            let ends = rule.equalities.iter().flat_map(|e| [&e.left, &e.right]);
            ends.chain(&rule.rest).flat_map(|node| node.columns(side)).collect::<Vec<usize>>()
        };
        let mut numbers: Vec<usize> = self.blocking.iter().flat_map(of_rule).collect();
        for comparison in &self.comparisons {
            numbers.extend(comparison.order.iter().flat_map(|(node, _)| node.columns(side)));
            numbers.extend(comparison.levels.iter().filter_map(|level| level.term.as_ref()).map(|term| term.number));
        }
        let names = self.columns.names.iter().enumerate();
        names.filter(|(number, _)| numbers.contains(number)).map(|(_, name)| name.clone()).collect()
    }

    /// The place of a blocking rule.
    pub fn place_of_rule(&self, rule: usize) -> Place {
        let path = [Step::Key("blocking_rules_to_generate_predictions"), Step::Item(rule)];
        Place::InFile(self.file.clone(), span(&self.file.text, &path))
    }

    /// The gamma of a comparison for one pair, −1 for null.
    pub fn gamma<'v>(&'v self, comparison: usize, cells: &Cells<'_, 'v>) -> i8 {
        let Some(comparison) = self.comparisons.get(comparison) else { return -1 };
        for (node, level) in &comparison.order {
            if super::condition::holds(node, cells) {
                return level.and_then(|at| comparison.levels.get(at)).map_or(-1, |level| level.gamma);
            }
        }
        0
    }

    /// The numbers of the columns that a comparison reads on either side.
    pub fn compared(&self, comparison: usize) -> Vec<usize> {
        let nodes = self.comparisons.get(comparison).into_iter().flat_map(|comparison| &comparison.order);
        let mut all: Vec<usize> = nodes.flat_map(|(node, _)| [Side::Left, Side::Right].map(|side| node.columns(side))).flatten().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The equalities of a rule as keys of the left and of the right side; `None` where the rule asks for more than equalities.
    pub fn keys(&self, rule: usize) -> Option<Vec<(KeyOf, KeyOf)>> {
        let rule = self.blocking.get(rule)?;
        if !rule.rest.is_empty() || !rule.exploded.is_empty() || rule.equalities.is_empty() {
            return None;
        }
        Some(rule.equalities.iter().map(|e| (KeyOf::new(e.left.clone(), Side::Left), KeyOf::new(e.right.clone(), Side::Right))).collect())
    }
}

impl Reader<'_> {
    fn place(&self, path: &[Step<'_>]) -> Place {
        Place::InFile(self.file.clone(), span(&self.file.text, path))
    }

    fn error(&mut self, code: Code, path: &[Step<'_>], message: impl Into<String>, remedy: impl Into<String>) {
        let place = self.place(path);
        self.problems.push(Diagnostic::error(code, place, message, remedy));
    }

    fn settings(&mut self) -> Option<Settings> {
        let file = self.file;
        if file.text.len() > MOST_BYTES {
            self.error(NO_MODEL, &[], "the model is larger than 4 MiB", "Give the settings that Splink saved with `save_model_to_json`");
            return None;
        }
        let json: Json = match serde_json::from_str(&file.text) {
            Ok(json) => json,
            Err(error) => {
                let line_start: usize = file.text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
                let at = (line_start + error.column().saturating_sub(1)).min(file.text.len());
                let at = (0..=at).rev().find(|at| file.text.is_char_boundary(*at)).unwrap_or(0);
                let place = Place::InFile(file.clone(), Span { start: at, end: at });
                self.problems.push(Diagnostic::error(
                    NO_MODEL,
                    place,
                    "the model is no valid JSON",
                    "Save it again with `save_model_to_json`",
                ));
                return None;
            }
        };
        let word = |key: &str, otherwise: &str| -> Arc<str> { json.get(key).and_then(Json::as_str).unwrap_or(otherwise).into() };
        let link_type = match json.get("link_type").and_then(Json::as_str) {
            Some("dedupe_only") => Some(LinkType::DedupeOnly),
            Some("link_only") => Some(LinkType::LinkOnly),
            Some("link_and_dedupe") => Some(LinkType::LinkAndDedupe),
            _ => {
                self.error(
                    NO_MODEL,
                    &[Step::Key("link_type")],
                    "a model names a `link_type`",
                    "Write dedupe_only, link_only or link_and_dedupe",
                );
                None
            }
        };
        let prior = json.get("probability_two_random_records_match").map_or(Some(0.0001), Json::as_f64).filter(|p| *p > 0.0 && *p <= 1.0);
        if prior.is_none() {
            let path = [Step::Key("probability_two_random_records_match")];
            self.error(NO_MODEL, &path, "the prior must be above 0 and at most 1", "Estimate it again with Splink, or write 0.0001");
        }
        let dialect = word("sql_dialect", "duckdb");
        if !["duckdb", "postgres", "spark", "sqlite"].contains(&&*dialect) {
            self.error(NO_MODEL, &[Step::Key("sql_dialect")], "this SQL dialect is not known", "Save the model for duckdb");
        } else if &*dialect != "duckdb" {
            let message = format!("the model is written for {dialect}; Kith reads its SQL as DuckDB does");
            let place = self.place(&[Step::Key("sql_dialect")]);
            self.problems.push(Diagnostic::warning(NO_MODEL, place, message, "Save the model for duckdb to be sure of equal scores"));
        }
        let mut comparisons = Vec::new();
        match json.get("comparisons").and_then(Json::as_array) {
            Some(items) if (1..=MOST).contains(&items.len()) => {
                for (at, item) in items.iter().enumerate() {
                    let Some(comparison) = self.comparison(at, item) else { continue };
                    if comparisons.iter().any(|other: &Comparison| other.name.eq_ignore_ascii_case(&comparison.name)) {
                        let path = [Step::Key("comparisons"), Step::Item(at), Step::Key("output_column_name")];
                        let message = format!("two comparisons are named `{}`: their columns in the result would be one", comparison.name);
                        self.error(LEVELS, &path, message, "Give each comparison an `output_column_name` of its own");
                    }
                    comparisons.push(comparison);
                }
            }
            _ => self.error(
                NO_MODEL,
                &[Step::Key("comparisons")],
                "a model has 1 to 100 `comparisons`",
                "Give the settings that Splink saved",
            ),
        }
        let mut blocking = Vec::new();
        let rules = json.get("blocking_rules_to_generate_predictions").and_then(Json::as_array).cloned().unwrap_or_default();
        if rules.len() > MOST {
            self.error(
                NO_MODEL,
                &[Step::Key("blocking_rules_to_generate_predictions")],
                "there are more than 100 blocking rules",
                "Remove some",
            );
        }
        for (at, item) in rules.iter().take(MOST).enumerate() {
            blocking.extend(self.rule(at, item));
        }
        Some(Settings {
            file: file.clone(),
            link_type: link_type?,
            prior: prior?,
            unique_id: word("unique_id_column_name", "unique_id"),
            source_dataset: word("source_dataset_column_name", "source_dataset"),
            intermediate: json.get("retain_intermediate_calculation_columns").and_then(Json::as_bool).unwrap_or(true),
            prefixes: [
                word("bayes_factor_column_prefix", "bf_"),
                word("term_frequency_adjustment_column_prefix", "tf_"),
                word("comparison_vector_value_column_prefix", "gamma_"),
            ],
            blocking,
            comparisons,
            columns: std::mem::take(&mut self.columns),
            places: std::mem::take(&mut self.places),
        })
    }

    /// Reads SQL that stands at a path.
    fn sql(&mut self, text: &str, naming: Naming, path: &[Step<'_>]) -> Option<Node> {
        let read = sql::read(text, naming, &mut self.columns);
        let place = self.place(path);
        self.places.resize(self.columns.names.len(), place);
        match read {
            Ok(node) => Some(node),
            Err(Fault { message, remedy, from, to }) => {
                let quote = span(&self.file.text, path).start;
                let inner = Span { start: within(&self.file.text, quote, from), end: within(&self.file.text, quote, to.max(from + 1)) };
                let place = Place::InFile(self.file.clone(), inner);
                self.problems.push(Diagnostic::error(SQL, place, message, remedy));
                None
            }
        }
    }

    fn comparison(&mut self, at: usize, json: &Json) -> Option<Comparison> {
        let path = [Step::Key("comparisons"), Step::Item(at)];
        let items = json.get("comparison_levels").and_then(Json::as_array).cloned().unwrap_or_default();
        if !(2..=MOST).contains(&items.len()) {
            self.error(LEVELS, &path, "a comparison has 2 to 100 `comparison_levels`", "Give the settings that Splink saved");
            return None;
        }
        let is_null = |item: &Json| item.get("is_null_level").and_then(Json::as_bool).unwrap_or(false);
        let count = items.iter().filter(|item| !is_null(item)).count();
        let (mut levels, mut order) = (Vec::new(), Vec::new());
        for (position, item) in items.iter().enumerate() {
            let level_path = [path.as_slice(), &[Step::Key("comparison_levels"), Step::Item(position)]].concat();
            let condition_path = [level_path.as_slice(), &[Step::Key("sql_condition")]].concat();
            let Some(text) = item.get("sql_condition").and_then(Json::as_str) else {
                self.error(LEVELS, &level_path, "a level has a `sql_condition`", "Give the settings that Splink saved");
                continue;
            };
            let is_else = text.trim().eq_ignore_ascii_case("else");
            if is_else != (position + 1 == items.len()) {
                let message = if is_else {
                    "ELSE must be the last level"
                } else {
                    "the last level must be ELSE: a pair that fits no level would have no weight"
                };
                self.error(LEVELS, &condition_path, message, "Put one level with the condition ELSE at the end");
            }
            let node =
                if is_else { Some(Node::Literal(super::value::Val::Bool(true))) } else { self.sql(text, Naming::Suffix, &condition_path) };
            if is_null(item) {
                order.extend(node.map(|node| (node, None)));
                continue;
            }
            let gamma = count - 1 - levels.len().min(count - 1);
            let level = self.level(item, node.clone(), gamma, count, position, &level_path);
            levels.push(level);
            order.extend(node.map(|node| (node, Some(levels.len() - 1))));
        }
        self.exact(&path, &mut levels);
        let name =
            json.get("output_column_name").and_then(Json::as_str).map_or_else(|| format!("comparison_{at}"), |name| name.replace(' ', "_"));
        Some(Comparison { name: name.into(), levels, order })
    }

    fn level(&mut self, json: &Json, node: Option<Node>, gamma: usize, count: usize, position: usize, path: &[Step<'_>]) -> Level {
        // Splink 3 wrote a sentence where a level had not been seen, and all versions take it as one in a million; 0 they take as missing.
        let unseen = |key: &str| json.get(key).and_then(Json::as_str).is_some_and(|text| text.starts_with("level not observed"));
        let given = |key: &str| json.get(key).and_then(Json::as_f64).filter(|p| *p > 0.0 && *p <= 1.0);
        let read = |key: &str| if unseen(key) { Some(NOT_OBSERVED) } else { given(key) };
        for key in ["m_probability", "u_probability"] {
            if json.get(key).and_then(Json::as_f64).is_some_and(|p| !(0.0..=1.0).contains(&p)) {
                self.error(LEVELS, &[path, &[Step::Key(key)]].concat(), "a probability lies between 0 and 1", "Train the model again");
            }
        }
        let (m, u) = (read("m_probability"), read("u_probability"));
        let (default_m, default_u) = defaults(gamma, count);
        let weight = json.get("tf_adjustment_weight").and_then(Json::as_f64).unwrap_or(1.0);
        let is_else = position != 0 && gamma == 0;
        let term = json.get("tf_adjustment_column").and_then(Json::as_str).filter(|_| !is_else && weight != 0.0).map(|column| {
            let column = column.trim_matches('"');
            let number = self.columns.number(column);
            let place = self.place(&[path, &[Step::Key("tf_adjustment_column")]].concat());
            self.places.resize(self.columns.names.len(), place);
            let least = json.get("tf_minimum_u_value").and_then(Json::as_f64).unwrap_or(0.0);
            // The u of the exact level is looked up when all levels are known; its own where that is switched off.
            let own = json.get("disable_tf_exact_match_detection").and_then(Json::as_bool).unwrap_or(false);
            TermAdjustment { column: column.into(), number, weight, least, u: if own { u.unwrap_or(default_u) } else { f64::NAN } }
        });
        Level {
            label: json
                .get("label_for_charts")
                .and_then(Json::as_str)
                .or_else(|| json.get("sql_condition")?.as_str())
                .unwrap_or_default()
                .into(),
            m: m.unwrap_or(default_m),
            u: u.unwrap_or(default_u),
            m_missing: m.is_none(),
            u_missing: u.is_none(),
            gamma: i8::try_from(gamma).unwrap_or(i8::MAX),
            term,
            position,
            node,
        }
    }

    /// The u that term frequencies replace: that of the level which compares the column alone and exactly.
    fn exact(&mut self, path: &[Step<'_>], levels: &mut [Level]) {
        let exact: Vec<(Arc<str>, f64)> =
            levels.iter().filter_map(|level| Some((exact_column(level.node.as_ref()?, &self.columns)?, level.u))).collect();
        for level in levels {
            let Some(term) = level.term.as_mut().filter(|term| term.u.is_nan()) else { continue };
            if let Some((_, u)) = exact.iter().find(|(column, _)| column.eq_ignore_ascii_case(&term.column)) {
                term.u = *u;
                continue;
            }
            let path = [path, &[Step::Key("comparison_levels"), Step::Item(level.position), Step::Key("tf_adjustment_column")]].concat();
            let message = format!("no level of this comparison compares `{}` alone and exactly", term.column);
            self.error(LEVELS, &path, message, "Add such a level, or set `disable_tf_exact_match_detection`");
            term.u = 1.0;
        }
    }

    fn rule(&mut self, at: usize, json: &Json) -> Option<BlockingRule> {
        let path = [Step::Key("blocking_rules_to_generate_predictions"), Step::Item(at)];
        let (text, path) = if let Some(text) = json.as_str() {
            (text, path.to_vec())
        } else if let Some(text) = json.get("blocking_rule").and_then(Json::as_str) {
            (text, [path.as_slice(), &[Step::Key("blocking_rule")]].concat())
        } else {
            self.error(SQL, &path, "a blocking rule has a `blocking_rule`", "Give the settings that Splink saved");
            return None;
        };
        let node = self.sql(text, Naming::Table, &path)?;
        let parts = if let Node::And(parts) = node { parts } else { vec![node] };
        let (mut equalities, mut rest) = (Vec::new(), Vec::new());
        for part in parts {
            match part.as_equality().map(|(a, b)| (a.side(), b.side(), a, b)) {
                Some((Some(Side::Left), Some(Side::Right), a, b)) => equalities.push(Equality { left: a.clone(), right: b.clone() }),
                Some((Some(Side::Right), Some(Side::Left), a, b)) => equalities.push(Equality { left: b.clone(), right: a.clone() }),
                _ => rest.push(part),
            }
        }
        let mut exploded = Vec::new();
        for name in json.get("arrays_to_explode").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            let number = self.columns.number(name.trim_matches('"'));
            let place = self.place(&path);
            self.places.resize(self.columns.names.len(), place);
            exploded.push(number);
        }
        let in_rest =
            rest.iter().any(|node| [Side::Left, Side::Right].iter().any(|s| node.columns(*s).iter().any(|c| exploded.contains(c))));
        if in_rest {
            let message = "a rule that takes arrays apart compares them by equality only";
            self.error(SQL, &path, message, "Write l.\"column\" = r.\"column\" for the arrays that are taken apart");
            return None;
        }
        Some(BlockingRule { sql: text.into(), equalities, rest, exploded })
    }
}

/// Splink's m and u where a level was not trained: m .95 at the top and the rest evenly; u so that the weight is 10 at the top and −5 to 3
/// evenly below.
fn defaults(gamma: usize, count: usize) -> (f64, f64) {
    let number = super::bytes::number;
    let (m, weight) = match (gamma + 1 == count, count) {
        (true, 1) => (1.0, 10.0),
        (true, _) => (0.95, 10.0),
        (false, 2) => (0.05, -5.0),
        (false, _) => (0.05 / number(count - 1), -5.0 + 8.0 * number(gamma) / number(count - 2)),
    };
    (m, m / libm::exp2(weight))
}
