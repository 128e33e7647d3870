//! What targets of kind `notify` have besides: whom a mail goes to, the key that signs, what is collected, when it is quiet. And `[alarms]`: whom the
//! service tells about itself.

use super::check::{Checker, Table, shown};
use super::codes::{BAD_HOURS, EXCLUDE_EACH_OTHER, MISSING, WRONG_FORM};
use super::hours::ServiceHours;
use super::keys::{self, Form, Key, LONGEST_HOURS, Need, Section, Tables, key};
use super::service::GivenSecret;
use super::settings::TargetSpec;
use super::values::names;
use crate::diagnose::Place;
use crate::model::Timestamp;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Who gets one mail: a list of the mail server reaches more.
const MOST_RECIPIENTS: usize = 20;

pub(super) const SIGNING_KEY: Key = key(
    "signing_key",
    Form::Secret,
    Need::Optional("Webhooks are not signed."),
    "Kind `notify` with a web address: the key that signs each request as Standard Webhooks does, `whsec_` and 24 to 64 bytes in base64.",
    "{ file = \"/etc/kith/webhook.key\" }",
);
pub(super) const MAIL_FROM: Key = key(
    "from",
    Form::Text(254),
    Need::Optional("The address is a web address."),
    "Kind `notify` with `smtp://` or `smtps://`: the sender's address.",
    "\"kith@example.com\"",
);
pub(super) const MAIL_TO: Key = key(
    "to",
    Form::Text(5_000),
    Need::Optional("The address is a web address."),
    "Kind `notify` with `smtp://` or `smtps://`: who gets the mails, with commas between.",
    "\"service-desk@example.com\"",
);
pub(super) const DIGEST: Key = key(
    "digest",
    Form::Count(2, 50),
    Need::Optional("Each notice travels alone and at once."),
    "Kind `notify`: notices that are not urgent (priority 1) are collected, and leave in one message when there are so many, or after \
     `digest_minutes`.",
    "20",
);
pub(super) const DIGEST_MINUTES: Key = key(
    "digest_minutes",
    Form::Count(1, 1_440),
    Need::Optional("60, where `digest` is set."),
    "Kind `notify`: how long the oldest notice of a digest waits at most.",
    "30",
);
pub(super) const QUIET_HOURS: Key = key(
    "quiet_hours",
    Form::Text(LONGEST_HOURS),
    Need::Optional("Never."),
    "Kind `notify`: when only urgent notices (priority 1, critical alarms) leave, on the clock of `time_zone`; the others wait for the end. Written as \
     `hours`.",
    "\"daily 19:00-07:00\"",
);
const ALARMS_TO: Key = key(
    "to",
    Form::Text(1_000),
    Need::Optional("Nobody is told; metrics and `kith status` show the same."),
    "Targets of kind `notify` that the service tells about itself, with commas between.",
    "\"on_call\"",
);
const REVIEW_BACKLOG: Key = key(
    "review_backlog",
    Form::Count(1, 1_000_000),
    Need::Default("500"),
    "More accounts than this that wait for a person are told as `ReviewBacklog`.",
    "200",
);
const AFTER_SECONDS: Key = key(
    "after_seconds",
    Form::Count(1, 86_400),
    Need::Default("300"),
    "How long something must be wrong before it is told. A conservation gap and a pass at a guard are told at once.",
    "60",
);
pub(super) const ALARMS: Section = Section {
    name: "alarms",
    tables: Tables::One,
    required: false,
    doc: "Whom the service tells when something is wrong with itself: a target that does not answer, a login that is refused, a disk that fills up, a log \
          that does not leave, a pass that waits. `ops/runbook.md` has a page for each.",
    keys: &[ALARMS_TO, REVIEW_BACKLOG, AFTER_SECONDS],
};

/// `[alarms]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alarms {
    /// Targets of kind `notify` that are told.
    pub to: Vec<Arc<str>>,
    /// More accounts than this that wait for a person are an alarm.
    pub review_backlog: NonZeroU32,
    /// How long something must be wrong before it is told.
    pub after: Duration,
}

/// The addresses of a mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailAddresses {
    /// The sender's.
    pub from: Arc<str>,
    /// Who gets it; never empty.
    pub to: Vec<Arc<str>>,
}

/// How notices are collected, and when it is quiet. Urgent ones pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hold {
    /// Leave together when there are so many, or when the oldest waited so long.
    pub digest: Option<(NonZeroU32, Duration)>,
    /// Only urgent ones leave then.
    pub quiet: Option<ServiceHours>,
}

impl Hold {
    /// When quiet hours end that hold now.
    pub fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.quiet.as_ref().and_then(|quiet| quiet.open_until(now))
    }
}

/// What a target of kind `notify` has besides.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NoticeSpec {
    /// Signs webhooks.
    pub signing_key: Option<GivenSecret>,
    /// The addresses of mails.
    pub mail: Option<MailAddresses>,
    /// What is held back.
    pub hold: Hold,
}

impl TargetSpec {
    /// The secrets that it needs, to be read.
    pub fn secrets_mut(&mut self) -> Vec<&mut GivenSecret> {
        let mut secrets = self.place.secrets_mut();
        secrets.extend(self.notice.signing_key.as_mut());
        secrets
    }
}

