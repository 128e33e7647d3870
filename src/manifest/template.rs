//! Interpolation: Jinja templates as Airbyte's runner evaluates them. What is printed is read back as a Python literal; what is undefined or
//! empty falls back. This module and its neighbours own the template engine; nothing else imports it.

#![allow(clippy::wildcard_enum_match_arm, reason = "kinds of errors of another crate")]

use super::json::Json;
use super::{arithmetic, functions, literal, python};
use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Steps of one evaluation: a loop over a response of 16 MiB takes about a million; ten times that is a loop that does not end.
const FUEL: u64 = 10_000_000;
/// No template of a manifest that was seen is longer than 4,000 bytes.
pub const LONGEST: usize = 65_536;
/// Names that the engine itself answers.
const OWN_NAMES: &[&str] = &["dict", "namespace", "loop", "self", "true", "false", "none", "True", "False", "None"];

/// What the outside gives: the time, and a number that nobody guesses. Templates have no other way to it.
#[derive(Debug, Default)]
pub struct Ambient {
    /// Microseconds since 1970.
    now: AtomicI64,
    seed: AtomicU64,
}

impl Ambient {
    /// Sets the clock.
    pub fn set_now(&self, micros: i64) {
        self.now.store(micros, Ordering::Relaxed);
    }

    /// The clock, in microseconds since 1970.
    pub fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Sets the seed of unique ids.
    pub fn set_seed(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
    }

    /// The next number of a sequence that begins at the seed.
    pub(super) fn next(&self) -> u64 {
        self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

/// Every template of a manifest, compiled.
pub struct Engine {
    environment: Environment<'static>,
    ambient: Arc<Ambient>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

impl Default for Engine {
    fn default() -> Self {
        let ambient = Arc::new(Ambient::default());
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(|out, _, value| out.write_str(&python::text(value)).map_err(Error::from));
        environment.set_fuel(Some(FUEL));
        environment.remove_global("range");
        environment.remove_global("debug");
        functions::install(&mut environment, &ambient);
        arithmetic::install(&mut environment);
        Self { environment, ambient }
    }
}

/// Why a text is no template that can be used. No value is in it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    /// It can't be parsed.
    #[error("{0}")]
    Syntax(String),
    /// A filter, test or function that Airbyte's runner does not have.
    #[error("{0}")]
    Unknown(String),
    /// A name that has no value here.
    #[error("`{name}` has no value here; there are {known}")]
    NoSuchName {
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// `stream_state`, which Airbyte's runner no longer gives.
    #[error("`stream_state` is no longer there; use `stream_interval`")]
    StreamState,
    /// Beyond [`LONGEST`].
    #[error("it has {0} bytes; at most {LONGEST} are read")]
    TooLong(usize),
}

/// Why a template gives no value. The text names what failed, never a value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EvaluationError {
    /// Something was looked for inside of what is not there.
    #[error("a template looks inside of something that is not there: {0}")]
    Undefined(String),
    /// A value can't be used as the template does.
    #[error("a template can't be evaluated: {0}")]
    Value(String),
}

/// What stands where nothing was printed.
#[derive(Clone, Copy, Debug)]
pub enum Fallback<'a> {
    /// The template once more: undefined is an error, nothing is the empty text.
    Own,
    /// `null`
    Null,
    /// A text, read as a literal.
    Text(&'a str),
}

/// Which values a literal may have; any other stays text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// All.
    Any,
    /// Text.
    Text,
    /// Text or a list.
    TextOrList,
    /// A number with a fraction.
    Float,
    /// A whole number.
    Int,
    /// True or false.
    Bool,
}

impl Wanted {
    fn accepts(self, value: &Json) -> bool {
        match self {
            Self::Any => true,
            Self::Text => matches!(value, Json::Text(_)),
            Self::TextOrList => matches!(value, Json::Text(_) | Json::List(_)),
            Self::Float => matches!(value, Json::Float(_)),
            Self::Int => matches!(value, Json::Int(_) | Json::Bool(_)),
            Self::Bool => matches!(value, Json::Bool(_)),
        }
    }

    fn read(self, text: &str) -> Json {
        literal::evaluate(text).filter(|value| self.accepts(value)).unwrap_or_else(|| Json::text(text))
    }
}

/// Names and their values for one evaluation.
#[derive(Clone, Default)]
pub struct Scope(Vec<(&'static str, Value)>);

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Scope {
    /// With the source's configuration.
    pub fn new(config: &Json) -> Self {
        Self(vec![("config", config.to_template())])
    }

    /// With one name more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.push((name, value));
        self
    }

    /// With a slice, under its three names.
    #[must_use]
    pub fn with_slice(self, slice: &Value) -> Self {
        self.with("stream_slice", slice.clone()).with("stream_interval", slice.clone()).with("stream_partition", slice.clone())
    }
}

/// A scope as the engine looks into it.
struct Names {
    names: Vec<(&'static str, Value)>,
    parameters: Value,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if key == "parameters" {
            return Some(self.parameters.clone());
        }
        self.names.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names.iter().map(|(name, _)| Value::from(*name)).collect())
    }
}

/// A text of a manifest in which names may stand.
#[derive(Clone, Debug)]
pub struct Template {
    source: Arc<str>,
    /// A text without names: as it is printed.
    plain: Option<Arc<str>>,
    parameters: Json,
}

impl Template {
    /// A text in which nothing is replaced, whatever stands in it.
    pub fn fixed(text: &str) -> Self {
        Self { source: text.into(), plain: Some(text.into()), parameters: Json::Null }
    }

