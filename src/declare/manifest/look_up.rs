//! `by: look_up` of `metadata.kith.compliance`: how ids stand in a request, and what an answer says of each.

use super::compile::Compiler;
use super::compliance::complain;
use super::part::{Field, Part};
use super::projection::{self, Projection};
use crate::expr::{Record, RecordCel};
use crate::manifest::transform::Transformation;
use serde_json::{Value as Json, json};

/// Ids that one look-up asks about: with 64 bytes each, an address of 6 kB.
const MOST_AT_ONCE: usize = 100;
/// The longest id that is put into an address.
const LONGEST_ID: usize = 512;
/// What a look-up knows beside what every question does.
pub(super) const KEYS: &[&str] = &["within", "parameter", "repeated", "whole", "at_most", "there", "gone", "gone_when", "shows"];
const TOGETHER: &[&str] = &["repeated", "at_most", "there", "gone", "only"];

/// Looking up by ids.
#[derive(Debug)]
pub struct LookUp {
    /// How ids stand in a request.
    pub named: Named,
    /// The whole id is asked about, what stands before the network's own included.
    pub whole: bool,
    /// How what is shown becomes an activity: what was edited since is an Update. `None`: what is shown says no more than that it is there.
    pub shows: Option<Shows>,
}

/// How ids stand in a request.
#[derive(Debug)]
pub enum Named {
    /// Many at once.
    Together {
        /// The parameter of the request that takes the ids.
        parameter: String,
        /// Once for each id; else once, with commas between.
        repeated: bool,
        /// So many ids at once, 1 to 100.
        at_most: usize,
        /// What the network still has.
        there: Listed,
        /// What it says is gone; `None`: whatever it does not show.
        gone: Option<Listed>,
    },
    /// Each alone: the requester's templates name it `stream_partition['id']`.
    Alone {
        /// Over `record.status` and `record.answer`: whether it is gone.
        gone_when: RecordCel,
    },
}

/// A list in an answer, and the member of each item that is its id.
#[derive(Debug)]
pub struct Listed {
    /// From the top of the answer; the answer itself, where nothing is said.
    pub at: Vec<String>,
    /// The member.
    pub key: String,
}

/// How what a look-up shows becomes an activity.
#[derive(Debug)]
pub struct Shows {
    /// What is done with a record first.
    pub transformations: Vec<Transformation>,
    /// How it becomes an activity.
    pub projection: Projection,
    /// Where records are in an answer about one id: members from the top; the answer itself, where nothing is said.
    pub at: Vec<String>,
}

impl LookUp {
    /// How many ids one look-up asks about.
    pub const fn at_most(&self) -> usize {
        match &self.named {
            Named::Together { at_most, .. } => *at_most,
            Named::Alone { .. } => 1,
        }
    }

    /// Whether an answer about one id says that it is gone.
    pub fn says_gone(&self, status: u16, answer: &Json) -> bool {
        match &self.named {
            Named::Together { .. } => false,
            Named::Alone { gone_when } => gone_when.holds(&Record::new(&json!({ "status": status, "answer": answer }))).holds(),
        }
    }
}

