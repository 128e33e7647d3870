//! A service that takes JSON over HTTP: one request a record, or a batch where the service takes many. What an answer means, and how a lost one is
//! settled, stands in the target file; no redirect is followed and nothing is repeated here.
//!
//! The service does not tell what stood there before: a receipt names changes only where the record is new (HTTP 201).

pub(super) mod answer;
mod batch;
pub(super) mod request;
mod settle;

use super::exchange;
use super::outgoing::{Share, grouped, now};
use super::progress::Progress;
use super::record::Prepared;
use super::{Answer, DeliveryError, Exchange, Settled, Target, Written};
use crate::declare::config::{Login, ServiceSpec};
use crate::declare::connector::TargetFile;
use crate::declare::connector::http::{AnswerRule, BatchRequest, HttpService, Settle};
use crate::diagnose::{Code, Diagnostic, Place, Problems};
use crate::model::{Delivery, Intended, Receipt, WriteEffect, WriteIntent};
use crate::wire::http::{LONGEST_BODY, Reply, Request};
use crate::wire::session::Session;
use answer::{About, Said};
use request::Ready;
use serde_json::Value as Json;
use settle::Comparison;
use std::sync::Arc;
use tokio::time::Instant;

/// Records that leave in one write where each is a request of its own: after a crash so many at most are to be settled.
const ALONE_AT_ONCE: usize = 20;

/// A service.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    session: Session,
    file: Arc<TargetFile>,
    service: HttpService,
}

impl HttpTarget {
    /// A target; nothing is connected until the first request.
    pub fn new(service: ServiceSpec, file: Arc<TargetFile>) -> Self {
        let of_file = file.http.clone().unwrap_or_default();
        Self { inner: Arc::new(Inner { session: Session::new(service, LONGEST_BODY), file, service: of_file }) }
    }

    /// The request of a delivery as it would be sent, secrets masked. Nothing is sent.
    ///
    /// # Errors
    /// The delivery can't be one.
    pub fn draft(&self, delivery: &Delivery) -> Result<String, DeliveryError> {
        self.inner.draft(delivery)
    }

    /// Writes one delivery that a person gave by hand, and keeps what travelled. Whoever calls it has told the log.
    pub async fn by_hand(&self, delivery: &Delivery) -> Written {
        self.send(std::slice::from_ref(delivery), Progress::of(1).keeping_all()).await
    }

    /// Writes deliveries; the trait's method takes only those whose intent is durable.
    async fn send(&self, batch: &[Delivery], mut progress: Progress) -> Written {
        let inner = &*self.inner;
        let mut waiting: Vec<(usize, Ready<'_>)> = Vec::with_capacity(batch.len());
        for (at, delivery) in batch.iter().enumerate() {
            match inner.ready(delivery) {
                Err(error) => progress.tell(at, Err(error), None),
                Ok(_) if delivery.intent == WriteIntent::Keep => {
                    progress.tell(at, Ok(Receipt::bare(delivery.id, WriteEffect::Kept)), None);
                }
                Ok(ready) => waiting.push((at, ready)),
            }
        }
        let share = |one: &Ready<'_>| {
            let batch = one.how.batch.as_ref().filter(|_| one.is_batched())?;
            Some(Share { at_most: batch.at_most, bytes: one.record().to_string().len() + 1, kind: None })
        };
        for group in grouped(waiting, share) {
            if progress.stopped().is_some() {
                break;
            }
            let Some(first) = group.first() else { continue };
            match &first.1.how.batch {
                Some(request) if first.1.is_batched() => inner.many(request, &group, &mut progress).await,
                _ => inner.one(first, &mut progress).await,
            }
        }
        progress.finish()
    }
}

impl Inner {
    fn ready<'a>(&'a self, delivery: &'a Delivery) -> Result<Ready<'a>, DeliveryError> {
        let ready = Ready::new(delivery, Prepared::new(&self.file, delivery)?)?;
        // A path that can't be made is told before anything is sent.
        if !ready.is_batched()
            && let Some(request) = ready.request()?
        {
            ready.path(&request.path)?;
        }
        Ok(ready)
    }

