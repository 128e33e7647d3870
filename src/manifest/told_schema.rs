//! `DynamicSchemaLoader`: the schema of a stream's records, out of a record that tells its fields.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is the same fault")]

use super::json::{Json, Members};
use super::path;
use super::source::Stream;
use super::template::{Engine, EvaluationError, Scope, Template};
use super::transform::{Transformation, evaluated};
use std::sync::Arc;

/// Lists of lists, as a type says them.
const DEEPEST: usize = 16;

/// How a schema is made of a record.
#[derive(Debug)]
pub struct ToldSchema {
    /// Whose first record tells it.
    pub stream: Arc<Stream>,
    /// Where the fields are in that record.
    pub fields: Vec<Template>,
    /// Where a field's name is.
    pub key: Vec<Template>,
    /// Where its type is; all are text, where nothing is said.
    pub kind: Option<Vec<Template>>,
    /// Types by other names: the first that fits counts.
    pub types: Vec<TypeName>,
    /// Which fields are taken.
    pub filter: Option<Template>,
    /// What is done with them.
    pub transformations: Vec<Transformation>,
}

/// A type by another name.
#[derive(Clone, Debug)]
pub struct TypeName {
    /// The other name.
    pub from: Json,
    /// A name of the vocabulary, two of them, or an object with `field_type` and `items`.
    pub to: Json,
    /// Only where this holds of the field.
    pub when: Option<Template>,
}

/// Why no schema can be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ToldError {
    /// A template.
    #[error(transparent)]
    Template(#[from] EvaluationError),
    /// The record has another form.
    #[error("the schema that the source tells can't be used: {0}")]
    Form(&'static str),
}

impl ToldSchema {
    /// The schema out of the record that tells it; without a record it knows no fields.
    ///
    /// # Errors
    /// Where a field has no name or a type that is none.
    pub fn of(&self, record: Option<&Json>, engine: &Engine, config: &Json) -> Result<Json, ToldError> {
        let scope = Scope::new(config);
        let at = |path: &[Template], value: &Json| -> Result<Option<Json>, ToldError> {
            Ok(path::get(value, &evaluated(path, engine, &scope)?).cloned())
        };
        let fields = match record {
            None => Vec::new(),
            Some(record) => match at(&self.fields, record)? {
                Some(Json::List(fields)) => fields.to_vec(),
                _ => return Err(ToldError::Form("there is no list of fields")),
            },
        };
        let mut properties = Members::new();
        for field in &fields {
            let Some(Json::Text(name)) = at(&self.key, field)? else { return Err(ToldError::Form("a field has no name")) };
            let told = match &self.kind {
                None => Json::text("string"),
                Some(path) => at(path, field)?.unwrap_or_else(|| Json::text("string")),
            };
            let here = scope.clone().with("raw_schema", field.to_template());
            let mut kind = told.clone();
            for known in &self.types {
                if known.from == told && known.when.as_ref().map_or(Ok(true), |when| when.holds(engine, &here))? {
                    kind = known.to.clone();
                    break;
                }
            }
            properties.insert(name, schema_of(&kind)?);
        }
        if let Some(filter) = &self.filter {
            let mut taken = Members::new();
            for (name, schema) in properties {
                let one: Members = [(name.clone(), schema.clone())].into_iter().collect();
                if filter.holds(engine, &scope.clone().with("record", Json::Map(Arc::new(one)).to_template()))? {
                    taken.insert(name, schema);
                }
            }
            properties = taken;
        }
        let mut properties = Json::Map(Arc::new(properties));
        for transformation in &self.transformations {
            transformation.apply(&mut properties, engine, &scope)?;
        }
        Ok(Json::Map(Arc::new([("type".into(), Json::text("object")), ("properties".into(), properties)].into_iter().collect())))
    }
}

/// The schema of a type: a name, two names, or an object with `field_type` and `items`.
fn schema_of(kind: &Json) -> Result<Json, ToldError> {
    match kind {
        Json::Text(name) => named(name).map(|members| Json::Map(Arc::new(members))),
        Json::List(both) if both.len() == 2 => {
            let both = both.iter().map(schema_of).collect::<Result<Vec<_>, _>>()?;
            Ok(Json::Map(Arc::new([("oneOf".into(), Json::List(Arc::new(both)))].into_iter().collect())))
        }
        Json::Map(_) => held(kind, 0),
        _ => Err(ToldError::Form("a type is a name, or two")),
    }
}

fn held(kind: &Json, depth: usize) -> Result<Json, ToldError> {
    if depth > DEEPEST {
        return Err(ToldError::Form("its lists are too deep"));
    }
    let Json::Map(_) = kind else { return schema_of(kind) };
    let name = kind.get("field_type").and_then(Json::as_text).ok_or(ToldError::Form("a type has no `field_type`"))?;
    let mut members = named(name)?;
    if let Some(items) = kind.get("items").filter(|items| items.is_true()) {
        members.insert("items".into(), held(items, depth + 1)?);
    }
    Ok(Json::Map(Arc::new(members)))
}

fn named(name: &str) -> Result<Members, ToldError> {
    let kind = match name {
        "string" | "date" | "timestamp_without_timezone" | "timestamp_with_timezone" | "time_without_timezone" | "time_with_timezone" => {
            "string"
        }
        "boolean" | "integer" | "number" | "array" | "object" => name,
        _ => return Err(ToldError::Form("a type is none of the vocabulary")),
    };
    let both = Json::List(Arc::new(vec![Json::text("null"), Json::text(kind)]));
    Ok([("type".into(), both)].into_iter().collect())
}