    /// As it stands in the file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether nothing stands in it.
    pub fn is_empty(&self) -> bool {
        self.source.is_empty()
    }

    /// Whether a name stands in it; asked once, when a manifest is compiled.
    pub fn names(&self, name: &str) -> bool {
        self.plain.is_none() && self.source.contains(name)
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// Where something undefined is looked into and there is no other fallback, or a value can't be used.
    pub fn evaluate(&self, engine: &Engine, scope: &Scope, fallback: Fallback<'_>, wanted: Wanted) -> Result<Json, EvaluationError> {
        let again = match self.print(engine, scope) {
            Ok(text) if !text.is_empty() => return Ok(wanted.read(&text)),
            Ok(_nothing) => None,
            Err(error @ EvaluationError::Undefined(_)) => Some(error),
            Err(error) => return Err(error),
        };
        match (fallback, again) {
            (Fallback::Own, Some(error)) => Err(error),
            (Fallback::Own, None) => Ok(Json::text("")),
            (Fallback::Null, _) => Ok(Json::Null),
            (Fallback::Text(text), _) => Ok(wanted.read(text)),
        }
    }

    /// Evaluates it to what Python's `str()` makes of it.
    ///
    /// # Errors
    /// As [`Template::evaluate`] with [`Fallback::Own`].
    pub fn text(&self, engine: &Engine, scope: &Scope) -> Result<String, EvaluationError> {
        let value = self.evaluate(engine, scope, Fallback::Own, Wanted::Any)?;
        Ok(match value {
            Json::Text(text) => text.to_string(),
            other => other.shown(),
        })
    }

    /// Whether it holds: what is undefined, empty, zero or `False` does not.
    ///
    /// # Errors
    /// Where a value can't be used.
    pub fn holds(&self, engine: &Engine, scope: &Scope) -> Result<bool, EvaluationError> {
        let value = self.evaluate(engine, scope, Fallback::Text("False"), Wanted::Any)?;
        Ok(match &value {
            Json::Text(text) => !matches!(&**text, "False" | "false" | "{}" | "[]" | "()" | "" | "0" | "0.0"),
            other => other.is_true(),
        })
    }

    fn print(&self, engine: &Engine, scope: &Scope) -> Result<String, EvaluationError> {
        if let Some(plain) = &self.plain {
            return Ok(plain.to_string());
        }
        let names = Names { names: scope.0.clone(), parameters: self.parameters.to_template() };
        let template = engine.environment.get_template(&self.source).map_err(|error| EvaluationError::Value(words(&error)))?;
        match template.render(Value::from_object(names)) {
            Ok(text) => Ok(text),
            Err(error) => match error.kind() {
                // A method that a value does not have is undefined, and calling it looks inside of it.
                ErrorKind::UndefinedError | ErrorKind::UnknownMethod => Err(EvaluationError::Undefined(words(&error))),
                // Python's TypeError: the text stays as it stands in the file.
                ErrorKind::InvalidOperation | ErrorKind::MissingArgument | ErrorKind::TooManyArguments | ErrorKind::NonKey => {
                    Ok(self.source.to_string())
                }
                _ => Err(EvaluationError::Value(words(&error))),
            },
        }
    }
}

/// What went wrong, without the values that may stand in the engine's detail.
fn words(error: &Error) -> String {
    match error.line() {
        Some(line) if line > 1 => format!("{} in its line {line}", error.kind()),
        _ => error.kind().to_string(),
    }
}

impl Engine {
    /// The clock and the seed.
    pub fn ambient(&self) -> &Ambient {
        &self.ambient
    }

