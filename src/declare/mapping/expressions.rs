//! Conditions and values as written → compiled, with every unknown name and impossible word told.

use super::codes::{BAD_EXPRESSION, IMPOSSIBLE_WORD, PRIVATE_AUDIENCE, UNKNOWN_NAME, UNKNOWN_NETWORK};
use super::format::network_words;
use super::reading::{Reading, meant};
use super::scope::{Words, is_of_activity};
use crate::declare::yaml::{Entry, Kind, Node};
use crate::diagnose::Span;
use crate::expr::{Cel, Condition, Literal, Names, Pattern, PatternError, Test, ValueExpr, Wanted, WordSet};
use crate::model::{AudienceSet, Network, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What expressions are checked against.
pub(super) struct Expressions<'r, 'a> {
    pub(super) reading: &'r mut Reading<'a>,
    pub(super) names: &'r Names,
    pub(super) words: &'r Words,
    /// `policy.audience`; `None` where it could not be read.
    pub(super) audience: Option<AudienceSet>,
    /// Every name that was read, for the hunt for unused fields.
    pub(super) used: &'r mut BTreeSet<String>,
    /// Whether a section that declares names is broken: then an unknown name is no news.
    pub(super) lenient: bool,
    /// Whether there is no activity: a `for: link` delivery.
    pub(super) link: bool,
}

impl Expressions<'_, '_> {
    /// A condition; `None` where something of it was told.
    pub(super) fn condition(&mut self, node: &Node) -> Option<Condition> {
        match &node.kind {
            Kind::Text(text) => {
                let Some(source) = text.strip_prefix("cel:") else {
                    self.reading.error(
                        BAD_EXPRESSION,
                        node.span,
                        "a condition names what it looks at",
                        format!("Write `{{ NAME: {text} }}`, for instance `{{ segment: gold }}`, or a CEL expression: `\"cel: segment == 'gold'\"`"),
                    );
                    return None;
                };
                self.cel(source, node, Wanted::Condition).map(Condition::Cel)
            }
            Kind::Map(entries) => {
                let parts: Vec<Option<Condition>> = entries.iter().map(|e| self.part(e)).collect();
                let parts: Vec<Condition> = parts.into_iter().collect::<Option<_>>()?;
                Some(one_or_all(parts))
            }
            Kind::Nothing | Kind::List(_) => None,
        }
    }

    fn part(&mut self, entry: &Entry) -> Option<Condition> {
        match &*entry.key {
            "any" => {
                let parts: Vec<Option<Condition>> = entry.value.list().iter().map(|n| self.condition(n)).collect();
                Some(Condition::Any(parts.into_iter().collect::<Option<_>>()?))
            }
            "not" => Some(Condition::Not(Box::new(self.condition(&entry.value)?))),
            "cel" => self.cel(entry.value.text()?, &entry.value, Wanted::Condition).map(Condition::Cel),
            name => {
                let name = self.name(name, entry.key_span)?;
                self.tests(&name, &entry.value)
            }
        }
    }

    /// Every test of a name.
    fn tests(&mut self, name: &Arc<str>, node: &Node) -> Option<Condition> {
        let of = |test| Condition::Name { name: name.clone(), test };
        match &node.kind {
            Kind::Text(text) => {
                let literal = self.word(name, text, node.span)?;
                Some(of(Test::Equals(literal)))
            }
            Kind::Map(entries) => {
                let mut parts = Vec::new();
                for entry in entries {
                    let value = &entry.value;
                    parts.push(match &*entry.key {
                        "has" => of(Test::Has(self.name(value.text()?, value.span)?)),
                        "any_word" => of(self.any_word(value)?),
                        "starts_with" => of(Test::starts_with(value.text()?)),
                        "ends_with" => of(Test::ends_with(value.text()?)),
                        "contains" => {
                            self.reading.refuse_sensitive(value.text()?, value.span);
                            of(Test::contains(value.text()?))
                        }
                        "one_of" => {
                            let words: Vec<Option<Literal>> = value.list().iter().map(|n| self.word(name, n.text()?, n.span)).collect();
                            of(Test::OneOf(words.into_iter().collect::<Option<_>>()?))
                        }
                        "not" => Condition::Not(Box::new(self.tests(name, value)?)),
                        "above" => of(Test::Above(value.decimal()?)),
                        "below" => of(Test::Below(value.decimal()?)),
                        "present" => of(Test::Present(value.true_false()?)),
                        _ => return None,
                    });
                }
                if parts.is_empty() {
                    self.reading.error(
                        BAD_EXPRESSION,
                        node.span,
                        format!("`{name}` is not tested for anything"),
                        "Write a value or a test: `{ present: true }`",
                    );
                    return None;
                }
                Some(one_or_all(parts))
            }
            Kind::Nothing | Kind::List(_) => None,
        }
    }

    fn any_word(&mut self, node: &Node) -> Option<Test> {
        let items = node.list_or_one();
        for item in items {
            self.reading.refuse_sensitive(item.text()?, item.span);
        }
        match WordSet::new(items.iter().filter_map(Node::text)) {
            Ok(words) => Some(Test::AnyWord(words)),
            Err(index) => {
                let span = items.get(index).map_or(node.span, |n| n.span);
                self.reading.error(
                    BAD_EXPRESSION,
                    span,
                    "a word to look for needs a letter or a digit",
                    "Use `contains` or `ends_with` for other characters",
                );
                None
            }
        }
    }

    /// A constant that a name is compared with: in the closed list, where the name has one.
    fn word(&mut self, name: &str, text: &str, span: Span) -> Option<Literal> {
        if name == "network" {
            if let Ok(network) = text.parse::<Network>() {
                return Some(Literal::new(network.name()));
            }
            self.reading.error(UNKNOWN_NETWORK, span, format!("`{text}` is not a network that Kith knows"), meant(text, network_words()));
            return None;
        }
        if name == "decision" && text.contains('_') {
            // `not_linked` as the log writes it.
            return self.word(name, &text.replace('_', " "), span);
        }
        if let Some(words) = self.words.of(name)
            && !words.iter().any(|w| w.eq_ignore_ascii_case(text.trim()))
        {
            self.reading.error(IMPOSSIBLE_WORD, span, format!("`{name}` is never `{text}`"), meant(text, words.iter().map(String::as_str)));
            return None;
        }
        if let (true, Some(listed)) = (name == "audience", self.audience)
            && let Some(audience) = crate::model::Audience::ALL.into_iter().find(|a| a.name().eq_ignore_ascii_case(text.trim()))
            && !listed.contains(audience)
        {
            self.reading.error(
                PRIVATE_AUDIENCE,
                span,
                format!("activities for a {text} audience are dropped at intake: `policy.audience` does not list `{text}`"),
                format!("Remove this condition, or list `{text}` under `policy.audience` with a basis of its own"),
            );
        }
        Some(Literal::new(text))
    }

    /// A name in scope.
    fn name(&mut self, name: &str, span: Span) -> Option<Arc<str>> {
        if self.names.kind(name).is_some() {
            self.used.insert(name.to_owned());
            return Some(name.into());
        }
        if self.lenient {
            return Some(name.into());
        }
        if self.link && is_of_activity(name) {
            self.reading.error(
                UNKNOWN_NAME,
                span,
                format!("a link has no activity, so there is no `{name}`"),
                "Use `for: activity`, or leave it out",
            );
            return None;
        }
        let remedy = match self.names.nearest(name) {
            Some(word) => {
                // What was probably meant is no unused field.
                self.used.insert(word.to_owned());
                format!("Did you mean `{word}`?")
            }
            None => "Declare it as a field, or see the list of names in the README of `mappings/`".to_owned(),
        };
        self.reading.error(UNKNOWN_NAME, span, format!("`{name}` is not a name that can be read here"), remedy);
        None
    }

    /// A value.
    pub(super) fn value(&mut self, node: &Node) -> Option<ValueExpr> {
        if let Some(text) = node.text() {
            return match text.strip_prefix("cel:") {
                Some(source) => self.cel(source, node, Wanted::Value).map(ValueExpr::Cel),
                None => self.value_name(text, node.span).map(ValueExpr::Name),
            };
        }
        if let Some(from) = node.get("from") {
            let name = self.value_name(from.text()?, from.span)?;
            return Some(match node.get("truncate") {
                Some(characters) => ValueExpr::Truncate { from: name, characters: characters.whole()? },
                None => ValueExpr::Name(name),
            });
        }
        if let Some(find) = node.get("find") {
            let within = node.get("in")?;
            let within = self.value_name(within.text()?, within.span);
            let patterns: Vec<Option<Pattern>> = find.list_or_one().iter().map(|n| self.pattern(n)).collect();
            return Some(ValueExpr::Find { patterns: patterns.into_iter().collect::<Option<_>>()?, within: within? });
        }
        if let Some(text) = node.get("text") {
            return Some(ValueExpr::Constant(Value::Text(text.shared_text()?)));
        }
        let cel = node.get("cel")?;
        self.cel(cel.text()?, cel, Wanted::Value).map(ValueExpr::Cel)
    }

    /// A name where a value is meant: the remedy for a constant is another one.
    fn value_name(&mut self, text: &str, span: Span) -> Option<Arc<str>> {
        if self.names.kind(text).is_none() && !self.lenient && self.names.nearest(text).is_none() && !(self.link && is_of_activity(text)) {
            self.reading.error(
                UNKNOWN_NAME,
                span,
                format!("`{text}` is not a name that can be read here"),
                format!("Declare it as a field, or write `{{ text: \"{text}\" }}` where the text itself is meant"),
            );
            return None;
        }
        self.name(text, span)
    }

    fn pattern(&mut self, node: &Node) -> Option<Pattern> {
        match Pattern::new(node.text()?) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let remedy = match &error {
                    PatternError::UnknownPlaceholder(word) => meant(word, Pattern::PLACEHOLDERS),
                    PatternError::Placeholders(_) => "Write the phrase with one placeholder: `order {digits}`".to_owned(),
                    PatternError::TooLong => "Write a short phrase".to_owned(),
                };
                self.reading.error(BAD_EXPRESSION, node.span, error.to_string(), remedy);
                None
            }
        }
    }

    fn cel(&mut self, source: &str, node: &Node, wanted: Wanted) -> Option<Cel> {
        let trimmed = source.trim();
        match Cel::new(trimmed, self.names, wanted) {
            Ok(cel) => {
                self.used.extend(cel.names().map(str::to_owned));
                Some(cel)
            }
            Err(problems) => {
                let words = trimmed.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.')));
                self.used.extend(words.map(|w| self.names.nearest(w).unwrap_or(w).to_owned()));
                // The place inside the file, where the text stands there as it was read.
                let typed = self.reading.tree.file.text.get(node.span.start..node.span.end).unwrap_or_default();
                let offset = typed.find(trimmed).map(|at| node.span.start + at);
                for problem in problems {
                    if problem.unknown_name && self.lenient {
                        continue;
                    }
                    let span = offset.map_or(node.span, |at| Span { start: at + problem.at.start, end: at + problem.at.end });
                    let code = if problem.unknown_name { UNKNOWN_NAME } else { BAD_EXPRESSION };
                    self.reading.error(code, span, problem.message, problem.remedy);
                }
                None
            }
        }
    }
}

fn one_or_all(mut parts: Vec<Condition>) -> Condition {
    match (parts.len(), parts.pop()) {
        (1, Some(part)) => part,
        (_, Some(last)) => {
            parts.push(last);
            Condition::All(parts)
        }
        (_, None) => Condition::All(parts),
    }
}
