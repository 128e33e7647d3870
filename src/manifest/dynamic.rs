//! Streams that are made while reading: a template, changed once for each thing that the manifest, the configuration or the network lists.

use super::json::{Json, Members};
use super::path;
use super::slice::Slice;
use super::source::{Source, Stream};
use super::template::{Engine, EvaluationError, Fallback, Scope, Template, Wanted};
use super::transform::evaluated;
use std::fmt;
use std::sync::Arc;

/// Streams that one manifest may make while reading; an account with more tables is read by a manifest that chooses among them.
pub const MOST_MADE: usize = 2_000;

/// `DynamicDeclarativeStream`
#[derive(Clone, Debug)]
pub struct Dynamic {
    /// What it is called; its position, where it has no name.
    pub name: String,
    /// Its position in the manifest.
    pub at: usize,
    /// The template, as its mappings see it.
    pub template: Json,
    /// Where the things are listed.
    pub listed: Listed,
    /// What is changed for each.
    pub mappings: Vec<Mapping>,
}

/// Where the things are listed that each become a stream.
#[derive(Clone, Debug)]
pub enum Listed {
    /// In the manifest: `ParametrizedComponentsResolver`.
    Here(Vec<Json>),
    /// In the configuration: `ConfigComponentsResolver`. Several lists: all combinations.
    Config(Vec<ConfigList>),
    /// At the network: `HttpComponentsResolver`.
    Network(Arc<Stream>),
}

/// A list in the configuration.
#[derive(Clone, Debug)]
pub struct ConfigList {
    /// Where it stands.
    pub at: Vec<Template>,
    /// What follows it.
    pub more: Vec<Json>,
}

/// `ComponentMappingDefinition`
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Where in the template; `*` and `**` stand for any member.
    pub at: Vec<Template>,
    /// What is put there.
    pub value: Template,
    /// Which literals it may be.
    pub wanted: Wanted,
    /// Only where this holds.
    pub condition: Option<Template>,
    /// What is not there is made.
    pub create: bool,
    /// A text is read as YAML.
    pub yaml: bool,
}

/// A change of a template.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where.
    pub at: Vec<String>,
    /// What is put there.
    pub value: Json,
    /// What is not there is made.
    pub create: bool,
    /// A text is read as YAML.
    pub yaml: bool,
}

/// Makes a source of a manifest and of what its dynamic streams were changed to: each the position of its template, and the changes.
pub trait Grow: fmt::Debug + Send + Sync {
    /// The source with the streams that were made.
    ///
    /// # Errors
    /// Where one of them can't be used, in words for people.
    fn grow(&self, made: &[(usize, Vec<Change>)]) -> Result<Source, String>;
}

impl Listed {
    /// What asks the network for them.
    pub const fn asked(&self) -> Option<&Arc<Stream>> {
        if let Self::Network(stream) = self { Some(stream) } else { None }
    }

    /// Who lists the things.
    pub const fn by(&self) -> &'static str {
        match self {
            Self::Here(_) => "manifest",
            Self::Config(_) => "configuration",
            Self::Network(_) => "network",
        }
    }
}

impl Dynamic {
    /// Whether its streams are the same under every configuration.
    pub fn is_fixed(&self) -> bool {
        let asks = |template: &Template| template.names("config");
        matches!(self.listed, Listed::Here(_))
            && !self.mappings.iter().any(|mapping| asks(&mapping.value) || mapping.at.iter().chain(&mapping.condition).any(asks))
    }

    /// The changes that one of the listed things means.
    ///
    /// # Errors
    /// Where a template gives no value.
    pub fn changes(&self, thing: &Json, slice: Option<&Slice>, engine: &Engine, config: &Json) -> Result<Vec<Change>, EvaluationError> {
        let scope = Scope::new(config)
            .with("components_values", thing.to_template())
            .with("stream_template_config", self.template.to_template())
            .with("stream_slice", slice.cloned().unwrap_or_default().to_template());
        let mut changes = Vec::with_capacity(self.mappings.len());
        for mapping in &self.mappings {
            if mapping.condition.as_ref().map_or(Ok(true), |condition| condition.holds(engine, &scope))? {
                changes.push(Change {
                    at: evaluated(&mapping.at, engine, &scope)?,
                    value: mapping.value.evaluate(engine, &scope, Fallback::Own, mapping.wanted)?,
                    create: mapping.create,
                    yaml: mapping.yaml,
                });
            }
        }
        Ok(changes)
    }
}

/// The things that a configuration lists: of several lists all combinations, the last list running fastest; at most one more than may be made.
///
/// # Errors
/// Where a template gives no value.
pub fn of_config(lists: &[ConfigList], engine: &Engine, config: &Json) -> Result<Vec<Json>, EvaluationError> {
    let mut all = vec![Members::new()];
    for (position, list) in lists.iter().enumerate() {
        let at = evaluated(&list.at, engine, &Scope::new(config))?;
        let mut things = match path::get(config, &at) {
            None => Vec::new(),
            Some(Json::List(things)) => things.to_vec(),
            Some(one) => vec![one.clone()],
        };
        things.extend(list.more.iter().cloned());
        let combined = all.iter().flat_map(|before| {
            things.iter().enumerate().map(move |(at, thing)| {
                if let Some(members) = thing.members() {
                    return path::join(before, members);
                }
                // As the reference keeps what has no names of its own.
                let pair = Json::List(Arc::new(vec![Json::Int(at as i128), thing.clone()]));
                let mut joined = before.clone();
                joined.entry(format!("source_config_{position}").into()).or_insert(pair);
                joined
            })
        });
        all = combined.take(MOST_MADE + 1).collect();
    }
    Ok(all.into_iter().map(|members| Json::Map(Arc::new(members))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_a_configuration_are_combined() {
        let mut engine = Engine::default();
        let config = Json::parse(br#"{"a":[{"x":1},{"x":2}],"b":{"c":["p","q"]}}"#).unwrap();
        let mut list = |at: &[&str], more: &str| ConfigList {
            at: at.iter().map(|segment| engine.compile(segment, &Json::object(), &["config"]).unwrap()).collect(),
            more: Json::parse(more.as_bytes()).unwrap().items().unwrap().to_vec(),
        };
        let lists = [list(&["a"], r#"[{"x":3}]"#), list(&["b", "c"], "[]")];
        let said: Vec<String> = of_config(&lists, &engine, &config).unwrap().iter().map(Json::compact).collect();
        assert_eq!(said.len(), 6);
        assert_eq!(said[1], r#"{"x":1,"source_config_1":[1,"q"]}"#);
        assert_eq!(said[5], r#"{"x":3,"source_config_1":[1,"q"]}"#);
        let many = Json::parse(format!("{{\"a\":[{}],\"b\":{{\"c\":[1,2]}}}}", vec!["{}"; 5_000].join(",")).as_bytes()).unwrap();
        assert_eq!(of_config(&lists, &engine, &many).unwrap().len(), MOST_MADE + 1);
        assert!(of_config(&lists[1..], &engine, &Json::object()).unwrap().is_empty());
    }
}
