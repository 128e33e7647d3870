//! What a request is made of: address, parameters, headers, body, out of templates and options.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is the same")]

use super::json::{Json, Members};
use super::template::{Engine, EvaluationError, Fallback, Scope, Template, Wanted};
use super::transform::evaluated;
use std::fmt;
use std::sync::Arc;

/// Where an option goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Into {
    /// `request_parameter`
    Parameter,
    /// `header`
    Header,
    /// `body_data`
    BodyData,
    /// `body_json`
    BodyJson,
}

/// An option of a request: where a page's token, a slice's start or a key goes.
#[derive(Clone, Debug)]
pub struct RequestOption {
    /// Where.
    pub into: Into,
    /// Its name; several for a place inside of a JSON body.
    pub path: Vec<Template>,
}

/// Why there is no request.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// A template.
    #[error(transparent)]
    Template(#[from] EvaluationError),
    /// Two parts of the manifest give one name a value.
    #[error("`{0}` is given twice in one request")]
    Twice(String),
    /// A parameter that is an object.
    #[error("the request parameter `{0}` is an object")]
    ObjectParameter(String),
    /// A form and a JSON body at once.
    #[error("the request has a form and a JSON body")]
    TwoBodies,
    /// Neither text nor an object.
    #[error("{0} must be an object")]
    NoObject(&'static str),
}

/// Texts or an object of texts, in parameters, headers and forms.
#[derive(Clone, Debug)]
pub enum Inputs {
    /// Names and values; a value that is no text stands for itself.
    Map(Vec<(Template, Input)>),
    /// A template that gives text or an object.
    Whole(Template),
}

/// A value.
#[derive(Clone, Debug)]
pub enum Input {
    /// Evaluated.
    Template(Template),
    /// As it is.
    Fixed(Json),
}

impl Default for Inputs {
    fn default() -> Self {
        Self::Map(Vec::new())
    }
}

/// What inputs became.
#[derive(Clone)]
pub enum Given {
    /// Names and values.
    Map(Members),
    /// Text, as it is sent.
    Text(Arc<str>),
}

impl Inputs {
    fn evaluate(&self, engine: &Engine, scope: &Scope, wanted: Wanted) -> Result<Given, EvaluationError> {
        match self {
            Self::Whole(template) => Ok(match template.evaluate(engine, scope, Fallback::Own, Wanted::Any)? {
                Json::Map(members) => Given::Map(without_null(&members)),
                Json::Text(text) => Given::Text(text),
                other => Given::Text(other.shown().into()),
            }),
            Self::Map(entries) => {
                let mut members = Members::new();
                for (name, value) in entries {
                    let name = name.evaluate(engine, scope, Fallback::Null, Wanted::Text)?.shown();
                    let value = match value {
                        Input::Fixed(value) => value.clone(),
                        Input::Template(template) => template.evaluate(engine, scope, Fallback::Null, wanted)?,
                    };
                    members.insert(name.into(), value);
                }
                Ok(Given::Map(without_null(&members)))
            }
        }
    }
}

fn without_null(members: &Members) -> Members {
    members.iter().filter(|(_, value)| !matches!(value, Json::Null)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// JSON with templates in it.
#[derive(Clone, Debug)]
pub enum Nested {
    /// A template.
    Template(Template),
    /// An object; names are templates too, and members that become null are left out.
    Map(Vec<(Template, Nested)>),
    /// A list.
    List(Vec<Nested>),
    /// As it is.
    Fixed(Json),
}

impl Nested {
    fn evaluate(&self, engine: &Engine, scope: &Scope) -> Result<Json, EvaluationError> {
        Ok(match self {
            Self::Template(template) => template.evaluate(engine, scope, Fallback::Null, Wanted::Any)?,
            Self::Fixed(value) => value.clone(),
            Self::List(items) => Json::List(Arc::new(items.iter().map(|item| item.evaluate(engine, scope)).collect::<Result<_, _>>()?)),
            Self::Map(entries) => {
                let mut members = Members::new();
                for (name, value) in entries {
                    let name = name.evaluate(engine, scope, Fallback::Null, Wanted::Any)?;
                    let value = value.evaluate(engine, scope)?;
                    if !matches!(value, Json::Null) {
                        members.insert(name.shown().into(), value);
                    }
                }
                Json::Map(Arc::new(members))
            }
        })
    }
}

/// A body.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// None.
    #[default]
    None,
    /// A form, or text.
    Data(Inputs),
    /// JSON.
    Json(Nested),
}

/// What a manifest says about every request of a stream.
#[derive(Clone, Debug)]
pub struct Outline {
    /// `url`, or `url_base`.
    pub base: Template,
    /// `path`
    pub path: Option<Template>,
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// In the address.
    pub parameters: Inputs,
    /// Headers.
    pub headers: Inputs,
    /// The body.
    pub body: Body,
}

/// The parts of a request that come from elsewhere than its outline, in order: page, slice, login.
#[derive(Clone, Default)]
pub struct Options {
    parameters: Members,
    headers: Members,
    data: Members,
    json: Members,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Options")
    }
}

impl Options {
    /// Puts a value where an option says.
    ///
    /// # Errors
    /// Where a name can't be evaluated, or has a value.
    pub fn put(&mut self, option: &RequestOption, value: Json, engine: &Engine, scope: &Scope) -> Result<(), RequestError> {
        let path = evaluated(&option.path, engine, scope)?;
        let target = match option.into {
            Into::Parameter => &mut self.parameters,
            Into::Header => &mut self.headers,
            Into::BodyData => &mut self.data,
            Into::BodyJson => {
                let mut json = Json::Map(Arc::new(std::mem::take(&mut self.json)));
                if super::path::get(&json, &path).is_some_and(|there| *there != value) {
                    return Err(RequestError::Twice(path.join(".")));
                }
                super::path::set(&mut json, &path, value);
                self.json = json.members().cloned().unwrap_or_default();
                return Ok(());
            }
        };
        let name = path.join(".");
        if target.contains_key(name.as_str()) {
            return Err(RequestError::Twice(name));
        }
        target.insert(name.into(), value);
        Ok(())
    }

    /// The headers as text.
    pub fn header_texts(&self) -> Vec<(String, String)> {
        self.headers.iter().map(|(name, value)| (name.to_string(), shown(value))).collect()
    }

    /// A parameter, over any other option.
    pub fn parameter(&mut self, name: &str, value: &str) {
        self.parameters.insert(name.into(), Json::text(value));
    }

    /// A parameter that is sent once for each of these.
    pub fn repeated(&mut self, name: &str, values: &[&str]) {
        let values = values.iter().map(|value| Json::text(value)).collect();
        self.parameters.insert(name.into(), Json::List(Arc::new(values)));
    }

    /// A header, over any other.
    pub fn header(&mut self, name: &str, value: &str) {
        self.headers.insert(name.into(), Json::text(value));
    }
}

/// A request, ready to be sent. `Debug` shows no values.
#[derive(Clone)]
pub struct Built {
    /// `GET`
    pub method: &'static str,
    /// In full, with its parameters.
    pub url: String,
    /// Names as they were written.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Option<Vec<u8>>,
}

impl fmt::Debug for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Built").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A body's type, where it has one, and its bytes.
type Content = (Option<&'static str>, Vec<u8>);

/// Joins two objects; a name in both is an error, except in JSON bodies with the same value.
fn merge(target: &mut Members, more: Members, same_is_fine: bool) -> Result<(), RequestError> {
    for (key, value) in more {
        match target.get_mut(&key) {
            None => _ = target.insert(key, value),
            Some(Json::Map(inner)) if same_is_fine && value.members().is_some() => {
                let Json::Map(value) = value else { continue };
                merge(Arc::make_mut(inner), Arc::unwrap_or_clone(value), true)?;
            }
            Some(there) if same_is_fine && *there == value => {}
            Some(_) => return Err(RequestError::Twice(key.to_string())),
        }
    }
    Ok(())
}

impl Outline {
    /// Makes a request. `page_path` stands in place of the path where a page's token is one.
    ///
    /// # Errors
    /// Where a template gives no value, or parts contradict each other.
    pub fn build(&self, options: Options, page_path: Option<&str>, engine: &Engine, scope: &Scope) -> Result<Built, RequestError> {
        let base = self.base.text(engine, scope)?;
        let path = match page_path {
            Some(path) => path.to_owned(),
            None => match &self.path {
                None => String::new(),
                Some(path) => path.text(engine, scope)?.trim_start_matches('/').to_owned(),
            },
        };
        let url = join(&base, &path);
        let Given::Map(mut parameters) = self.parameters.evaluate(engine, scope, Wanted::TextOrList)? else {
            return Err(RequestError::NoObject("`request_parameters`"));
        };
        merge(&mut parameters, options.parameters, false)?;
        let Given::Map(mut headers) = self.headers.evaluate(engine, scope, Wanted::Any)? else {
            return Err(RequestError::NoObject("`request_headers`"));
        };
        merge(&mut headers, options.headers, false)?;
        let mut headers: Vec<(String, String)> = headers.iter().map(|(name, value)| (name.to_string(), shown(value))).collect();
        let body = self.content(options.data, options.json, engine, scope)?;
        let body = match body {
            Some((kind, bytes)) if matches!(self.method, "GET" | "POST" | "PUT" | "PATCH") => {
                if let Some(kind) = kind
                    && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
                {
                    headers.push(("Content-Type".to_owned(), kind.to_owned()));
                }
                Some(bytes)
            }
            Some(_) | None => None,
        };
        Ok(Built { method: self.method, url: with_parameters(&url, &parameters)?, headers, body })
    }

    fn content(&self, data: Members, json: Members, engine: &Engine, scope: &Scope) -> Result<Option<Content>, RequestError> {
        const FORM: &str = "application/x-www-form-urlencoded";
        let mut object = match &self.body {
            Body::Json(nested) => match nested.evaluate(engine, scope)? {
                Json::Map(members) => Arc::unwrap_or_clone(members),
                Json::Text(text) if text.is_empty() => Members::new(),
                _ => return Err(RequestError::NoObject("`request_body_json`")),
            },
            Body::None | Body::Data(_) => Members::new(),
        };
        merge(&mut object, json, true)?;
        let given = match &self.body {
            Body::Data(inputs) => inputs.evaluate(engine, scope, Wanted::TextOrList)?,
            Body::None | Body::Json(_) => Given::Map(Members::new()),
        };
        let form = match given {
            Given::Text(text) if text.is_empty() => data,
            Given::Text(text) if data.is_empty() && object.is_empty() => return Ok(Some((None, text.as_bytes().to_vec()))),
            Given::Text(_) => return Err(RequestError::TwoBodies),
            Given::Map(mut members) => {
                merge(&mut members, data, false)?;
                members
            }
        };
        match (form.is_empty(), object.is_empty()) {
            (false, false) => Err(RequestError::TwoBodies),
            (true, true) => Ok(None),
            (false, true) => Ok(Some((Some(FORM), encode(&form)?.into_bytes()))),
            (true, false) => Ok(Some((Some("application/json"), Json::Map(Arc::new(object)).compact().into_bytes()))),
        }
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::Text(text) => text.to_string(),
        other => other.shown(),
    }
}

/// As `urljoin` after a base that ends with `/`.
fn join(base: &str, path: &str) -> String {
    if path.is_empty() {
        return base.to_owned();
    }
    if base.is_empty() || path.starts_with("http://") || path.starts_with("https://") {
        return path.to_owned();
    }
    if path.starts_with('/') {
        let after = base.find("://").map_or(0, |at| at + 3);
        let host = base.get(after..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(base.len(), |at| after + at);
        return format!("{}{path}", base.get(..host).unwrap_or_default());
    }
    let (route, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    let after = base.find("://").map_or(0, |at| at + 3);
    let at = base.get(after..).and_then(|rest| rest.find('/')).map_or(base.len(), |at| after + at);
    let (origin, under) = base.split_at(at);
    // Slashes that follow each other are one: a template between them may have given nothing.
    let segments: Vec<&str> = under.split('/').chain(route.split('/')).filter(|segment| !segment.is_empty()).collect();
    let end = if route.is_empty() || route.ends_with('/') { "/" } else { "" };
    format!("{origin}/{}{end}{query}", segments.join("/"))
}

fn pairs(members: &Members) -> Result<Vec<(String, String)>, RequestError> {
    let mut pairs = Vec::with_capacity(members.len());
    for (name, value) in members {
        match value {
            Json::Null => {}
            Json::Map(_) => return Err(RequestError::ObjectParameter(name.to_string())),
            Json::List(items) => {
                pairs.extend(items.iter().filter(|i| !matches!(i, Json::Null)).map(|item| (name.to_string(), shown(item))));
            }
            value => pairs.push((name.to_string(), shown(value))),
        }
    }
    Ok(pairs)
}

fn encode(members: &Members) -> Result<String, RequestError> {
    Ok(encode_pairs(&pairs(members)?))
}

/// Names and values as a form (`application/x-www-form-urlencoded`).
pub fn encode_pairs(pairs: &[(String, String)]) -> String {
    use super::functions::quote_plus;
    pairs.iter().map(|(name, value)| format!("{}={}", quote_plus(name), quote_plus(value))).collect::<Vec<_>>().join("&")
}

/// Adds parameters to an address; one that stands there with the same value is not repeated.
fn with_parameters(url: &str, parameters: &Members) -> Result<String, RequestError> {
    let (before, fragment) = url.split_once('#').map_or((url, None), |(before, fragment)| (before, Some(fragment)));
    let query = before.split_once('?').map_or("", |(_, query)| query);
    let there = |name: &str, value: &Json| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(n, _)| decode(n) == name)
            .is_some_and(|(_, v)| decode(v) == shown(value))
    };
    let new: Members = parameters.iter().filter(|(name, value)| !there(name, value)).map(|(n, v)| (n.clone(), v.clone())).collect();
    let added = encode(&new)?;
    let between = match (added.is_empty(), query.is_empty()) {
        (true, _) => "",
        (false, true) if before.ends_with('?') => "",
        (false, true) => "?",
        (false, false) => "&",
    };
    let end = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    Ok(format!("{before}{between}{added}{end}"))
}

/// `%41+b` → `A b`; what is no code stays.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(|code| u8::from_str_radix(code, 16).ok());
        if let Some(code) = code {
            out.push(code);
            at += 3;
        } else {
            out.push(if *byte == b'+' { b' ' } else { *byte });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_joined_as_the_reference_does() {
        for (base, path, url) in [
            ("https://h/api/", "x", "https://h/api/x"),
            ("https://h/api", "x/y", "https://h/api/x/y"),
            ("https://h/api/", "", "https://h/api/"),
            ("https://h/api", "/v2/x?p=1", "https://h/v2/x?p=1"),
            ("https://h/api", "https://o/z", "https://o/z"),
        ] {
            assert_eq!(join(base, path), url);
        }
    }

    #[test]
    fn parameters_are_added_once() {
        let parameters = Json::parse(br#"{"a":"1","b":[1,2],"c":"x y","d":null}"#).unwrap();
        let members = parameters.members().unwrap();
        assert_eq!(with_parameters("https://h/p?a=1", members).unwrap(), "https://h/p?a=1&b=1&b=2&c=x+y");
        assert_eq!(with_parameters("https://h/p", &Members::new()).unwrap(), "https://h/p");
    }
}
