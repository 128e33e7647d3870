//! `now_utc() - duration('P1D')`: the engine adds and subtracts numbers and text alone. Templates that name a date's function are written anew,
//! with a function in place of each `+` and `-`; so is `~`, which shows values. Uses the engine's syntax tree, which is no stable interface: its version is locked.

#![allow(clippy::wildcard_enum_match_arm, reason = "the syntax tree of another crate: what is not named is refused or written as it is")]

use super::dates::{DateObject, GapObject, MomentObject, value_error};
use super::gap::Gap;
use super::growing::ListObject;
use super::moment::Moment;
use super::percent::filled;
use super::python;
use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::parse;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};
use std::borrow::Cow;

const PLUS: &str = "__plus";
const MINUS: &str = "__minus";
const CONCAT: &str = "__concat";
const REMAINDER: &str = "__remainder";
const LIST: &str = "__list";
/// What changes a list.
const GROWS: &[&str] = &[".append(", ".extend("];
/// Functions that give dates or spans of time.
const DATES: &[&str] = &["duration(", "now_utc(", "today_utc(", "str_to_datetime(", "today_with_timezone("];

/// Whether a name is one of the functions that stand for what the engine does in another way.
pub fn is_function(name: &str) -> bool {
    [PLUS, MINUS, CONCAT, REMAINDER, LIST].contains(&name)
}

/// Adds the functions.
pub fn install(environment: &mut Environment<'static>) {
    environment.add_function(PLUS, |a: Value, b: Value| operate(&a, &b, false));
    environment.add_function(MINUS, |a: Value, b: Value| operate(&a, &b, true));
    environment.add_function(REMAINDER, |a: Value, b: Value| remainder(&a, &b));
    environment.add_function(LIST, |list: Value| ListObject::of(&list));
    // The engine shows text inside of lists in its own quotes.
    environment.add_function(CONCAT, |a: Value, b: Value| format!("{}{}", python::text(&a), python::text(&b)));
}

fn gap_of(value: &Value) -> Option<Gap> {
    value.downcast_object_ref::<GapObject>().map(|gap| gap.0)
}

fn operate(a: &Value, b: &Value, minus: bool) -> Result<Value, Error> {
    let out_of_range = || value_error("a date out of range");
    let shifted = |at: Moment, gap: Gap| if minus { at.minus(gap) } else { at.plus(gap) }.ok_or_else(out_of_range);
    if let Some(at) = a.downcast_object_ref::<MomentObject>() {
        if let Some(gap) = gap_of(b) {
            return Ok(Value::from_object(MomentObject(shifted(at.0, gap)?)));
        }
        if let Some(other) = b.downcast_object_ref::<MomentObject>().filter(|_| minus) {
            return Ok(Value::from_object(GapObject(at.0.since(other.0))));
        }
    }
    if let Some(date) = a.downcast_object_ref::<DateObject>() {
        let at = Moment::of_date(date.0).ok_or_else(out_of_range)?;
        if let Some(gap) = gap_of(b) {
            // A date moves by whole days.
            let days = Gap { months: gap.months, micros: gap.micros.div_euclid(86_400_000_000) * 86_400_000_000 };
            return Ok(Value::from_object(DateObject(shifted(at, days)?.date())));
        }
        if let Some(other) = b.downcast_object_ref::<DateObject>().filter(|_| minus) {
            return Ok(Value::from_object(GapObject(at.since(Moment::of_date(other.0).ok_or_else(out_of_range)?))));
        }
    }
    if let (Some(a), Some(b)) = (gap_of(a), gap_of(b)) {
        let sign = if minus { -1 } else { 1 };
        return Ok(Value::from_object(GapObject(Gap { months: a.months + sign * b.months, micros: a.micros + sign * b.micros })));
    }
    if let (Some(gap), Some(at)) = (gap_of(a), b.downcast_object_ref::<MomentObject>())
        && !minus
    {
        return Ok(Value::from_object(MomentObject(at.0.plus(gap).ok_or_else(out_of_range)?)));
    }
    plain(a, b, minus)
}

