//! Many records in one call, and what its answer says about each.

use super::answer::{self, About};
use super::look_up::Looked;
use super::one::kept;
use super::ready::{Ready, Step};
use super::{Inner, Progress, now};
use crate::declare::connector::http::Meaning;
use crate::declare::connector::soap::{Batch, ResultOrder, Results, Slot};
use crate::deliver::{DeliveryError, exchange};
use crate::model::{Receipt, Value, WriteEffect};
use crate::wire::caller::{Answered, CallError, Envelope, Heard, Opened, Refused, fill, find, fits};
use crate::wire::soap::Reading;
use crate::wire::xml::{Element, Tree, Writer};

/// A record that travels: its place among the answers, itself, what was found, and what the call does to it.
struct Travelling<'t, 'a> {
    at: usize,
    ready: &'t Ready<'a>,
    found: Option<String>,
    effect: WriteEffect,
}

impl Inner {
    /// Many records in one call.
    pub(super) async fn many(&self, batch: &Batch, records: &[(usize, Ready<'_>)], progress: &mut Progress) {
        let travelling = match self.boarding(records, progress).await {
            Ok(travelling) => travelling,
            Err(error) => {
                for (at, _) in records {
                    progress.tell(*at, Err(error.clone()), None);
                }
                return;
            }
        };
        let opened = match self.caller.open().await {
            Ok(opened) => opened,
            Err(error) => {
                let error = DeliveryError::from(error);
                for one in &travelling {
                    progress.tell(one.at, Err(error.clone()), None);
                }
                return;
            }
        };
        // What can't be written is told before anything is sent; the others go on without it.
        let mut fitting = Vec::with_capacity(travelling.len());
        for one in travelling {
            match self.batched(batch, std::slice::from_ref(&one), &opened).await {
                Ok(_) => fitting.push(one),
                Err(error) => progress.tell(one.at, Err(error.into()), None),
            }
        }
        if fitting.is_empty() {
            return;
        }
        let envelope = match self.batched(batch, &fitting, &opened).await {
            Ok(envelope) => envelope,
            Err(error) => {
                let error = DeliveryError::from(error);
                for one in &fitting {
                    progress.tell(one.at, Err(error.clone()), None);
                }
                return;
            }
        };
        let answered = match self.sent(&envelope, progress).await {
            Ok(answered) => answered,
            Err(error) => {
                for one in &fitting {
                    let alone = self.batched(batch, std::slice::from_ref(one), &opened).await;
                    let kept = alone.ok().map(|alone| kept(&alone, None, &format!("no answer: {error}")));
                    progress.tell(one.at, Err(error.clone()), kept);
                }
                return;
            }
        };
        self.share_out(batch, &fitting, &answered, &opened, progress).await;
    }

    /// Looks for the records where the call wants to know, and leaves those behind that are as they should be.
    async fn boarding<'t, 'a>(
        &self,
        records: &'t [(usize, Ready<'a>)],
        progress: &mut Progress,
    ) -> Result<Vec<Travelling<'t, 'a>>, DeliveryError> {
        let looks = records.first().is_some_and(|(_, first)| first.looks_first());
        let looked: Vec<Option<Looked>> = if looks {
            let wanted: Vec<&Ready<'_>> = records.iter().map(|(_, ready)| ready).collect();
            self.look_for(&wanted, progress).await?.into_iter().map(Some).collect()
        } else {
            records.iter().map(|_| None).collect()
        };
        let mut travelling = Vec::with_capacity(records.len());
        for ((at, ready), looked) in records.iter().zip(looked) {
            match ready.step(looked.as_ref()) {
                Ok(Step::Call(_, effect)) => {
                    let found = looked.as_ref().and_then(Looked::id).map(str::to_owned);
                    travelling.push(Travelling { at: *at, ready, found, effect });
                }
                Ok(Step::Nothing) => {
                    let receipt =
                        Receipt { delivery: ready.delivery.id, effect: WriteEffect::Unchanged, changes: Vec::new(), kept: Vec::new() };
                    progress.tell(*at, Ok(receipt), None);
                }
                Err(error) => progress.tell(*at, Err(error), None),
            }
        }
        Ok(travelling)
    }

    async fn batched(&self, batch: &Batch, records: &[Travelling<'_, '_>], opened: &Opened) -> Result<Envelope, CallError> {
        let call = &batch.call;
        // What is the same for the whole batch names nothing of a record.
        let values = |_: &Slot| None;
        self.caller
            .envelope(call, opened, &values, &|root| {
                for one in records {
                    let bad = || Refused::with("KITH-D020", format!("the path `{}` can't be repeated", call.record));
                    let record = root.again(&call.record).ok_or_else(bad)?;
                    one.ready.fill(call, one.found.as_deref(), record)?;
                }
                Ok(())
            })
            .await
    }

