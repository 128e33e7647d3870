//! Telephone numbers as their national significant number.

use super::lookup::{calling_code, country};
use super::text::fold;
use regex::Regex;
use std::sync::LazyLock;

/// Fewest and most digits of a national number (E.164 allows 15 with the calling code).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=13;

/// Fewest digits of a number found in text without `+`: fewer are a date, an order, a postal code.
const FEWEST_FOUND: usize = 9;

/// The national significant number: without calling code, trunk zeros and marks; `None` for junk.
///
/// Why not E.164: a profile seldom says its country and a CRM seldom writes the code, so `07546 441 014` and `+44 7546 441014` could not meet.
/// Two countries may share a national number; rules therefore ask for the family name too. Italy keeps the zero of its fixed lines behind
/// `+39` and nobody else does: leading zeros go on both sides.
pub(super) fn clean(raw: &str, region: Option<&str>) -> Option<String> {
    let text = raw.replace("(0)", " ").to_lowercase();
    let text = text.trim().trim_start_matches("tel:").trim();
    let text = ["ext", "x", "#", ";"].iter().fold(text, |text, mark| text.split_once(mark).map_or(text, |(number, _)| number));
    if text.chars().any(|c| c.is_alphabetic() || c == '@') {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let plus = text.trim_start_matches(['(', ' ']).starts_with('+');
    let national = if let Some(rest) = if plus { Some(digits.as_str()) } else { digits.strip_prefix("00") } {
        calling_code(rest).and_then(|code| rest.strip_prefix(code)).unwrap_or(rest)
    } else {
        without_code(&digits, region)
    };
    let national = national.trim_start_matches('0');
    (DIGITS.contains(&national.len()) && !is_junk(national)).then(|| national.to_owned())
}

/// Digits without `+` or `00` that still begin with a calling code: more of them than the country's numbers have.
fn without_code<'a>(digits: &'a str, region: Option<&str>) -> &'a str {
    let Some(country) = region.and_then(|region| country(&super::text::words(&fold(region)))) else {
        // Without a region only what no national number looks like: 1 and ten digits (North America), 39 or 44 and ten.
        let no_code = match digits.len() {
            11 => digits.strip_prefix('1').filter(|rest| !rest.starts_with(['0', '1'])),
            12 => digits
                .strip_prefix("39")
                .filter(|rest| rest.starts_with('3'))
                .or_else(|| digits.strip_prefix("447").map(|_| digits.get(2..).unwrap_or(digits))),
            _ => None,
        };
        return no_code.unwrap_or(digits);
    };
    let longer = !digits.starts_with('0') && digits.len() > country.most_digits;
    digits.strip_prefix(country.calling_code).filter(|_| longer).unwrap_or(digits)
}

/// One digit repeated, or counting up or down.
fn is_junk(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    let steps =
        |step: u8| bytes.windows(2).all(|w| matches!(w, [a, b] if (b.wrapping_sub(*a)) % 10 == step || (*a, *b, step) == (b'9', b'0', 1)));
    steps(0) || steps(1) || bytes.windows(2).all(|w| matches!(w, [a, b] if a.wrapping_sub(*b) == 1))
}

static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\+?\(?\d+(?:\)?[ .\-/]?\(?\d+)*").ok());
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)https?://\S+|www\.\S+|@\S+").ok());

/// A text without links and handles: their digits are no numbers.
pub(super) fn without_addresses(text: &str) -> String {
    match ADDRESS.as_ref() {
        Some(address) => address.replace_all(text, " ").into_owned(),
        None => text.to_owned(),
    }
}

/// E.164: `+`, calling code, national number. The code is the number's own (`+44 …`, `0044 …`) or that of the region.
pub(super) fn e164(raw: &str, region: Option<&str>) -> Option<String> {
    let national = clean(raw, region)?;
    let digits: String = raw.chars().filter(char::is_ascii_digit).collect();
    let own = if raw.trim_start().trim_start_matches("tel:").trim_start_matches(['(', ' ']).starts_with('+') {
        calling_code(&digits)
    } else {
        digits.strip_prefix("00").and_then(calling_code)
    };
    let of_region = || region.and_then(|region| country(&super::text::words(&fold(region)))).map(|country| country.calling_code);
    Some(format!("+{}{national}", own.or_else(of_region)?))
}

