//! What an answer means: the rules of the file in their order, then the built-in ones. Pure.

use crate::declare::connector::http::{AnswerRule, Meaning};
use crate::deliver::DeliveryError;
use crate::diagnose::Code;
use crate::model::{WriteEffect, WriteIntent};
use crate::wire::http::{Extent, Reply};
use crate::wire::pace;
use jiff::Timestamp;
use serde_json::Value as Json;

/// What an answer is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::deliver) struct About {
    pub intent: WriteIntent,
    /// The same request again changes nothing where it had arrived.
    pub repeatable: bool,
    pub insert_only: bool,
    /// The request carried several records, and the answer is about all of them.
    pub batch: bool,
}

/// One answer: of a request, or of a record within a batch.
#[derive(Clone, Copy, Debug)]
pub(in crate::deliver) struct Said<'a> {
    /// `None`: a result of a batch that has no status.
    pub status: Option<u16>,
    /// `None` where it is no JSON, or not all of it came.
    pub json: Option<&'a Json>,
    /// The whole answer, for its headers.
    pub reply: &'a Reply,
    pub now: Timestamp,
}

/// The content as JSON, where all of it came and it is such.
pub(in crate::deliver) fn json(reply: &Reply) -> Option<Json> {
    (reply.extent == Extent::Whole).then(|| serde_json::from_slice(&reply.body).ok()).flatten()
}

/// What came of it.
pub(in crate::deliver) fn outcome(rules: [&[AnswerRule]; 2], said: Said<'_>, about: About) -> Result<WriteEffect, DeliveryError> {
    let ruled = rules.into_iter().flatten().find(|rule| fits(rule, &said)).map(|rule| rule.is);
    let unclear = |what: &str| {
        let message = format!("{}: {what}", label(said.status));
        if about.repeatable { failed(message, None) } else { DeliveryError::unknown(message) }
    };
    let meaning = match (ruled, said.status) {
        (Some(meaning), _) => meaning,
        (None, None) => return Err(unclear("the result of this record says nothing that is known")),
        (None, Some(status)) => match built_in(status, said.reply, about) {
            Built::Is(meaning) => meaning,
            Built::Unclear(what) => return Err(unclear(what)),
        },
    };
    match meaning {
        Meaning::Delivered => Ok(effect(said.status, about)),
        Meaning::Unchanged => Ok(WriteEffect::Unchanged),
        fault @ (Meaning::Refused
        | Meaning::BatchRefused
        | Meaning::Failed
        | Meaning::Unavailable
        | Meaning::Throttled
        | Meaning::LoginExpired
        | Meaning::Unknown) => Err(error(fault, said, about)),
    }
}

/// What is asked of a server besides: nothing is left of a window.
pub(in crate::deliver) fn pause(reply: &Reply, now: Timestamp) -> Option<pace::Asked> {
    pace::exhausted(&reply.headers, now)
}

fn effect(status: Option<u16>, about: About) -> WriteEffect {
    match about.intent {
        WriteIntent::Remove => WriteEffect::Removed,
        WriteIntent::Blank => WriteEffect::Blanked,
        WriteIntent::Keep => WriteEffect::Kept,
        WriteIntent::Write if status == Some(201) || about.insert_only => WriteEffect::Inserted,
        WriteIntent::Write => WriteEffect::Updated,
    }
}

/// What the built-in rules say about a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::deliver) enum Built {
    /// It means this.
    Is(Meaning),
    /// The record may be written, and may not.
    Unclear(&'static str),
}

/// What a status means where no rule of the file says.
pub(in crate::deliver) fn built_in(status: u16, reply: &Reply, about: About) -> Built {
    use Meaning::{BatchRefused, Delivered, Failed, LoginExpired, Refused, Throttled, Unavailable, Unchanged};
    let refused = if about.batch { BatchRefused } else { Refused };
    let asked_to_wait =
        || pace::retry_after(&reply.headers, Timestamp::UNIX_EPOCH).is_some() || pause(reply, Timestamp::UNIX_EPOCH).is_some();
    Built::Is(match status {
        207 => return Built::Unclear("several answers in one, and the target file does not say where they are"),
        200..=299 if reply.extent != Extent::Whole => return Built::Unclear("the answer is cut off or too long"),
        200..=299 if is_page(reply) => return Built::Unclear("a page for people in place of an answer: a login page or a proxy's"),
        200..=299 => Delivered,
        401 => LoginExpired,
        429 => Throttled,
        403 | 503 if asked_to_wait() => Throttled,
        404 | 410 if about.intent == WriteIntent::Remove => Unchanged,
        409 | 412 if about.insert_only => Unchanged,
        // What the client sent did not come whole, or too early: nothing was done.
        408 | 421 | 423 | 425 => Failed,
        // 407 is the proxy's own "log in": nothing went through.
        407 | 503 | 507 | 511 => Unavailable,
        // A redirect is an answer: it is not followed, since the login would travel along.
        300..=499 | 501 | 505 => refused,
        // A gateway that got no answer: the service behind it may have had the request.
        502 if about.repeatable => Unavailable,
        500..=599 if about.repeatable => Failed,
        500..=599 => return Built::Unclear("the service, or a gateway before it, failed in the middle"),
        _ => return Built::Unclear("a status that is none"),
    })
}

