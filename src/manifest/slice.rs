//! A slice of a stream: which partition is read, and which part of time.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is the same")]

use super::json::{Json, Members};
use indexmap::IndexSet;
use minijinja::value::{Enumerator, Object, Value};
use std::collections::HashSet;
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

/// Why partitions can't be brought together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TogetherError {
    /// Groups are of single values.
    #[error("a partition that is grouped has more than one member, or none")]
    NotOne,
    /// The member of a union.
    #[error("a partition of a union has not its member")]
    NoMember,
}

/// The same partitions, `size` in one: each member and each field that is carried along becomes a list. `once`: each value one time.
///
/// # Errors
/// Where a partition has more than one member.
pub fn grouped(slices: Vec<Slice>, size: usize, once: bool) -> Result<Vec<Slice>, TogetherError> {
    let (mut groups, mut group, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for slice in slices {
        let mut own = slice.partition.iter().filter(|(name, _)| &***name != "parent_slice");
        let (Some((_, value)), None) = (own.next(), own.next()) else { return Err(TogetherError::NotOne) };
        if once && !seen.insert(value.compact()) {
            continue;
        }
        group.push(slice);
        if group.len() == size {
            groups.push(as_one(&std::mem::take(&mut group)));
        }
    }
    if !group.is_empty() {
        groups.push(as_one(&group));
    }
    Ok(groups)
}

fn as_one(group: &[Slice]) -> Slice {
    let lists = |names: Vec<Arc<str>>, of: fn(&Slice) -> &Members| -> Arc<Members> {
        let list =
            |name: &Arc<str>| Json::List(Arc::new(group.iter().map(|slice| of(slice).get(name).cloned().unwrap_or_default()).collect()));
        Arc::new(names.into_iter().map(|name| (name.clone(), list(&name))).collect())
    };
    let carried: IndexSet<Arc<str>> = group.iter().flat_map(|slice| slice.extra.keys().cloned()).collect();
    let own = group.first().map(|slice| slice.partition.keys().cloned().collect()).unwrap_or_default();
    Slice {
        partition: lists(own, |slice| &slice.partition),
        cursor: Arc::default(),
        extra: lists(carried.into_iter().collect(), |slice| &slice.extra),
    }
}

/// Partitions of several routers: only their common member tells them apart, the first of each value stays, and their other members are carried
/// along.
///
/// # Errors
/// Where one has not that member.
pub fn united(slices: Vec<Slice>, field: &str) -> Result<Vec<Slice>, TogetherError> {
    let (mut united, mut seen) = (Vec::new(), HashSet::new());
    for slice in slices {
        let value = slice.partition.get(field).ok_or(TogetherError::NoMember)?;
        if !seen.insert(value.compact()) {
            continue;
        }
        let own: Members = [(Arc::from(field), value.clone())].into_iter().collect();
        let mut extra = (*slice.extra).clone();
        extra.extend(slice.partition.iter().filter(|(name, _)| &***name != field).map(|(name, value)| (name.clone(), value.clone())));
        united.push(Slice { partition: Arc::new(own), cursor: Arc::default(), extra: Arc::new(extra) });
    }
    Ok(united)
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
