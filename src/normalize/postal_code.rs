//! Postal codes: upper case without blanks.

/// Longest code of the Universal Postal Union's list, with room for a country prefix.
const MOST_CHARS: usize = 12;

/// `sw3 9ze` → `SW39ZE`; `None` for text that can't be a postal code.
pub(super) fn clean(raw: &str) -> Option<String> {
    let code: String = raw.chars().filter(|c| !c.is_whitespace() && *c != '-').flat_map(char::to_uppercase).collect();
    let fits = (2..=MOST_CHARS).contains(&code.chars().count()) && code.chars().all(|c| c.is_ascii_alphanumeric());
    (fits && code.chars().any(|c| c.is_ascii_digit()) && code.chars().any(|c| c != '0')).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blanks_and_case_make_no_difference() {
        assert_eq!(clean("sw3 9ze").as_deref(), Some("SW39ZE"));
        assert_eq!(clean("00127").as_deref(), Some("00127"));
        for junk in ["", "00000", "n/a", "none", "somewhere in town"] {
            assert_eq!(clean(junk), None, "{junk}");
        }
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(raw in ".{0,20}") {
            if let Some(once) = clean(&raw) {
                prop_assert_eq!(clean(&once), Some(once));
            }
        }
    }
}
