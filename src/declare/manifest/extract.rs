//! Where records are: extractors, and records that hold others.

use super::compile::{CONFIG, Compiler};
use super::part::Part;
use crate::manifest::Template;
use crate::manifest::extract::{Expander, Extractor};
use std::sync::Arc;

/// Extractors inside each other.
const DEEPEST: usize = 8;

impl Compiler<'_> {
    /// Where a selector's records are.
    pub fn extractor(&mut self, part: &Part, depth: usize) -> Option<Extractor<Template>> {
        if !self.is_one_of(part, &["DpathExtractor", "CombinedExtractor"]) {
            return None;
        }
        if depth >= DEEPEST {
            self.wrong(part.span, format!("more than {DEEPEST} extractors inside each other"), "Use fewer");
            return None;
        }
        if part.component() == "DpathExtractor" {
            self.required(part, "field_path");
            let expander = match part.get("record_expander").cloned() {
                None => None,
                Some(expander) => Some(Box::new(self.expander(&expander)?)),
            };
            return Some(Extractor::Path { at: self.templates(part, "field_path", CONFIG), expander });
        }
        let first = self.is_second(part, "mode", ["union", "first_match"])?;
        let inner = self.required(part, "extractors")?.clone();
        if inner.items().is_empty() {
            self.wrong(inner.span, "at least one extractor is meant", "Write a list of `DpathExtractor`");
        }
        let extractors = inner.items().iter().filter_map(|one| self.extractor(one, depth + 1)).collect();
        Some(Extractor::Combined { extractors, first, full: part.is_set("skip_empty_records") })
    }

    /// Whether a key has the second of two words; the first is what is meant where it is left out.
    fn is_second(&mut self, part: &Part, key: &str, [first, second]: [&str; 2]) -> Option<bool> {
        match part.text_of(key) {
            None => Some(false),
            Some(word) if word == first || word == second => Some(word == second),
            Some(_) => {
                self.wrong(part.span, format!("`{key}` is {first} or {second}"), "Write one of these");
                None
            }
        }
    }

    fn expander(&mut self, part: &Part) -> Option<Expander<Template>> {
        if !self.is_one_of(part, &["RecordExpander"]) {
            return None;
        }
        self.required(part, "expand_records_from_field");
        let or_itself = self.is_second(part, "on_no_records", ["skip", "emit_parent"])?;
        let mut fields = Vec::new();
        for field in part.get("parent_fields").map(Part::items).unwrap_or_default() {
            if self.is_one_of(field, &["ParentFieldPath"]) {
                fields.push((self.one_place(field, "parent_path"), self.one_place(field, "record_path")));
            }
        }
        let truncated_at =
            if part.get("truncation_indicator_path").is_some() { self.one_place(part, "truncation_indicator_path") } else { Vec::new() };
        let whole = match part.get("truncated_list_retriever").cloned() {
            None => None,
            Some(retriever) => {
                self.required(part, "truncation_indicator_path");
                self.one_place(part, "expand_records_from_field");
                if let Some(router) = retriever.get("partition_router") {
                    self.wrong(router.span, "`truncated_list_retriever` has no partitions", "Leave `partition_router` out");
                }
                Some(Arc::new(self.alone("record_expander_truncated_list", &retriever)?))
            }
        };
        Some(Expander {
            at: self.templates(part, "expand_records_from_field", CONFIG),
            original: part.is_set("remain_original_record"),
            merge: part.is_set("merge_parent"),
            fields,
            or_itself,
            truncated_at,
            whole,
        })
    }

    /// A path that means one place.
    fn one_place(&mut self, part: &Part, key: &str) -> Vec<Template> {
        let at = self.templates(part, key, CONFIG);
        let span = part.get(key).map_or(part.span, |path| path.span);
        if at.is_empty() || at.iter().any(|segment| segment.source().contains(['*', '?']) || segment.source().starts_with('[')) {
            self.wrong(span, format!("`{key}` is a path to one place, without `*`"), "Write `[a, b]`");
        }
        at
    }
}
