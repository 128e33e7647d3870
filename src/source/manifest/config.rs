//! A source's configuration: brought into its present form, and held against its schema's required members.

use super::error::ReadError;
use crate::manifest::source::{ConfigChange, Validated};
use crate::manifest::transform::{Transformation, evaluated};
use crate::manifest::{Json, Scope, Source, path};

/// The configuration after the manifest's migrations and changes.
///
/// # Errors
/// Where it is no object, lacks a required member, or a change can't be made.
pub fn brought_up(source: &Source, config: Json) -> Result<Json, ReadError> {
    if config.members().is_none() {
        return Err(ReadError::Config("it is no JSON object".to_owned()));
    }
    let mut config = config;
    for change in &source.config_changes {
        let scope = Scope::new(&config);
        match change {
            ConfigChange::Add { fields, condition } => {
                let step = Transformation::Add { fields: fields.clone(), condition: condition.clone() };
                step.apply(&mut config, &source.engine, &scope)?;
            }
            ConfigChange::Remove { pointers, condition } => {
                let step = Transformation::Remove { pointers: pointers.clone(), condition: condition.clone() };
                step.apply(&mut config, &source.engine, &scope)?;
            }
            ConfigChange::Remap { path: at, map } => {
                let at = evaluated(at, &source.engine, &scope)?;
                let new = path::get(&config, &at).and_then(|old| map.iter().find(|(known, _)| known == old)).map(|(_, new)| new.clone());
                if let Some(new) = new {
                    path::set(&mut config, &at, new);
                }
            }
        }
    }
    for validation in &source.validations {
        let values: Vec<&Json> = match &validation.of {
            Validated::Fixed(value) => vec![value],
            Validated::At(at) => {
                let mut values = Vec::new();
                path::values(&config, &evaluated(at, &source.engine, &Scope::new(&config))?, &mut values);
                values
            }
        };
        for value in values {
            adheres(value, &validation.schema)?;
        }
    }
    if let Some(required) = source.spec.as_ref().and_then(|spec| spec.get("required")).and_then(Json::items) {
        let missing: Vec<&str> = required.iter().filter_map(Json::as_text).filter(|name| config.get(name).is_none()).collect();
        if !missing.is_empty() {
            return Err(ReadError::Config(format!("it lacks {}", missing.join(", "))));
        }
    }
    Ok(config)
}

/// Holds a value against a JSON Schema; text is JSON. What is wrong is told without the value.
fn adheres(value: &Json, schema: &Json) -> Result<(), ReadError> {
    let wrong = |what: &str| ReadError::Config(format!("a value does not fit the manifest's `validations`: {what}"));
    let read = |json: &Json| json.as_text().map_or_else(|| serde_json::to_value(json).ok(), |text| serde_json::from_str(text).ok());
    let value: serde_json::Value = read(value).ok_or_else(|| wrong("it is text that is no JSON"))?;
    let schema = read(schema).ok_or_else(|| wrong("the schema is no JSON"))?;
    let schema = jsonschema::validator_for(&schema).map_err(|_bad| wrong("the schema can't be used"))?;
    match schema.validate(&value) {
        Ok(()) => Ok(()),
        Err(error) => Err(wrong(&format!("`{}` of its schema does not hold", error.schema_path()))),
    }
}
