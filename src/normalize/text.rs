//! Text as it is, and the folding that every other cleaner starts from.

use crate::model::Value;
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longest raw text that a cleaner looks at, in characters. Names, addresses and places are below 256 in every CRM that we know of; a profile's
/// text is below 5,000 on every network of the list.
pub(super) const MOST_CHARS: usize = 8_192;

/// The text of a raw value: numbers and truth values as written, text cut to [`MOST_CHARS`]; records and times have none.
pub(super) fn raw_text(value: &Value) -> Option<Cow<'_, str>> {
    let text = match value {
        Value::Text(text) => Cow::Borrowed(text.as_ref()),
        Value::Integer(i) => Cow::Owned(i.to_string()),
        Value::Number(n) => Cow::Owned(n.to_string()),
        Value::Bool(b) => Cow::Owned(b.to_string()),
        Value::Missing | Value::Time(_) | Value::List(_) | Value::Record(_) => return None,
    };
    if text.len() <= MOST_CHARS {
        return Some(text);
    }
    Some(match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => Cow::Owned(text.get(..end).unwrap_or_default().to_owned()),
        None => text,
    })
}

/// Trimmed, nothing else.
pub(super) fn clean(raw: &str) -> Option<String> {
    let text = raw.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Accents removed, ligatures written out, lower case.
pub(super) fn fold(raw: &str) -> String {
    if raw.is_ascii() {
        return raw.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(raw.len());
    for c in raw.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ł' => folded.push('l'),
            'þ' => folded.push_str("th"),
            'ı' => folded.push('i'),
            '’' | '‘' | 'ʼ' | '`' | '´' => folded.push('\''),
            '‐' | '‑' => folded.push('-'),
            c if is_combining_mark(c) => {}
            c => folded.push(c),
        }
    }
    folded
}

/// Words of folded text joined by one blank: apostrophes and dots inside a word vanish, everything else that is no letter or digit separates.
pub(super) fn words(folded: &str) -> String {
    let mut out = String::with_capacity(folded.len());
    let mut blank = false;
    for c in folded.chars() {
        if c.is_alphanumeric() {
            if blank && !out.is_empty() {
                out.push(' ');
            }
            blank = false;
            out.push(c);
        } else if c != '\'' && c != '.' {
            blank = true;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accents_ligatures_and_case_make_no_difference() {
        assert_eq!(fold("Łukasz ØRSTED Straße Æther totò D’Amico"), "lukasz orsted strasse aether toto d'amico");
        assert_eq!(words("st. louis / o'fallon"), "st louis ofallon");
    }

    #[test]
    fn a_number_of_a_database_column_is_text_and_a_record_is_nothing() {
        assert_eq!(raw_text(&Value::Integer(75201)).as_deref(), Some("75201"));
        assert_eq!(raw_text(&Value::Record([].into())), None);
        let long = "é".repeat(MOST_CHARS + 5);
        assert_eq!(raw_text(&Value::Text(long.into())).map(|t| t.chars().count()), Some(MOST_CHARS));
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in ".{0,40}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once.clone());
            let plain = words(&once);
            prop_assert_eq!(words(&plain), plain);
        }
    }
}
