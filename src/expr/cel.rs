//! The escape: expressions of the Common Expression Language, checked when read, bounded when evaluated. This module owns the `cel` crate.
//!
//! Bounds: an expression has at most [`MAX_CEL_BYTES`] bytes and [`MAX_DEPTH`] levels, and comprehensions (`exists`, `map`, …) stand at
//! most two inside each other. Lists come from the expression itself or from related records, so the work is at most
//! (list length)² × expression size: 1,000² × 1,000 in the very worst case, a few dozen steps in any real one. Functions have no side effects.

use super::{NameKind, Names, Scope, Truth};
use crate::diagnose::nearest;
use crate::model::Value;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo};
use cel::{Context, Env, ExecutionError, Program, Value as CelValue};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// The longest expression, in bytes: about 15 lines.
pub const MAX_CEL_BYTES: usize = 1_000;

/// Levels of an expression's tree. The evaluator recurses; 64 levels of its frames (a few KiB each) fit a 2 MiB thread eight times over.
pub(super) const MAX_DEPTH: usize = 64;

/// Comprehensions inside each other.
const MAX_COMPREHENSIONS: usize = 2;

/// Functions of CEL's standard library that an expression may call, by name.
pub(super) const FUNCTIONS: [&str; 29] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
    // Macros, for the nearest-word hint; the parser replaces them.
    "exists",
    "all",
    "map",
    "filter",
];

pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// What an expression is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// It must give true or false.
    Condition,
    /// It may give any value.
    Value,
}

/// A compiled expression.
#[derive(Clone)]
pub struct Cel {
    source: Arc<str>,
    program: Arc<Program>,
    names: Arc<[Arc<str>]>,
    /// Names asked about by `has(a.b)`: the evaluator wants `a` as a map for them.
    asked: Arc<[(Arc<str>, Arc<str>)]>,
}

impl std::fmt::Debug for Cel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cel({})", self.source)
    }
}

/// What is wrong with an expression.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CelProblem {
    /// Bytes of the expression.
    pub at: Range<usize>,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Whether a name is unknown, as opposed to the expression being wrong in itself.
    pub unknown_name: bool,
}

/// What to do about an expression beyond the bounds, in the words of where it stands.
pub(super) struct Remedies {
    pub(super) empty: &'static str,
    pub(super) long: &'static str,
    pub(super) brackets: &'static str,
}

/// A problem of the whole expression.
pub(super) fn whole(source: &str, message: &str, remedy: &str) -> CelProblem {
    CelProblem { at: 0..source.len(), message: message.to_owned(), remedy: remedy.to_owned(), unknown_name: false }
}

/// Compiles an expression within the bounds; its names and functions are not looked at.
pub(super) fn compile(source: &str, remedies: &Remedies) -> Result<Program, Vec<CelProblem>> {
    let refused = |message: &str, remedy: &str| Err(vec![whole(source, message, remedy)]);
    if source.trim().is_empty() {
        return refused("the expression is empty", remedies.empty);
    }
    if source.len() > MAX_CEL_BYTES {
        return refused("the expression is too long", remedies.long);
    }
    // The parser recurses too: more brackets than this are no expression.
    if source.bytes().filter(|b| matches!(b, b'(' | b'[' | b'{')).count() > MAX_DEPTH {
        return refused("the expression has too many brackets", remedies.brackets);
    }
    ENVIRONMENT.compile(source).map_err(|errors| syntax_problems(source, &errors))
}

impl Cel {
    /// Compiles and checks an expression.
    ///
    /// # Errors
    /// Every problem found: syntax, unknown names and functions, values of the wrong type, more than the bounds.
    pub fn new(source: &str, names: &Names, wanted: Wanted) -> Result<Self, Vec<CelProblem>> {
        let program = compile(
            source,
            &Remedies {
                empty: "Write an expression after `cel:`",
                long: "At most 1,000 bytes are read: make enriched fields of its parts",
                brackets: "Make enriched fields of its parts",
            },
        )?;
        let mut check = Check { source, info: program.source_info(), names, read: Vec::new(), asked: Vec::new(), problems: Vec::new() };
        check.node(program.expression(), &mut Vec::new(), 0, 0);
        if check.problems.is_empty() {
            check.types(program.expression(), wanted);
        }
        let Check { mut read, mut asked, problems, .. } = check;
        if !problems.is_empty() {
            return Err(problems);
        }
        read.sort();
        read.dedup();
        asked.sort();
        asked.dedup();
        Ok(Self { source: source.into(), program: Arc::new(program), names: read.into(), asked: asked.into() })
    }