    /// Tells each record what came of it.
    async fn share_out(
        &self,
        batch: &Batch,
        records: &[Travelling<'_, '_>],
        answered: &Answered,
        opened: &Opened,
        progress: &mut Progress,
    ) {
        let expected = self.expected(&batch.call);
        let outcomes = self.outcomes(batch, records, answered, &expected);
        let mut login: Option<DeliveryError> = None;
        for (one, (outcome, part)) in records.iter().zip(outcomes) {
            // The session is told once a request.
            let outcome = match (&outcome, &login) {
                (Err(DeliveryError::LoginExpired { .. }), Some(error)) => Err(error.clone()),
                _ => self.told(opened, outcome).await,
            };
            if let Err(error @ (DeliveryError::LoginExpired { .. } | DeliveryError::Unavailable { .. })) = &outcome {
                login.get_or_insert_with(|| error.clone());
            }
            match outcome {
                Ok(effect) if progress.keeps_all() => {
                    let alone = self.batched(batch, std::slice::from_ref(one), opened).await.ok();
                    let kept = alone.map(|alone| kept(&alone, Some(answered), &exchange::content(&answered.reply)));
                    progress.tell(one.at, Ok(one.ready.receipt(effect)), kept);
                }
                Ok(effect) => progress.tell(one.at, Ok(one.ready.receipt(effect)), None),
                Err(error) => {
                    let text = part.unwrap_or_else(|| exchange::content(&answered.reply));
                    let alone = self.batched(batch, std::slice::from_ref(one), opened).await;
                    progress.tell(one.at, Err(error), alone.ok().map(|alone| kept(&alone, Some(answered), &text)));
                }
            }
        }
    }

    /// What came of each record, with the part of the answer that tells it.
    fn outcomes(
        &self,
        batch: &Batch,
        records: &[Travelling<'_, '_>],
        answered: &Answered,
        expected: &[String],
    ) -> Vec<(Result<WriteEffect, DeliveryError>, Option<String>)> {
        let about = |one: &Travelling<'_, '_>, many| Self::about(one.ready, &batch.call, one.effect, expected, many);
        let whole =
            |one: &Travelling<'_, '_>| answer::outcome(self.rules(one.ready, &batch.call), answered, &about(one, records.len() > 1), now());
        let all = || records.iter().map(|one| (whole(one), None)).collect();
        let Some(results) = &batch.results else { return all() };
        let body = match &answered.reading {
            Reading::Answer(_) if (200..300).contains(&answered.reply.status) => answered.heard().body,
            Reading::Answer(_) | Reading::Fault(_) | Reading::NotSoap(_) => None,
        };
        // What is wrong with the answer as a whole is said of all; only a success is looked into.
        let Some(body) = body.filter(|_| records.iter().all(|one| whole(one).is_ok())) else { return all() };
        let list: Vec<&Element> = find::all(body, &results.at)
            .into_iter()
            .filter_map(|found| match found {
                find::Found::Element(element) => Some(element),
                find::Found::Attribute(_) => None,
            })
            .collect();
        let found = assigned(results, records, &list);
        let told = |(one, result): (&Travelling<'_, '_>, Option<&Element>)| match result {
            Some(result) => (of_one(results, result, &about(one, false)), Some(Writer::default().write(&Tree::from(result)))),
            None => (Err(about(one, false).unclear("the answer says nothing about this record")), None),
        };
        records.iter().zip(found).map(told).collect()
    }
}

/// What the result of one record says.
fn of_one(results: &Results, result: &Element, about: &About<'_>) -> Result<WriteEffect, DeliveryError> {
    let heard = Heard { status: None, fault: None, body: Some(result), text: None };
    let code = results.code.as_ref().and_then(|path| find::text(result, path));
    if let Some(rule) = results.answers.iter().find(|rule| fits(&rule.when, heard)) {
        return match rule.is {
            Meaning::Delivered => Ok(about.effect),
            Meaning::Unchanged => Ok(WriteEffect::Unchanged),
            meaning @ (Meaning::Refused
            | Meaning::BatchRefused
            | Meaning::Failed
            | Meaning::Unavailable
            | Meaning::Throttled
            | Meaning::LoginExpired
            | Meaning::Unknown) => Err(answer::of_result(meaning, code.as_deref(), about)),
        };
    }
    if results.ok.iter().all(|expected| find::holds(result, expected)) {
        let is_new = !results.created.is_empty() && results.created.iter().all(|expected| find::holds(result, expected));
        return Ok(if is_new && about.effect == WriteEffect::Updated { WriteEffect::Inserted } else { about.effect });
    }
    // What says nothing where it should is not known; what says something else says no.
    let meaning =
        if results.ok.iter().all(|expected| find::is_there(result, &expected.path)) { Meaning::Refused } else { Meaning::Unknown };
    Err(answer::of_result(meaning, code.as_deref(), about))
}

/// The result of each record; none where it is not there, or not clear.
fn assigned<'e>(results: &Results, records: &[Travelling<'_, '_>], list: &[&'e Element]) -> Vec<Option<&'e Element>> {
    match &results.by {
        // A list of another length can't be aligned.
        ResultOrder::Position if list.len() != records.len() => vec![None; records.len()],
        ResultOrder::Position => list.iter().copied().map(Some).collect(),
        ResultOrder::Element { path, is } => {
            let wanted = |one: &Travelling<'_, '_>| {
                let value = fill::value(is, &|slot| one.ready.value(slot, one.found.as_deref())).ok().flatten();
                value.as_ref().and_then(Value::scalar_text)
            };
            let wanted: Vec<Option<String>> = records.iter().map(wanted).collect();
            let said: Vec<Option<String>> = list.iter().map(|result| find::text(result, path).map(|t| t.trim().to_owned())).collect();
            let one_of = |wanted: &str| {
                let mut fitting = list.iter().zip(&said).filter(|(_, said)| said.as_deref() == Some(wanted)).map(|(result, _)| *result);
                match (fitting.next(), fitting.next()) {
                    (Some(only), None) => Some(only),
                    _ => None,
                }
            };
            let is_own = |text: &str| wanted.iter().filter(|other| other.as_deref() == Some(text)).count() == 1;
            wanted.iter().map(|text| text.as_deref().filter(|text| is_own(text)).and_then(one_of)).collect()
        }
    }
}
