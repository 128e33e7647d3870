//! Deliveries as the tests of targets send them, and what came of each in short words.

use kith::deliver::{Answer, Target, Written};
use kith::model::{Delivery, DeliveryId, Digest, IdempotencyKey, Intended, OperationId, Personal, RecordKey, TargetId, Value, WriteIntent};
use std::sync::Arc;

/// A version of what is said of a record; record, version and intent make its idempotency key.
pub fn delivery(operation: &str, id: &str, version: u8, intent: WriteIntent, fields: Vec<(Arc<str>, Value)>) -> Delivery {
    let mut key = [version; 32];
    for (slot, byte) in key.iter_mut().zip(id.bytes()) {
        *slot ^= byte;
    }
    key[31] = match intent {
        WriteIntent::Write => 1,
        WriteIntent::Remove => 2,
        WriteIntent::Blank => 3,
        WriteIntent::Keep => 4,
    };
    Delivery {
        id: DeliveryId(i64::from(version)),
        entry: "note".into(),
        target: TargetId("t".into()),
        operation: OperationId(operation.into()),
        intent,
        record: RecordKey("[]".into()),
        idempotency: IdempotencyKey(Digest(key)),
        payload: Personal::new(fields),
        expects: None,
        attempt: 1,
    }
}

/// Writes as the pipeline does.
pub async fn write(target: &impl Target, deliveries: &[Delivery]) -> Written {
    let intended: Vec<_> = deliveries.iter().map(|d| Intended::mint(d.clone(), 1)).collect();
    let written = target.write(&intended).await;
    assert_eq!(written.answers.len(), deliveries.len());
    written
}

/// The effect, or class and code.
pub fn shown(answer: &Answer) -> String {
    match answer {
        Ok(receipt) => receipt.effect.name().into(),
        Err(error) => format!("{} {}", error.class().name(), error.code()),
    }
}
