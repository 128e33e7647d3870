//! A slice of a stream: which partition is read, and which part of time.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is the same")]

use super::json::{Json, Members};
use minijinja::value::{Enumerator, Object, Value};
use std::fmt;
use std::sync::Arc;

/// A slice. `Debug` shows no values.
#[derive(Clone, Default)]
pub struct Slice {
    /// What the partition router says.
    pub partition: Arc<Members>,
    /// Where it begins and ends, as the cursor says it.
    pub cursor: Arc<Members>,
    /// Fields of the parent's record that are carried along.
    pub extra: Arc<Members>,
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slice")
    }
}

impl Slice {
    /// A member of the partition or the cursor.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.partition.get(key).or_else(|| self.cursor.get(key))
    }

    /// As templates see it.
    pub fn to_template(&self) -> Value {
        Value::from_object(View(self.clone()))
    }
}

/// What identifies a partition: its members as JSON, sorted by name, as the reference's keys are.
pub fn partition_key(partition: &Members) -> String {
    fn sorted(value: &Json) -> serde_json::Value {
        match value {
            Json::Map(members) => members.iter().map(|(k, v)| (k.to_string(), sorted(v))).collect::<serde_json::Map<_, _>>().into(),
            Json::List(items) => items.iter().map(sorted).collect::<Vec<_>>().into(),
            other => serde_json::to_value(other).unwrap_or_default(),
        }
    }
    // Members of serde_json's own map are sorted.
    partition.iter().map(|(k, v)| (k.to_string(), sorted(v))).collect::<serde_json::Map<_, _>>().into_iter().fold(
        String::new(),
        |mut key, (name, value)| {
            key.push_str(&name);
            key.push('=');
            key.push_str(&value.to_string());
            key.push(',');
            key
        },
    )
}

/// A slice as templates see it: its members, and its three parts as attributes.
struct View(Slice);

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slice")
    }
}

impl Object for View {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let part = |members: &Arc<Members>| Some(Json::Map(members.clone()).to_template());
        match key {
            _ if self.0.get(key).is_some() => self.0.get(key).map(Json::to_template),
            "extra_fields" => part(&self.0.extra),
            "partition" | "_partition" => part(&self.0.partition),
            "cursor_slice" => part(&self.0.cursor),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.partition.keys().chain(self.0.cursor.keys()).map(|key| Value::from(key.clone())).collect())
    }
}