    /// Compiles a text. `known` are the names that will have values.
    ///
    /// # Errors
    /// Where it can't be parsed, or names something that is not there.
    pub fn compile(&mut self, source: &str, parameters: &Json, known: &[&str]) -> Result<Template, TemplateError> {
        if source.len() > LONGEST {
            return Err(TemplateError::TooLong(source.len()));
        }
        // The runner looks at the text, not at names.
        if source.contains("stream_state") {
            return Err(TemplateError::StreamState);
        }
        if !source.contains("{{") && !source.contains("{%") && !source.contains("{#") {
            // Jinja drops one line end at the end.
            let printed = source.strip_suffix('\n').unwrap_or(source);
            return Ok(Template { source: source.into(), plain: Some(printed.into()), parameters: Json::Null });
        }
        let syntax = |error: &Error| TemplateError::Syntax(error.detail().map_or_else(|| error.kind().to_string(), str::to_owned));
        if self.environment.get_template(source).is_err() {
            let rewritten = arithmetic::rewrite(source).map_err(|error| syntax(&error))?;
            self.environment.add_template_owned(source.to_owned(), rewritten).map_err(|error| syntax(&error))?;
        }
        let template = self.environment.get_template(source).map_err(|error| syntax(&error))?;
        let mut names: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        names.sort_unstable();
        let is_known = |name: &str| {
            known.contains(&name)
                || name == "parameters"
                || OWN_NAMES.contains(&name)
                || functions::is_function(name)
                || arithmetic::is_function(name)
        };
        if let Some(name) = names.iter().find(|name| !is_known(name)) {
            return Err(TemplateError::NoSuchName { name: name.clone(), known: known.join(", ") });
        }
        if let Some(unknown) = arithmetic::unknown_filter(source, functions::is_filter) {
            return Err(TemplateError::Unknown(unknown));
        }
        Ok(Template { source: source.into(), plain: None, parameters: parameters.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(source: &str, config: &str) -> Result<String, String> {
        let mut engine = Engine::default();
        engine.ambient().set_now(1_704_164_645_000_000);
        let template = engine.compile(source, &Json::object(), &["config", "record"]).map_err(|e| e.to_string())?;
        let scope = Scope::new(&Json::parse(config.as_bytes()).unwrap()).with("record", Json::object().to_template());
        template.evaluate(&engine, &scope, Fallback::Own, Wanted::Any).map(|v| v.compact()).map_err(|e| e.to_string())
    }

    #[test]
    fn it_evaluates_as_the_reference_does() {
        let config = r#"{"a":{"b":[1,2,{"c":"x"}]},"n":5,"t":"07","start":"2024-01-02T03:04:05Z","none":null,"on":true}"#;
        for (source, json) in [
            ("plain", r#""plain""#),
            ("12", "12"),
            ("{{ config['a']['b'][2].c }}", r#""x""#),
            ("{{ config.n }}", "5"),
            ("{{ config.t }}", r#""07""#),
            ("{{ config.n + 1 }}/x", r#""6/x""#),
            ("{{ config.a }}", r#"{"b":[1,2,{"c":"x"}]}"#),
            ("{{ config.none }}", "null"),
            ("{{ config.missing }}", r#""""#),
            ("{{ config.missing or 'd' }}", r#""d""#),
            ("{{ config.on }}", "true"),
            ("{{ config.get('missing', 'd') }}", r#""d""#),
            ("{{ format_datetime(config.start, '%Y-%m-%d') }}", r#""2024-01-02""#),
            ("{{ day_delta(-1, '%Y-%m-%d') }}", r#""2024-01-01""#),
            ("{{ now_utc() }}", r#""2024-01-02 03:04:05+00:00""#),
            ("{{ (now_utc() - duration('P1D')).strftime('%Y-%m-%dT%H:%M:%SZ') }}", r#""2024-01-01T03:04:05Z""#),
            ("{{ today_utc() }}", r#""2024-01-02""#),
            ("{{ timestamp('2024-01-02T03:04:05Z') }}", "1704164645.0"),
            ("{{ max(2, 3) }}", "3"),
            ("{{ 'a' | hash('md5') }}", r#""0cc175b9c0f1b6a831c399e269772661""#),
            ("{{ config.n | string }}", r#""5""#),
            ("{{ 'x' | base64encode }}", r#""eA==""#),
            ("{% if config.on %}yes{% else %}no{% endif %}", r#""yes""#),
            ("{{ 'CamelCase' | lower }}{{ camel_case_to_snake_case('CamelCase') }}", r#""camelcasecamel_case""#),
            ("{{ ','.join(['a','b']) }}", r#""a,b""#),
            ("{{ 'ab'[0:1] }}", r#""a""#),
            ("{% if config.on: %}yes{% else: %}no{% endif %}", r#""yes""#),
            (
                "{% set f = [] %}{% for x in config.a.b[:2]: -%} {% set _ = f.append({'n': x}) %} {%- endfor %}{{ f }}",
                r#"[{"n":1},{"n":2}]"#,
            ),
            ("{% set f = ['a'] %}{% set _ = f.extend(f) %}{{ f | length }}{{ f[-1] }}", r#""2a""#),
        ] {
            assert_eq!(evaluate(source, config).as_deref(), Ok(json), "{source}");
        }
        assert!(evaluate("{{ config.missing.deeper }}", config).is_err());
        assert!(evaluate("{{ response.x }}", config).is_err());
        assert!(evaluate("{{ stream_state['x'] }}", config).is_err());
        assert!(evaluate("{{ config.n | nothing }}", config).is_err());
        assert!(evaluate("{{ range(5) }}", config).is_err());
    }

    #[test]
    fn a_loop_without_end_ends() {
        let nines = "9".repeat(60);
        let source = "{% for a in config.l %}{% for b in config.l %}{% for c in config.l %}{% for d in config.l %}{% for e in config.l %}\
                      {% for f in config.l %}{% for g in config.l %}x{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}";
        assert!(
            evaluate(source, &format!(r#"{{"l":[{}]}}"#, nines.split("").filter(|s| !s.is_empty()).collect::<Vec<_>>().join(","))).is_err()
        );
    }
}