/// `a % b`: text that is filled in, or what is left after a division, with the sign of the divisor.
fn remainder(a: &Value, b: &Value) -> Result<Value, Error> {
    if let Some(text) = a.as_str() {
        return filled(text, b).map(Value::from);
    }
    let wrong = || Error::new(ErrorKind::InvalidOperation, "values that have no remainder");
    if a.is_undefined() || b.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if a.is_integer() && b.is_integer() {
        let (a, b) = (i128::try_from(a.clone())?, i128::try_from(b.clone())?);
        let left = a.checked_rem(b).ok_or_else(wrong)?;
        return Ok(Value::from(if left != 0 && (left < 0) != (b < 0) { left + b } else { left }));
    }
    let (a, b) = (f64::try_from(a.clone()).map_err(|_none| wrong())?, f64::try_from(b.clone()).map_err(|_none| wrong())?);
    let left = a % b;
    if left.is_nan() {
        return Err(wrong());
    }
    Ok(Value::from(if left.abs() > 0.0 && (left < 0.0) != (b < 0.0) { left + b } else { left }))
}

/// Numbers and text, as the engine does it.
fn plain(a: &Value, b: &Value, minus: bool) -> Result<Value, Error> {
    let wrong = || Error::new(ErrorKind::InvalidOperation, "values that can't be added");
    if a.is_undefined() || b.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return if minus { Err(wrong()) } else { Ok(Value::from(format!("{a}{b}"))) };
    }
    if a.is_integer() && b.is_integer() {
        let (a, b) = (i128::try_from(a.clone())?, i128::try_from(b.clone())?);
        return if minus { a.checked_sub(b) } else { a.checked_add(b) }.map(Value::from).ok_or_else(wrong);
    }
    if a.kind() == ValueKind::Number && b.kind() == ValueKind::Number {
        let (a, b) = (f64::try_from(a.clone())?, f64::try_from(b.clone())?);
        return Ok(Value::from(if minus { a - b } else { a + b }));
    }
    if a.kind() == ValueKind::Seq && b.kind() == ValueKind::Seq && !minus {
        return Ok(a.try_iter()?.chain(b.try_iter()?).collect());
    }
    Err(wrong())
}

/// Without the `:` that Jinja allows at the end of a block: `{% if x: %}`.
fn without_colons(source: &str) -> Cow<'_, str> {
    let end_of = |before: &str| {
        let bare = before.trim_end().trim_end_matches(['-', '+']).trim_end();
        bare.ends_with(':').then(|| bare.len() - 1)
    };
    let mut parts: Vec<Cow<'_, str>> = source.split("%}").map(Cow::Borrowed).collect();
    // After the last end there is no block.
    let blocks = parts.len() - 1;
    let mut changed = false;
    for part in parts.iter_mut().take(blocks) {
        if let Some(at) = end_of(part).filter(|_| part.contains("{%")) {
            part.to_mut().remove(at);
            changed = true;
        }
    }
    if changed { Cow::Owned(parts.join("%}")) } else { Cow::Borrowed(source) }
}

/// The template with functions in place of `+` and `-`, where it handles dates, and of lists, where it fills them; as it is elsewhere.
///
/// # Errors
/// Where it can't be parsed, or has a statement around dates that can't be written anew.
pub fn rewrite(source: &str) -> Result<String, Error> {
    let source = &*without_colons(source);
    let dates = DATES.iter().any(|name| source.contains(name)) && source.contains(['+', '-']);
    let plain = !dates && !source.contains('~') && !GROWS.iter().any(|method| source.contains(method));
    if plain && !fills(source) {
        return Ok(source.to_owned());
    }
    let tree = parse(source, "<template>", minijinja::syntax::SyntaxConfig::default())?;
    let mut out = String::with_capacity(source.len() * 2);
    match statement(&tree, &mut out) {
        Ok(()) => Ok(out),
        // Numbers are divided as well without it.
        Err(_) if plain => Ok(source.to_owned()),
        Err(error) => Err(error),
    }
}

/// Whether `%` stands between two values.
fn fills(source: &str) -> bool {
    let mut parts = source.replace("{%", "").replace("%}", "");
    parts.retain(|c| !c.is_whitespace());
    // After a text, a bracket or a name; what formats dates and numbers stands after a quote or another of its kind.
    let bytes = parts.as_bytes();
    source.contains(" % ")
        || source.contains("%(")
        || bytes
            .windows(3)
            .any(|three| matches!(three, [b'\'' | b'"' | b')' | b']', b'%', next] if matches!(next, b'\'' | b'"' | b'(' | b'[') ))
}

/// A filter or test of a template that is not `known`.
pub fn unknown_filter(source: &str, known: impl Fn(&str) -> bool) -> Option<String> {
    let source = &*without_colons(source);
    let tree = parse(source, "<template>", minijinja::syntax::SyntaxConfig::default()).ok()?;
    let mut found = None;
    let mut out = String::new();
    // Writing it anew visits every filter; what can't be written anew is looked at when it runs.
    walk(&tree, &mut out, &mut |name| {
        if found.is_none() && !known(name) {
            found = Some(format!("there is no filter `{name}`"));
        }
    });
    found
}

