//! A cleaned value as matching holds it: nothing, a text, or texts joined by a separator that no cleaner lets through.

use crate::model::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// ASCII unit separator: cleaners give letters, digits and marks, never control characters.
const SEPARATOR: char = '\u{1f}';
const SEPARATOR_BYTE: u8 = 0x1f;

/// The cell of a value. Values that are no text are written as JSON, so that equality still means equality.
pub(super) fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Missing => None,
        Value::Text(text) => Some(one(text).into_owned()),
        Value::List(items) => {
            let mut joined = String::new();
            for item in items.iter().filter_map(cell) {
                joined.push_str(&one(&item));
                joined.push(SEPARATOR);
            }
            (!joined.is_empty()).then_some(joined)
        }
        Value::Number(_) | Value::Integer(_) | Value::Bool(_) | Value::Time(_) | Value::Record(_) => Some(value.to_json().to_string()),
    }
}

/// A text without separators, which hardly any has.
fn one(text: &str) -> Cow<'_, str> {
    if text.as_bytes().contains(&SEPARATOR_BYTE) { Cow::Owned(text.replace(SEPARATOR, " ")) } else { Cow::Borrowed(text) }
}

/// The value of a cell: a list is marked by the separator behind each member.
pub(super) fn value(cell: &str) -> Value {
    if cell.ends_with(SEPARATOR) {
        Value::List(each(cell).map(|item| Value::Text(item.into())).collect::<Arc<[Value]>>())
    } else {
        Value::Text(cell.into())
    }
}

/// Each text of a cell.
pub(super) fn each(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(SEPARATOR).filter(|item| !item.is_empty())
}

/// The first text of a cell.
pub(super) fn first(cell: &str) -> &str {
    each(cell).next().unwrap_or_default()
}

/// Whether two cells have a text in common.
pub(super) fn meet(a: &str, b: &str) -> bool {
    a == b || each(a).any(|x| each(b).any(|y| x == y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_lists_come_back_as_they_were() {
        let list = Value::List([Value::from("x:ada"), Value::from("linkedin:ada.r")].into());
        let one = Value::List([Value::from("x:ada")].into());
        for original in [Value::from("ada"), list.clone(), one] {
            assert_eq!(cell(&original).map(|c| value(&c)), Some(original));
        }
        assert_eq!(cell(&Value::Missing), None);
        assert!(meet(&cell(&list).unwrap(), "x:ada"));
        assert!(!meet(&cell(&list).unwrap(), "x:ad"));
    }
}
