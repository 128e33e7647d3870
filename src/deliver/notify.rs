//! Telling people: a webhook, signed as Standard Webhooks 1.0 does (HMAC-SHA256 over id, time and the raw content), or a mail over SMTP.
//!
//! Escalations of a mapping come as deliveries, in the outbox's order and under its limits; alarms of the service come by [`NotifyTarget::tell`]. What
//! was told can't be taken back, and the same message again has the same id: a write whose answer was lost is repeated.

mod mail;
mod sign;

use super::exchange;
use super::http::answer::{self, About, Said};
use super::outgoing::now;
use super::progress::Progress;
use super::record::Prepared;
use super::{Answer, DeliveryError, Exchange, Settled, Target, Written};
use crate::declare::config::{Login, NoticeSpec, ServiceSpec};
use crate::declare::connector::TargetFile;
use crate::diagnose::{Diagnostic, Place, Problems};
use crate::model::{Delivery, Digest, Intended, Receipt, Value, WriteEffect, WriteIntent};
use crate::wire::http::{LONGEST_BODY, Request};
use crate::wire::session::Session;
use mail::Mailer;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Notices of one message: a person reads it.
const MOST_IN_ONE: usize = 50;

/// The field that becomes the subject of a mail where an operation has it.
const TITLE: &str = "Title";

/// One thing that is told.
#[derive(Clone, PartialEq, Debug)]
pub struct Notice {
    /// The same thing told again has the same.
    pub id: String,
    /// What it is: an operation of the target file, or `alarm`.
    pub kind: Arc<str>,
    /// What it says, in order.
    pub fields: Vec<(Arc<str>, Json)>,
}

impl Notice {
    fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| **field == *name).and_then(|(_, value)| value.as_str())
    }
}

/// A message of one notice or more.
struct Message<'a> {
    id: String,
    notices: &'a [Notice],
}

impl<'a> Message<'a> {
    /// The same notices in the same order have the same id.
    fn of(notices: &'a [Notice]) -> Self {
        let id = if let [one] = notices {
            one.id.clone()
        } else {
            let mut hash = Sha256::new();
            for notice in notices {
                hash.update(notice.id.as_bytes());
            }
            Digest(hash.finalize().into()).to_string()
        };
        Self { id, notices }
    }

    fn json(&self) -> Json {
        let one = |notice: &Notice| {
            let fields: serde_json::Map<String, Json> =
                notice.fields.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
            json!({ "id": notice.id, "kind": &*notice.kind, "fields": fields })
        };
        json!({ "type": "kith.notices", "notices": self.notices.iter().map(one).collect::<Vec<_>>() })
    }

    /// What a mail is called.
    fn subject(&self) -> String {
        match self.notices {
            [one] => format!("Kith: {}", one.text(TITLE).unwrap_or(&one.kind)),
            many => format!("Kith: {} notices", many.len()),
        }
    }

    /// What a mail says.
    fn text(&self) -> String {
        let mut text = String::new();
        for notice in self.notices {
            text.push_str(&notice.kind);
            text.push('\n');
            for (name, value) in &notice.fields {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                for part in ["  ", name, ": ", &value.replace('\n', "\n    "), "\n"] {
                    text.push_str(part);
                }
            }
            text.push('\n');
        }
        text
    }
}

/// Where notices go.
#[derive(Clone, Debug)]
pub struct NotifyTarget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    session: Session,
    /// `None`: webhooks.
    mailer: Option<Mailer>,
    spec: NoticeSpec,
    file: Arc<TargetFile>,
}

impl NotifyTarget {
    /// A target; nothing is connected until something is told.
    pub fn new(service: ServiceSpec, spec: NoticeSpec, file: Arc<TargetFile>) -> Self {
        let mailer = spec.mail.clone().filter(|_| service.is_mail()).map(|addresses| Mailer::new(service.clone(), addresses));
        Self { inner: Arc::new(Inner { session: Session::new(service, LONGEST_BODY), mailer, spec, file }) }
    }

    /// Tells people, in one message. Where it fails, nobody was told; but for [`DeliveryError::OutcomeUnknown`].
    ///
    /// # Errors
    /// Why nobody was told, or that nobody knows.
    pub async fn tell(&self, notices: &[Notice]) -> Result<(), DeliveryError> {
        self.inner.send(&Message::of(notices), None).await.0
    }

    /// The message of a delivery as it would be sent. Nothing is sent.
    ///
    /// # Errors
    /// The delivery can't be one.
    pub fn draft(&self, delivery: &Delivery) -> Result<String, DeliveryError> {
        let (notice, _) = self.inner.notice(delivery)?;
        let notices = [notice];
        let message = Message::of(&notices);
        Ok(match &self.inner.mailer {
            Some(_) => Mailer::draft(&message),
            None => exchange::sent(
                &Request {
                    method: "POST",
                    url: self.inner.session.spec.url.clone(),
                    headers: vec![("content-type".into(), "application/json".into()), ("webhook-id".into(), message.id.clone())],
                    authorization: None,
                    body: None,
                },
                Some(&message.json().to_string()),
                !matches!(self.inner.session.spec.login, Login::None),
            ),
        })
    }

    /// Sends one delivery that a person gave by hand, and keeps what travelled. Whoever calls it has told the log.
    pub async fn by_hand(&self, delivery: &Delivery) -> Written {
        self.send(std::slice::from_ref(delivery), Progress::of(1).keeping_all()).await
    }

