//! The nearest known word to an unknown one.

/// Words longer than this (in characters) are not compared: nobody mistypes a known key into 64 characters.
const LONGEST_WORD: usize = 64;

/// The known word that is nearest to `word` by edit distance (insert, delete, replace, swap of neighbours; ASCII case and `-`/`_`
/// ignored), where it is near enough to be what was meant: at most a third of the longer word's characters, and at least one
/// character is kept. At equal distance the first in the alphabet.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    if folded.is_empty() || folded.len() > LONGEST_WORD {
        return None;
    }
    known
        .into_iter()
        .filter_map(|candidate| {
            let other = fold(candidate);
            let longer = folded.len().max(other.len());
            if other.is_empty() || longer > LONGEST_WORD {
                return None;
            }
            let distance = distance(&folded, &other);
            let near = distance <= longer.div_ceil(3) && distance < longer;
            near.then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    word.trim().chars().take(LONGEST_WORD + 1).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Optimal string alignment distance (Damerau–Levenshtein where no substring is edited twice), three rows at a time.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before_previous: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    let mut last_left = None;
    for (row, &l) in left.iter().enumerate() {
        let mut current = Vec::with_capacity(right.len() + 1);
        current.push(row + 1);
        let mut diagonal = row;
        let mut last_right = None;
        for (column, &r) in right.iter().enumerate() {
            let above = previous.get(column + 1).copied().unwrap_or(usize::MAX - 1);
            let beside = current.last().copied().unwrap_or(usize::MAX - 1);
            let mut best = (diagonal + usize::from(l != r)).min(above + 1).min(beside + 1);
            if last_left == Some(r)
                && last_right == Some(l)
                && let Some(&swapped) = column.checked_sub(1).and_then(|c| before_previous.get(c))
            {
                best = best.min(swapped + 1);
            }
            current.push(best);
            diagonal = above;
            last_right = Some(r);
        }
        last_left = Some(l);
        before_previous = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().unwrap_or(left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 6] = ["customers", "identities", "deliver", "decide", "link_from", "tests"];

    #[test]
    fn a_slip_of_the_finger_finds_the_key() {
        for (word, meant) in [
            ("custmers", "customers"),
            ("Identities", "identities"),
            ("delivre", "deliver"),
            ("link-from", "link_from"),
            ("test", "tests"),
            ("desice", "decide"),
        ] {
            assert_eq!(nearest(word, KEYS), Some(meant), "{word}");
        }
    }

    #[test]
    fn an_unrelated_word_finds_nothing() {
        for word in ["", " ", "x", "zebra", "password", &"a".repeat(500)] {
            assert_eq!(nearest(word, KEYS), None, "{word}");
        }
    }

    #[test]
    fn the_distance_counts_edits_and_swaps_of_neighbours() {
        let count = |a: &str, b: &str| distance(&fold(a), &fold(b));
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("ab", "ba"), 1);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("same", "same"), 0);
        // Optimal string alignment: `ca` to `abc` is 3, since no piece is edited twice.
        assert_eq!(count("ca", "abc"), 3);
    }
}
