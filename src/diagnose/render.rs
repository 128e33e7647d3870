//! Diagnostics as text for a terminal, in the look of rustc, and as JSON.

use super::{Diagnostic, Place, Problems, Severity, SourceFile, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value as Json, json};
use std::ops::Range;
use std::sync::Arc;

/// How text is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Whether to use ANSI colours.
    pub color: bool,
    /// Columns of the terminal; longer source lines are cut around the place.
    pub width: usize,
}

impl Look {
    /// Without colour, 140 columns: what goes into files and pipes.
    pub const PLAIN: Self = Self { color: false, width: 140 };
}

/// Related places farther from the main one than this many lines get a snippet of their own.
const NEAR_LINES: usize = 400;

impl Diagnostic {
    /// As text: code, message, place, the line itself with the span underlined, the remedy. Ends without a line end.
    ///
    /// Only a file that was read is shown; lines of data files never are.
    pub fn render(&self, look: Look) -> String {
        let renderer = if look.color { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str()).id(self.code.0);
        let mut group = match &self.place {
            Place::InFile(file, span) => {
                let mut labelled = vec![(*span, None)];
                for (place, label) in &self.related {
                    if let Place::InFile(other, at) = place
                        && beside(file, other, *span, *at)
                    {
                        labelled.push((*at, Some(label.as_str())));
                    }
                }
                title.element(snippet(file, &labelled))
            }
            Place::Line(path, line) => title.element(Origin::path(path.as_str()).line(usize::try_from(*line).unwrap_or(usize::MAX))),
            Place::Path(name) | Place::Named(name) => title.element(Origin::path(name.as_str())),
        };
        let mut others = Vec::new();
        for (place, label) in &self.related {
            match (&self.place, place) {
                (Place::InFile(file, span), Place::InFile(other, at)) if beside(file, other, *span, *at) => {}
                (_, Place::InFile(file, span)) => {
                    others.push(Group::with_title(Level::NOTE.secondary_title(label.as_str())).element(snippet(file, &[(*span, None)])));
                }
                (_, Place::Path(_) | Place::Line(..) | Place::Named(_)) => {
                    group = group.element(Level::NOTE.message(format!("{label}: {place}")));
                }
            }
        }
        group = group.element(Level::HELP.message(uncapitalized(&self.remedy)));
        let report: Vec<Group<'_>> = std::iter::once(group).chain(others).collect();
        renderer.term_width(look.width.max(40)).render(&report)
    }

    /// As JSON: `{code, severity, message, place: {file, line, column, name}, remedy, related: [{place, label}]}`. What a place does not
    /// have is null.
    pub fn to_json(&self) -> Json {
        json!({
            "code": self.code.0,
            "severity": self.severity.name(),
            "message": self.message,
            "place": self.place.to_json(),
            "remedy": self.remedy,
            "related": self.related.iter().map(|(place, label)| json!({ "place": place.to_json(), "label": label })).collect::<Vec<_>>(),
        })
    }
}

impl Problems {
    /// All of them as text, a blank line between two; empty where there is none.
    pub fn render(&self, look: Look) -> String {
        self.0.iter().map(|d| d.render(look)).collect::<Vec<_>>().join("\n\n")
    }

    /// A JSON array of [`Diagnostic::to_json`].
    pub fn to_json(&self) -> Json {
        Json::Array(self.0.iter().map(Diagnostic::to_json).collect())
    }
}

impl Severity {
    /// The word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Place {
    /// As JSON: `{file, line, column, name}`; what it does not have is null.
    pub fn to_json(&self) -> Json {
        let (file, name) = match self {
            Self::InFile(file, _) => (Some(file.name.as_str()), None),
            Self::Path(path) | Self::Line(path, _) => (Some(path.as_str()), None),
            Self::Named(name) => (None, Some(name.as_str())),
        };
        let (line, column) = match (self, self.line_column()) {
            (Self::InFile(..), Some((line, column))) => (Some(line), Some(column)),
            (_, at) => (at.map(|(line, _)| line), None),
        };
        json!({ "file": file, "line": line, "column": column, "name": name })
    }
}

