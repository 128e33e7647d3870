//! What is done with a record before it goes on.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place stays")]

use super::json::{Json, Members};
use super::path;
use super::template::{Engine, EvaluationError, Fallback, Scope, Template, Wanted};
use std::sync::Arc;

/// A step of changing records.
#[derive(Clone, Debug)]
pub enum Transformation {
    /// `AddFields`
    Add {
        /// Where, what, and which literals it may be.
        fields: Vec<(Vec<String>, Template, Wanted)>,
        /// Only where this holds.
        condition: Option<Template>,
    },
    /// `RemoveFields`
    Remove {
        /// Where.
        pointers: Vec<Vec<String>>,
        /// Only values of which this holds.
        condition: Option<Template>,
    },
    /// `KeysToLower`
    KeysToLower,
    /// `KeysToSnakeCase`
    KeysToSnakeCase,
    /// `KeysReplace`
    KeysReplace {
        /// What is replaced in names.
        old: Template,
        /// By what.
        new: Template,
    },
    /// `FlattenFields`
    Flatten {
        /// Lists too.
        lists: bool,
    },
    /// `DpathFlattenFields`
    FlattenPath {
        /// Where the object is that is laid flat.
        path: Vec<Template>,
        /// It is removed there.
        remove: bool,
        /// The record becomes it.
        replace: bool,
        /// Before each name.
        prefix: Option<Template>,
        /// After each name.
        suffix: Option<Template>,
    },
}

/// Evaluates a path.
///
/// # Errors
/// Where a template gives no value.
pub fn evaluated(path: &[Template], engine: &Engine, scope: &Scope) -> Result<Vec<String>, EvaluationError> {
    path.iter().map(|segment| segment.text(engine, scope)).collect()
}

impl Transformation {
    /// Applies it. `scope` has everything but the record.
    ///
    /// # Errors
    /// Where a template gives no value.
    pub fn apply(&self, record: &mut Json, engine: &Engine, scope: &Scope) -> Result<(), EvaluationError> {
        match self {
            Self::Add { fields, condition } => {
                for (at, template, wanted) in fields {
                    let here = scope.clone().with("record", record.to_template());
                    let value = template.evaluate(engine, &here, Fallback::Own, *wanted)?;
                    if let Some(condition) = condition {
                        let names: Json = Json::List(Arc::new(at.iter().map(|s| Json::text(s)).collect()));
                        let here = here.with("value", value.to_template()).with("path", names.to_template());
                        if !condition.holds(engine, &here)? {
                            continue;
                        }
                    }
                    path::set(record, at, value);
                }
                Ok(())
            }
            Self::Remove { pointers, condition } => pointers.iter().try_for_each(|pointer| {
                path::delete(record, pointer, &mut |value| match condition {
                    None => Ok(true),
                    Some(condition) => condition.holds(engine, &scope.clone().with("property", value.to_template())),
                })
            }),
            Self::KeysToLower => {
                rename(record, &str::to_lowercase, false);
                Ok(())
            }
            Self::KeysToSnakeCase => {
                rename(record, &snake_case, true);
                Ok(())
            }
            Self::KeysReplace { old, new } => {
                let here = scope.clone().with("record", record.to_template());
                let (old, new) = (old.text(engine, &here)?, new.text(engine, &here)?);
                rename(record, &|key| key.replace(&old, &new), true);
                Ok(())
            }
            Self::Flatten { lists } => {
                flatten(record, *lists);
                Ok(())
            }
            Self::FlattenPath { path, remove, replace, prefix, suffix } => {
                let affix = |affix: &Option<Template>| affix.as_ref().map_or(Ok(String::new()), |affix| affix.text(engine, scope));
                let (prefix, suffix) = (affix(prefix)?, affix(suffix)?);
                flatten_path(record, &evaluated(path, engine, scope)?, (*remove, *replace), &prefix, &suffix);
                Ok(())
            }
        }
    }
}

