//! Whether an answer is what a rule of the target file means. Pure.

use super::find::holds;
use crate::declare::connector::soap::Condition;
use crate::wire::soap::Fault;
use crate::wire::xml::Element;
use std::sync::Arc;

/// What is looked at: an answer, or the part of one that is about a record.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// HTTP; `None` in a result of a batch.
    pub status: Option<u16>,
    /// The fault, where it is one.
    pub fault: Option<&'a Fault>,
    /// The element that paths begin at, where it is an answer.
    pub body: Option<&'a Element>,
    /// The content as text, where it is no SOAP.
    pub text: Option<&'a str>,
}

/// Whether a code is the one that a rule names: whole, by its local name, or by what stands before the first dot of that (SOAP 1.1, 4.4.1:
/// `Client.Authentication`).
fn is_code(code: &str, named: &str) -> bool {
    let local = code.rsplit_once(':').map_or(code, |(_, local)| local);
    named == code || named == local || local.split_once('.').is_some_and(|(general, _)| general == named)
}

/// Subcodes come without their prefixes: those of the file are not looked at.
fn plain(named: &str) -> &str {
    named.rsplit_once(':').map_or(named, |(_, local)| local)
}

/// Whether all of a rule fits.
pub fn fits(when: &Condition, heard: Heard<'_>) -> bool {
    let status = when.status.is_empty() || heard.status.is_some_and(|status| when.status.iter().any(|set| set.holds(status)));
    let fault = when.fault.is_empty()
        || heard.fault.is_some_and(|fault| when.fault.iter().any(|named| **named == *"any" || is_code(&fault.code_written, named)));
    let subcode = when.subcode.is_empty()
        || heard
            .fault
            .is_some_and(|fault| fault.subcodes.iter().any(|code| when.subcode.iter().any(|named| is_code(&code.local, plain(named)))));
    let detail = || {
        when.detail.is_empty()
            || heard
                .fault
                .and_then(|fault| fault.detail.as_ref())
                .is_some_and(|detail| when.detail.iter().all(|expected| holds(detail, expected)))
    };
    let answer = || when.answer.is_empty() || heard.body.is_some_and(|body| when.answer.iter().all(|expected| holds(body, expected)));
    status && fault && subcode && detail() && answer() && says(&when.says, heard)
}

fn says(words: &[Arc<str>], heard: Heard<'_>) -> bool {
    if words.is_empty() {
        return true;
    }
    let text = heard.fault.map(|fault| fault.reason.as_str()).or(heard.text).map(str::to_lowercase);
    text.is_some_and(|text| words.iter().any(|word| text.contains(&**word)))
}

/// A code as messages show it: short and plain, or not at all; servers put personal data anywhere.
pub fn shown(code: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    (!code.is_empty() && code.len() <= 64 && code.chars().all(plain)).then_some(code)
}
