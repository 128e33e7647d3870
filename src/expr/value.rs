//! Values: a name, a part of it, something found in it, a constant.

use super::{Cel, Pattern, Scope};
use crate::model::Value;
use std::sync::Arc;

/// A compiled value expression.
#[derive(Clone, Debug)]
pub enum ValueExpr {
    /// The value of a name.
    Name(Arc<str>),
    /// A constant.
    Constant(Value),
    /// The first characters (Unicode scalar values) of a text; other values as they are.
    Truncate {
        /// The name.
        from: Arc<str>,
        /// How many.
        characters: usize,
    },
    /// What the first pattern that fits finds; `Missing` where none does.
    Find {
        /// In order.
        patterns: Vec<Pattern>,
        /// The name of the text.
        within: Arc<str>,
    },
    /// A CEL expression.
    Cel(Cel),
    /// The value, where it can be said so without loss; else as it is, and the target refuses it.
    As {
        /// What the target's field holds.
        kind: ValueKind,
        /// The value.
        of: Box<ValueExpr>,
    },
}

/// What a target's field holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ValueKind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A moment.
    Time,
    /// True or false.
    Bool,
}

impl ValueExpr {
    /// The value over these values.
    pub fn evaluate(&self, scope: &dyn Scope) -> Value {
        match self {
            Self::Name(name) => scope.lookup(name),
            Self::Constant(value) => value.clone(),
            Self::Truncate { from, characters } => scope.lookup(from).cut(*characters),
            Self::Find { patterns, within } => {
                let value = scope.lookup(within);
                value.as_text().and_then(|text| patterns.iter().find_map(|p| p.find(text))).map_or(Value::Missing, Value::from)
            }
            Self::Cel(cel) => cel.evaluate(scope),
            Self::As { kind, of } => kind.convert(of.evaluate(scope)),
        }
    }

    /// Every name that it reads.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Name(name) | Self::Truncate { from: name, .. } | Self::Find { within: name, .. } => vec![name],
            Self::Constant(_) => Vec::new(),
            Self::Cel(cel) => cel.names().collect(),
            Self::As { of, .. } => of.names(),
        }
    }
}

impl ValueKind {
    /// Says a value in this kind where nothing is lost by it; else leaves it as it is.
    fn convert(self, value: Value) -> Value {
        let converted = match (self, &value) {
            (Self::Text, Value::Integer(i)) => Some(Value::Text(i.to_string().into())),
            (Self::Text, Value::Number(n)) => Some(Value::Text(n.to_string().into())),
            (Self::Text, Value::Bool(b)) => Some(Value::Text(b.to_string().into())),
            (Self::Text, Value::Time(t)) => Some(Value::Text(t.to_string().into())),
            (Self::Text, Value::List(items)) => texts_joined(items).map(|t| Value::Text(t.into())),
            // `007` is no number: as a number it would lose its zeros.
            (Self::Integer, Value::Text(t)) => t.parse::<i64>().ok().filter(|i| i.to_string() == **t).map(Value::Integer),
            (Self::Number, Value::Text(t)) => t.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::Number),
            (Self::Time, Value::Text(t)) => t.parse().ok().map(Value::Time),
            (Self::Bool, Value::Text(t)) => t.parse().ok().map(Value::Bool),
            _ => None,
        };
        converted.unwrap_or(value)
    }
}

fn texts_joined(items: &[Value]) -> Option<String> {
    let texts: Option<Vec<&str>> = items.iter().map(Value::as_text).collect();
    texts.map(|t| t.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Given;
    use super::*;

    #[test]
    fn values_are_made_as_written() {
        let scope = Given(vec![("content", "Più ordine 4711 e 🇮🇹".into()), ("priority", Value::Integer(3)), ("zeros", "007".into())]);
        let find = |patterns: &[&str]| ValueExpr::Find {
            patterns: patterns.iter().map(|p| Pattern::new(p).unwrap()).collect(),
            within: "content".into(),
        };
        let to = |kind, name: &str| ValueExpr::As { kind, of: Box::new(ValueExpr::Name(name.into())) };
        for (expression, expected) in [
            (ValueExpr::Name("priority".into()), Value::Integer(3)),
            (ValueExpr::Name("nothing".into()), Value::Missing),
            (ValueExpr::Constant("x".into()), "x".into()),
            (ValueExpr::Truncate { from: "content".into(), characters: 3 }, "Più".into()),
            (ValueExpr::Truncate { from: "content".into(), characters: 500 }, "Più ordine 4711 e 🇮🇹".into()),
            (ValueExpr::Truncate { from: "priority".into(), characters: 0 }, Value::Integer(3)),
            (find(&["order {digits}", "ordine {digits}"]), "4711".into()),
            (find(&["order {digits}"]), Value::Missing),
            (to(ValueKind::Text, "priority"), "3".into()),
            (to(ValueKind::Integer, "zeros"), "007".into()),
            (to(ValueKind::Number, "zeros"), Value::Number(7.0)),
            (to(ValueKind::Time, "content"), "Più ordine 4711 e 🇮🇹".into()),
        ] {
            assert_eq!(expression.evaluate(&scope), expected, "{expression:?}");
        }
    }
}
