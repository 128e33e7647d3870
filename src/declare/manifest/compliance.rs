//! `metadata.kith.compliance`: how a network is asked which of what is held of it still stands.

use super::compile::{CONFIG, Compiler};
use super::look_up::{self, LookUp, is_addressable, is_plain, is_visible};
use super::part::{Field, Part, hand_down};
use super::projection;
use crate::diagnose::{Code, Diagnostic, Span};
use crate::expr::{Record, RecordCel};
use crate::manifest::Template;
use crate::manifest::answer::ErrorHandling;
use crate::manifest::request::Outline;
use crate::manifest::source::Login;
use serde_json::Value as Json;

pub(super) const BAD_COMPLIANCE: Code = Code("KITH-N095");
/// Hosts that files lie on.
const MOST_HOSTS: usize = 16;
const OF_ALL: &[&str] = &["by", "about", "begins", "requester", "only"];
const OF_JOBS: &[&str] = &["asks", "files"];

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
    LookUp(Box<LookUp>),
}

/// What the network's own id of an object stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Within {
    /// The object's id.
    Object,
    /// The id of the activity that told its newest version, up to a `#`: where the object's id is one of the whole network, and the server has another.
    Activity,
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
    /// What stands before the network's own id in the id of an object, account or activity; a template over the source's settings.
    pub begins: Template,
    /// Which id of these.
    pub within: Within,
    /// Where jobs are made and listed; one is asked about below it.
    pub outline: Outline,
    /// How the interface is logged in to; the files need no login.
    pub login: Login,
    /// What is done about its errors.
    pub errors: ErrorHandling,
    only: Option<RecordCel>,
}

impl Compliance {
    /// The network's own id of an object or account, out of the id that has it, where that `begins` so; `None` where it has none, and can't be asked about.
    pub fn number<'a>(&self, begins: &str, id: &'a str) -> Option<&'a str> {
        let id = if self.within == Within::Activity { id.split('#').next().unwrap_or_default() } else { id };
        let after = id.strip_prefix(begins)?;
        let asked = if self.asks_whole() { id } else { after };
        self.is_own(asked).then_some(asked)
    }

    /// The object or account of a number of a job's answer.
    pub fn id(&self, begins: &str, number: &str) -> Option<String> {
        self.is_own(number).then(|| format!("{begins}{number}"))
    }

    fn asks_whole(&self) -> bool {
        matches!(&self.by, By::LookUp(look_up) if look_up.whole)
    }

    /// Whether the network would call something so.
    fn is_own(&self, text: &str) -> bool {
        match &self.by {
            By::Jobs { .. } => is_number(text),
            By::LookUp(look_up) => match &look_up.named {
                look_up::Named::Together { repeated: false, .. } => is_plain(text),
                look_up::Named::Together { repeated: true, .. } => is_visible(text),
                look_up::Named::Alone { .. } => is_addressable(text),
            },
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

/// The block's questions.
pub(super) fn declared(compiler: &mut Compiler<'_>, whole: &Part) -> Vec<std::sync::Arc<Compliance>> {
    let block = whole.get("metadata").and_then(|metadata| metadata.get("kith")).and_then(|kith| kith.get("compliance")).cloned();
    let fields = block.as_ref().map(Part::fields).unwrap_or_default();
    fields.iter().filter_map(|field| one(compiler, field)).map(std::sync::Arc::new).collect()
}

pub(super) fn complain(compiler: &mut Compiler<'_>, span: Span, message: impl Into<String>, remedy: &str) {
    let place = compiler.tree.place(span);
    compiler.problems.push(Diagnostic::error(BAD_COMPLIANCE, place, message, remedy));
}

fn one(compiler: &mut Compiler<'_>, field: &Field) -> Option<Compliance> {
    let part = &field.value;
    let own = match part.text_of("by") {
        Some("x_jobs") => OF_JOBS,
        Some("look_up") => look_up::KEYS,
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
    let begins = compiler.template(part, "begins", CONFIG).filter(|begins| !begins.is_empty());
    if begins.is_none() {
        let remedy = "Write what stands before the number in the ids of activities, such as https://x.com/i/web/status/";
        complain(compiler, field.key_span, "`begins` is missing", remedy);
    }
    let only =
        part.get("only").and_then(|only| projection::cel(only, &mut |span, message, remedy| complain(compiler, span, message, remedy)));
    let by = match part.text_of("by") {
        Some("look_up") => look_up::declared(compiler, field).map(Box::new).map(By::LookUp),
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
        // A look-up has its own parameters beside the one that Kith writes.
        let own = key == "request_parameters" && part.text_of("by") == Some("look_up");
        if let Some(given) = requester.get(key).filter(|_| !own) {
            let message = format!("`{key}` has no place here: Kith writes what is asked");
            complain(compiler, given.span, message, "Leave it out");
        }
    }
    let outline = compiler.outline(&requester)?;
    let login = compiler.login(&requester, 0);
    let errors = compiler.errors(&requester);
    let within = match part.text_of("within") {
        None => Within::Object,
        Some("activity") if about == Some(Subject::Objects) => Within::Activity,
        Some(_) => {
            complain(
                compiler,
                field.key_span,
                "`within` is `activity`, of objects alone",
                "Leave it out where the object's own id is asked about",
            );
            return None;
        }
    };
    Some(Compliance { name: field.key.to_string(), about: about?, by: by?, begins: begins?, within, outline, login, errors, only })
}

fn jobs(compiler: &mut Compiler<'_>, field: &Field) -> Option<By> {
    let asks = field.value.text_of("asks").filter(|text| !text.is_empty()).map(str::to_owned);
    if asks.is_none() {
        complain(compiler, field.key_span, "`asks` is missing", "Write the network's word for what is asked about, such as `tweets`");
    }
    let files = hosts(compiler, &field.value);
    Some(By::Jobs { asks: asks?, files })
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
