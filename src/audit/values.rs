//! Field values inside sealed boxes: JSON that reads back as exactly the same [`Value`].
//!
//! Text, true and false, lists and plain numbers are themselves; what JSON would blur is tagged: `{"int":"7"}` (whole numbers),
//! `{"time":"…"}`, `{"record":[["name",value],…]}`; a double that JSON numbers can't say is `{"number":"-0"}`.

use super::canonical::Writer;
use super::member::Item;
use super::tape::Json;
use crate::model::Value;
use std::sync::Arc;

/// Deeper values are cut to `Missing`: fields of records are flat, related records two deep.
const MAX_DEPTH: usize = 16;

pub(super) fn write(value: &Value, out: &mut Writer) {
    write_at(value, 0, out);
}

fn write_at(value: &Value, depth: usize, out: &mut Writer) {
    let tagged = |tag: &str, out: &mut Writer, content: &dyn Fn(&mut Writer)| {
        out.begin_object();
        out.key(tag);
        content(out);
        out.end_object();
    };
    match value {
        Value::List(_) | Value::Record(_) if depth == MAX_DEPTH => out.null(),
        Value::Missing => out.null(),
        Value::Text(text) => out.string(text),
        Value::Number(number) if number.is_finite() && number.to_bits() != (-0.0_f64).to_bits() => out.number(*number),
        Value::Number(number) => tagged("number", out, &|out| Item::write(number, out)),
        Value::Integer(integer) => tagged("int", out, &|out| out.plain(integer.to_string().as_bytes())),
        Value::Bool(value) => out.boolean(*value),
        Value::Time(time) => tagged("time", out, &|out| out.plain(time.to_string().as_bytes())),
        Value::List(items) => {
            out.begin_array();
            items.iter().for_each(|item| write_at(item, depth + 1, out));
            out.end_array();
        }
        Value::Record(members) => tagged("record", out, &|out| {
            out.begin_array();
            for (name, value) in members.iter() {
                out.begin_array();
                out.string(name);
                write_at(value, depth + 1, out);
                out.end_array();
            }
            out.end_array();
        }),
    }
}

pub(super) fn read(json: Json<'_>) -> Option<Value> {
    if json.is_null() {
        return Some(Value::Missing);
    }
    if let Some(value) = json.as_bool() {
        return Some(Value::Bool(value));
    }
    if let Some(number) = json.as_f64() {
        return Some(Value::Number(number));
    }
    if let Some(text) = json.as_str() {
        return Some(Value::Text(text.into()));
    }
    if let Some(items) = json.elements() {
        return Some(Value::List(items.map(read).collect::<Option<_>>()?));
    }
    let mut members = json.members()?;
    let value = if let Some(content) = members.take("int") {
        Value::Integer(content.as_str()?.parse().ok()?)
    } else if let Some(content) = members.take("number") {
        Value::Number(content.read()?)
    } else if let Some(content) = members.take("record") {
        Value::Record(content.elements()?.map(pair).collect::<Option<_>>()?)
    } else {
        Value::Time(members.take("time")?.as_str()?.parse().ok()?)
    };
    members.all_taken().then_some(value)
}

fn pair(json: Json<'_>) -> Option<(Arc<str>, Value)> {
    let mut items = json.elements()?;
    match (items.next(), items.next(), items.next()) {
        (Some(name), Some(value), None) => Some((name.as_str()?.into(), read(value)?)),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::audit) fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Missing),
            any::<String>().prop_map(|t| Value::Text(t.into())),
            any::<u64>().prop_map(f64::from_bits).prop_filter("NaN is unequal to itself", |n| !n.is_nan()).prop_map(Value::Number),
            any::<i64>().prop_map(Value::Integer),
            any::<bool>().prop_map(Value::Bool),
            (-377_705_023_201_i64..253_402_207_200).prop_map(|s| Value::Time(crate::model::Timestamp::from_second(s).unwrap())),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(|v| Value::List(v.into())),
                proptest::collection::vec((any::<String>().prop_map(Arc::from), inner), 0..4).prop_map(|v| Value::Record(v.into())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_reads_back_as_itself(value in any_value()) {
            let mut out = Writer::default();
            write(&value, &mut out);
            let text = out.into_bytes();
            let tape = super::super::tape::Tape::read(&text).unwrap();
            prop_assert_eq!(read(tape.json()), Some(value));
        }
    }

    #[test]
    fn a_value_nested_without_end_is_cut_instead_of_followed() {
        let deep = (0..10_000).fold(Value::Missing, |inner, _| Value::List([inner].into()));
        let mut out = Writer::default();
        write(&deep, &mut out);
        assert_eq!(out.into_bytes().len(), 2 * MAX_DEPTH + 4);
        std::mem::forget(deep); // Dropping it would recurse.
    }
}