    /// What was typed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Every name that it reads, sorted, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|n| &**n)
    }

    /// Whether it is true. Unknown where a value is missing or the evaluation fails (a text that is no number, a division by zero).
    pub fn holds(&self, scope: &dyn Scope) -> Truth {
        match self.run(scope) {
            Ok(CelValue::Bool(outcome)) => outcome.into(),
            Ok(_) | Err(_) => Truth::Unknown,
        }
    }

    /// Its value; `Missing` where a value is missing or the evaluation fails.
    pub fn evaluate(&self, scope: &dyn Scope) -> Value {
        self.run(scope).map_or(Value::Missing, |value| from_cel(&value))
    }

    fn run(&self, scope: &dyn Scope) -> Result<CelValue, ExecutionError> {
        let mut context = Context::with_env(ENVIRONMENT.clone());
        for name in self.names.iter() {
            // A missing value stays unbound: whatever needs it fails, and that is unknown.
            if let Some(value) = to_cel(&scope.lookup(name)) {
                context.add_variable_from_value(name.to_string(), value);
            }
        }
        let mut roots: BTreeMap<&str, HashMap<String, CelValue>> = BTreeMap::new();
        for (root, member) in self.asked.iter() {
            let members = roots.entry(root).or_default();
            if let Some(value) = to_cel(&scope.lookup(&format!("{root}.{member}"))) {
                members.insert(member.to_string(), value);
            }
        }
        for (root, members) in roots {
            context.add_variable_from_value(root, members);
        }
        self.program.execute(&context)
    }
}

fn syntax_problems(source: &str, errors: &cel::ParseErrors) -> Vec<CelProblem> {
    errors
        .errors
        .iter()
        .take(3)
        .map(|error| {
            let (line, column) = (usize::try_from(error.pos.0).unwrap_or(1), usize::try_from(error.pos.1).unwrap_or(1));
            let line_start: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
            let at = source
                .get(line_start..)
                .and_then(|l| l.char_indices().nth(column.saturating_sub(1)))
                .map_or(source.len(), |(at, _)| line_start + at);
            CelProblem {
                at: at..at + source.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8),
                message: format!("this is not a CEL expression: {}", syntax_words(&error.msg)),
                remedy: "Text stands in quotes, equality is `==`, and is `&&`, or is `||`: `segment == 'gold' && size(content) > 100`"
                    .to_owned(),
                unknown_name: false,
            }
        })
        .collect()
}

/// The parser's words, without its list of everything that could have stood there.
fn syntax_words(message: &str) -> String {
    let message = message.trim_start_matches("Syntax error: ");
    let message = message.split(" expecting ").next().unwrap_or(message);
    message
        .trim_end_matches('.')
        .replace("'<EOF>'", "end")
        .replace("mismatched input", "unexpected")
        .replace("token recognition error at: ", "unexpected ")
}

struct Check<'a> {
    source: &'a str,
    info: &'a SourceInfo,
    names: &'a Names,
    read: Vec<Arc<str>>,
    asked: Vec<(Arc<str>, Arc<str>)>,
    problems: Vec<CelProblem>,
}

