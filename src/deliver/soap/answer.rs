//! What an answer means: the rules of the file in their order, then the built-in ones. Pure.

use crate::declare::connector::http::Meaning;
use crate::declare::connector::soap::{AnswerRule, Call};
use crate::deliver::DeliveryError;
use crate::deliver::http::answer::{self as over_http, Built};
use crate::diagnose::Code;
use crate::model::{WriteEffect, WriteIntent};
use crate::wire::caller::{Answered, Heard, find, fits, shown};
use crate::wire::http::Extent;
use crate::wire::pace;
use crate::wire::soap::{Fault, NotSoap, Reading};
use jiff::Timestamp;

/// What an answer is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    /// What the call does to the record, where the answer does not say.
    pub effect: WriteEffect,
    pub intent: WriteIntent,
    /// The same call again changes nothing where it had arrived.
    pub repeatable: bool,
    pub insert_only: bool,
    /// The call carried several records, and the answer is about all of them.
    pub batch: bool,
    pub call: &'a Call,
    /// The names that the answer's element may have, as the contract declares them; empty: any.
    pub expected: &'a [String],
}

impl<'a> About<'a> {
    /// About a call that only reads.
    pub(super) const fn reading(call: &'a Call, expected: &'a [String]) -> Self {
        Self {
            effect: WriteEffect::Unchanged,
            intent: WriteIntent::Write,
            repeatable: true,
            insert_only: false,
            batch: false,
            call,
            expected,
        }
    }

    const fn over_http(&self) -> over_http::About {
        over_http::About { intent: self.intent, repeatable: self.repeatable, insert_only: self.insert_only, batch: self.batch }
    }

    /// Nobody can say what came of it.
    pub(super) fn unclear(&self, what: impl Into<String>) -> DeliveryError {
        let message = what.into();
        if self.repeatable {
            DeliveryError::Failed { code: Code("KITH-D017"), message: message.into(), retry_after: None }
        } else {
            DeliveryError::unknown(message)
        }
    }
}

/// What came of it.
pub(super) fn outcome(
    rules: [&[AnswerRule]; 3],
    answered: &Answered,
    about: &About<'_>,
    now: Timestamp,
) -> Result<WriteEffect, DeliveryError> {
    let heard = answered.heard();
    let ruled = rules.into_iter().flatten().find(|rule| fits(&rule.when, heard)).map(|rule| rule.is);
    match ruled {
        // A rule that calls an answer a success can't make one of what did not come whole.
        Some(Meaning::Delivered | Meaning::Unchanged) if answered.reply.extent != Extent::Whole => {
            Err(about.unclear(format!("HTTP {}: the answer is cut off or too long", answered.reply.status)))
        }
        Some(Meaning::Delivered) => Ok(effect(heard, about)),
        Some(Meaning::Unchanged) => Ok(WriteEffect::Unchanged),
        Some(fault) => Err(error(fault, answered, about, now)),
        None => built_in(answered, about, now),
    }
}

/// What a success did to the record.
fn effect(heard: Heard<'_>, about: &About<'_>) -> WriteEffect {
    let is_new = || heard.body.is_some_and(|body| about.call.created.iter().all(|expected| find::holds(body, expected)));
    match about.effect {
        WriteEffect::Updated if !about.call.created.is_empty() && is_new() => WriteEffect::Inserted,
        other @ (WriteEffect::Inserted
        | WriteEffect::Updated
        | WriteEffect::Unchanged
        | WriteEffect::Removed
        | WriteEffect::Blanked
        | WriteEffect::Kept) => other,
    }
}

fn built_in(answered: &Answered, about: &About<'_>, now: Timestamp) -> Result<WriteEffect, DeliveryError> {
    let status = answered.reply.status;
    let success = (200..300).contains(&status);
    let by_status = |answered: &Answered| match over_http::built_in(status, &answered.reply, about.over_http()) {
        Built::Is(Meaning::Unchanged) => Err(error(Meaning::Refused, answered, about, now)),
        Built::Is(meaning) => Err(error(meaning, answered, about, now)),
        Built::Unclear(what) => Err(about.unclear(format!("HTTP {status}: {what}"))),
    };
    if answered.reply.extent != Extent::Whole {
        return if success { Err(about.unclear(format!("HTTP {status}: the answer is cut off or too long"))) } else { by_status(answered) };
    }
    match &answered.reading {
        Reading::Answer(answer) if success => {
            let Some(body) = answer.first() else {
                // Nothing in the body: what an operation without a result answers.
                return if about.call.proof.is_some() {
                    Err(about.unclear(format!("HTTP {status}: the answer holds nothing that proves the write")))
                } else {
                    Ok(about.effect)
                };
            };
            if !about.expected.is_empty() && !about.expected.iter().any(|name| **name == *body.name.local) {
                return Err(about.unclear(format!("HTTP {status}: the answer is none of this operation")));
            }
            if let Some(proof) = &about.call.proof
                && find::text(body, proof).is_none_or(|text| text.trim().is_empty())
            {
                return Err(about.unclear(format!("HTTP {status}: the answer has nothing at `{proof}`, which proves the write")));
            }
            Ok(effect(answered.heard(), about))
        }
        Reading::Fault(fault) => Err(of_fault(fault, answered, about, now)),
        Reading::NotSoap(NotSoap::Empty) if success && about.expected.is_empty() && about.call.proof.is_none() => Ok(about.effect),
        Reading::NotSoap(other) if success => Err(about.unclear(format!("HTTP {status}: {other}"))),
        Reading::Answer(_) | Reading::NotSoap(_) => by_status(answered),
    }
}

