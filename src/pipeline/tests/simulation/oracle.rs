//! What must be true in the end, whatever happened.

use super::crm::Crm;
use super::world::World;
use crate::store::Store;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What is wrong with how a world ended.
pub(super) async fn judge(world: &mut World) -> Vec<String> {
    let mut wrong = Vec::new();
    let totals = world.store.totals().await.unwrap();
    let (sum, gap) = totals.sum();
    if gap != 0 {
        wrong.push(format!("the sum does not hold: {sum:?}"));
    }
    for (name, count) in &totals.deliveries {
        if *count > 0 && !name.ends_with(": delivered") && !name.ends_with(": parked") {
            wrong.push(format!("{count} deliveries are still in flight: {name}"));
        }
    }
    if sum.in_flight > 0 {
        wrong.push(format!("{} activities are still in flight", sum.in_flight));
    }
    for crm in &world.crms {
        wrong.extend(crm.breaches());
        rows(world, crm, &mut wrong);
    }
    log(&world.history().await, &mut wrong);
    wrong
}

/// Each target equals what the activities say.
fn rows(world: &World, crm: &Crm, wrong: &mut Vec<String>) {
    let rows = crm.rows();
    let row = |object: &str| rows.get(&format!("[\"{object}\"]"));
    for (object, newest) in &world.story.newest {
        let found = row(object);
        match newest {
            // What no target takes is a dead letter; what stood before stays.
            Some(body) if body.contains("poison") => {
                if found.is_some_and(|found| found.contains("poison")) {
                    wrong.push(format!("{}: {object} took what it refuses", crm.name));
                }
            }
            newest => {
                if found != newest.as_ref() {
                    wrong.push(format!("{}: {object} is {found:?} and should be {newest:?}", crm.name));
                }
            }
        }
    }
    for object in &world.story.strangers {
        if row(object).is_some() {
            wrong.push(format!("{}: a stranger's {object} was written", crm.name));
        }
    }
}

/// Each delivery that arrived has at least one intent before it and exactly one receipt.
fn log(history: &[String], wrong: &mut Vec<String>) {
    let mut deliveries: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for leaf in history {
        let leaf: Json = serde_json::from_str(leaf).unwrap();
        let Some(delivery) = leaf.pointer("/correlation/delivery").and_then(Json::as_str) else { continue };
        let (intents, receipts) = deliveries.entry(delivery.to_owned()).or_default();
        let outcome = leaf["outcome"].as_str().unwrap_or_default();
        match leaf["kind"].as_str().unwrap_or_default() {
            "write.intended" => *intents += 1,
            "write.receipt" | "write.recovered" if !["failed", "absent", "parked", "dropped"].contains(&outcome) => {
                *receipts += 1;
                if *intents == 0 {
                    wrong.push(format!("{delivery} arrived without an intent"));
                }
            }
            _ => {}
        }
    }
    for (delivery, (_, receipts)) in deliveries {
        if receipts > 1 {
            wrong.push(format!("{delivery} has {receipts} receipts"));
        }
    }
}
