//! Parts of a person's name: titles, suffixes, pronouns, emoji and middle initials removed, folded, lower case.

use super::NamePart;
use super::lookup::{is_particle, is_suffix, is_title};
use super::text::fold;

/// More words than this are a sentence, not a name; the rest is not looked at.
const MOST_WORDS: usize = 12;

/// A name in its parts; either may be empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct PersonName {
    given: String,
    family: String,
    middle: String,
}

/// The asked part, where the name has it.
///
/// A family name of several words is written together (`De Luca` → `deluca`, as handles and addresses do); several given names keep the
/// blank. `ROSSI, Ada M.` is read by its comma. Without a comma the first word is the given name: `Rossi Ada` cannot be told from `Ada Rossi`
/// by its form, so comparing allows for the exchange. One word alone is a given name; `Ada R.` has the family name `r`, an initial.
pub(super) fn clean(raw: &str, part: NamePart) -> Option<String> {
    let PersonName { given, family, middle } = parse(raw);
    let text = match part {
        NamePart::Middle => middle,
        NamePart::Given => given,
        NamePart::Family => family,
        NamePart::Full if family.is_empty() => given,
        NamePart::Full => format!("{given} {family}").trim().to_owned(),
    };
    (!text.is_empty()).then_some(text)
}

/// A column that holds this part and nothing else: `last_name`.
pub(super) fn clean_alone(raw: &str, part: NamePart) -> Option<String> {
    if matches!(part, NamePart::Full | NamePart::Middle) {
        return clean(raw, part);
    }
    let bare = without_asides(raw);
    let words = strip(words(&fold(bare.split(',').next().unwrap_or_default())));
    let text = if part == NamePart::Given { words.join(" ") } else { words.concat() };
    (!text.is_empty()).then_some(text)
}

fn parse(raw: &str) -> PersonName {
    let bare = without_asides(raw);
    let folded = fold(&bare);
    if let Some((before, after)) = folded.split_once(',') {
        let (family, given) = (words(before), words(after));
        if !given.is_empty() && !given.iter().all(|w| is_suffix(&w.replace('.', ""))) && !family.is_empty() {
            let (given, middle) = first_names(strip(given));
            return PersonName { given, middle, family: strip(family).concat() };
        }
        return in_order(strip(family));
    }
    in_order(strip(words(&folded)))
}

/// `Ada Maria de Luca`, titles already gone.
fn in_order(mut words: Vec<String>) -> PersonName {
    if words.len() < 2 {
        return PersonName { given: words.pop().unwrap_or_default(), ..PersonName::default() };
    }
    // A particle in front says that the family name stands first: `De Luca Mario`.
    if words.len() >= 3 && words.first().is_some_and(|w| is_particle(w) && w.len() > 1) {
        let end = words.iter().position(|w| !is_particle(w)).map_or(words.len(), |at| at + 1).min(words.len() - 1);
        let (given, middle) = first_names(words.split_off(end));
        return PersonName { given, middle, family: words.concat() };
    }
    // An initial at the end of three or more words is a middle initial that went astray.
    let mut astray = String::new();
    while words.len() > 2
        && let Some(initial) = words.pop_if(|w| is_initial(w))
    {
        astray.insert_str(0, &initial);
    }
    let mut start = words.len() - 1;
    while start > 1 && words.get(start - 1).is_some_and(|w| is_particle(w) && w.len() > 1) {
        start -= 1;
    }
    let family = words.split_off(start);
    let (given, middle) = first_names(words);
    PersonName { given, middle: middle + &astray, family: family.concat() }
}

/// Given names without initials, an initial where there is nothing else; and the initials that stand behind the first of them.
fn first_names(words: Vec<String>) -> (String, String) {
    let middle: String = words.iter().skip(1).filter(|w| is_initial(w)).map(String::as_str).collect();
    if words.iter().all(|w| is_initial(w)) {
        return (words.into_iter().next().unwrap_or_default(), middle);
    }
    (words.into_iter().filter(|w| !is_initial(w)).collect::<Vec<_>>().join(" "), middle)
}

fn is_initial(word: &str) -> bool {
    word.chars().nth(1).is_none()
}

/// Text in brackets removed, and everything after a dash or bar that stands alone: ` - official`, `(she/her)`.
fn without_asides(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut depth = 0_usize;
    for c in raw.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    for separator in [" - ", " – ", " — ", " | ", " • ", " · ", " / ", " ~ ", " @ "] {
        if let Some((before, _)) = out.split_once(separator)
            && before.chars().any(char::is_alphabetic)
        {
            out.truncate(before.len());
        }
    }
    out
}

/// Words of a folded name: letters with apostrophes dropped and hyphens kept. Digits vanish, `_` separates, and a dot separates whole words
/// (`ada.rossi`) but not initials (`j.r.`, which become one-letter words).
fn words(folded: &str) -> Vec<String> {
    let mut words = Vec::new();
    for chunk in folded.split(|c: char| !(c.is_alphabetic() || c.is_numeric() || matches!(c, '\'' | '-' | '.'))) {
        for piece in chunk.split('.') {
            let word: String = piece.chars().filter(|c| c.is_alphabetic() || *c == '-').collect();
            let word = word.trim_matches('-');
            if !word.is_empty() && words.len() < MOST_WORDS {
                words.push(word.to_owned());
            }
        }
    }
    rejoin_dotted_suffixes(&mut words, folded);
    words
}