/// The ten digits in English, Italian, Spanish, German and French; folded.
const DIGIT_WORDS: [&[&str]; 10] = [
    &["zero", "oh", "cero", "null"],
    &["one", "uno", "eins", "un"],
    &["two", "due", "dos", "zwei", "deux"],
    &["three", "tre", "tres", "drei", "trois"],
    &["four", "quattro", "cuatro", "vier", "quatre"],
    &["five", "cinque", "cinco", "funf", "cinq"],
    &["six", "sei", "seis", "sechs"],
    &["seven", "sette", "siete", "sieben", "sept"],
    &["eight", "otto", "ocho", "acht", "huit"],
    &["nine", "nove", "nueve", "neun", "neuf"],
];

/// Fewest digits in a row that are written as words: fewer are a sentence.
const FEWEST_WORDS: usize = 3;

/// Numbers that people hide from machines: `zero seven five …`, and `O` and `l` between digits.
fn in_digits(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Digits that are held until it is known whether they are a number that is written in words; and the text as it stood.
    let (mut digits, mut as_written, mut words) = (String::new(), String::new(), 0);
    let settle = |out: &mut String, digits: &mut String, as_written: &mut String, words: &mut usize| {
        let number = *words >= FEWEST_WORDS && digits.len() >= FEWEST_FOUND;
        if number {
            out.push_str(digits);
            out.push(' ');
        } else {
            out.push_str(as_written);
        }
        digits.clear();
        as_written.clear();
        *words = 0;
    };
    for token in text.split_inclusive(|c: char| c.is_whitespace() || c == ',' || c == '-') {
        let word = token.trim_end_matches(|c: char| c.is_whitespace() || c == ',' || c == '-');
        let folded = fold(word);
        let digit = DIGIT_WORDS.iter().zip('0'..).find(|(words, _)| words.contains(&folded.as_str())).map(|(_, digit)| digit);
        let plain = word.strip_prefix('+').unwrap_or(word);
        if let Some(digit) = digit {
            digits.push(digit);
            words += 1;
        } else if !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit()) {
            digits.push_str(if digits.is_empty() { word } else { plain });
        } else if !word.is_empty() {
            settle(&mut out, &mut digits, &mut as_written, &mut words);
            out.push_str(&letters_as_digits(word));
            out.push_str(token.get(word.len()..).unwrap_or_default());
            continue;
        }
        as_written.push_str(token);
    }
    settle(&mut out, &mut digits, &mut as_written, &mut words);
    out
}

/// `O7546` as `07546`: `O` and `o` for 0, `l` and `I` for 1, where nothing else stands beside them but two digits or more.
fn letters_as_digits(word: &str) -> String {
    let only = word.chars().all(|c| c.is_ascii_digit() || matches!(c, 'O' | 'o' | 'l' | 'I' | '+' | '(' | ')' | '.' | '/'));
    if !only || word.chars().filter(char::is_ascii_digit).count() < 2 {
        return word.to_owned();
    }
    word.replace(['O', 'o'], "0").replace(['l', 'I'], "1")
}

/// The first telephone number in a text, written out in words too; addresses, links and handles are no numbers.
pub(super) fn find(raw: &str) -> Option<String> {
    let text = in_plain_digits(raw)?;
    numbers(&text).next()
}

/// Every telephone number in a text, each once.
pub(super) fn find_all(raw: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let text = in_plain_digits(raw).unwrap_or_default();
    for number in numbers(&text) {
        if !found.contains(&number) {
            found.push(number);
        }
    }
    found
}

/// The text without addresses, links and handles, numbers in digits.
fn in_plain_digits(raw: &str) -> Option<String> {
    let text = super::email::removed(raw);
    Some(in_digits(&ADDRESS.as_ref()?.replace_all(&text, " ")))
}

