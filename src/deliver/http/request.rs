//! What is sent about a delivery: address, headers, content. Pure.

use crate::declare::connector::http::{HttpOperation, HttpRequest, HttpService, Method, Named, PathTemplate, Piece};
use crate::deliver::DeliveryError;
use crate::deliver::outgoing::Outgoing;
use crate::deliver::record::Prepared;
use crate::model::{Delivery, Value, WriteIntent};
use crate::wire::session::encoded;
use serde_json::{Map, Value as Json};

/// A delivery, checked and ready for its request.
pub(super) type Ready<'a> = Outgoing<'a, HttpOperation>;

impl<'a> Ready<'a> {
    /// Of an operation that has a request.
    pub(super) fn new(delivery: &'a Delivery, prepared: Prepared<'a>) -> Result<Self, DeliveryError> {
        let Some(http) = &prepared.operation.http else {
            return Err(DeliveryError::refused("KITH-D008", format!("the operation `{}` has no request", delivery.operation.0)));
        };
        Ok(Self::of(delivery, prepared, http))
    }

    /// What a name stands for; `None` where the delivery does not say.
    pub(super) fn named(&self, named: &Named) -> Option<Value> {
        match named {
            Named::Key => Some(Value::Text(self.key.as_str().into())),
            Named::IdempotencyKey => Some(Value::Text(self.idempotency.as_str().into())),
            Named::Field(name) => self.field(name),
        }
    }

    /// The request of its intent; `None` where nothing is sent.
    pub(super) fn request(&self) -> Result<Option<&'a HttpRequest>, DeliveryError> {
        match self.delivery.intent {
            WriteIntent::Keep => Ok(None),
            WriteIntent::Write => Ok(Some(&self.how.write)),
            WriteIntent::Blank => Ok(Some(self.how.blank.as_ref().unwrap_or(&self.how.write))),
            WriteIntent::Remove => self.how.remove.as_ref().map(Some).ok_or_else(|| {
                let message = format!("the operation `{}` does not say how a record is removed", self.delivery.operation.0);
                DeliveryError::refused("KITH-D020", message)
            }),
        }
    }

    /// Whether it goes into the operation's batch.
    pub(super) fn is_batched(&self) -> bool {
        self.how.is_batched(self.delivery.intent)
    }

    /// A path with its values.
    pub(super) fn path(&self, template: &PathTemplate) -> Result<String, DeliveryError> {
        let mut path = String::new();
        for (at, piece) in template.0.iter().enumerate() {
            let named = match piece {
                Piece::Text(text) => {
                    path.push_str(text);
                    continue;
                }
                Piece::Value(named) => named,
            };
            let text = self.named(named).and_then(|value| value.scalar_text()).unwrap_or_default();
            // An address can't hold these as a segment: they lead elsewhere, or nowhere.
            let alone = path.ends_with('/')
                && template.0.get(at + 1).is_none_or(|next| matches!(next, Piece::Text(t) if t.starts_with(['/', '?'])));
            if text.is_empty() || (alone && matches!(text.as_str(), "." | "..")) {
                let name = match named {
                    Named::Field(name) => name,
                    Named::Key => "key",
                    Named::IdempotencyKey => "idempotency_key",
                };
                let what = if text.is_empty() { "is empty" } else { "is `.` or `..`" };
                return Err(DeliveryError::refused("KITH-D020", format!("`{name}` {what} and can't stand in an address")));
            }
            path.push_str(&encoded(&text));
        }
        Ok(path)
    }

    /// The record as JSON.
    pub(super) fn record(&self) -> Json {
        let mut members = Map::new();
        for (field, value) in self.fields() {
            match value {
                Some(Value::Missing) if self.delivery.intent == WriteIntent::Blank => members.insert(field.name.to_string(), Json::Null),
                Some(Value::Missing) | None => None,
                Some(value) => members.insert(field.name.to_string(), value.to_json()),
            };
        }
        if let Some(name) = &self.how.key_member {
            members.insert(name.to_string(), Json::String(self.idempotency.clone()));
        }
        match &self.how.wrap {
            Some(name) => Json::Object(std::iter::once((name.to_string(), Json::Object(members))).collect()),
            None => Json::Object(members),
        }
    }

    /// Whether the same request again changes nothing where it had arrived.
    pub(super) fn is_repeatable(&self) -> bool {
        use crate::declare::connector::http::Settle;
        let method = match (self.is_batched(), &self.how.batch) {
            (true, Some(batch)) => Some(batch.method),
            _ => self.request().ok().flatten().map(|request| request.method),
        };
        match self.how.settle {
            Some(Settle::Repeat) => true,
            Some(Settle::Person) => false,
            Some(Settle::LookUp(_)) | None => method.is_none_or(Method::is_idempotent),
        }
    }
}

/// The headers of a request, the login aside.
pub(super) fn headers(service: &HttpService, idempotency: Option<&str>, content: bool) -> Vec<(String, String)> {
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
    if content {
        headers.push(("content-type".into(), "application/json".into()));
    }
    if let (Some(name), Some(key)) = (&service.idempotency_header, idempotency) {
        headers.push((name.to_ascii_lowercase(), key.to_owned()));
    }
    headers.extend(service.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_string())));
    headers
}
