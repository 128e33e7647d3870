//! Numbers that people mention in what they say: of orders, tickets, contracts.

use super::{email, phone};

/// Fewest and most digits: fewer are a year, a price or a house; more are a card.
const DIGITS: std::ops::RangeInclusive<usize> = 5..=12;

/// Numbers kept of one text: more than this is a list of something else.
const MOST_NUMBERS: usize = 16;

/// Each number that stands alone, without leading zeros, in order, each once. E-mail addresses, telephone numbers with `+`, links and parts
/// of words are none.
pub(super) fn find(raw: &str) -> Vec<String> {
    let text = without_international(&phone::without_addresses(&email::removed(raw)));
    let mut found: Vec<String> = Vec::new();
    for word in text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '+' | '-' | '/' | '.' | ':'))) {
        let word = word.trim_matches(|c: char| matches!(c, '.' | '-' | ':' | '/'));
        if !DIGITS.contains(&word.len()) || !word.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let number = word.trim_start_matches('0');
        if !number.is_empty() && !found.iter().any(|f| f == number) && found.len() < MOST_NUMBERS {
            found.push(number.to_owned());
        }
    }
    found
}

/// The text without telephone numbers that begin with `+`, blanks and marks between their digits included.
fn without_international(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        kept.push(c);
        if c == '+' && chars.peek().is_some_and(char::is_ascii_digit) {
            while chars.next_if(|c| c.is_ascii_digit() || matches!(c, ' ' | '(' | ')' | '.' | '-' | '/')).is_some() {}
            kept.push(' ');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_of_orders_are_found_and_others_are_not() {
        assert_eq!(find("My order 104711 arrived broken, third time this year"), ["104711"]);
        assert_eq!(find("still waiting for the refund on 545140!! And on #545141."), ["545140", "545141"]);
        assert_eq!(find("Wrong item. Order 0099321."), ["99321"]);
        for text in [
            "since 2019, 4711 times",
            "call +39 333 1234567",
            "https://x.example/123456",
            "ab123456 12-34-56 12345678901234",
            "a123456@x.it",
            "",
        ] {
            assert!(find(text).is_empty(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_found_again(text in ".{0,60}", number in "[1-9][0-9]{4,11}") {
            drop(find(&text));
            let found = find(&format!("order {number} please"));
            prop_assert_eq!(&found, &[number]);
            prop_assert_eq!(find(&found.join(" ")), found);
        }
    }
}
