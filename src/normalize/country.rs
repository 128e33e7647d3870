//! Countries as two-letter codes: from a name, a code, or a place that lies in one.

use super::lookup::{city, country, country_of_city, country_of_region, is_country_name};
use super::text::{fold, words};

/// A place of more parts than this is a list of places.
const MOST_PARTS: usize = 6;

/// `it` for `Italia`, `IT`, `Roma, Lazio` and `Milan`; `None` where no country is said or known.
///
/// A country's name counts before a region, a region before a city: `London, Ontario` is no place in Britain. A two-letter code counts as a
/// state where it stands behind something else (`Portland, OR`; `Wilmington, DE`), as a country where it stands alone.
pub(super) fn clean(raw: &str) -> Option<String> {
    let folded = fold(raw).replace(" - ", ",");
    let parts: Vec<String> = folded
        .split([',', '/', '|', '•', '·', '(', ')', ';', '–', '—', '→', '&'])
        .map(words)
        .filter(|w| !w.is_empty())
        .take(MOST_PARTS)
        .collect();
    let code = |part: &String| country(part).map(|c| c.code);
    if let [alone] = parts.as_slice()
        && let Some(found) = code(alone)
    {
        return Some(found.to_owned());
    }
    let named = parts.iter().rev().find(|part| is_country_name(part)).and_then(code);
    let by_region = || parts.iter().rev().find_map(|part| country_of_region(part));
    let by_code = || parts.last().and_then(code);
    let by_city = || parts.iter().find_map(|part| country_of_city(city(part).unwrap_or(part)));
    named.or_else(by_region).or_else(by_code).or_else(by_city).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_country_is_read_from_its_name_its_code_and_the_places_in_it() {
        for (raw, expected) in [
            ("US", Some("us")),
            ("UK", Some("gb")),
            ("Italia", Some("it")),
            ("United States", Some("us")),
            ("Rome", Some("it")),
            ("Rome, Lazio", Some("it")),
            ("Firenze", Some("it")),
            ("Leeds", Some("gb")),
            ("Leeds, England", Some("gb")),
            ("Belfast, N. Ireland", Some("gb")),
            ("St. Louis, MO", Some("us")),
            ("Wilmington, DE", Some("us")),
            ("Kansas City, United States", Some("us")),
            ("Birmingham, Alabama", Some("us")),
            ("Germany", Some("de")),
            ("somewhere over the rainbow", None),
            ("127.0.0.1", None),
            ("everywhere", None),
            ("", None),
        ] {
            assert_eq!(clean(raw).as_deref(), expected, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(raw in ".{0,40}", part in "[A-Za-z, ]{0,20}") {
            for text in [raw, part] {
                if let Some(once) = clean(&text) {
                    prop_assert_eq!(clean(&once), Some(once));
                }
            }
        }
    }
}