/// HTML where JSON is spoken.
fn is_page(reply: &Reply) -> bool {
    let html =
        reply.header("content-type").is_some_and(|kind| kind.trim_start().get(..9).is_some_and(|k| k.eq_ignore_ascii_case("text/html")));
    html && !reply.body.is_empty()
}

fn fits(rule: &AnswerRule, said: &Said<'_>) -> bool {
    let status = rule.status.is_empty() || said.status.is_some_and(|status| rule.status.iter().any(|set| set.holds(status)));
    let holds = |pointer: &str, values: &[std::sync::Arc<str>]| {
        let found = said.json.and_then(|json| json.pointer(pointer));
        found.and_then(text_of).is_some_and(|text| values.iter().any(|v| **v == *text))
    };
    status && rule.json.iter().all(|(pointer, values)| holds(pointer, values))
}

/// A JSON scalar as text.
pub(super) fn text_of(json: &Json) -> Option<String> {
    match json {
        Json::Null => Some("null".into()),
        Json::Bool(truth) => Some(truth.to_string()),
        Json::Number(number) => Some(number.to_string()),
        Json::String(text) => Some(text.clone()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

/// `HTTP 409`
fn label(status: Option<u16>) -> String {
    status.map_or_else(|| "the answer".to_owned(), |status| format!("HTTP {status}"))
}

fn failed(message: String, asked: Option<pace::Asked>) -> DeliveryError {
    DeliveryError::Failed { code: Code("KITH-D017"), message: message.into(), retry_after: asked.map(|asked| asked.wait) }
}

/// The error of a meaning that is no success.
pub(in crate::deliver) fn error(meaning: Meaning, said: Said<'_>, about: About) -> DeliveryError {
    let label = label(said.status);
    let asked = || pace::retry_after(&said.reply.headers, said.now);
    match meaning {
        Meaning::Refused if said.status.is_some_and(|status| status / 100 == 3) => DeliveryError::refused(
            "KITH-D019",
            format!("{label}: the service redirects, and redirects are not followed; correct `url` or the path"),
        ),
        Meaning::Refused => DeliveryError::refused("KITH-D013", format!("{label}: the service refuses the record")),
        Meaning::BatchRefused if !about.batch => DeliveryError::refused("KITH-D013", format!("{label}: the service refuses the request")),
        Meaning::BatchRefused => {
            let message = format!("{label}: the service refuses the whole batch");
            DeliveryError::BatchRefused { code: Code("KITH-D014"), message: message.into() }
        }
        Meaning::Failed => failed(format!("{label}: the service failed"), asked()),
        Meaning::Unavailable => {
            let code = if said.status == Some(407) { "KITH-D012" } else { "KITH-D018" };
            let why = if said.status == Some(407) { "the proxy wants a login" } else { "the service can't take anything now" };
            let retry_after = asked().map(|asked| asked.wait);
            DeliveryError::Unavailable { code: Code(code), message: format!("{label}: {why}").into(), retry_after }
        }
        Meaning::Throttled => {
            let asked = pace::throttled(&said.reply.headers, said.now);
            let what = asked.as_ref().map_or_else(String::new, |asked| format!(" ({})", asked.said));
            let message = format!("{label}: the service asks to wait{what}");
            DeliveryError::Throttled { code: Code("KITH-D015"), message: message.into(), wait: asked.map(|asked| asked.wait) }
        }
        Meaning::LoginExpired => {
            DeliveryError::LoginExpired { code: Code("KITH-D016"), message: format!("{label}: the service wants a login").into() }
        }
        Meaning::Unknown | Meaning::Delivered | Meaning::Unchanged => {
            DeliveryError::unknown(format!("{label}: nobody can say what came of it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::connector::FaultClass;
    use crate::declare::connector::http::StatusSet;
    use proptest::prelude::*;

    const WRITE: About = About { intent: WriteIntent::Write, repeatable: false, insert_only: false, batch: false };

    fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Reply { status, headers, body: body.into(), extent: Extent::Whole, over: None }
    }

    fn judged(reply: &Reply, rules: &[AnswerRule], about: About) -> Result<WriteEffect, DeliveryError> {
        let content = json(reply);
        let said = Said { status: Some(reply.status), json: content.as_ref(), reply, now: Timestamp::UNIX_EPOCH };
        outcome([rules, &[]], said, about)
    }

    fn class(status: u16, headers: &[(&str, &str)], about: About) -> &'static str {
        match judged(&reply(status, headers, ""), &[], about) {
            Ok(effect) => effect.name(),
            Err(error) => error.class().name(),
        }
    }

    #[test]
    fn every_status_has_its_built_in_meaning() {
        let repeat = About { repeatable: true, ..WRITE };
        for (status, once, again) in [
            (200, "updated", "updated"),
            (201, "inserted", "inserted"),
            (204, "updated", "updated"),
            (207, "outcome_unknown", "failed"),
            (301, "refused", "refused"),
            (400, "refused", "refused"),
            (401, "login_expired", "login_expired"),
            (403, "refused", "refused"),
            (404, "refused", "refused"),
            (407, "unavailable", "unavailable"),
            (408, "failed", "failed"),
            (409, "refused", "refused"),
            (413, "refused", "refused"),
            (422, "refused", "refused"),
            (425, "failed", "failed"),
            (429, "throttled", "throttled"),
            (500, "outcome_unknown", "failed"),
            (502, "outcome_unknown", "unavailable"),
            (503, "unavailable", "unavailable"),
            (504, "outcome_unknown", "failed"),
            (520, "outcome_unknown", "failed"),
            (999, "outcome_unknown", "failed"),
        ] {
            assert_eq!((class(status, &[], WRITE), class(status, &[], repeat)), (once, again), "{status}");
        }
        assert_eq!(class(503, &[("retry-after", "9")], WRITE), "throttled");
        assert_eq!(class(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")], WRITE), "throttled");
        assert_eq!(class(413, &[], About { batch: true, ..WRITE }), "batch_refused");
        assert_eq!(class(404, &[], About { intent: WriteIntent::Remove, ..WRITE }), "unchanged");
        assert_eq!(class(412, &[], About { insert_only: true, ..WRITE }), "unchanged");
    }

    #[test]
    fn a_wait_is_taken_from_the_answer() {
        let error = judged(&reply(429, &[("retry-after", "7200")], ""), &[], WRITE).unwrap_err();
        let DeliveryError::Throttled { wait, message, .. } = error else { panic!("{error:?}") };
        assert_eq!((wait, &*message), (Some(std::time::Duration::from_hours(2)), "HTTP 429: the service asks to wait (retry-after: 7200)"));
    }

    #[test]
    fn a_success_that_is_a_page_or_cut_off_is_none() {
        let page = reply(200, &[("content-type", "Text/HTML; charset=utf-8")], "<html>Log in</html>");
        assert_eq!(judged(&page, &[], WRITE).unwrap_err().class(), FaultClass::OutcomeUnknown);
        for extent in [Extent::Broken, Extent::TooLong] {
            let cut = Reply { extent, ..reply(201, &[], "{") };
            assert_eq!(judged(&cut, &[], WRITE).unwrap_err().class(), FaultClass::OutcomeUnknown);
            assert_eq!(judged(&cut, &[], About { repeatable: true, ..WRITE }).unwrap_err().class(), FaultClass::Failed);
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides_before_the_built_in_ones() {
        let rule = |status: &[&str], json: &[(&str, &[&str])], is| AnswerRule {
            status: status.iter().filter_map(|s| StatusSet::parse(s)).collect(),
            json: json.iter().map(|(p, v)| ((*p).into(), v.iter().map(|v| (*v).into()).collect())).collect(),
            is,
        };
        let rules = [
            rule(&["4xx"], &[("/error/code", &["duplicate", "7"])], Meaning::Unchanged),
            rule(&["200"], &[("/ok", &["false"])], Meaning::Refused),
            rule(&["418"], &[], Meaning::Throttled),
        ];
        let told = |status, body| match judged(&reply(status, &[], body), &rules, WRITE) {
            Ok(effect) => effect.name(),
            Err(error) => error.class().name(),
        };
        assert_eq!(told(409, r#"{"error":{"code":"duplicate"}}"#), "unchanged");
        assert_eq!(told(400, r#"{"error":{"code":7}}"#), "unchanged");
        assert_eq!(told(400, r#"{"error":{"code":8}}"#), "refused");
        assert_eq!(told(400, "{"), "refused");
        assert_eq!(told(200, r#"{"ok":false}"#), "refused");
        assert_eq!(told(200, r#"{"ok":true}"#), "updated");
        assert_eq!(told(418, ""), "throttled");
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_and_only_a_2xx_is_a_success(status in 0_u16..1200, body in ".{0,60}", kind in "[ -~]{0,20}", batch: bool, repeatable: bool) {
            let about = About { repeatable, batch, ..WRITE };
            let judged = judged(&reply(status, &[("content-type", &kind)], &body), &[], about);
            prop_assert!(judged.is_err() || (200..300).contains(&status));
        }
    }
}