    async fn send(&self, batch: &[Delivery], mut progress: Progress) -> Written {
        let inner = &*self.inner;
        let mut waiting: Vec<(usize, Receipt, Notice)> = Vec::with_capacity(batch.len());
        for (at, delivery) in batch.iter().enumerate() {
            match inner.notice(delivery) {
                Err(error) => progress.tell(at, Err(error), None),
                Ok((_, receipt)) if receipt.effect == WriteEffect::Kept => progress.tell(at, Ok(receipt), None),
                Ok((notice, receipt)) => waiting.push((at, receipt, notice)),
            }
        }
        let together = if inner.spec.hold.digest.is_some() { MOST_IN_ONE } else { 1 };
        for group in waiting.chunks(together) {
            if progress.stopped().is_some() {
                break;
            }
            let notices: Vec<Notice> = group.iter().map(|(_, _, notice)| notice.clone()).collect();
            let (told, travelled) = inner.send(&Message::of(&notices), Some(&mut progress)).await;
            for (at, receipt, _) in group {
                let kept = travelled.clone().filter(|_| told.is_err() || progress.keeps_all());
                progress.tell(*at, told.clone().map(|()| receipt.clone()), kept);
            }
        }
        progress.finish()
    }
}

impl Inner {
    /// What a delivery tells, and the receipt that it gets for it.
    fn notice(&self, delivery: &Delivery) -> Result<(Notice, Receipt), DeliveryError> {
        let prepared = Prepared::new(&self.file, delivery)?;
        let planned = prepared.plan(if delivery.intent == WriteIntent::Write { WriteIntent::Write } else { WriteIntent::Keep }, None);
        let shown = prepared.operation.fields.iter().zip(&prepared.values);
        let fields = shown.filter_map(|(field, value)| {
            let value = value.as_ref().filter(|value| !Value::is_missing(value))?;
            Some((field.name.clone(), value.to_json()))
        });
        let notice = Notice { id: delivery.idempotency.0.to_string(), kind: prepared.operation.id.0.clone(), fields: fields.collect() };
        Ok((notice, Receipt { delivery: delivery.id, effect: planned.effect, changes: planned.changes, kept: Vec::new() }))
    }

    async fn send(&self, message: &Message<'_>, progress: Option<&mut Progress>) -> (Result<(), DeliveryError>, Option<Exchange>) {
        match &self.mailer {
            Some(mailer) => (mailer.send(message).await, None),
            None => self.post(message, progress).await,
        }
    }

    async fn post(&self, message: &Message<'_>, progress: Option<&mut Progress>) -> (Result<(), DeliveryError>, Option<Exchange>) {
        let authorization = match self.session.authorization().await {
            Ok(authorization) => authorization,
            Err(error) => return (Err(error.into()), None),
        };
        let content = message.json().to_string();
        let mut headers = vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
            ("webhook-id".to_owned(), message.id.clone()),
        ];
        if let Some(key) = &self.spec.signing_key {
            match sign::signature(key, &message.id, now(), content.as_bytes()) {
                Ok(signed) => headers.extend(signed),
                Err(error) => return (Err(error), None),
            }
        }
        let url = self.session.spec.url.clone();
        let request = Request { method: "POST", url, headers, authorization, body: Some(content.clone().into_bytes()) };
        let reply = match self.session.send(request.clone()).await {
            Ok(reply) => reply,
            Err(error) => {
                let error = DeliveryError::from(error);
                let kept = exchange::exchange(&request, Some(&content), None, &format!("no answer: {error}"));
                return (Err(error), Some(kept));
            }
        };
        if let (Some(progress), Some(asked)) = (progress, answer::pause(&reply, now())) {
            progress.asked(&asked);
        }
        let json = answer::json(&reply);
        // A hook answers what it likes: only its status counts.
        let about = About { intent: WriteIntent::Write, repeatable: true, insert_only: true, batch: message.notices.len() > 1 };
        let said = Said { status: Some(reply.status), json: json.as_ref(), reply: &reply, now: now() };
        let outcome = answer::outcome([&[], &[]], said, about).map(drop);
        let heard = self.session.heard(matches!(outcome, Err(DeliveryError::LoginExpired { .. }))).await;
        let outcome = heard.map_err(DeliveryError::from).and(outcome);
        (outcome, Some(exchange::exchange(&request, Some(&content), Some(&reply), &exchange::content(&reply))))
    }
}

impl Target for NotifyTarget {
    async fn write(&self, batch: &[Intended]) -> Written {
        let deliveries: Vec<Delivery> = batch.iter().map(|intended| intended.delivery().clone()).collect();
        self.send(&deliveries, Progress::of(deliveries.len())).await
    }

    fn most_at_once(&self) -> usize {
        MOST_IN_ONE
    }

    fn travels_alone(&self, _delivery: &Delivery) -> bool {
        self.inner.spec.hold.digest.is_none()
    }

    async fn settle(&self, unknown: &Delivery) -> Result<Settled, DeliveryError> {
        // Nobody can be asked whether somebody read it. Told twice under one id is better than never.
        Ok(if unknown.intent == WriteIntent::Write { Settled::Repeatable } else { Settled::NotThere })
    }

    async fn login(&self) -> Result<(), DeliveryError> {
        Ok(self.inner.session.login().await?)
    }

    async fn preview(&self, batch: &[Delivery]) -> Vec<Answer> {
        batch.iter().map(|delivery| self.inner.notice(delivery).map(|(_, receipt)| receipt)).collect()
    }

    async fn check(&self) -> Problems {
        let checked = match &self.inner.mailer {
            Some(mailer) => mailer.check().await,
            // A hook does something each time it is called: it is not.
            None => match &self.inner.spec.signing_key {
                Some(key) => sign::signature(key, "", now(), b"").map(drop),
                None => Ok(()),
            },
        };
        checked.err().map_or_else(Problems::default, |error| {
            let place = Place::Named(self.inner.session.spec.url.clone());
            Diagnostic::error(error.code(), place, error.to_string(), format!("`kith explain {}` says more", error.code())).into()
        })
    }
}
