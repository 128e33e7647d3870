//! Calls that a person makes by hand: what would be sent, and what comes back.

use super::one::kept;
use super::ready::Ready;
use super::{Progress, SoapTarget};
use crate::declare::config::{Auth, Login};
use crate::declare::connector::soap::{Call, Placed, Template};
use crate::deliver::{DeliveryError, Exchange, Written, exchange};
use crate::model::{Delivery, Value};
use crate::wire::caller::{CallError, Envelope};

impl SoapTarget {
    /// The requests of a delivery as they would be sent, secrets masked and placeholders for what only the service knows. Nothing is sent.
    ///
    /// # Errors
    /// The delivery can't be one.
    pub fn draft(&self, delivery: &Delivery) -> Result<Vec<String>, DeliveryError> {
        let ready = self.inner.ready(delivery)?;
        let mut drafts = Vec::new();
        if ready.looks_first()
            && let Some(look_up) = &ready.how.look_up
        {
            drafts.push(self.text(&self.inner.caller.drafted(&look_up.call, &|slot| ready.value(slot, None), &|_| Ok(()))?));
        }
        for call in Self::calls(&ready) {
            let found = ready.looks_first().then_some("‹found›");
            drafts.push(
                self.text(&self.inner.caller.drafted(call, &|slot| ready.value(slot, found), &|root| ready.build(call, found, root))?),
            );
        }
        Ok(drafts)
    }

    /// The calls that a delivery may come to: one, or `create` and `update`.
    fn calls<'a>(ready: &Ready<'a>) -> Vec<&'a Call> {
        use crate::model::WriteIntent::{Blank, Keep, Remove, Write};
        if let Some(batch) = ready.how.batch.as_ref().filter(|_| ready.is_batched()) {
            return vec![&batch.call];
        }
        let soap = ready.how;
        match ready.delivery.intent {
            Write => [&soap.call, &soap.create, &soap.update].into_iter().flatten().collect(),
            Blank => soap.blanking().into_iter().collect(),
            Remove => soap.remove.iter().collect(),
            Keep => Vec::new(),
        }
    }

    fn text(&self, envelope: &Envelope) -> String {
        let content = envelope.request.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
        let login = self.inner.caller.auth() == Auth::Basic && !matches!(self.inner.caller.http.spec.login, Login::None);
        envelope.hide(&exchange::sent(&envelope.request, content.as_deref(), login))
    }

    /// Writes one delivery that a person gave by hand, and keeps what travelled. Whoever calls it has told the log.
    pub async fn by_hand(&self, delivery: &Delivery) -> Written {
        self.send(std::slice::from_ref(delivery), Progress::of(1).keeping_all()).await
    }

    /// A call of any operation of the WSDL, with texts at element paths.
    fn plain(operation: &str, values: &[(crate::declare::connector::soap::ElementPath, String)]) -> Call {
        let placed = |(path, text): &(_, String)| Placed {
            path: crate::declare::connector::soap::ElementPath::clone(path),
            values: vec![Template::fixed(text.as_str())],
        };
        Call { values: values.iter().map(placed).collect(), ..Call::plain(operation.into()) }
    }

    /// What [`SoapTarget::call`] would send, secrets masked.
    ///
    /// # Errors
    /// The values do not fit the contract.
    pub fn draft_call(
        &self,
        operation: &str,
        values: &[(crate::declare::connector::soap::ElementPath, String)],
    ) -> Result<String, DeliveryError> {
        let envelope = self.inner.caller.drafted(&Self::plain(operation, values), &|_| None::<Value>, &|_| Ok(()))?;
        Ok(self.text(&envelope))
    }

    /// Calls any operation of the WSDL, once. Whoever calls it has told the log.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn call(
        &self,
        operation: &str,
        values: &[(crate::declare::connector::soap::ElementPath, String)],
    ) -> Result<Exchange, DeliveryError> {
        let call = Self::plain(operation, values);
        let opened = self.inner.caller.open().await?;
        let envelope = self.inner.caller.envelope(&call, &opened, &|_| None::<Value>, &|_| Ok::<(), CallError>(())).await?;
        let answered = self.inner.caller.send(&envelope).await?;
        Ok(kept(&envelope, Some(&answered), &exchange::content(&answered.reply)))
    }
}