fn walk(tree: &Stmt<'_>, out: &mut String, see: &mut dyn FnMut(&str)) {
    if statement(tree, out).is_ok() {
        for part in out.split(FILTER_MARK).skip(1) {
            let end = part.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(part.len());
            see(part.get(..end).unwrap_or_default());
        }
    }
}

/// Before each filter's name in what is written anew; two blanks are nothing that a template's text is kept with, as text is quoted.
const FILTER_MARK: &str = "|  ";

fn statements(children: &[Stmt<'_>], out: &mut String) -> Result<(), Error> {
    children.iter().try_for_each(|child| statement(child, out))
}

fn statement(stmt: &Stmt<'_>, out: &mut String) -> Result<(), Error> {
    match stmt {
        Stmt::Template(template) => statements(&template.children, out),
        Stmt::EmitRaw(raw) => {
            out.push_str("{{ ");
            text(raw.raw, out);
            out.push_str(" }}");
            Ok(())
        }
        Stmt::EmitExpr(emit) => {
            out.push_str("{{ ");
            expression(&emit.expr, out)?;
            out.push_str(" }}");
            Ok(())
        }
        Stmt::IfCond(condition) => {
            out.push_str("{% if ");
            expression(&condition.expr, out)?;
            out.push_str(" %}");
            statements(&condition.true_body, out)?;
            out.push_str("{% else %}");
            statements(&condition.false_body, out)?;
            out.push_str("{% endif %}");
            Ok(())
        }
        Stmt::Set(set) => {
            out.push_str("{% set ");
            target(&set.target, out)?;
            out.push_str(" = ");
            expression(&set.expr, out)?;
            out.push_str(" %}");
            Ok(())
        }
        Stmt::ForLoop(each) => {
            out.push_str("{% for ");
            target(&each.target, out)?;
            out.push_str(" in ");
            expression(&each.iter, out)?;
            if let Some(filter) = &each.filter_expr {
                out.push_str(" if ");
                expression(filter, out)?;
            }
            out.push_str(" %}");
            statements(&each.body, out)?;
            if !each.else_body.is_empty() {
                out.push_str("{% else %}");
                statements(&each.else_body, out)?;
            }
            out.push_str("{% endfor %}");
            Ok(())
        }
        _ => Err(Error::new(ErrorKind::SyntaxError, "a statement that can't stand beside dates")),
    }
}

/// What is assigned to: names without brackets.
fn target(expr: &Expr<'_>, out: &mut String) -> Result<(), Error> {
    let items = match expr {
        Expr::List(list) => &list.items,
        Expr::Tuple(tuple) => &tuple.items,
        _ => return expression(expr, out),
    };
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        expression(item, out)?;
    }
    Ok(())
}

fn text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn constant(value: &Value, out: &mut String) {
    match value.kind() {
        ValueKind::String => text(value.as_str().unwrap_or_default(), out),
        ValueKind::Seq | ValueKind::Map => out.push_str(&serde_json::to_string(value).unwrap_or_default()),
        _ => out.push_str(&value.to_string()),
    }
}

