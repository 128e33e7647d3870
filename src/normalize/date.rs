//! Calendar dates as ISO 8601; the day/month order of a written date follows the region.

use super::lookup::{DateOrder, country};
use super::text::{fold, words};
use jiff::civil::Date;

/// Years in which a person of a CRM can have been born or done something.
const YEARS: std::ops::RangeInclusive<i16> = 1850..=2200;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const MESI: [&str; 12] = ["gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic"];

/// The date, or `None` for anything that is none or stands for "unknown" (1900-01-01 and the like).
pub(super) fn clean(raw: &str, region: Option<&str>) -> Option<String> {
    let folded = fold(raw);
    let text = folded.trim();
    let text = text.split_once('t').map_or(text, |(date, time)| if time.starts_with(|c: char| c.is_ascii_digit()) { date } else { text });
    let parts: Vec<&str> = text.split([' ', '-', '/', '.', ',']).filter(|p| !p.is_empty()).collect();
    let (first, second, third) = match parts.as_slice() {
        [one] if one.len() == 8 && one.is_ascii() => (one.get(..4)?, one.get(4..6)?, one.get(6..8)?),
        [a, b, c] => (*a, *b, *c),
        [a, b, c, time] if time.contains(':') => (*a, *b, *c),
        _ => return None,
    };
    let (year, month, day) = if first.len() == 4 {
        (first, month(second)?, number(third)?)
    } else if let Some(month) = named(second) {
        (third, month, number(first)?)
    } else if let Some(month) = named(first) {
        (third, month, number(second)?)
    } else {
        let (a, b) = (number(first)?, number(second)?);
        let order = region.and_then(|r| country(&words(&fold(r)))).map_or(DateOrder::DayMonth, |c| c.dates);
        // A number above 12 is no month, whatever the region says.
        if a <= 12 && (order == DateOrder::MonthDay || b > 12) { (third, a, b) } else { (third, b, a) }
    };
    if year.len() != 4 {
        return None;
    }
    let date = Date::new(year.parse().ok().filter(|y| YEARS.contains(y))?, month, day).ok()?;
    (date.month() != 1 || date.day() != 1 || date.year() != 1900).then(|| date.to_string())
}

/// Words that stand before a date of birth.
const BORN: [&str; 12] = ["born", "birthday", "bday", "b-day", "dob", "d.o.b", "nato", "nata", "geboren", "geb", "naissance", "nacido"];

/// Most words between such a word and the date: `born on the 12th of …` has three.
const WORDS_BETWEEN: usize = 4;

/// The date of birth that a text tells after a word like `born`; other dates are none.
pub(super) fn find_birth(raw: &str) -> Option<String> {
    let folded = fold(raw);
    let words: Vec<&str> = folded
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | '|' | '•' | '(' | ')'))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| !word.is_empty())
        .collect();
    let born = words.iter().enumerate().filter(|(_, word)| BORN.contains(word)).map(|(at, _)| at + 1);
    born.flat_map(|start| start..=start + WORDS_BETWEEN).find_map(|start| {
        let one = words.get(start).and_then(|word| clean(word, None));
        one.or_else(|| clean(&words.get(start..start + 3)?.iter().map(|word| without_ordinal(word)).collect::<Vec<_>>().join(" "), None))
    })
}

/// `12th` as `12`.
fn without_ordinal(word: &str) -> &str {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let is_ordinal = !digits.is_empty() && digits.len() <= 2 && matches!(word.get(digits.len()..), Some("st" | "nd" | "rd" | "th"));
    if is_ordinal { digits } else { word }
}

fn number(text: &str) -> Option<i8> {
    (text.len() <= 2).then(|| text.parse().ok()).flatten()
}

fn month(text: &str) -> Option<i8> {
    number(text).or_else(|| named(text))
}

fn named(text: &str) -> Option<i8> {
    let start = text.get(..3)?;
    [MONTHS, MESI].iter().find_map(|names| names.iter().position(|name| *name == start)).and_then(|at| i8::try_from(at + 1).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_region_says_which_number_is_the_month_unless_only_one_can_be() {
        assert_eq!(clean("04/09/1985", Some("UK")).as_deref(), Some("1985-09-04"));
        assert_eq!(clean("04/09/1985", Some("US")).as_deref(), Some("1985-04-09"));
        assert_eq!(clean("28/05/1992", Some("US")).as_deref(), Some("1992-05-28"));
        assert_eq!(clean("10/28/1968", None).as_deref(), Some("1968-10-28"));
        assert_eq!(clean("1994-12-19", Some("US")).as_deref(), Some("1994-12-19"));
        assert_eq!(clean("1994-12-19T00:00:00", None).as_deref(), Some("1994-12-19"));
        assert_eq!(clean("1994-12-19 00:00:00", None).as_deref(), Some("1994-12-19"));
        assert_eq!(clean("19941219", None).as_deref(), Some("1994-12-19"));
        assert_eq!(clean("3 May 1990", None).as_deref(), Some("1990-05-03"));
        assert_eq!(clean("12 gennaio 1980", None).as_deref(), Some("1980-01-12"));
    }

    #[test]
    fn no_date_and_the_date_that_means_unknown_are_missing() {
        for junk in ["", "1900-01-01", "01/01/1900", "yesterday", "31/02/1990", "13/13/1990", "1/2/90", "0000-00-00", "1990"] {
            assert_eq!(clean(junk, Some("IT")), None, "{junk}");
        }
    }

    #[test]
    fn a_date_of_birth_is_found_after_its_word_and_no_other_date_is() {
        for (bio, expected) in [
            ("nurse | born 12 Mar 1984 | coffee", "1984-03-12"),
            ("Born on the 3rd May 1990.", "1990-05-03"),
            ("dob: 1984-02-01, chess", "1984-02-01"),
            ("nata il 7 luglio 1961", "1961-07-07"),
            ("birthday 12/03/1984", "1984-03-12"),
        ] {
            assert_eq!(find_birth(bio).as_deref(), Some(expected), "{bio}");
        }
        for bio in ["married 12 Mar 2004", "born to run", "born in 1984", "since 12 Mar 1984", ""] {
            assert_eq!(find_birth(bio), None, "{bio}");
        }
    }

    proptest! {
        #[test]
        fn no_bio_makes_it_panic(bio in ".{0,60}", day in "[0-9]{1,3}", month in "[A-Za-z]{1,4}") {
            drop((find_birth(&bio), find_birth(&format!("born {day} {month} 1984"))));
        }

        #[test]
        fn cleaning_twice_is_cleaning_once(raw in ".{0,20}", date in r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}") {
            for text in [raw, date] {
                if let Some(once) = clean(&text, Some("US")) {
                    prop_assert_eq!(clean(&once, None), Some(once));
                }
            }
        }
    }
}
