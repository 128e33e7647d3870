//! Companies: legal forms removed, folded, lower case; found in text after `@`, `at`, `presso`, ….

use super::lookup::is_legal_form;
use super::text::{fold, words};

/// Words that stand before a place of work in a profile.
const AT: [&str; 8] = ["@ ", "at ", "presso ", "bei ", "chez ", "en ", "for ", "con "];

/// Where one statement of a profile ends.
const ENDS: [&str; 7] = [" | ", " • ", ". ", ", ", " / ", "\n", " · "];

/// The name without its legal form.
pub(super) fn clean(raw: &str) -> Option<String> {
    let folded = fold(raw).replace('&', " and ").replace('+', " ");
    let name = words(&folded);
    let mut parts: Vec<&str> = name.split(' ').filter(|w| !w.is_empty()).collect();
    while parts.len() > 1 && parts.last().is_some_and(|w| is_legal_form(w)) {
        parts.pop();
    }
    if parts.len() > 1 && parts.first() == Some(&"the") {
        parts.remove(0);
    }
    let name = parts.join(" ");
    (name.chars().count() >= 2 && !is_legal_form(&name)).then_some(name)
}

/// The first organisation that a text names after a word like `at`. It must begin with a capital letter or a digit, so that `at home` is none.
pub(super) fn find(raw: &str) -> Option<String> {
    let text = super::email::removed(raw);
    let mut statements = vec![text.as_str()];
    for end in ENDS {
        statements = statements.into_iter().flat_map(|s| s.split(end)).collect();
    }
    statements.into_iter().find_map(|statement| {
        let found = AT.iter().find_map(|at| after(statement, at))?;
        let capital = found.chars().next().is_some_and(|c| c.is_uppercase() || c.is_numeric());
        if capital { clean(found) } else { None }
    })
}

/// What follows the word, where it stands at the start or after a blank.
fn after<'a>(statement: &'a str, word: &str) -> Option<&'a str> {
    let statement = statement.trim_start();
    if let Some(rest) = statement.strip_prefix(word) {
        return Some(rest.trim());
    }
    let (_, rest) = statement.split_once(&format!(" {word}"))?;
    Some(rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn legal_forms_and_case_make_no_difference() {
        for raw in ["Royal Design S.r.l.", "ROYAL DESIGN", "Royal Design Inc", "royal design ltd.", "The Royal Design Co., Ltd"] {
            assert_eq!(clean(raw).as_deref(), Some("royal design"), "{raw}");
        }
        assert_eq!(clean("AT&T Corp").as_deref(), Some("at and t"));
        assert_eq!(clean("Inc"), None);
        assert_eq!(clean("-"), None);
    }

    #[test]
    fn places_of_work_are_found_in_bios() {
        for (bio, expected) in [
            ("@ Apex • gardening • Nurse", "apex"),
            ("coffee • art • chess • student • at River Builders", "river builders"),
            ("hiking. Estate agent. at Nova Studio PLC. coffee", "nova studio"),
            ("Engineer at Falcon Bank S.r.l.. chess", "falcon bank"),
            ("HR manager @ Delta Insurance, wine", "delta insurance"),
            ("Nurse presso Ospedale Maggiore / yoga", "ospedale maggiore"),
        ] {
            assert_eq!(find(bio).as_deref(), Some(expected), "{bio}");
        }
        for bio in ["mum of two at home", "ig: @ada_rossi", "ada [at] royalfoods [dot] com", "great at chess"] {
            assert_eq!(find(bio), None, "{bio}");
        }
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(raw in ".{0,40}") {
            drop(find(&raw));
            // A legal form may come to stand at the end, or a `the` at the start, where the name was cut: cleaning again takes it too.
            if let Some(once) = clean(&raw).filter(|once| !once.starts_with("the ") && !once.split(' ').any(is_legal_form)) {
                prop_assert_eq!(clean(&once), Some(once));
            }
        }
    }
}
