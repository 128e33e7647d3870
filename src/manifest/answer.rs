//! What an answer means: taken, left out, tried again, or the end; and how long to wait before.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is the same fault")]

use super::again::Again;
use super::json::Json;
use super::template::{Engine, EvaluationError, Fallback, Scope, Template, Wanted};
use minijinja::value::{Enumerator, Object, Value};
use std::fmt;
use std::sync::Arc;

/// What is done after an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It is taken.
    Success,
    /// Tried again.
    Retry,
    /// Tried again, when the server allows it.
    RateLimited,
    /// Tried again with a new token.
    RefreshToken,
    /// No records, and the next slice.
    Ignore,
    /// The stream fails.
    Fail,
    /// Its page is asked for in another way.
    Again(Again),
}

/// `HttpResponseFilter`
#[derive(Clone, Debug)]
pub struct Filter {
    /// What is done where it fits; nothing, where it says nothing.
    pub action: Option<Action>,
    /// Status codes.
    pub codes: Vec<u16>,
    /// A condition over the answer.
    pub predicate: Option<Template>,
    /// A part of the answer's error text.
    pub contains: Option<String>,
    /// What people are told.
    pub message: Option<Template>,
}

/// How long to wait.
#[derive(Clone, Debug)]
pub enum Backoff {
    /// Always as long.
    Constant(Template),
    /// `factor × 2 ^ attempt`
    Exponential(Template),
    /// A header says how long.
    Header {
        /// Its name.
        name: Template,
        /// What of its value counts.
        pattern: Option<Template>,
        /// Longer is an error.
        most: Option<Template>,
    },
    /// A template over the answer says how long.
    Answer {
        /// The seconds; where it gives no number, the next strategy is asked.
        seconds: Template,
        /// Longer is an error.
        most: Option<Template>,
    },
    /// A header says until when, in seconds since 1970.
    UntilHeader {
        /// Its name.
        name: Template,
        /// What of its value counts.
        pattern: Option<Template>,
        /// At least as long.
        least: Option<Template>,
        /// Longer is an error.
        most: Option<Template>,
    },
}

/// `DefaultErrorHandler`
#[derive(Clone, Debug, Default)]
pub struct Handler {
    /// The first that fits decides.
    pub filters: Vec<Filter>,
    /// The first that gives a wait decides.
    pub backoffs: Vec<Backoff>,
    /// How often it is tried again; 5 where nothing is said.
    pub retries: Option<Template>,
}

/// What a stream does about errors: one handler, or several that are asked in turn.
#[derive(Clone, Debug, Default)]
pub struct ErrorHandling(pub Vec<Handler>);

/// An answer as filters look at it.
pub struct Seen<'a> {
    /// The status.
    pub status: u16,
    /// Headers, as templates see them.
    pub headers: Value,
    /// Names in small letters and values.
    pub pairs: &'a [(String, String)],
    /// The content, where it is JSON.
    pub json: Option<&'a Json>,
    /// The content as text, where it is no JSON.
    pub text: &'a str,
    /// The address without parameters.
    pub url: &'a str,
}

impl fmt::Debug for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").field("status", &self.status).finish_non_exhaustive()
    }
}

/// What was decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolution {
    /// What is done.
    pub action: Action,
    /// What the manifest's author tells people about it.
    pub message: Option<String>,
}

/// A wait, in seconds; or one that is longer than the manifest allows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Wait {
    /// As long.
    Seconds(f64),
    /// Longer than allowed.
    TooLong(f64),
}

/// Headers as templates see them: the case of names makes no difference.
pub struct Headers {
    pairs: Vec<(String, String)>,
    link: Option<Value>,
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Headers")
    }
}

impl Headers {
    /// For templates. `link` becomes the links by their relation, where `links` says so.
    pub fn to_template(pairs: &[(String, String)], links: bool) -> Value {
        let link = links.then(|| links_of(pairs).to_template());
        Value::from_object(Self { pairs: pairs.to_vec(), link })
    }
}

impl Object for Headers {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        if key == "link"
            && let Some(link) = &self.link
        {
            return Some(link.clone());
        }
        let mut values = self.pairs.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str());
        let first = values.next()?.to_owned();
        Some(Value::from(values.fold(first, |all, more| format!("{all}, {more}"))))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.pairs.iter().map(|(name, _)| Value::from(name.as_str())).collect())
    }
}

/// `Link: <https://…>; rel="next", …` by relation (RFC 8288).
fn links_of(pairs: &[(String, String)]) -> Json {
    let mut links = super::json::Members::new();
    for (_, value) in pairs.iter().filter(|(name, _)| name.eq_ignore_ascii_case("link")) {
        let mut rest = value.as_str();
        // A header has at most some KiB, and each turn takes a link off.
        while let Some((_, after)) = rest.split_once('<') {
            let Some((url, after)) = after.split_once('>') else { break };
            let end = after.find(", <").or_else(|| after.find(",<")).unwrap_or(after.len());
            let (parameters, next) = after.split_at_checked(end).unwrap_or((after, ""));
            let mut link = super::json::Members::new();
            link.insert("url".into(), Json::text(url));
            for parameter in parameters.split(';') {
                if let Some((name, value)) = parameter.split_once('=') {
                    link.insert(name.trim().into(), Json::text(value.trim_matches([' ', '"', '\'', ','])));
                }
            }
            let key = link.get("rel").and_then(Json::as_text).unwrap_or(url).to_owned();
            links.insert(key.into(), Json::Map(Arc::new(link)));
            rest = next;
        }
    }
    Json::Map(Arc::new(links))
}

