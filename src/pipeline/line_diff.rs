//! What differs between two texts, line by line: what entries say about a changed mapping or configuration.

/// Lines of each text that are compared; beyond, the whole of both stands as changed. 4,000 × 4,000 steps take some tens of milliseconds and
/// 64 MB for a moment; a described mapping has some hundred lines.
const MOST_LINES: usize = 4_000;

/// The lines of both texts: `-` before those that went, `+` before those that came; with `whole`, a blank before those that stay, so that
/// the new text can be read from the diff alone.
pub fn line_diff(before: &str, after: &str, whole: bool) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut out = String::new();
    let mut tell = |sign: char, line: &str| {
        out.push(sign);
        out.push_str(line);
        out.push('\n');
    };
    // What both begin and end with stays.
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (old.get(head..).unwrap_or_default(), new.get(head..).unwrap_or_default());
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let old_middle = old_rest.get(..old_rest.len() - tail).unwrap_or_default();
    let new_middle = new_rest.get(..new_rest.len() - tail).unwrap_or_default();
    if whole {
        new.iter().take(head).for_each(|line| tell(' ', line));
    }
    for (sign, line) in changed(old_middle, new_middle) {
        if whole || sign != ' ' {
            tell(sign, line);
        }
    }
    if whole {
        new.iter().skip(new.len() - tail).for_each(|line| tell(' ', line));
    }
    out
}

/// The text after a whole diff.
pub fn after_of(diff: &str) -> String {
    let kept = diff.lines().filter_map(|line| line.strip_prefix(' ').or_else(|| line.strip_prefix('+')));
    kept.fold(String::new(), |mut text, line| {
        text.push_str(line);
        text.push('\n');
        text
    })
}

/// By the longest common subsequence.
fn changed<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    if old.len() > MOST_LINES || new.len() > MOST_LINES {
        return old.iter().map(|line| ('-', *line)).chain(new.iter().map(|line| ('+', *line))).collect();
    }
    // longest[i][j]: of old from i on and new from j on.
    let mut longest = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    let at = |table: &[Vec<u32>], i: usize, j: usize| table.get(i).and_then(|row| row.get(j)).copied().unwrap_or_default();
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let value = if a == b { at(&longest, i + 1, j + 1) + 1 } else { at(&longest, i + 1, j).max(at(&longest, i, j + 1)) };
            if let Some(cell) = longest.get_mut(i).and_then(|row| row.get_mut(j)) {
                *cell = value;
            }
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                out.push((' ', *b));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), other) if other.is_none() || at(&longest, i + 1, j) >= at(&longest, i, j + 1) => {
                out.push(('-', *a));
                i += 1;
            }
            (_, Some(b)) => {
                out.push(('+', *b));
                j += 1;
            }
            (None | Some(_), None) => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_went_and_came_is_told_in_its_place() {
        let (before, after) = ("a\nb\nc\nd\n", "a\nc\nx\nd\n");
        assert_eq!(line_diff(before, after, true), " a\n-b\n c\n+x\n d\n");
        assert_eq!(line_diff(before, after, false), "-b\n+x\n");
        assert_eq!(line_diff("", "a\n", true), "+a\n");
        assert_eq!(line_diff("a\n", "a\n", false), "");
    }

    proptest! {
        #[test]
        fn the_new_text_and_the_old_are_read_from_a_whole_diff(before in "([ab]?\n){0,12}", after in "([ab]?\n){0,12}") {
            let diff = line_diff(&before, &after, true);
            prop_assert_eq!(after_of(&diff), &*after);
            let old = diff.lines().filter_map(|l| l.strip_prefix(' ').or_else(|| l.strip_prefix('-'))).fold(String::new(), |text, l| text + l + "\n");
            prop_assert_eq!(old, before);
        }
    }
}
