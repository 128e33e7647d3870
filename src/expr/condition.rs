//! Conditions: tests on named values, all of which must hold.

use super::fold::{folded, words};
use super::{Cel, Scope, Truth};
use crate::model::Value;
use std::sync::Arc;

/// A compiled condition.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Every part holds. A false part makes it false, else an unknown part makes it unknown.
    All(Vec<Condition>),
    /// A part holds. Else an unknown part makes it unknown.
    Any(Vec<Condition>),
    /// The part does not hold.
    Not(Box<Condition>),
    /// The value of a name passes a test.
    Name {
        /// The name.
        name: Arc<str>,
        /// The test.
        test: Test,
    },
    /// A CEL expression is true.
    Cel(Cel),
}

/// A test on one value. On a list, a test holds where it holds for a member.
#[derive(Clone, Debug)]
pub enum Test {
    /// Equals it: text ignoring case, numbers by value.
    Equals(Literal),
    /// Equals one of them.
    OneOf(Vec<Literal>),
    /// Contains, or equals, a value of this other name.
    Has(Arc<str>),
    /// Holds one of the words.
    AnyWord(WordSet),
    /// Starts with it; case and accents ignored. Already folded.
    StartsWith(Arc<str>),
    /// Ends with it.
    EndsWith(Arc<str>),
    /// Contains it.
    Contains(Arc<str>),
    /// Is a greater number.
    Above(f64),
    /// Is a smaller number.
    Below(f64),
    /// Is there, or is not. Never unknown.
    Present(bool),
}

/// A constant to compare with, as typed.
#[derive(Clone, PartialEq, Debug)]
pub struct Literal {
    typed: Arc<str>,
    lower: Arc<str>,
    number: Option<f64>,
}

impl Literal {
    /// From what was typed.
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        Self { typed: text.into(), lower: text.to_lowercase().into(), number: text.parse().ok().filter(|n: &f64| n.is_finite()) }
    }

    /// What was typed.
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// Whether a value equals it.
    fn equals(&self, value: &Value) -> bool {
        match value {
            Value::Text(text) => self.equals_text(text),
            Value::Integer(i) => self.number.is_some_and(|n| same_number(n, integer(*i))),
            Value::Number(v) => self.number.is_some_and(|n| same_number(n, *v)),
            Value::Bool(b) => &*self.lower == if *b { "true" } else { "false" },
            Value::Time(t) => t.to_string().to_lowercase() == *self.lower,
            Value::Missing | Value::List(_) | Value::Record(_) => false,
        }
    }

    fn equals_text(&self, text: &str) -> bool {
        let text = text.trim();
        if text.is_ascii() { text.eq_ignore_ascii_case(&self.lower) } else { text.to_lowercase() == *self.lower }
    }
}

fn same_number(left: f64, right: f64) -> bool {
    left.total_cmp(&right).is_eq()
}

#[expect(clippy::cast_precision_loss, reason = "comparing a count with a threshold: above 2^53 the last digits do not matter")]
const fn integer(value: i64) -> f64 {
    value as f64
}

/// Words to look for, case and accents ignored: whole words, `refund`; beginnings, `complain*`; several in a row, `not working`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WordSet(Vec<Vec<Sought>>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Sought {
    word: String,
    beginning: bool,
}

impl WordSet {
    /// From what was typed.
    ///
    /// # Errors
    /// The index of the first item that holds no letter or digit: nothing would ever be found.
    pub fn new<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self, usize> {
        let mut set = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let item = folded(item);
            let (item, beginning) = item.strip_suffix('*').map_or((item.as_str(), false), |stem| (stem, true));
            let mut phrase: Vec<Sought> = words(item).map(|w| Sought { word: w.to_owned(), beginning: false }).collect();
            match phrase.last_mut() {
                Some(last) => last.beginning = beginning,
                None => return Err(index),
            }
            set.push(phrase);
        }
        Ok(Self(set))
    }

    /// The phrases, folded: `complain*`, `not working`.
    pub fn typed(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|phrase| {
            let words: Vec<String> = phrase.iter().map(|s| format!("{}{}", s.word, if s.beginning { "*" } else { "" })).collect();
            words.join(" ")
        })
    }

    fn is_in(&self, text: &str) -> bool {
        let text = folded(text);
        let found: Vec<&str> = words(&text).collect();
        self.0.iter().any(|phrase| {
            found.windows(phrase.len()).any(|run| {
                run.iter()
                    .zip(phrase)
                    .all(|(word, sought)| if sought.beginning { word.starts_with(&sought.word) } else { *word == sought.word })
            })
        })
    }
}

