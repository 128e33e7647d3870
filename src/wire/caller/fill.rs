//! Templates to values, and calls to the parts of a request. Pure.

use super::part::{Content, Part, text};
use crate::declare::connector::soap::{Call, Emptied, FieldPlace, Filter, Part as Piece, Placed, Slot, Template};
use crate::model::Value;
use md5::{Digest as _, Md5};
use std::fmt::Write as _;

/// What the names in templates stand for; `None` where there is no value.
pub type Values<'a> = dyn Fn(&Slot) -> Option<Value> + Sync + 'a;

/// Why a call can't be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FillError {
    /// A name inside a text has no value.
    #[error("`{{{0}}}` has no value, and stands inside a text")]
    NoValue(String),
    /// A path of an answer stands where one of a request is meant.
    #[error("the path `{0}` can't be written")]
    Path(String),
}

/// What a template comes to; `None` where it is one name alone that has no value.
///
/// # Errors
/// Where a name inside a text has no value.
pub fn value(template: &Template, values: &Values<'_>) -> Result<Option<Value>, FillError> {
    if let Some((slot, filter)) = template.single() {
        let found = values(slot).filter(|value| !value.is_missing());
        // The first page begins behind the empty text, not behind nothing.
        let found = found.or_else(|| (*slot == Slot::After).then(|| Value::Text("".into())));
        return Ok(found.map(|value| if filter == Filter::Text { value } else { Value::Text(filtered(&value, filter).into()) }));
    }
    let mut out = String::new();
    for piece in &template.0 {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Value(slot, filter) => {
                let found = values(slot).filter(|value| !value.is_missing());
                let found = match (found, slot) {
                    (Some(found), _) => found,
                    // Before the first row there is none: a query by key begins with the empty text.
                    (None, Slot::After) => Value::Text("".into()),
                    (None, slot) => return Err(FillError::NoValue(slot.name().to_owned())),
                };
                out.push_str(&filtered(&found, *filter));
            }
        }
    }
    Ok(Some(Value::Text(out.into())))
}

fn filtered(value: &Value, filter: Filter) -> String {
    let text = value.scalar_text().unwrap_or_default();
    match filter {
        Filter::Text => text,
        Filter::Md5 => Md5::digest(text.as_bytes()).iter().fold(String::with_capacity(32), |mut hex, byte| {
            // Writing into a String can't fail.
            let _written = write!(hex, "{byte:02x}");
            hex
        }),
        Filter::Sql => text.replace('\\', "\\\\").replace('\'', "''"),
        Filter::Soql => text.replace('\\', "\\\\").replace('\'', "\\'"),
        // Each key of a list stands between quotation marks.
        Filter::Uuid => text.split('\'').map(uuid).collect::<Vec<_>>().join("'"),
    }
}

/// A key (SHA-256 in hex) as a UUID of its first 128 bits, with the version 8 and the variant of RFC 9562 (§5.8); any other text stays as it is.
pub fn uuid(key: &str) -> String {
    let hex: Vec<char> = key.chars().collect();
    if hex.len() != 64 || !hex.iter().all(char::is_ascii_hexdigit) {
        return key.to_owned();
    }
    let mut out = String::with_capacity(36);
    for (at, digit) in hex.into_iter().take(32).enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(match (at, digit) {
            (12, _) => '8',
            // The two highest bits are 10: 8, 9, a or b.
            (16, digit) => match digit.to_digit(16).unwrap_or(0) & 0b0011 {
                0 => '8',
                1 => '9',
                2 => 'a',
                _ => 'b',
            },
            (_, digit) => digit,
        });
    }
    out
}

/// Puts what stands at fixed places into a tree. A value that is not there leaves its element out.
///
/// # Errors
/// Where a value or a path can't be used.
pub fn placed(into: &mut Part, places: &[Placed], values: &Values<'_>) -> Result<(), FillError> {
    for place in places {
        let mut contents = Vec::with_capacity(place.values.len());
        for template in &place.values {
            contents.extend(value(template, values)?.map(|value| Content::Value(value, None)));
        }
        if contents.is_empty() {
            continue;
        }
        if !into.place_all(&place.path, contents) {
            return Err(FillError::Path(place.path.to_string()));
        }
    }
    Ok(())
}

/// Sets the types that a call declares: on every element at the path, in a batch that of each record; where there is none, on one that is made.
pub fn types(into: &mut Part, call: &Call) {
    for (path, name) in &call.types {
        let set = &mut |element: &mut Part| element.type_name = Some(name.clone());
        if into.visit(path, set) == 0
            && let Some(element) = into.at(path)
        {
            set(element);
        }
    }
}

