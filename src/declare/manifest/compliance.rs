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
/// Ids that one look-up asks about: with 64 bytes each, an address of 6 kB.
const MOST_AT_ONCE: usize = 100;
const OF_ALL: &[&str] = &["by", "about", "begins", "requester", "only"];
const OF_JOBS: &[&str] = &["asks", "files"];
const OF_LOOK_UPS: &[&str] = &["parameter", "at_most", "there", "gone"];

/// What is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// Each object.
    Objects,
    /// Each account; with it goes all that it said.
    Accounts,
}

/// How a network is asked.
#[derive(Debug)]
pub enum By {
    /// In jobs: a list is uploaded, the network works on it, and what is gone is downloaded.
    Jobs {
        /// The network's word for what is asked about: `tweets`, `users`.
        asks: String,
        /// Hosts that files lie on, beside the interface's own.
        files: Vec<String>,
    },
    /// By looking some up at a time: what the network still has, it shows.
    LookUp(LookUp),
}

/// Looking up by ids.
#[derive(Debug)]
pub struct LookUp {
    /// The parameter of the request that takes the ids, with commas between.
    pub parameter: String,
    /// So many ids at once, 1 to 100.
    pub at_most: usize,
    /// What the network still has.
    pub there: Listed,
    /// What it says is gone; `None`: whatever it does not show.
    pub gone: Option<Listed>,
}

/// A list in an answer, and the member of each item that is its id.
#[derive(Debug)]
pub struct Listed {
    /// From the top of the answer.
    pub at: Vec<String>,
    /// The member.
    pub key: String,
}

/// A question about what still stands.
#[derive(Debug)]
pub struct Compliance {
    /// Its name.
    pub name: String,
    /// What is asked about.
    pub about: Subject,
    /// How it is asked.
    pub by: By,
    /// What stands before the network's own number in the id of an object or account.
    pub begins: String,
    /// Where jobs are made and listed; one is asked about below it.
    pub outline: Outline,
    /// How the interface is logged in to; the files need no login.
    pub login: Login,
    /// What is done about its errors.
    pub errors: ErrorHandling,
    only: Option<RecordCel>,
}

impl Compliance {
    /// The network's own number of an object or account; `None` where it has none, and can't be asked about.
    pub fn number<'a>(&self, id: &'a str) -> Option<&'a str> {
        id.strip_prefix(&*self.begins).filter(|number| self.is_own(number))
    }

    /// The object or account of a number.
    pub fn id(&self, number: &str) -> Option<String> {
        self.is_own(number).then(|| format!("{}{number}", self.begins))
    }

    /// Whether the network would call something so. What is looked up stands in an address, and needs no escaping there.
    fn is_own(&self, text: &str) -> bool {
        match self.by {
            By::Jobs { .. } => is_number(text),
            By::LookUp(_) => is_plain(text),
        }
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

/// 1 to 64 letters, digits and marks that mean nothing in an address.
fn is_plain(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
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
    let own = match part.text_of("by") {
        Some("x_jobs") => OF_JOBS,
        Some("look_up") => OF_LOOK_UPS,
        _ => {
            complain(compiler, field.key_span, "it is asked `by: x_jobs` or `by: look_up`", "Write one of them");
            return None;
        }
    };
    for known in part.fields() {
        if !OF_ALL.iter().chain(own).any(|key| **key == *known.key) && !known.key.starts_with('$') {
            let message = format!("this question about what still stands does not know the key `{}`", known.key);
            complain(compiler, known.key_span, message, &format!("It has {}, {}", OF_ALL.join(", "), own.join(", ")));
        }
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
    let begins = text("begins", "Write what stands before the number in the ids of activities, such as https://x.com/i/web/status/");
    let only =
        part.get("only").and_then(|only| projection::cel(only, &mut |span, message, remedy| complain(compiler, span, message, remedy)));
    let by = match part.text_of("by") {
        Some("look_up") => look_up(compiler, field).map(By::LookUp),
        _ => jobs(compiler, field),
    };
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
            let message = format!("`{key}` has no place here: Kith writes what is asked");
            complain(compiler, given.span, message, "Leave it out");
        }
    }
    let outline = compiler.outline(&requester)?;
    let login = compiler.login(&requester, 0);
    let errors = compiler.errors(&requester);
    Some(Compliance { name: field.key.to_string(), about: about?, by: by?, begins: begins?, outline, login, errors, only })
}

fn jobs(compiler: &mut Compiler<'_>, field: &Field) -> Option<By> {
    let asks = field.value.text_of("asks").filter(|text| !text.is_empty()).map(str::to_owned);
    if asks.is_none() {
        complain(compiler, field.key_span, "`asks` is missing", "Write the network's word for what is asked about, such as `tweets`");
    }
    let files = hosts(compiler, &field.value);
    Some(By::Jobs { asks: asks?, files })
}

fn look_up(compiler: &mut Compiler<'_>, field: &Field) -> Option<LookUp> {
    let part = &field.value;
    let parameter = part.text_of("parameter").filter(|text| is_plain(text)).map(str::to_owned);
    if parameter.is_none() {
        complain(
            compiler,
            field.key_span,
            "`parameter` is missing, or needs escaping",
            "Write the parameter that takes the ids, such as `ids`",
        );
    }
    let at_most = part.get("at_most").and_then(Part::scalar).and_then(|text| text.parse::<usize>().ok());
    let at_most = at_most.filter(|count| (1..=MOST_AT_ONCE).contains(count));
    if at_most.is_none() {
        complain(
            compiler,
            field.key_span,
            format!("`at_most` is a number from 1 to {MOST_AT_ONCE}"),
            "Write how many ids the network takes at once",
        );
    }
    let there = part.get("there").and_then(|there| listed(compiler, there));
    if part.get("there").is_none() {
        complain(
            compiler,
            field.key_span,
            "`there` is missing",
            "Write where the answer has what still stands: `there: { at: data, key: id }`",
        );
    }
    let gone = part.get("gone").map(|gone| listed(compiler, gone));
    if let (Some(only), None) = (part.get("only"), &gone) {
        complain(compiler, only.span, "`only` chooses of what the network says is gone", "Write `gone:` too, or leave it out");
    }
    Some(LookUp { parameter: parameter?, at_most: at_most?, there: there?, gone: gone.map_or(Some(None), |gone| gone.map(Some))? })
}

fn listed(compiler: &mut Compiler<'_>, part: &Part) -> Option<Listed> {
    let text = |key: &str| part.text_of(key).filter(|text| !text.is_empty());
    let whole = text("at").zip(text("key")).filter(|_| part.fields().len() == 2);
    let whole = whole.map(|(at, key)| Listed { at: at.split('.').map(str::to_owned).collect(), key: key.to_owned() });
    if whole.is_none() {
        complain(compiler, part.span, "a list of an answer is `{ at: …, key: … }`", "Write where it stands and which member is the id");
    }
    whole
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
    use super::{is_number, is_plain};

    #[test]
    fn only_numbers_are_asked_about_and_taken() {
        for (text, is) in
            [("1", true), ("1234567890123456789", true), ("12345678901234567890", false), ("", false), ("1\n2", false), ("١", false)]
        {
            assert_eq!(is_number(text), is, "{text:?}");
        }
    }

    #[test]
    fn what_is_looked_up_needs_no_escaping() {
        for (text, is) in
            [("Ugz-x_1.~", true), ("a,b", false), ("a&b=c", false), ("a/../b", false), ("", false), ("é", false), ("a b", false)]
        {
            assert_eq!(is_plain(text), is, "{text:?}");
        }
    }
}
