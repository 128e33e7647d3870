//! Calls of functions in a condition: plain ones, those that take a lambda, and those of regular expressions.

use super::condition::Node;
use super::function;
use super::moment;
use super::sql::{Fault, Reader};
use super::value::Val;
use crate::diagnose::nearest;
use sqlparser::ast::{
    BinaryOperator as Op, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, OneOrManyWithParens,
    Spanned as _,
};
use sqlparser::tokenizer::Span as SqlSpan;
use std::sync::Arc;

impl Reader<'_> {
    pub(super) fn function(&mut self, called: &Function, depth: usize, of: &Expr) -> Result<Node, Fault> {
        let [ObjectNamePart::Identifier(name)] = &*called.name.0 else { return Err(self.unknown(of, "this function")) };
        let plain = called.over.is_none() && called.filter.is_none() && called.within_group.is_empty();
        let arguments: Vec<&Expr> = match &called.args {
            FunctionArguments::List(list) if plain && list.clauses.is_empty() && list.duplicate_treatment.is_none() => {
                let expressions = list.args.iter().map(|argument| match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Ok(expression),
                    FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                        Err(self.unknown(of, "a named argument or *"))
                    }
                });
                expressions.collect::<Result<_, _>>()?
            }
            FunctionArguments::None | FunctionArguments::Subquery(_) | FunctionArguments::List(_) => {
                return Err(self.unknown(of, "this form of a call"));
            }
        };
        let lower = name.value.to_ascii_lowercase();
        match (&*lower, &*arguments) {
            ("coalesce" | "ifnull", [_, ..]) => Ok(Node::Coalesce(self.nodes(&arguments, depth)?)),
            ("if", [condition, yes, no]) => {
                let arm = (self.node(condition, depth)?, self.node(yes, depth)?);
                Ok(Node::Case(vec![arm], Box::new(self.node(no, depth)?)))
            }
            ("list_transform" | "array_transform" | "list_apply" | "array_apply" | "apply", [list, lambda]) => {
                let (list, body) = (self.node(list, depth)?, self.lambda(lambda, depth)?);
                Ok(Node::Transform(Box::new(list), Box::new(body)))
            }
            ("list_filter" | "array_filter" | "filter", [list, lambda]) => {
                let (list, body) = (self.node(list, depth)?, self.lambda(lambda, depth)?);
                Ok(Node::Filter(Box::new(list), Box::new(body)))
            }
            ("list_value" | "array_value" | "list_pack", members) => Ok(Node::List(self.nodes(members, depth)?)),
            ("regexp_extract" | "regexp_matches" | "regexp_full_match" | "regexp_replace", [text, wanted, rest @ ..]) => {
                self.regular(&lower, text, wanted, rest, depth, of)
            }
            ("date_part" | "datepart", [part, date]) => {
                let part = self.node(part, depth)?;
                let known = ["year", "month", "day", "epoch"].into_iter().find(|known| part == Node::Literal(Val::text(*known)));
                self.call(known.ok_or_else(|| self.unknown(of, "this part of a date"))?, &[date], depth, of)
            }
            _ => self.known(&lower, name.span, &arguments, depth),
        }
    }

    fn known(&mut self, name: &str, span: SqlSpan, arguments: &[&Expr], depth: usize) -> Result<Node, Fault> {
        let Some(known) = function::find(name) else {
            let remedy = match nearest(name, function::names()) {
                Some(close) => format!("Did you mean `{close}`?"),
                None => "Kith runs what Splink's comparison library writes; see mappings/README.md for the list".into(),
            };
            return Err(self.fault(span, format!("there is no function `{name}` that Kith knows"), remedy));
        };
        if !(known.least..=known.most).contains(&arguments.len()) {
            let wanted = if known.least == known.most { known.most.to_string() } else { format!("{} to {}", known.least, known.most) };
            let message = format!("`{name}` takes {wanted} arguments, not {}", arguments.len());
            return Err(self.fault(span, message, "Correct the call"));
        }
        let nodes = self.nodes(arguments, depth)?;
        if name.ends_with("strptime") {
            let formats_known = match nodes.get(1) {
                Some(Node::Literal(Val::Text(format))) => moment::knows(format),
                Some(Node::List(formats)) => formats.iter().all(|f| matches!(f, Node::Literal(Val::Text(format)) if moment::knows(format))),
                _ => false,
            };
            if !formats_known {
                let remedy = "Kith knows %Y %y %m %d %j %H %I %M %S %f %p %b %B %a %A %z";
                return Err(self.fault(span, "the format of a date is no literal, or has a specifier that Kith does not know", remedy));
            }
        }
        Ok(Node::Call(known, nodes))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser knows all of SQL; what is not listed is not supported")]
    fn lambda(&mut self, lambda: &Expr, depth: usize) -> Result<Node, Fault> {
        let (name, body) = match lambda {
            Expr::Lambda(lambda) => {
                let name = match &lambda.params {
                    OneOrManyWithParens::One(one) => one.name.value.clone(),
                    OneOrManyWithParens::Many(many) if many.len() == 1 => many.first().map(|p| p.name.value.clone()).unwrap_or_default(),
                    OneOrManyWithParens::Many(_) => {
                        return Err(self.fault(lambda.body.span(), "a lambda takes one parameter here", "Write `x -> …`"));
                    }
                };
                (name, &lambda.body)
            }
            // The old arrow may be read as the arrow of JSON.
            Expr::BinaryOp { left, op: Op::Arrow, right } => match &**left {
                Expr::Identifier(name) => (name.value.clone(), right),
                _ => return Err(self.unknown(lambda, "this arrow")),
            },
            _ => return Err(self.unknown(lambda, "this where a lambda is expected")),
        };
        self.parameters.push(name);
        let node = self.node(body, depth);
        self.parameters.pop();
        node
    }

    fn regular(&mut self, name: &str, text: &Expr, wanted: &Expr, rest: &[&Expr], depth: usize, of: &Expr) -> Result<Node, Fault> {
        let (text, pattern) = (self.node(text, depth)?, self.node(wanted, depth)?);
        let Node::Literal(Val::Text(pattern)) = pattern else { return Err(self.unknown(wanted, "a pattern that is no literal")) };
        let rest = self.nodes(rest, depth)?;
        let options = |at: usize| match rest.get(at) {
            None => Some(String::new()),
            Some(Node::Literal(Val::Text(options))) if options.chars().all(|o| "cigs".contains(o)) => Some(options.clone().into_owned()),
            Some(_) => None,
        };
        let unsupported = |reader: &Self| reader.unknown(of, "this form of a regular expression");
        let at = match name {
            "regexp_extract" | "regexp_replace" => 1,
            _ => 0,
        };
        let options = options(at).ok_or_else(|| unsupported(self))?;
        if rest.len() > at + 1 {
            return Err(unsupported(self));
        }
        let flags: String = options.chars().filter(|o| "is".contains(*o)).collect();
        let pattern = match (name, &*flags) {
            ("regexp_full_match", "") => format!("^(?:{pattern})$"),
            ("regexp_full_match", flags) => format!("(?{flags})^(?:{pattern})$"),
            (_, "") => pattern.into_owned(),
            (_, flags) => format!("(?{flags}){pattern}"),
        };
        let regex = super::pattern::compile(&pattern).map_err(|why| self.fault(wanted.span(), why, "Write a pattern as RE2 has it"))?;
        let (text, regex) = (Box::new(text), Arc::new(regex.into()));
        Ok(match name {
            "regexp_extract" => {
                let group = match rest.first() {
                    None => 0,
                    Some(Node::Literal(Val::Number(n))) if (0.0..10.0).contains(n) => {
                        (0_u8..10).find(|g| f64::from(*g) + 0.5 > *n).map_or(0, usize::from)
                    }
                    Some(_) => return Err(unsupported(self)),
                };
                Node::Extract(text, regex, group)
            }
            "regexp_replace" => match rest.first() {
                // RE2 writes groups as \1, the regex crate as ${1}.
                Some(Node::Literal(Val::Text(by))) => Node::Replace(text, regex, replacement(by).into(), options.contains('g')),
                _ => return Err(unsupported(self)),
            },
            _ => Node::Matches(text, regex),
        })
    }
}

fn replacement(by: &str) -> String {
    let mut out = String::new();
    let mut letters = by.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '$' => out.push_str("$$"),
            '\\' => match letters.next() {
                Some(digit) if digit.is_ascii_digit() => out.extend(['$', '{', digit, '}']),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}