/// 1 to 64 letters, digits and marks that mean nothing in an address, nor in a list of them.
pub(super) fn is_plain(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// What a parameter of its own takes, which is escaped.
pub(super) fn is_visible(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a template may put into a path: nothing that ends one or leads out of it.
pub(super) fn is_addressable(text: &str) -> bool {
    is_visible(text) && !text.contains("..") && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:(),=@".contains(&byte))
}

/// The part of a question that says how it looks up.
pub(super) fn declared(compiler: &mut Compiler<'_>, field: &Field) -> Option<LookUp> {
    let part = &field.value;
    let named = if part.get("parameter").is_some() { together(compiler, field) } else { alone(compiler, field) };
    let shows = part.get("shows").cloned().map(|part| shows(compiler, field, &part));
    let shows = match shows {
        None => None,
        Some(shows) => Some(shows?),
    };
    Some(LookUp { named: named?, whole: part.is_set("whole"), shows })
}

fn together(compiler: &mut Compiler<'_>, field: &Field) -> Option<Named> {
    let part = &field.value;
    let repeated = part.is_set("repeated");
    let parameter =
        part.text_of("parameter").filter(|text| is_plain(text) || (repeated && is_plain(text.trim_end_matches("[]")))).map(str::to_owned);
    if parameter.is_none() {
        let remedy = "Write the parameter that takes the ids, such as `ids`";
        complain(compiler, field.key_span, "`parameter` is none, or needs escaping", remedy);
    }
    let at_most = part.get("at_most").and_then(Part::scalar).and_then(|text| text.parse::<usize>().ok());
    let at_most = at_most.filter(|count| (1..=MOST_AT_ONCE).contains(count));
    if at_most.is_none() {
        let message = format!("`at_most` is a number from 1 to {MOST_AT_ONCE}");
        complain(compiler, field.key_span, message, "Write how many ids the network takes at once");
    }
    let there = part.get("there").and_then(|there| listed(compiler, there));
    if part.get("there").is_none() {
        let remedy = "Write where the answer has what still stands: `there: { at: data, key: id }`";
        complain(compiler, field.key_span, "`there` is missing", remedy);
    }
    let gone = part.get("gone").map(|gone| listed(compiler, gone));
    if let (Some(only), None) = (part.get("only"), &gone) {
        complain(compiler, only.span, "`only` chooses of what the network says is gone", "Write `gone:` too, or leave it out");
    }
    if let Some(when) = part.get("gone_when") {
        complain(compiler, when.span, "`gone_when` is for what is looked up alone", "Leave it out, or leave `parameter` out");
    }
    let gone = gone.map_or(Some(None), |gone| gone.map(Some));
    Some(Named::Together { parameter: parameter?, repeated, at_most: at_most?, there: there?, gone: gone? })
}

fn alone(compiler: &mut Compiler<'_>, field: &Field) -> Option<Named> {
    for known in field.value.fields().iter().filter(|known| TOGETHER.contains(&&*known.key)) {
        let message = format!("`{}` is for ids that are looked up together", known.key);
        complain(compiler, known.key_span, message, "Write `parameter:` too, the one that takes the ids, or leave it out");
    }
    let Some(when) = field.value.get("gone_when") else {
        let remedy = "Write `parameter:` for ids that are looked up together; `gone_when:` where each is asked for alone, such as `record.status == 404`";
        complain(compiler, field.key_span, "it says neither `parameter` nor `gone_when`", remedy);
        return None;
    };
    let gone_when = projection::cel(when, &mut |span, message, remedy| complain(compiler, span, message, remedy))?;
    Some(Named::Alone { gone_when })
}

fn listed(compiler: &mut Compiler<'_>, part: &Part) -> Option<Listed> {
    let text = |key: &str| part.text_of(key).filter(|text| !text.is_empty());
    let at = match (text("at"), part.fields().len()) {
        (Some(at), 2) => Some(at.split('.').map(str::to_owned).collect()),
        (None, 1) => Some(Vec::new()),
        _ => None,
    };
    let whole = at.zip(text("key")).map(|(at, key)| Listed { at, key: key.to_owned() });
    if whole.is_none() {
        let remedy = "Write where it stands and which member is the id; without `at` the answer itself is the list";
        complain(compiler, part.span, "a list of an answer is `{ at: …, key: … }`", remedy);
    }
    whole
}

fn shows(compiler: &mut Compiler<'_>, field: &Field, part: &Part) -> Option<Shows> {
    for known in part.fields().iter().filter(|known| !["at", "transformations", "only", "activity"].contains(&&*known.key)) {
        let message = format!("what is shown does not know the key `{}`", known.key);
        complain(compiler, known.key_span, message, "It has at, transformations, only and activity");
    }
    let at = part.text_of("at").map(|at| at.split('.').map(str::to_owned).collect()).unwrap_or_default();
    let transformations = compiler.transformations(part, "transformations");
    let projection = projection::of(compiler, &field.key, part.span, part)?;
    Some(Shows { transformations: transformations?, projection, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_address_neither_ends_nor_leaves_it() {
        for (text, plain, addressable, visible) in [
            ("Ugz-x_1.~", true, true, true),
            ("a,b", false, true, true),
            ("(urn:li:activity:1,55)", false, true, true),
            ("a&b=c", false, false, true),
            ("a/../b", false, false, true),
            ("at://did:plc:x/app.bsky.feed.post/1", false, false, true),
            ("a?b", false, false, true),
            ("a%2Fb", false, false, true),
            ("", false, false, false),
            ("é", false, false, false),
            ("a b", false, false, false),
        ] {
            assert_eq!((is_plain(text), is_addressable(text), is_visible(text)), (plain, addressable, visible), "{text:?}");
        }
        assert!(!is_visible(&"a".repeat(LONGEST_ID + 1)));
    }
}
