//! SQL expressions of Splink's models to checked nodes. What is not understood is a fault with its place in the SQL, never a guess.

use super::condition::Node;
use super::value::Val;
use super::{function, pattern};
use sqlparser::ast::{
    AccessExpr, BinaryOperator as Op, CeilFloorKind, DataType, DateTimeField, Expr, Spanned as _, Subscript, TrimWhereField, UnaryOperator,
    Value,
};
use sqlparser::dialect::DuckDbDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span as SqlSpan, Token};
use std::cmp::Ordering;
use std::sync::Arc;

/// Longest SQL of one condition: 64 KiB. The longest that Splink's library writes, a distance in km, has 1,200 bytes.
const MOST_BYTES: usize = 64 * 1024;

/// Deepest nesting of parentheses, functions and operators.
const DEEPEST: usize = 64;

/// A side of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Side {
    /// `l`, `…_l`.
    Left,
    /// `r`, `…_r`.
    Right,
}

/// What is wrong with an expression, and the bytes of the SQL where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) remedy: String,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// How columns are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Naming {
    /// `"first_name_l"`, as comparison levels have it.
    Suffix,
    /// `l."first_name"`, as blocking rules have it.
    Table,
}

/// Names of columns, each once, whatever the case.
#[derive(Clone, Default, Debug)]
pub(super) struct Columns {
    pub(super) names: Vec<Arc<str>>,
}

impl Columns {
    pub(super) fn number(&mut self, name: &str) -> usize {
        if let Some(at) = self.names.iter().position(|known| known.eq_ignore_ascii_case(name)) {
            return at;
        }
        self.names.push(name.into());
        self.names.len() - 1
    }
}

/// One equality of a blocking rule: what both sides must agree on.
#[derive(Clone, PartialEq, Debug)]
pub struct Equality {
    pub(super) left: Node,
    pub(super) right: Node,
}

/// Reads an expression.
pub(super) fn read(sql: &str, naming: Naming, columns: &mut Columns) -> Result<Node, Fault> {
    if sql.len() > MOST_BYTES {
        return Err(Fault { message: "the SQL is longer than 64 KiB".into(), remedy: "Split the condition".into(), from: 0, to: 0 });
    }
    let mut reader = Reader { sql, naming, columns, parameters: Vec::new() };
    let broken = |error: &ParserError| reader_fault(sql, error);
    let mut parser = Parser::new(&DuckDbDialect {}).with_recursion_limit(DEEPEST).try_with_sql(sql).map_err(|e| broken(&e))?;
    let expression = parser.parse_expr().map_err(|e| broken(&e))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let from = offset(sql, next.span.start);
        return Err(Fault {
            message: "the SQL goes on after the end of the condition".into(),
            remedy: "A condition is one expression".into(),
            from,
            to: sql.len(),
        });
    }
    reader.node(&expression, 0)
}

/// The parser's own words name a place: ` at Line: 1, Column: 5`. They quote the SQL, which is no personal data.
fn reader_fault(sql: &str, error: &ParserError) -> Fault {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
        ParserError::RecursionLimitExceeded => "the expression is nested too deeply".into(),
    };
    let (message, at) = match text.split_once(" at Line: ") {
        Some((message, place)) => {
            let mut numbers = place.split(", Column: ").map(|n| n.trim().parse::<u64>().unwrap_or(1));
            let location = Location { line: numbers.next().unwrap_or(1), column: numbers.next().unwrap_or(1) };
            (message.to_owned(), offset(sql, location))
        }
        None => (text, 0),
    };
    Fault {
        message: format!("the SQL can't be read: {message}"),
        remedy: "Write a SQL expression as DuckDB reads it".into(),
        from: at,
        to: at,
    }
}