/// With a small first letter, as `help:` is followed by one; `NDJSON` and `A` stay.
fn uncapitalized(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(std::iter::once(second)).chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// Whether two places are in one file and near enough to be drawn in one snippet.
fn beside(file: &Arc<SourceFile>, other: &Arc<SourceFile>, span: Span, at: Span) -> bool {
    let (from, to) = (span.start.min(at.start), span.start.max(at.start));
    file == other && file.text.get(from..to).is_some_and(|between| between.matches('\n').count() <= NEAR_LINES)
}

/// The lines of a file that the spans stand on (the first is the main one), with each span underlined to the end of its first line.
fn snippet<'a>(file: &'a SourceFile, spans: &[(Span, Option<&'a str>)]) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = file.text.as_str();
    let clipped: Vec<(Range<usize>, Option<&str>)> = spans.iter().map(|(span, label)| (clip(text, *span), *label)).collect();
    let first = clipped.iter().map(|(r, _)| r.start).min().unwrap_or(0);
    let last = clipped.iter().map(|(r, _)| r.end).max().unwrap_or(0);
    let from = text.get(..first).and_then(|t| t.rfind('\n')).map_or(0, |at| at + 1);
    let to = text.get(last..).and_then(|t| t.find('\n')).map_or(text.len(), |at| last + at);
    let line = text.get(..from).map_or(0, |t| t.matches('\n').count()) + 1;
    let mut snippet = Snippet::source(text.get(from..to).unwrap_or_default()).line_start(line).path(file.name.as_str());
    for (index, (range, label)) in clipped.into_iter().enumerate() {
        let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        snippet = snippet.annotation(kind.span(range.start - from..range.end - from).label(label));
    }
    snippet
}

/// A range inside the text, on character borders, that ends with its first line.
fn clip(text: &str, span: Span) -> Range<usize> {
    let start = floor(text, span.start);
    let end = floor(text, span.end.max(start));
    let line_end = text.get(start..).and_then(|t| t.find(['\n', '\r'])).map_or(text.len(), |at| start + at);
    start..end.min(line_end).max(start)
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::Code;
    use super::*;
    use proptest::prelude::*;

    const CODE: Code = Code("KITH-X001");

    fn file(text: &str) -> Arc<SourceFile> {
        Arc::new(SourceFile { name: "config/kith.toml".into(), text: text.into() })
    }

    fn at(file: &Arc<SourceFile>, word: &str) -> Place {
        let start = file.text.find(word).unwrap();
        Place::InFile(file.clone(), Span { start, end: start + word.len() })
    }

    #[test]
    fn a_problem_in_a_file_shows_its_line_and_what_to_do() {
        let file = file("[service]\nstaet = \"state\"\n");
        let problem = Diagnostic::error(CODE, at(&file, "staet"), "`staet` is no key of [service]", "write `state`");
        insta::assert_snapshot!(problem.render(Look::PLAIN), @r#"
        error[KITH-X001]: `staet` is no key of [service]
         --> config/kith.toml:2:1
          |
        2 | staet = "state"
          | ^^^^^
          |
          = help: write `state`
        "#);
    }

    #[test]
    fn a_related_place_of_the_same_file_is_labelled_in_the_same_snippet() {
        let file = file("a = 1\nb = 2\nc = 3\nd = 4\ne = 5\na = 6\n");
        let again = Place::InFile(file.clone(), Span { start: 30, end: 31 });
        let problem = Diagnostic::warning(CODE, again, "`a` is there twice", "remove one").related(at(&file, "a"), "first here");
        insta::assert_snapshot!(problem.render(Look::PLAIN), @r"
        warning[KITH-X001]: `a` is there twice
         --> config/kith.toml:6:1
          |
        1 | a = 1
          | - first here
        ...
        6 | a = 6
          | ^
          |
          = help: remove one
        ");
    }

    #[test]
    fn a_line_of_a_data_file_is_named_and_never_shown() {
        let problem = Diagnostic::error(CODE, Place::Line("in.ndjson".into(), 7), "the line is no JSON", "mend it and drop it again");
        insta::assert_snapshot!(problem.render(Look::PLAIN), @r#"
        error[KITH-X001]: the line is no JSON
        --> in.ndjson:7
         = help: mend it and drop it again
        "#);
    }

    #[test]
    fn a_place_without_a_file_is_named() {
        let place = Place::Named("environment variable KITH__LOG__LEVEL".into());
        let problem = Diagnostic::error(CODE, place, "`loud` is no level", "write `info`");
        insta::assert_snapshot!(problem.render(Look::PLAIN), @r#"
        error[KITH-X001]: `loud` is no level
        --> environment variable KITH__LOG__LEVEL
         = help: write `info`
        "#);
    }

    #[test]
    fn help_begins_with_a_small_letter_unless_it_is_a_name() {
        assert_eq!(["Write it", "NDJSON", "A map", "éa", ""].map(uncapitalized), ["write it", "NDJSON", "A map", "éa", ""]);
    }

    #[test]
    fn json_carries_the_same_facts() {
        let file = file("[service]\nstaet = \"state\"\n");
        let problem = Diagnostic::error(CODE, at(&file, "staet"), "`staet` is no key of [service]", "write `state`");
        insta::assert_snapshot!(problem.to_json(), @r#"{"code":"KITH-X001","message":"`staet` is no key of [service]","place":{"column":1,"file":"config/kith.toml","line":2,"name":null},"related":[],"remedy":"write `state`","severity":"error"}"#);
    }

    #[test]
    fn colour_comes_only_when_asked() {
        let file = file("a = 1\n");
        let problem = Diagnostic::error(CODE, at(&file, "a"), "no", "yes");
        assert!(!problem.render(Look::PLAIN).contains('\u{1b}'));
        assert!(problem.render(Look { color: true, width: 80 }).contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn rendering_never_panics_wherever_the_span_points(text in "(\\PC|\r|\n|\t|é|😀){0,60}", start in 0_usize..90, length in 0_usize..90) {
            let file = file(&text);
            let place = Place::InFile(file.clone(), Span { start, end: start.saturating_add(length) });
            let problem = Diagnostic::error(CODE, place.clone(), "m", "r").related(place, "there");
            let text = problem.render(Look { color: false, width: 60 });
            prop_assert!(text.contains("KITH-X001"));
            prop_assert!(problem.to_json().is_object());
        }
    }
}
