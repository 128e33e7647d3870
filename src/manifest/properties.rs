//! Properties that requests name: all at once, or in parts whose records belong together.

use super::json::{Json, Members};
use super::source::Stream;
use super::template::Template;
use std::sync::Arc;

/// `QueryProperties`
#[derive(Clone, Debug)]
pub struct Properties {
    /// Which there are.
    pub list: PropertyList,
    /// Named in every request.
    pub always: Vec<String>,
    /// How they are parted; all at once where nothing is said.
    pub parts: Option<Parts>,
    /// The request parameter that names them, with commas between; where there is none, a template does.
    pub parameter: Option<String>,
}

/// Which properties there are.
#[derive(Clone, Debug)]
pub enum PropertyList {
    /// As written.
    Fixed(Vec<String>),
    /// One for each record of a call.
    Asked {
        /// The call.
        stream: Arc<Stream>,
        /// Where a record has its name.
        at: Vec<Template>,
    },
}

/// `PropertyChunking`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parts {
    /// The most in one request; no bound where nothing is said.
    pub limit: Option<usize>,
    /// The bound is of characters, three more for each property; else of properties.
    pub in_characters: bool,
    /// The members that tell which records are one.
    pub keys: Vec<String>,
}

/// What an encoded comma takes.
const BETWEEN: usize = 3;

impl Properties {
    /// The properties of each request. The properties of [`Properties::always`] do not count.
    pub fn requests(&self, names: &[String]) -> Vec<Vec<String>> {
        let Some(parts) = &self.parts else { return vec![self.always.iter().chain(names).cloned().collect()] };
        let Some(limit) = parts.limit else { return vec![names.iter().chain(&self.always).cloned().collect()] };
        let (mut requests, mut part, mut size) = (Vec::new(), self.always.clone(), 0);
        for name in names {
            let takes = if parts.in_characters { name.chars().count() + BETWEEN } else { 1 };
            if size + takes > limit {
                requests.push(std::mem::replace(&mut part, self.always.clone()));
                size = 0;
            }
            part.push(name.clone());
            size += takes;
        }
        requests.push(part);
        requests
    }

    /// What tells which records are one; `None` where a record stands alone.
    pub fn key(&self, record: &Json) -> Option<String> {
        let parts = self.parts.as_ref()?;
        let values = parts.keys.iter().map(|key| record.get(key).filter(|value| value.is_true()).map(Json::shown));
        values.collect::<Option<Vec<_>>>().map(|values| values.join(","))
    }
}

/// Puts the members of one record into another; objects in both become one.
pub fn merge(target: &mut Members, source: &Members) {
    for (key, value) in source {
        match (target.get_mut(key), value) {
            (Some(Json::Map(inner)), Json::Map(more)) => merge(Arc::make_mut(inner), more),
            _ => _ = target.insert(key.clone(), value.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(limit: Option<usize>, in_characters: bool) -> Vec<String> {
        let parts = Some(Parts { limit, in_characters, keys: vec!["id".to_owned()] });
        let list = PropertyList::Fixed(Vec::new());
        let properties = Properties { list, always: vec!["id".to_owned()], parts, parameter: None };
        let names = ["a", "bb", "ccc"].map(str::to_owned);
        properties.requests(&names).iter().map(|part| part.join(",")).collect()
    }

    #[test]
    fn properties_are_parted_by_number_and_by_characters() {
        assert_eq!(requests(Some(2), false), ["id,a,bb", "id,ccc"]);
        assert_eq!(requests(Some(9), true), ["id,a,bb", "id,ccc"]);
        assert_eq!(requests(None, false), ["a,bb,ccc,id"]);
    }

    #[test]
    fn records_that_are_one_become_one() {
        let members = |text: &str| Json::parse(text.as_bytes()).unwrap().members().unwrap().clone();
        let mut first = members(r#"{"id":"1","p":{"a":1},"x":1}"#);
        merge(&mut first, &members(r#"{"id":"1","p":{"b":2},"x":{"y":2}}"#));
        assert_eq!(Json::Map(Arc::new(first)).compact(), r#"{"id":"1","p":{"a":1,"b":2},"x":{"y":2}}"#);
    }
}