/// The text that tells what went wrong, where the usual members hold one.
fn error_text(value: &Json) -> Option<String> {
    const MEMBERS: &[&str] = &[
        "message",
        "messages",
        "error",
        "errors",
        "failures",
        "failure",
        "detail",
        "err",
        "error_message",
        "msg",
        "reason",
        "status_message",
    ];
    match value {
        Json::Text(text) => Some(text.to_string()),
        Json::List(items) => Some(items.iter().filter_map(error_text).collect::<Vec<_>>().join(", ")),
        Json::Map(_) => MEMBERS.iter().filter_map(|name| value.get(name)).find(|value| value.is_true()).and_then(error_text),
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) => None,
    }
}

impl Filter {
    /// Whether it asks what stands in an answer, to decide or to tell.
    const fn looks_inside(&self) -> bool {
        self.predicate.is_some() || self.contains.is_some() || self.message.is_some()
    }

    fn fits(&self, seen: &Seen<'_>, engine: &Engine, scope: &Scope) -> Result<bool, EvaluationError> {
        if self.codes.contains(&seen.status) {
            return Ok(true);
        }
        if let Some(predicate) = &self.predicate
            && predicate.holds(engine, scope)?
        {
            return Ok(true);
        }
        Ok(self.contains.as_ref().is_some_and(|part| match seen.json {
            Some(json) => error_text(json).is_some_and(|text| text.contains(part.as_str())),
            None => seen.text.contains(part.as_str()),
        }))
    }
}

/// What is done about a status when no filter says it.
const fn usual(status: u16) -> Action {
    match status {
        200..=399 => Action::Success,
        429 => Action::RateLimited,
        400 | 401 | 403 | 404 | 405 => Action::Fail,
        _ => Action::Retry,
    }
}

fn scope_of(seen: &Seen<'_>, config: &Json) -> Scope {
    Scope::new(config)
        .with("response", seen.json.map_or_else(|| Json::object().to_template(), Json::to_template))
        .with("headers", seen.headers.clone())
        .with("request_url", Value::from(seen.url))
}

impl Handler {
    fn resolve(&self, seen: &Seen<'_>, engine: &Engine, config: &Json) -> Result<Resolution, EvaluationError> {
        // Predicates do not see the configuration.
        let scope = scope_of(seen, &Json::Null);
        for filter in &self.filters {
            if let Some(action) = filter.action
                && filter.fits(seen, engine, &scope)?
            {
                let message = match &filter.message {
                    None => None,
                    Some(message) => Some(message.text(engine, &scope_of(seen, config))?).filter(|text| !text.is_empty()),
                };
                return Ok(Resolution { action, message });
            }
        }
        Ok(Resolution { action: usual(seen.status), message: None })
    }
}

impl ErrorHandling {
    /// Whether any filter or wait asks what stands in an answer.
    pub fn looks_inside(&self) -> bool {
        self.0.iter().any(|handler| {
            handler.filters.iter().any(Filter::looks_inside)
                || handler.backoffs.iter().any(|backoff| matches!(backoff, Backoff::Answer { .. }))
        })
    }

    /// What an answer means.
    ///
    /// # Errors
    /// Where a condition can't be evaluated.
    pub fn resolve(&self, seen: &Seen<'_>, engine: &Engine, config: &Json) -> Result<Resolution, EvaluationError> {
        let mut last = Resolution { action: usual(seen.status), message: None };
        for handler in &self.0 {
            last = handler.resolve(seen, engine, config)?;
            if matches!(last.action, Action::Success | Action::Retry | Action::Ignore) {
                return Ok(last);
            }
        }
        Ok(last)
    }

    /// How often a request is tried again; at most 100.
    ///
    /// # Errors
    /// Where the manifest's number is none.
    pub fn retries(&self, engine: &Engine, config: &Json) -> Result<u32, EvaluationError> {
        let Some(template) = self.0.first().and_then(|handler| handler.retries.as_ref()) else { return Ok(5) };
        match template.evaluate(engine, &Scope::new(config), Fallback::Text("5"), Wanted::Any)? {
            Json::Int(n) => Ok(u32::try_from(n.clamp(0, 100)).unwrap_or(100)),
            Json::Text(text) if text.trim().parse::<u32>().is_ok() => Ok(text.trim().parse().map_or(5, |n: u32| n.min(100))),
            _ => Err(EvaluationError::Value("`max_retries` is no whole number".to_owned())),
        }
    }