/// The byte of a place: lines and columns (in characters) count from 1.
fn offset(sql: &str, at: Location) -> usize {
    let line = usize::try_from(at.line.saturating_sub(1)).unwrap_or(0);
    let column = usize::try_from(at.column.saturating_sub(1)).unwrap_or(0);
    let start: usize = sql.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = sql.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

pub(super) struct Reader<'a> {
    sql: &'a str,
    naming: Naming,
    columns: &'a mut Columns,
    /// Parameters of the lambdas around, outermost first.
    pub(super) parameters: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn fault(&self, span: SqlSpan, message: impl Into<String>, remedy: impl Into<String>) -> Fault {
        let (from, to) = (offset(self.sql, span.start), offset(self.sql, span.end));
        Fault { message: message.into(), remedy: remedy.into(), from: from.min(to), to: to.max(from) }
    }

    pub(super) fn unknown(&self, expression: &Expr, what: &str) -> Fault {
        let remedy = "Kith runs what Splink's comparison library writes; see mappings/README.md for the list";
        self.fault(expression.span(), format!("{what} is not supported in a condition"), remedy)
    }

    pub(super) fn nodes(&mut self, expressions: &[&Expr], depth: usize) -> Result<Vec<Node>, Fault> {
        expressions.iter().map(|e| self.node(e, depth)).collect()
    }

    pub(super) fn call(&mut self, name: &str, arguments: &[&Expr], depth: usize, of: &Expr) -> Result<Node, Fault> {
        let known = function::find(name).ok_or_else(|| self.unknown(of, "this"))?;
        Ok(Node::Call(known, self.nodes(arguments, depth)?))
    }

    #[expect(clippy::too_many_lines, reason = "one arm a kind of expression")]
    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser knows all of SQL; what is not listed is not supported")]
    pub(super) fn node(&mut self, expression: &Expr, depth: usize) -> Result<Node, Fault> {
        if depth > DEEPEST {
            return Err(self.unknown(expression, "an expression nested so deeply"));
        }
        let depth = depth + 1;
        Ok(match expression {
            Expr::Nested(inner) => self.node(inner, depth)?,
            Expr::Value(value) => Node::Literal(self.literal(&value.value, expression)?),
            Expr::TypedString(typed) => {
                let value = self.literal(&typed.value.value, expression)?;
                cast(&typed.data_type, Node::Literal(value)).ok_or_else(|| self.unknown(expression, "this type"))?
            }
            Expr::Identifier(name) => self.column(&[&name.value], expression)?,
            Expr::CompoundIdentifier(parts) => self.column(&parts.iter().map(|p| &*p.value).collect::<Vec<_>>(), expression)?,
            Expr::CompoundFieldAccess { root, access_chain } => {
                let mut node = match (&**root, &**access_chain) {
                    // `l.name[1]` may come as a root `l` with a chain.
                    (Expr::Identifier(table), [AccessExpr::Dot(Expr::Identifier(name)), ..]) => {
                        self.column(&[&table.value, &name.value], expression)?
                    }
                    _ => self.node(root, depth)?,
                };
                for access in access_chain {
                    match access {
                        AccessExpr::Subscript(Subscript::Index { index }) => {
                            let index = self.node(index, depth)?;
                            let known = function::find("[]").ok_or_else(|| self.unknown(expression, "this"))?;
                            node = Node::Call(known, vec![node, index]);
                        }
                        AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride: None }) => {
                            let known = function::find("array_slice").ok_or_else(|| self.unknown(expression, "this"))?;
                            let mut bound = |bound: &Option<Expr>, otherwise: f64| {
                                bound.as_ref().map_or(Ok(Node::Literal(Val::Number(otherwise))), |bound| self.node(bound, depth))
                            };
                            let (from, to) = (bound(lower_bound, 1.0)?, bound(upper_bound, -1.0)?);
                            node = Node::Call(known, vec![node, from, to]);
                        }
                        AccessExpr::Dot(Expr::Identifier(_)) if matches!(&**root, Expr::Identifier(_)) => {}
                        AccessExpr::Dot(_) | AccessExpr::Subscript(Subscript::Slice { .. }) => {
                            return Err(self.unknown(expression, "a part of a structure, or a slice with steps,"));
                        }
                    }
                }
                node
            }
            Expr::IsNull(inner) => Node::IsNull(Box::new(self.node(inner, depth)?)),
            Expr::IsNotNull(inner) => Node::Not(Box::new(Node::IsNull(Box::new(self.node(inner, depth)?)))),
            Expr::IsTrue(inner) => self.call("is_true", &[inner], depth, expression)?,
            Expr::IsFalse(inner) => self.call("is_false", &[inner], depth, expression)?,
            Expr::IsNotTrue(inner) => Node::Not(Box::new(self.call("is_true", &[inner], depth, expression)?)),
            Expr::IsNotFalse(inner) => Node::Not(Box::new(self.call("is_false", &[inner], depth, expression)?)),
            Expr::IsDistinctFrom(a, b) => self.call("is_distinct", &[a, b], depth, expression)?,
            Expr::IsNotDistinctFrom(a, b) => Node::Not(Box::new(self.call("is_distinct", &[a, b], depth, expression)?)),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Node::Not(Box::new(self.node(expr, depth)?)),
            Expr::UnaryOp { op: UnaryOperator::Plus, expr } => self.node(expr, depth)?,
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match self.node(expr, depth)? {
                Node::Literal(Val::Number(n)) => Node::Literal(Val::Number(-n)),
                other => Node::Call(function::find("negate").ok_or_else(|| self.unknown(expression, "this"))?, vec![other]),
            },
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, depth, expression)?,
            Expr::Between { expr, negated, low, high } => {
                let (value, low, high) = (self.node(expr, depth)?, self.node(low, depth)?, self.node(high, depth)?);
                let within = Node::And(vec![
                    Node::compare(&[Ordering::Greater, Ordering::Equal], value.clone(), low),
                    Node::compare(&[Ordering::Less, Ordering::Equal], value, high),
                ]);
                if *negated { Node::Not(Box::new(within)) } else { within }
            }
            Expr::In { expr, target: sqlparser::ast::InTarget::List(list), negated, .. } => {
                let value = self.node(expr, depth)?;
                let mut any = Vec::new();
                for member in list {
                    any.push(Node::compare(&[Ordering::Equal], value.clone(), self.node(member, depth)?));
                }
                if *negated { Node::Not(Box::new(Node::Or(any))) } else { Node::Or(any) }
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => self.like(expr, pattern, *negated, false, depth)?,
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => self.like(expr, pattern, *negated, true, depth)?,
            // CAST, TRY_CAST and `::` are one: where DuckDB would end the run, the value is null.
            Expr::Cast { expr, data_type, format: None, .. } => {
                let inner = self.node(expr, depth)?;
                cast(data_type, inner).ok_or_else(|| self.unknown(expression, "this type"))?
            }
            Expr::Substring { expr, substring_from: Some(from), substring_for, .. } => {
                let mut arguments: Vec<&Expr> = vec![expr, from];
                arguments.extend(substring_for.as_deref());
                self.call("substring", &arguments, depth, expression)?
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "trim",
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                };
                let mut arguments: Vec<&Expr> = vec![expr];
                arguments.extend(trim_what.as_deref());
                arguments.extend(trim_characters.iter().flatten().take(1));
                self.call(name, &arguments, depth, expression)?
            }
            Expr::Position { expr, r#in } => self.call("instr", &[r#in, expr], depth, expression)?,
            Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.call("ceil", &[expr], depth, expression)?
            }
            Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.call("floor", &[expr], depth, expression)?
            }
            Expr::Extract { field, expr, .. } => {
                let name = match field {
                    DateTimeField::Year => "year",
                    DateTimeField::Month => "month",
                    DateTimeField::Day => "day",
                    DateTimeField::Epoch => "epoch",
                    _ => return Err(self.unknown(expression, "this part of a date")),
                };
                self.call(name, &[expr], depth, expression)?
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                let operand = operand.as_deref().map(|o| self.node(o, depth)).transpose()?;
                let mut arms = Vec::new();
                for when in conditions {
                    let condition = self.node(&when.condition, depth)?;
                    let condition = match &operand {
                        Some(operand) => Node::compare(&[Ordering::Equal], operand.clone(), condition),
                        None => condition,
                    };
                    arms.push((condition, self.node(&when.result, depth)?));
                }
                let otherwise = else_result.as_deref().map(|e| self.node(e, depth)).transpose()?.unwrap_or(Node::Literal(Val::Null));
                Node::Case(arms, Box::new(otherwise))
            }
            Expr::Array(array) => Node::List(self.nodes(&array.elem.iter().collect::<Vec<_>>(), depth)?),
            Expr::Function(called) => self.function(called, depth, expression)?,
            Expr::Lambda(_) => return Err(self.unknown(expression, "a lambda outside list_transform or list_filter")),
            _ => return Err(self.unknown(expression, "this expression")),
        })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser knows every operator of every database")]
    fn binary(&mut self, left: &Expr, op: &Op, right: &Expr, depth: usize, of: &Expr) -> Result<Node, Fault> {
        use Ordering::{Equal, Greater, Less};
        let (a, b) = (self.node(left, depth)?, self.node(right, depth)?);
        let call = |reader: &Self, name: &str, a: Node, b: Node| {
            function::find(name).map(|known| Node::Call(known, vec![a, b])).ok_or_else(|| reader.unknown(of, "this operator"))
        };
        Ok(match op {
            Op::And => Node::And(flat(a, b, true)),
            Op::Or => Node::Or(flat(a, b, false)),
            Op::Eq => Node::compare(&[Equal], a, b),
            Op::NotEq => Node::compare(&[Less, Greater], a, b),
            Op::Lt => Node::compare(&[Less], a, b),
            Op::LtEq => Node::compare(&[Less, Equal], a, b),
            Op::Gt => Node::compare(&[Greater], a, b),
            Op::GtEq => Node::compare(&[Greater, Equal], a, b),
            Op::Plus => call(self, "+", a, b)?,
            Op::Minus => call(self, "-", a, b)?,
            Op::Multiply => call(self, "*", a, b)?,
            Op::Divide => call(self, "/", a, b)?,
            Op::DuckIntegerDivide => call(self, "//", a, b)?,
            Op::Modulo => call(self, "%", a, b)?,
            Op::StringConcat => call(self, "||", a, b)?,
            Op::PGOverlap => call(self, "list_has_any", a, b)?,
            _ => return Err(self.unknown(of, "this operator")),
        })
    }

    fn like(&mut self, text: &Expr, pattern: &Expr, negated: bool, ignore_case: bool, depth: usize) -> Result<Node, Fault> {
        let (node, wanted) = (self.node(text, depth)?, self.node(pattern, depth)?);
        let Node::Literal(Val::Text(wanted)) = wanted else { return Err(self.unknown(pattern, "a pattern that is no literal")) };
        let regex = pattern::of_like(&wanted, ignore_case).map_err(|why| self.fault(pattern.span(), why, "Write a shorter pattern"))?;
        let matches = Node::Matches(Box::new(node), Arc::new(regex.into()));
        Ok(if negated { Node::Not(Box::new(matches)) } else { matches })
    }

    fn literal(&self, value: &Value, of: &Expr) -> Result<Val<'static>, Fault> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the parser knows the literals of every database")]
        Ok(match value {
            Value::Number(text, _) => {
                let n: f64 = text.parse().map_err(|_no_number: std::num::ParseFloatError| self.unknown(of, "this number"))?;
                Val::Number(n)
            }
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Val::text(text.clone()),
            Value::DollarQuotedString(text) => Val::text(text.value.clone()),
            Value::Boolean(b) => Val::Bool(*b),
            Value::Null => Val::Null,
            _ => return Err(self.unknown(of, "this literal")),
        })
    }

    fn column(&mut self, parts: &[&str], of: &Expr) -> Result<Node, Fault> {
        if let [name] = parts
            && let Some(at) = self.parameters.iter().rposition(|p| p.eq_ignore_ascii_case(name))
        {
            return Ok(Node::Parameter(at));
        }
        let side = |word: &str| match word {
            "l" | "L" => Some(Side::Left),
            "r" | "R" => Some(Side::Right),
            _ => None,
        };
        let found = match (self.naming, parts) {
            (Naming::Table, [table, name]) => side(table).map(|side| (side, *name)),
            (Naming::Suffix, [name]) => name
                .len()
                .checked_sub(2)
                .and_then(|at| name.split_at_checked(at))
                .and_then(|(name, suffix)| Some((side(suffix.strip_prefix('_')?)?, name)))
                .filter(|(_, name)| !name.is_empty()),
            _ => None,
        };
        let Some((side, name)) = found else {
            let (message, remedy) = match self.naming {
                Naming::Suffix => {
                    ("this names no column of a side", "A condition names columns with the ending _l or _r: \"first_name_l\"")
                }
                Naming::Table => ("this names no column of a side", "A blocking rule names columns of l and r: l.\"first_name\""),
            };
            return Err(self.fault(of.span(), message, remedy));
        };
        Ok(Node::Column(side, self.columns.number(name)))
    }
}