impl Condition {
    /// Whether it holds over these values.
    pub fn holds(&self, scope: &dyn Scope) -> Truth {
        match self {
            Self::All(parts) => {
                let mut outcome = Truth::True;
                for part in parts {
                    match part.holds(scope) {
                        Truth::False => return Truth::False,
                        Truth::Unknown => outcome = Truth::Unknown,
                        Truth::True => {}
                    }
                }
                outcome
            }
            Self::Any(parts) => {
                let mut outcome = Truth::False;
                for part in parts {
                    match part.holds(scope) {
                        Truth::True => return Truth::True,
                        Truth::Unknown => outcome = Truth::Unknown,
                        Truth::False => {}
                    }
                }
                outcome
            }
            Self::Not(part) => part.holds(scope).reverse(),
            Self::Name { name, test } => test.holds(&scope.lookup(name), scope),
            Self::Cel(cel) => cel.holds(scope),
        }
    }

    /// Every name that it reads, in order of appearance, each as often as it is read.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.collect_names(&mut names);
        names
    }

    fn collect_names<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|p| p.collect_names(names)),
            Self::Not(part) => part.collect_names(names),
            Self::Name { name, test } => {
                names.push(name);
                if let Test::Has(other) = test {
                    names.push(other);
                }
            }
            Self::Cel(cel) => names.extend(cel.names()),
        }
    }
}

impl Test {
    /// `starts_with`, from what was typed.
    pub fn starts_with(text: &str) -> Self {
        Self::StartsWith(folded(text).into())
    }

    /// `ends_with`, from what was typed.
    pub fn ends_with(text: &str) -> Self {
        Self::EndsWith(folded(text).into())
    }

    /// `contains`, from what was typed.
    pub fn contains(text: &str) -> Self {
        Self::Contains(folded(text).into())
    }

    fn holds(&self, value: &Value, scope: &dyn Scope) -> Truth {
        if let Self::Present(wanted) = self {
            return (value.is_missing() != *wanted).into();
        }
        match value {
            Value::Missing => Truth::Unknown,
            Value::List(items) => {
                let mut outcome = Truth::False;
                for item in items.iter() {
                    match self.holds(item, scope) {
                        Truth::True => return Truth::True,
                        Truth::Unknown => outcome = Truth::Unknown,
                        Truth::False => {}
                    }
                }
                if items.is_empty() { Truth::Unknown } else { outcome }
            }
            Value::Text(_) | Value::Number(_) | Value::Integer(_) | Value::Bool(_) | Value::Time(_) | Value::Record(_) => {
                self.one(value, scope)
            }
        }
    }

    /// The test on a value that is there and no list.
    fn one(&self, value: &Value, scope: &dyn Scope) -> Truth {
        let text = |test: &dyn Fn(&str) -> bool| value.as_text().map_or(Truth::False, |t| test(t).into());
        let number = |test: &dyn Fn(f64) -> bool| number_of(value).map_or(Truth::False, |n| test(n).into());
        match self {
            Self::Equals(literal) => literal.equals(value).into(),
            Self::OneOf(literals) => literals.iter().any(|l| l.equals(value)).into(),
            Self::Has(other) => {
                let other = scope.lookup(other);
                match &other {
                    Value::Missing => Truth::Unknown,
                    Value::List(items) => items.contains(value).into(),
                    Value::Text(_) | Value::Number(_) | Value::Integer(_) | Value::Bool(_) | Value::Time(_) | Value::Record(_) => {
                        (other == *value).into()
                    }
                }
            }
            Self::AnyWord(words) => text(&|t| words.is_in(t)),
            Self::StartsWith(start) => text(&|t| folded(t).starts_with(&**start)),
            Self::EndsWith(end) => text(&|t| folded(t).ends_with(&**end)),
            Self::Contains(part) => text(&|t| folded(t).contains(&**part)),
            Self::Above(limit) => number(&|n| n > *limit),
            Self::Below(limit) => number(&|n| n < *limit),
            Self::Present(wanted) => (*wanted).into(),
        }
    }
}

