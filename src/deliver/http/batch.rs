//! Many records in one request: the content, and what its answer says about each. Pure.

use super::answer::{self, About, Said};
use super::request::Ready;
use crate::declare::connector::http::{AnswerRule, BatchRequest, BatchResults, ResultOrder};
use crate::deliver::DeliveryError;
use crate::model::{Digest, Value, WriteEffect};
use crate::wire::http::Reply;
use jiff::Timestamp;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

/// The content of a batch.
pub(super) fn content(batch: &BatchRequest, records: &[Json]) -> Vec<u8> {
    let list = Json::Array(records.to_vec());
    let whole = match &batch.records {
        Some(member) => Json::Object(std::iter::once((member.to_string(), list)).collect()),
        None => list,
    };
    whole.to_string().into_bytes()
}

/// The idempotency key of a batch: the same records in the same order carry the same.
pub(super) fn idempotency(ready: &[&Ready<'_>]) -> String {
    let mut hash = Sha256::new();
    for one in ready {
        hash.update(one.delivery.idempotency.0.0);
    }
    Digest(hash.finalize().into()).to_string()
}

/// What came of each record, with the part of the answer that tells it.
pub(super) fn outcomes(
    batch: &BatchRequest,
    ready: &[&Ready<'_>],
    rules: [&[AnswerRule]; 2],
    reply: &Reply,
    now: Timestamp,
) -> Vec<(Result<WriteEffect, DeliveryError>, Option<String>)> {
    let json = answer::json(reply);
    let about = |one: &Ready<'_>, batch| About {
        intent: one.delivery.intent,
        repeatable: one.is_repeatable(),
        insert_only: one.is_insert_only(),
        batch,
    };
    let whole = |one: &Ready<'_>| {
        let said = Said { status: Some(reply.status), json: json.as_ref(), reply, now };
        answer::outcome(rules, said, about(one, ready.len() > 1))
    };
    let Some(results) = &batch.results else {
        return ready.iter().map(|one| (whole(one), None)).collect();
    };
    let listed = json.as_ref().and_then(|json| json.pointer(&results.at)).and_then(Json::as_array);
    // A server that is away or wants a login says so about the request, whatever else stands there.
    let about_records = matches!(reply.status, 200..=299 | 400 | 409 | 412 | 422);
    match listed.filter(|_| about_records) {
        Some(list) => {
            let found = assigned(results, ready, list);
            ready
                .iter()
                .zip(found)
                .map(|(one, result)| match result {
                    Some(result) => {
                        let status = results.status.as_ref().and_then(|at| result.pointer(at)).and_then(answer::text_of);
                        let status = status.and_then(|text| text.parse().ok());
                        let said = Said { status, json: Some(result), reply, now };
                        // Headers and the extent are the request's; the status is the record's own.
                        (answer::outcome(rules, said, about(one, false)), Some(result.to_string()))
                    }
                    None => (Err(unclear(one, "the answer says nothing about this record")), None),
                })
                .collect()
        }
        None if (200..300).contains(&reply.status) => {
            ready.iter().map(|one| (Err(unclear(one, "the answer lacks the list of results")), None)).collect()
        }
        None => ready.iter().map(|one| (whole(one), None)).collect(),
    }
}

fn unclear(one: &Ready<'_>, what: &str) -> DeliveryError {
    if one.is_repeatable() {
        DeliveryError::Failed { code: crate::diagnose::Code("KITH-D017"), message: what.into(), retry_after: None }
    } else {
        DeliveryError::unknown(what)
    }
}

/// The result of each record; none where it is not there, or not clear.
fn assigned<'a>(results: &BatchResults, ready: &[&Ready<'_>], list: &'a [Json]) -> Vec<Option<&'a Json>> {
    match &results.by {
        // A list of another length can't be aligned.
        ResultOrder::Position if list.len() != ready.len() => vec![None; ready.len()],
        ResultOrder::Position => list.iter().map(Some).collect(),
        ResultOrder::Member { pointer, is } => {
            let wanted: Vec<Option<String>> = ready.iter().map(|one| one.named(is).as_ref().and_then(Value::scalar_text)).collect();
            let said: Vec<Option<String>> = list.iter().map(|result| result.pointer(pointer).and_then(answer::text_of)).collect();
            let one_of = |wanted: &str| {
                let mut fitting = list.iter().zip(&said).filter(|(_, said)| said.as_deref() == Some(wanted)).map(|(result, _)| result);
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
