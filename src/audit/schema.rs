//! The JSON Schema of an entry, version 1, from the same tables that write and read entries.

use super::entry::{Actor, Correlation, EntryOutcome, Subject, Why};
use super::event;
use super::evidence::SealedEvidence;
use super::fields::Fields;
use super::member::{Item, MAX_TEXT_BYTES, Part};
use crate::model::{Digest, Network};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// JSON Schema 2020-12 of an entry: what `ops/audit/entry.schema.json` holds.
pub fn entry_schema() -> Value {
    let kinds: Vec<Value> = event::table().into_iter().map(|(kind, about, members)| kind_schema(kind.name(), &about, members)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Kith audit entry, version 1",
        "description": "One leaf of the log: RFC 8785 canonical JSON of at most 65,535 bytes. Made from the code; do not edit.",
        "type": "object",
        "additionalProperties": false,
        "required": ["actor", "kind", "time", "v", "what"],
        "properties": {
            "actor": <Actor as Item>::schema(),
            "correlation": not_empty(<Correlation as Item>::schema()),
            "evidence": <Part<SealedEvidence> as Item>::schema(),
            "fields": <Fields as Item>::schema(),
            "kind": { "enum": event::Kind::ALL.iter().map(|k| k.name()).collect::<Vec<_>>() },
            "network": { "enum": Network::ALL.iter().map(|n| n.name()).collect::<Vec<_>>() },
            "outcome": <EntryOutcome as Item>::schema(),
            "subject": not_empty(<Subject as Item>::schema()),
            "time": { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z$" },
            "v": { "const": super::entry::VERSION },
            "what": { "type": "object" },
            "why": not_empty(<Why as Item>::schema()),
        },
        "allOf": kinds,
        "$defs": {
            "box": {
                "description": "XChaCha20-Poly1305 under the keys that key_id names.",
                "type": "object", "additionalProperties": false, "required": ["ciphertext", "key_id", "nonce"],
                "properties": {
                    "ciphertext": { "type": "string", "contentEncoding": "base64", "minLength": 24 },
                    "key_id": { "type": "string", "pattern": "^[0-9a-f]{32}(\\+[0-9a-f]{32})?$" },
                    "nonce": { "type": "string", "contentEncoding": "base64", "minLength": 32, "maxLength": 32 },
                },
            },
            "part": {
                "description": "Stands for a part that was too large: SHA-256 and length of its canonical JSON.",
                "type": "object", "additionalProperties": false, "required": ["bytes", "digest"],
                "properties": { "bytes": <u64 as Item>::schema(), "digest": <Digest as Item>::schema() },
            },
            "number": <f64 as Item>::schema(),
            "evidence": evidence_schema(),
        },
    })
}

fn not_empty(mut schema: Value) -> Value {
    if let Some(members) = schema.as_object_mut() {
        members.insert("minProperties".to_owned(), Value::from(1));
    }
    schema
}

fn kind_schema(kind: &str, about: &str, members: Vec<(&'static str, String, Value, bool)>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, about, mut schema, needed) in members {
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), about.into());
        }
        properties.insert(name.to_owned(), schema);
        if needed {
            required.push(name);
        }
    }
    let mut then = json!({
        "description": about,
        "properties": { "what": { "additionalProperties": false, "properties": properties, "required": required } },
    });
    // Evidence belongs to decisions alone; above all never to a refusal (design §7).
    if kind != event::Kind::Decision.name()
        && let Some(properties) = then.get_mut("properties").and_then(Value::as_object_mut)
    {
        properties.insert("evidence".to_owned(), Value::Bool(false));
    }
    json!({ "if": { "properties": { "kind": { "const": kind } } }, "then": then })
}

fn evidence_schema() -> Value {
    let number = json!({ "$ref": "#/$defs/number" });
    let count = <u64 as Item>::schema();
    let digest = <Digest as Item>::schema();
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    json!({
        "type": "object", "additionalProperties": false,
        "required": ["candidates", "identity", "levels", "lookups", "mapping", "model", "prior_bits", "rest_count", "rest_odds", "v"],
        "properties": {
            "candidates": { "type": "array", "items": {
                "type": "object", "additionalProperties": false, "required": ["customer", "outcomes", "posterior", "weight"],
                "properties": {
                    "customer": { "type": "string", "pattern": "^[0-9a-f]{32}$" },
                    "names": texts,
                    "outcomes": { "type": "array", "items": { "anyOf": [
                        count,
                        { "type": "array", "minItems": 3, "maxItems": 3, "prefixItems": [count, { "anyOf": [{ "type": "null" }, number] }, number] },
                    ] } },
                    "posterior": number, "rules": texts, "sealed": { "$ref": "#/$defs/box" }, "weight": number,
                },
            } },
            "customer_names": texts,
            "cuts": { "type": "array", "items": { "type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [text, count] } },
            "held": text,
            "identity": {
                "type": "object", "additionalProperties": false, "required": ["names"],
                "properties": { "names": texts, "sealed": { "$ref": "#/$defs/box" } },
            },
            "levels": { "type": "array", "items": {
                "type": "array", "minItems": 4, "maxItems": 4, "prefixItems": [text, text, { "type": "integer" }, number],
            } },
            "lookups": digest, "mapping": digest, "model": digest,
            "prior_bits": number, "rest_count": count, "rest_odds": number,
            "rules": { "type": "array", "items": { "type": "array", "minItems": 2, "maxItems": 3, "prefixItems": [text, count, text] } },
            "v": { "const": 1 },
        },
    })
}

/// The kinds as a Markdown table: what `ops/audit/kinds.md` holds.
pub fn kinds_page() -> String {
    let mut page = String::from(
        "# Kinds of entries, version 1\n\nMade from the code by a test; do not edit. A member in _italics_ may be absent. \
         What stands beside `what` in every entry is in [format.md](format.md).\n",
    );
    // Writing to a String cannot fail.
    write_kinds(&mut page).map_or_else(|_never| String::new(), |()| page)
}

fn write_kinds(page: &mut String) -> std::fmt::Result {
    for (kind, about, members) in event::table() {
        write!(page, "\n## `{}`\n\n{about}\n", kind.name())?;
        if !members.is_empty() {
            write!(page, "\n| member of `what` | meaning |\n|---|---|\n")?;
        }
        for (name, about, _, required) in members {
            let name = if required { format!("`{name}`") } else { format!("_`{name}`_") };
            writeln!(page, "| {name} | {about} |")?;
        }
    }
    let names: Vec<String> = EntryOutcome::ALL.iter().map(|o| format!("`{}`", o.name())).collect();
    write!(page, "\n## Outcomes\n\n{}\n", names.join(", "))?;
    write!(page, "\nTexts have at most {MAX_TEXT_BYTES} bytes of UTF-8; longer ones are cut and end with `…`.\n")
}
