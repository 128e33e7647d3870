//! What the lowering of every section shares: the file, and the complaints so far.

use super::duties::Denied;
use crate::declare::yaml::Tree;
use crate::diagnose::{Code, Diagnostic, Place, Problems, Span, nearest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A file that is being lowered.
pub(super) struct Reading<'a> {
    pub(super) tree: &'a Tree,
    pub(super) problems: Problems,
    /// What the networks deny whose duties the mapping keeps.
    pub(super) denied: Vec<Denied>,
}

impl Reading<'_> {
    pub(super) fn place(&self, span: Span) -> Place {
        self.tree.place(span)
    }

    pub(super) fn error(&mut self, code: Code, span: Span, message: impl Into<String>, remedy: impl Into<String>) {
        let place = self.place(span);
        self.problems.push(Diagnostic::error(code, place, message, remedy));
    }

    pub(super) fn warning(&mut self, code: Code, span: Span, message: impl Into<String>, remedy: impl Into<String>) {
        let place = self.place(span);
        self.problems.push(Diagnostic::warning(code, place, message, remedy));
    }

    /// Tells what stands twice under one id.
    pub(super) fn unique<'i>(&mut self, code: Code, what: &str, ids: impl IntoIterator<Item = (&'i str, Span)>) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for (id, span) in ids {
            match seen.get(id) {
                Some(first) => {
                    let first = self.place(*first);
                    let place = self.place(span);
                    self.problems.push(
                        Diagnostic::error(
                            code,
                            place,
                            format!("two {what} are called `{id}`"),
                            "Give one of them another name: the log and the tests tell them apart by it",
                        )
                        .related(first, "here first"),
                    );
                }
                None => {
                    seen.insert(id, span);
                }
            }
        }
    }
}

/// `Did you mean …?` or the list of what is known.
pub(super) fn meant<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    let mut seen = BTreeSet::new();
    known.retain(|k| seen.insert(*k));
    match nearest(word, known.iter().copied()) {
        Some(found) => format!("Did you mean `{found}`?"),
        None if known.is_empty() => "There is none".to_owned(),
        None => format!("Known: {}", known.join(", ")),
    }
}

/// The position of a text in a list; added at the end where it is not there.
pub(super) fn position_of(list: &mut Vec<Arc<str>>, text: &str) -> usize {
    if let Some(at) = list.iter().position(|t| &**t == text) {
        return at;
    }
    list.push(text.into());
    list.len() - 1
}
