//! Expressions over a record whose members nobody has declared: what a network's interface sends. Names are `record` and whatever an expression
//! itself introduces; what is not there is missing, and a missing value has no outcome.

use super::Truth;
use super::cel::{CelProblem, ENVIRONMENT, FUNCTIONS, MAX_DEPTH, Remedies, compile, from_cel, whole};
use crate::diagnose::nearest;
use crate::model::Value;
use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Program, Value as CelValue};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The one name.
const RECORD: &str = "record";

/// A record, made ready for several expressions.
pub struct Record(CelValue);

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record")
    }
}

impl Record {
    /// Out of JSON. A member that is null is not there.
    pub fn new(record: &Json) -> Self {
        Self(to_cel(record).unwrap_or_else(|| HashMap::<String, CelValue>::new().into()))
    }
}

fn to_cel(value: &Json) -> Option<CelValue> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(truth) => CelValue::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => CelValue::Int(integer),
            None => CelValue::Float(number.as_f64()?),
        },
        Json::String(text) => CelValue::String(Arc::new(text.clone())),
        Json::Array(items) => CelValue::List(Arc::new(items.iter().filter_map(to_cel).collect())),
        Json::Object(members) => {
            let map: HashMap<String, CelValue> = members.iter().filter_map(|(name, v)| Some((name.clone(), to_cel(v)?))).collect();
            map.into()
        }
    })
}

/// A compiled expression over a record.
#[derive(Clone)]
pub struct RecordCel {
    program: Arc<Program>,
}

impl fmt::Debug for RecordCel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordCel")
    }
}

impl RecordCel {
    /// Compiles and checks an expression.
    ///
    /// # Errors
    /// Every problem found: syntax, names beside `record`, unknown functions, more than the bounds.
    pub fn new(source: &str) -> Result<Self, Vec<CelProblem>> {
        let program = compile(
            source,
            &Remedies { empty: "Write an expression over `record`", long: "At most 1,000 bytes are read", brackets: "Write it shorter" },
        )?;
        let mut found = Vec::new();
        walk(program.expression(), &mut Vec::new(), 0, &mut found);
        match found.into_iter().next() {
            None => Ok(Self { program: Arc::new(program) }),
            Some((message, remedy)) => Err(vec![whole(source, &message, &remedy)]),
        }
    }

    fn run(&self, record: &Record) -> Option<CelValue> {
        let mut context = Context::with_env(ENVIRONMENT.clone());
        context.add_variable_from_value(RECORD, record.0.clone());
        self.program.execute(&context).ok()
    }

    /// Its value; `Missing` where a member is missing or the evaluation fails.
    pub fn evaluate(&self, record: &Record) -> Value {
        self.run(record).map_or(Value::Missing, |value| from_cel(&value))
    }

    /// Whether it is true; unknown where a member is missing or the evaluation fails.
    pub fn holds(&self, record: &Record) -> Truth {
        match self.run(record) {
            Some(CelValue::Bool(outcome)) => outcome.into(),
            Some(_) | None => Truth::Unknown,
        }
    }
}

/// Tells names and functions that are not there. Deeper than [`MAX_DEPTH`] is told, not walked.
fn walk(node: &IdedExpr, locals: &mut Vec<String>, depth: usize, found: &mut Vec<(String, String)>) {
    if depth > MAX_DEPTH {
        found.push(("the expression is too deep".to_owned(), "Write it shorter".to_owned()));
        return;
    }
    match &node.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) => {
            if name != RECORD && !name.starts_with('@') && !locals.contains(name) {
                found.push((format!("there is no `{name}` here"), "What the network sent is in `record`: `record.account.url`".to_owned()));
            }
        }
        Expr::Select(select) => walk(&select.operand, locals, depth + 1, found),
        Expr::Call(call) => {
            let is_operator = !call.func_name.starts_with(|c: char| c.is_ascii_alphabetic());
            if !is_operator && !FUNCTIONS.contains(&call.func_name.as_str()) {
                let near = nearest(&call.func_name, FUNCTIONS.iter().copied());
                let remedy = near.map_or_else(|| "See CEL's standard functions".to_owned(), |near| format!("Did you mean `{near}`?"));
                found.push((format!("there is no function `{}`", call.func_name), remedy));
            }
            call.target.iter().for_each(|target| walk(target, locals, depth + 1, found));
            call.args.iter().for_each(|arg| walk(arg, locals, depth + 1, found));
        }
        Expr::List(list) => list.elements.iter().for_each(|item| walk(item, locals, depth + 1, found)),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    walk(&entry.key, locals, depth + 1, found);
                    walk(&entry.value, locals, depth + 1, found);
                }
            }
        }
        Expr::Struct(_) => found.push(("messages are not made here".to_owned(), "Write a map".to_owned())),
        Expr::Comprehension(each) => {
            walk(&each.iter_range, locals, depth + 1, found);
            let before = locals.len();
            locals.push(each.iter_var.clone());
            locals.extend(each.iter_var2.clone());
            locals.push(each.accu_var.clone());
            for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
                walk(part, locals, depth + 1, found);
            }
            locals.truncate(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_and_missing_ones_are_missing() {
        let record = Record::new(&serde_json::json!({ "a": { "b": "x", "n": null }, "list": [{ "v": 1 }, { "v": 2 }] }));
        let text = |source: &str| RecordCel::new(source).unwrap().evaluate(&record).to_json().to_string();
        assert_eq!(text("record.a.b + '!'"), r#""x!""#);
        assert_eq!(text("record.a.n"), "null");
        assert_eq!(text("record.z.z"), "null");
        assert_eq!(text("has(record.a.b) ? 'yes' : 'no'"), r#""yes""#);
        assert_eq!(text("record.list.filter(i, i.v > 1).map(i, i.v)"), "[2]");
        assert!(RecordCel::new("record.a.b == 'x'").unwrap().holds(&record).holds());
        for wrong in ["", "recrod.a", "record.a.upperCase()", "record.a ==", "x.map(i, i)"] {
            assert!(RecordCel::new(wrong).is_err(), "{wrong}");
        }
    }
}