    fn rules<'a>(&'a self, ready: &Ready<'a>) -> [&'a [AnswerRule]; 2] {
        [&ready.how.answers, &self.service.answers]
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.session.spec.url)
    }

    /// One record in a request of its own.
    async fn one(&self, (at, ready): &(usize, Ready<'_>), progress: &mut Progress) {
        let (answer, exchange) = match self.one_request(ready).await {
            Ok(request) => self.one_answer(ready, request, progress).await,
            Err(error) => (Err(error), None),
        };
        progress.tell(*at, answer, exchange);
    }

    async fn one_request(&self, ready: &Ready<'_>) -> Result<Request, DeliveryError> {
        let request = self.unauthorized(ready)?;
        Ok(Request { authorization: self.session.authorization().await?, ..request })
    }

    fn unauthorized(&self, ready: &Ready<'_>) -> Result<Request, DeliveryError> {
        let Some(wanted) = ready.request()? else {
            return Err(DeliveryError::refused("KITH-D008", "there is nothing to send"));
        };
        let body = (ready.delivery.intent != WriteIntent::Remove).then(|| ready.record().to_string().into_bytes());
        let mut headers = request::headers(&self.service, Some(&ready.idempotency), body.is_some());
        if ready.is_insert_only() && wanted.method == crate::declare::connector::http::Method::Put {
            // RFC 9110 §13.1.2: only where there is none yet.
            headers.push(("if-none-match".into(), "*".into()));
        }
        let url = self.url(&ready.path(&wanted.path)?);
        Ok(Request { method: wanted.method.name(), url, headers, authorization: None, body })
    }

    async fn one_answer(&self, ready: &Ready<'_>, request: Request, progress: &mut Progress) -> (Answer, Option<Exchange>) {
        let content = request.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
        let reply = match self.sent(&request, progress).await {
            Ok(reply) => reply,
            Err(error) => {
                let kept = exchange::exchange(&request, content.as_deref(), None, &format!("no answer: {error}"));
                return (Err(error), Some(kept));
            }
        };
        let json = answer::json(&reply);
        let about =
            About { intent: ready.delivery.intent, repeatable: ready.is_repeatable(), insert_only: ready.is_insert_only(), batch: false };
        let said = Said { status: Some(reply.status), json: json.as_ref(), reply: &reply, now: now() };
        match self.told(answer::outcome(self.rules(ready), said, about)).await {
            Ok(effect) if !progress.keeps_all() => (Ok(ready.receipt(effect)), None),
            outcome => {
                let kept = exchange::exchange(&request, content.as_deref(), Some(&reply), &exchange::content(&reply));
                (outcome.map(|effect| ready.receipt(effect)), Some(kept))
            }
        }
    }

    /// The request of a delivery as it would be sent, secrets masked.
    fn draft(&self, delivery: &Delivery) -> Result<String, DeliveryError> {
        let ready = self.ready(delivery)?;
        let request = match &ready.how.batch {
            Some(batch) if ready.is_batched() => {
                let content = ready.record();
                Request {
                    method: batch.method.name(),
                    url: self.url(&batch.path),
                    headers: request::headers(&self.service, Some(&batch::idempotency(&[&ready])), true),
                    authorization: None,
                    body: Some(batch::content(batch, &[content])),
                }
            }
            _ => self.unauthorized(&ready)?,
        };
        let login = !matches!(self.session.spec.login, Login::None);
        let content = request.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
        Ok(exchange::sent(&request, content.as_deref(), login))
    }

    /// Many records in one request.
    async fn many(&self, batch: &BatchRequest, records: &[(usize, Ready<'_>)], progress: &mut Progress) {
        let ready: Vec<&Ready<'_>> = records.iter().map(|(_, ready)| ready).collect();
        let authorization = match self.session.authorization().await {
            Ok(authorization) => authorization,
            Err(error) => {
                let error = DeliveryError::from(error);
                for (at, _) in records {
                    progress.tell(*at, Err(error.clone()), None);
                }
                return;
            }
        };
        let contents: Vec<Json> = ready.iter().map(|one| one.record()).collect();
        let request = Request {
            method: batch.method.name(),
            url: self.url(&batch.path),
            headers: request::headers(&self.service, Some(&batch::idempotency(&ready)), true),
            authorization,
            body: Some(batch::content(batch, &contents)),
        };
        let reply = match self.sent(&request, progress).await {
            Ok(reply) => reply,
            Err(error) => {
                for ((at, _), content) in records.iter().zip(&contents) {
                    let kept = exchange::exchange(&request, Some(&content.to_string()), None, &format!("no answer: {error}"));
                    progress.tell(*at, Err(error.clone()), Some(kept));
                }
                return;
            }
        };
        let rules = records.first().map_or([&[] as &[AnswerRule], &self.service.answers], |(_, first)| self.rules(first));
        let outcomes = batch::outcomes(batch, &ready, rules, &reply, now());
        let mut login = None;
        for (((at, one), content), (outcome, part)) in records.iter().zip(&contents).zip(outcomes) {
            // The session is told once a request.
            let outcome = match (&outcome, &login) {
                (Err(DeliveryError::LoginExpired { .. }), Some(error)) => Err(DeliveryError::clone(error)),
                _ => self.told(outcome).await,
            };
            if let Err(error @ (DeliveryError::LoginExpired { .. } | DeliveryError::Unavailable { .. })) = &outcome {
                login.get_or_insert_with(|| error.clone());
            }
            match outcome {
                Ok(effect) => progress.tell(*at, Ok(one.receipt(effect)), None),
                Err(error) => {
                    let answered = part.unwrap_or_else(|| exchange::content(&reply));
                    let kept = exchange::exchange(&request, Some(&content.to_string()), Some(&reply), &answered);
                    progress.tell(*at, Err(error), Some(kept));
                }
            }
        }
    }

    /// Sends, and notes what the server says about its limits.
    async fn sent(&self, request: &Request, progress: &mut Progress) -> Result<Reply, DeliveryError> {
        let asked = Instant::now();
        match self.session.send(request.clone()).await.map_err(DeliveryError::from) {
            Ok(reply) => {
                if let Some(asked) = answer::pause(&reply, now()) {
                    progress.asked(&asked);
                }
                Ok(reply)
            }
            Err(error) => {
                if matches!(error, DeliveryError::OutcomeUnknown { .. }) {
                    progress.no_answer(asked.elapsed(), self.session.spec.timeout);
                }
                Err(error)
            }
        }
    }

    /// Lets the session know whether its login was taken.
    async fn told(&self, outcome: Result<WriteEffect, DeliveryError>) -> Result<WriteEffect, DeliveryError> {
        self.session.heard(matches!(outcome, Err(DeliveryError::LoginExpired { .. }))).await?;
        outcome
    }

    async fn read(&self, path: &str) -> Result<Reply, DeliveryError> {
        let headers = request::headers(&self.service, None, false);
        let authorization = self.session.authorization().await?;
        let request = Request { method: "GET", url: self.url(path), headers, authorization, body: None };
        // Reading leaves nothing unknown.
        let reply = self.session.send(request).await.map_err(|error| DeliveryError::from(error).of_reading())?;
        self.session.heard(reply.status == 401).await?;
        Ok(reply)
    }

    async fn settle(&self, delivery: &Delivery) -> Result<Settled, DeliveryError> {
        let ready = self.ready(delivery)?;
        if delivery.intent == WriteIntent::Keep {
            return Ok(Settled::NotThere);
        }
        let Some(Settle::LookUp(look_up)) = &ready.how.settle else {
            return Ok(settle::without_reading(&ready, ready.is_repeatable()));
        };
        let Some(comparison) = Comparison::new(look_up, &ready) else {
            return Ok(settle::without_reading(&ready, ready.is_repeatable()));
        };
        let reply = self.read(&ready.path(&look_up.path)?).await?;
        if let Some(settled) = comparison.judge(&reply, &ready) {
            return Ok(settled);
        }
        // What the built-in rules say about a request that changes nothing.
        let about = About { intent: WriteIntent::Write, repeatable: true, insert_only: false, batch: false };
        let said = Said { status: Some(reply.status), json: None, reply: &reply, now: now() };
        Err(match answer::outcome([&[], &[]], said, about) {
            Err(error) if !matches!(error, DeliveryError::Refused { .. }) => error,
            Ok(_) | Err(_) => settle::not_told(&reply),
        })
    }

    fn preview(&self, delivery: &Delivery) -> Answer {
        let ready = self.ready(delivery)?;
        // Without reading nobody knows what stands there: a write is shown as a new record, a withdrawal by its kind.
        let (effect, changes) = match delivery.intent {
            WriteIntent::Write => {
                let planned = ready.prepared.plan(WriteIntent::Write, None);
                (planned.effect, planned.changes)
            }
            WriteIntent::Remove => (WriteEffect::Removed, Vec::new()),
            WriteIntent::Blank => (WriteEffect::Blanked, Vec::new()),
            WriteIntent::Keep => (WriteEffect::Kept, Vec::new()),
        };
        Ok(Receipt { delivery: delivery.id, effect, changes, kept: Vec::new() })
    }

    async fn check(&self) -> Problems {
        let place = Place::Named(self.session.spec.url.clone());
        let problem =
            |code: Code, message: String, remedy: &str| -> Problems { Diagnostic::error(code, place.clone(), message, remedy).into() };
        let reply = match self.read(self.service.health.as_deref().unwrap_or("/")).await {
            Ok(reply) => reply,
            Err(error) => {
                let remedy = "check `url`, `proxy`, `ca_file` and the login of the target, and whether a firewall stands between";
                return problem(error.code(), error.to_string(), remedy);
            }
        };
        let status = reply.status;
        match (status, self.service.health.is_some()) {
            (401, _) | (403, true) => {
                let remedy = "check the login of the target and what it is allowed to do";
                problem(Code("KITH-D016"), format!("HTTP {status}: the service does not take the login"), remedy)
            }
            (407, _) => problem(Code("KITH-D012"), "HTTP 407: the proxy wants a login".into(), "give `proxy_user` and `proxy_password`"),
            (500..=599, _) => {
                problem(Code("KITH-D018"), format!("HTTP {status}: the service can't take anything now"), "look into the service's own log")
            }
            (200..=299, _) | (_, false) => Problems::default(),
            (_, true) => {
                let remedy = "correct `http: { health: … }` of the target file, or `url`";
                problem(Code("KITH-D018"), format!("HTTP {status}: the address that should tell its health does not"), remedy)
            }
        }
    }
}

impl Target for HttpTarget {
    async fn write(&self, batch: &[Intended]) -> Written {
        let deliveries: Vec<Delivery> = batch.iter().map(|intended| intended.delivery().clone()).collect();
        self.send(&deliveries, Progress::of(deliveries.len())).await
    }

    fn most_at_once(&self) -> usize {
        let batches = self.inner.file.operations.iter().filter_map(|operation| operation.http.as_ref()?.batch.as_ref());
        batches.map(|batch| batch.at_most).min().unwrap_or(ALONE_AT_ONCE)
    }

    fn travels_alone(&self, delivery: &Delivery) -> bool {
        let http = self.inner.file.operation(&delivery.operation.0).and_then(|operation| operation.http.as_ref());
        http.is_none_or(|http| !http.is_batched(delivery.intent))
    }

    async fn settle(&self, unknown: &Delivery) -> Result<Settled, DeliveryError> {
        self.inner.settle(unknown).await
    }

    async fn login(&self) -> Result<(), DeliveryError> {
        Ok(self.inner.session.login().await?)
    }

    async fn preview(&self, batch: &[Delivery]) -> Vec<Answer> {
        batch.iter().map(|delivery| self.inner.preview(delivery)).collect()
    }

    async fn check(&self) -> Problems {
        self.inner.check().await
    }
}