/// A number, or text that is one: CRM columns come as text.
fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => Some(*n),
        Value::Integer(i) => Some(integer(*i)),
        Value::Text(t) => t.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        Value::Missing | Value::Bool(_) | Value::Time(_) | Value::List(_) | Value::Record(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Given;
    use super::*;

    fn given() -> Given {
        Given(vec![
            ("content", "Ancora nessun RIMBORSÓ… ho già reclamato?  ".into()),
            ("segment", "Gold".into()),
            ("priority", Value::Integer(1)),
            ("total", "218.45".into()),
            ("handles", Value::List([Value::from("x:ada"), Value::from("linkedin:ada")].into())),
            ("handle", "linkedin:ada".into()),
            ("decision", "not linked".into()),
        ])
    }

    fn holds(name: &str, test: Test) -> Truth {
        Condition::Name { name: name.into(), test }.holds(&given())
    }

    fn any_word(words: &[&str]) -> Test {
        Test::AnyWord(WordSet::new(words.iter().copied()).unwrap())
    }

    #[test]
    fn each_test_holds_where_it_should_and_not_where_it_should_not() {
        for (name, test, expected) in [
            ("segment", Test::Equals(Literal::new("gold")), Truth::True),
            ("segment", Test::Equals(Literal::new("gol")), Truth::False),
            ("priority", Test::Equals(Literal::new("1")), Truth::True),
            ("priority", Test::Equals(Literal::new("01x")), Truth::False),
            ("decision", Test::Equals(Literal::new("not linked")), Truth::True),
            ("segment", Test::OneOf(vec![Literal::new("silver"), Literal::new("GOLD")]), Truth::True),
            ("handles", Test::Has("handle".into()), Truth::True),
            ("handles", Test::Has("segment".into()), Truth::False),
            ("handles", Test::Has("nothing".into()), Truth::Unknown),
            ("content", any_word(&["rimborso"]), Truth::True),
            ("content", any_word(&["rimbors"]), Truth::False),
            ("content", any_word(&["reclam*"]), Truth::True),
            ("content", any_word(&["nessun rimborso"]), Truth::True),
            ("content", any_word(&["rimborso nessun"]), Truth::False),
            ("content", Test::ends_with("?"), Truth::True),
            ("content", Test::starts_with("ANCORA"), Truth::True),
            ("content", Test::contains("gia recl"), Truth::True),
            ("total", Test::Above(218.0), Truth::True),
            ("total", Test::Below(218.0), Truth::False),
            ("segment", Test::Above(1.0), Truth::False),
            ("nothing", Test::Above(1.0), Truth::Unknown),
            ("nothing", Test::Present(false), Truth::True),
            ("segment", Test::Present(true), Truth::True),
            ("handles", Test::OneOf(vec![Literal::new("x:ada")]), Truth::True),
        ] {
            assert_eq!(holds(name, test.clone()), expected, "{name} {test:?}");
        }
    }

    #[test]
    fn unknown_is_neither_true_nor_false() {
        let unknown = || Condition::Name { name: "nothing".into(), test: Test::Above(1.0) };
        let yes = || Condition::Name { name: "segment".into(), test: Test::Present(true) };
        let no = || Condition::Not(Box::new(yes()));
        for (condition, expected) in [
            (Condition::All(vec![yes(), unknown()]), Truth::Unknown),
            (Condition::All(vec![unknown(), no()]), Truth::False),
            (Condition::Any(vec![no(), unknown()]), Truth::Unknown),
            (Condition::Any(vec![unknown(), yes()]), Truth::True),
            (Condition::Not(Box::new(unknown())), Truth::Unknown),
            (Condition::All(vec![]), Truth::True),
        ] {
            assert_eq!(condition.holds(&given()), expected, "{condition:?}");
        }
    }

    #[test]
    fn words_without_a_letter_are_refused() {
        assert_eq!(WordSet::new(["ok", "*"]), Err(1));
        assert_eq!(WordSet::new(["?"]), Err(0));
    }
}
