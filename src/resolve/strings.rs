//! Interned strings: each distinct text once, in one buffer, named by a number.

use super::block::{ByHash, hash};

/// The number of a text; 0 is "none".
pub(super) type Text = u32;

/// The buffer. Texts are never taken out: a retired customer's values stay until the index is built again at the next start.
#[derive(Default)]
pub(super) struct Strings {
    buffer: String,
    ends: Vec<usize>,
    by_hash: ByHash<Text>,
    /// Texts whose hash was taken by another.
    collided: Vec<Text>,
}

impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Strings({} texts)", self.ends.len())
    }
}

const SEED: u64 = 0x0073_7472_696e_6773;

impl Strings {
    /// The text of a number; empty for 0.
    pub(super) fn get(&self, text: Text) -> &str {
        let Some(at) = usize::try_from(text).ok().and_then(|n| n.checked_sub(1)) else { return "" };
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(at).and_then(|end| self.buffer.get(start..*end)).unwrap_or("")
    }

    /// The number of a text that is there.
    pub(super) fn find(&self, text: &str) -> Option<Text> {
        let number = *self.by_hash.get(&hash(SEED, text))?;
        if self.get(number) == text {
            return Some(number);
        }
        self.collided.iter().copied().find(|number| self.get(*number) == text)
    }

    /// The number of a text, added where it is not there. 2³² − 1 texts at most; the CRM's that we know of have 10⁷.
    pub(super) fn intern(&mut self, text: &str) -> Text {
        if let Some(number) = self.find(text) {
            return number;
        }
        self.buffer.push_str(text);
        self.ends.push(self.buffer.len());
        let number = Text::try_from(self.ends.len()).unwrap_or(0);
        let mut collided = true;
        self.by_hash.entry(hash(SEED, text)).or_insert_with(|| {
            collided = false;
            number
        });
        if collided {
            self.collided.push(number);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_text_has_one_number_and_comes_back(texts in proptest::collection::vec(".{0,6}", 0..40)) {
            let mut strings = Strings::default();
            let numbers: Vec<Text> = texts.iter().map(|t| strings.intern(t)).collect();
            for (text, number) in texts.iter().zip(&numbers) {
                prop_assert_eq!(strings.get(*number), text.as_str());
                prop_assert_eq!(strings.find(text), Some(*number));
                prop_assert_eq!(strings.intern(text), *number);
            }
            prop_assert_eq!(strings.get(0), "");
        }
    }
}
