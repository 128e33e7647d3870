//! Where records are in an answer, and records that each hold several others.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is the same")]

use super::json::{Json, Members};
use super::path;
use super::source::Stream;
use super::template::{Engine, EvaluationError, Scope, Template};
use super::transform::evaluated;
use std::sync::Arc;

/// Where records are. Its paths are templates in the manifest, and text once the configuration is known.
#[derive(Clone, Debug)]
pub enum Extractor<S> {
    /// `DpathExtractor`
    Path {
        /// The path to the records, or to the one that it is.
        at: Vec<S>,
        /// How each is taken apart.
        expander: Option<Box<Expander<S>>>,
    },
    /// `CombinedExtractor`
    Combined {
        /// The others, in order.
        extractors: Vec<Extractor<S>>,
        /// Only the first that finds anything counts.
        first: bool,
        /// Records that are nothing are left out.
        full: bool,
    },
}

/// `RecordExpander`: records that hold the records.
#[derive(Clone, Debug)]
pub struct Expander<S> {
    /// Where they are in a record.
    pub at: Vec<S>,
    /// Each carries the whole record that held it, as `original_record`.
    pub original: bool,
    /// Each has the members of the record that held it.
    pub merge: bool,
    /// Members of the record that held it: where there, and where in each.
    pub fields: Vec<(Vec<S>, Vec<S>)>,
    /// A record that holds none is taken itself.
    pub or_itself: bool,
    /// Where a record says that it does not hold all.
    pub truncated_at: Vec<S>,
    /// Asks for all of them.
    pub whole: Option<Arc<Stream>>,
}

/// Why a record can't be taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a field of the record that holds others can't be put into them: what stands on its path is no object")]
pub struct NoObject;

impl Extractor<Template> {
    /// With its paths evaluated.
    ///
    /// # Errors
    /// Where a template gives no value.
    pub fn evaluated(&self, engine: &Engine, scope: &Scope) -> Result<Extractor<String>, EvaluationError> {
        let path = |path: &[Template]| evaluated(path, engine, scope);
        Ok(match self {
            Self::Path { at, expander } => Extractor::Path {
                at: path(at)?,
                expander: match expander {
                    None => None,
                    Some(expander) => Some(Box::new(Expander {
                        at: path(&expander.at)?,
                        original: expander.original,
                        merge: expander.merge,
                        fields: expander.fields.iter().map(|(from, to)| Ok((path(from)?, path(to)?))).collect::<Result<_, _>>()?,
                        or_itself: expander.or_itself,
                        truncated_at: path(&expander.truncated_at)?,
                        whole: expander.whole.clone(),
                    })),
                },
            },
            Self::Combined { extractors, first, full } => Extractor::Combined {
                extractors: extractors.iter().map(|one| one.evaluated(engine, scope)).collect::<Result<_, _>>()?,
                first: *first,
                full: *full,
            },
        })
    }
}

impl<S> Extractor<S> {
    /// The path, where it is nothing more.
    pub fn plain(&self) -> Option<&[S]> {
        match self {
            Self::Path { at, expander: None } => Some(at),
            Self::Path { .. } | Self::Combined { .. } => None,
        }
    }

    /// Whether it puts together what several others find, so that a page has more records than were asked for.
    pub fn adds_up(&self) -> bool {
        match self {
            Self::Path { .. } => false,
            Self::Combined { extractors, first, .. } => !first || extractors.iter().any(Self::adds_up),
        }
    }
}

impl Expander<String> {
    /// What asks for everything that a record holds only a part of.
    pub fn asks(&self, record: &Json) -> Option<&Arc<Stream>> {
        let whole = self.whole.as_ref()?;
        let truncated = record.members().is_some() && path::get(record, &self.truncated_at).is_some_and(Json::is_true);
        truncated.then_some(whole)
    }

