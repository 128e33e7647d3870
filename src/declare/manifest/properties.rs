//! Properties that requests name: `QueryProperties`, in the parameters of a requester or beside them.

use super::compile::{CONFIG, Compiler};
use super::part::{Field, Kind, Part};
use crate::manifest::properties::{Parts, Properties, PropertyList};
use std::sync::Arc;

/// Keys of a requester that say which properties there are.
const KEYS: [&str; 2] = ["query_properties", "fetch_properties_from_endpoint"];

impl Compiler<'_> {
    /// A requester without its properties, and these.
    pub fn properties(&mut self, requester: &Part) -> (Part, Option<Properties>) {
        let Kind::Map(fields) = &requester.kind else { return (requester.clone(), None) };
        let parameters = requester.get("request_parameters").map(Part::fields).unwrap_or_default();
        let named: Vec<&Field> = parameters.iter().filter(|field| field.value.component() == "QueryProperties").collect();
        let beside = KEYS.iter().find_map(|key| requester.get(key));
        let found = match (named.as_slice(), beside) {
            ([], None) => return (requester.clone(), None),
            ([], Some(part)) => self.properties_of(part, None),
            ([field], None) => self.properties_of(&field.value, Some(field.key.to_string())),
            ([field, ..], _) => {
                self.wrong(field.value.span, "a requester names its properties more than once", "Keep one `QueryProperties`");
                None
            }
        };
        let mut fields: Vec<Field> = fields.iter().filter(|field| !KEYS.contains(&&*field.key)).cloned().collect();
        if let Some(parameters) = fields.iter_mut().find(|field| &*field.key == "request_parameters")
            && let Kind::Map(inner) = &parameters.value.kind
        {
            let rest = inner.iter().filter(|field| field.value.component() != "QueryProperties").cloned().collect();
            parameters.value.kind = Kind::Map(Arc::new(rest));
        }
        (Part { span: requester.span, kind: Kind::Map(Arc::new(fields)) }, found)
    }

    fn properties_of(&mut self, part: &Part, parameter: Option<String>) -> Option<Properties> {
        if !self.is_one_of(part, &["QueryProperties", "PropertiesFromEndpoint"]) {
            return None;
        }
        if part.component() == "PropertiesFromEndpoint" {
            return Some(Properties { list: self.asked(part)?, always: Vec::new(), parts: None, parameter });
        }
        let list = self.required(part, "property_list")?.clone();
        let list = match &list.kind {
            Kind::List(_) => PropertyList::Fixed(self.texts(&list)),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) | Kind::Map(_) => {
                self.is_one_of(&list, &["PropertiesFromEndpoint"]).then(|| self.asked(&list))??
            }
        };
        let always = part.get("always_include_properties").cloned().map(|always| self.texts(&always)).unwrap_or_default();
        let parts = match part.get("property_chunking").cloned() {
            None => None,
            Some(chunking) => Some(self.parts(&chunking)?),
        };
        Some(Properties { list, always, parts, parameter })
    }

    fn asked(&mut self, part: &Part) -> Option<PropertyList> {
        self.required(part, "property_field_path")?;
        let at = self.templates(part, "property_field_path", CONFIG);
        let retriever = self.required(part, "retriever")?.clone();
        let stream = self.alone("properties", &retriever)?;
        Some(PropertyList::Asked { stream: Arc::new(stream), at })
    }

    fn parts(&mut self, part: &Part) -> Option<Parts> {
        if !self.is_one_of(part, &["PropertyChunking"]) {
            return None;
        }
        let in_characters = match self.required(part, "property_limit_type")?.text() {
            Some("characters") => true,
            Some("property_count") => false,
            _ => {
                self.wrong(part.span, "properties are counted by `property_count` or `characters`", "Write one of these");
                return None;
            }
        };
        // Nothing and zero are no bound.
        let limit = self.whole(part, "property_limit").and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        let keys = match part.get("record_merge_strategy").cloned() {
            None => vec!["id".to_owned()],
            Some(strategy) => {
                if !self.is_one_of(&strategy, &["GroupByKeyMergeStrategy"]) {
                    return None;
                }
                let key = self.required(&strategy, "key")?.clone();
                if let Some(one) = key.scalar() { vec![one] } else { self.texts(&key) }
            }
        };
        Some(Parts { limit, in_characters, keys })
    }
}
