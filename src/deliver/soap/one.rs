//! One record in a call of its own, after it was looked for where its call wants to know.

use super::answer::{self, About};
use super::look_up::Looked;
use super::ready::{Ready, Step};
use super::{Inner, Progress, now};
use crate::declare::connector::soap::Call;
use crate::deliver::{Answer, DeliveryError, Exchange, exchange};
use crate::model::{Receipt, WriteEffect};
use crate::wire::caller::{self, Answered, CallError, Envelope, Opened};

impl Inner {
    /// One record.
    pub(super) async fn one(&self, group: &[(usize, Ready<'_>)], progress: &mut Progress) {
        for (at, ready) in group {
            let (answer, exchange) = match self.called(ready, progress).await {
                Ok(told) => told,
                Err(error) => (Err(error), None),
            };
            progress.tell(*at, answer, exchange);
        }
    }

    async fn called(&self, ready: &Ready<'_>, progress: &mut Progress) -> Result<(Answer, Option<Exchange>), DeliveryError> {
        let looked = if ready.looks_first() { self.look_for(&[ready], progress).await?.pop() } else { None };
        let (call, effect) = match ready.step(looked.as_ref())? {
            Step::Call(call, effect) => (call, effect),
            Step::Nothing => {
                let receipt =
                    Receipt { delivery: ready.delivery.id, effect: WriteEffect::Unchanged, changes: Vec::new(), kept: Vec::new() };
                return Ok((Ok(receipt), None));
            }
        };
        let found = looked.as_ref().and_then(Looked::id);
        let opened = self.caller.open().await?;
        let envelope = self.enveloped(ready, call, found, &opened).await?;
        let answered = match self.sent(&envelope, progress).await {
            Ok(answered) => answered,
            Err(error) => {
                let kept = kept(&envelope, None, &format!("no answer: {error}"));
                return Ok((Err(error), Some(kept)));
            }
        };
        let expected = self.expected(call);
        let about = Self::about(ready, call, effect, &expected, false);
        let outcome = answer::outcome(self.rules(ready, call), &answered, &about, now());
        Ok(match self.told(&opened, outcome).await {
            Ok(effect) if progress.keeps_all() => {
                (Ok(ready.receipt(effect)), Some(kept(&envelope, Some(&answered), &exchange::content(&answered.reply))))
            }
            Ok(effect) => (Ok(ready.receipt(effect)), None),
            Err(error) => {
                let kept = kept(&envelope, Some(&answered), &exchange::content(&answered.reply));
                (Err(error), Some(kept))
            }
        })
    }

    /// The request of a call about one record.
    pub(super) async fn enveloped(
        &self,
        ready: &Ready<'_>,
        call: &Call,
        found: Option<&str>,
        opened: &Opened,
    ) -> Result<Envelope, CallError> {
        self.caller.envelope(call, opened, &|slot| ready.value(slot, found), &|root| ready.build(call, found, root)).await
    }

    /// What the answer's element may be called: the contract's word, for documents; of rpc nobody holds to it.
    pub(super) fn expected(&self, call: &Call) -> Vec<String> {
        let Ok(contract) = self.caller.contract() else { return Vec::new() };
        let Ok(found) = caller::operation(&contract, &self.service, &call.operation) else { return Vec::new() };
        if found.operation.style == crate::wire::wsdl::Style::Rpc {
            return Vec::new();
        }
        let Some(Ok(output)) = &found.operation.output else { return Vec::new() };
        let names = output.roots.iter().filter_map(|id| contract.schemas.element(*id));
        names
            .flat_map(|element| {
                let own = element.name.local.to_string();
                // Elements that may stand for it.
                let id = contract.schemas.element_named(&element.name);
                let others = id.map(|id| contract.schemas.substitutes(id)).unwrap_or_default();
                let others = others.iter().filter_map(|id| contract.schemas.element(*id)).map(|e| e.name.local.to_string());
                std::iter::once(own).chain(others).collect::<Vec<_>>()
            })
            .collect()
    }

    pub(super) fn about<'b>(ready: &Ready<'_>, call: &'b Call, effect: WriteEffect, expected: &'b [String], batch: bool) -> About<'b> {
        About {
            effect,
            intent: ready.delivery.intent,
            repeatable: ready.is_repeatable(),
            insert_only: ready.is_insert_only(),
            batch,
            call,
            expected,
        }
    }
}

/// What travelled, secrets masked.
pub(super) fn kept(envelope: &Envelope, answered: Option<&Answered>, text: &str) -> Exchange {
    let content = envelope.request.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
    let reply = answered.map(|answered| &answered.reply);
    exchange::hidden(&envelope.request, content.as_deref(), reply, text, &|text| envelope.hide(text))
}
