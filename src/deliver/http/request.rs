//! What is sent about a delivery: address, headers, content. Pure.

use crate::declare::connector::http::{HttpOperation, HttpRequest, HttpService, Method, Named, PathTemplate, Piece};
use crate::declare::connector::{TargetField, WriteMode};
use crate::deliver::DeliveryError;
use crate::deliver::record::Prepared;
use crate::model::{Delivery, Digest, Value, WriteIntent};
use crate::wire::session::encoded;
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// 1 MiB of content: the usual limit of a server (nginx). A single record may be larger and is sent alone.
pub(super) const LARGEST_BATCH: usize = 1 << 20;

/// A delivery, checked and ready for its request.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub delivery: &'a Delivery,
    pub prepared: Prepared<'a>,
    pub http: &'a HttpOperation,
    /// SHA-256 of the record key, in hex.
    pub key: String,
    /// In hex.
    pub idempotency: String,
}

impl<'a> Ready<'a> {
    pub(super) fn new(delivery: &'a Delivery, prepared: Prepared<'a>) -> Result<Self, DeliveryError> {
        let Some(http) = &prepared.operation.http else {
            return Err(DeliveryError::refused("KITH-D008", format!("the operation `{}` has no request", delivery.operation.0)));
        };
        let key = Json::Array(prepared.key().into_iter().map(Value::to_json).collect()).to_string();
        let key = hex(&Digest(Sha256::digest(key.as_bytes()).into()));
        let idempotency = hex(&delivery.idempotency.0);
        Ok(Self { delivery, prepared, http, key, idempotency })
    }

    /// Fields with what the delivery says about them.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&TargetField, Option<&Value>)> {
        self.prepared.operation.fields.iter().zip(self.prepared.values.iter().map(Option::as_ref))
    }

    /// What a name stands for; `None` where the delivery does not say.
    pub(super) fn named(&self, named: &Named) -> Option<Value> {
        match named {
            Named::Key => Some(Value::Text(self.key.as_str().into())),
            Named::IdempotencyKey => Some(Value::Text(self.idempotency.as_str().into())),
            Named::Field(name) => self.fields().find(|(field, _)| field.name == *name).and_then(|(_, value)| value.cloned()),
        }
    }

    /// The request of its intent; `None` where nothing is sent.
    pub(super) fn request(&self) -> Result<Option<&'a HttpRequest>, DeliveryError> {
        match self.delivery.intent {
            WriteIntent::Keep => Ok(None),
            WriteIntent::Write => Ok(Some(&self.http.write)),
            WriteIntent::Blank => Ok(Some(self.http.blank.as_ref().unwrap_or(&self.http.write))),
            WriteIntent::Remove => self.http.remove.as_ref().map(Some).ok_or_else(|| {
                let message = format!("the operation `{}` does not say how a record is removed", self.delivery.operation.0);
                DeliveryError::refused("KITH-D020", message)
            }),
        }
    }

    /// Whether it goes into the operation's batch.
    pub(super) fn is_batched(&self) -> bool {
        self.http.is_batched(self.delivery.intent)
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
            let text = self.named(named).and_then(|value| scalar(&value)).unwrap_or_default();
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
        if let Some(name) = &self.http.key_member {
            members.insert(name.to_string(), Json::String(self.idempotency.clone()));
        }
        match &self.http.wrap {
            Some(name) => Json::Object(std::iter::once((name.to_string(), Json::Object(members))).collect()),
            None => Json::Object(members),
        }
    }

    /// Whether the same request again changes nothing where it had arrived.
    pub(super) fn is_repeatable(&self) -> bool {
        use crate::declare::connector::http::Settle;
        let method = match (self.is_batched(), &self.http.batch) {
            (true, Some(batch)) => Some(batch.method),
            _ => self.request().ok().flatten().map(|request| request.method),
        };
        match self.http.settle {
            Some(Settle::Repeat) => true,
            Some(Settle::Person) => false,
            Some(Settle::LookUp(_)) | None => method.is_none_or(Method::is_idempotent),
        }
    }

    /// Whether a record that is there already stays as it is.
    pub(super) fn is_insert_only(&self) -> bool {
        self.prepared.operation.write == WriteMode::InsertOnly && self.delivery.intent == WriteIntent::Write
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

/// A value as text: what stands in an address, and what is compared. `None` for what is none.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Time(time) => Some(time.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Missing | Value::List(_) | Value::Record(_) => None,
    }
}

/// A digest in hex.
pub(in crate::deliver) fn hex(digest: &Digest) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest.0 {
        let _written = write!(text, "{byte:02x}");
    }
    text
}