fn list(items: &[Expr<'_>], out: &mut String) -> Result<(), Error> {
    items.iter().try_for_each(|item| {
        expression(item, out)?;
        out.push_str(", ");
        Ok(())
    })
}

fn arguments(args: &[CallArg<'_>], out: &mut String) -> Result<(), Error> {
    out.push('(');
    for arg in args {
        match arg {
            CallArg::Pos(expr) => expression(expr, out)?,
            CallArg::Kwarg(name, expr) => {
                out.push_str(name);
                out.push('=');
                expression(expr, out)?;
            }
            CallArg::PosSplat(expr) => {
                out.push('*');
                expression(expr, out)?;
            }
            CallArg::KwargSplat(expr) => {
                out.push_str("**");
                expression(expr, out)?;
            }
        }
        out.push_str(", ");
    }
    // No comma before the bracket.
    if out.ends_with(", ") {
        out.truncate(out.len() - 2);
    }
    out.push(')');
    Ok(())
}

fn infix(left: &Expr<'_>, operator: &str, right: &Expr<'_>, out: &mut String) -> Result<(), Error> {
    out.push('(');
    expression(left, out)?;
    out.push_str(operator);
    expression(right, out)?;
    out.push(')');
    Ok(())
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind of expression")]
fn expression(expr: &Expr<'_>, out: &mut String) -> Result<(), Error> {
    match expr {
        Expr::Var(var) => out.push_str(var.id),
        Expr::Const(value) => constant(&value.value, out),
        Expr::Slice(slice) => {
            expression(&slice.expr, out)?;
            out.push('[');
            for (at, part) in [&slice.start, &slice.stop, &slice.step].into_iter().enumerate() {
                if at > 0 && (at < 2 || part.is_some()) {
                    out.push(':');
                }
                if let Some(part) = part {
                    expression(part, out)?;
                }
            }
            out.push(']');
        }
        Expr::UnaryOp(op) => {
            out.push_str(match op.op {
                UnaryOpKind::Not => "(not ",
                UnaryOpKind::Neg => "(-",
            });
            expression(&op.expr, out)?;
            out.push(')');
        }
        Expr::BinOp(op) => {
            let operator = match op.op {
                BinOpKind::Add | BinOpKind::Sub | BinOpKind::Concat | BinOpKind::Rem => {
                    out.push_str(match op.op {
                        BinOpKind::Rem => REMAINDER,
                        BinOpKind::Add => PLUS,
                        BinOpKind::Sub => MINUS,
                        _ => CONCAT,
                    });
                    out.push('(');
                    expression(&op.left, out)?;
                    out.push_str(", ");
                    expression(&op.right, out)?;
                    out.push(')');
                    return Ok(());
                }
                BinOpKind::Eq => " == ",
                BinOpKind::Ne => " != ",
                BinOpKind::Lt => " < ",
                BinOpKind::Lte => " <= ",
                BinOpKind::Gt => " > ",
                BinOpKind::Gte => " >= ",
                BinOpKind::ScAnd => " and ",
                BinOpKind::ScOr => " or ",
                BinOpKind::Mul => " * ",
                BinOpKind::Div => " / ",
                BinOpKind::FloorDiv => " // ",
                BinOpKind::Pow => " ** ",
                BinOpKind::In => " in ",
            };
            infix(&op.left, operator, &op.right, out)?;
        }
        Expr::Compare(compare) => {
            out.push('(');
            expression(&compare.expr, out)?;
            for op in &compare.ops {
                out.push_str(match op.op {
                    CompareOpKind::Eq => " == ",
                    CompareOpKind::Ne => " != ",
                    CompareOpKind::Lt => " < ",
                    CompareOpKind::Lte => " <= ",
                    CompareOpKind::Gt => " > ",
                    CompareOpKind::Gte => " >= ",
                    CompareOpKind::In => " in ",
                    CompareOpKind::NotIn => " not in ",
                });
                expression(&op.expr, out)?;
            }
            out.push(')');
        }
        Expr::IfExpr(choice) => {
            out.push('(');
            expression(&choice.true_expr, out)?;
            out.push_str(" if ");
            expression(&choice.test_expr, out)?;
            if let Some(other) = &choice.false_expr {
                out.push_str(" else ");
                expression(other, out)?;
            }
            out.push(')');
        }
        Expr::Filter(filter) => {
            let Some(inner) = &filter.expr else {
                return Err(Error::new(ErrorKind::SyntaxError, "a filter without a value"));
            };
            out.push('(');
            expression(inner, out)?;
            out.push_str(FILTER_MARK);
            out.push_str(filter.name);
            if !filter.args.is_empty() {
                arguments(&filter.args, out)?;
            }
            out.push(')');
        }
        Expr::Test(test) => {
            out.push('(');
            expression(&test.expr, out)?;
            out.push_str(" is ");
            out.push_str(test.name);
            if !test.args.is_empty() {
                arguments(&test.args, out)?;
            }
            out.push(')');
        }
        Expr::GetAttr(get) => {
            expression(&get.expr, out)?;
            out.push('.');
            out.push_str(get.name);
        }
        Expr::GetItem(get) => {
            expression(&get.expr, out)?;
            out.push('[');
            expression(&get.subscript_expr, out)?;
            out.push(']');
        }
        Expr::Call(call) => {
            expression(&call.expr, out)?;
            arguments(&call.args, out)?;
        }
        Expr::List(items) => {
            out.push_str(LIST);
            out.push_str("([");
            list(&items.items, out)?;
            out.push_str("])");
        }
        Expr::Tuple(items) => {
            out.push('(');
            list(&items.items, out)?;
            out.push(')');
        }
        Expr::Map(map) => {
            out.push('{');
            for (key, value) in map.keys.iter().zip(&map.values) {
                expression(key, out)?;
                out.push_str(": ");
                expression(value, out)?;
                out.push_str(", ");
            }
            out.push('}');
        }
    }
    Ok(())
}