/// Codes of WS-Security 1.0 (§12) that say that the login is not taken, or too old.
fn is_about_login(fault: &Fault) -> bool {
    const CODES: [&str; 5] = ["FailedAuthentication", "InvalidSecurity", "InvalidSecurityToken", "FailedCheck", "MessageExpired"];
    let is = |local: &str| CODES.contains(&local) || local == "Client.Authentication";
    is(&fault.code.local) || fault.subcodes.iter().any(|code| is(&code.local))
}

fn of_fault(fault: &Fault, answered: &Answered, about: &About<'_>, now: Timestamp) -> DeliveryError {
    let status = answered.reply.status;
    if is_about_login(fault) {
        return error(Meaning::LoginExpired, answered, about, now);
    }
    if matches!(&*fault.code.local, "VersionMismatch" | "MustUnderstand") {
        let message = format!("{}: the service speaks another SOAP, or does not know a header", answered.label());
        return DeliveryError::Unavailable { code: Code("KITH-D061"), message: message.into(), retry_after: None };
    }
    // What HTTP says clearly goes before a code that says little.
    if matches!(status, 401 | 407 | 408 | 421 | 423 | 425 | 429 | 503)
        && let Built::Is(meaning) = over_http::built_in(status, &answered.reply, about.over_http())
    {
        return error(meaning, answered, about, now);
    }
    match fault.is_senders() {
        Some(true) => error(if about.batch { Meaning::BatchRefused } else { Meaning::Refused }, answered, about, now),
        None if (400..500).contains(&status) => {
            error(if about.batch { Meaning::BatchRefused } else { Meaning::Refused }, answered, about, now)
        }
        Some(false) | None => about.unclear(format!("{}: the service failed, and nobody can say how far it came", answered.label())),
    }
}

/// The error of a meaning that is no success.
fn error(meaning: Meaning, answered: &Answered, about: &About<'_>, now: Timestamp) -> DeliveryError {
    let label = answered.label();
    let is_fault = matches!(answered.reading, Reading::Fault(_) | Reading::Answer(_));
    if !is_fault {
        let said = over_http::Said { status: Some(answered.reply.status), json: None, reply: &answered.reply, now };
        return over_http::error(meaning, said, about.over_http());
    }
    let retry_after = pace::retry_after(&answered.reply.headers, now).map(|asked| asked.wait);
    match meaning {
        Meaning::Refused => DeliveryError::refused("KITH-D060", format!("{label}: the service refuses the record")),
        Meaning::BatchRefused if !about.batch => DeliveryError::refused("KITH-D060", format!("{label}: the service refuses the request")),
        Meaning::BatchRefused => {
            DeliveryError::BatchRefused { code: Code("KITH-D014"), message: format!("{label}: the service refuses the whole batch").into() }
        }
        Meaning::Failed => {
            DeliveryError::Failed { code: Code("KITH-D060"), message: format!("{label}: the service failed").into(), retry_after }
        }
        Meaning::Unavailable => {
            let message = format!("{label}: the service can't take anything now").into();
            DeliveryError::Unavailable { code: Code("KITH-D018"), message, retry_after }
        }
        Meaning::Throttled => {
            let asked = pace::throttled(&answered.reply.headers, now);
            let what = asked.as_ref().map_or_else(String::new, |asked| format!(" ({})", asked.said));
            let message = format!("{label}: the service asks to wait{what}").into();
            DeliveryError::Throttled { code: Code("KITH-D015"), message, wait: asked.map(|asked| asked.wait) }
        }
        Meaning::LoginExpired => {
            DeliveryError::LoginExpired { code: Code("KITH-D016"), message: format!("{label}: the service wants a login").into() }
        }
        Meaning::Unknown | Meaning::Delivered | Meaning::Unchanged => {
            DeliveryError::unknown(format!("{label}: nobody can say what came of it"))
        }
    }
}

/// What a result of a batch that is no success means.
pub(super) fn of_result(meaning: Meaning, code: Option<&str>, about: &About<'_>) -> DeliveryError {
    let code = code.and_then(shown).map_or_else(String::new, |code| format!(" ({code})"));
    match meaning {
        Meaning::Refused | Meaning::BatchRefused => DeliveryError::refused("KITH-D013", format!("the service refuses the record{code}")),
        Meaning::Failed => DeliveryError::Failed {
            code: Code("KITH-D017"),
            message: format!("the service failed with the record{code}").into(),
            retry_after: None,
        },
        Meaning::Unavailable => DeliveryError::unavailable("KITH-D018", format!("the service can't take anything now{code}")),
        Meaning::Throttled => {
            DeliveryError::Throttled { code: Code("KITH-D015"), message: format!("the service asks to wait{code}").into(), wait: None }
        }
        Meaning::LoginExpired => {
            DeliveryError::LoginExpired { code: Code("KITH-D016"), message: format!("the service wants a login{code}").into() }
        }
        Meaning::Unknown | Meaning::Delivered | Meaning::Unchanged => {
            about.unclear(format!("the result of this record says nothing that is known{code}"))
        }
    }
}