/// Puts the value of a field into its record (or the operation's parameters, where it stands there).
///
/// # Errors
/// Where its path can't be written.
pub fn field(into: &mut Part, place: &FieldPlace, content: Content) -> Result<(), FillError> {
    let bad = || FillError::Path(place.path.to_string());
    let content = match content {
        Content::Value(value, _) => Content::Value(value, place.form.clone()),
        other @ (Content::None | Content::Emptied | Content::Nil) => other,
    };
    if place.inner.is_here() && place.beside.is_empty() && place.type_name.is_none() {
        return if into.place(&place.path, content) { Ok(()) } else { Err(bad()) };
    }
    let element = into.at(&place.path).ok_or_else(bad)?;
    element.type_name.clone_from(&place.type_name);
    // Nothing is inside of nothing.
    if !matches!(content, Content::Value(..)) {
        element.content = content;
        return Ok(());
    }
    let beside = place.beside.iter().all(|(path, fixed)| element.place(path, text(fixed.clone())));
    if place.inner.is_here() {
        element.content = content;
    } else if !element.place(&place.inner, content) {
        return Err(bad());
    }
    if beside { Ok(()) } else { Err(bad()) }
}

/// Empties a field of a record.
///
/// # Errors
/// Where its path can't be written.
pub fn emptied(into: &mut Part, place: &FieldPlace, how: &Emptied) -> Result<(), FillError> {
    match how {
        Emptied::AsSchema => field(into, place, Content::Emptied),
        Emptied::Nil => field(into, place, Content::Nil),
        Emptied::Empty => field(into, place, text("")),
        Emptied::NamesIn(list) => {
            into.again(list).ok_or_else(|| FillError::Path(list.to_string()))?.content = text(place.listed_as.clone());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::connector::soap::{ElementName, ElementPath, Select, Step};
    use proptest::prelude::*;

    fn path(names: &[&str]) -> ElementPath {
        ElementPath(names.iter().map(|name| Step::Element(ElementName { namespace: None, local: (*name).into() }, Select::First)).collect())
    }

    #[test]
    fn a_key_as_a_uuid_keeps_its_digits_but_for_version_and_variant() {
        let key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        assert_eq!(uuid(key), "01234567-89ab-8def-8123-456789abcdef");
        assert_eq!(filtered(&Value::Text(format!("'{key}','{key}'").into()), Filter::Uuid), format!("'{0}','{0}'", uuid(key)));
        assert_eq!(uuid("not a key"), "not a key");
    }

    #[test]
    fn a_type_is_set_on_the_same_element_of_every_record_and_made_where_there_is_none() {
        let mut root = Part::root();
        for _ in 0..3 {
            root.again(&path(&["list", "record"])).unwrap().at(&path(&["target"])).unwrap();
        }
        let name = |local: &str| ElementName { namespace: None, local: local.into() };
        let types_of = |path_of: ElementPath| Call { types: vec![(path_of, name("Entity"))], ..Call::plain("x".into()) };
        types(&mut root, &types_of(path(&["list", "record", "target"])));
        let mut seen = 0;
        let typed = root.visit(&path(&["list", "record", "target"]), &mut |part| seen += usize::from(part.type_name.is_some()));
        assert_eq!((typed, seen), (3, 3));
        types(&mut root, &types_of(path(&["query"])));
        assert_eq!(root.at(&path(&["query"])).unwrap().type_name, Some(name("Entity")));
    }

    proptest! {
        #[test]
        fn every_uuid_of_a_key_is_of_version_8_and_of_the_variant_of_the_rfc(key in "[0-9a-f]{64}") {
            let made = uuid(&key);
            let parts: Vec<&str> = made.split('-').collect();
            prop_assert_eq!(parts.iter().map(|p| p.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            prop_assert!(parts[2].starts_with('8') && parts[3].starts_with(['8', '9', 'a', 'b']));
            prop_assert_eq!(made.get(..8), key.get(..8));
        }

        #[test]
        fn what_stands_in_quotation_marks_of_a_query_stays_in_them(text in "[a'\\\\ ]{0,12}") {
            for filter in ["sql", "soql"] {
                let template = Template::parse(&format!("'{{X:{filter}}}'")).unwrap();
                let found = value(&template, &|_| Some(Value::Text(format!("a{text}").into()))).unwrap();
                let written = found.and_then(|v| v.as_text().map(str::to_owned)).unwrap();
                let mut chars = written.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap().chars();
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => prop_assert!(chars.next().is_some_and(|next| next == '\\' || (filter == "soql" && next == '\''))),
                        '\'' => prop_assert!(filter == "sql" && chars.next() == Some('\'')),
                        _ => {}
                    }
                }
            }
        }
    }
}
