//! `metadata.kith.compliance`: how a network is asked which of what is held of it still stands.

use super::compile::Compiler;
use super::part::{Field, Part, hand_down};
use super::projection;
use crate::diagnose::{Code, Diagnostic, Span};
use crate::expr::{Record, RecordCel};
use crate::manifest::answer::ErrorHandling;
use crate::manifest::request::Outline;
use crate::manifest::source::Login;
use serde_json::Value as Json;

pub(super) const BAD_COMPLIANCE: Code = Code("KITH-N095");
/// Hosts that files lie on.
const MOST_HOSTS: usize = 16;
const KEYS: &[&str] = &["by", "about", "asks", "begins", "requester", "files", "only"];

/// What is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// Each object.
    Objects,
    /// Each account; with it goes all that it said.
    Accounts,
}

/// A question that a network answers in jobs: a list is uploaded, the network works on it, and what is gone is downloaded.
#[derive(Debug)]
pub struct Compliance {
    /// Its name.
    pub name: String,
    /// What is asked about.
    pub about: Subject,
    /// The network's word for them: `tweets`, `users`.
    pub asks: String,
    /// What stands before the network's own number in the id of an object or account.
    pub begins: String,
    /// Where jobs are made and listed; one is asked about below it.
    pub outline: Outline,
    /// How the interface is logged in to; the files need no login.
    pub login: Login,
    /// What is done about its errors.
    pub errors: ErrorHandling,
    /// Hosts that files lie on, beside the interface's own.
    pub files: Vec<String>,
    only: Option<RecordCel>,
}

impl Compliance {
    /// The network's own number of an object or account; `None` where it has none, and can't be asked about.
    pub fn number<'a>(&self, id: &'a str) -> Option<&'a str> {
        id.strip_prefix(&*self.begins).filter(|number| is_number(number))
    }

    /// The object or account of a number.
    pub fn id(&self, number: &str) -> Option<String> {
        is_number(number).then(|| format!("{}{number}", self.begins))
    }

    /// Whether a line of an answer says that something is gone.
    pub fn says_gone(&self, line: &Json) -> bool {
        self.only.as_ref().is_none_or(|only| only.holds(&Record::new(line)).holds())
    }
}

/// X numbers everything with 1 to 19 digits.
fn is_number(text: &str) -> bool {
    (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The block's questions.
pub(super) fn declared(compiler: &mut Compiler<'_>, whole: &Part) -> Vec<std::sync::Arc<Compliance>> {
    let block = whole.get("metadata").and_then(|metadata| metadata.get("kith")).and_then(|kith| kith.get("compliance")).cloned();
    let fields = block.as_ref().map(Part::fields).unwrap_or_default();
    fields.iter().filter_map(|field| one(compiler, field)).map(std::sync::Arc::new).collect()
}

fn complain(compiler: &mut Compiler<'_>, span: Span, message: impl Into<String>, remedy: &str) {
    let place = compiler.tree.place(span);
    compiler.problems.push(Diagnostic::error(BAD_COMPLIANCE, place, message, remedy));
}

fn one(compiler: &mut Compiler<'_>, field: &Field) -> Option<Compliance> {
    let part = &field.value;
    for known in part.fields() {
        if !KEYS.contains(&&*known.key) && !known.key.starts_with('$') {
            let message = format!("a question about what still stands does not know the key `{}`", known.key);
            complain(compiler, known.key_span, message, &format!("It has {}", KEYS.join(", ")));
        }
    }
    if part.text_of("by") != Some("x_jobs") {
        complain(compiler, field.key_span, "it is asked `by: x_jobs`", "Write `by: x_jobs`; other ways are not known yet");
    }
    let about = match part.text_of("about") {
        Some("objects") => Some(Subject::Objects),
        Some("accounts") => Some(Subject::Accounts),
        _ => {
            complain(compiler, field.key_span, "it is `about: objects` or `about: accounts`", "Write one of them");
            None
        }
    };
    let mut text = |key: &str, remedy: &str| {
        let found = part.text_of(key).filter(|text| !text.is_empty()).map(str::to_owned);
        if found.is_none() {
            complain(compiler, field.key_span, format!("`{key}` is missing"), remedy);
        }
        found
    };
    let asks = text("asks", "Write the network's word for what is asked about, such as `tweets`");
    let begins = text("begins", "Write what stands before the number in the ids of activities, such as https://x.com/i/web/status/");
    let only =
        part.get("only").and_then(|only| projection::cel(only, &mut |span, message, remedy| complain(compiler, span, message, remedy)));
    let files = hosts(compiler, part);
    let Some(requester) = part.get("requester") else {
        complain(compiler, field.key_span, "a `requester` is missing", "Write the request that lists jobs, as a stream does");
        return None;
    };
    let requester = hand_down("SimpleRetriever.requester", requester, &[]);
    if !compiler.is_one_of(&requester, &["HttpRequester"]) {
        return None;
    }
    for key in ["request_parameters", "request_body_json", "request_body_data", "request_body"] {
        if let Some(given) = requester.get(key) {
            let message = format!("`{key}` has no place here: Kith writes what jobs are asked with");
            complain(compiler, given.span, message, "Leave it out");
        }
    }
    let outline = compiler.outline(&requester)?;
    let login = compiler.login(&requester, 0);
    let errors = compiler.errors(&requester);
    Some(Compliance { name: field.key.to_string(), about: about?, asks: asks?, begins: begins?, outline, login, errors, files, only })
}

fn hosts(compiler: &mut Compiler<'_>, part: &Part) -> Vec<String> {
    let items = part.get("files").map(Part::items).unwrap_or_default();
    if items.len() > MOST_HOSTS {
        complain(compiler, part.span, format!("more than {MOST_HOSTS} hosts"), "Name those that files lie on");
    }
    let mut found = Vec::new();
    for item in items.iter().take(MOST_HOSTS) {
        match item.text().filter(|host| !host.is_empty() && !host.contains(['/', ':', '*', '@'])) {
            Some(host) => found.push(host.to_ascii_lowercase()),
            None => complain(compiler, item.span, "a host's name is meant here", "Write storage.googleapis.com, for instance"),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::is_number;

    #[test]
    fn only_numbers_are_asked_about_and_taken() {
        for (text, is) in
            [("1", true), ("1234567890123456789", true), ("12345678901234567890", false), ("", false), ("1\n2", false), ("١", false)]
        {
            assert_eq!(is_number(text), is, "{text:?}");
        }
    }
}
