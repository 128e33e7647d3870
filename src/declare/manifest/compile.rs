//! The tools of reading a manifest: templates, required keys, and complaints with their places.

use super::components::{component, why_not};
use super::part::{Kind, Part};
use crate::declare::yaml::Tree;
use crate::diagnose::{Code, Diagnostic, Problems, Span, nearest};
use crate::manifest::request::{Into, RequestOption};
use crate::manifest::{Engine, Gap, Json, Template};

const NO_COMPONENT: Code = Code("KITH-N003");
const BAD_TEMPLATE: Code = Code("KITH-N004");
const UNKNOWN_KEY: Code = Code("KITH-N005");
const MISSING_KEY: Code = Code("KITH-N006");
const WRONG_VALUE: Code = Code("KITH-N007");

/// Names that templates see: the configuration alone.
pub const CONFIG: &[&str] = &["config"];
/// In a request.
pub const REQUEST: &[&str] = &["config", "stream_slice", "stream_interval", "stream_partition", "next_page_token"];
/// In a filter of records.
pub const FILTER: &[&str] = &["config", "record", "stream_slice", "stream_interval", "stream_partition", "next_page_token"];
/// In a transformation.
pub const TRANSFORM: &[&str] = &["config", "record", "stream_slice", "stream_interval", "stream_partition"];
/// In the condition of `AddFields`.
pub const ADD_CONDITION: &[&str] = &["config", "record", "value", "path", "stream_slice", "stream_interval", "stream_partition"];
/// In the condition of `RemoveFields`.
pub const REMOVE_CONDITION: &[&str] = &["config", "property"];
/// About an event of a live stream.
pub const EVENT: &[&str] = &["config", "record", "event"];
/// What is sent to go on after an event.
pub const RESUME: &[&str] = &["config", "cursor"];
/// After a page.
pub const PAGE: &[&str] =
    &["config", "response", "headers", "last_record", "last_page_size", "page_size", "stream_slice", "stream_interval", "stream_partition"];
/// About an answer.
pub const ANSWER: &[&str] = &["config", "response", "headers", "request_url"];
/// About how long an answer asks to wait.
pub const WAIT: &[&str] = &["config", "response", "headers"];
/// About a session's token.
pub const SESSION: &[&str] = &["config", "session_token"];

/// Reads parts into the shapes of `manifest`.
pub struct Compiler<'a> {
    /// The file.
    pub tree: &'a Tree,
    /// What was found.
    pub problems: &'a mut Problems,
    /// Its templates.
    pub engine: Engine,
    /// Streams inside of streams that are being read.
    pub depth: usize,
}

