//! Pages: whether there is one more, and how it is asked for.

use super::json::Json;
use super::request::RequestOption;
use super::template::{Engine, EvaluationError, Fallback, Scope, Template, Wanted};
use minijinja::value::Value;

/// How a stream's pages are asked for.
#[derive(Clone, Debug)]
pub struct Paginator {
    /// How the next page is found.
    pub strategy: Strategy,
    /// Where its token goes.
    pub token: Option<TokenPlace>,
    /// Where the size of pages goes.
    pub size_option: Option<RequestOption>,
}

/// Where a page's token goes.
#[derive(Clone, Debug)]
pub enum TokenPlace {
    /// It is the address, or the path.
    Path,
    /// Into an option.
    Option(RequestOption),
}

/// How the next page is found.
#[derive(Clone, Debug)]
pub enum Strategy {
    /// `CursorPagination`: the answer says it.
    Cursor {
        /// What the token is.
        value: Template,
        /// When there is none.
        stop: Option<Template>,
        /// Records of a page.
        size: Option<Template>,
    },
    /// `OffsetIncrement`
    Offset {
        /// Records of a page.
        size: Option<Template>,
        /// The first request says 0.
        first: bool,
    },
    /// `PageIncrement`
    Page {
        /// Records of a page.
        size: Option<Template>,
        /// The number of the first page.
        start: i128,
        /// The first request says it.
        first: bool,
    },
}

/// What is known after a page.
#[derive(Debug)]
pub struct Page<'a> {
    /// The answer's content; the first, where the answer is a list. `None` where no template looks at it.
    pub response: Option<&'a Json>,
    /// The answer's headers as templates see them, `link` included.
    pub headers: Value,
    /// How many records were taken from it, and how many it held before any was filtered.
    pub records: usize,
    /// See `records`.
    pub extracted: usize,
    /// The last record that was taken; `None` where no template looks at it, or there is none.
    pub last: Option<&'a Json>,
    /// The token with which it was asked for.
    pub token: Option<&'a Json>,
    /// The slice.
    pub slice: Value,
    /// Records of a page, where that is not the usual number.
    pub size: Option<i128>,
}

/// Why the next page is not known.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PageError {
    /// A template.
    #[error(transparent)]
    Template(#[from] EvaluationError),
    /// The size of pages is no whole number.
    #[error("the page size is no whole number")]
    Size,
    /// Counted pages whose token is no number.
    #[error("a page's token is no whole number")]
    Token,
}

impl Paginator {
    /// The token of the first request.
    pub fn first(&self) -> Option<Json> {
        match self.strategy {
            Strategy::Offset { first: true, .. } => Some(Json::Int(0)),
            Strategy::Page { first: true, start, .. } => Some(Json::Int(start)),
            Strategy::Cursor { .. } | Strategy::Offset { .. } | Strategy::Page { .. } => None,
        }
    }

    const fn size_template(&self) -> Option<&Template> {
        match &self.strategy {
            Strategy::Cursor { size, .. } | Strategy::Offset { size, .. } | Strategy::Page { size, .. } => size.as_ref(),
        }
    }

    /// Whether the manifest says how many records a page has.
    pub const fn says_size(&self) -> bool {
        self.size_template().is_some()
    }

    /// Records of a page, where the manifest says a number.
    pub fn fixed_size(&self) -> Option<i128> {
        self.size_template()?.source().trim().parse().ok()
    }

    /// Whether pages end by a number of records that does not follow the size that is asked for: `last_page_size < 100`. `least` is the smallest
    /// page: what is no larger is a way of saying that a page is empty.
    pub fn ends_by_a_fixed_size(&self, least: i128) -> bool {
        let Strategy::Cursor { stop: Some(stop), .. } = &self.strategy else { return false };
        let text = stop.source();
        let inner = text.trim().trim_start_matches("{{").trim_end_matches("}}");
        // As far as the reference is sure: a comparison that decides by itself, or with `and` and `or`.
        inner.split(" and ").flat_map(|part| part.split(" or ")).any(|part| {
            let part = part.trim();
            let limit = match (part.strip_prefix("last_page_size"), part.strip_suffix("last_page_size")) {
                (Some(after), _) => {
                    let after = after.trim_start();
                    after.strip_prefix("<=").map(|limit| (1, limit)).or_else(|| after.strip_prefix('<').map(|limit| (0, limit)))
                }
                (None, Some(before)) => {
                    let before = before.trim_end();
                    before.strip_suffix(">=").map(|limit| (1, limit)).or_else(|| before.strip_suffix('>').map(|limit| (0, limit)))
                }
                (None, None) => None,
            };
            limit.is_some_and(|(more, limit)| match limit.trim().parse::<i128>() {
                Ok(limit) => limit + more > least,
                Err(_expression) => limit.contains("config") || limit.contains("parameters"),
            })
        })
    }

