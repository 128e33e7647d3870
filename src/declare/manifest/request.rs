//! Requesters: address, inputs, bodies, errors and what is waited for.

use super::compile::{ANSWER, CONFIG, Compiler, REQUEST, WAIT};
use super::part::{Kind, Part};
use crate::manifest::again::Again;
use crate::manifest::answer::{Action, Backoff, ErrorHandling, Filter, Handler};
use crate::manifest::request::{Body, Input, Inputs, Nested, Outline};

impl Compiler<'_> {
    /// What a requester says about its requests.
    pub fn outline(&mut self, requester: &Part) -> Option<Outline> {
        for key in ["fetch_properties_from_endpoint", "query_properties"] {
            if let Some(part) = requester.get(key) {
                self.refuse(part.span, &format!("`{key}`"), "records are not put together from several requests");
            }
        }
        let base = match (requester.get("url"), requester.get("url_base")) {
            (_, Some(base)) | (Some(base), None) => base.clone(),
            (None, None) => self.required(requester, "url_base")?.clone(),
        };
        let base = self.template_of(&base, requester, REQUEST)?;
        let method = match requester.text_of("http_method").unwrap_or("GET") {
            "GET" => "GET",
            "POST" => "POST",
            "PUT" => "PUT",
            "PATCH" => "PATCH",
            "DELETE" => "DELETE",
            _ => {
                let span = requester.get("http_method").map_or(requester.span, |part| part.span);
                self.wrong(span, "a request is GET, POST, PUT, PATCH or DELETE", "Write one of these");
                return None;
            }
        };
        Some(Outline {
            base,
            path: self.template(requester, "path", REQUEST),
            method,
            parameters: self.inputs(requester, "request_parameters"),
            headers: self.inputs(requester, "request_headers"),
            body: self.body(requester),
        })
    }

    fn inputs(&mut self, owner: &Part, key: &str) -> Inputs {
        owner.get(key).cloned().map_or_else(Inputs::default, |value| self.inputs_of(&value, owner))
    }

    fn inputs_of(&mut self, value: &Part, owner: &Part) -> Inputs {
        match &value.kind {
            Kind::Map(_) => Inputs::Map(self.pairs(value, owner, REQUEST)),
            Kind::Text(_) => self.template_of(value, owner, REQUEST).map_or_else(Inputs::default, Inputs::Whole),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::List(_) => {
                self.wrong(value.span, "names and values are meant here, or a template", "Write `name: value`");
                Inputs::default()
            }
        }
    }

    /// Names and values, both templates.
    pub fn pairs(&mut self, map: &Part, owner: &Part, known: &[&str]) -> Vec<(crate::manifest::Template, Input)> {
        let mut pairs = Vec::new();
        for field in map.fields() {
            if &*field.key == "$parameters" {
                continue;
            }
            let key = Part { span: field.key_span, kind: Kind::Text(field.key.clone()) };
            let Some(name) = self.template_of(&key, owner, known) else { continue };
            let value = match &field.value.kind {
                Kind::Text(_) => match self.template_of(&field.value, owner, known) {
                    Some(template) => Input::Template(template),
                    None => continue,
                },
                Kind::Map(_) if field.value.component() == "QueryProperties" => {
                    self.refuse(field.value.span, "`QueryProperties`", "records are not put together from several requests");
                    continue;
                }
                Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::List(_) | Kind::Map(_) => {
                    Input::Fixed(field.value.to_json())
                }
            };
            pairs.push((name, value));
        }
        pairs
    }

    fn body(&mut self, requester: &Part) -> Body {
        if let Some(body) = requester.get("request_body").cloned() {
            let Some(value) = self.required(&body, "value").cloned() else { return Body::None };
            return match body.component() {
                "RequestBodyUrlEncodedForm" | "RequestBodyPlainText" => Body::Data(self.inputs_of(&value, requester)),
                "RequestBodyJsonObject" | "RequestBodyGraphQL" => self.nested(&value, requester).map_or(Body::None, Body::Json),
                _ => {
                    self.wrong(body.span, "a body is a form, text, JSON or GraphQL", "Write `type: RequestBodyJsonObject`, for instance");
                    Body::None
                }
            };
        }
        match (requester.get("request_body_data").cloned(), requester.get("request_body_json").cloned()) {
            (Some(_), Some(json)) => {
                self.wrong(json.span, "`request_body_data` and `request_body_json` exclude each other", "Keep one");
                Body::None
            }
            (Some(data), None) => Body::Data(self.inputs_of(&data, requester)),
            (None, Some(json)) => self.nested(&json, requester).map_or(Body::None, Body::Json),
            (None, None) => Body::None,
        }
    }

    fn nested(&mut self, value: &Part, owner: &Part) -> Option<Nested> {
        Some(match &value.kind {
            Kind::Text(_) => Nested::Template(self.template_of(value, owner, REQUEST)?),
            Kind::Map(fields) => {
                let mut entries = Vec::new();
                for field in fields.iter().filter(|field| &*field.key != "$parameters") {
                    let key = Part { span: field.key_span, kind: Kind::Text(field.key.clone()) };
                    entries.push((self.template_of(&key, owner, REQUEST)?, self.nested(&field.value, owner)?));
                }
                Nested::Map(entries)
            }
            Kind::List(items) => Nested::List(items.iter().map(|item| self.nested(item, owner)).collect::<Option<_>>()?),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => Nested::Fixed(value.to_json()),
        })
    }

    /// What a requester does about errors.
    pub fn error_handling(&mut self, requester: &Part) -> ErrorHandling {
        let mut handlers = Vec::new();
        if let Some(handler) = requester.get("error_handler").cloned() {
            self.handlers(&handler, &mut handlers, 0);
        }
        if handlers.is_empty() {
            handlers.push(Handler::default());
        }
        ErrorHandling(handlers)
    }

    fn handlers(&mut self, part: &Part, found: &mut Vec<Handler>, depth: usize) {
        if !self.is_one_of(part, &["DefaultErrorHandler", "CompositeErrorHandler"]) {
            return;
        }
        if part.component() == "CompositeErrorHandler" {
            // Deeper than a file may be is not possible; this only says so.
            if depth < 32
                && let Some(inner) = self.required(part, "error_handlers").cloned()
            {
                inner.items().iter().for_each(|handler| self.handlers(handler, found, depth + 1));
            }
            return;
        }
        let mut handler = Handler { retries: self.template(part, "max_retries", CONFIG), ..Handler::default() };
        for filter in part.get("response_filters").map(Part::items).unwrap_or_default() {
            if self.is_one_of(filter, &["HttpResponseFilter"]) {
                handler.filters.extend(self.filter(filter));
            }
        }
        for backoff in part.get("backoff_strategies").map(Part::items).unwrap_or_default() {
            let kinds = [
                "ConstantBackoffStrategy",
                "ExponentialBackoffStrategy",
                "WaitTimeFromHeader",
                "WaitTimeFromResponse",
                "WaitUntilTimeFromHeader",
            ];
            if self.is_one_of(backoff, &kinds) {
                handler.backoffs.extend(self.backoff(backoff));
            }
        }
        found.push(handler);
    }

    fn filter(&mut self, part: &Part) -> Option<Filter> {
        let action = match part.get("action") {
            None => None,
            Some(action) => Some(match action.text() {
                Some("SUCCESS") => Action::Success,
                Some("FAIL") => Action::Fail,
                Some("RETRY") => Action::Retry,
                Some("IGNORE") => Action::Ignore,
                Some("RATE_LIMITED") => Action::RateLimited,
                Some("REFRESH_TOKEN_THEN_RETRY") => Action::RefreshToken,
                Some("RESET_PAGINATION") => Action::Again(Again::First),
                Some("REDUCE_PAGE_SIZE") => Action::Again(Again::Smaller),
                Some("SPLIT_REQUEST_WINDOW") => Action::Again(Again::Split),
                _ => {
                    self.wrong(
                        action.span,
                        "an action is SUCCESS, FAIL, RETRY, IGNORE, RATE_LIMITED, REFRESH_TOKEN_THEN_RETRY, RESET_PAGINATION, REDUCE_PAGE_SIZE or SPLIT_REQUEST_WINDOW",
                        "Write one of these",
                    );
                    return None;
                }
            }),
        };
        let mut codes = Vec::new();
        for code in part.get("http_codes").map(Part::items).unwrap_or_default() {
            match code.scalar().and_then(|text| text.parse().ok()) {
                Some(code) => codes.push(code),
                None => self.wrong(code.span, "a status is a number", "Write 429, for instance"),
            }
        }
        Some(Filter {
            action,
            codes,
            predicate: self.condition(part, "predicate", ANSWER),
            contains: part.text_of("error_message_contains").filter(|text| !text.is_empty()).map(str::to_owned),
            message: self.template(part, "error_message", ANSWER),
        })
    }

    fn backoff(&mut self, part: &Part) -> Option<Backoff> {
        Some(match part.component() {
            "ConstantBackoffStrategy" => Backoff::Constant(self.required_template(part, "backoff_time_in_seconds", CONFIG)?),
            "ExponentialBackoffStrategy" => Backoff::Exponential(self.template_or(part, "factor", CONFIG, "5")),
            "WaitTimeFromHeader" => Backoff::Header {
                name: self.required_template(part, "header", CONFIG)?,
                pattern: self.condition(part, "regex", CONFIG),
                most: self.template(part, "max_waiting_time_in_seconds", CONFIG),
            },
            "WaitTimeFromResponse" => Backoff::Answer {
                seconds: self.required_template(part, "wait_time_in_seconds", WAIT)?,
                most: self.template(part, "max_waiting_time_in_seconds", CONFIG),
            },
            _ => Backoff::UntilHeader {
                name: self.required_template(part, "header", CONFIG)?,
                pattern: self.condition(part, "regex", CONFIG),
                least: self.template(part, "min_wait", CONFIG),
                most: self.template(part, "max_waiting_time_in_seconds", CONFIG),
            },
        })
    }
}
