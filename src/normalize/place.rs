//! Places: the city part in its local name, folded, lower case; regions, countries and jokes are missing.

use super::lookup::{city, is_country_name, is_no_city};
use super::text::{fold, words};

/// A city of more words than this is a sentence.
const MOST_WORDS: usize = 5;

/// The city, or `None` where none is named.
pub(super) fn clean(raw: &str) -> Option<String> {
    let folded = fold(raw);
    folded.replace(" - ", ",").split([',', '/', '|', '•', '·', '(', ')', ';', '–', '—', '→', '&']).find_map(segment)
}

fn segment(text: &str) -> Option<String> {
    let name = words(text);
    let name = name.split(' ').filter(|w| !w.chars().any(char::is_numeric)).collect::<Vec<_>>().join(" ");
    let name = name.strip_prefix("city of ").or_else(|| name.strip_prefix("greater ")).unwrap_or(&name);
    let name = name.strip_suffix(" metropolitan area").or_else(|| name.strip_suffix(" area")).unwrap_or(name);
    let name = if let Some(rest) = name.strip_prefix("saint ") { format!("st {rest}") } else { name.to_owned() };
    if let Some(known) = city(&name) {
        return Some(known.to_owned());
    }
    let place = !name.is_empty()
        && name.split(' ').count() <= MOST_WORDS
        && name.chars().count() >= 2
        && !is_country_name(&name)
        && !is_no_city(&name);
    place.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_city_has_one_name_in_every_language_and_with_any_region() {
        for (raw, expected) in [
            ("Roma, Italia", "roma"),
            ("Rome", "roma"),
            ("ROME, Lazio", "roma"),
            ("Florence, Italy", "firenze"),
            ("Firenze", "firenze"),
            ("Naples, IT", "napoli"),
            ("Washington, US", "washington"),
            ("Washington, DC", "washington"),
            ("New York, NY", "new york"),
            ("NYC", "new york"),
            ("St. Louis, MO", "st louis"),
            ("Saint Louis", "st louis"),
            ("Stoke-on-Trent, England", "stoke on trent"),
            ("Newcastle", "newcastle upon tyne"),
            ("Italy, Rome", "roma"),
            ("10117 Berlin", "berlin"),
            ("Reggio Calabria, Calabria", "reggio calabria"),
            ("Belfast, N. Ireland", "belfast"),
            ("Totino", "totino"),
        ] {
            assert_eq!(clean(raw).as_deref(), Some(expected), "{raw}");
        }
    }

    #[test]
    fn countries_regions_and_jokes_are_no_city() {
        for raw in [
            "USA",
            "US",
            "United States",
            "UK",
            "United Kingdom",
            "GB",
            "Italia",
            "Italy",
            "IT",
            "Earth",
            "everywhere",
            "🌍",
            "somewhere over the rainbow",
            "127.0.0.1",
            "worldwide",
            "Lombardia",
            "Toscana, Italia",
            "",
            "NY",
        ] {
            assert_eq!(clean(raw), None, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(raw in ".{0,40}") {
            if let Some(once) = clean(&raw) {
                prop_assert_eq!(clean(&once), Some(once));
            }
        }
    }
}
