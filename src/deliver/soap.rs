//! A SOAP service: calls as the target file describes them, one a record, or many in one where the service takes them. What an answer means, how a
//! record is found and how a lost answer is settled stand in the file; no redirect is followed and nothing is repeated here.

mod answer;
mod by_hand;
mod examine;
mod look_up;
mod many;
mod one;
mod ready;

use super::outgoing::{Share, grouped, now};
use super::progress::Progress;
use super::record::Prepared;
use super::{Answer, DeliveryError, Settled, Target, Written};
use crate::declare::config::ServiceSpec;
use crate::declare::connector::TargetFile;
use crate::declare::connector::soap::{AnswerRule, Call, SoapService};
use crate::diagnose::Problems;
use crate::model::{Delivery, Intended, Receipt, WriteEffect, WriteIntent};
use crate::wire::caller::{Answered, CallError, Caller, Envelope, Opened};
use crate::wire::pace;
use crate::wire::session::SessionError;
use ready::Ready;
use std::sync::Arc;
use tokio::time::Instant;

/// Records that leave in one write where each is a call of its own: after a crash so many at most are to be settled.
const ALONE_AT_ONCE: usize = 20;

/// A SOAP service.
#[derive(Clone, Debug)]
pub struct SoapTarget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    caller: Caller,
    service: SoapService,
    file: Arc<TargetFile>,
}

impl SoapTarget {
    /// A target; nothing is connected and no WSDL is read until the first call. `None` for a file of another kind.
    pub fn new(spec: ServiceSpec, file: Arc<TargetFile>) -> Option<Self> {
        let service = file.soap.clone()?;
        let caller = Caller::new(spec, file.clone())?;
        Some(Self { inner: Arc::new(Inner { caller, service, file }) })
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
        // Writes and blanks of one call do not mix: what is not found is made by one and left by the other.
        let share = |one: &Ready<'_>| {
            let batch = one.how.batch.as_ref().filter(|_| one.is_batched())?;
            Some(Share { at_most: batch.at_most, bytes: one.bytes(), kind: Some(one.delivery.intent) })
        };
        for group in grouped(waiting, share) {
            if progress.stopped().is_some() {
                break;
            }
            let Some((_, first)) = group.first() else { continue };
            match &first.how.batch {
                Some(batch) if first.is_batched() => inner.many(batch, &group, &mut progress).await,
                _ => inner.one(&group, &mut progress).await,
            }
        }
        progress.finish()
    }
}

impl Inner {
    fn ready<'a>(&'a self, delivery: &'a Delivery) -> Result<Ready<'a>, DeliveryError> {
        Ready::new(delivery, Prepared::new(&self.file, delivery)?)
    }

    /// Rules in their order: the call's, the operation's, the file's.
    fn rules<'a>(&'a self, ready: &Ready<'a>, call: &'a Call) -> [&'a [AnswerRule]; 3] {
        [&call.answers, &ready.how.answers, &self.service.answers]
    }

    /// Sends, and notes what the server says about its limits.
    async fn sent(&self, envelope: &Envelope, progress: &mut Progress) -> Result<Answered, DeliveryError> {
        let asked = Instant::now();
        match self.caller.send(envelope).await {
            Ok(answered) => {
                if let Some(asked) = pace::exhausted(&answered.reply.headers, now()) {
                    progress.asked(&asked);
                }
                Ok(answered)
            }
            Err(error) => {
                if matches!(error, SessionError::Unanswered { .. }) {
                    progress.no_answer(asked.elapsed(), self.caller.http.spec.timeout);
                }
                Err(error.into())
            }
        }
    }

    /// Lets the session know whether its login was taken.
    async fn told<T>(&self, opened: &Opened, outcome: Result<T, DeliveryError>) -> Result<T, DeliveryError> {
        self.caller.heard(opened, matches!(outcome, Err(DeliveryError::LoginExpired { .. }))).await?;
        outcome
    }
}

impl From<CallError> for DeliveryError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refused) => Self::Refused { code: refused.code, message: refused.message },
            CallError::Session(error) => error.into(),
        }
    }
}

impl Target for SoapTarget {
    async fn write(&self, batch: &[Intended]) -> Written {
        let deliveries: Vec<Delivery> = batch.iter().map(|intended| intended.delivery().clone()).collect();
        self.send(&deliveries, Progress::of(deliveries.len())).await
    }

    fn most_at_once(&self) -> usize {
        let batches = self.inner.file.operations.iter().filter_map(|operation| operation.soap.as_ref()?.batch.as_ref());
        batches.map(|batch| batch.at_most).min().unwrap_or(ALONE_AT_ONCE)
    }

    fn travels_alone(&self, delivery: &Delivery) -> bool {
        let soap = self.inner.file.operation(&delivery.operation.0).and_then(|operation| operation.soap.as_ref());
        soap.is_none_or(|soap| !soap.is_batched(delivery.intent))
    }

    async fn settle(&self, unknown: &Delivery) -> Result<Settled, DeliveryError> {
        self.inner.settle(unknown).await
    }

    async fn login(&self) -> Result<(), DeliveryError> {
        Ok(self.inner.caller.renew().await?)
    }

    async fn preview(&self, batch: &[Delivery]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(batch.len());
        for delivery in batch {
            answers.push(self.inner.preview(delivery).await);
        }
        answers
    }

    async fn check(&self) -> Problems {
        self.inner.examine().await
    }
}