/// Nested ANDs, or ORs, as one.
fn flat(a: Node, b: Node, and: bool) -> Vec<Node> {
    let mut out = Vec::new();
    for node in [a, b] {
        if let (Node::And(inner), true) | (Node::Or(inner), false) = (&node, and) {
            out.extend(inner.iter().cloned());
        } else {
            out.push(node);
        }
    }
    out
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the parser knows the types of every database")]
fn cast(to: &DataType, node: Node) -> Option<Node> {
    use super::condition::Kind;
    let kind = match to {
        DataType::Text | DataType::Varchar(_) | DataType::String(_) | DataType::Char(_) | DataType::CharVarying(_) => Kind::Text,
        DataType::Float(_) | DataType::Real | DataType::Float4 => Kind::Single,
        DataType::Double(_)
        | DataType::DoublePrecision
        | DataType::Float8
        | DataType::Float64
        | DataType::Decimal(_)
        | DataType::Numeric(_) => Kind::Double,
        DataType::Int(_)
        | DataType::Integer(_)
        | DataType::BigInt(_)
        | DataType::SmallInt(_)
        | DataType::TinyInt(_)
        | DataType::HugeInt
        | DataType::UBigInt
        | DataType::UHugeInt
        | DataType::Int4(_)
        | DataType::Int8(_)
        | DataType::Int2(_)
        | DataType::Int64
        | DataType::Int32 => Kind::Whole,
        DataType::Boolean | DataType::Bool => Kind::Bool,
        DataType::Date => Kind::Date,
        DataType::Timestamp(..) | DataType::Datetime(_) => Kind::Time,
        DataType::Array(_) => Kind::List,
        _ => return None,
    };
    Some(Node::Cast(kind, Box::new(node)))
}