fn rename(value: &mut Json, name: &dyn Fn(&str) -> String, deep: bool) {
    let Json::Map(members) = value else { return };
    let mut renamed = Members::with_capacity(members.len());
    for (key, child) in Arc::make_mut(members).drain(..) {
        let mut child = child;
        if deep {
            rename(&mut child, name, deep);
        }
        renamed.insert(name(&key).into(), child);
    }
    *members = Arc::new(renamed);
}

/// `someKeyName2` → `some_key_name_2`
fn snake_case(key: &str) -> String {
    let mut tokens: Vec<String> = Vec::new();
    let bytes: Vec<char> = key.chars().collect();
    let mut at = 0;
    let class = |c: &char| match c {
        'A'..='Z' => 0,
        'a'..='z' => 1,
        '0'..='9' => 2,
        _ => 3,
    };
    while let Some(first) = bytes.get(at) {
        let start = at;
        let kind = class(first);
        while bytes.get(at).is_some_and(|c| class(c) == kind) {
            at += 1;
        }
        if kind == 0 {
            while bytes.get(at).is_some_and(|c| class(c) == 1) {
                at += 1;
            }
        }
        let token: String = if kind == 3 { String::new() } else { bytes.get(start..at).unwrap_or_default().iter().collect() };
        tokens.push(token.to_lowercase());
    }
    if tokens.len() >= 3 {
        let last = tokens.len() - 1;
        let mut index = 0;
        tokens.retain(|token| {
            index += 1;
            index == 1 || index == last + 1 || !token.is_empty()
        });
    }
    if tokens.first().is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit())) {
        tokens.insert(0, String::new());
    }
    tokens.join("_")
}

fn flatten(record: &mut Json, lists: bool) {
    let mut stack = vec![(std::mem::take(record), "_".to_owned())];
    let mut flat = Members::new();
    let mut with_parent = false;
    while let Some((value, parent)) = stack.pop() {
        match value {
            Json::Map(members) => {
                for (key, child) in members.iter() {
                    let name = if flat.contains_key(key) || with_parent { format!("{parent}.{key}") } else { key.to_string() };
                    stack.push((child.clone(), name));
                }
            }
            Json::List(items) if lists => {
                for (at, item) in items.iter().enumerate() {
                    with_parent = true;
                    stack.push((item.clone(), format!("{parent}.{at}")));
                }
            }
            other => _ = flat.insert(parent.into(), other),
        }
    }
    *record = Json::Map(Arc::new(flat));
}

fn flatten_path(record: &mut Json, at: &[String], (remove, replace): (bool, bool), prefix: &str, suffix: &str) {
    let mut found = Vec::new();
    path::values(record, at, &mut found);
    let Some(Json::Map(inner)) = found.first().copied().cloned() else { return };
    let inner: Members = inner.iter().map(|(key, value)| (format!("{prefix}{key}{suffix}").into(), value.clone())).collect();
    if replace && !inner.is_empty() {
        *record = Json::Map(Arc::new(inner));
        return;
    }
    if record.members().is_some_and(|members| inner.keys().any(|key| members.contains_key(key))) {
        return;
    }
    if remove {
        // The closure has no error.
        _ = path::delete::<std::convert::Infallible>(record, at, &mut |_| Ok(true));
    }
    record.members_mut().extend(inner);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case_as_in_the_reference() {
        for (from, to) in
            [("FirstName", "first_name"), ("123Number", "_123_number"), ("ABCdef2x", "abcdef_2_x"), ("a b", "a_b"), ("simple", "simple")]
        {
            assert_eq!(snake_case(from), to, "{from}");
        }
    }

    #[test]
    fn objects_are_laid_flat() {
        let mut json = Json::parse(br#"{"a":{"b":1},"c":[2]}"#).unwrap();
        flatten(&mut json, true);
        assert_eq!(json, Json::parse(br#"{"c.0":2,"a.b":1}"#).unwrap());
    }
}