    /// The records that a record holds; `asked` are those that were asked for because it does not hold all.
    ///
    /// # Errors
    /// Where a member can't be put where it is meant.
    pub fn expand(&self, record: Json, asked: Vec<Json>, found: &mut Vec<Json>) -> Result<(), NoObject> {
        if record.members().is_none() || self.at.is_empty() {
            found.push(record);
            return Ok(());
        }
        let base = self.merge.then(|| {
            let mut base = record.clone();
            let Ok(()) = path::delete::<std::convert::Infallible>(&mut base, &self.at, &mut |value| Ok(value.items().is_some()));
            base
        });
        let inside = if asked.is_empty() {
            let mut lists = Vec::new();
            path::values(&record, &self.at, &mut lists);
            lists.into_iter().filter_map(Json::items).flatten().cloned().collect()
        } else {
            asked
        };
        if inside.is_empty() && self.or_itself {
            found.push(record);
            return Ok(());
        }
        for item in inside {
            found.push(self.with_its_holder(&record, base.as_ref(), item)?);
        }
        Ok(())
    }

    fn with_its_holder(&self, record: &Json, base: Option<&Json>, item: Json) -> Result<Json, NoObject> {
        let mut item = match item {
            Json::Map(_) => item,
            other if self.original || self.merge || !self.fields.is_empty() => {
                Json::Map(Arc::new([("value".into(), other)].into_iter().collect::<Members>()))
            }
            other => return Ok(other),
        };
        if let (Some(base), Some(own)) = (base.and_then(Json::members), item.members()) {
            item = Json::Map(Arc::new(path::join(base, own)));
        }
        for (from, to) in &self.fields {
            let way = (1..to.len()).filter_map(|length| path::get(&item, to.get(..length).unwrap_or_default()));
            if way.into_iter().any(|on_the_way| on_the_way.members().is_none()) {
                return Err(NoObject);
            }
            path::set(&mut item, to, path::get(record, from).cloned().unwrap_or_default());
        }
        if self.original {
            item.members_mut().insert("original_record".into(), record.clone());
        }
        Ok(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(expander: &Expander<String>, record: &str, asked: &str) -> Result<String, NoObject> {
        let mut found = Vec::new();
        let asked = Json::parse(asked.as_bytes()).unwrap().items().unwrap().to_vec();
        expander.expand(Json::parse(record.as_bytes()).unwrap(), asked, &mut found)?;
        Ok(Json::List(Arc::new(found)).compact())
    }

    #[test]
    fn what_a_record_holds_carries_what_it_is_told() {
        let to = |text: &str| path::split(text);
        let mut expander = Expander {
            at: to("lines/data"),
            original: false,
            merge: false,
            fields: vec![(to("id"), to("of/id")), (to("none"), to("gone"))],
            or_itself: false,
            truncated_at: Vec::new(),
            whole: None,
        };
        let record = r#"{"id":7,"lines":{"data":[{"a":1},2],"more":true}}"#;
        let said = r#"[{"a":1,"of":{"id":7},"gone":null},{"value":2,"of":{"id":7},"gone":null}]"#;
        assert_eq!(expanded(&expander, record, "[]").unwrap(), said);
        assert_eq!(expanded(&expander, r#"{"id":7,"lines":{"data":[{"of":5}]}}"#, "[]"), Err(NoObject));
        assert_eq!(expanded(&expander, record, r#"[{"b":1}]"#).unwrap(), r#"[{"b":1,"of":{"id":7},"gone":null}]"#);
        expander = Expander { fields: Vec::new(), merge: true, or_itself: true, ..expander };
        assert_eq!(expanded(&expander, r#"{"a":0,"lines":{"data":[{"a":1}],"m":1}}"#, "[]").unwrap(), r#"[{"a":1,"lines":{"m":1}}]"#);
        assert_eq!(expanded(&expander, r#"{"a":0}"#, "[]").unwrap(), r#"[{"a":0}]"#);
        assert_eq!(expanded(&expander, "5", "[]").unwrap(), "[5]");
    }
}
