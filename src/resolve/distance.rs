//! String similarity on characters: Levenshtein distance and Jaro–Winkler similarity, with the constants of Splink and `DuckDB`.

use crate::splink::bytes::{differing, levenshtein};

/// Longest string compared, in characters: a longer one is cut. Distances are quadratic; names, cities and addresses are far shorter.
const MOST_CHARS: usize = 128;

fn characters(text: &str) -> Vec<char> {
    text.chars().take(MOST_CHARS).collect()
}

/// The bytes of both, where each is a character of its own: nothing is copied then.
fn plain<'a>(a: &'a str, b: &'a str) -> Option<(&'a [u8], &'a [u8])> {
    let cut = |text: &'a str| text.as_bytes().get(..MOST_CHARS).unwrap_or(text.as_bytes());
    (a.is_ascii() && b.is_ascii()).then(|| (cut(a), cut(b)))
}

/// Whether the Levenshtein distance (insert, delete, substitute, each 1) is at most `most`.
pub fn levenshtein_at_most(a: &str, b: &str, most: u32) -> bool {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    match plain(a, b) {
        Some((a, b)) => within(a, b, most),
        None => within(&characters(a), &characters(b), most),
    }
}

fn within<T: PartialEq>(a: &[T], b: &[T], most: usize) -> bool {
    // The difference in length is the least, and the longer length the most.
    let (a, b) = differing(a, b);
    a.len().abs_diff(b.len()) <= most && (a.len().max(b.len()) <= most || levenshtein(a, b) <= most)
}

/// Jaro similarity, raised by a common start of up to four characters (weight 0.1) where it is at least 0.7 (Winkler 1990). Two empty
/// strings are 0, as in `DuckDB`.
pub fn jaro_winkler(a: &str, b: &str) -> f64 {
    match plain(a, b) {
        Some((a, b)) => winkler(a, b),
        None => winkler(&characters(a), &characters(b)),
    }
}

fn winkler<T: PartialEq>(a: &[T], b: &[T]) -> f64 {
    let jaro = jaro(a, b);
    if jaro < 0.7 {
        return jaro;
    }
    let prefix = a.iter().zip(b).take(4).take_while(|(x, y)| x == y).count();
    let prefix = u32::try_from(prefix).map_or(0.0, f64::from);
    jaro + prefix * 0.1 * (1.0 - jaro)
}

fn jaro<T: PartialEq>(a: &[T], b: &[T]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let window = (a.len().max(b.len()) / 2).saturating_sub(1);
    // MOST_CHARS is 128: one bit a character says which are taken.
    let (mut taken_a, mut taken_b) = (0_u128, 0_u128);
    let mut matches = 0_u32;
    for (i, x) in a.iter().enumerate() {
        let from = i.saturating_sub(window);
        for (j, y) in b.iter().enumerate().take(i + window + 1).skip(from) {
            if x == y && taken_b & (1 << j) == 0 {
                taken_a |= 1 << i;
                taken_b |= 1 << j;
                matches += 1;
                break;
            }
        }
    }
    if matches == 0 {
        return 0.0;
    }
    let out_of_order = kept(a, taken_a).zip(kept(b, taken_b)).filter(|(x, y)| x != y).count();
    let length = |text: &[T]| u32::try_from(text.len()).map_or(1.0, f64::from);
    let (m, t) = (f64::from(matches), u32::try_from(out_of_order / 2).map_or(0.0, f64::from));
    (m / length(a) + m / length(b) + (m - t) / m) / 3.0
}

/// The characters that are taken.
fn kept<T>(text: &[T], taken: u128) -> impl Iterator<Item = &T> {
    text.iter().enumerate().filter(move |(i, _)| taken & (1 << i) != 0).map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The recurrence as the textbook has it.
    fn reference_levenshtein(a: &[char], b: &[char]) -> usize {
        match (a.split_first(), b.split_first()) {
            (None, _) => b.len(),
            (_, None) => a.len(),
            (Some((x, rest_a)), Some((y, rest_b))) if x == y => reference_levenshtein(rest_a, rest_b),
            (Some((_, rest_a)), Some((_, rest_b))) => {
                1 + reference_levenshtein(rest_a, b).min(reference_levenshtein(a, rest_b)).min(reference_levenshtein(rest_a, rest_b))
            }
        }
    }

    /// Jaro with lists in place of bits, from its definition.
    fn reference_jaro(a: &[char], b: &[char]) -> f64 {
        if a.is_empty() || b.is_empty() {
            return 0.0;
        }
        let window = (a.len().max(b.len()) / 2).saturating_sub(1);
        let mut free: Vec<bool> = vec![true; b.len()];
        let mut of_a = Vec::new();
        for (i, x) in a.iter().enumerate() {
            if let Some(j) = (0..b.len()).find(|j| free[*j] && b[*j] == *x && j.abs_diff(i) <= window) {
                free[j] = false;
                of_a.push(*x);
            }
        }
        let of_b: Vec<char> = b.iter().zip(&free).filter(|(_, free)| !**free).map(|(c, _)| *c).collect();
        let t = of_a.iter().zip(&of_b).filter(|(x, y)| x != y).count() / 2;
        let number = |n: usize| f64::from(u32::try_from(n).unwrap());
        let m = number(of_a.len());
        if of_a.is_empty() { 0.0 } else { (m / number(a.len()) + m / number(b.len()) + (m - number(t)) / m) / 3.0 }
    }

    #[test]
    fn published_examples_come_out() {
        for (a, b, expected) in
            [("martha", "marhta", 0.961_111), ("dwayne", "duane", 0.84), ("dixon", "dicksonx", 0.813_333), ("", "", 0.0), ("a", "", 0.0)]
        {
            assert!((jaro_winkler(a, b) - expected).abs() < 1e-6, "{a} {b}");
        }
        assert!(levenshtein_at_most("kitten", "sitting", 3));
        assert!(!levenshtein_at_most("kitten", "sitting", 2));
        assert!(levenshtein_at_most("é", "e", 1), "characters count, not bytes");
    }

    proptest! {
        #[test]
        fn both_agree_with_the_plain_definitions(a in "[abcé]{0,7}", b in "[abcé]{0,7}") {
            let (x, y) = (characters(&a), characters(&b));
            let distance = reference_levenshtein(&x, &y);
            prop_assert_eq!(levenshtein(&x, &y), distance);
            prop_assert!(levenshtein_at_most(&a, &b, u32::try_from(distance).unwrap()));
            prop_assert!(distance == 0 || !levenshtein_at_most(&a, &b, u32::try_from(distance - 1).unwrap()));
            prop_assert!((jaro(&x, &y) - reference_jaro(&x, &y)).abs() < 1e-12);
        }

        #[test]
        fn no_text_makes_them_panic_and_similarity_stays_between_0_and_1(a in ".{0,300}", b in ".{0,300}") {
            let similarity = jaro_winkler(&a, &b);
            prop_assert!((0.0..=1.0).contains(&similarity));
            let _either = levenshtein_at_most(&a, &b, 3);
        }
    }
}