fn numbers(text: &str) -> impl Iterator<Item = String> {
    NUMBER.iter().flat_map(move |number| number.find_iter(text)).filter_map(move |found| {
        let before = text.get(..found.start()).and_then(|t| t.chars().next_back());
        let after = text.get(found.end()..).and_then(|t| t.chars().next());
        let inside_word = [before, after].into_iter().flatten().any(|c| c.is_alphanumeric() || c == '_');
        let digits = found.as_str().bytes().filter(u8::is_ascii_digit).count();
        let enough = digits >= FEWEST_FOUND || found.as_str().starts_with('+');
        if inside_word || !enough { None } else { clean(found.as_str(), None) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_number_in_every_writing_is_one_value() {
        for (raw, region) in [
            ("07546 441 014", Some("UK")),
            ("07546441014", None),
            ("+44 7546 441014", None),
            ("+447546441014", Some("UK")),
            ("00447546441014", Some("IT")),
            ("+44 (0)7546 441014", None),
            ("447546441014", Some("United Kingdom")),
        ] {
            assert_eq!(clean(raw, region).as_deref(), Some("7546441014"), "{raw}");
        }
        for raw in
            ["(202) 640-9217", "202-640-9217", "+1 202 640 9217", "+12026409217", "202.640.9217", "12026409217", "202 640 9217 ext 12"]
        {
            assert_eq!(clean(raw, Some("US")).as_deref(), Some("2026409217"), "{raw}");
        }
        for raw in ["3397969327", "+39 339 7969327", "+393397969327", "339 796 9327", "00393397969327", "339/7969327", "393397969327"] {
            assert_eq!(clean(raw, Some("IT")).as_deref(), Some("3397969327"), "{raw}");
            assert_eq!(clean(raw, None).as_deref(), Some("3397969327"), "{raw}");
        }
        // 393 is a mobile prefix of its own: ten digits are whole.
        assert_eq!(clean("3931234568", Some("IT")).as_deref(), Some("3931234568"));
        // A fixed line: the zero goes on both sides.
        assert_eq!(clean("+39 06 6982 1111", None), clean("06 69821111", Some("Italia")));
    }

    #[test]
    fn junk_is_missing() {
        for junk in ["", "0", "n/a", "000 000 0000", "1111111111", "1234567890", "123456", "unknown", "12345678901234567890"] {
            assert_eq!(clean(junk, Some("US")), None, "{junk}");
        }
    }

    #[test]
    fn numbers_are_found_in_bios_and_nothing_else_is() {
        for (bio, number) in [
            ("📞 +447558706782. hiking. Estate agent", "7558706782"),
            ("tel: 645.300.4579 / chess / music", "6453004579"),
            ("call (748) 372-7442 | art", "7483727442"),
            ("WhatsApp 339/7969327, wine", "3397969327"),
            ("born 3 May 1990. 339 796 9327 • yoga", "3397969327"),
            ("0039 3397969327", "3397969327"),
            ("call zero seven five four six, four four one zero one four now", "7546441014"),
            ("tre tre nove 796 nove tre due sette | vino", "3397969327"),
            ("O7546 44l O14", "7546441014"),
        ] {
            assert_eq!(find(bio).as_deref(), Some(number), "{bio}");
        }
        assert_eq!(find_all("339 796 9327 or tel: 645.300.4579, again +39 339 7969327"), ["3397969327", "6453004579"]);
        for bio in [
            "born 12 Jan 1980 | chess",
            "ada1234567890@gmail.com",
            "ig: @ada6453004579",
            "2019-2020",
            "order 123456",
            "one two three, four kids, zero regrets",
            "two dogs one cat",
            "https://x.it/6453004579",
        ] {
            assert_eq!(find(bio), None, "{bio}");
        }
    }

    #[test]
    fn a_number_with_its_country_has_one_form() {
        for (raw, region, expected) in [
            ("07546 441 014", Some("UK"), Some("+447546441014")),
            ("+44 7546 441014", None, Some("+447546441014")),
            ("0044 7546 441014", Some("IT"), Some("+447546441014")),
            ("(202) 640-9217", Some("US"), Some("+12026409217")),
            ("+1 202 640 9217", None, Some("+12026409217")),
            ("333 123 9876", Some("Italia"), Some("+393331239876")),
            ("333 123 9876", None, None),
            ("n/a", Some("US"), None),
        ] {
            assert_eq!(e164(raw, region).as_deref(), expected, "{raw} {region:?}");
        }
    }

    proptest! {
        #[test]
        fn e164_twice_is_e164_once(raw in "[+0-9 ()-]{0,18}", region in "(US|UK|IT)?") {
            if let Some(once) = e164(&raw, Some(&region)) {
                prop_assert!(once.len() <= 16 && once.starts_with('+'));
                prop_assert_eq!(e164(&once, None), Some(once));
            }
        }

        #[test]
        fn no_text_makes_it_panic(raw in ".{0,60}", digits in r"\+?[0-9 ()./-]{0,24}") {
            for text in [raw, digits] {
                drop((find(&text), clean(&text, None), clean(&text, Some("Italia"))));
            }
        }

        #[test]
        fn a_clean_number_stays_what_it_is(number in "[2-9][0-9]{8,9}") {
            if let Some(once) = clean(&number, None) {
                prop_assert_eq!(clean(&once, None), Some(once));
            }
        }
    }
}