/// `Ph.D.` and `M.D.` fall into letters; put the ones that are known suffixes together again so that they can be removed.
fn rejoin_dotted_suffixes(words: &mut Vec<String>, folded: &str) {
    if !folded.contains('.') || words.len() < 3 {
        return;
    }
    for take in [3, 2] {
        if let Some(at) = words.len().checked_sub(take)
            && at >= 1
            && let Some(tail) = words.get(at..)
            && is_suffix(&tail.concat())
            && tail.iter().all(|w| w.chars().count() <= 2)
        {
            let joined = tail.concat();
            words.truncate(at);
            words.push(joined);
            return;
        }
    }
}

/// Titles in front and suffixes behind removed, as long as a word stays.
fn strip(mut words: Vec<String>) -> Vec<String> {
    let titles = words.iter().take_while(|w| is_title(w)).count();
    words.drain(..titles.min(words.len().saturating_sub(1)));
    while words.len() > 1 && words.last().is_some_and(|w| is_suffix(w)) {
        words.pop();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(raw: &str) -> (String, String) {
        let PersonName { given, family, .. } = parse(raw);
        (given, family)
    }

    #[test]
    fn one_person_written_in_many_ways_has_one_name() {
        for raw in [
            "Ada Rossi",
            "ROSSI, Ada M.",
            "rossi, ada",
            "  Ada  Rossi",
            "Ada M. Rossi",
            "Ada M Rossi",
            "Mrs Ada Rossi",
            "Dr. Ada Rossi, PhD",
            "Ada Rossi Ph.D.",
            "DJ Ada Rossi 🌍",
            "Coach ADA ROSSI",
            "Prof. Dr. Ada Rossi MBA",
            "Ada Rossi (she/her)",
            "Ada Rossi - official",
            "Àda Rossì",
            "ada_rossi",
            "ada.rossi84",
        ] {
            assert_eq!(name(raw), ("ada".into(), "rossi".into()), "{raw}");
        }
    }

    #[test]
    fn initials_and_single_words_say_what_they_say() {
        assert_eq!(name("F. Ainsworth"), ("f".into(), "ainsworth".into()));
        assert_eq!(name("Daniela B."), ("daniela".into(), "b".into()));
        assert_eq!(name("Stephen"), ("stephen".into(), String::new()));
        assert_eq!(name("Atterberry, Sha E."), ("sha".into(), "atterberry".into()));
        assert_eq!(name("OLIVIA L.P LOURDE"), ("olivia".into(), "lourde".into()));
        assert_eq!(name("J. R. R. Tolkien"), ("j".into(), "tolkien".into()));
        assert_eq!(name("🌍✨"), (String::new(), String::new()));
        assert_eq!(name("Coach"), ("coach".into(), String::new()));
    }

    #[test]
    fn initials_of_middle_names_are_kept_apart() {
        for (raw, expected) in [
            ("Ada M. Rossi", Some("m")),
            ("ROSSI, Ada M", Some("m")),
            ("OLIVIA L.P LOURDE", Some("lp")),
            ("J. R. R. Tolkien", Some("rr")),
            ("Ada Rossi", None),
            ("F. Ainsworth", None),
            ("Ada R.", None),
            ("Maria Grazia Cucinotta", None),
        ] {
            assert_eq!(clean(raw, NamePart::Middle).as_deref(), expected, "{raw}");
        }
    }

    #[test]
    fn particles_and_apostrophes_belong_to_the_family_name() {
        assert_eq!(name("Mario De Luca"), ("mario".into(), "deluca".into()));
        assert_eq!(name("De Luca Mario"), ("mario".into(), "deluca".into()));
        assert_eq!(name("DE LUCA, MARIO"), ("mario".into(), "deluca".into()));
        assert_eq!(name("Ludwig van der Rohe"), ("ludwig".into(), "vanderrohe".into()));
        assert_eq!(name("Sinéad O’Connor"), ("sinead".into(), "oconnor".into()));
        assert_eq!(name("Rita D'Amico"), ("rita".into(), "damico".into()));
        assert_eq!(name("Anna-Lena Müller-Lüdenscheidt"), ("anna-lena".into(), "muller-ludenscheidt".into()));
        assert_eq!(name("Maria Grazia Cucinotta"), ("maria grazia".into(), "cucinotta".into()));
    }

    #[test]
    fn a_column_of_its_own_is_that_part_whole() {
        assert_eq!(clean_alone("Rossi", NamePart::Family).as_deref(), Some("rossi"));
        assert_eq!(clean_alone("De Luca", NamePart::Family).as_deref(), Some("deluca"));
        assert_eq!(clean_alone("Dr. Maria Grazia", NamePart::Given).as_deref(), Some("maria grazia"));
        assert_eq!(clean("Rossi", NamePart::Family), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_a_full_name_stays_what_it_is(raw in ".{0,60}") {
            for part in [NamePart::Given, NamePart::Family, NamePart::Full, NamePart::Middle] {
                drop((clean(&raw, part), clean_alone(&raw, part)));
            }
        }

        #[test]
        fn cleaning_a_clean_full_name_changes_nothing(given in "[a-z]{2,9}", family in "[a-z]{2,12}") {
            let raw = format!("{given} {family}");
            if let Some(once) = clean(&raw, NamePart::Full) {
                prop_assert_eq!(clean(&once, NamePart::Full), Some(once));
            }
        }
    }
}
