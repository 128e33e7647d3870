//! The digest of a mapping: what it says, not how it is laid out.

use crate::declare::yaml::{Kind, Node};
use crate::model::Digest;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

/// Keys of the outermost map that say nothing about what is decided or delivered.
const NOT_PART: [&str; 3] = ["description", "owner", "tests"];

/// Keys whose maps have an order that counts: evidence lists fields in it, later enriched fields read earlier ones.
const ORDERED: [&str; 2] = ["fields", "enrich"];

/// SHA-256 over the canonical form. Comments, quotes, flow or block style and the order of known keys do not change it.
pub(super) fn digest(root: &Node, duties: impl IntoIterator<Item = Digest>) -> Digest {
    let top: Vec<(&str, Json)> = root
        .entries()
        .iter()
        .filter(|e| !NOT_PART.contains(&&*e.key))
        .map(|e| (&*e.key, canonical(&e.value, ORDERED.contains(&&*e.key))))
        .collect();
    let mut hash = Sha256::new();
    // A version in front: a later canonical form can't be mistaken for this one.
    hash.update(b"kith-mapping-v1\n");
    hash.update(pairs(top, false).to_string().as_bytes());
    // What networks ask is part of what the mapping says, wherever it is written.
    for duty in duties {
        hash.update(b"\nduties ");
        hash.update(duty.0);
    }
    Digest(hash.finalize().into())
}

/// SHA-256 over the canonical form of a network's file; when it was compared with its sources, and where those are, does not change it.
pub(in crate::declare) fn of_duties(root: &Node) -> Digest {
    let said = root.entries().iter().filter(|e| !["as_of", "cites"].contains(&&*e.key));
    let said = pairs(said.map(|e| (&*e.key, canonical(&e.value, false))).collect(), false);
    Digest(Sha256::digest(said.to_string().as_bytes()).into())
}

fn canonical(node: &Node, ordered: bool) -> Json {
    match &node.kind {
        Kind::Nothing => Json::Null,
        Kind::Text(text) => Json::String(text.to_string()),
        Kind::List(items) => Json::Array(items.iter().map(|n| canonical(n, false)).collect()),
        Kind::Map(entries) => pairs(entries.iter().map(|e| (&*e.key, canonical(&e.value, ORDERED.contains(&&*e.key)))).collect(), ordered),
    }
}

/// A map as a list of pairs, so that an order that counts is kept.
fn pairs(mut members: Vec<(&str, Json)>, ordered: bool) -> Json {
    if !ordered {
        members.sort_by(|a, b| a.0.cmp(b.0));
    }
    json!({ "map": members.into_iter().map(|(k, v)| json!([k, v])).collect::<Vec<_>>() })
}
