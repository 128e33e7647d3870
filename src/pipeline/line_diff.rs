//! What differs between two texts, line by line: what entries say about a changed mapping or configuration.

use similar::{Algorithm, ChangeTag, capture_diff_slices};

/// Lines of each text that are compared; beyond, the whole of both stands as changed. Two texts of 4,000 lines that share none take 16 million
/// steps, some tens of milliseconds; a described mapping has some hundred lines.
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
    if old.len() > MOST_LINES || new.len() > MOST_LINES {
        for line in old {
            tell('-', line);
        }
        for line in new {
            tell('+', line);
        }
        return out;
    }
    for step in capture_diff_slices(Algorithm::Myers, &old, &new) {
        for change in step.iter_changes(&old, &new) {
            match change.tag() {
                ChangeTag::Equal if whole => tell(' ', change.value()),
                ChangeTag::Equal => {}
                ChangeTag::Delete => tell('-', change.value()),
                ChangeTag::Insert => tell('+', change.value()),
            }
        }
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
