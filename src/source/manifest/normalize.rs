//! `schema_normalization: Default`: values become what the stream's schema says, where they can.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place stays")]

use crate::manifest::Json;
use std::sync::Arc;

/// Schemas are files of this nesting at most.
const DEEPEST: usize = 64;

/// Makes values fit a JSON Schema, as the reference does; what does not fit stays.
pub fn normalize(value: &mut Json, schema: &Json, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Json::Map(members) => {
            let Some(properties) = schema.get("properties").and_then(Json::members) else { return };
            for (name, inner) in Arc::make_mut(members).iter_mut() {
                if let Some(property) = properties.get(name) {
                    normalize(inner, property, depth + 1);
                }
            }
        }
        Json::List(items) => {
            let Some(of) = schema.get("items").filter(|of| of.members().is_some()) else { return };
            for item in Arc::make_mut(items) {
                normalize(item, of, depth + 1);
            }
        }
        Json::Null => {}
        scalar => {
            let types: Vec<&str> = match schema.get("type") {
                Some(Json::Text(one)) => vec![one],
                Some(Json::List(many)) => many.iter().filter_map(Json::as_text).collect(),
                _ => return,
            };
            let wanted: Vec<&str> = types.into_iter().filter(|kind| *kind != "null").collect();
            let fits = wanted.iter().any(|kind| {
                matches!(
                    (*kind, &*scalar),
                    ("string", Json::Text(_))
                        | ("boolean", Json::Bool(_))
                        | ("number", Json::Int(_) | Json::Float(_))
                        | ("integer", Json::Int(_))
                )
            });
            if let (false, [kind]) = (fits, wanted.as_slice())
                && let Some(made) = cast(scalar, kind)
            {
                *scalar = made;
            }
        }
    }
}

fn cast(value: &Json, kind: &str) -> Option<Json> {
    match (kind, value) {
        ("string", value) => Some(Json::Text(value.shown().into())),
        ("number", Json::Text(text)) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()).map(Json::Float),
        ("number", Json::Bool(b)) => Some(Json::Float(if *b { 1.0 } else { 0.0 })),
        ("integer", Json::Text(text)) => text.trim().parse().ok().map(Json::Int),
        ("integer", Json::Bool(b)) => Some(Json::Int((*b).into())),
        #[expect(clippy::cast_possible_truncation, reason = "saturates, where Python's int() goes on; no count is that large")]
        ("integer", Json::Float(n)) if n.is_finite() => Some(Json::Int(n.trunc() as i128)),
        ("boolean", Json::Text(text)) => match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "t" | "true" | "on" | "1" => Some(Json::Bool(true)),
            "n" | "no" | "f" | "false" | "off" | "0" => Some(Json::Bool(false)),
            _ => None,
        },
        ("boolean", Json::Int(n)) => Some(Json::Bool(*n != 0)),
        _ => None,
    }
}