impl<'a> Checker<'a> {
    /// What a target has for notices; `None` where something of it is wrong.
    pub(super) fn notice(&mut self, table: &Table<'a>) -> Option<NoticeSpec> {
        let has = |key: &Key| table.values.contains_key(key.name);
        let signing_key = if has(&SIGNING_KEY) { Some(self.given(table, &SIGNING_KEY)?) } else { None };
        let from = if has(&MAIL_FROM) { Some(self.mailbox(table, &MAIL_FROM)?) } else { None };
        let to = if has(&MAIL_TO) { Some(self.addresses(table)?) } else { None };
        let mail = self.pair(table, (&MAIL_FROM, from), (&MAIL_TO, to))?;
        let digest = if has(&DIGEST) { Some(self.count(table, &DIGEST)?) } else { None };
        let minutes = if has(&DIGEST_MINUTES) { Some(self.count(table, &DIGEST_MINUTES)?) } else { None };
        if let (None, Some(node)) = (digest, table.values.get(DIGEST_MINUTES.name)) {
            self.error(MISSING, &node.key, "`digest_minutes` means nothing without `digest`", format!("add `digest = {}`", DIGEST.example));
        }
        let wait = Duration::from_secs(60 * u64::from(minutes.map_or(60, NonZeroU32::get)));
        let quiet = if has(&QUIET_HOURS) { Some(self.quiet(table)?) } else { None };
        let mail = mail.map(|(from, to)| MailAddresses { from, to });
        if mail.is_some()
            && let Some(node) = table.values.get(SIGNING_KEY.name)
        {
            self.error(EXCLUDE_EACH_OTHER, &node.key, "`signing_key` signs webhooks, and this sends mails", "remove it");
        }
        Some(NoticeSpec { signing_key, mail, hold: Hold { digest: digest.map(|count| (count, wait)), quiet } })
    }

    fn quiet(&mut self, table: &Table<'a>) -> Option<ServiceHours> {
        let zone = self.non_blank(table, &keys::TIME_ZONE)?;
        let text = self.non_blank(table, &QUIET_HOURS)?;
        ServiceHours::parse(&text, &zone)
            .map_err(|error| {
                let place = table.values.get(QUIET_HOURS.name).map_or_else(|| table.place.clone(), |node| node.place.clone());
                self.error(BAD_HOURS, &place, error.to_string(), format!("write it as `quiet_hours = {}`", QUIET_HOURS.example));
            })
            .ok()
    }

    fn mailbox(&mut self, table: &Table<'a>, key: &'static Key) -> Option<Arc<str>> {
        let text = self.non_blank(table, key)?;
        if is_address(&text) {
            return Some(text);
        }
        let place = table.values.get(key.name).map_or_else(|| table.place.clone(), |node| node.place.clone());
        let message = format!("`{}` is no address of a mailbox: `{}`", key.name, shown(&text));
        self.error(WRONG_FORM, &place, message, format!("write it as `{} = {}`", key.name, key.example));
        None
    }

    fn addresses(&mut self, table: &Table<'a>) -> Option<Vec<Arc<str>>> {
        let text = self.non_blank(table, &MAIL_TO)?;
        let all: Vec<Arc<str>> = text.split(',').map(str::trim).map(Arc::from).collect();
        if all.len() <= MOST_RECIPIENTS && all.iter().all(|address| is_address(address)) {
            return Some(all);
        }
        let place = table.values.get(MAIL_TO.name).map_or_else(|| table.place.clone(), |node| node.place.clone());
        let message = format!("`to` is no list of at most {MOST_RECIPIENTS} addresses");
        self.error(WRONG_FORM, &place, message, format!("write it as `to = {}`, with commas between", MAIL_TO.example));
        None
    }

    /// `[alarms]`; its targets are there.
    pub(super) fn alarms(&mut self, table: &Table<'a>, targets: &[(TargetSpec, Place)]) -> Option<Alarms> {
        let text = if table.values.contains_key(ALARMS_TO.name) { Some(self.non_blank(table, &ALARMS_TO)?) } else { None };
        let to = text.as_deref().map(names).unwrap_or_default();
        if let Some(unknown) = to.iter().find(|name| !targets.iter().any(|(target, _)| target.name == **name)) {
            let place = table.values.get(ALARMS_TO.name).map_or_else(|| table.place.clone(), |node| node.place.clone());
            let message = format!("`to` of [alarms] names `{}`, and there is no such target", shown(unknown));
            self.error(MISSING, &place, message, "name tables of [targets] whose target file is of kind `notify`");
        }
        Some(Alarms {
            to,
            review_backlog: self.count(table, &REVIEW_BACKLOG)?,
            after: Duration::from_secs(self.count(table, &AFTER_SECONDS)?.get().into()),
        })
    }
}

/// One `@`, a name before it, a host with letters after it, nothing that could begin another header or address.
fn is_address(text: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_graphic() && !"<>()[],;:\\\"@".contains(c));
    text.split_once('@').is_some_and(|(name, host)| plain(name) && plain(host) && !host.starts_with(['.', '-']))
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn an_address_is_one_mailbox_and_nothing_more() {
        for good in ["ops@example.com", "a.b+kith@mail.corp", "x@localhost"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "ops", "@example.com", "ops@", "a@b@c", "a b@c", "<a@b>", "a@b\r\nBcc: x@y", "a@b,c@d", "a@.b", "ä@b"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