impl Compiler<'_> {
    fn push(&mut self, code: Code, span: Span, message: String, remedy: String) {
        // One part can be reached by many references: it is complained of once.
        let place = self.tree.place(span);
        if !self.problems.0.iter().any(|known| known.code == code && known.place == place && known.message == message) {
            self.problems.push(Diagnostic::error(code, place, message, remedy));
        }
    }

    /// A value of the wrong form.
    pub fn wrong(&mut self, span: Span, message: impl std::convert::Into<String>, remedy: impl std::convert::Into<String>) {
        self.push(WRONG_VALUE, span, message.into(), remedy.into());
    }

    /// Something that Kith does not have.
    pub fn refuse(&mut self, span: Span, what: &str, why: &str) {
        self.push(NO_COMPONENT, span, format!("{what} can't be used: {why}"), "Leave it out, or do what it does in another way".to_owned());
    }

    /// Checks that a part is one of these components, and tells keys that it does not know.
    pub fn is_one_of(&mut self, part: &Part, known: &[&str]) -> bool {
        let name = part.component().to_owned();
        if name.is_empty() {
            if part.fields().is_empty() {
                self.wrong(part.span, format!("a component is meant here, {}", list(known)), "Write `type:` and its keys");
            } else {
                self.push(MISSING_KEY, part.span, "the component has no `type`".to_owned(), format!("Write `type:`, {}", list(known)));
            }
            return false;
        }
        let span = part.get("type").map_or(part.span, |kind| kind.span);
        let Some(found) = component(&name).filter(|_| known.contains(&&*name)) else {
            if component(&name).is_some() {
                self.wrong(span, format!("`{name}` has no place here"), format!("Write {}", list(known)));
            } else {
                let near = nearest(&name, known.iter().copied());
                let remedy = near.map_or_else(|| format!("There are {}", list(known)), |near| format!("Did you mean `{near}`?"));
                self.push(NO_COMPONENT, span, format!("`{name}` can't be used: {}", why_not(&name)), remedy);
            }
            return false;
        };
        let parameters: Vec<&str> = part.get("$parameters").map(Part::fields).unwrap_or_default().iter().map(|f| &*f.key).collect();
        for field in part.fields() {
            let key = &*field.key;
            if found.keys.contains(&key) || key == "type" || key.starts_with('$') || parameters.contains(&key) {
                continue;
            }
            let place = self.tree.place(field.key_span);
            if self.problems.0.iter().any(|known| known.place == place) {
                continue;
            }
            let near = nearest(key, found.keys.iter().copied());
            let remedy = near.map_or_else(|| "Remove it: it does nothing".to_owned(), |near| format!("Did you mean `{near}`?"));
            self.problems.push(Diagnostic::warning(UNKNOWN_KEY, place, format!("`{name}` does not know the key `{key}`"), remedy));
        }
        true
    }

    /// A field that must be there.
    pub fn required<'p>(&mut self, part: &'p Part, key: &str) -> Option<&'p Part> {
        let found = part.get(key);
        if found.is_none() {
            let name = part.component();
            self.push(MISSING_KEY, part.span, format!("`{name}` needs the key `{key}`"), format!("Write `{key}:`"));
        }
        found
    }

    /// A template of a scalar.
    pub fn template_of(&mut self, value: &Part, owner: &Part, known: &[&str]) -> Option<Template> {
        let Some(text) = value.scalar() else {
            self.wrong(value.span, "a single value is meant here", "Write text, a number, or a template");
            return None;
        };
        let parameters = owner.get("$parameters").map_or_else(Json::object, Part::to_json);
        match self.engine.compile(&text, &parameters, known) {
            Ok(template) => Some(template),
            Err(error) => {
                self.push(
                    BAD_TEMPLATE,
                    value.span,
                    format!("the template can't be used: {error}"),
                    "See `kith explain KITH-N004`".to_owned(),
                );
                None
            }
        }
    }

    /// A template in a field, where there is one.
    pub fn template(&mut self, part: &Part, key: &str, known: &[&str]) -> Option<Template> {
        let value = part.get(key)?;
        self.template_of(value, part, known)
    }

    /// A template in a field, or this text.
    pub fn template_or(&mut self, part: &Part, key: &str, known: &[&str], default: &str) -> Template {
        self.template(part, key, known).unwrap_or_else(|| Template::fixed(default))
    }

    /// A template in a field that must be there.
    pub fn required_template(&mut self, part: &Part, key: &str, known: &[&str]) -> Option<Template> {
        let value = self.required(part, key)?;
        self.template_of(value, part, known)
    }

    /// A condition in a field; an empty one is none.
    pub fn condition(&mut self, part: &Part, key: &str, known: &[&str]) -> Option<Template> {
        self.template(part, key, known).filter(|template| !template.is_empty())
    }

    /// Templates in a list.
    pub fn templates(&mut self, part: &Part, key: &str, known: &[&str]) -> Vec<Template> {
        let Some(list) = part.get(key) else { return Vec::new() };
        list.items().iter().filter_map(|item| self.template_of(item, part, known)).collect()
    }

    /// Texts in a list.
    pub fn texts(&mut self, list: &Part) -> Vec<String> {
        if !matches!(list.kind, Kind::List(_)) {
            self.wrong(list.span, "a list is meant here", "Write `[a, b]`");
        }
        list.items().iter().filter_map(Part::scalar).collect()
    }

    /// A request option in a field.
    pub fn option(&mut self, part: &Part, key: &str) -> Option<RequestOption> {
        let option = part.get(key)?.clone();
        self.is_one_of(&option, &["RequestOption"]).then(|| self.request_option(&option, part)).flatten()
    }

    /// A request option.
    pub fn request_option(&mut self, option: &Part, owner: &Part) -> Option<RequestOption> {
        let into = self.required(option, "inject_into")?.clone();
        let place = match into.text() {
            Some("request_parameter") => Into::Parameter,
            Some("header") => Into::Header,
            Some("body_data") => Into::BodyData,
            Some("body_json") => Into::BodyJson,
            _ => {
                self.wrong(into.span, "an option goes into request_parameter, header, body_data or body_json", "Write one of these");
                return None;
            }
        };
        // The reference gives an option no parameters of its own, but those that were handed to it are in its fields.
        let path = match (option.get("field_name"), option.get("field_path")) {
            (Some(name), None) => self.template_of(name, owner, CONFIG).into_iter().collect(),
            (None, Some(path)) if place == Into::BodyJson => {
                path.items().iter().filter_map(|item| self.template_of(item, owner, CONFIG)).collect()
            }
            (None, Some(path)) => {
                self.wrong(path.span, "`field_path` is for body_json alone", "Write `field_name`");
                return None;
            }
            (Some(_), Some(path)) => {
                self.wrong(path.span, "`field_name` and `field_path` exclude each other", "Keep one");
                return None;
            }
            (None, None) => {
                self.push(MISSING_KEY, option.span, "the option has no name".to_owned(), "Write `field_name:`".to_owned());
                return None;
            }
        };
        Some(RequestOption { into: place, path })
    }

    /// A duration in a field.
    pub fn duration(&mut self, part: &Part, key: &str) -> Option<Gap> {
        let text = part.get(key)?;
        let gap = text.text().and_then(Gap::parse);
        if gap.is_none() {
            self.wrong(text.span, format!("`{key}` is no ISO 8601 duration"), "Write PT1S or P1D, for instance");
        }
        gap
    }

    /// A whole number in a field.
    pub fn whole(&mut self, part: &Part, key: &str) -> Option<i128> {
        let value = part.get(key)?;
        match (&value.kind, value.text().and_then(|text| text.trim().parse().ok())) {
            (Kind::Int(n), _) => Some(*n),
            (_, Some(n)) => Some(n),
            _ => {
                self.wrong(value.span, format!("`{key}` is a whole number"), "Write a number");
                None
            }
        }
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [one] => (*one).to_owned(),
        [before @ .., last] => format!("{} or {last}", before.join(", ")),
        [] => String::new(),
    }
}