    /// Records of a page, where the manifest says it.
    ///
    /// # Errors
    /// Where it is no whole number.
    pub fn size(&self, engine: &Engine, scope: &Scope) -> Result<Option<i128>, PageError> {
        let Some(template) = self.size_template() else { return Ok(None) };
        match template.evaluate(engine, scope, Fallback::Own, Wanted::Any)? {
            Json::Int(size) => Ok(Some(size)),
            Json::Null | Json::Bool(_) | Json::Float(_) | Json::Text(_) | Json::List(_) | Json::Map(_) => Err(PageError::Size),
        }
    }

    /// Records of a page that is asked for in another size, or of the usual one.
    ///
    /// # Errors
    /// Where the usual one is no whole number.
    pub fn size_of(&self, asked: Option<i128>, engine: &Engine, scope: &Scope) -> Result<Option<i128>, PageError> {
        asked.map_or_else(|| self.size(engine, scope), |size| Ok(Some(size)))
    }

    /// Whether a template looks at a name.
    pub fn names(&self, name: &str) -> bool {
        match &self.strategy {
            Strategy::Cursor { value, stop, size } => {
                [Some(value), stop.as_ref(), size.as_ref()].into_iter().flatten().any(|template| template.names(name))
            }
            Strategy::Offset { size, .. } => size.as_ref().is_some_and(|size| size.names(name)),
            Strategy::Page { .. } => false,
        }
    }

    /// The token of the next page; `None` where this was the last.
    ///
    /// # Errors
    /// Where a template gives no value, or a count is none.
    pub fn next(&self, page: &Page<'_>, engine: &Engine, scope: &Scope) -> Result<Option<Json>, PageError> {
        let count = |n: usize| i128::try_from(n).unwrap_or(i128::MAX);
        match &self.strategy {
            Strategy::Cursor { value, stop, .. } => {
                let size = self.size_of(page.size, engine, scope)?.map_or(Json::Null, Json::Int);
                let seen = |json: Option<&Json>| json.map_or_else(|| Value::from(()), Json::to_template);
                let here = scope
                    .clone()
                    .with("response", page.response.map_or_else(|| Json::object().to_template(), Json::to_template))
                    .with("headers", page.headers.clone())
                    .with("last_record", seen(page.last))
                    .with("last_page_size", Value::from(page.records))
                    .with("page_size", size.to_template())
                    .with_slice(&page.slice);
                if let Some(stop) = stop
                    && stop.holds(engine, &here)?
                {
                    return Ok(None);
                }
                let token = value.evaluate(engine, &here, Fallback::Own, Wanted::Any)?;
                Ok(token.is_true().then_some(token))
            }
            Strategy::Offset { .. } => {
                let here = page.response.map_or_else(|| scope.clone(), |response| scope.clone().with("response", response.to_template()));
                let extracted = count(page.extracted);
                let size = self.size_of(page.size, engine, &here)?;
                if extracted == 0 || size.is_some_and(|size| size != 0 && extracted < size) {
                    return Ok(None);
                }
                counted(page.token, extracted, extracted)
            }
            Strategy::Page { start, .. } => {
                let extracted = count(page.extracted);
                if extracted == 0 || self.size(engine, scope)?.is_some_and(|size| size != 0 && extracted < size) {
                    return Ok(None);
                }
                counted(page.token, 1, start + 1)
            }
        }
    }
}

fn counted(token: Option<&Json>, step: i128, first: i128) -> Result<Option<Json>, PageError> {
    match token {
        None | Some(Json::Null) => Ok(Json::Int(first)).map(|next| next.is_true().then_some(next)),
        Some(Json::Int(n)) => Ok(Json::Int(n + step)).map(|next| next.is_true().then_some(next)),
        Some(_) => Err(PageError::Token),
    }
}