impl Check<'_> {
    fn at(&self, node: &IdedExpr) -> Range<usize> {
        let Some((start, _)) = self.info.offset_for(node.id) else { return 0..self.source.len() };
        // The parser counts characters.
        let start = self.source.char_indices().nth(usize::try_from(start).unwrap_or(0)).map_or(0, |(at, _)| at);
        // The place of a call is its bracket, of a selection its dot: begin at the word in front.
        let before = self.source.get(..start).unwrap_or_default();
        let word: usize = before.chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum();
        let start = if matches!(self.source.as_bytes().get(start), Some(b'(' | b'.')) { start - word } else { start };
        let word: usize = self
            .source
            .get(start..)
            .unwrap_or_default()
            .chars()
            .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
            .map(char::len_utf8)
            .sum();
        start..start + word.max(1).min(self.source.len() - start)
    }

    fn problem(&mut self, node: &IdedExpr, message: String, remedy: String, unknown_name: bool) {
        let at = self.at(node);
        self.problems.push(CelProblem { at, message, remedy, unknown_name });
    }

    fn node(&mut self, node: &IdedExpr, locals: &mut Vec<String>, depth: usize, comprehensions: usize) {
        if depth > MAX_DEPTH {
            if !self.problems.iter().any(|p| p.message.contains("too deep")) {
                self.problem(node, "the expression is too deep".to_owned(), "Make enriched fields of its parts".to_owned(), false);
            }
            return;
        }
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(_) => self.name(node, node, locals),
            Expr::Select(select) => {
                if qualified(node).is_some() {
                    self.name(node, node, locals);
                } else if let (true, Some(root)) = (select.test, qualified(&select.operand)) {
                    let full = format!("{root}.{}", select.field);
                    if self.names.kind(&full).is_some() && !is_local(&root, locals) {
                        self.read.push(full.as_str().into());
                        self.asked.push((root.as_str().into(), select.field.as_str().into()));
                    } else if self.names.kind(&root).is_none() && !is_local(&root, locals) {
                        self.unknown(&select.operand, &full);
                    } else {
                        self.node(&select.operand, locals, depth + 1, comprehensions);
                    }
                } else {
                    self.node(&select.operand, locals, depth + 1, comprehensions);
                }
            }
            Expr::Call(call) => {
                self.call(node, call);
                for part in call.target.as_deref().into_iter().chain(&call.args) {
                    self.node(part, locals, depth + 1, comprehensions);
                }
            }
            Expr::List(list) => list.elements.iter().for_each(|e| self.node(e, locals, depth + 1, comprehensions)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    match &entry.expr {
                        EntryExpr::MapEntry(pair) => {
                            self.node(&pair.key, locals, depth + 1, comprehensions);
                            self.node(&pair.value, locals, depth + 1, comprehensions);
                        }
                        EntryExpr::StructField(field) => self.node(&field.value, locals, depth + 1, comprehensions),
                    }
                }
            }
            Expr::Struct(_) => self.problem(node, "messages can't be built here".to_owned(), "Use a map: `{'a': 1}`".to_owned(), false),
            Expr::Comprehension(inner) => {
                if comprehensions >= MAX_COMPREHENSIONS {
                    let message = format!("more than {MAX_COMPREHENSIONS} of `exists`, `all`, `map`, `filter` stand inside each other");
                    self.problem(node, message, "Make an enriched field of the inner part".to_owned(), false);
                    return;
                }
                self.node(&inner.iter_range, locals, depth + 1, comprehensions);
                self.node(&inner.accu_init, locals, depth + 1, comprehensions);
                let before = locals.len();
                locals.push(inner.iter_var.clone());
                locals.extend(inner.iter_var2.clone());
                locals.push(inner.accu_var.clone());
                for part in [&inner.loop_cond, &inner.loop_step, &inner.result] {
                    self.node(part, locals, depth + 1, comprehensions + 1);
                }
                locals.truncate(before);
            }
        }
    }

    /// An identifier, or selections on one: the longest known name counts, the rest are members of its value.
    fn name(&mut self, node: &IdedExpr, place: &IdedExpr, locals: &[String]) {
        let Some(full) = qualified(node) else { return };
        if is_local(&full, locals) || full == "optional" {
            return;
        }
        let mut name = full.as_str();
        loop {
            match self.names.kind(name) {
                Some(kind) if name.len() == full.len() || matches!(kind, NameKind::Any | NameKind::Records) => {
                    self.read.push(name.into());
                    return;
                }
                Some(kind) => {
                    let message = format!("`{name}` is {}, it has no members", kind.words());
                    self.problem(place, message, format!("Write `{name}` alone"), false);
                    return;
                }
                None => match name.rsplit_once('.') {
                    Some((shorter, _)) => name = shorter,
                    None => break,
                },
            }
        }
        self.unknown(place, &full);
    }

    fn unknown(&mut self, place: &IdedExpr, name: &str) {
        let remedy = match self.names.nearest(name) {
            Some(word) => format!("Did you mean `{word}`? Text stands in quotes: `'{name}'`"),
            None => format!("Text stands in quotes: `'{name}'`; the README of `mappings/` lists every name"),
        };
        // A selection's own place is its dot: show the whole name from its root.
        let mut root = place;
        while let Expr::Select(select) = &root.expr {
            root = &select.operand;
        }
        self.problem(root, format!("`{name}` is not a name that can be read here"), remedy, true);
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) {
        let name = call.func_name.as_str();
        let operator = name.starts_with(['_', '@', '!', '-']);
        if operator || FUNCTIONS.contains(&name) {
            if name == "matches"
                && let Some(Expr::Literal(LiteralValue::String(pattern))) = call.args.last().map(|a| &a.expr)
                && regex::Regex::new(pattern.inner()).is_err()
            {
                self.problem(
                    node,
                    "`matches` has a pattern that is no regular expression".to_owned(),
                    "Check its brackets and backslashes".to_owned(),
                    false,
                );
            }
            return;
        }
        let remedy = match nearest(name, FUNCTIONS) {
            Some(word) => format!("Did you mean `{word}`?"),
            None => format!("Known functions: {}", FUNCTIONS.join(", ")),
        };
        self.problem(node, format!("there is no function `{name}`"), remedy, true);
    }

    /// Evaluates every part over sample values of the names' kinds: an operator that takes no such values is told.
    fn types(&mut self, root: &IdedExpr, wanted: Wanted) {
        let mut context = Context::with_env(ENVIRONMENT.clone());
        for name in &self.read {
            if let Some(sample) = self.names.kind(name).and_then(sample) {
                context.add_variable_from_value(name.to_string(), sample);
            }
        }
        self.part_types(root, &context, 0);
        if wanted == Wanted::Condition
            && self.problems.is_empty()
            && let Ok(value) = CelValue::resolve(root, &context)
            && !matches!(value, CelValue::Bool(_))
        {
            let message = format!("a condition must be true or false; this gives a value of type {}", value.type_of());
            self.problem(root, message, "Compare it with something: `… == 'gold'`, `… > 3`".to_owned(), false);
        }
    }

    fn part_types(&mut self, node: &IdedExpr, context: &Context<'_, '_>, depth: usize) {
        if let (Expr::Call(call), true) = (&node.expr, depth <= MAX_DEPTH) {
            let before = self.problems.len();
            for part in call.target.as_deref().into_iter().chain(&call.args) {
                self.part_types(part, context, depth + 1);
            }
            if self.problems.len() == before
                && let Err(error) = CelValue::resolve(node, context)
                && let Some(message) = wrong_types(&error)
            {
                self.problem(
                    node,
                    message,
                    "Convert one side, for instance `int(…)` or `string(…)`; text stands in quotes".to_owned(),
                    false,
                );
            }
        }
    }
}