    /// How long to wait before the next attempt, by the first strategy that knows; the count begins at 1.
    ///
    /// # Errors
    /// Where a template gives no number.
    pub fn wait(&self, answer: Option<&Seen<'_>>, attempt: u32, engine: &Engine, config: &Json) -> Result<Option<Wait>, EvaluationError> {
        for backoff in self.0.iter().flat_map(|handler| &handler.backoffs) {
            if let Some(wait) = backoff.wait(answer, attempt, engine, config)? {
                return Ok(Some(wait));
            }
        }
        Ok(None)
    }
}

fn number(template: &Template, engine: &Engine, scope: &Scope) -> Result<f64, EvaluationError> {
    let value = template.evaluate(engine, scope, Fallback::Own, Wanted::Any)?;
    let number = value.number().or_else(|| value.as_text().and_then(|text| text.trim().parse().ok()));
    number.filter(|n| n.is_finite()).ok_or_else(|| EvaluationError::Value("a wait is no number".to_owned()))
}

/// The number in a header, or in what a pattern takes of its start.
fn header_number(
    answer: Option<&Seen<'_>>,
    name: &Template,
    pattern: Option<&Template>,
    engine: &Engine,
    scope: &Scope,
) -> Result<Option<f64>, EvaluationError> {
    let name = name.text(engine, scope)?;
    let Some(value) = answer.and_then(|seen| seen.pairs.iter().find(|(n, _)| n.eq_ignore_ascii_case(&name))).map(|(_, value)| value) else {
        return Ok(None);
    };
    let taken = match pattern {
        None => value.as_str(),
        Some(pattern) => {
            let regex = regex::RegexBuilder::new(&format!("^(?:{})", pattern.text(engine, scope)?))
                .size_limit(1 << 20)
                .build()
                .map_err(|_bad| EvaluationError::Value("a pattern that can't be used".to_owned()))?;
            regex.find(value).map_or(value.as_str(), |found| found.as_str())
        }
    };
    Ok(taken.trim().parse::<f64>().ok().filter(|n| n.is_finite()))
}

impl Backoff {
    fn wait(&self, answer: Option<&Seen<'_>>, attempt: u32, engine: &Engine, config: &Json) -> Result<Option<Wait>, EvaluationError> {
        let scope = &Scope::new(config);
        let capped = |seconds: f64, most: &Option<Template>| -> Result<Option<Wait>, EvaluationError> {
            let most = most.as_ref().map(|most| number(most, engine, scope)).transpose()?;
            let too_long = most.is_some_and(|most| seconds >= most);
            Ok((seconds > 0.0).then_some(if too_long { Wait::TooLong(seconds) } else { Wait::Seconds(seconds) }))
        };
        match self {
            Self::Constant(seconds) => Ok(Some(number(seconds, engine, scope)?).filter(|s| *s > 0.0).map(Wait::Seconds)),
            Self::Exponential(factor) => {
                let seconds = number(factor, engine, scope)? * f64::from(attempt.min(30)).exp2();
                Ok((seconds > 0.0).then_some(Wait::Seconds(seconds)))
            }
            Self::Header { name, pattern, most } => match header_number(answer, name, pattern.as_ref(), engine, scope)? {
                None => Ok(None),
                Some(seconds) => capped(seconds, most),
            },
            Self::Answer { seconds, most } => {
                let Some(seen) = answer else { return Ok(None) };
                let told = seconds.evaluate(engine, &scope_of(seen, config), Fallback::Own, Wanted::Any);
                let told = told.ok().and_then(|told| told.number().or_else(|| told.as_text()?.trim().parse().ok()));
                told.filter(|n| n.is_finite()).map_or(Ok(None), |seconds| capped(seconds, most))
            }
            Self::UntilHeader { name, pattern, least, most } => {
                let least = least.as_ref().map(|least| number(least, engine, scope)).transpose()?;
                let until = header_number(answer, name, pattern.as_ref(), engine, scope)?.filter(|n| n.abs() > 0.0);
                #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit 2^53")]
                let now = engine.ambient().now() as f64 / 1e6;
                match (until, least) {
                    (None, None) => Ok(None),
                    (None, Some(least)) => capped(least, most),
                    (Some(until), Some(least)) => capped((until - now).max(least), most),
                    (Some(until), None) => capped(until - now, most),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_by_relation() {
        let pairs = vec![("link".to_owned(), r#"<https://h/a?x=1,2>; rel="next", <https://h/b>; rel=prev; title="x""#.to_owned())];
        assert_eq!(
            links_of(&pairs).compact(),
            r#"{"next":{"url":"https://h/a?x=1,2","rel":"next"},"prev":{"url":"https://h/b","rel":"prev","title":"x"}}"#
        );
    }

    #[test]
    fn error_texts_are_found_in_the_usual_members() {
        let text = |json: &str| error_text(&Json::parse(json.as_bytes()).unwrap());
        assert_eq!(text(r#"{"errors":[{"message":"a"},"b"]}"#).as_deref(), Some("a, b"));
        assert_eq!(text(r#"{"message":"","detail":{"reason":"r"}}"#).as_deref(), Some("r"));
        assert_eq!(text("5"), None);
    }
}