/// The words for an operator or function that takes no values of these types; `None` for anything that only the sample is to blame for.
#[expect(clippy::wildcard_enum_match_arm, reason = "the evaluator's errors are an open list; no other is about types")]
fn wrong_types(error: &ExecutionError) -> Option<String> {
    match error {
        ExecutionError::NoSuchOverload(error) => {
            Some(format!("`{}` can't be applied to {}", cel_operator(error.function()), error.argument_types().join(" and ")))
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => Some(format!(
            "`{}` can't be applied to {} and {}",
            cel_operator(if *operator == "add" { "+" } else { operator }),
            left.type_of(),
            right.type_of()
        )),
        ExecutionError::ValuesNotComparable(left, right) => Some(format!("{} can't be compared with {}", left.type_of(), right.type_of())),
        _ => None,
    }
}

fn cel_operator(function: &str) -> String {
    function.trim_matches('_').trim_start_matches('@').to_owned()
}

fn is_local(name: &str, locals: &[String]) -> bool {
    let root = name.split('.').next().unwrap_or(name);
    locals.iter().any(|l| l == root)
}

/// `a.b.c` of selections on an identifier.
fn qualified(node: &IdedExpr) -> Option<String> {
    let mut segments = Vec::new();
    let mut node = node;
    loop {
        match &node.expr {
            Expr::Ident(name) => {
                segments.push(name.trim_start_matches('.'));
                segments.reverse();
                return Some(segments.join("."));
            }
            Expr::Select(select) if !select.test && segments.len() < MAX_DEPTH => {
                segments.push(&select.field);
                node = &select.operand;
            }
            Expr::Select(_)
            | Expr::Unspecified
            | Expr::Call(_)
            | Expr::Comprehension(_)
            | Expr::List(_)
            | Expr::Literal(_)
            | Expr::Map(_)
            | Expr::Struct(_) => return None,
        }
    }
}

/// A value of the kind, to try operators on. `1` is text that converts to a number too.
fn sample(kind: NameKind) -> Option<CelValue> {
    match kind {
        NameKind::Text => to_cel(&Value::Text("1".into())),
        NameKind::Texts => to_cel(&Value::List([Value::Text("1".into())].into())),
        NameKind::Number => Some(CelValue::Float(1.0)),
        NameKind::Time => to_cel(&Value::Time(crate::model::Timestamp::UNIX_EPOCH)),
        NameKind::Records => Some(CelValue::List(Arc::new(Vec::new()))),
        NameKind::Any => None,
    }
}

fn to_cel(value: &Value) -> Option<CelValue> {
    Some(match value {
        Value::Missing => return None,
        Value::Text(text) => CelValue::String(Arc::new(text.to_string())),
        Value::Number(number) => CelValue::Float(*number),
        Value::Integer(integer) => CelValue::Int(*integer),
        Value::Bool(truth) => CelValue::Bool(*truth),
        Value::Time(time) => CelValue::Timestamp(time.to_string().parse().ok()?),
        Value::List(items) => CelValue::List(Arc::new(items.iter().filter_map(to_cel).collect())),
        Value::Record(members) => {
            let map: HashMap<String, CelValue> = members.iter().filter_map(|(name, v)| Some((name.to_string(), to_cel(v)?))).collect();
            map.into()
        }
    })
}

pub(super) fn from_cel(value: &CelValue) -> Value {
    match value {
        CelValue::List(items) => Value::List(items.iter().map(from_cel).collect()),
        CelValue::Map(map) => {
            let sorted: BTreeMap<String, Value> = map.map.iter().map(|(k, v)| (key_text(k), from_cel(v))).collect();
            Value::Record(sorted.into_iter().map(|(k, v)| (Arc::from(k), v)).collect())
        }
        CelValue::Int(integer) => Value::Integer(*integer),
        CelValue::UInt(integer) => i64::try_from(*integer).map_or(Value::Missing, Value::Integer),
        CelValue::Float(number) if number.is_finite() => Value::Number(*number),
        CelValue::String(text) => Value::text(text.as_str()),
        CelValue::Bool(truth) => Value::Bool(*truth),
        CelValue::Timestamp(time) => time.to_rfc3339().parse().map_or(Value::Missing, Value::Time),
        CelValue::Float(_)
        | CelValue::Function(..)
        | CelValue::Bytes(_)
        | CelValue::Duration(_)
        | CelValue::Opaque(_)
        | CelValue::Struct(_)
        | CelValue::Null => Value::Missing,
    }
}

fn key_text(key: &cel::objects::Key) -> String {
    match key {
        cel::objects::Key::Int(i) => i.to_string(),
        cel::objects::Key::Uint(u) => u.to_string(),
        cel::objects::Key::Bool(b) => b.to_string(),
        cel::objects::Key::String(s) => s.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Given;
    use super::*;
    use proptest::prelude::*;

    fn names() -> Names {
        let mut names = Names::default();
        for (name, kind) in [
            ("object.content", NameKind::Text),
            ("object.published", NameKind::Time),
            ("object.url", NameKind::Text),
            ("segment", NameKind::Text),
            ("customer.handles", NameKind::Texts),
            ("match_weight", NameKind::Number),
            ("orders", NameKind::Records),
            ("topic", NameKind::Any),
        ] {
            names.insert(name, kind);
        }
        names
    }

    fn given() -> Given {
        let order = |status: &str, total: &str| Value::Record([("status".into(), status.into()), ("total".into(), total.into())].into());
        Given(vec![
            ("object.content", "where is my order?".into()),
            ("object.published", Value::Time("2026-04-28T14:00:58Z".parse().unwrap())),
            ("segment", "gold".into()),
            ("customer.handles", Value::List([Value::from("x:ada")].into())),
            ("match_weight", Value::Number(12.5)),
            ("orders", Value::List([order("delivered", "12.50"), order("late", "99")].into())),
        ])
    }

    #[test]
    fn expressions_read_names_and_give_truth_or_values() {
        for (source, expected) in [
            ("segment == 'gold' && match_weight > 10.0", Truth::True),
            ("object.content.endsWith('?') && size(object.content) > 5", Truth::True),
            ("orders.exists(o, o.status == 'late' && double(o.total) > 50.0)", Truth::True),
            ("orders[1].status == 'delivered'", Truth::False),
            ("'x:ada' in customer.handles", Truth::True),
            ("object.published > timestamp('2026-01-01T00:00:00Z')", Truth::True),
            ("object.url == 'x'", Truth::Unknown),
            ("has(object.url)", Truth::False),
            ("has(object.content)", Truth::True),
            ("topic == 'complaint'", Truth::Unknown),
            ("segment == 'gold' || topic == 'complaint'", Truth::True),
            ("int(segment) > 3", Truth::Unknown),
        ] {
            let cel = Cel::new(source, &names(), Wanted::Condition).unwrap_or_else(|p| panic!("{source}: {p:?}"));
            assert_eq!(cel.holds(&given()), expected, "{source}");
        }
        let value = |source: &str| Cel::new(source, &names(), Wanted::Value).unwrap().evaluate(&given());
        assert_eq!(value("segment + '!'"), "gold!".into());
        assert_eq!(value("orders.map(o, o.status)"), Value::List([Value::from("delivered"), "late".into()].into()));
        assert_eq!(value("object.published"), Value::Time("2026-04-28T14:00:58Z".parse().unwrap()));
        assert_eq!(value("1 / 0"), Value::Missing);
        assert_eq!(value("object.url"), Value::Missing);
    }

    #[test]
    fn unknown_names_functions_and_wrong_types_are_told_with_their_place() {
        let told = |source: &str, wanted| {
            let problems = Cel::new(source, &names(), wanted).err().unwrap_or_default();
            problems
                .iter()
                .map(|p| format!("{:?}: {}; {}", source.get(p.at.clone()).unwrap(), p.message, p.remedy))
                .collect::<Vec<_>>()
                .join("\n")
        };
        let all = [
            ("object.contnt == 'x'", Wanted::Condition),
            ("sgment == gold", Wanted::Condition),
            ("sise(object.content) > 1", Wanted::Condition),
            ("object.content > 3", Wanted::Condition),
            ("segment + 1", Wanted::Value),
            ("segment", Wanted::Condition),
            ("segment = 'gold'", Wanted::Condition),
            ("segment.length == 1", Wanted::Condition),
            ("object.content.matches('(')", Wanted::Condition),
            ("[1].map(a, [1].map(b, [1].map(c, c)))", Wanted::Value),
            ("has(object.contnt)", Wanted::Condition),
            ("'a' +", Wanted::Value),
            ("", Wanted::Value),
            ("\u{a1}", Wanted::Value),
        ];
        insta::assert_snapshot!(all.map(|(source, wanted)| told(source, wanted)).join("\n"), @r#"
        "object.contnt": `object.contnt` is not a name that can be read here; Did you mean `object.content`? Text stands in quotes: `'object.contnt'`
        "sgment": `sgment` is not a name that can be read here; Did you mean `segment`? Text stands in quotes: `'sgment'`
        "gold": `gold` is not a name that can be read here; Text stands in quotes: `'gold'`; the README of `mappings/` lists every name
        "sise": there is no function `sise`; Did you mean `size`?
        ">": `>` can't be applied to string and int; Convert one side, for instance `int(…)` or `string(…)`; text stands in quotes
        "+": `+` can't be applied to string and int; Convert one side, for instance `int(…)` or `string(…)`; text stands in quotes
        "segment": a condition must be true or false; this gives a value of type string; Compare it with something: `… == 'gold'`, `… > 3`
        "=": this is not a CEL expression: unexpected '= '; Text stands in quotes, equality is `==`, and is `&&`, or is `||`: `segment == 'gold' && size(content) > 100`
        "'": this is not a CEL expression: extraneous input ''gold''; Text stands in quotes, equality is `==`, and is `&&`, or is `||`: `segment == 'gold' && size(content) > 100`
        "segment.length": `segment` is text, it has no members; Write `segment` alone
        "matches": `matches` has a pattern that is no regular expression; Check its brackets and backslashes
        "map": more than 2 of `exists`, `all`, `map`, `filter` stand inside each other; Make an enriched field of the inner part
        "object.contnt": `object.contnt` is not a name that can be read here; Did you mean `object.content`? Text stands in quotes: `'object.contnt'`
        "": this is not a CEL expression: unexpected end; Text stands in quotes, equality is `==`, and is `&&`, or is `||`: `segment == 'gold' && size(content) > 100`
        "": the expression is empty; Write an expression after `cel:`
        "¡": this is not a CEL expression: unexpected '¡'; Text stands in quotes, equality is `==`, and is `&&`, or is `||`: `segment == 'gold' && size(content) > 100`
        "": this is not a CEL expression: unexpected end; Text stands in quotes, equality is `==`, and is `&&`, or is `||`: `segment == 'gold' && size(content) > 100`
        "#);
    }

    #[test]
    fn every_function_of_the_list_exists() {
        let context = Context::with_env(ENVIRONMENT.clone());
        for name in FUNCTIONS {
            if ["exists", "all", "map", "filter"].contains(&name) {
                continue;
            }
            let answers = [format!("{name}('1')"), format!("'1'.{name}('1')"), format!("timestamp('2026-01-01T00:00:00Z').{name}()")]
                .map(|source| Program::compile(&source).unwrap().execute(&context));
            let exists = answers.iter().any(|a| !matches!(a, Err(ExecutionError::UndeclaredReference(_))));
            assert!(exists, "{name}: {answers:?}");
        }
    }

    #[test]
    fn deep_and_long_expressions_are_refused_before_they_can_hurt() {
        for source in [
            "(".repeat(500),
            "[".repeat(400),
            "!".repeat(900),
            "-".repeat(900),
            format!("1{}", "+1".repeat(450)),
            format!("a{}", ".b".repeat(450)),
            "x?".repeat(400),
            "a ? b : ".repeat(100),
        ] {
            assert!(Cel::new(&source, &names(), Wanted::Value).is_err(), "{source}");
        }
    }

    proptest! {
        #[test]
        fn any_text_compiles_or_is_refused_and_runs_without_panic(source in "(segment|object\\.content|orders|match_weight|[0-9]{1,3}|'a'| |\\+|-|\\*|/|%|==|&&|\\|\\||!|\\(|\\)|\\[|\\]|\\.|,|\\?|:|\\{|\\}|size|map|o|9223372036854775807){0,16}") {
            if let Ok(cel) = Cel::new(&source, &names(), Wanted::Value) {
                prop_assert_eq!(cel.holds(&given()).holds(), cel.evaluate(&given()) == Value::Bool(true));
            }
        }

        #[test]
        fn any_characters_compile_or_are_refused(source in ".{0,40}") {
            let problems = Cel::new(&source, &names(), Wanted::Condition).err().unwrap_or_default();
            prop_assert!(problems.iter().all(|p| source.get(p.at.clone()).is_some()));
        }
    }
}
